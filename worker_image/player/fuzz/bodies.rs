//! What is fuzzed: one function an input format. The fuzz targets run these on what libFuzzer
//! finds, and tests/fuzz_seeds.rs on the corpus in every test run.
//!
//! A body panics where the code panics, and where an accepted input breaks what its parser
//! promises.

use std::collections::HashSet;
use std::sync::OnceLock;
use std::time::Duration;

use hyper::header::{HeaderName, HeaderValue, CONTENT_LENGTH};
use hyper::HeaderMap;
use securemodel_link::agreement::{Agreement, Event, Hello};
use securemodel_link::announce::{
    parse_announcement, parse_waiting, write_announcement, write_waiting, Entry, ENTRY,
};
use securemodel_link::epoch::{epoch_id_seen_by, EpochId, LinkSecret, RequestKeys, MAX_SKIPPED};
use securemodel_link::frame::{Decoder, FrameError, Header, Kind, MAX_PAYLOAD};
use securemodel_link::waker::Waker;
use securemodel_mpc::program::Program;
use securemodel_mpc::role::Role;
use securemodel_mpc::share_file::Shares;
use securemodel_player::batch::request::{Inference, MaskedShare};
use securemodel_player::batch::requests::{Next, Requests};
use securemodel_player::model::Loaded;
use securemodel_player::serve::inference;
use securemodel_player::serve::predict::{json_length, JSON_LENGTH};
use securemodel_player::serve::reply::declared;

const ALICE: &[u8] = include_bytes!("../../../contract/vectors/alice.safetensors");
const MAX_ROWS: usize = 8;
const EPOCH: EpochId = [1; 16];

fn loaded() -> &'static Loaded {
    static LOADED: OnceLock<Loaded> = OnceLock::new();
    LOADED.get_or_init(|| {
        Loaded::new(Shares::parse(ALICE).expect("the contract's share file"), MAX_ROWS)
    })
}

/// A prediction: a line with Content-Length, a line with Inference-Header-Content-Length, then the
/// body.
pub fn http(data: &[u8]) {
    let mut parts = data.splitn(3, |byte| *byte == b'\n');
    let (Some(whole), Some(json), Some(body)) = (parts.next(), parts.next(), parts.next()) else {
        return;
    };
    let mut headers = HeaderMap::new();
    for (name, value) in [(CONTENT_LENGTH, whole), (HeaderName::from_static(JSON_LENGTH), json)] {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.insert(name, value);
        }
    }
    let limit = inference::body_limit(loaded());
    if let Ok(length) = declared(&headers, limit) {
        assert!(length.unwrap_or(0) <= limit);
    }
    let Ok(length) = json_length(&headers) else { return };
    if let Ok(request) = inference::parse(body, length, loaded()) {
        assert!((1..=MAX_ROWS).contains(&request.rows));
        assert_eq!(request.share.len(), request.rows * loaded().input);
        assert_eq!(bytemuck::cast_slice::<u64, u8>(&request.share), &body[length..]);
    }
}

/// What a peer sends: a byte that says how it is cut, then frames.
pub fn frames(data: &[u8]) {
    let Some((cut, bytes)) = data.split_first() else { return };
    let whole = decode(bytes, bytes.len().max(1));
    let pieces = decode(bytes, usize::from(*cut) + 1);
    assert_eq!(whole, pieces, "however the bytes are cut, the frames are the same");

    let mut again = Vec::new();
    for (header, payload) in &whole.0 {
        assert!(header.kind != Kind::Data || payload.len() <= DATA);
        again.extend_from_slice(&header.encode(payload.len()));
        again.extend_from_slice(payload);
    }
    assert_eq!(again, bytes[..again.len()], "a frame is written as it was read");
}

/// The longest DATA payload.
const DATA: usize = 1 << 12;

