//! `POST .../infer`: a client's share of some rows, until the batch that has it is done.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{HeaderValue, CONTENT_TYPE};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Response};
use tokio::sync::Semaphore;
use tokio::time::{timeout, timeout_at, Instant};

use super::inference;
use super::reply::{declared, not_ready, too_large, Reply};
use crate::batch::queue::ClientId;
use crate::batch::refusal::{Code, Refusal};
use crate::batch::COUNTERPART;
use crate::metrics::Counters;
use crate::player::Player;
use securemodel_mpc::role::Role;

pub const JSON_LENGTH: &str = "inference-header-content-length";
/// The whole body of a request has to come within this time, and the answer within the next one.
const BODY: Duration = Duration::from_secs(30);
const TOTAL: Duration = Duration::from_secs(10);
/// Bodies held at once, in KiB.
const BUDGET_KIB: usize = 512 << 10;

/// Answers predictions.
pub struct Predictions {
    player: Arc<Player>,
    budget: Semaphore,
}

impl Predictions {
    pub fn new(player: Arc<Player>) -> Predictions {
        Predictions { player, budget: Semaphore::new(BUDGET_KIB) }
    }

    pub async fn infer(
        &self,
        client: ClientId,
        head: &Parts,
        body: &mut Incoming,
    ) -> Result<Reply, Refusal> {
        let player = &self.player;
        Counters::add(&player.counters.requests, 1);
        let serving = player.mesh.serving(Duration::ZERO).filter(|_| !player.is_stopping());
        let (epoch, loaded) = serving.ok_or_else(|| not_ready(player))?;
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
                    let why = format!(
                        "the batch did not end within {TOTAL:?}; \
                         send the request again with fresh shares"
                    );
                    Refusal::new(Code::PeerStalled, why)
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
            let why = format!(
                "no batch had room for this request within {COUNTERPART:?}; try again in a second"
            );
            return Refusal::new(Code::Overloaded, why);
        }
        let (alice, bob) =
            (self.player.cluster.name(Role::Alice), self.player.cluster.name(Role::Bob));
        let why = match self.player.role {
            Role::Alice => {
                format!("{bob} did not get its share of this request within {COUNTERPART:?}")
            }
            // he is not told what alice has
            _ => format!(
                "{alice} did not begin with this request within {COUNTERPART:?}: \
                 it did not get its share, or something holds it up"
            ),
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
