//! Why a prediction or a measurement failed.

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{code}: {message}")]
    Refused { code: String, message: String },
    #[error("wrong result: {0}")]
    Wrong(String),
    #[error("{0}")]
    Answer(String),
    #[error("TLS: {0}")]
    Tls(String),
    #[error("connection: {0}")]
    Io(#[from] std::io::Error),
}

impl From<rustls::Error> for Error {
    fn from(e: rustls::Error) -> Error {
        Error::Tls(e.to_string())
    }
}

impl Error {
    /// For counting: the player's code, or what kind of failure it was here.
    pub fn code(&self) -> &str {
        match self {
            Error::Refused { code, .. } => code,
            Error::Wrong(_) => "wrong_result",
            Error::Answer(_) => "bad_answer",
            Error::Tls(_) => "tls",
            Error::Io(_) => "connection",
        }
    }
}