/// The frames in these bytes, as they come in parts of one size, and what ended them.
fn decode(bytes: &[u8], size: usize) -> (Vec<(Header, Vec<u8>)>, Option<FrameError>) {
    let (mut decoder, mut frames) = (Decoder::default(), Vec::new());
    for mut part in bytes.chunks(size) {
        loop {
            match decoder.next(&mut part, DATA) {
                Ok(Some(frame)) => {
                    frames.push((frame.header, frame.payload.to_vec()));
                    // the next frame finds it dirty
                    decoder.pool.give(frame.payload.into_buffer());
                }
                Ok(None) => break,
                Err(error) => return (frames, Some(error)),
            }
        }
    }
    (frames, None)
}

/// What the test knows of a link: its secret, and the epochs that its peer has confirmed.
type Known = Option<(LinkSecret, Vec<EpochId>)>;

/// Events of bob's two links: a byte that says what happens and on which side, then what that
/// takes.
pub fn agreement(data: &[u8]) {
    const ROLE: Role = Role::Bob;
    let mut bytes = data.iter().copied();
    let mut next = || bytes.next();
    let secret = |byte: u8| LinkSecret([byte; 32]);
    let mut agreement = Agreement::new(ROLE);
    let mut links: [Known; 2] = [None, None];
    while let Some(what) = next() {
        let side = usize::from(what >> 7);
        let peer = ROLE.peers()[side];
        let (kind, payload) = match what & 7 {
            0 => {
                let secret = secret(next().unwrap_or(0));
                if agreement.up(side, secret.clone()) == Event::Ended {
                    links = [None, None];
                }
                links[side] = Some((secret, vec![]));
                continue;
            }
            1 => {
                links[side] = None;
                if agreement.down(side) == Event::Ended {
                    links = [None, None];
                }
                continue;
            }
            2 => (
                Kind::Hello,
                serde_json::to_vec(&Hello {
                    generation: next().map(|byte| byte.to_string()),
                    ..Hello::without_shares(peer)
                })
                .expect("JSON"),
            ),
            3 => (Kind::Epoch, secret(next().unwrap_or(0)).id().to_vec()),
            4 => {
                let [Some((first, _)), Some((second, _))] = &links else { continue };
                let epoch = epoch_id_seen_by(
                    ROLE,
                    [&first.id(), &second.id()],
                    &secret(next().unwrap_or(0)).id(),
                );
                let Some((own, confirmed)) = &mut links[side] else { continue };
                let payload = own.confirmation(&epoch, peer).to_vec();
                confirmed.push(epoch);
                (Kind::Confirm, payload)
            }
            kind => {
                let length = next().unwrap_or(0).into();
                let payload: Vec<u8> = std::iter::from_fn(&mut next).take(length).collect();
                ([Kind::Hello, Kind::Confirm, Kind::Waiting][usize::from(kind) - 5], payload)
            }
        };
        let event = agreement.receive(side, kind, &payload).unwrap_or_else(|_| {
            links[side] = None;
            agreement.down(side)
        });
        if event == Event::Ended {
            links = [None, None];
        }
        check_advance(&mut agreement, &links);
    }
}

fn check_advance(agreement: &mut Agreement, links: &[Known; 2]) {
    for message in agreement.advance() {
        assert!(links[message.side].is_some(), "nothing goes to a link that is gone");
        assert_eq!(message.payload.len(), if message.kind == Kind::Epoch { 16 } else { 32 });
    }
    assert!(agreement.advance().is_empty(), "the agreement went as far as it goes");

    if let Some(id) = agreement.agreed() {
        let proved = |link: &Known| link.as_ref().is_some_and(|(_, epochs)| epochs.contains(&id));
        assert!(links.iter().all(proved), "both peers have confirmed the epoch");
        let greeted = (0..2).all(|side| agreement.hello_of(side).is_some());
        assert!(greeted, "both peers have said what they are");
    }
}

/// What alice and bob say of requests: once read as an announcement, and once as WAITING frames.
/// Before each of those stands a byte: how many words follow the entry, and whether alice has her
/// own share before (128), after (64), or never.
pub fn lists(data: &[u8]) {
    if let Ok((rows, entries)) = parse_announcement(data, MAX_ROWS) {
        assert_eq!(write_announcement(rows, entries.iter().copied()), data);
        check_keys(&entries);
    }

    let requests = Requests::new(Role::Alice, Waker::new().expect("an eventfd"));
    requests.open(EPOCH);
    let _answers = hear_waiting(&requests, data);
    check_batches(&requests);
}

