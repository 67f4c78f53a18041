//! An alice who announces the requests of a batch in another order to carol than to bob, and is one
//! of the clients. carol's parts then carry another request's mask, and alice's own answer would
//! show that mask times the weights' mask: enough such answers give a victim's input away.

mod support;

use securemodel_link::announce::{parse_waiting, write_announcement, Entry};
use securemodel_link::epoch::KeyChain;
use securemodel_link::frame::{Header, Kind};
use securemodel_link::mesh::Epoch;
use securemodel_mpc::role::Role;
use securemodel_mpc::share_file::Shares;
use securemodel_mpc::{BatchKeys, Channel, ChannelError, PartyInput, Workspace};
use securemodel_player::model::Loaded;
use support::peer::Peer;
use support::{model, Trio};

const ROWS: [[f64; 3]; 2] = [[1.0, -2.0, 0.5], [-7.25, 3.0, 0.0]];
/// A truncated value is right modulo 2^47 whatever is truncated by 16 bits (docs/protocol.md).
const TRUNCATED: u64 = (1 << 47) - 1;

/// A client's request: what alice holds of it, and what everybody together knows.
struct Request {
    entry: Entry,
    share: Vec<u64>,
    /// x_b + λ_b, from bob's WAITING.
    masked: Vec<u64>,
    /// λ_b, which alice knows of a request that is her own.
    mask: Vec<u64>,
}

fn words(bytes: &[u8]) -> Vec<u64> {
    bytemuck::pod_collect_to_vec(bytes)
}

fn added(a: &[u64], b: &[u64]) -> Vec<u64> {
    a.iter().zip(b).map(|(a, b)| a.wrapping_add(*b)).collect()
}

fn subtracted(a: &[u64], b: &[u64]) -> Vec<u64> {
    a.iter().zip(b).map(|(a, b)| a.wrapping_sub(*b)).collect()
}

/// The links of an epoch, as the batch of an alice who deviates sees them.
struct Links<'a>(&'a Epoch<Loaded>);

impl Channel for Links<'_> {
    fn send(
        &mut self,
        to: Role,
        instruction: u32,
        step: u8,
        words: &[u64],
    ) -> Result<(), ChannelError> {
        let header = Header { kind: Kind::Data, step, hop: 4, instruction, batch: 0 };
        self.0.links.send(to, &header, bytemuck::cast_slice(words))
    }

    fn recv(&mut self, from: Role, _: u32, _: u8, words: usize) -> Result<Vec<u64>, ChannelError> {
        let payload = self.0.links.recv(from)?.payload.into_words().expect("whole words");
        assert_eq!(payload.len(), words);
        Ok(payload)
    }

    fn recycle(&mut self, _: Role, _: Vec<u64>) {}
}

/// alice's keys of the epoch's first batch, on each link those of the list that she sent there.
fn keys(epoch: &Epoch<Loaded>, shares: &Shares, to_bob: &[u8], to_carol: &[u8]) -> BatchKeys {
    let [with_bob, with_carol] = [to_bob, to_carol].map(|list| {
        let secrets = epoch.links.each_ref().map(|link| &link.secret);
        let mut chain = KeyChain::new(Role::Alice, &epoch.id, secrets);
        chain.take(&shares.digest, &shares.generation, list)
    });
    BatchKeys { ab: with_bob.ab, ac: with_carol.ac, bc: None }
}

