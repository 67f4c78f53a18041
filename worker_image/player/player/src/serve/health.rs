//! The health port: probes, metrics and the status that the operator reads. Nothing secret.

use std::fmt::Write;
use std::sync::atomic::Ordering;
use std::sync::Arc;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{HeaderValue, CONTENT_TYPE};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::{json, Map, Value};

use super::reply::{json, Reply};
use crate::counters::Counters;
use crate::player::Player;
use securemodel_link::mesh::Readiness;
use securemodel_link::offer::Offer;

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

fn counters(player: &Player) -> [(&'static str, u64); 8] {
    let c = &player.counters;
    [
        ("batches", &c.batches),
        ("rows", &c.rows),
        ("requests", &c.requests),
        ("errors", &c.errors),
        ("rejected", &c.rejected),
        ("bytes_sent", &c.traffic.sent),
        ("bytes_received", &c.traffic.received),
        ("hops", &c.hops),
    ]
    .map(|(name, counter)| (name, counter.load(Ordering::Relaxed)))
}

fn status(player: &Player) -> Value {
    let readiness = player.mesh.readiness();
    let (reason, message) = player.describe(&readiness);
    let shares = player.mesh.offer();
    let linked = player.role.peers().into_iter().zip(player.mesh.linked());
    let peers: Map<String, Value> = linked.map(|(role, linked)| (player.cluster.name(role).to_owned(), json!({"linked": linked}))).collect();
    let mut counters: Map<String, Value> = counters(player).into_iter().map(|(name, n)| (name.to_owned(), n.into())).collect();
    counters.insert("waiting".into(), player.requests.waiting().into());
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "player": player.name,
        "role": player.role,
        "model": player.model(),
        "namespace": player.tls.identity.namespace,
        "protocol": shares.as_ref().map(|s| s.shares.protocol),
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
    let ready = u64::from(player.mesh.readiness() == Readiness::Ready);
    for (name, value) in [("ready", ready), ("waiting", player.requests.waiting() as u64)] {
        let _ = writeln!(text, "# TYPE securemodel_player_{name} gauge\nsecuremodel_player_{name} {value}");
    }
    batch_metrics(&player.counters, &mut text);
    text
}

fn batch_metrics(counters: &Counters, text: &mut String) {
    let seconds = counters.batch_micros.load(Ordering::Relaxed) as f64 / 1e6;
    let _ = writeln!(text, "# TYPE securemodel_player_batch_seconds_total counter\nsecuremodel_player_batch_seconds_total {seconds}");
    let _ = writeln!(text, "# TYPE securemodel_player_batch_rows histogram");
    let mut batches = 0;
    for (i, count) in counters.batch_rows.iter().enumerate() {
        batches += count.load(Ordering::Relaxed);
        let _ = writeln!(text, "securemodel_player_batch_rows_bucket{{le=\"{}\"}} {batches}", 1 << i);
    }
    let rows = counters.rows.load(Ordering::Relaxed);
    let _ = writeln!(
        text,
        "securemodel_player_batch_rows_bucket{{le=\"+Inf\"}} {batches}\nsecuremodel_player_batch_rows_sum {rows}\nsecuremodel_player_batch_rows_count {batches}"
    );
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn batch_sizes_are_a_cumulative_histogram() {
        let (counters, mut text) = (Counters::default(), String::new());
        [1, 3, 4, 200].into_iter().for_each(|rows| counters.batch(rows, Duration::from_millis(500), 9));
        batch_metrics(&counters, &mut text);
        for line in
            ["seconds_total 2", "rows_bucket{le=\"2\"} 1", "rows_bucket{le=\"4\"} 3", "rows_bucket{le=\"+Inf\"} 4", "rows_sum 208", "rows_count 4"]
        {
            assert!(text.contains(&format!("\nsecuremodel_player_batch_{line}\n")), "{line}: {text}");
        }
    }
}
