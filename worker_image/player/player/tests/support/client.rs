//! HTTP/1.1 by hand, over TLS or in the clear: one request a connection.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::mpsc::Receiver;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::{json, Value};

use super::Authority;

const INFER: &str = "/v2/models/digits/infer";
const JSON_LENGTH: &str = "Inference-Header-Content-Length";

#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Response {
    /// A connection that ended without an answer.
    pub fn lost() -> Response {
        Response {
            status: 0,
            head: String::new(),
            body: br#"{"code": "lost", "retryable": true}"#.to_vec(),
        }
    }

    fn parse(bytes: &[u8]) -> Option<Response> {
        let end = bytes.windows(4).position(|w| w == b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
        Some(Response {
            status: head.split(' ').nth(1)?.parse().ok()?,
            head,
            body: bytes[end + 4..].to_vec(),
        })
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// JSON and tensor of a prediction.
    pub fn inference(&self) -> (Value, Vec<u64>) {
        let length = self
            .head
            .lines()
            .find_map(|line| line.strip_prefix("inference-header-content-length: "))
            .expect("the header")
            .parse()
            .expect("a number");
        let (json, tensor) = self.body.split_at(length);
        (serde_json::from_slice(json).expect("JSON"), bytemuck::pod_collect_to_vec(tensor))
    }
}

pub struct Client {
    address: SocketAddr,
    config: ClientConfig,
    patience: Duration,
}

impl Client {
    pub fn new(address: SocketAddr, authority: &Authority, certificate: Option<&Path>) -> Client {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).expect("PEM"))
            .expect("a CA");
        let builder =
            ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_protocol_versions(&[&rustls::version::TLS13])
                .expect("TLS 1.3")
                .with_root_certificates(roots);
        let mut config = match certificate {
            Some(folder) => {
                let chain =
                    vec![CertificateDer::from_pem_file(folder.join("tls.crt")).expect("PEM")];
                builder
                    .with_client_auth_cert(
                        chain,
                        PrivateKeyDer::from_pem_file(folder.join("tls.key")).expect("PEM"),
                    )
                    .expect("a pair")
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Client { address, config, patience: Duration::from_secs(20) }
    }

    /// Leaves when nothing comes for this long.
    pub fn with_patience(mut self, patience: Duration) -> Client {
        self.patience = patience;
        self
    }

    pub fn with_alpn(mut self, alpn: &[u8]) -> Client {
        self.config.alpn_protocols = vec![alpn.to_vec()];
        self
    }

    pub fn connect(&self) -> Option<StreamOwned<ClientConnection, TcpStream>> {
        let socket = TcpStream::connect(self.address).ok()?;
        // head and body are two small writes; without this the second waits 40 ms for a delayed
        // acknowledgement of the first
        socket.set_nodelay(true).ok()?;
        socket.set_read_timeout(Some(self.patience)).ok()?;
        let tls = ClientConnection::new(
            Arc::new(self.config.clone()),
            ServerName::try_from("localhost").expect("a name"),
        )
        .ok()?;
        let mut stream = StreamOwned::new(tls, socket);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock).ok()?;
        }
        Some(stream)
    }

    /// The answer, or nothing if the connection broke.
    pub fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, String)],
        body: &[u8],
    ) -> Option<Response> {
        let mut stream = self.connect()?;
        exchange(&mut stream, method, path, headers, body)
    }

    pub fn infer(&self, id: &str, shape: &[usize], tensor: &[u8]) -> Option<Response> {
        self.infer_json(&inference(id, shape, tensor), tensor)
    }

    /// Like `infer`, with a body whose last word is sent only once `rest` has received.
    pub fn infer_slowly(
        &self,
        id: &str,
        shape: &[usize],
        tensor: &[u8],
        rest: &Receiver<()>,
    ) -> Option<Response> {
        let json = inference(id, shape, tensor).to_string();
        let body = [json.as_bytes(), tensor].concat();
        let (first, last) = body.split_at(body.len() - 8);
        let mut stream = self.connect()?;
        let head = head("POST", INFER, &[(JSON_LENGTH, json.len().to_string())], body.len());
        stream.write_all(&[head.as_bytes(), first].concat()).and_then(|()| stream.flush()).ok()?;
        rest.recv().ok()?;
        finish(&mut stream, last)
    }

    pub fn infer_json(&self, json: &Value, tensor: &[u8]) -> Option<Response> {
        let mut body = json.to_string().into_bytes();
        let length = body.len();
        body.extend_from_slice(tensor);
        self.send("POST", INFER, &[(JSON_LENGTH, length.to_string())], &body)
    }
}

fn inference(id: &str, shape: &[usize], tensor: &[u8]) -> Value {
    json!({
        "id": id,
        "inputs": [{
            "name": "input",
            "datatype": "UINT64",
            "shape": shape,
            "parameters": {"binary_data_size": tensor.len()},
        }],
        "outputs": [{"name": "output", "parameters": {"binary_data": true}}],
    })
}

fn head(method: &str, path: &str, headers: &[(&str, String)], length: usize) -> String {
    let mut head = format!(
        "{method} {path} HTTP/1.1\r\n\
         Host: localhost\r\n\
         Connection: close\r\n\
         Content-Length: {length}\r\n"
    );
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    head
}

fn exchange(
    stream: &mut (impl Read + Write),
    method: &str,
    path: &str,
    headers: &[(&str, String)],
    body: &[u8],
) -> Option<Response> {
    // a server may answer before it has read everything
    let _ = stream.write_all(head(method, path, headers, body.len()).as_bytes());
    finish(stream, body)
}

/// Sends what is left of the body and reads the answer.
fn finish(stream: &mut (impl Read + Write), body: &[u8]) -> Option<Response> {
    let _ = stream.write_all(body).and_then(|()| stream.flush());
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Err(e) if e.kind() != ErrorKind::UnexpectedEof => None,
        _ => Response::parse(&bytes),
    }
}

/// From the health port.
pub fn get_plain(address: SocketAddr, path: &str) -> Option<Response> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    exchange(&mut stream, "GET", path, &[], b"")
}
