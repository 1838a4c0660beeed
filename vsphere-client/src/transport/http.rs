//! The transport over HTTP with TLS.

use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use reqwest::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, COOKIE, HeaderName, HeaderValue, RETRY_AFTER,
    SET_COOKIE,
};
use secrecy::ExposeSecret;

use super::{Body, FailureKind, Request, Response, Transport, TransportError};
use crate::error::{Error, RequestPhase, Result};
use crate::tls::{self, Accepted, Thumbprint, Trust};

/// The builder's options for connections.
#[derive(Clone, Debug)]
pub(crate) struct HttpOptions {
    pub trust: Trust,
    pub connect_timeout: Duration,
    pub user_agent: String,
    pub proxy: Option<url::Url>,
}

/// A pool of connections to one server.
#[derive(Debug)]
pub(crate) struct Http {
    client: reqwest::Client,
    options: HttpOptions,
}

impl Http {
    pub(crate) fn new(options: &HttpOptions) -> Result<Self> {
        let wrong = |error: reqwest::Error| Error::Config {
            what: "the HTTP client cannot be set up".into(),
            source: Some(error.without_url().into()),
        };
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(options.trust.client_config()?)
            .connect_timeout(options.connect_timeout)
            // Close idle connections before servers and load balancers do.
            .pool_idle_timeout(Duration::from_secs(45))
            .tcp_keepalive(Duration::from_secs(30))
            .user_agent(options.user_agent.as_str())
            // Do not follow redirects: a POST would change, and the session would be sent
            // elsewhere.
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .http1_only();
        if let Some(proxy) = &options.proxy {
            builder = builder.proxy(reqwest::Proxy::all(proxy.as_str()).map_err(wrong)?);
        }
        Ok(Self {
            client: builder.build().map_err(wrong)?,
            options: options.clone(),
        })
    }
}

#[async_trait]
impl Transport for Http {
    fn pinned(&self, pin: &Thumbprint) -> Result<Arc<dyn Transport>> {
        let mut options = self.options.clone();
        options.trust.pin = Some(pin.clone());
        // It is for another server.
        options.trust.accepted = Accepted::default();
        Ok(Arc::new(Self::new(&options)?))
    }

    async fn send(&self, request: Request) -> Result<Response, TransportError> {
        let mut builder = self.client.request(request.method, request.url);
        for (name, value) in request.headers {
            builder = builder.header(HeaderName::from_static(name), value);
        }
        if let Some(cookie) = &request.cookie {
            let mut value =
                HeaderValue::from_str(cookie.expose_secret()).map_err(|_| TransportError {
                    kind: FailureKind::Connect,
                    source: "the session ticket contains characters that HTTP does not allow"
                        .into(),
                })?;
            value.set_sensitive(true);
            builder = builder.header(COOKIE, value);
        }
        builder = match request.body {
            Body::Empty => builder,
            Body::Text(text) => builder.body(text),
            Body::Stream { length, content } => {
                if let Some(length) = length {
                    builder = builder.header(CONTENT_LENGTH, length);
                }
                builder.body(reqwest::Body::wrap_stream(content))
            }
        };
        let sending = builder.send();
        let answer = match request.limit {
            None => sending.await,
            Some(limit) => {
                tokio::time::timeout(limit, sending)
                    .await
                    .map_err(|slow| TransportError {
                        kind: FailureKind::Timeout(RequestPhase::Request),
                        source: slow.into(),
                    })?
            }
        };
        let answer = answer.map_err(|error| classify(error, FailureKind::NoAnswer))?;
        let cookies = answer.headers().get_all(SET_COOKIE).iter();
        Ok(Response {
            status: answer.status().as_u16(),
            range: answer
                .headers()
                .get(CONTENT_RANGE)
                .and_then(|value| value.to_str().ok())
                .map(Into::into),
            cookies: cookies
                .filter_map(|value| value.to_str().ok())
                .map(Into::into)
                .collect(),
            length: answer.content_length(),
            retry_after: answer
                .headers()
                .get(RETRY_AFTER)
                .and_then(|value| value.to_str().ok()?.trim().parse().ok())
                .map(Duration::from_secs),
            encoding: answer
                .headers()
                .get(CONTENT_ENCODING)
                .and_then(|value| value.to_str().ok())
                .map(str::to_ascii_lowercase),
            body: answer
                .bytes_stream()
                .map(|piece| piece.map_err(|error| classify(error, FailureKind::Broken)))
                .boxed(),
        })
    }
}

/// Converts an error of the HTTP library, and determines how far the request got.
fn classify(error: reqwest::Error, otherwise: FailureKind) -> TransportError {
    // Remove the address: the caller's error already contains it.
    let error = error.without_url();
    let kind = if let Some(tls) = find::<rustls::Error>(&error) {
        match tls::refusal(tls) {
            Some(refusal) => FailureKind::Untrusted(refusal.clone()),
            None if error.is_connect() => FailureKind::Tls,
            None => otherwise,
        }
    } else if error.is_connect() && error.is_timeout() {
        FailureKind::Timeout(RequestPhase::Connect)
    } else if error.is_connect() {
        FailureKind::Connect
    } else if error.is_timeout() {
        FailureKind::Timeout(RequestPhase::Idle)
    } else if error.is_builder() {
        FailureKind::Connect
    } else if find::<UploadFailed>(&error).is_some() {
        FailureKind::Source
    } else {
        otherwise
    };
    TransportError {
        kind,
        source: error.into(),
    }
}

/// Marks a failure in the source of an upload, not in the connection.
#[derive(Debug, thiserror::Error)]
#[error("the source of the upload failed")]
pub(crate) struct UploadFailed(#[source] pub std::io::Error);

/// Searches a chain of errors for a type, including the errors that I/O errors wrap.
fn find<'e, T: StdError + 'static>(error: &'e (dyn StdError + 'static)) -> Option<&'e T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        if let Some(inner) = error
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref)
            && let Some(found) = find::<T>(inner)
        {
            return Some(found);
        }
        next = error.source();
    }
    None
}
