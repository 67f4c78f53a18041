//! bob: masks his share of each request and sends it to alice, on a thread of its own, so that it
//! reaches her even while a batch runs.

use securemodel_link::announce::{write_waiting, Entry};
use securemodel_link::epoch::{RequestKey, RequestKeys};
use securemodel_link::frame::{Header, Kind};
use securemodel_mpc::role::Role;
use securemodel_mpc::{request_mask, ChannelError};
use tracing::error;

use super::engine::{Engine, IDLE};
use super::request::{MaskedShare, Sent};

/// The hop of bob's WAITING; the client's request is 1.
pub(super) const WAITING_HOP: u16 = 2;

/// Sends alice bob's masked shares as they come, each under a number and a mask of its own, for as
/// long as the process lives.
pub fn send_masked(engine: &Engine) {
    let header = Header { hop: WAITING_HOP, ..Header::control(Kind::Waiting) };
    loop {
        let Some((epoch, loaded)) = engine.mesh.serving(IDLE) else { continue };
        let links = (epoch.link(Role::Alice), epoch.link(Role::Carol));
        let (Ok(alice), Ok(carol)) = links else { continue };
        // a closed link stays closed, so the numbers of an epoch never start over
        let mut keys = RequestKeys::new(&epoch.id, &carol.secret);
        while !epoch.links.iter().any(|link| link.is_closed()) {
            for (id, rows, share) in engine.requests.take_untold(&epoch.id, IDLE) {
                let (digest, generation) = (&loaded.shares.digest, &loaded.shares.generation);
                let (number, key) = keys.take(digest, generation);
                let sent = mask(&share, rows, number, &key);

                let payload = write_waiting(&Entry { id, rows, number }, &sent.masked.share);
                // first: alice may announce it before `send` returns
                engine.requests.sending(&epoch.id, id, sent);
                // when the link is lost, the epoch ends, and with it these requests
                if let Err(ours @ ChannelError::Ours(_)) = alice.send(&header, &payload) {
                    error!("{ours}");
                }
            }
        }
    }
}

fn mask(share: &[u64], rows: usize, number: u64, key: &RequestKey) -> Sent {
    let mask = request_mask(key, share.len());
    let masked = share.iter().zip(&mask).map(|(x, mask)| x.wrapping_add(*mask));
    Sent { masked: MaskedShare { number, rows, share: masked.collect() }, mask }
}
