//! Requests with the authentication that a registry requires (distribution's token
//! specification).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use reqwest::header::{AUTHORIZATION, RETRY_AFTER, WWW_AUTHENTICATE};
use reqwest::{RequestBuilder, Response, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::challenge::Challenge;
use super::credentials::Credentials;
use super::http::secret_header;
use super::tls::Transport;
use crate::{Error, Result};

/// The minimum lifetime of a token according to the specification.
const TOKEN_LIFE: Duration = Duration::from_secs(60);
/// The time before its expiry from which a token is no longer used.
const TOKEN_MARGIN: Duration = Duration::from_secs(10);
const TOKEN_BYTES: u64 = 64 * 1024;
/// The maximum number of retries of a request that a busy registry refused.
const RETRIES: u32 = 3;
const RETRY_AFTER_MAX: Duration = Duration::from_secs(20);
const CLIENT_ID: &str = "image-source";

/// A cache of the values of the `Authorization` header, by account and scope.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    known: Mutex<HashMap<String, Token>>,
}

#[derive(Clone, Debug)]
struct Token {
    header: SecretString,
    until: Option<Instant>,
}

/// Access to one repository with one account.
#[derive(Clone, Debug)]
pub(super) struct Access {
    pub(super) client: reqwest::Client,
    pub(super) tokens: Arc<Tokens>,
    pub(super) transport: Transport,
    pub(super) registry: String,
    pub(super) repository: String,
    pub(super) credentials: Credentials,
}

impl Access {
    /// Sends a request. Authenticates if the registry requires it, and retries while the
    /// registry responds that it is busy.
    pub(super) async fn send(
        &self,
        request: impl Fn(&reqwest::Client) -> RequestBuilder + Send + Sync,
    ) -> Result<Response> {
        let mut delay = Duration::from_millis(250);
        let mut attempt = 0;
        loop {
            let response = self.send_authenticated(&request).await?;
            let busy = matches!(
                response.status(),
                StatusCode::TOO_MANY_REQUESTS
                    | StatusCode::BAD_GATEWAY
                    | StatusCode::SERVICE_UNAVAILABLE
                    | StatusCode::GATEWAY_TIMEOUT
            );
            if !busy || attempt == RETRIES {
                return Ok(response);
            }
            let asked = response
                .headers()
                .get(RETRY_AFTER)
                .and_then(|value| value.to_str().ok()?.parse().ok())
                .map(Duration::from_secs);
            tokio::time::sleep(asked.unwrap_or(delay).min(RETRY_AFTER_MAX)).await;
            delay *= 2;
            attempt += 1;
        }
    }

    async fn send_authenticated(
        &self,
        request: &(impl Fn(&reqwest::Client) -> RequestBuilder + Send + Sync),
    ) -> Result<Response> {
        let key = self.key();
        let known = self.tokens.get(&key);
        let response = self.send_with(request, known.as_ref()).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        let challenge = response
            .headers()
            .get_all(WWW_AUTHENTICATE)
            .iter()
            .filter_map(|value| Challenge::parse(value.to_str().ok()?))
            .max_by_key(|challenge| *challenge != Challenge::Basic);
        let Some(challenge) = challenge else {
            return Ok(response);
        };
        let Some(token) = self.answer(&challenge).await? else {
            return Ok(response);
        };
        self.tokens.put(key, token.clone());
        self.send_with(request, Some(&token.header)).await
    }

    async fn send_with(
        &self,
        request: &(impl Fn(&reqwest::Client) -> RequestBuilder + Send + Sync),
        authorization: Option<&SecretString>,
    ) -> Result<Response> {
        let mut request = request(&self.client);
        if let Some(value) = authorization.and_then(|text| secret_header(text.expose_secret())) {
            request = request.header(AUTHORIZATION, value);
        }
        let sent = request.send().await;
        sent.map_err(|error| self.transport_error(error))
    }

    /// Returns the cache key: the account and the scope. Passwords are included as a digest.
    fn key(&self) -> String {
        let secret =
            |secret: &SecretString| portlayer::image::Digest::of(secret.expose_secret()).hex();
        let who = match &self.credentials {
            Credentials::Anonymous => String::new(),
            Credentials::Basic { username, password } => {
                format!("{} {username}", secret(password))
            }
            Credentials::IdentityToken(token) | Credentials::RegistryToken(token) => secret(token),
        };
        format!("{} {who}", self.repository)
    }

