//! One client in a closed loop: from the plain input to the plain output, sharing and adding
//! included.

use std::time::Instant;

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
    /// Rows of each request
    #[arg(long, default_value_t = 1)]
    rows: usize,
    /// Requests that are not counted
    #[arg(long, default_value_t = 10)]
    warm_up: usize,
    #[arg(long, default_value_t = 100)]
    repeats: usize,
}

pub fn run(args: &Args) -> Result<serde_json::Value, Error> {
    let samples = Samples::load(&args.samples)?;
    if args.rows > samples.count {
        return Err(Error::Answer(format!(
            "{} rows wanted, the samples have {}",
            args.rows, samples.count
        )));
    }

    let mut client = Players::new(&args.players)?.connect()?;
    let (mut times, mut largest, mut hops, mut sent, mut received, mut cpu) =
        (Vec::new(), 0f64, 0, 0, 0, 0.0);
    for i in 0..args.warm_up + args.repeats {
        if i == args.warm_up {
            cpu = cpu_ms()?;
        }

        let first = i * args.rows % (samples.count - args.rows + 1);
        let begin = Instant::now();
        let prediction =
            client.predict(args.rows, &samples.row, samples.inputs(first, args.rows))?;
        let took = begin.elapsed();

        largest = largest.max(samples.check(first, &prediction.values)?);
        if i >= args.warm_up {
            times.push(took);
        }
        (hops, sent, received) =
            (prediction.hops, prediction.bytes_sent, prediction.bytes_received);
    }

    Ok(serde_json::json!({
        "p50_ms": quantile(&mut times, 0.5),
        "p99_ms": quantile(&mut times, 0.99),
        "hops": hops,
        "max_error": largest,
        "bytes_sent": sent,
        "bytes_received": received,
        "client_cpu_ms": (cpu_ms()? - cpu) / args.repeats.max(1) as f64,
        "requests": args.warm_up + args.repeats,
    }))
}
