//! The connections to registries, and responses of limited size.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use reqwest::header::{CONTENT_TYPE, HeaderValue, RANGE};
use reqwest::{Response, StatusCode};

use super::credentials::Credentials;
use super::tls::{Transport, hint};
use super::token::{Access, Tokens};
use crate::manifest::{ACCEPTED, Descriptor};
use crate::{Error, Result};

/// The host of docker.io's registry API, which differs from the registry's name.
const HUB_HOST: &str = "registry-1.docker.io";
/// The size limit of an error response.
const ERROR_BYTES: u64 = 16 * 1024;
const MESSAGE_CHARS: usize = 400;

/// HTTP clients by registry.
#[derive(Debug, Default)]
pub(super) struct Http {
    clients: Mutex<HashMap<String, (reqwest::Client, Arc<Tokens>)>>,
}

impl Http {
    /// Access to one repository.
    pub(super) fn access(
        &self,
        registry: &str,
        repository: &str,
        transport: Transport,
        credentials: Credentials,
        authorities: &[Vec<u8>],
    ) -> Result<Access> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let (client, tokens) = match clients.get(registry) {
            Some(known) => known.clone(),
            None => {
                let new = (transport.client(authorities)?, Arc::default());
                clients.insert(registry.to_owned(), new.clone());
                new
            }
        };
        Ok(Access {
            client,
            tokens,
            transport,
            registry: registry.to_owned(),
            repository: repository.to_owned(),
            credentials,
        })
    }
}

impl Access {
    /// Returns the base URL of the registry's API.
    fn base(&self) -> String {
        let host = match self.registry.as_str() {
            "docker.io" => HUB_HOST,
            other => other,
        };
        format!("{}://{host}/v2/", self.transport.scheme())
    }

    fn url(&self, kind: &str, version: &str) -> String {
        format!("{}{}/{kind}/{version}", self.base(), self.repository)
    }

    /// Checks that the account may use the API.
    pub(super) async fn check(&self) -> Result<()> {
        let url = self.base();
        let response = self.send(|client| client.get(&url)).await?;
        self.successful(response, "the API's version", "2")
            .await
            .map(drop)
    }

    /// Fetches a manifest or index by tag or digest; returns its bytes and media type.
    pub(super) async fn manifest(&self, version: &str, limit: u64) -> Result<(Bytes, String)> {
        let url = self.url("manifests", version);
        let accepted = ACCEPTED.join(", ");
        let response = self
            .send(|client| client.get(&url).header(reqwest::header::ACCEPT, &accepted))
            .await?;
        let response = self.successful(response, "the manifest", version).await?;
        let media_type = response
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split(';').next())
            .map(|value| value.trim().to_owned())
            .unwrap_or_default();
        let bytes = self.body(response, "the manifest", limit).await?;
        Ok((bytes, media_type))
    }

    /// Fetches a small blob into memory, without verifying it.
    pub(super) async fn small_blob(&self, blob: &Descriptor, limit: u64) -> Result<Bytes> {
        let response = self.blob(blob, 0).await?;
        self.body(response, "the config", limit.min(blob.size))
            .await
    }

    /// Requests a blob from an offset. The response has status 206 if it begins at the offset,
    /// and 200 if it begins at the start of the blob.
    pub(super) async fn blob(&self, blob: &Descriptor, offset: u64) -> Result<Response> {
        let version = blob.digest.to_string();
        let url = self.url("blobs", &version);
        let response = self
            .send(|client| {
                let request = client.get(&url);
                if offset == 0 {
                    request
                } else {
                    request.header(RANGE, format!("bytes={offset}-"))
                }
            })
            .await?;
        self.successful(response, "the blob", &version).await
    }

    /// Returns the response if it is a success, otherwise an error made from it.
    async fn successful(&self, response: Response, what: &str, version: &str) -> Result<Response> {
        let status = response.status();
        if matches!(status, StatusCode::OK | StatusCode::PARTIAL_CONTENT) {
            return Ok(response);
        }
        let message = self.message(response).await;
        Err(match status {
            StatusCode::NOT_FOUND => Error::NotFound {
                reference: format!("{what} {version} of {}", self.repository),
                registry: self.registry.clone(),
                message,
            },
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => self.denied(message),
            _ => Error::Registry {
                registry: self.registry.clone(),
                status: status.as_u16(),
                attempt: format!("the request of {what} {version}"),
                message,
            },
        })
    }

    pub(super) fn denied(&self, message: String) -> Error {
        let repository = match self.repository.as_str() {
            "" => "its API".to_owned(),
            repository => repository.to_owned(),
        };
        Error::Denied {
            registry: self.registry.clone(),
            repository,
            message,
        }
    }

    pub(super) fn transport_error(&self, error: reqwest::Error) -> Error {
        Error::Transport {
            registry: self.registry.clone(),
            hint: hint(&error),
            // The URL can contain a signature that grants access to the registry's storage.
            source: error.without_url().into(),
        }
    }

    /// Returns the registry's error message on one line.
    pub(super) async fn message(&self, mut response: Response) -> String {
        let status = response.status();
        let mut body = Vec::new();
        while let Ok(Some(chunk)) = response.chunk().await {
            body.extend_from_slice(&chunk);
            if body.len() as u64 > ERROR_BYTES {
                break;
            }
        }
        error_message(&body).unwrap_or_else(|| {
            status
                .canonical_reason()
                .unwrap_or("no reason")
                .to_ascii_lowercase()
        })
    }

    /// Reads the body of a response; fails if it is larger than `limit` bytes.
    pub(super) async fn body(
        &self,
        mut response: Response,
        what: &str,
        limit: u64,
    ) -> Result<Bytes> {
        let mut body = BytesMut::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| self.transport_error(error))?
        {
            if (body.len() + chunk.len()) as u64 > limit {
                return Err(Error::TooLarge {
                    what: what.to_owned(),
                    limit,
                });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }
}

/// Returns the messages of an error response (distribution-spec), joined as docker joins them:
/// `code in words: message`.
fn error_message(body: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Errors {
        errors: Vec<Entry>,
    }
    #[derive(serde::Deserialize)]
    struct Entry {
        #[serde(default)]
        code: String,
        #[serde(default)]
        message: String,
    }
    let Errors { errors } = serde_json::from_slice(body).ok()?;
    let entries = errors.iter().map(|entry| {
        let code = entry.code.replace('_', " ").to_ascii_lowercase();
        format!("{code}: {}", entry.message)
    });
    let text = entries.collect::<Vec<_>>().join("; ");
    let printable = text.chars().filter(|letter| !letter.is_control());
    let text: String = printable.take(MESSAGE_CHARS).collect();
    (!text.is_empty()).then_some(text)
}

/// Creates the value of a header that holds a secret, marked so that it is not logged.
pub(super) fn secret_header(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_read_as_docker_prints_them() {
        let body = br#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#;
        assert_eq!(
            error_message(body).as_deref(),
            Some("manifest unknown: manifest unknown")
        );
        assert_eq!(error_message(b"<html>"), None);
    }
}
