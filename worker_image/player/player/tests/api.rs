//! The HTTP API's errors, each with its code, status and message; nothing else is disturbed by
//! them.

mod support;

use std::time::{Duration, Instant};

use securemodel_player::batch::MAX_WAITING;
use serde_json::{json, Value};
use support::{model, Response, Trio};

const ROWS: [[f64; 3]; 2] = [[1.0, -2.0, 0.5], [-7.25, 3.0, 0.0]];

fn assert_error(response: Option<Response>, status: u16, code: &str, retryable: bool, says: &str) {
    let response = response.expect("an answer");
    let json = response.json();
    assert_eq!(
        (response.status, json["code"].as_str(), json["retryable"].as_bool()),
        (status, Some(code), Some(retryable)),
        "{json}"
    );
    assert!(
        json["error"].as_str().is_some_and(|error| error.contains(says)),
        "{says:?} is not in {json}"
    );
    assert!(response.head.contains("content-type: application/json"));
}

/// A valid request with one thing changed.
fn request(key: &str, value: Value) -> Value {
    let mut input = json!({
        "name": "input",
        "datatype": "UINT64",
        "shape": [2, 3],
        "parameters": {"binary_data_size": 48},
    });
    let mut whole = json!({
        "id": model::fresh_id(),
        "outputs": [{"name": "output", "parameters": {"binary_data": true}}],
    });
    let place = if input.get(key).is_some() { &mut input } else { &mut whole };
    place[key] = value;
    if whole.get("inputs").is_none() {
        whole["inputs"] = json!([input]);
    }
    whole
}

