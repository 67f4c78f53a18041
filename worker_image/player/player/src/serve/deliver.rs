//! `PUT /v1/shares`: the share step delivers this player's share file, straight to the volume.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::{HeaderMap, StatusCode};
use serde_json::json;
use tokio::fs::File;
use tokio::io::AsyncWriteExt;
use tokio::sync::Mutex;
use tracing::info;

use super::reply::{declared, json, Reply};
use crate::batch::refusal::{Code, Refusal};
use crate::player::Player;
use crate::store::StoreError;
use securemodel_link::offer::Offer;
use securemodel_link::tls::{Holder, Identity};

const MAX_BYTES: usize = 2 << 30;
/// How long the body may stall.
const SILENCE: Duration = Duration::from_secs(30);

/// Keeps and loads a share file, if it comes from the share step and is this player's.
pub async fn deliver(
    player: &Arc<Player>,
    deliveries: &Arc<Mutex<()>>,
    holder: Option<&Identity>,
    headers: &HeaderMap,
    body: &mut Incoming,
) -> Result<Reply, Refusal> {
    let expected = player.tls.identity.with(Holder::Share);
    if holder != Some(&expected) {
        let who = holder.map_or("a client without a certificate".into(), ToString::to_string);
        return Err(Refusal::new(
            Code::Forbidden,
            format!("{who} may not deliver shares; that takes a certificate of {expected}"),
        ));
    }
    declared(headers, MAX_BYTES)?;

    let Ok(one_at_a_time) = deliveries.clone().try_lock_owned() else {
        return Err(Refusal::new(
            Code::Overloaded,
            "another share file is being delivered; try again in a second",
        ));
    };
    receive(player, body).await?;

    let keeper = player.clone();
    let adopted = tokio::task::spawn_blocking(move || {
        let _until_adopted = one_at_a_time;
        keeper.adopt()
    });
    let loaded = adopted
        .await
        .map_err(|e| Refusal::new(Code::BadShares, e.to_string()))?
        .map_err(|e| refused(&e))?;

    info!("shares delivered");
    Ok(json(StatusCode::OK, &json!({"digest": loaded.digest(), "generation": loaded.generation()})))
}

/// Writes the body aside, as it comes.
async fn receive(player: &Player, body: &mut Incoming) -> Result<(), Refusal> {
    let written = |e| refused(&player.store.volume(e));
    let mut file = File::create(player.store.aside()).await.map_err(written)?;
    let mut body = Limited::new(body, MAX_BYTES);

    loop {
        let frame = tokio::time::timeout(SILENCE, body.frame()).await;
        match frame.map_err(|_| silent())? {
            Some(Ok(frame)) => {
                if let Ok(bytes) = frame.into_data() {
                    file.write_all(&bytes).await.map_err(written)?;
                }
            }
            Some(Err(e)) if e.is::<LengthLimitError>() => return Err(too_large()),
            Some(Err(e)) => {
                let why = format!("the share file broke off: {e}");
                return Err(Refusal::new(Code::BadRequest, why));
            }
            None => return file.flush().await.map_err(written),
        }
    }
}

fn silent() -> Refusal {
    let why = format!("nothing more of the share file came for {SILENCE:?}");
    Refusal::new(Code::BadRequest, why)
}

fn too_large() -> Refusal {
    let why = format!("a share file has at most {MAX_BYTES} bytes; the model is too large");
    Refusal::new(Code::TooLarge, why)
}

/// A full or read-only volume can be fixed; a bad file stays bad.
fn refused(e: &StoreError) -> Refusal {
    let code =
        if matches!(e, StoreError::Volume { .. }) { Code::NotReady } else { Code::BadShares };
    Refusal::new(code, e.to_string())
}
