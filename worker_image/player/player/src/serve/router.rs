//! HTTPS: predictions, metadata and readiness for clients; share delivery for the share step.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{HeaderValue, CONTENT_TYPE};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::time::{timeout, timeout_at, Instant};
use tracing::{debug, warn};

use super::deliver;
use super::error::row;
use super::inference;
use super::reply::{declared, error, json, too_large, Reply};
use crate::batch::queue::ClientId;
use crate::batch::refusal::{Code, Refusal};
use crate::batch::COUNTERPART;
use crate::metrics::Counters;
use crate::player::Player;
use securemodel_link::mesh::Readiness;
use securemodel_link::tls::Identity;
use securemodel_mpc::role::Role;

pub const JSON_LENGTH: &str = "inference-header-content-length";
/// The whole body of a request has to come within this time, and the answer within the next one.
const BODY: Duration = Duration::from_secs(30);
const TOTAL: Duration = Duration::from_secs(10);
/// Bodies held at once, in KiB.
const BUDGET_KIB: usize = 512 << 10;
/// What is read of a refused body, so that the client gets to read the answer.
const DRAIN_BYTES: usize = 8 << 20;
const DRAIN: Duration = Duration::from_secs(2);

/// Answers HTTPS requests.
pub struct Api {
    player: Arc<Player>,
    budget: Semaphore,
    deliveries: Arc<tokio::sync::Mutex<()>>,
}

impl Api {
    pub fn new(player: Arc<Player>) -> Api {
        Api { player, budget: Semaphore::new(BUDGET_KIB), deliveries: Arc::default() }
    }

    /// Answers one request of connection number `client`. `holder`: whom the client's certificate
    /// names, if it has one.
    pub async fn answer(
        &self,
        client: ClientId,
        holder: Option<&Identity>,
        request: Request<Incoming>,
    ) -> Reply {
        let _answering = self.player.begin_answer();
        let (head, mut body) = request.into_parts();
        let refused = match self.route(client, holder, &head, &mut body).await {
            Ok(reply) => return reply,
            Err(refused) => refused,
        };
        let (status, code, _) = row(refused.code);
        let line = format!("{} {}", head.method, head.uri.path());
        if head.method == Method::GET {
            debug!(status, code, "{line}: {}", refused.message);
        } else {
            Counters::add(&self.player.counters.errors, 1);
            Counters::add(
                &self.player.counters.rejected,
                usize::from(refused.code == Code::Overloaded),
            );
            warn!(status, code, "{line}: {}", refused.message);
        }
        let _ = timeout(DRAIN, Limited::new(&mut body, DRAIN_BYTES).collect()).await; // whatever it was, it was refused
        error(&refused)
    }

    async fn route(
        &self,
        client: ClientId,
        holder: Option<&Identity>,
        head: &Parts,
        body: &mut Incoming,
    ) -> Result<Reply, Refusal> {
        let player = &self.player;
        let path = head.uri.path();
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        match (&head.method, &parts[..]) {
            (&Method::GET, ["v2", "health", "live"]) => {
                Ok(json(StatusCode::OK, &json!({"live": true})))
            }
            (&Method::GET, ["v2", "health", "ready"]) => self.ready(),
            (&Method::PUT, ["v1", "shares"]) => {
                deliver::deliver(player, &self.deliveries, holder, &head.headers, body).await
            }
            (method, ["v2", "models", model, rest @ ..]) => {
                if !player.role.holds_data() || *model != player.model() {
                    let why = format!(
                        "{} does not answer for a model {model:?}; alice and bob answer for {:?}",
                        player.role,
                        player.model()
                    );
                    return Err(Refusal::new(Code::NotFound, why));
                }
                match (method, rest) {
                    (&Method::GET, ["ready"]) => self.ready(),
                    (&Method::GET, []) => {
                        let loaded = player.mesh.offer().ok_or_else(|| self.not_ready())?;
                        Ok(json(
                            StatusCode::OK,
                            &inference::metadata(player.model(), player.role, &loaded),
                        ))
                    }
                    (&Method::POST, ["infer"]) => self.infer(client, head, body).await,
                    _ => Err(unknown(method, path)),
                }
            }
            (method, _) => Err(unknown(method, path)),
        }
    }

    fn ready(&self) -> Result<Reply, Refusal> {
        if self.player.mesh.readiness() == Readiness::Ready && !self.player.is_stopping() {
            Ok(json(StatusCode::OK, &json!({"ready": true})))
        } else {
            Err(self.not_ready())
        }
    }

