//! The client builder, which connects to a server.

use std::fmt;
use std::future::Future;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use reqwest::Method;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use url::Url;
use vim25::{ApiVersion, Limits, Ref, mo, parse_service_versions};

use crate::address;
use crate::client::{Client, Inner, Options, server_of};
use crate::credentials::Credentials;
use crate::datastore::KnownHosts;
use crate::error::{Error, Result};
use crate::exchange::Failure;
use crate::retry::{Backoff, RetryPolicy};
use crate::session::Session;
use crate::tls::{Thumbprint, Trust};
use crate::transport::{Body, Http, HttpOptions, Request, Transport};
use crate::update::Handle;

/// The number of attempts to connect before the server counts as unreachable.
const FIRST_ATTEMPTS: u32 = 5;

/// The API version used when the server does not advertise one.
const OLDEST: &str = "6.5";

/// Builds a [`Client`]; created by [`Client::builder`].
///
/// The compiler warns about one that does not connect, and about other builders of this crate that
/// nobody uses:
///
/// ```compile_fail
/// #![deny(unused_must_use)]
/// vsphere_client::Client::builder("https://esx.example.com");
/// ```
#[must_use = "a builder does nothing until it connects"]
pub struct ClientBuilder {
    url: String,
    credentials: Option<Credentials>,
    trust: Trust,
    connect_timeout: Duration,
    request_timeout: Duration,
    idle_timeout: Duration,
    in_flight: usize,
    user_agent: String,
    proxy: Option<String>,
    limits: Limits,
    retry: RetryPolicy,
    transport: Option<Arc<dyn Transport>>,
}

impl ClientBuilder {
    pub(crate) fn new(url: String) -> Self {
        Self {
            url,
            credentials: None,
            trust: Trust::default(),
            connect_timeout: Duration::from_secs(15),
            request_timeout: Duration::from_secs(120),
            idle_timeout: Duration::from_secs(60),
            in_flight: 16,
            user_agent: concat!("vsphere-client/", env!("CARGO_PKG_VERSION")).into(),
            proxy: None,
            limits: Limits::default(),
            retry: RetryPolicy::default(),
            transport: None,
        }
    }

