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

/// Sends requests and returns the responses, whatever their status. It does not retry, and
/// does not know about sessions or the API.
#[async_trait]
pub(crate) trait Transport: fmt::Debug + Send + Sync + 'static {
    /// Sends a request, and returns as soon as the head of the response has arrived.
    async fn send(&self, request: Request) -> Result<Response, TransportError>;

    /// Returns a transport with the same settings for another host, which must present the
    /// certificate with this thumbprint.
    fn pinned(&self, pin: &Thumbprint) -> crate::error::Result<Arc<dyn Transport>>;
}

/// An HTTP request.
pub(crate) struct Request {
    pub method: Method,
    pub url: Url,
    pub headers: Vec<(&'static str, String)>,
    /// The whole `Cookie` header.
    pub cookie: Option<SecretString>,
    pub body: Body,
    /// The timeout from sending the request to receiving the head of the response.
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

/// The head of a response, and its body as a stream.
pub(crate) struct Response {
    pub status: u16,
    /// The value of `Content-Range`.
    pub range: Option<String>,
    /// The values of `Set-Cookie`.
    pub cookies: Vec<SecretString>,
    pub length: Option<u64>,
    /// The value of `Retry-After`, if it is a number of seconds.
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

/// The reason why there is no response, or only part of one.
#[derive(Debug)]
pub(crate) struct TransportError {
    pub kind: FailureKind,
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// The kind of a failure, which tells whether the request was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FailureKind {
    /// The request was never sent.
    Connect,
    /// The request was never sent: the certificate was refused.
    Untrusted(UntrustedCertificate),
    /// The request was never sent: the TLS handshake failed.
    Tls,
    /// The request took too long. It was certainly not sent only if the phase is `Connect`.
    Timeout(RequestPhase),
    /// The connection ended before the first byte of the response.
    NoAnswer,
    /// The connection ended within the response.
    Broken,
    /// The body to send could not be read.
    Source,
}

impl FailureKind {
    /// Returns whether another attempt may succeed.
    pub(crate) const fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::Connect | Self::NoAnswer | Self::Timeout(RequestPhase::Connect)
        )
    }
}
