//! `POST .../infer`: a client's share of some rows, until the batch that has it is done.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{HeaderValue, CONTENT_TYPE};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Response};
use tokio::sync::{oneshot, Semaphore, SemaphorePermit};
use tokio::time::{timeout, timeout_at, Instant};

use super::inference;
use super::reply::{declared, not_ready, too_large, Reply};
use crate::batch::queue::ClientId;
use crate::batch::refusal::{Code, Refusal};
use crate::batch::request::{self, Answer, Inference};
use crate::batch::COUNTERPART;
use crate::metrics::Counters;
use crate::model::Loaded;
use crate::patience::Patience;
use crate::player::Player;
use securemodel_link::announce::RequestId;
use securemodel_mpc::role::Role;

pub const JSON_LENGTH: &str = "inference-header-content-length";
/// Time for the whole body of a request to arrive.
const BODY: Duration = Duration::from_secs(30);
/// How often a request that waits for longer than COUNTERPART is looked at.
const LOOK: Duration = Duration::from_millis(500);
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

    /// Takes in the client's share, waits for the batch that it goes into, and replies with its
    /// share of the output.
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

        let json = json_length(&head.headers)?;
        let limit = inference::body_limit(&loaded);
        let _held_until_the_reply =
            self.reserve(declared(&head.headers, limit)?.unwrap_or(limit))?;
        let inference = self.receive(body, json, limit, &loaded).await?;

        let (id, rows) = (inference.id, inference.rows);
        let added = player.requests.add(&epoch.id, client, inference);
        // the epoch may have ended while the body arrived
        let answer = added.map_err(|refused| epoch.ended.get().map_or(refused, Refusal::from))?;
        let answer = self.wait(&id, answer, loaded.patience).await?;

        Ok(self.reply(&answer, &id, rows))
    }

    /// Sets memory aside for a body of so many bytes.
    fn reserve(&self, bytes: usize) -> Result<SemaphorePermit<'_>, Refusal> {
        let kib = bytes.div_ceil(1 << 10).min(BUDGET_KIB);
        self.budget.try_acquire_many(kib as u32).map_err(|_| {
            let why = format!(
                "request bodies fill the {} MiB set aside for them; try again in a second",
                BUDGET_KIB >> 10
            );
            Refusal::new(Code::Overloaded, why)
        })
    }

    /// `json`: bytes of JSON at the start of the body.
    async fn receive(
        &self,
        body: &mut Incoming,
        json: usize,
        limit: usize,
        loaded: &Loaded,
    ) -> Result<Inference, Refusal> {
        let body = read(body, limit).await?;
        self.player.counters.traffic.add_received(body.len());
        inference::parse(&body, json, loaded)
    }

    /// The batch's answer to this request.
    async fn wait(
        &self,
        id: &RequestId,
        mut answer: oneshot::Receiver<request::Outcome>,
        patience: Patience,
    ) -> Result<Answer, Refusal> {
        let player = &*self.player;
        let begin = Instant::now();
        // if the client leaves, hyper drops this future, and the request with it
        let _withdraw = Withdraw { player, id };

        let mut answered = timeout(COUNTERPART, &mut answer).await;
        while answered.is_err() && begin.elapsed() < patience.batch && player.requests.has_hope(id)
        {
            answered = timeout(LOOK, &mut answer).await;
        }
        let answered = match answered {
            Ok(answered) => answered,
            Err(_) => match player.requests.withdraw(id) {
                Some(counterpart) => {
                    return Err(self.in_no_batch(counterpart, begin.elapsed()));
                }
                None => timeout_at(begin + patience.answer(), answer)
                    .await
                    .map_err(|_| unfinished(patience))?,
            },
        };
        answered.map_err(|_| dropped())?
    }

    fn reply(&self, answer: &Answer, id: &RequestId, rows: usize) -> Reply {
        let (body, json) = inference::encode(answer, id, rows, self.player.model());
        self.player.counters.traffic.add_sent(body.len());

        let mut reply = Response::new(Full::new(Bytes::from(body)));
        let headers = reply.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        headers.insert(JSON_LENGTH, HeaderValue::from(json));
        reply
    }

    /// No batch took the request in time. `counterpart`: whether the other share of it is here.
    fn in_no_batch(&self, counterpart: bool, waited: Duration) -> Refusal {
        let waited = format!("{} s", waited.as_secs());
        if counterpart {
            let why = format!(
                "no batch had room for this request within {waited}; try again in a second"
            );
            return Refusal::new(Code::Overloaded, why);
        }

        let name = |role| self.player.cluster.name(role);
        let why = match self.player.role {
            Role::Alice => {
                format!("{} did not get its share of this request within {waited}", name(Role::Bob))
            }
            // he is not told what alice has
            _ => format!(
                "{} did not begin with this request within {waited}: \
                 it did not get its share, or something holds it up",
                name(Role::Alice)
            ),
        };
        Refusal::new(Code::ShareMissing, format!("{why}; send both shares again, drawn afresh"))
    }
}

fn unfinished(patience: Patience) -> Refusal {
    let why = format!(
        "the batch did not end within {:?}; send the request again with fresh shares",
        patience.answer()
    );
    Refusal::new(Code::PeerStalled, why)
}

fn dropped() -> Refusal {
    let why = "the request was dropped; send it again with fresh shares";
    Refusal::new(Code::EpochEnded, why)
}

/// Takes the request back when dropped, unless a batch has it.
struct Withdraw<'a> {
    player: &'a Player,
    id: &'a RequestId,
}

impl Drop for Withdraw<'_> {
    fn drop(&mut self) {
        self.player.requests.withdraw(self.id);
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