    /// Sets the credentials. Without them, only information that the server shows to everybody
    /// can be read.
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = Some(credentials);
        self
    }

    /// Trusts the certificate authorities in this PEM text, instead of those of the platform;
    /// repeatable.
    pub fn tls_roots(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.trust.roots.push(pem.into());
        self
    }

    /// Accepts only the certificate with this thumbprint, no matter who signed it and which
    /// name it is for. The thumbprint is checked during the TLS handshake, and therefore also
    /// through a proxy.
    pub fn thumbprint(mut self, pin: Thumbprint) -> Self {
        self.trust.pin = Some(pin);
        self
    }

    /// Accepts every certificate if `accept` is true, so that an attacker in between can read
    /// the password. No other option turns verification off.
    pub fn danger_accept_invalid_certs(mut self, accept: bool) -> Self {
        self.trust.anything = accept;
        self
    }

    /// Sets the timeout to connect, including TLS. Default 15 s.
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_timeout = limit;
        self
    }

    /// Sets the timeout from sending a call to the end of its response. Default 120 s. Waits
    /// for updates and transfers have their own limits.
    pub fn request_timeout(mut self, limit: Duration) -> Self {
        self.request_timeout = limit;
        self
    }

    /// Sets the longest pause in a transfer to or from a datastore. Default 60 s.
    pub fn idle_timeout(mut self, limit: Duration) -> Self {
        self.idle_timeout = limit;
        self
    }

    /// Sets the maximum number of concurrent calls. Default 16; at least 1.
    pub fn max_in_flight(mut self, calls: usize) -> Self {
        self.in_flight = calls.clamp(1, Semaphore::MAX_PERMITS);
        self
    }

    /// Sets the name by which the client identifies itself to the server.
    pub fn user_agent(mut self, name: impl Into<String>) -> Self {
        self.user_agent = name.into();
        self
    }

    /// Connects through this proxy, such as `http://proxy.example.com:3128`.
    /// Default: the proxy in the environment (`HTTPS_PROXY`, `NO_PROXY`).
    pub fn proxy(mut self, url: impl Into<String>) -> Self {
        self.proxy = Some(url.into());
        self
    }

    /// Sets limits on the size of responses.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets when a request is retried. The first request of a client is sent at most five
    /// times, so that a wrong address is reported soon.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    #[cfg(test)]
    pub(crate) fn transport(mut self, transport: Arc<dyn Transport>) -> Self {
        self.transport = Some(transport);
        self
    }

    /// Connects to the server: negotiates the API version, reads the service content and, with
    /// credentials, logs in.
    ///
    /// # Errors
    /// [`Error::Config`] for an address or option that cannot be used,
    /// [`Error::Transport`] for a server that cannot be reached, [`Error::Tls`]
    /// for one that is not trusted, [`Error::NotAuthenticated`] for a wrong password.
    pub async fn connect(self) -> Result<Client> {
        let (url, in_url) = address::parse(&self.url)?;
        let accepted = self.trust.accepted.clone();
        let transport = match self.transport {
            Some(transport) => transport,
            None => Arc::new(Http::new(&HttpOptions {
                trust: self.trust,
                connect_timeout: self.connect_timeout,
                user_agent: self.user_agent,
                proxy: self.proxy.as_deref().map(proxy).transpose()?,
            })?),
        };
        let credentials = self.credentials.or(in_url);
        let ticket = match &credentials {
            Some(Credentials::Session(ticket)) => Some(ticket),
            _ => None,
        };
        let client = Client::of(Inner {
            server: server_of(&url),
            session: Session::new(ticket),
            url,
            transport,
            accepted,
            credentials,
            version: OnceLock::new(),
            content: OnceLock::new(),
            slots: Semaphore::new(self.in_flight),
            options: Options {
                request_timeout: self.request_timeout,
                idle_timeout: self.idle_timeout,
                connect_timeout: self.connect_timeout,
                limits: self.limits,
                retry: self.retry,
            },
            operation_prefix: crate::retry::random_name(),
            operations: AtomicU64::new(1),
            engine: Handle::default(),
            stop: CancellationToken::new(),
            hook: Mutex::default(),
            known_hosts: KnownHosts::default(),
        });
        let version = client.negotiate().await?;
        // The cell cannot be set already, because no other code has this client yet.
        let _ = client.inner.version.set(version);
        let instance: Ref<mo::ServiceInstance> = Ref::new("ServiceInstance");
        let content = client.call(instance.retrieve_service_content()).await?;
        let _ = client.inner.content.set(content);
        client.log_in().await?;
        Ok(client)
    }
}

impl ClientBuilder {
    /// Connects, runs `work` and closes the client, whether the work succeeds or fails.
    ///
    /// Servers limit the number of sessions (to some hundreds per user) and keep an idle
    /// session for half an hour. Dropping the last clone of a client also ends its session,
    /// but only if the runtime lives long enough to log out. In a short program, it does not.
    ///
    /// ```no_run
    /// use vsphere_client::{Client, Error};
    ///
    /// # async fn example() -> Result<(), Error> {
    /// let name = Client::builder("https://root:secret@esx.example.com")
    ///     .scope(|client| async move {
    ///         let root = &client.service_content().root_folder;
    ///         client.get(root, vim25::props::folder::NAME).await
    ///     })
    ///     .await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`connect`](Self::connect) and of the work. A failure to close the client is
    /// only logged, because the server ends an idle session itself.
    pub async fn scope<R, E, W, O>(self, work: W) -> Result<R, E>
    where
        W: FnOnce(Client) -> O + Send,
        O: Future<Output = Result<R, E>> + Send,
        E: From<Error>,
    {
        let client = self.connect().await?;
        let done = work(client.clone()).await;
        if let Err(error) = client.close().await {
            tracing::debug!(server = client.server(), %error, "closing failed");
        }
        done
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = address::parse(&self.url);
        f.debug_struct("ClientBuilder")
            .field(
                "url",
                &address
                    .as_ref()
                    .map_or("(invalid)", |(url, _)| url.as_str()),
            )
            .field("credentials", &self.credentials)
            .field("pin", &self.trust.pin)
            .field("accept_invalid_certs", &self.trust.anything)
            .finish_non_exhaustive()
    }
}

