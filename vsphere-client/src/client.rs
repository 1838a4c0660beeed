//! The client, which is a connection to one server as one user.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use url::Url;
use vim25::types::{InvalidLogin, ServiceContent};
use vim25::{Any, AnyRef, Call, Fault, Limits, ManagedObject, Outcome, Ref, mo};

use crate::address;
use crate::builder::ClientBuilder;
use crate::call_class::CallClass;
use crate::credentials::Credentials;
use crate::datastore::KnownHosts;
use crate::error::{Error, LoginProblem, Operation, Result};
use crate::retry::RetryPolicy;
use crate::session::Session;
use crate::tls::Accepted;
use crate::transport::Transport;
use crate::update::Handle;

/// A connection to an ESXi host or vCenter as one user.
///
/// Cheap to clone; all clones share connections, session and limits. Every
/// method may be called concurrently, and every future may be dropped: a request
/// that was already sent continues on the server.
///
/// Waits have no timeout of their own: wrap them in [`tokio::time::timeout`].
///
/// ```no_run
/// use vim25::{Ref, mo, props};
/// use vsphere_client::{Client, Credentials, Result};
///
/// # async fn example() -> Result<()> {
/// Client::builder("https://esx.example.com")
///     .credentials(Credentials::password("root", "secret"))
///     .thumbprint("30:3D:4D:…".parse()?)
///     .scope(|client| async move {
///         let vm: Ref<mo::VirtualMachine> = Ref::new("42");
///         let name = client.get(&vm, props::virtual_machine::NAME).await?;
///         client.run(vm.power_on_vm(None)).await
///     })
///     .await
/// # }
/// ```
#[derive(Clone)]
pub struct Client {
    pub(crate) inner: Arc<Inner>,
    /// `None` in the client's background task, which must not keep the session open.
    _owner: Option<Arc<Owner>>,
    /// Whether calls log in again when the session is lost, and wait while another call logs
    /// in.
    pub(crate) logs_in: bool,
}

/// Logs out on drop, which happens when the user drops the last clone.
struct Owner {
    inner: Arc<Inner>,
}

/// A hook that is called after every login except the first.
pub(crate) type Hook =
    Arc<dyn Fn(Client) -> Pin<Box<dyn Future<Output = Result<()>> + Send>> + Send + Sync>;

/// The state that all clones share.
pub(crate) struct Inner {
    pub url: Url,
    /// The server, as `host:port`.
    pub server: String,
    pub transport: Arc<dyn Transport>,
    /// The certificate of the server.
    pub accepted: Accepted,
    pub credentials: Option<Credentials>,
    pub session: Session,
    /// The API version that requests contain in `SOAPAction`.
    pub version: OnceLock<String>,
    pub content: OnceLock<ServiceContent>,
    pub slots: Semaphore,
    pub options: Options,
    /// Distinguishes the operations of this client from those of others in the server's logs.
    pub operation_prefix: String,
    pub operations: std::sync::atomic::AtomicU64,
    pub engine: Handle,
    /// Stops the update engine.
    pub stop: CancellationToken,
    pub hook: Mutex<Option<Hook>>,
    /// The hosts for direct transfers.
    pub known_hosts: KnownHosts,
}

/// The limits and policies of a client.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub request_timeout: Duration,
    pub idle_timeout: Duration,
    pub connect_timeout: Duration,
    pub limits: Limits,
    pub retry: RetryPolicy,
}

impl Client {
    pub(crate) fn of(inner: Inner) -> Self {
        let inner = Arc::new(inner);
        let owner = Arc::new(Owner {
            inner: Arc::clone(&inner),
        });
        Self {
            inner,
            _owner: Some(owner),
            logs_in: true,
        }
    }

