//! TLS 1.3 with roles: a certificate's URI SAN decides who its holder is, not the CA alone.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::ring::cipher_suite::{
    TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384, TLS13_CHACHA20_POLY1305_SHA256,
};
use rustls::crypto::ring::default_provider;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use securemodel_mpc::role::Role;

pub const ALPN_PEER: &[u8] = b"securemodel-peer/1";
pub const ALPN_HTTP: &[u8] = b"http/1.1";

/// AES-128-GCM first: the fastest on processors with AES instructions, and batch keys have 128 bits
/// too.
fn provider() -> CryptoProvider {
    let cipher_suites =
        vec![TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384, TLS13_CHACHA20_POLY1305_SHA256];
    CryptoProvider { cipher_suites, ..default_provider() }
}

/// What a certificate's holder may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    Player(Role),
    /// May deliver shares.
    Share,
}

/// The URI SAN `securemodel://<namespace>/<model>/<role>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub namespace: String,
    pub model: String,
    pub holder: Holder,
}

impl std::fmt::Display for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let role = match self.holder {
            Holder::Player(role) => role.as_str(),
            Holder::Share => "share",
        };
        write!(f, "{role} of {}/{}", self.namespace, self.model)
    }
}

impl Identity {
    /// The one SecureModel identity in a certificate.
    pub fn of(certificate: &CertificateDer<'_>) -> Result<Identity, String> {
        let (_, parsed) = X509Certificate::from_der(certificate)
            .map_err(|e| format!("not an X.509 certificate: {e}"))?;
        let names = parsed.subject_alternative_name().map_err(|e| e.to_string())?;
        let names =
            names.map(|extension| extension.value.general_names.as_slice()).unwrap_or_default();
        let mut uris = names.iter().filter_map(|name| match name {
            GeneralName::URI(uri) => uri.strip_prefix("securemodel://"),
            _ => None,
        });

        let (Some(uri), None) = (uris.next(), uris.next()) else {
            return Err("no securemodel:// URI in the certificate, or more than one".into());
        };
        let [namespace, model, role] = uri.split('/').collect::<Vec<_>>()[..] else {
            return Err(format!("{uri:?} is not <namespace>/<model>/<role>"));
        };

        let holder = if role == "share" {
            Holder::Share
        } else {
            Holder::Player(
                role.parse().map_err(|e: securemodel_mpc::role::UnknownRole| e.to_string())?,
            )
        };
        Ok(Identity { namespace: namespace.into(), model: model.into(), holder })
    }

    /// The identity that another role of the same SecureModel has.
    pub fn with(&self, holder: Holder) -> Identity {
        Identity { holder, ..self.clone() }
    }
}

/// Why the TLS files cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("TLS files in {path}: {why}")]
pub struct TlsError {
    path: String,
    why: String,
}

/// This player's TLS files, ready to use.
pub struct Tls {
    pub identity: Identity,
    pub certificate: CertificateDer<'static>,
    pub server: Arc<ServerConfig>,
    pub dialer: Arc<ClientConfig>,
}

impl Tls {
    /// Reads ca.crt, tls.crt and tls.key.
    pub fn load(folder: &Path) -> Result<Tls, TlsError> {
        let files = Files(folder);
        let roots = files.roots()?;
        let chain = files.certificates("tls.crt")?;
        let certificate = chain.first().cloned();
        let certificate =
            certificate.ok_or_else(|| files.refuse("tls.crt holds no certificate".into()))?;
        let identity =
            Identity::of(&certificate).map_err(|e| files.refuse(format!("tls.crt: {e}")))?;
        let key = files.key()?;

        let server = server(roots.clone(), chain.clone(), key.clone_key());
        let dialer = dialer(roots, chain, key);
        Ok(Tls {
            identity,
            certificate,
            server: Arc::new(server.map_err(|why| files.refuse(why))?),
            dialer: Arc::new(dialer.map_err(|e| files.refuse(e.to_string()))?),
        })
    }
}

/// The folder that the files are in.
struct Files<'a>(&'a Path);

impl Files<'_> {
    fn refuse(&self, why: String) -> TlsError {
        TlsError { path: self.0.display().to_string(), why }
    }

    fn certificates(&self, name: &str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let found = CertificateDer::pem_file_iter(self.0.join(name))
            .and_then(Iterator::collect::<Result<Vec<_>, _>>);
        found.map_err(|e| self.refuse(format!("{name}: {e}")))
    }

    fn roots(&self) -> Result<Arc<RootCertStore>, TlsError> {
        let mut roots = RootCertStore::empty();
        for certificate in self.certificates("ca.crt")? {
            roots.add(certificate).map_err(|e| self.refuse(format!("ca.crt: {e}")))?;
        }
        Ok(Arc::new(roots))
    }

    fn key(&self) -> Result<PrivateKeyDer<'static>, TlsError> {
        let key = PrivateKeyDer::from_pem_file(self.0.join("tls.key"));
        key.map_err(|e| self.refuse(format!("tls.key: {e}")))
    }
}

/// Takes clients without a certificate too: who may do what is decided later, by identity.
fn server(
    roots: Arc<RootCertStore>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, String> {
    let provider = Arc::new(provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider.clone())
        .allow_unauthenticated()
        .build()
        .map_err(|e| e.to_string())?;
    let mut server = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|e| e.to_string())?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .map_err(|e| e.to_string())?;
    server.alpn_protocols = vec![ALPN_PEER.to_vec(), ALPN_HTTP.to_vec()];

    // every link and every client gets fresh keys: no resumption, no tickets, no early data
    server.session_storage = Arc::new(NoServerSessionStorage {});
    server.send_tls13_tickets = 0;
    server.max_early_data_size = 0;
    Ok(server)
}

fn dialer(
    roots: Arc<RootCertStore>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ClientConfig, rustls::Error> {
    let mut dialer = ClientConfig::builder_with_provider(Arc::new(provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)?;
    dialer.alpn_protocols = vec![ALPN_PEER.to_vec()];
    dialer.resumption = rustls::client::Resumption::disabled();
    dialer.enable_early_data = false;
    Ok(dialer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(uris: &[&str]) -> CertificateDer<'static> {
        let mut params = rcgen::CertificateParams::default();
        params.subject_alt_names =
            uris.iter().map(|uri| rcgen::SanType::URI((*uri).try_into().expect("ascii"))).collect();
        let key = rcgen::KeyPair::generate().expect("key");
        params.self_signed(&key).expect("certificate").der().clone()
    }

    #[test]
    fn the_identity_is_the_one_securemodel_uri() {
        let identity = Identity::of(&certificate(&[
            "https://example.org",
            "securemodel://default/digits/carol",
        ]))
        .expect("identity");
        assert_eq!(identity.to_string(), "carol of default/digits");
        assert_eq!(
            Identity::of(&certificate(&["securemodel://ns/m/share"])).expect("identity").holder,
            Holder::Share
        );
    }

    #[test]
    fn a_certificate_without_exactly_one_identity_is_nobody() {
        for uris in [
            &[][..],
            &["securemodel://a/b/alice", "securemodel://a/b/bob"],
            &["securemodel://a/b"],
            &["securemodel://a/b/dave"],
            &["securemodel://a/b/c/alice"],
        ] {
            assert!(Identity::of(&certificate(uris)).is_err(), "{uris:?}");
        }
    }
}