fn proxy(text: &str) -> Result<Url> {
    Url::parse(text).map_err(|error| Error::Config {
        what: "the proxy is not an address: write http://host:port".into(),
        source: Some(error.into()),
    })
}

impl Client {
    /// Returns the newest version that both sides support.
    async fn negotiate(&self) -> Result<String> {
        let inner = &*self.inner;
        let mut url = inner.url.clone();
        url.set_path(&format!("{}/vimServiceVersions.xml", inner.url.path()));
        let limit = inner.options.request_timeout;
        // Limit the attempts, so that an unreachable server is reported soon.
        let mut policy = inner.options.retry;
        policy.attempts = policy.attempts.min(FIRST_ATTEMPTS);
        let mut backoff = Backoff::new(policy);
        loop {
            let ticket = inner.session.ticket();
            let request = Request {
                method: Method::GET,
                url: url.clone(),
                headers: Vec::new(),
                cookie: None,
                body: Body::Empty,
                limit: Some(limit),
            };
            match inner.answer(request, Some(ticket.generation), limit).await {
                Ok((200, bytes)) => return Ok(choose(&String::from_utf8_lossy(&bytes))),
                Ok(_) => return Ok(OLDEST.into()),
                Err(Failure::Status(400..=499, _)) => return Ok(OLDEST.into()),
                Err(failure) => {
                    if failure.is_passing() && backoff.again().await {
                        continue;
                    }
                    let operation = self.operation("connect", None);
                    return Err(inner.explain(operation, failure, true, limit));
                }
            }
        }
    }
}

/// Returns the newest of the server's versions that is not newer than our schema.
fn choose(xml: &str) -> String {
    let versions = parse_service_versions(xml, "urn:vim25").unwrap_or_default();
    let known = |text: &&String| {
        text.parse::<ApiVersion>()
            .is_ok_and(|version| version <= ApiVersion::LATEST)
    };
    let newest = versions
        .iter()
        .filter(known)
        .max_by_key(|text| text.parse::<ApiVersion>().ok());
    newest
        .or(versions.first())
        .cloned()
        .unwrap_or_else(|| OLDEST.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_common_version_is_spoken() {
        let xml = |versions: &[&str]| {
            let prior: String = versions
                .iter()
                .skip(1)
                .map(|v| format!("<version>{v}</version>"))
                .collect();
            format!(
                "<namespaces version=\"1.0\"><namespace><name>urn:vim25</name><version>{}</version>\
                 <priorVersions>{prior}</priorVersions></namespace>\
                 <namespace><name>urn:other</name><version>99</version></namespace></namespaces>",
                versions.first().unwrap_or(&"")
            )
        };
        assert_eq!(choose(&xml(&["6.5", "6.0", "5.5"])), "6.5");
        assert_eq!(choose(&xml(&["99.0.0.0", "8.0.3.0", "8.0.2.0"])), "8.0.3.0");
        assert_eq!(choose(&xml(&["99.0.0.0"])), "99.0.0.0");
        assert_eq!(choose("<html>"), OLDEST);
    }

    #[test]
    fn debug_hides_passwords() {
        let builder = Client::builder("https://root:sesame@esx")
            .credentials(Credentials::password("root", "hunter2"));
        let text = format!("{builder:?}");
        assert!(
            !text.contains("sesame") && !text.contains("hunter2"),
            "{text}"
        );
        assert!(text.contains("https://esx/sdk"), "{text}");
    }
}