#[test]
fn bad_requests_are_refused_one_by_one() {
    let trio = Trio::serving(1);
    let alice = trio.client(0);
    let [share, _] = model::share_input(&ROWS);
    let bad = |key: &str, value: Value, says: &str| {
        assert_error(
            alice.infer_json(&request(key, value), &share),
            400,
            "bad_request",
            false,
            says,
        )
    };
    bad("id", json!("short"), "id is not 32 lower-case hex digits");
    bad("id", json!("ABCDEF0123456789ABCDEF0123456789"), "id is not 32 lower-case hex digits");
    bad("name", json!("image"), r#"input "image", expected "input""#);
    bad("datatype", json!("FP32"), r#"datatype "FP32", expected UINT64"#);
    bad("inputs", json!([]), "0 inputs");
    bad("parameters", json!({"binary_data_size": 40}), "binary_data_size is 40");
    bad("shape", json!("many"), "the JSON part of the body");
    assert_error(
        alice.send("POST", "/v2/models/digits/infer", &[], b"{}"),
        400,
        "bad_request",
        false,
        "Inference-Header-Content-Length",
    );
    let beyond = [("Inference-Header-Content-Length", "100".to_owned())];
    assert_error(
        alice.send("POST", "/v2/models/digits/infer", &beyond, b"{}"),
        400,
        "bad_request",
        false,
        "the whole body has 2 bytes",
    );

    for shape in
        [json!([2, 4]), json!([0, 3]), json!([9, 3]), json!([-2, 3]), json!([3]), json!([])]
    {
        assert_error(
            alice.infer_json(&request("shape", shape), &share),
            400,
            "wrong_shape",
            false,
            "expected [B, 3] with B from 1 to 8",
        );
    }
    assert_error(
        alice.infer(&model::fresh_id(), &[2, 3], &vec![0; 70_000]),
        413,
        "too_large",
        false,
        "send fewer rows",
    );
    trio.assert_predicts(&ROWS);
}

#[test]
fn an_id_is_used_once_and_a_lone_share_does_not_wait_for_ever() {
    let trio = Trio::serving(1);
    let [share, _] = model::share_input(&ROWS);
    for i in [0, 1] {
        let (id, begin) = (model::fresh_id(), Instant::now());
        let (client, other) = (trio.client(i), trio.client(i));
        let (first, share) = (id.clone(), share.clone());
        let again = share.clone();
        let lone = std::thread::spawn(move || client.infer(&first, &[2, 3], &share));
        std::thread::sleep(Duration::from_millis(500));
        assert_error(other.infer(&id, &[2, 3], &again), 409, "duplicate_id", false, &id);
        trio.assert_predicts(&ROWS); // others are served meanwhile
        assert_error(
            lone.join().expect("answered"),
            504,
            "share_missing",
            true,
            ["bob", "alice"][i],
        );
        assert!((4..7).contains(&begin.elapsed().as_secs()), "{:?}", begin.elapsed());
    }
}

#[test]
fn shares_of_unequal_rows_fail_without_a_batch() {
    let trio = Trio::serving(1);
    let id = model::fresh_id();
    let (one, two) = (trio.client(1), id.clone());
    let bob = std::thread::spawn(move || one.infer(&two, &[1, 3], &[0; 24]));
    std::thread::sleep(Duration::from_millis(300));
    assert_error(
        trio.client(0).infer(&id, &[2, 3], &[0; 48]),
        400,
        "wrong_shape",
        false,
        "2 and 1 rows",
    );
    assert_error(bob.join().expect("answered"), 504, "share_missing", true, "alice");
    assert_eq!(trio.status(0).expect("status")["counters"]["batches"], 0);
}

#[test]
fn what_is_not_there_is_not_found() {
    let trio = Trio::serving(1);
    let alice = trio.client(0);
    for (method, path) in [
        ("GET", "/"),
        ("GET", "/v2/models/other"),
        ("POST", "/v2/models/digits"),
        ("DELETE", "/v1/shares"),
        ("GET", "/v2/models/digits/versions/1"),
    ] {
        assert_error(alice.send(method, path, &[], b""), 404, "not_found", false, "");
    }
    assert_error(
        trio.client(2).infer(&model::fresh_id(), &[1, 3], &[0; 24]),
        404,
        "not_found",
        false,
        "carol does not answer",
    );
    let head = alice.send("HEAD", "/nothing", &[], b"").expect("an answer");
    assert_eq!((head.status, head.body.len()), (404, 0));
}

#[test]
fn health_and_metadata_are_for_everybody() {
    let trio = Trio::serving(5);
    for i in 0..3 {
        for path in ["/v2/health/live", "/v2/health/ready"] {
            assert_eq!(trio.client(i).send("GET", path, &[], b"").expect("an answer").status, 200);
        }
        for path in ["/healthz", "/readyz"] {
            assert_eq!(support::get_plain(trio.health[i], path).expect("an answer").status, 200);
        }
    }
    assert_eq!(
        trio.client(1).send("GET", "/v2/models/digits/ready", &[], b"").expect("an answer").status,
        200
    );
    let metadata =
        trio.client(1).send("GET", "/v2/models/digits", &[], b"").expect("an answer").json();
    let generation = hex::encode([5; 16]);
    assert_eq!(metadata["versions"], json!([generation]));
    assert_eq!(
        metadata["inputs"],
        json!([{"name": "input", "datatype": "UINT64", "shape": [-1, 3]}])
    );
    assert_eq!(
        metadata["outputs"],
        json!([{"name": "output", "datatype": "UINT64", "shape": [-1, 2]}])
    );
    let parameters = &metadata["parameters"];
    assert_eq!(
        (&parameters["role"], &parameters["input_bound"], &parameters["max_rows"]),
        (&json!("bob"), &json!(6_553_600), &json!(8))
    );
    assert_eq!(
        (&parameters["input_low"], &parameters["input_high"], &parameters["answer_seconds"]),
        (&json!(-6_553_600), &json!(6_553_600), &json!(10))
    );
    assert_eq!(
        (&parameters["functions"], parameters.get("labels")),
        (&json!([]), None),
        "it says nothing more to clients"
    );
}

#[test]
fn clients_are_told_the_last_functions_the_labels_and_the_range_of_the_input() {
    let trio = Trio::start();
    let public = r#""public":{"functions":[{"axis":-1,"function":"softmax"}],
        "labels":["cat","dog"]},"version":1}"#;
    let program = model::PROGRAM
        .replace(r#""version":1}"#, public)
        .replace(r#""op":"input""#, r#""high":6553600,"low":0,"op":"input""#);
    trio.deliver_files(model::share_files_of(&program, "ASTRA", 1));
    for i in [0, 1] {
        let metadata = trio.client(i).send("GET", "/v2/models/digits", &[], b"");
        let parameters = &metadata.expect("an answer").json()["parameters"];
        assert_eq!(parameters["functions"], json!([{"axis": -1, "function": "softmax"}]));
        assert_eq!(parameters["labels"], json!(["cat", "dog"]));
        assert_eq!(
            (&parameters["input_low"], &parameters["input_high"]),
            (&json!(0), &json!(6_553_600))
        );
    }
    trio.wait_ready();
    trio.assert_predicts(&ROWS); // the players do not apply what they say
}

#[test]
fn only_the_share_step_delivers_and_only_what_fits() {
    let trio = Trio::start();
    let [alices, bobs, _] = model::share_files(1);
    trio.wait(0, "up", |_| true);
    let put = |holder: Option<&str>, file: &[u8]| {
        let client = holder.map_or_else(|| trio.client(0), |holder| trio.client_as(0, holder));
        client.send("PUT", "/v1/shares", &[], file)
    };
    assert_error(
        put(None, &alices),
        403,
        "forbidden",
        false,
        "a client without a certificate may not deliver shares",
    );
    assert_error(
        put(Some("bob"), &alices),
        403,
        "forbidden",
        false,
        "bob of default/digits may not deliver shares",
    );
    assert_error(put(Some("share"), b"nonsense"), 422, "bad_shares", false, "not a share file");
    assert_error(
        put(Some("share"), &bobs),
        422,
        "bad_shares",
        false,
        "this share file is bob's and this player is alice",
    );
    let tampered = String::from_utf8_lossy(&alices).find("\"SecureNN\"").map(|at| {
        let mut file = alices.clone();
        file[at + 1] = b'X';
        file
    });
    assert_error(
        put(Some("share"), &tampered.expect("found")),
        422,
        "bad_shares",
        false,
        "protocol",
    );
    assert_eq!(trio.status(0).expect("status")["digest"], Value::Null);
    assert!(
        std::fs::read_dir(trio.path("data-alice")).expect("folder").next().is_none(),
        "nothing is left behind"
    );
    assert_eq!(put(Some("share"), &alices).expect("an answer").status, 200);
    assert_error(put(Some("share"), &bobs), 422, "bad_shares", false, "bob's");
    assert_eq!(
        trio.status(0).expect("status")["generation"],
        hex::encode([1; 16]),
        "a refused file does not replace a good one"
    );
}

#[test]
fn a_full_queue_says_when_to_come_back() {
    let trio = Trio::serving(1);
    std::thread::scope(|scope| {
        for i in [0, 1] {
            let waiting: Vec<_> = (0..MAX_WAITING)
                .map(|_| {
                    let client = trio.client(i);
                    scope.spawn(move || client.infer(&model::fresh_id(), &[1, 3], &[0; 24]))
                })
                .collect();
            trio.wait(i, "full", |s| s["counters"]["waiting"] == MAX_WAITING);
            let response =
                trio.client(i).infer(&model::fresh_id(), &[1, 3], &[0; 24]).expect("an answer");
            assert!(response.head.contains("retry-after: 1"), "{}", response.head);
            assert_error(Some(response), 429, "overloaded", true, "try again in a second");
            for lone in waiting {
                assert_error(
                    lone.join().expect("answered"),
                    504,
                    "share_missing",
                    true,
                    "drawn afresh",
                );
            }
            let metrics = support::get_plain(trio.health[i], "/metrics").expect("metrics").text();
            assert!(
                metrics.contains("securemodel_player_rejected_total 1\n")
                    && metrics.contains("securemodel_player_waiting 0\n"),
                "{metrics}"
            );
            trio.assert_predicts(&ROWS);
        }
    });
}
