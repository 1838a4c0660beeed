//! The transport, which exchanges bytes with a server; tests replace it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_core::stream::BoxStream;
use reqwest::Method;
use secrecy::SecretString;
use url::Url;

use crate::error::{RequestPhase, UntrustedCertificate};
use crate::tls::Thumbprint;

mod gzip;
mod http;
#[cfg(test)]
pub(crate) mod replay;

pub(crate) use gzip::{Gunzip, is_too_long};
pub(crate) use http::{Http, HttpOptions, UploadFailed};

/// Sends one request and gives the answer, whatever its status. No retries,
/// no session, no meaning.
#[async_trait]
pub(crate) trait Transport: fmt::Debug + Send + Sync + 'static {
    /// Ends when the head of the answer is there.
    async fn send(&self, request: Request) -> Result<Response, TransportError>;

    /// A transport with the same settings to another host, which must show the
    /// certificate with this thumbprint.
    fn pinned(&self, pin: &Thumbprint) -> crate::error::Result<Arc<dyn Transport>>;
}

/// A request.
pub(crate) struct Request {
    pub method: Method,
    pub url: Url,
    pub headers: Vec<(&'static str, String)>,
    /// The whole `Cookie` header.
    pub cookie: Option<SecretString>,
    pub body: Body,
    /// From sending to the head of the answer.
    pub limit: Option<Duration>,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.url)
    }
}

/// The content of a request.
pub(crate) enum Body {
    Empty,
    Text(String),
    Stream {
        length: Option<u64>,
        content: BoxStream<'static, std::io::Result<Bytes>>,
    },
}

/// The head of an answer, and its body as it comes in.
pub(crate) struct Response {
    pub status: u16,
    /// The value of `Content-Range`.
    pub range: Option<String>,
    /// The values of `Set-Cookie`.
    pub cookies: Vec<SecretString>,
    pub length: Option<u64>,
    /// The value of `Retry-After`, where it is a number of seconds.
    pub retry_after: Option<Duration>,
    /// The value of `Content-Encoding`.
    pub encoding: Option<String>,
    pub body: BoxStream<'static, Result<Bytes, TransportError>>,
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "status {}", self.status)
    }
}

/// Why there is no (complete) answer.
#[derive(Debug)]
pub(crate) struct TransportError {
    pub kind: FailureKind,
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// Information about the request that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FailureKind {
    /// The request was never sent.
    Connect,
    /// The request was never sent: the certificate was refused.
    Untrusted(UntrustedCertificate),
    /// The request was never sent: no common TLS.
    Tls,
    /// Too slow. Only in the phase `Connect` it is sure that nothing was sent.
    Timeout(RequestPhase),
    /// The connection ended before the first byte of the answer.
    NoAnswer,
    /// The connection ended within the answer.
    Broken,
    /// The body to send could not be read.
    Source,
}
