//! Many clients at once, each asks for one row again and again; every answer is checked.

use std::collections::BTreeMap;
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use crate::client::{self, Players};
use crate::error::Error;
use crate::samples::{self, Samples};
use crate::times::{cpu_ms, quantile};

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    players: client::Args,
    #[command(flatten)]
    samples: samples::Args,
    #[arg(long, default_value_t = 64)]
    clients: usize,
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
}

/// A client that was refused waits this long, as Retry-After asks browsers to wait longer.
const AFTER_REFUSAL: Duration = Duration::from_millis(100);
const STACK: usize = 256 << 10;

#[derive(Default)]
struct Seen {
    times: Vec<Duration>,
    largest: f64,
    errors: BTreeMap<String, u64>,
}

pub fn run(args: &Args) -> Result<serde_json::Value, Error> {
    let samples = Arc::new(Samples::load(&args.samples)?);
    let players = Arc::new(Players::new(&args.players)?);
    let connected = Arc::new(Barrier::new(args.clients + 1));

    let clients: Vec<_> = (0..args.clients)
        .map(|number| {
            let (samples, players, connected, seconds) =
                (samples.clone(), players.clone(), connected.clone(), args.seconds);
            std::thread::Builder::new()
                .stack_size(STACK)
                .spawn(move || one(number, seconds, &samples, &players, &connected))
        })
        .collect::<Result<_, _>>()?;
    connected.wait();

    let (begin, cpu) = (Instant::now(), cpu_ms()?);
    let mut all = Seen::default();
    for client in clients {
        let seen = client.join().map_err(|_| Error::Answer("a client's thread ended".into()))?;
        all.times.extend(seen.times);
        all.largest = all.largest.max(seen.largest);
        seen.errors.into_iter().for_each(|(code, n)| *all.errors.entry(code).or_default() += n);
    }

    let took = begin.elapsed().as_secs_f64();
    Ok(serde_json::json!({
        "predictions": all.times.len(),
        "per_second": all.times.len() as f64 / took,
        "p50_ms": quantile(&mut all.times, 0.5),
        "p99_ms": quantile(&mut all.times, 0.99),
        "max_error": all.largest,
        "errors": all.errors,
        "client_cpu_cores": (cpu_ms()? - cpu) / 1e3 / took,
    }))
}

fn one(
    number: usize,
    seconds: f64,
    samples: &Samples,
    players: &Players,
    connected: &Barrier,
) -> Seen {
    let mut seen = Seen::default();
    let mut client = players.connect();
    connected.wait();

    let end = Instant::now() + Duration::from_secs_f64(seconds);
    let mut row = number % samples.count;
    while Instant::now() < end {
        let begin = Instant::now();
        let outcome =
            client.as_mut().map_err(|e| Error::Answer(e.to_string())).and_then(|client| {
                let prediction = client.predict(1, &samples.row, samples.inputs(row, 1))?;
                Ok((begin.elapsed(), samples.check(row, &prediction.values)?))
            });

        match outcome {
            Ok((took, error)) => {
                seen.times.push(took);
                seen.largest = seen.largest.max(error);
            }
            Err(e) => {
                *seen.errors.entry(e.code().to_owned()).or_default() += 1;
                std::thread::sleep(AFTER_REFUSAL);
                if !matches!(e, Error::Refused { .. }) {
                    client = players.connect();
                }
            }
        }
        row = (row + 1) % samples.count;
    }
    seen
}