    /// Obtains the header value that a challenge requires; `None` without suitable
    /// credentials.
    async fn answer(&self, challenge: &Challenge) -> Result<Option<Token>> {
        if let Credentials::RegistryToken(token) = &self.credentials {
            return Ok(Some(bearer(token.expose_secret(), None)));
        }
        match challenge {
            Challenge::Basic => Ok(self.basic().map(|header| Token {
                header,
                until: None,
            })),
            Challenge::Bearer {
                realm,
                service,
                scope,
            } => {
                let pull = || format!("repository:{}:pull", self.repository);
                // Without a repository, the request has no scope: only the account is checked.
                let scope = scope.clone();
                let scope = scope.or_else(|| (!self.repository.is_empty()).then(pull));
                self.fetch_token(realm, service.as_deref(), scope.as_deref())
                    .await
                    .map(Some)
            }
        }
    }

    fn basic(&self) -> Option<SecretString> {
        let Credentials::Basic { username, password } = &self.credentials else {
            return None;
        };
        let pair = format!("{username}:{}", password.expose_secret());
        let encoded = base64::engine::general_purpose::STANDARD.encode(pair);
        Some(format!("Basic {encoded}").into())
    }

    async fn fetch_token(
        &self,
        realm: &str,
        service: Option<&str>,
        scope: Option<&str>,
    ) -> Result<Token> {
        #[derive(Deserialize)]
        struct Answer {
            token: Option<SecretString>,
            access_token: Option<SecretString>,
            expires_in: Option<u64>,
        }
        let mut url = url::Url::parse(realm)
            .map_err(|error| self.denied(format!("its token service {realm:?}: {error}")))?;
        // A registry with verified HTTPS must not redirect the password to an unencrypted
        // connection.
        if url.scheme() != "https" && self.transport != Transport::PlainHttp {
            return Err(self.denied(format!("its token service {realm:?} is not HTTPS")));
        }
        let service = service.map(|service| ("service", service));
        let scope = scope.map(|scope| ("scope", scope));
        let request = if let Credentials::IdentityToken(token) = &self.credentials {
            let body = url::form_urlencoded::Serializer::new(String::new())
                .append_pair("grant_type", "refresh_token")
                .append_pair("client_id", CLIENT_ID)
                .append_pair("refresh_token", token.expose_secret())
                .extend_pairs(scope)
                .extend_pairs(service)
                .finish();
            self.client
                .post(url)
                .header(
                    reqwest::header::CONTENT_TYPE,
                    "application/x-www-form-urlencoded",
                )
                .body(body)
        } else {
            url.query_pairs_mut()
                .extend_pairs(scope)
                .extend_pairs(service);
            let mut request = self.client.get(url);
            if let Some(value) = self
                .basic()
                .and_then(|text| secret_header(text.expose_secret()))
            {
                request = request.header(AUTHORIZATION, value);
            }
            request
        };
        let response = request
            .send()
            .await
            .map_err(|error| self.transport_error(error))?;
        let status = response.status();
        if !status.is_success() {
            let message = self.message(response).await;
            return Err(match status {
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::BAD_REQUEST => {
                    self.denied(message)
                }
                _ => Error::Registry {
                    registry: self.registry.clone(),
                    status: status.as_u16(),
                    attempt: "the request of a token".into(),
                    message,
                },
            });
        }
        let body = self.body(response, "the token", TOKEN_BYTES).await?;
        let answer: Answer = serde_json::from_slice(&body)
            .map_err(|_| self.denied("its token service answers no token".into()))?;
        let token = answer
            .token
            .or(answer.access_token)
            .ok_or_else(|| self.denied("its token service answers no token".into()))?;
        let life = answer.expires_in.map_or(TOKEN_LIFE, Duration::from_secs);
        let until = Instant::now().checked_add(life.saturating_sub(TOKEN_MARGIN));
        Ok(bearer(token.expose_secret(), until))
    }
}

fn bearer(token: &str, until: Option<Instant>) -> Token {
    Token {
        header: format!("Bearer {token}").into(),
        until,
    }
}

impl Tokens {
    fn get(&self, key: &str) -> Option<SecretString> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let token = known.get(key)?;
        let valid = token.until.is_none_or(|until| Instant::now() < until);
        valid.then(|| token.header.clone())
    }

    fn put(&self, key: String, token: Token) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        known.retain(|_, token| token.until.is_none_or(|until| now < until));
        known.insert(key, token);
    }
}
