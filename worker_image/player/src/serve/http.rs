//! HTTPS: predictions, metadata and readiness for clients; share delivery for the share step.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{HeaderValue, CONTENT_TYPE, RETRY_AFTER};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::json;
use tracing::{info, warn};

use super::error::{ApiError, Code};
use super::inference::{self, Inference};
use crate::net::mesh::Readiness;
use crate::net::tls::{Holder, Identity};
use crate::player::{Counters, Player};
use crate::shares::Shares;

pub type Reply = Response<Full<Bytes>>;

const JSON_LENGTH: &str = "inference-header-content-length";
const MAX_SHARES: usize = 2 << 30;
/// The whole body of a request has to come within this time.
const BODY: Duration = Duration::from_secs(30);
const SHARES_BODY: Duration = Duration::from_secs(300);
/// How long a share waits for its counterpart, and then for its batch.
const COUNTERPART: Duration = Duration::from_secs(5);
const BATCH: Duration = Duration::from_secs(10);

/// Answers one request. `holder`: whom the client's certificate names, if it has one.
pub async fn answer(player: Arc<Player>, holder: Option<Identity>, request: Request<Incoming>) -> Reply {
    let line = format!("{} {}", request.method(), request.uri().path());
    match route(&player, holder, request).await {
        Ok(reply) => reply,
        Err(e) => {
            Counters::add(&player.counters.errors, 1);
            let (status, code, _) = e.code.row();
            warn!(status, code, "{line}: {}", e.message);
            error(&e)
        }
    }
}

async fn route(player: &Arc<Player>, holder: Option<Identity>, request: Request<Incoming>) -> Result<Reply, ApiError> {
    let path = request.uri().path().to_owned();
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    match (request.method(), &parts[..]) {
        (&Method::GET, ["v2", "health", "live"]) => Ok(json(StatusCode::OK, &json!({"live": true}))),
        (&Method::GET, ["v2", "health", "ready"]) => ready(player),
        (&Method::PUT, ["v1", "shares"]) => shares(player, holder, request).await,
        (method, ["v2", "models", model, rest @ ..]) => {
            if !player.role.holds_data() || *model != player.model() {
                let why = format!("{} does not answer for a model {model:?}; ask alice and bob of {:?}", player.role, player.model());
                return Err(ApiError::new(Code::NotFound, why));
            }
            match (method, rest) {
                (&Method::GET, ["ready"]) => ready(player),
                (&Method::GET, []) => {
                    let shares = loaded(player)?;
                    Ok(json(StatusCode::OK, &inference::metadata(player.model(), player.role, &shares, player.max_rows)))
                }
                (&Method::POST, ["infer"]) => infer(player, request).await,
                _ => Err(unknown(method, &path)),
            }
        }
        (method, _) => Err(unknown(method, &path)),
    }
}

fn unknown(method: &Method, path: &str) -> ApiError {
    ApiError::new(Code::NotFound, format!("there is no {method} {path}; the API is the Open Inference Protocol under /v2"))
}

fn loaded(player: &Player) -> Result<Arc<Shares>, ApiError> {
    player.shares().ok_or_else(|| ApiError::new(Code::NotReady, "no shares have been delivered yet"))
}

fn ready(player: &Player) -> Result<Reply, ApiError> {
    check_ready(player).map(|()| json(StatusCode::OK, &json!({"ready": true})))
}

fn check_ready(player: &Player) -> Result<(), ApiError> {
    let (reason, message) = describe(player, &player.mesh.readiness());
    if reason == "Serving" {
        Ok(())
    } else {
        Err(ApiError::new(Code::NotReady, message))
    }
}

/// The reason and the message of `/status`.
pub fn describe(player: &Player, readiness: &Readiness) -> (&'static str, String) {
    let name = |role| player.cluster.name(role);
    match readiness {
        Readiness::Ready => ("Serving", "serving".into()),
        Readiness::NoShares => ("NoShares", "no shares have been delivered yet".into()),
        Readiness::PeersMissing(roles) => ("PeersMissing", format!("not linked with {}", roles.iter().map(|r| name(*r)).collect::<Vec<_>>().join(" and "))),
        Readiness::DigestMismatch(role) => ("DigestMismatch", format!("{} has another program, or none; share the model again", name(*role))),
        Readiness::GenerationMismatch(role) => ("GenerationMismatch", format!("{} has shares of another generation; share the model again", name(*role))),
    }
}