/// carol's keys of announced requests.
fn check_keys(entries: &[Entry]) {
    /// Up to here the keys are made: beyond what carol keeps, and quick.
    const FAR: u64 = 2 * MAX_SKIPPED as u64;
    let mut keys = RequestKeys::new(&EPOCH, &LinkSecret([1; 32]));
    let furthest = entries.iter().map(|entry| entry.number).max().unwrap_or(0);
    let reached = keys.reach(entries.iter().map(|entry| entry.number));
    assert!(reached.is_err() || furthest <= 1 << 20, "a bound on carol's work");

    let mut seen = HashSet::new();
    for entry in entries.iter().filter(|_| furthest < FAR) {
        if let Ok(key) = keys.find(entry.number, &[2; 32], &[3; 16]) {
            assert!(seen.insert(*key), "a key is given once");
        }
    }
}

/// Gives alice what bob says, and her own shares; the answers have to be kept, or nobody waits.
fn hear_waiting(requests: &Requests, mut rest: &[u8]) -> Vec<impl Sized> {
    let mut answers = vec![];
    while let Some((what, frames)) = rest.split_first() {
        let length = frames.len().min(ENTRY + 8 * usize::from(what & 15));
        let (frame, others) = frames.split_at(length);
        rest = others;
        let Ok((entry, share)) = parse_waiting(frame) else { continue };
        assert_eq!(write_waiting(&entry, &share), frame);

        let own = || Inference { id: entry.id, rows: entry.rows, share: vec![0; entry.rows] };
        let sensible = (1..=MAX_ROWS).contains(&entry.rows);
        if what & 128 > 0 && sensible {
            answers.push(requests.add(&EPOCH, 0, own()));
        }
        let masked = MaskedShare { number: entry.number, rows: entry.rows, share };
        let _ = requests.peer_sent(entry.id, masked);
        if what & 64 > 0 && sensible {
            answers.push(requests.add(&EPOCH, 1, own()));
        }
    }
    answers
}

fn check_batches(requests: &Requests) {
    let mut taken = HashSet::new();
    while let Next::Batch(batch) = requests.next_batch(&EPOCH, MAX_ROWS, Duration::ZERO) {
        assert!((1..=MAX_ROWS).contains(&batch.iter().map(|(request, _)| request.rows).sum()));
        for (request, masked) in batch {
            let (own, bobs) =
                ((request.rows, request.share.len()), (masked.rows, masked.share.len()));
            assert_eq!(own, bobs, "the two parts of a request fit");
            assert!(taken.insert(request.id), "a request is in one batch");
        }
    }
}

/// A program.
pub fn program(data: &[u8]) {
    if let Ok(program) = Program::parse(data) {
        check(&program);
    }
}

fn check(program: &Program) {
    assert!((1..1 << 31).contains(&program.input_bound()));
    let range = [program.input_low(), program.input_high()];
    assert!(range[0] < range[1]);
    assert_eq!(range.map(i64::unsigned_abs).into_iter().max(), Some(program.input_bound()));
    let labels = program.public().labels.len();
    assert!(labels == 0 || program.output_shape().last() == Some(&labels));
    for (at, (shape, operands)) in program.instructions().enumerate() {
        assert!((1..=1 << 28).contains(&shape.iter().product::<usize>()));
        assert!(operands.iter().all(|operand| *operand < at));
    }
}

/// A share file.
pub fn shares(data: &[u8]) {
    let Ok(shares) = Shares::parse(data) else { return };
    check(&shares.program);
    let loaded = Loaded::new(shares, 1 << 16);
    assert!((1..=1 << 16).contains(&loaded.max_rows) && loaded.max_message <= MAX_PAYLOAD);
    assert!(inference::body_limit(&loaded) > loaded.max_rows * loaded.input);
    assert!(inference::metadata("model", Role::Alice, &loaded).is_object());
}
