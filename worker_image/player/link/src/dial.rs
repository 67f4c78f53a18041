//! Dialing a peer: TCP, then mutual TLS. The server's certificate has to name its host and its
//! role.

use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::ClientConnection;

use super::tls::{Holder, Identity, Tls, ALPN_PEER};
use securemodel_mpc::role::Role;

const PATIENCE: Duration = Duration::from_secs(2);

/// A finished handshake.
pub struct Dialed {
    pub tls: ClientConnection,
    pub socket: TcpStream,
    pub certificate: CertificateDer<'static>,
}

/// Dials once. The peer's certificate has to name `host` and the peer's role.
pub fn dial(tls: &Arc<Tls>, peer: Role, host: &str, port: u16) -> Result<Dialed, String> {
    let at = |why: &dyn std::fmt::Display| format!("{host}:{port}: {why}");
    let mut socket = connect(host, port).map_err(|e| at(&e))?;
    let bounded = socket
        .set_nodelay(true)
        .and_then(|()| socket.set_read_timeout(Some(PATIENCE)))
        .and_then(|()| socket.set_write_timeout(Some(PATIENCE)));
    bounded.map_err(|e| at(&e))?;

    let name = ServerName::try_from(host.to_owned()).map_err(|e| at(&e))?;
    let mut connection = ClientConnection::new(tls.dialer.clone(), name).map_err(|e| at(&e))?;
    while connection.is_handshaking() {
        connection.complete_io(&mut socket).map_err(|e| at(&format_args!("TLS: {e}")))?;
    }

    if connection.alpn_protocol() != Some(ALPN_PEER) {
        return Err(at(&"it is not a player"));
    }
    let certificate = connection
        .peer_certificates()
        .and_then(|chain| chain.first())
        .ok_or_else(|| at(&"no certificate"))?
        .clone()
        .into_owned();

    let expected = tls.identity.with(Holder::Player(peer));
    let identity = Identity::of(&certificate).map_err(|e| at(&e))?;
    if identity != expected {
        return Err(at(&format_args!(
            "it is {identity}, expected {expected}; check the cluster config and the Secrets"
        )));
    }
    Ok(Dialed { tls: connection, socket, certificate })
}

/// Tries all addresses of the host.
fn connect(host: &str, port: u16) -> std::io::Result<TcpStream> {
    let mut last = std::io::Error::other("the host has no address");
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(socket) => return Ok(socket),
            Err(e) => last = e,
        }
    }
    Err(last)
}
