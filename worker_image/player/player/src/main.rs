use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;
use securemodel_mpc::role::Role;
use securemodel_player::config::{Args, ConfigError};
use securemodel_player::player::Player;
use securemodel_player::{batch, serve};
use tokio::net::TcpListener;
use tokio::signal::unix::{signal, SignalKind};
use tracing::{error, info};

/// How long accepted requests may take after SIGTERM.
const GRACE: Duration = Duration::from_millis(1500);

fn main() -> ExitCode {
    let args = Args::parse();
    let filter = tracing_subscriber::EnvFilter::try_new(&args.log)
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_target(false)
        .init();

    // A player with a dead thread would look alive and answer nothing: end the process, so that it
    // is started again.
    std::panic::set_hook(Box::new(|panic| {
        error!("{panic}");
        std::process::exit(1);
    }));

    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => {
            error!("no runtime: {e}");
            return ExitCode::FAILURE;
        }
    };

    let served = runtime.block_on(serve(&args));
    runtime.shutdown_background();
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            error!("{e}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(args: &Args) -> Result<(), ConfigError> {
    let player = Player::new(args)?;
    let bind = |address| async move {
        TcpListener::bind(address).await.map_err(|why| ConfigError::Listen { address, why })
    };
    let (secure, plain) = (bind(args.listen).await?, bind(args.health).await?);
    let (mut terminated, mut interrupted) = (
        signal(SignalKind::terminate()).map_err(ConfigError::Signals)?,
        signal(SignalKind::interrupt()).map_err(ConfigError::Signals)?,
    );
    info!(
        player = player.name,
        role = %player.role,
        model = player.model(),
        "listening on {}, health on {}",
        args.listen,
        args.health
    );

    start(&player);
    tokio::select! {
        _ = serve::listener::secure(Arc::clone(&player), secure) => {}
        _ = serve::listener::plain(Arc::clone(&player), plain) => {}
        _ = terminated.recv() => {}
        _ = interrupted.recv() => {}
    }

    info!("stopping");
    player.stop();

    // the listeners are closed; requests that were accepted may finish
    let end = Instant::now() + GRACE;
    while player.answering() > 0 && Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// The threads that run batches and dial peers.
fn start(player: &Player) {
    let engine = player.engine();
    if player.role == Role::Bob {
        let engine = engine.clone();
        std::thread::spawn(move || batch::send_masked(&engine));
    }
    std::thread::spawn(move || batch::run(&engine));
    player.mesh.start();
}
