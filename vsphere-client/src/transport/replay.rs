//! A transport without a network for tests. It parses requests, and returns prepared
//! responses.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use reqwest::Method;
use secrecy::ExposeSecret;
use vim25::Limits;
use vim25::soap::{self, Request as Soap};

use super::{Body, FailureKind, Request, Response, Transport, TransportError};
use crate::error::Error;
use crate::tls::Thumbprint;

/// The response of the peer to one request.
pub(crate) enum Reply {
    /// Returns this body in an envelope, as vCenter writes it.
    Body(&'static str),
    /// Returns a generated body in an envelope.
    Owned(String),
    /// Returns a body in an envelope as soon as the test sends it.
    When(tokio::sync::oneshot::Receiver<String>),
    /// Returns this body in an envelope after a delay.
    After(std::time::Duration, &'static str),
    /// Fails after a delay.
    FailAfter(std::time::Duration, FailureKind),
    /// Returns this body in an envelope, compressed; only for requests that allow it.
    Gzip(String),
    /// Returns this body in an envelope, with `Set-Cookie`.
    Cookie(&'static str, &'static str),
    /// Returns this HTTP status and text.
    Status(u16, String),
    /// Returns this body in an envelope, in pieces of 100 bytes with a pause before each.
    Trickle(std::time::Duration, &'static str),
    /// Returns only this much of the body in an envelope, and then this failure.
    BreakOff(usize, FailureKind, &'static str),
    /// Returns status 503 with `Retry-After`, in seconds.
    Busy(u64),
    /// Fails immediately.
    Fail(FailureKind),
    /// Never responds.
    Hang,
}

/// The parts of a request that tests check.
pub(crate) struct Seen {
    pub soap: Soap,
    pub cookie: Option<String>,
    pub action: String,
    pub path: String,
}

impl Seen {
    pub(crate) fn method(&self) -> &str {
        &self.soap.method
    }
}

type Peer = dyn FnMut(&Seen) -> Reply + Send;

/// A transport that calls a function for every response.
pub(crate) struct Replay {
    versions: &'static str,
    peer: Mutex<Box<Peer>>,
    methods: Mutex<Vec<String>>,
}

impl Replay {
    pub(crate) fn new(peer: impl FnMut(&Seen) -> Reply + Send + 'static) -> Arc<Self> {
        Arc::new(Self {
            versions: include_str!("../wire_tests/golden/vimServiceVersions.xml"),
            peer: Mutex::new(Box::new(peer)),
            methods: Mutex::new(Vec::new()),
        })
    }

    /// Creates a transport that expects exactly these requests in this order, after a login.
    pub(crate) fn script(steps: Vec<(&'static str, Reply)>) -> Arc<Self> {
        let mut steps = VecDeque::from(steps);
        Self::new(move |seen| match welcome(seen) {
            Some(reply) => reply,
            None => {
                let (expected, reply) = steps.pop_front().unwrap_or_else(|| {
                    panic!(
                        "unexpected request: {} of {:?}",
                        seen.method(),
                        seen.soap.this
                    )
                });
                let xml = enveloped(expected);
                let expected = soap::decode_request(xml.as_bytes(), &Limits::default()).unwrap();
                assert_eq!(seen.soap.method, expected.method);
                assert_eq!(seen.soap.this, expected.this);
                assert_eq!(seen.soap.arguments(), expected.arguments());
                reply
            }
        })
    }

    /// Returns the methods that were called so far, without those of connecting.
    pub(crate) fn methods(&self) -> Vec<String> {
        let methods = self.methods.lock().unwrap();
        let connecting = ["RetrieveServiceContent"];
        methods
            .iter()
            .filter(|method| !connecting.contains(&method.as_str()))
            .cloned()
            .collect()
    }
}

/// Returns the response to the first requests of every client; `None` for other requests.
pub(crate) fn welcome(seen: &Seen) -> Option<Reply> {
    match seen.method() {
        "RetrieveServiceContent" => Some(Reply::Body(include_str!(
            "../wire_tests/golden/service_content.xml"
        ))),
        "Login" => Some(Reply::Cookie(
            include_str!("../wire_tests/golden/login.xml"),
            "vmware_soap_session=\"52c1\"; Path=/; HttpOnly; Secure;",
        )),
        "Logout" => Some(Reply::Body(
            "<LogoutResponse xmlns=\"urn:vim25\"></LogoutResponse>",
        )),
        _ => None,
    }
}

/// Wraps a body in an envelope with the namespace prefixes of vCenter.
pub(crate) fn enveloped(body: &str) -> String {
    format!(
        "<soapenv:Envelope xmlns:soapenc=\"http://schemas.xmlsoap.org/soap/encoding/\" \
         xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\" \
         xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\" \
         xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\">\
         <soapenv:Body>\n{body}\n</soapenv:Body></soapenv:Envelope>"
    )
}

impl fmt::Debug for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replay").finish_non_exhaustive()
    }
}

#[async_trait]
impl Transport for Replay {
    fn pinned(&self, _: &Thumbprint) -> crate::error::Result<Arc<dyn Transport>> {
        Err(Error::config("a replay has only one server"))
    }

    async fn send(&self, request: Request) -> Result<Response, TransportError> {
        let accepted = header(&request, "accept-encoding");
        let reply = match &request.body {
            Body::Text(xml) => {
                let seen = Seen {
                    soap: soap::decode_request(xml.as_bytes(), &Limits::default()).unwrap(),
                    cookie: request
                        .cookie
                        .as_ref()
                        .map(|cookie| cookie.expose_secret().to_owned()),
                    action: header(&request, "soapaction"),
                    path: request.url.path().to_owned(),
                };
                self.methods.lock().unwrap().push(seen.method().to_owned());
                (self.peer.lock().unwrap())(&seen)
            }
            _ => {
                assert_eq!(
                    (request.method.clone(), request.url.path()),
                    (Method::GET, "/sdk/vimServiceVersions.xml")
                );
                Reply::Status(200, self.versions.to_owned())
            }
        };
        let body = |body: &str| {
            let status = if body.contains("Fault>") { 500 } else { 200 };
            (status, enveloped(body), Vec::new())
        };
        let pause = match &reply {
            Reply::Trickle(pause, _) => Some(*pause),
            _ => None,
        };
        let end = match &reply {
            Reply::BreakOff(length, kind, _) => Some((*length, kind.clone())),
            _ => None,
        };
        let is_gzip = matches!(reply, Reply::Gzip(_));
        let retry_after = match reply {
            Reply::Busy(seconds) => Some(std::time::Duration::from_secs(seconds)),
            _ => None,
        };
        let (status, text, cookies) = match reply {
            Reply::Body(text) | Reply::Trickle(_, text) | Reply::BreakOff(_, _, text) => body(text),
            Reply::Owned(text) | Reply::Gzip(text) => body(&text),
            Reply::When(text) => body(&text.await.unwrap()),
            Reply::After(delay, text) => {
                tokio::time::sleep(delay).await;
                body(text)
            }
            Reply::FailAfter(delay, kind) => {
                tokio::time::sleep(delay).await;
                return Err(TransportError {
                    kind,
                    source: "as the test wants it".into(),
                });
            }
            Reply::Cookie(text, cookie) => (200, enveloped(text), vec![cookie.into()]),
            Reply::Status(status, text) => (status, text, Vec::new()),
            Reply::Busy(_) => (503, String::new(), Vec::new()),
            Reply::Fail(kind) => {
                return Err(TransportError {
                    kind,
                    source: "as the test wants it".into(),
                });
            }
            Reply::Hang => std::future::pending().await,
        };
        // Return the body in small pieces, like a network.
        let bytes = if is_gzip {
            assert_eq!(accepted, "gzip");
            let mut encoder =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            std::io::Write::write_all(&mut encoder, text.as_bytes()).unwrap();
            encoder.finish().unwrap()
        } else {
            text.into_bytes()
        };
        let whole = end.as_ref().map_or(bytes.len(), |(length, _)| *length);
        let mut pieces: Vec<_> = bytes[..whole]
            .chunks(100)
            .map(Bytes::copy_from_slice)
            .map(Ok)
            .collect();
        pieces.extend(end.map(|(_, kind)| {
            Err(TransportError {
                kind,
                source: "as the test wants it".into(),
            })
        }));
        let pieces = futures_util::stream::iter(pieces).then(move |piece| async move {
            if let Some(pause) = pause {
                tokio::time::sleep(pause).await;
            }
            piece
        });
        Ok(Response {
            range: None,
            status,
            cookies,
            length: None,
            retry_after,
            encoding: is_gzip.then(|| "gzip".to_owned()),
            body: pieces.boxed(),
        })
    }
}

fn header(request: &Request, name: &str) -> String {
    let found = request.headers.iter().find(|(header, _)| *header == name);
    found.map(|(_, value)| value.clone()).unwrap_or_default()
}
