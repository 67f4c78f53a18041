//! Measures three players from outside, over the same TLS and the same protocol as any client's:
//! `latency`, `load`, and `relay` for links with a delay. Each prints one line of JSON when it is
//! done.

mod client;
mod error;
mod http;
mod latency;
mod load;
mod relay;
mod samples;
mod sharing;
mod times;
mod tls;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about)]
struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// One client that asks again and again
    Latency(latency::Args),
    /// Many clients at once, one row each
    Load(load::Args),
    /// Forwards TCP connections with a one-way delay for every byte in both directions
    Relay(relay::Args),
}

fn main() -> ExitCode {
    let done = match Args::parse().what {
        What::Latency(args) => latency::run(&args).map(|line| println!("{line}")),
        What::Load(args) => load::run(&args).map(|line| println!("{line}")),
        What::Relay(args) => relay::run(&args).map_err(error::Error::from),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: {e}");
            ExitCode::FAILURE
        }
    }
}