/// Runs the first batch of an epoch as alice; `orders`: of the requests, as bob and carol hear it.
/// Returns the requests in bob's order, with the outputs that their clients receive.
fn run(trio: &Trio, alice: &Peer, orders: [[usize; 2]; 2]) -> Vec<(Request, Vec<u64>)> {
    let epoch = alice.epoch_after(None);
    trio.wait(1, "ready", |s| s["ready"] == true);
    let mut asked = Vec::new();
    let mut requests = Vec::new();
    for row in ROWS {
        let [own, others] = model::share_input(&[row]);
        let client = trio.client(1);
        let share = others.clone();
        asked.push(std::thread::spawn(move || client.infer(&model::fresh_id(), &[1, 3], &share)));
        let (entry, masked) = parse_waiting(&alice.hear(&epoch)).expect("a request");
        let mask = subtracted(&masked, &words(&others));
        requests.push(Request { entry, share: words(&own), masked, mask });
    }
    let [to_bob, to_carol] =
        orders.map(|order| write_announcement(2, order.into_iter().map(|i| requests[i].entry)));
    for (role, list) in [(Role::Bob, &to_bob), (Role::Carol, &to_carol)] {
        Peer::say(&epoch, role, Kind::Announce, 0, list);
    }
    let loaded = alice.loaded();
    let input = PartyInput::Alice {
        share: orders[0].iter().flat_map(|i| requests[*i].share.clone()).collect(),
        bob: orders[0].iter().flat_map(|i| requests[*i].masked.clone()).collect(),
    };
    let keys = keys(&epoch, &loaded.shares, &to_bob, &to_carol);
    let mut channel = Links(&epoch);
    let own = securemodel_mpc::run(
        &loaded.shares,
        &keys,
        2,
        input,
        &mut channel,
        &mut Workspace::default(),
    )
    .expect("runs")
    .expect("an output");
    epoch.links.flush().expect("sent");
    let answers: Vec<Vec<u64>> = asked
        .into_iter()
        .map(|answer| answer.join().expect("answered").expect("an answer").inference().1)
        .collect();
    let outputs: Vec<Vec<u64>> = orders[0]
        .iter()
        .zip(own.chunks_exact(2))
        .map(|(request, own)| added(own, &answers[*request]))
        .collect();
    let mut requests: Vec<Option<Request>> = requests.into_iter().map(Some).collect();
    let ordered = orders[0].map(|i| requests[i].take().expect("each once"));
    ordered.into_iter().zip(outputs).collect()
}

/// The weights' mask λ_w, (3, 2) row-major: what an attacker learns first, by queries of her own.
fn weights_mask(trio: &Trio) -> Vec<u64> {
    let file = std::fs::read(trio.path("data-carol").join("shares.safetensors")).expect("a file");
    let file = safetensors::SafeTensors::deserialize(&file).expect("a share file");
    let [la, lb] = ["1.la", "1.lb"].map(|name| words(file.tensor(name).expect("there").data()));
    added(&la, &lb)
}

/// How far each output is from what the model says of the row, plus `extra` · λ_w, truncated.
fn errors(row: &[f64; 3], extra: &[u64], lambda: &[u64], output: &[u64]) -> Vec<u64> {
    let plain = model::plain(row).map(|v| (v * f64::powi(2.0, 32)).round() as i64 as u64);
    (0..2)
        .map(|o| {
            let product = (0..3).map(|k| extra[k].wrapping_mul(lambda[2 * k + o]));
            let z = product.fold(plain[o], u64::wrapping_add);
            output[o].wrapping_sub(((z as i64) >> 16) as u64) & TRUNCATED
        })
        .collect()
}

fn without_alice() -> (Trio, Peer) {
    let mut trio = Trio::serving(1);
    trio.kill(Role::Alice as usize);
    let alice = Peer::start(&trio, Role::Alice);
    (trio, alice)
}

#[test]
fn one_list_for_both_gives_the_models_answers() {
    let (trio, alice) = without_alice();
    let lambda = weights_mask(&trio);
    for (row, (_, output)) in ROWS.iter().zip(run(&trio, &alice, [[0, 1], [0, 1]])) {
        let errors = errors(row, &[0; 3], &lambda, &output);
        assert!(errors.iter().all(|e| *e <= 1), "{errors:?}");
    }
}

#[test]
fn another_list_for_carol_gives_noise() {
    let (trio, alice) = without_alice();
    let lambda = weights_mask(&trio);
    let [(first, one), (second, two)] = <[_; 2]>::try_from(run(&trio, &alice, [[0, 1], [1, 0]]))
        .unwrap_or_else(|_| panic!("two requests"));
    for (row, own, other, output) in
        [(&ROWS[0], &first, &second, one), (&ROWS[1], &second, &first, two)]
    {
        // what the answer would be if carol's keys were bob's: she took the other request's mask
        let foreign = subtracted(&other.mask, &own.mask);
        let errors = errors(row, &foreign, &lambda, &output);
        assert!(errors.iter().all(|e| (1 << 20..TRUNCATED - (1 << 20)).contains(e)), "{errors:?}");
    }
}
