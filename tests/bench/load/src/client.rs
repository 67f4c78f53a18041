//! A prediction: the input split into two shares, both players asked over kept connections, the two
//! output shares added.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::ClientConfig;
use serde::Deserialize;

use crate::error::Error;
use crate::http::{self, Response};
use crate::sharing;
use crate::tls::{self, Stream};

/// Where the players are, and whose certificates they must have.
#[derive(clap::Args, Clone)]
pub struct Args {
    #[arg(long)]
    alice: SocketAddr,
    #[arg(long)]
    bob: SocketAddr,
    /// The SecureModel's CA, PEM
    #[arg(long)]
    ca: PathBuf,
    #[arg(long, default_value = "digits")]
    model: String,
    #[arg(long, default_value = "default")]
    namespace: String,
}

#[derive(Deserialize)]
struct Answer {
    id: String,
    model_version: String,
    parameters: Parameters,
}

impl Answer {
    /// What both players say of the request and its batch.
    fn batch(&self) -> (&str, &str, &str, &str, u64) {
        let Parameters { digest, epoch, batch, .. } = &self.parameters;
        (&self.id, &self.model_version, digest, epoch, *batch)
    }
}

#[derive(Deserialize)]
struct Parameters {
    digest: String,
    epoch: String,
    batch: u64,
    hops: u64,
}

#[derive(Deserialize)]
struct Refusal {
    code: String,
    error: String,
}

pub struct Prediction {
    pub values: Vec<f64>,
    /// The longest chain of messages, client to client.
    pub hops: u64,
    /// Request and response bodies to and from both players.
    pub bytes_sent: usize,
    pub bytes_received: usize,
}

/// One client with a connection to each data player.
pub struct Client {
    path: String,
    players: [Stream; 2],
}

/// What clients are made from; shared by many.
pub struct Players {
    args: Args,
    config: Arc<ClientConfig>,
}

impl Players {
    pub fn new(args: &Args) -> Result<Players, Error> {
        Ok(Players { args: args.clone(), config: tls::config(&args.ca)? })
    }

    pub fn connect(&self) -> Result<Client, Error> {
        let Args { alice, bob, model, namespace, .. } = &self.args;
        let dial = |address: SocketAddr, role: &str| {
            tls::connect(
                address,
                &format!("securemodel://{namespace}/{model}/{role}"),
                &self.config,
            )
        };
        Ok(Client {
            path: format!("/v2/models/{model}/infer"),
            players: [dial(*alice, "alice")?, dial(*bob, "bob")?],
        })
    }
}

impl Client {
    /// One request with fresh shares. After an error other than `Refused` the connections are of no
    /// use any more.
    pub fn predict(
        &mut self,
        rows: usize,
        row: &[usize],
        values: &[f64],
    ) -> Result<Prediction, Error> {
        let shares = sharing::split(values)?;
        let id = draw_id()?;
        let shape: Vec<usize> = [rows].iter().chain(row).copied().collect();
        let json = request(&id, &shape, shares[0].len());

        // both requests are on their way before either answer is waited for: the players need both
        // shares to begin
        for (player, share) in self.players.iter_mut().zip(&shares) {
            http::send(player, "POST", &self.path, json.len(), &[json.as_bytes(), share])?;
        }
        let [alice, bob] = &mut self.players;
        // both are read, even if one refused, so that the connections stay usable
        let answers = [http::receive(alice)?, http::receive(bob)?];

        let (values, hops) = combine(&id, &answers)?;
        Ok(Prediction {
            values,
            hops,
            bytes_sent: 2 * (json.len() + shares[0].len()),
            bytes_received: answers.iter().map(|answer| answer.body.len()).sum(),
        })
    }
}

fn draw_id() -> Result<String, Error> {
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(|e| Error::Answer(format!("no randomness: {e}")))?;
    Ok(hex::encode(id))
}

/// The JSON part of a request.
fn request(id: &str, shape: &[usize], bytes: usize) -> String {
    serde_json::json!({
        "id": id,
        "inputs": [{
            "name": "input",
            "datatype": "UINT64",
            "shape": shape,
            "parameters": {"binary_data_size": bytes},
        }],
        "outputs": [{"name": "output", "parameters": {"binary_data": true}}],
    })
    .to_string()
}

/// The values and the hops of two answers that belong together.
fn combine(id: &str, answers: &[Response; 2]) -> Result<(Vec<f64>, u64), Error> {
    let [alice, bob] = [read(&answers[0])?, read(&answers[1])?];
    if alice.id != id || alice.batch() != bob.batch() {
        return Err(Error::Answer("the players' answers do not belong together".into()));
    }

    let [first, second] = answers.each_ref().map(|answer| &answer.body[answer.json..]);
    if first.len() != second.len() || first.is_empty() {
        return Err(Error::Answer("the players' answers have different shapes".into()));
    }
    let hops = alice.parameters.hops.max(bob.parameters.hops);
    Ok((sharing::reconstruct(first, second), hops))
}

fn read(response: &Response) -> Result<Answer, Error> {
    let json = &response.body[..response.json];
    let unreadable = |e: serde_json::Error| Error::Answer(format!("HTTP {}: {e}", response.status));
    if response.status >= 400 {
        let Refusal { code, error } = serde_json::from_slice(json).map_err(unreadable)?;
        return Err(Error::Refused { code, message: error });
    }
    serde_json::from_slice(json).map_err(unreadable)
}
