//! The two ports: TLS for everybody, where ALPN tells peers from HTTP, and plain HTTP for probes.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tracing::{debug, warn};

use super::{health, http};
use crate::net::tls::{Identity, ALPN_PEER};
use crate::player::Player;

const HANDSHAKE: Duration = Duration::from_secs(5);
const HEADERS: Duration = Duration::from_secs(10);
const MAX_CONNECTIONS: usize = 1024;

/// Accepts for ever.
pub async fn secure(player: Arc<Player>, listener: TcpListener) -> Infallible {
    let acceptor = TlsAcceptor::from(player.tls.server.clone());
    each_connection(listener, move |socket| {
        let (player, acceptor) = (player.clone(), acceptor.clone());
        async move {
            let stream = match tokio::time::timeout(HANDSHAKE, acceptor.accept(socket)).await {
                Ok(Ok(stream)) => stream,
                Ok(Err(e)) => return warn!("TLS handshake refused: {e}"),
                Err(_) => return debug!("a TLS handshake took longer than {HANDSHAKE:?}"),
            };
            if stream.get_ref().1.alpn_protocol() == Some(ALPN_PEER) {
                let (socket, tls) = stream.into_inner();
                let linked = socket.into_std().map_err(|e| e.to_string()).map(|socket| tokio::task::spawn_blocking(move || player.mesh.accept(tls, socket)));
                let linked = match linked {
                    Ok(task) => task.await.map_err(|e| e.to_string()).and_then(|linked| linked),
                    Err(e) => Err(e),
                };
                return linked.unwrap_or_else(|why| warn!("a peer was refused: {why}"));
            }
            let holder = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first()).and_then(|certificate| Identity::of(certificate).ok());
            let service = service_fn(move |request| {
                let (player, holder) = (player.clone(), holder.clone());
                async move { Ok::<_, Infallible>(http::answer(player, holder, request).await) }
            });
            let served = http1::Builder::new().timer(TokioTimer::new()).header_read_timeout(HEADERS).serve_connection(TokioIo::new(stream), service);
            if let Err(e) = served.await {
                debug!("an HTTP connection ended: {e}");
            }
        }
    })
    .await
}

/// Accepts for ever.
pub async fn plain(player: Arc<Player>, listener: TcpListener) -> Infallible {
    each_connection(listener, move |socket| {
        let player = player.clone();
        async move {
            let service = service_fn(move |request| {
                let player = player.clone();
                async move { Ok::<_, Infallible>(health::answer(&player, &request)) }
            });
            let served = http1::Builder::new().timer(TokioTimer::new()).header_read_timeout(HEADERS).serve_connection(TokioIo::new(socket), service);
            if let Err(e) = served.await {
                debug!("a health connection ended: {e}");
            }
        }
    })
    .await
}

async fn each_connection<F, S>(listener: TcpListener, serve: F) -> Infallible
where
    F: Fn(TcpStream) -> S,
    S: std::future::Future<Output = ()> + Send + 'static,
{
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let permit = permits.clone().acquire_owned().await;
        match listener.accept().await {
            Ok((socket, _)) => {
                let _ = socket.set_nodelay(true);
                let served = serve(socket);
                tokio::spawn(async move {
                    let _permit = permit;
                    served.await;
                });
            }
            Err(e) => {
                warn!("cannot accept a connection: {e}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}