    fn not_ready(&self) -> Refusal {
        let player = &self.player;
        let message = if player.is_stopping() {
            "this player is stopping".into()
        } else {
            player.describe(&player.mesh.readiness()).1
        };
        Refusal::new(Code::NotReady, format!("not ready: {message}"))
    }

    async fn infer(
        &self,
        client: ClientId,
        head: &Parts,
        body: &mut Incoming,
    ) -> Result<Reply, Refusal> {
        let player = &self.player;
        Counters::add(&player.counters.requests, 1);
        let serving = player.mesh.serving(Duration::ZERO).filter(|_| !player.is_stopping());
        let (epoch, loaded) = serving.ok_or_else(|| self.not_ready())?;
        let length = json_length(&head.headers)?;
        let limit = inference::body_limit(&loaded);
        let reserved =
            declared(&head.headers, limit)?.unwrap_or(limit).div_ceil(1 << 10).min(BUDGET_KIB);
        let _held = self.budget.try_acquire_many(reserved as u32).map_err(|_| {
            let why = format!(
                "request bodies fill the {} MiB set aside for them; try again in a second",
                BUDGET_KIB >> 10
            );
            Refusal::new(Code::Overloaded, why)
        })?;
        let body = read(body, limit).await?;
        player.counters.traffic.add_received(body.len());
        let inference = inference::parse(&body, length, &loaded)?;
        drop(body);
        let (id, rows, end) = (inference.id, inference.rows, Instant::now() + TOTAL);
        let added = player.requests.add(&epoch.id, client, inference);
        // the epoch may have ended while the body arrived
        let mut answer =
            added.map_err(|refused| epoch.ended.get().map_or(refused, Refusal::from))?;
        // if the client leaves, hyper drops this future, and the request with it
        let waiting = Withdraw { player, id };
        let reply = match timeout(COUNTERPART, &mut answer).await {
            Ok(reply) => reply,
            Err(_) => match player.requests.withdraw(&id) {
                Some(counterpart) => return Err(self.waited(counterpart)),
                None => timeout_at(end, answer).await.map_err(|_| {
                    Refusal::new(Code::PeerStalled, format!("the batch did not end within {TOTAL:?}; send the request again with fresh shares"))
                })?,
            },
        };
        drop(waiting);
        let answer = reply.map_err(|_| {
            Refusal::new(
                Code::EpochEnded,
                "the request was dropped; send it again with fresh shares",
            )
        })??;
        let (body, length) = inference::encode(&answer, &id, rows, player.model());
        player.counters.traffic.add_sent(body.len());
        let mut reply = Response::new(Full::new(Bytes::from(body)));
        reply
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        reply.headers_mut().insert(JSON_LENGTH, HeaderValue::from(length));
        Ok(reply)
    }

    /// No batch took the request in time.
    fn waited(&self, counterpart: bool) -> Refusal {
        if counterpart {
            return Refusal::new(Code::Overloaded, format!("no batch had room for this request within {COUNTERPART:?}; try again in a second"));
        }
        let (alice, bob) =
            (self.player.cluster.name(Role::Alice), self.player.cluster.name(Role::Bob));
        let why = match self.player.role {
            Role::Alice => format!("{bob} did not get its share of this request within {COUNTERPART:?}"),
            // he is not told what alice has
            _ => format!("{alice} did not begin with this request within {COUNTERPART:?}: it did not get its share, or something holds it up"),
        };
        Refusal::new(Code::ShareMissing, format!("{why}; send both shares again, drawn afresh"))
    }
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

fn unknown(method: &Method, path: &str) -> Refusal {
    Refusal::new(
        Code::NotFound,
        format!("there is no {method} {path}; the API is the Open Inference Protocol under /v2"),
    )
}

/// How much of the body is JSON.
pub fn json_length(headers: &HeaderMap) -> Result<usize, Refusal> {
    let length =
        headers.get(JSON_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok());
    length.ok_or_else(|| {
        Refusal::new(
            Code::BadRequest,
            "the header Inference-Header-Content-Length is missing or not a number",
        )
    })
}

async fn read(body: &mut Incoming, limit: usize) -> Result<Bytes, Refusal> {
    match timeout(BODY, Limited::new(body, limit).collect()).await {
        Err(_) => {
            Err(Refusal::new(Code::BadRequest, format!("the body did not arrive within {BODY:?}")))
        }
        Ok(Err(e)) if e.is::<http_body_util::LengthLimitError>() => Err(too_large(limit)),
        Ok(Err(e)) => Err(Refusal::new(Code::BadRequest, format!("the body broke off: {e}"))),
        Ok(Ok(body)) => Ok(body.to_bytes()),
    }
}