async fn infer(player: &Arc<Player>, request: Request<Incoming>) -> Result<Reply, ApiError> {
    Counters::add(&player.counters.requests, 1);
    check_ready(player)?;
    let shares = loaded(player)?;
    let length = request.headers().get(JSON_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok());
    let length: usize = length.ok_or_else(|| ApiError::new(Code::BadRequest, "the header Inference-Header-Content-Length is missing or not a number"))?;
    let body = read(request, inference::body_limit(&shares, player.max_rows), BODY).await?;
    Counters::add(&player.counters.bytes_received, body.len());
    let Inference { id, rows, share } = inference::parse(&body, length, &shares, player.max_rows)?;
    let mut answer = player.requests.add(id, rows, share)?;
    // if the client leaves, hyper drops this future, and the request with it
    let waiting = Withdraw { player, id };
    let reply = match tokio::time::timeout(COUNTERPART, &mut answer).await {
        Ok(reply) => reply,
        Err(_) if player.requests.withdraw(&id) => {
            let other = player.cluster.name(if player.role == crate::role::Role::Alice { crate::role::Role::Bob } else { crate::role::Role::Alice });
            return Err(ApiError::new(Code::ShareMissing, format!("{other} did not get its share of this request within {COUNTERPART:?}; send both shares again")));
        }
        Err(_) => tokio::time::timeout(BATCH, answer).await.map_err(|_| ApiError::new(Code::PeerStalled, "the batch did not end in time; send the request again"))?,
    };
    drop(waiting);
    let answer = reply.map_err(|_| ApiError::new(Code::EpochEnded, "the request was dropped; send it again"))??;
    let (body, length) = inference::encode(&answer, &id, rows, player.model(), &shares);
    Counters::add(&player.counters.bytes_sent, body.len());
    let mut reply = Response::new(Full::new(Bytes::from(body)));
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    reply.headers_mut().insert(JSON_LENGTH, HeaderValue::from(length));
    Ok(reply)
}

struct Withdraw<'a> {
    player: &'a Player,
    id: [u8; 16],
}

impl Drop for Withdraw<'_> {
    fn drop(&mut self) {
        self.player.requests.withdraw(&self.id);
    }
}

async fn shares(player: &Arc<Player>, holder: Option<Identity>, request: Request<Incoming>) -> Result<Reply, ApiError> {
    let expected = player.tls.identity.with(Holder::Share);
    if holder.as_ref() != Some(&expected) {
        let who = holder.map_or("a client without a certificate".into(), |h| h.to_string());
        return Err(ApiError::new(Code::Forbidden, format!("{who} may not deliver shares; that takes a certificate of {expected}")));
    }
    let body = read(request, MAX_SHARES, SHARES_BODY).await?;
    let keeper = player.clone();
    let kept = tokio::task::spawn_blocking(move || keeper.replace_shares(&body)).await;
    let shares = kept.map_err(|e| ApiError::new(Code::BadShares, e.to_string()))?.map_err(|e| ApiError::new(Code::BadShares, e.to_string()))?;
    info!("shares delivered");
    Ok(json(StatusCode::OK, &json!({"digest": hex::encode(shares.digest), "generation": hex::encode(shares.generation)})))
}

async fn read(request: Request<Incoming>, limit: usize, wait: Duration) -> Result<Bytes, ApiError> {
    let too_large = || ApiError::new(Code::TooLarge, format!("the body is larger than {limit} bytes; send fewer rows a request"));
    let declared = request.headers().get(hyper::header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse::<usize>().ok());
    if declared.is_some_and(|n| n > limit) {
        return Err(too_large());
    }
    let body = tokio::time::timeout(wait, Limited::new(request.into_body(), limit).collect()).await;
    match body {
        Err(_) => Err(ApiError::new(Code::BadRequest, format!("the body did not arrive within {wait:?}"))),
        Ok(Err(e)) if e.is::<http_body_util::LengthLimitError>() => Err(too_large()),
        Ok(Err(e)) => Err(ApiError::new(Code::BadRequest, format!("the body broke off: {e}"))),
        Ok(Ok(body)) => Ok(body.to_bytes()),
    }
}

pub fn json(status: StatusCode, value: &serde_json::Value) -> Reply {
    let mut reply = Response::new(Full::new(Bytes::from(value.to_string())));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    reply
}

fn error(e: &ApiError) -> Reply {
    let (status, code, retryable) = e.code.row();
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut reply = json(status, &json!({"error": e.message, "code": code, "retryable": retryable}));
    if e.code == Code::Overloaded {
        reply.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    reply
}