    /// Returns a clone that does not keep the session open.
    pub(crate) fn unowned(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            _owner: None,
            logs_in: self.logs_in,
        }
    }

    /// Creates a builder for the server at `url`, such as `https://esx.example.com`.
    ///
    /// The scheme is required; a missing path means `/sdk`; user and password
    /// in the address are used as credentials and never shown. An invalid address is
    /// reported by [`ClientBuilder::connect`].
    pub fn builder(url: impl Into<String>) -> ClientBuilder {
        ClientBuilder::new(url.into())
    }

    /// Sends a call, or the call of a builder, and returns its result. A method that
    /// starts a task returns the task; [`run`](Self::run) also waits for its end.
    ///
    /// Some servers omit required fields: such incomplete values inside the result are left
    /// out of it; see [`Any::get_lenient`]. For strict conversion, send [`Call::untyped`] and
    /// convert the result with [`Any::get`].
    ///
    /// Dropping the future does not cancel a call that was already sent.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn call<R: Outcome>(&self, call: impl Into<Call<R>> + Send) -> Result<R> {
        let call = call.into();
        let value = self.call_any(call.untyped()).await?;
        // The effect of a task is awaited with its end.
        if CallClass::of(call.method()) == CallClass::Change && !is_task(&value) {
            self.settle(call.this()).await;
        }
        let operation = self.operation(call.method(), Some(call.this()));
        match R::from_value_lenient(&value) {
            Ok(read) => {
                for error in &read.left_out {
                    tracing::debug!(%operation, %error, "an incomplete value is left out");
                }
                Ok(read.value)
            }
            Err(error) => Err(Error::unconvertible(&operation, error)),
        }
    }

    /// Sends a call whose result must be complete, for internal use.
    pub(crate) async fn call_strict<R: Outcome>(&self, call: Call<R>) -> Result<R> {
        let value = self.call_any(call.untyped()).await?;
        R::from_value(&value).map_err(|error| {
            Error::unconvertible(&self.operation(call.method(), Some(call.this())), error)
        })
    }

    /// Sends a call and returns its result unconverted.
    pub(crate) async fn call_any(&self, call: Call<Option<Any>>) -> Result<Any> {
        let limit = self.inner.options.request_timeout;
        Box::pin(self.exchange(&call, limit)).await
    }

    /// Sends a call that the server may keep open for `wait` before it responds.
    pub(crate) async fn call_slow(&self, call: Call<Option<Any>>, wait: Duration) -> Result<Any> {
        let limit = wait + self.inner.options.request_timeout;
        Box::pin(self.exchange(&call, limit)).await
    }

    /// Returns the service content: the server's managers, root folder and version.
    #[must_use]
    pub fn service_content(&self) -> &ServiceContent {
        // Never used: the content is set before a client is returned to the user.
        static NOTHING: OnceLock<ServiceContent> = OnceLock::new();
        self.inner
            .content
            .get()
            .unwrap_or_else(|| NOTHING.get_or_init(ServiceContent::default))
    }

    /// Returns whether the server is a vCenter; otherwise it is an ESXi host.
    #[must_use]
    pub fn is_vcenter(&self) -> bool {
        self.service_content().about.api_type == "VirtualCenter"
    }

    /// Returns the API version that client and server agreed on, such as `8.0.3.0`.
    #[must_use]
    pub fn api_version(&self) -> &str {
        self.inner.version.get().map_or("", String::as_str)
    }

    /// Returns the server as `host:port`.
    #[must_use]
    pub fn server(&self) -> &str {
        &self.inner.server
    }

    /// Returns the certificate that the server presented when a connection was last opened, in DER
    /// form; `None` if the connections are not made by this client. With
    /// [`danger_accept_invalid_certs`](ClientBuilder::danger_accept_invalid_certs), nobody has
    /// verified it.
    #[must_use]
    pub fn server_certificate(&self) -> Option<Vec<u8>> {
        self.inner.accepted.get()
    }

    /// Sets a hook that is called after every login except the first, before refused calls are
    /// retried and before any other call of this client is sent.
    ///
    /// A program that was the only writer when it first logged in may have lost this role
    /// before a later login; use the hook to check. The hook receives a client for its own
    /// calls. If the hook fails, the calls that waited for it fail with its error, the session
    /// is closed, and the next call logs in and calls the hook again. A later hook replaces an
    /// earlier one.
    ///
    /// Inside the hook, only use the client that it receives. Calls of any other clone wait
    /// until the hook returns, so they would deadlock.
    pub fn on_login_again<F, O>(&self, hook: F)
    where
        F: Fn(Self) -> O + Send + Sync + 'static,
        O: Future<Output = Result<()>> + Send + 'static,
    {
        let hook: Hook = Arc::new(move |client| Box::pin(hook(client)));
        *self
            .inner
            .hook
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(hook);
    }

    /// Calls the hook, which decides whether the new session may be used.
    pub(crate) async fn ask_hook(&self) -> Result<()> {
        let hook = self
            .inner
            .hook
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let Some(hook) = hook else { return Ok(()) };
        let mut client = self.unowned();
        client.logs_in = false;
        let Err(error) = hook(client).await else {
            return Ok(());
        };
        tracing::debug!(server = %self.inner.server, %error, "the hook refuses the new session");
        let cookie = self.inner.session.ticket().cookie;
        self.inner.session.forget();
        if let (Some(cookie), Some(manager)) =
            (cookie, self.service_content().session_manager.as_ref())
        {
            let _ = self.inner.log_out(manager.logout().untyped(), cookie).await;
        }
        Err(error)
    }

    /// Leaves the session open for another program, and returns the session's ticket for
    /// [`Credentials::session`]. This client can still be used, but closing or dropping it no
    /// longer logs out. Returns `None` if there is no session.
    ///
    /// With a ticket, a program that runs every minute need not log in each time. Anyone who has
    /// the ticket acts as the user, so protect it like a password.
    #[must_use = "without the ticket, nobody can end the session"]
    pub fn hand_over(&self) -> Option<SecretString> {
        self.inner.session.hand_over()
    }

    /// Logs out, which also frees the resources of the session on the server. Closes all
    /// clones. Idempotent.
    ///
    /// A session that was opened from a ticket stays open.
    ///
    /// # Errors
    /// See [`Error`]; the client is closed in any case.
    pub async fn close(&self) -> Result<()> {
        if !self.inner.session.is_own() {
            // If the session stays open, the engine's objects on the server must be freed one
            // by one.
            self.close_engine().await;
        }
        let cookie = self.inner.session.close();
        self.inner.stop.cancel();
        let Some(cookie) = cookie else {
            return Ok(());
        };
        match self.service_content().session_manager.as_ref() {
            Some(manager) => self.inner.log_out(manager.logout().untyped(), cookie).await,
            None => Ok(()),
        }
    }

    /// Logs in, for the first time or again.
    pub(crate) async fn log_in(&self) -> Result<()> {
        let manager = self.service_content().session_manager.as_ref();
        let (Some(Credentials::Password { user, password }), Some(manager)) =
            (&self.inner.credentials, manager)
        else {
            return Ok(());
        };
        let call = manager.login(user, password.expose_secret(), None);
        let limit = self.inner.options.request_timeout;
        match Box::pin(self.exchange(&call.untyped(), limit)).await {
            Ok(_) => {
                self.inner.session.opened();
                tracing::debug!(server = %self.inner.server, user, "logged in");
                Ok(())
            }
            Err(Error::Fault { source, .. }) if source.is::<InvalidLogin>() => Err(self
                .not_authenticated(
                    &self.operation(&format!("login as {user:?}"), None),
                    LoginProblem::WrongPassword,
                    Some(*source),
                )),
            Err(other) => Err(other),
        }
    }

    pub(crate) fn not_authenticated(
        &self,
        operation: &Operation,
        problem: LoginProblem,
        fault: Option<Fault>,
    ) -> Error {
        Error::NotAuthenticated {
            operation: operation.clone(),
            problem,
            source: fault.map(Box::new),
        }
    }

    pub(crate) fn operation(&self, operation: &str, object: Option<&AnyRef>) -> Operation {
        Operation::new(operation, object, &self.inner.server)
    }

    pub(crate) fn property_collector(&self) -> &Ref<mo::PropertyCollector> {
        &self.service_content().property_collector
    }

    /// Sends a call in the background and ignores its outcome, if there is a runtime.
    pub(crate) fn call_later<R: 'static>(&self, call: &Call<R>) {
        if self.inner.session.is_closed() {
            return;
        }
        let (client, call) = (self.clone(), call.untyped());
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if let Err(error) = client.call_any(call).await {
                    tracing::debug!(%error, "cleaning up on the server failed");
                }
            });
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("url", &self.inner.url.as_str())
            .field("credentials", &self.inner.credentials)
            .field("session", &self.inner.session)
            .field("version", &self.api_version())
            .finish_non_exhaustive()
    }
}

impl Drop for Owner {
    /// Logs out in the background, if there is a runtime.
    fn drop(&mut self) {
        let inner = &self.inner;
        if !inner.session.is_own() {
            // Without a logout, the engine frees its objects on the server.
            inner.stop.cancel();
            return;
        }
        let manager = inner
            .content
            .get()
            .and_then(|content| content.session_manager.clone());
        let cookie = inner.session.close();
        inner.stop.cancel();
        let (Some(cookie), Some(manager)) = (cookie, manager) else {
            return;
        };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let sending = inner.prepare_log_out(&manager.logout().untyped(), cookie);
        let transport = Arc::clone(&inner.transport);
        if let Some(request) = sending {
            runtime.spawn(async move {
                let _ = transport.send(request).await;
            });
        }
    }
}

fn is_task(value: &Any) -> bool {
    let reference = value.node().as_reference();
    reference.is_some_and(|(type_name, _)| type_name == mo::Task::NAME)
}

/// Returns `host:port` of an address.
pub(crate) fn server_of(url: &Url) -> String {
    address::authority(url)
}
