//! The health port: probes, metrics and the status that the operator reads. Nothing secret.

use std::fmt::Write;
use std::sync::atomic::Ordering;
use std::sync::Arc;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{HeaderValue, CONTENT_TYPE};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::{json, Map, Value};

use super::http::{json, Reply};
use crate::net::mesh::Readiness;
use crate::player::Player;

/// Answers one request of the health port.
pub fn answer(player: &Arc<Player>, request: &Request<Incoming>) -> Reply {
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/healthz" | "/readyz") => json(StatusCode::OK, &json!({"ok": true})),
        (&Method::GET, "/status") => json(StatusCode::OK, &status(player)),
        (&Method::GET, "/metrics") => {
            let mut reply = Response::new(Full::new(Bytes::from(metrics(player))));
            reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4"));
            reply
        }
        _ => json(
            StatusCode::NOT_FOUND,
            &json!({"error": "there are /healthz, /readyz, /status and /metrics", "code": "not_found", "retryable": false}),
        ),
    }
}

fn counters(player: &Player) -> [(&'static str, u64); 7] {
    let c = &player.counters;
    [
        ("batches", &c.batches),
        ("rows", &c.rows),
        ("requests", &c.requests),
        ("errors", &c.errors),
        ("bytes_sent", &c.bytes_sent),
        ("bytes_received", &c.bytes_received),
        ("hops", &c.hops),
    ]
    .map(|(name, counter)| (name, counter.load(Ordering::Relaxed)))
}

fn status(player: &Player) -> Value {
    let readiness = player.mesh.readiness();
    let (reason, message) = player.describe(&readiness);
    let shares = player.mesh.shares();
    let linked = player.role.peers().into_iter().zip(player.mesh.linked());
    let peers: Map<String, Value> = linked.map(|(role, linked)| (player.cluster.name(role).to_owned(), json!({"linked": linked}))).collect();
    let counters: Map<String, Value> = counters(player).into_iter().map(|(name, n)| (name.to_owned(), n.into())).collect();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "player": player.name,
        "role": player.role,
        "model": player.model(),
        "namespace": player.tls.identity.namespace,
        "protocol": "ASTRA",
        "digest": shares.as_ref().map(|s| s.digest()),
        "generation": shares.as_ref().map(|s| s.generation()),
        "epoch": player.mesh.epoch().map(|e| hex::encode(e.id)),
        "ready": readiness == Readiness::Ready,
        "reason": reason,
        "message": message,
        "peers": peers,
        "counters": counters,
    })
}

fn metrics(player: &Player) -> String {
    let mut text = String::new();
    for (name, value) in counters(player) {
        let (kind, suffix) = if name == "hops" { ("gauge", "last_batch_hops") } else { ("counter", name) };
        let total = if kind == "counter" { "_total" } else { "" };
        let _ = writeln!(text, "# TYPE securemodel_player_{suffix}{total} {kind}\nsecuremodel_player_{suffix}{total} {value}");
    }
    let ready = u8::from(player.mesh.readiness() == Readiness::Ready);
    let _ = writeln!(text, "# TYPE securemodel_player_ready gauge\nsecuremodel_player_ready {ready}");
    text
}
