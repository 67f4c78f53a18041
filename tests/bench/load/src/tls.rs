//! TLS 1.3 to a certificate of the SecureModel's CA that names the right role, as the Python client
//! checks it.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::error::Error;

/// Longer than any player lets a client wait.
const PATIENCE: Duration = Duration::from_secs(30);

pub type Stream = StreamOwned<ClientConnection, TcpStream>;

/// Trust in one CA.
pub fn config(ca: &Path) -> Result<Arc<ClientConfig>, Error> {
    let refuse = |e: &dyn std::fmt::Display| Error::Tls(format!("{}: {e}", ca.display()));
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca).map_err(|e| refuse(&e))? {
        roots.add(certificate.map_err(|e| refuse(&e))?).map_err(|e| refuse(&e))?;
    }

    let builder =
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let mut config = builder
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();

    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.resumption = rustls::client::Resumption::disabled();
    Ok(Arc::new(config))
}

/// A finished handshake with the holder of `identity`.
pub fn connect(
    address: SocketAddr,
    identity: &str,
    config: &Arc<ClientConfig>,
) -> Result<Stream, Error> {
    let socket = TcpStream::connect_timeout(&address, PATIENCE)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;

    let mut stream = StreamOwned::new(
        ClientConnection::new(config.clone(), ServerName::IpAddress(address.ip().into()))?,
        socket,
    );
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    stream.conn.set_buffer_limit(None);

    let certificate = stream
        .conn
        .peer_certificates()
        .and_then(|chain| chain.first())
        .ok_or_else(|| Error::Tls("no certificate".into()))?;

    let found = identities(certificate)?;
    if found != [identity] {
        return Err(Error::Tls(format!(
            "{address} is {}, not {identity}; nothing was sent to it",
            found.join(", ")
        )));
    }
    Ok(stream)
}

fn identities(certificate: &CertificateDer<'_>) -> Result<Vec<String>, Error> {
    let refuse = |e: &dyn std::fmt::Display| Error::Tls(e.to_string());
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|e| refuse(&e))?;
    let names = parsed.subject_alternative_name().map_err(|e| refuse(&e))?;
    let names = names.map(|extension| extension.value.general_names.as_slice()).unwrap_or_default();
    let uris = names.iter().filter_map(|name| match name {
        GeneralName::URI(uri) if uri.starts_with("securemodel://") => Some((*uri).to_owned()),
        _ => None,
    });
    Ok(uris.collect())
}
