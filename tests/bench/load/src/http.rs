//! HTTP/1.1 on a kept connection: a request with a body, a response with a Content-Length.

use std::io::{Read, Write};

use crate::error::Error;
use crate::tls::Stream;

pub const JSON_LENGTH: &str = "Inference-Header-Content-Length";
const MAX_HEAD: usize = 16 << 10;

pub struct Response {
    pub status: u16,
    /// Bytes of JSON at the start of the body; the rest is a tensor.
    pub json: usize,
    pub body: Vec<u8>,
}

/// Puts one request on its way. Does not wait for the answer.
pub fn send(
    stream: &mut Stream,
    method: &str,
    path: &str,
    json: usize,
    body: &[&[u8]],
) -> Result<(), Error> {
    let length: usize = body.iter().map(|part| part.len()).sum();
    let head = format!(
        "{method} {path} HTTP/1.1\r\n\
         Host: player\r\n\
         Content-Length: {length}\r\n\
         {JSON_LENGTH}: {json}\r\n\
         \r\n"
    );

    // all of it into TLS first, so that it leaves in full records
    stream.conn.writer().write_all(head.as_bytes())?;
    for part in body {
        stream.conn.writer().write_all(part)?;
    }
    Ok(stream.flush()?)
}

/// The answer to the request sent before.
pub fn receive(stream: &mut Stream) -> Result<Response, Error> {
    let mut got = Vec::with_capacity(4096);
    let mut chunk = [0; 16 << 10];
    loop {
        let n = stream.read(&mut chunk)?;
        if n == 0 {
            return Err(Error::Answer("the connection was closed".into()));
        }

        got.extend_from_slice(&chunk[..n]);
        if let Some(head) = parse_head(&got)? {
            let mut body = got.split_off(head.bytes);
            let have = body.len();
            body.resize(head.length, 0);
            if have < head.length {
                stream.read_exact(&mut body[have..])?;
            }
            return Ok(Response { status: head.status, json: head.json, body });
        }

        if got.len() > MAX_HEAD {
            return Err(Error::Answer("a response head without an end".into()));
        }
    }
}

struct Head {
    status: u16,
    /// Of the head itself.
    bytes: usize,
    /// Of the body, and of the JSON in it.
    length: usize,
    json: usize,
}

/// The head of a response, if it is whole.
fn parse_head(got: &[u8]) -> Result<Option<Head>, Error> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    let parsed = response.parse(got).map_err(|e| Error::Answer(e.to_string()))?;
    let httparse::Status::Complete(bytes) = parsed else { return Ok(None) };

    let number = |name: &str| {
        let header = response.headers.iter().find(|h| h.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(header.value).ok()?.parse::<usize>().ok()
    };
    let length =
        number("Content-Length").ok_or_else(|| Error::Answer("no Content-Length".into()))?;
    let json = number(JSON_LENGTH).unwrap_or(length).min(length);
    Ok(Some(Head { status: response.code.unwrap_or(0), bytes, length, json }))
}
