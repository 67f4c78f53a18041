//! What every answer over HTTP has in common.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{HeaderValue, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use hyper::{HeaderMap, Response, StatusCode};
use serde_json::{json, Value};

use super::error::row;
use crate::batch::refusal::{Code, Refusal};
use crate::player::Player;

pub type Reply = Response<Full<Bytes>>;

pub fn json(status: StatusCode, value: &Value) -> Reply {
    let mut reply = Response::new(Full::new(Bytes::from(value.to_string())));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    reply
}

/// A refusal in the form of docs/wire.md.
pub fn error(refusal: &Refusal) -> Reply {
    let (status, code, retryable) = row(refusal.code);
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut reply =
        json(status, &json!({"error": refusal.message, "code": code, "retryable": retryable}));
    if refusal.code == Code::Overloaded {
        reply.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    reply
}

pub fn not_ready(player: &Player) -> Refusal {
    let message = if player.is_stopping() {
        "this player is stopping".into()
    } else {
        player.describe(&player.mesh.readiness()).1
    };
    Refusal::new(Code::NotReady, format!("not ready: {message}"))
}

pub fn too_large(limit: usize) -> Refusal {
    Refusal::new(
        Code::TooLarge,
        format!("the body is larger than {limit} bytes; send fewer rows a request"),
    )
}

/// The Content-Length, if there is one; an error if it exceeds the limit.
pub fn declared(headers: &HeaderMap, limit: usize) -> Result<Option<usize>, Refusal> {
    let length = headers
        .get(CONTENT_LENGTH)
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.parse::<usize>().ok());
    if length.is_some_and(|length| length > limit) {
        return Err(too_large(limit));
    }
    Ok(length)
}
