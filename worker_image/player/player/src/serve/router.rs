//! HTTPS: predictions, metadata and readiness for clients; share delivery for the share step.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::http::request::Parts;
use hyper::{Method, Request, StatusCode};
use serde_json::json;
use tokio::time::timeout;
use tracing::{debug, warn};

use super::deliver;
use super::error::row;
use super::inference;
use super::predict::Predictions;
use super::reply::{error, json, not_ready, Reply};
use crate::batch::queue::ClientId;
use crate::batch::refusal::{Code, Refusal};
use crate::metrics::Counters;
use crate::player::Player;
use securemodel_link::mesh::Readiness;
use securemodel_link::tls::Identity;

/// How much of a refused body is read, so that the client gets to see the answer.
const DRAIN_BYTES: usize = 8 << 20;
const DRAIN: Duration = Duration::from_secs(2);

/// Answers HTTPS requests.
pub struct Api {
    player: Arc<Player>,
    predictions: Predictions,
    deliveries: Arc<tokio::sync::Mutex<()>>,
}

impl Api {
    pub fn new(player: Arc<Player>) -> Api {
        Api { predictions: Predictions::new(player.clone()), player, deliveries: Arc::default() }
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

        self.note(&head, &refused);
        // whatever it was, it was refused
        let _ = timeout(DRAIN, Limited::new(&mut body, DRAIN_BYTES).collect()).await;
        error(&refused)
    }

    /// Logs a refusal, and counts it as an error unless it is of a GET: clients poll with those.
    fn note(&self, head: &Parts, refused: &Refusal) {
        let (status, code, _) = row(refused.code);
        let line = format!("{} {}: {}", head.method, head.uri.path(), refused.message);
        if head.method == Method::GET {
            return debug!(status, code, "{line}");
        }

        let counters = &self.player.counters;
        Counters::add(&counters.errors, 1);
        Counters::add(&counters.rejected, usize::from(refused.code == Code::Overloaded));
        warn!(status, code, "{line}");
    }

    async fn route(
        &self,
        client: ClientId,
        holder: Option<&Identity>,
        head: &Parts,
        body: &mut Incoming,
    ) -> Result<Reply, Refusal> {
        let (player, path) = (&self.player, head.uri.path());
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
                self.expect_model(model)?;
                match (method, rest) {
                    (&Method::GET, ["ready"]) => self.ready(),
                    (&Method::GET, []) => self.metadata(),
                    (&Method::POST, ["infer"]) => self.predictions.infer(client, head, body).await,
                    _ => Err(unknown(method, path)),
                }
            }
            (method, _) => Err(unknown(method, path)),
        }
    }

    /// Only players that hold data answer for a model, and only for theirs.
    fn expect_model(&self, model: &str) -> Result<(), Refusal> {
        let player = &self.player;
        if player.role.holds_data() && model == player.model() {
            return Ok(());
        }
        let why = format!(
            "{} does not answer for a model {model:?}; alice and bob answer for {:?}",
            player.role,
            player.model()
        );
        Err(Refusal::new(Code::NotFound, why))
    }

    fn metadata(&self) -> Result<Reply, Refusal> {
        let player = &self.player;
        let loaded = player.mesh.offer().ok_or_else(|| not_ready(player))?;
        Ok(json(StatusCode::OK, &inference::metadata(player.model(), player.role, &loaded)))
    }

    fn ready(&self) -> Result<Reply, Refusal> {
        if self.player.mesh.readiness() == Readiness::Ready && !self.player.is_stopping() {
            Ok(json(StatusCode::OK, &json!({"ready": true})))
        } else {
            Err(not_ready(&self.player))
        }
    }
}

fn unknown(method: &Method, path: &str) -> Refusal {
    Refusal::new(
        Code::NotFound,
        format!("there is no {method} {path}; the API is the Open Inference Protocol under /v2"),
    )
}
