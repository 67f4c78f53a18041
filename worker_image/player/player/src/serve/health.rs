//! The health port: probes, metrics and the status that the operator reads. Nothing secret.

use std::sync::Arc;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{HeaderValue, CONTENT_TYPE};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::{json, Map, Value};

use super::reply::{json, Reply};
use crate::metrics::{self, Snapshot};
use crate::player::Player;
use securemodel_link::mesh::Readiness;
use securemodel_link::offer::Offer;

/// Answers one request of the health port.
pub fn answer(player: &Arc<Player>, request: &Request<Incoming>) -> Reply {
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/healthz" | "/readyz") => json(StatusCode::OK, &json!({"ok": true})),
        (&Method::GET, "/status") => json(StatusCode::OK, &status(player)),
        (&Method::GET, "/metrics") => {
            let mut reply =
                Response::new(Full::new(Bytes::from(metrics::exposition(&snapshot(player)))));
            reply
                .headers_mut()
                .insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4"));
            reply
        }
        _ => json(
            StatusCode::NOT_FOUND,
            &json!({
                "error": "there are /healthz, /readyz, /status and /metrics",
                "code": "not_found",
                "retryable": false,
            }),
        ),
    }
}

fn status(player: &Player) -> Value {
    let readiness = player.mesh.readiness();
    let (reason, message) = player.describe(&readiness);
    let loaded = player.mesh.offer();

    let linked = player.role.peers().into_iter().zip(player.mesh.linked());
    let peers: Map<String, Value> = linked
        .map(|(role, linked)| (player.cluster.name(role).to_owned(), json!({"linked": linked})))
        .collect();

    let counters = metrics::status(&snapshot(player)).map(|(name, n)| (name.to_owned(), n.into()));
    let counters: Map<String, Value> = counters.collect();

    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "player": player.name,
        "role": player.role,
        "model": player.model(),
        "namespace": player.tls.identity.namespace,
        "protocol": loaded.as_ref().map(|loaded| loaded.shares.protocol),
        "digest": loaded.as_ref().map(|loaded| loaded.digest()),
        "generation": loaded.as_ref().map(|loaded| loaded.generation()),
        "epoch": player.mesh.epoch().map(|e| hex::encode(e.id)),
        "ready": readiness == Readiness::Ready,
        "reason": reason,
        "message": message,
        "peers": peers,
        "counters": counters,
    })
}

/// What the metrics are made of, now.
fn snapshot(player: &Player) -> Snapshot<'_> {
    let ready = player.mesh.readiness() == Readiness::Ready;
    Snapshot { counters: &player.counters, ready, waiting: player.requests.count_waiting() }
}
