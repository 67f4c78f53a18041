//! The two ports: TLS for everybody, where ALPN tells peers from HTTP clients, and plain HTTP for
//! probes.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::server::TlsStream;
use tokio_rustls::TlsAcceptor;
use tracing::{debug, warn};

use super::health;
use super::router::Api;
use crate::player::Player;
use securemodel_link::lock::locked;
use securemodel_link::tls::{Identity, ALPN_PEER};

const HANDSHAKE: Duration = Duration::from_secs(5);
/// How long a connection may go without a request, or a client without taking its answer.
const SILENCE: Duration = Duration::from_secs(30);
/// Connections in their handshake, and HTTP connections: limited apart, so that clients cannot keep
/// peers out.
const MAX_HANDSHAKES: usize = 256;
const MAX_HTTP: usize = 1024;

struct Secure {
    player: Arc<Player>,
    api: Api,
    acceptor: TlsAcceptor,
    http: Semaphore,
    /// HTTP connections so far.
    clients: AtomicU64,
    /// What was last refused and from where, so that it is not logged again.
    refused: Mutex<String>,
}

/// Accepts for ever.
pub async fn secure(player: Arc<Player>, listener: TcpListener) -> Infallible {
    let acceptor = TlsAcceptor::from(player.tls.server.clone());
    let http = Semaphore::new(MAX_HTTP);
    let secure = Arc::new(Secure {
        api: Api::new(player.clone()),
        player,
        acceptor,
        http,
        clients: AtomicU64::new(0),
        refused: Mutex::default(),
    });

    let handshakes = Arc::new(Semaphore::new(MAX_HANDSHAKES));
    loop {
        let Ok(permit) = handshakes.clone().acquire_owned().await else { continue };
        let (socket, address) = accept(&listener).await;
        let secure = secure.clone();
        tokio::spawn(async move {
            let stream = tokio::time::timeout(HANDSHAKE, secure.acceptor.accept(socket)).await;
            drop(permit);
            match stream {
                Ok(Ok(stream)) => secure.serve(stream, address).await,
                // a probe that only connects
                Ok(Err(e)) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
                    debug!(%address, "closed in the TLS handshake")
                }
                Ok(Err(e)) => secure.refuse(address, &format!("TLS handshake refused: {e}")),
                Err(_) => debug!(%address, "a TLS handshake took longer than {HANDSHAKE:?}"),
            }
        });
    }
}

impl Secure {
    async fn serve(&self, stream: TlsStream<TcpStream>, address: SocketAddr) {
        if stream.get_ref().1.alpn_protocol() == Some(ALPN_PEER) {
            if let Err(why) = self.link(stream).await {
                self.refuse(address, &format!("a peer was refused: {why}"));
            }
            return;
        }

        let Ok(_one_of_many) = self.http.try_acquire() else {
            return self.refuse(address, &format!("{MAX_HTTP} clients are connected already"));
        };
        let holder = stream
            .get_ref()
            .1
            .peer_certificates()
            .and_then(|chain| chain.first())
            .and_then(|certificate| Identity::of(certificate).ok());

        let client = self.clients.fetch_add(1, Ordering::Relaxed);
        let service = service_fn(|request| async {
            Ok::<_, Infallible>(self.api.answer(client, holder.as_ref(), request).await)
        });
        if let Err(e) = builder().serve_connection(TokioIo::new(stream), service).await {
            debug!(%address, "an HTTP connection ended: {e}");
        }
    }

    /// Hands the connection over to a blocking link.
    async fn link(&self, stream: TlsStream<TcpStream>) -> Result<(), String> {
        let (socket, tls) = stream.into_inner();
        let socket = socket.into_std().map_err(|e| e.to_string())?;
        let mesh = self.player.mesh.clone();
        tokio::task::spawn_blocking(move || mesh.accept(tls, socket))
            .await
            .map_err(|e| e.to_string())?
    }

    fn refuse(&self, address: SocketAddr, why: &str) {
        let what = format!("{}: {why}", address.ip());
        let mut last = locked(&self.refused);
        if *last == what {
            debug!("{what}");
        } else {
            warn!("{what}");
            *last = what;
        }
    }
}

/// Accepts for ever.
pub async fn plain(player: Arc<Player>, listener: TcpListener) -> Infallible {
    let connections = Arc::new(Semaphore::new(MAX_HANDSHAKES));
    loop {
        let Ok(permit) = connections.clone().acquire_owned().await else { continue };
        let (socket, address) = accept(&listener).await;
        let player = player.clone();
        tokio::spawn(async move {
            let _permit = permit;
            let service = service_fn(|request| {
                let reply = health::answer(&player, &request);
                async { Ok::<_, Infallible>(reply) }
            });
            if let Err(e) = builder().serve_connection(TokioIo::new(socket), service).await {
                debug!(%address, "a health connection ended: {e}");
            }
        });
    }
}

fn builder() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(SILENCE);
    builder
}

async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok((socket, address)) => {
                let _ = socket.set_nodelay(true);
                let _ = socket2::SockRef::from(&socket).set_tcp_user_timeout(Some(SILENCE));
                return (socket, address);
            }
            Err(e) => {
                warn!("cannot accept a connection: {e}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}
