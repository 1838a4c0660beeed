//! The server for the serial lines of containers.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use guest_io::ssh::client::{ConnectError, Connector, Session};
use guest_io::ssh::{Fingerprint, PrivateKey};
use tokio::net::{TcpListener, TcpStream, ToSocketAddrs};
use tokio::sync::{Semaphore, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep};
use vim25::{Ref, mo};

use super::hub::Hub;
use crate::vsphere::exec::VsphereExec;
use crate::vsphere::line_keys;
use crate::{ContainerId, Error, Result};

/// Default of [`LineServer::unknown_key_timeout`].
const UNKNOWN: Duration = Duration::from_secs(10);

/// Default of [`LineServer::connect_timeout`].
const CONNECT: Duration = Duration::from_secs(50);

/// Minimum time between two scans of all machines for an unknown key.
const SCAN: Duration = Duration::from_millis(500);

/// Delay after an error of the listener, and minimum time between two warnings about lines.
const PAUSE: Duration = Duration::from_millis(200);

/// Maximum number of connected lines.
const LINES: usize = 4096;

/// The server for the serial lines of a host's containers. It runs in the host's appliance, or
/// anywhere else that the endpoint's hosts can reach.
///
/// A container's serial port connects to the address that was specified when the host was
/// installed. The connection is plain TCP, over which the guest's handshake and then SSH run. The
/// container is identified only by the host key that the guest proves to have. Every process in a
/// container can read that key, so the key identifies the machine, not a program in it.
#[derive(Debug)]
pub struct LineServer {
    listener: TcpListener,
    unknown_key_timeout: Duration,
    connect_timeout: Duration,
    handshake_timeout: Option<Duration>,
    answer_timeout: Option<Duration>,
}

impl LineServer {
    /// Listens on an address.
    ///
    /// # Errors
    /// The error of the operating system, for example if the address is not available.
    pub async fn bind(address: impl ToSocketAddrs) -> io::Result<Self> {
        Ok(Self {
            listener: TcpListener::bind(address).await?,
            unknown_key_timeout: UNKNOWN,
            connect_timeout: CONNECT,
            handshake_timeout: None,
            answer_timeout: None,
        })
    }

    /// Sets how long a guest may wait whose host key belongs to no container, because its container
    /// may still be in creation, or another program may have just created it. Then its line is
    /// closed. Default: 10 seconds.
    #[must_use]
    pub fn unknown_key_timeout(mut self, timeout: Duration) -> Self {
        self.unknown_key_timeout = timeout;
        self
    }

    /// Sets how long a client that attaches to a running container waits for the container's line.
    /// Default: 50 seconds, as in VIC.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets how long a guest may take for the handshake on a new line. Default: 3 minutes, because
    /// the line exists long before the agent runs.
    #[must_use]
    pub fn handshake_timeout(mut self, timeout: Duration) -> Self {
        self.handshake_timeout = Some(timeout);
        self
    }

    /// Sets how long a connected guest may take to answer a request, such as one to attach. Then its
    /// line is closed. Default: 1 minute.
    #[must_use]
    pub fn answer_timeout(mut self, timeout: Duration) -> Self {
        self.answer_timeout = Some(timeout);
        self
    }

    fn connector(&self, key: PrivateKey) -> Connector {
        let mut connector = Connector::new(key);
        if let Some(timeout) = self.handshake_timeout {
            connector = connector.handshake_timeout(timeout);
        }
        if let Some(timeout) = self.answer_timeout {
            connector = connector.answer_timeout(timeout);
        }
        connector
    }

    /// Returns the address that the server listens on.
    ///
    /// # Errors
    /// The error of the operating system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// The lines of one host's containers. Dropping this value closes all lines, and ends the output of
/// the attached clients with an error.
#[derive(Debug)]
pub(super) struct Lines {
    pub(super) registry: Arc<Registry>,
    accepting: AbortHandle,
}

impl Lines {
    pub(super) fn serve(exec: VsphereExec, server: LineServer) -> Result<Self> {
        let host = exec.objects().host();
        let key = exec.objects().defaults.client_key.as_ref().ok_or_else(|| {
            Error::internal(
                host.clone(),
                "it was installed without a key for serial lines",
            )
        })?;
        let key = PrivateKey::from_openssh(&key.0).map_err(|error| Error::internal(host, error))?;
        let registry = Arc::new(Registry {
            exec,
            connector: server.connector(key),
            unknown_key_timeout: server.unknown_key_timeout,
            connect_timeout: server.connect_timeout,
            refused: Mutex::default(),
            known: Mutex::default(),
            scanning: tokio::sync::Mutex::new(None),
            containers: Mutex::default(),
        });
        let accepting = tokio::spawn(accept(Arc::clone(&registry), server.listener));
        Ok(Self {
            registry,
            accepting: accepting.abort_handle(),
        })
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.accepting.abort();
        for hub in lock(&self.registry.containers).values() {
            hub.set_line(Line::Closed);
        }
    }
}

/// The machines by the fingerprints of their keys. Several machines have the same key only if a
/// machine was cloned.
type Known = HashMap<Fingerprint, Vec<(Ref<mo::VirtualMachine>, ContainerId)>>;

/// The known lines and their containers.
#[derive(Debug)]
pub(super) struct Registry {
    pub(super) exec: VsphereExec,
    connector: Connector,
    unknown_key_timeout: Duration,
    pub(super) connect_timeout: Duration,
    /// The line that was refused last.
    refused: Mutex<Option<RefusedLine>>,
    known: Mutex<Known>,
    /// The time of the last scan of all machines.
    scanning: tokio::sync::Mutex<Option<Instant>>,
    containers: Mutex<HashMap<ContainerId, Arc<Hub>>>,
}

/// The line of a container.
#[derive(Clone, Debug, Default)]
pub(super) enum Line {
    /// The line is not connected.
    #[default]
    Absent,
    /// The line is connected, and its guest has proved that it has the key.
    Connected(Session),
    /// The line is refused, because two machines have the same key.
    Barred,
    /// The line server was closed, so no line will be connected.
    Closed,
}

/// A line that was refused. Its container is unknown, because its guest has not proved to have a key.
#[derive(Debug)]
struct RefusedLine {
    at: Instant,
    reason: String,
}

/// Closes a line when it is dropped, even if clients are attached over it.
struct Open(Session);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The owner of a key.
enum Owner {
    Nobody,
    Container(ContainerId),
    /// Several machines have the key.
    Several(Vec<ContainerId>),
}

impl Registry {
    /// Returns the streams of a container.
    pub(super) fn hub(self: &Arc<Self>, id: ContainerId) -> Arc<Hub> {
        let mut containers = lock(&self.containers);
        // Drop the entries that have neither clients nor a line.
        if containers.len() > 2 * LINES {
            containers.retain(|_, hub| Arc::strong_count(hub) > 1 || hub.is_in_use());
        }
        let hub = containers
            .entry(id)
            .or_insert_with(|| Arc::new(Hub::new(id, self.exec.clone())));
        Arc::clone(hub)
    }

    /// Records a line that was refused. Guests can cause any number of them, so only one per
    /// [`PAUSE`] is a warning.
    fn refuse(&self, peer: SocketAddr, error: &ConnectError) {
        let (at, reason) = (Instant::now(), chain(error));
        if let ConnectError::Line(_) = error {
            tracing::debug!(%peer, reason, "lost a serial line");
            return;
        }
        let refused = RefusedLine {
            at,
            reason: reason.clone(),
        };
        let before = lock(&self.refused).replace(refused);
        if before.is_none_or(|before| at - before.at >= PAUSE) {
            tracing::warn!(%peer, reason, "refused a serial line");
        } else {
            tracing::debug!(%peer, reason, "refused a serial line");
        }
    }

    /// Returns the reason why a line was refused, if that was after `since`.
    pub(super) fn refused_since(&self, since: Instant) -> Option<String> {
        let refused = lock(&self.refused);
        let refused = refused.as_ref().filter(|refused| refused.at >= since);
        refused.map(|refused| refused.reason.clone())
    }

    fn owner(&self, fingerprint: Fingerprint) -> Owner {
        match lock(&self.known).get(&fingerprint).map(Vec::as_slice) {
            None | Some([]) => Owner::Nobody,
            Some([(_, id)]) => Owner::Container(*id),
            Some(several) => Owner::Several(several.iter().map(|(_, id)| *id).collect()),
        }
    }

    /// Reads all machines, unless another caller has done so since that time.
    async fn scan(&self, since: Instant) -> Result<()> {
        let mut scanned = self.scanning.lock().await;
        if scanned.is_some_and(|at| at >= since) {
            return Ok(());
        }
        let started = Instant::now();
        let mut known: HashMap<_, Vec<_>> = HashMap::new();
        for machine in self.exec.containers().await? {
            let Some(fingerprint) = line_keys::fingerprint(&machine.keys.unpack()) else {
                continue;
            };
            if let Some(Ok(id)) = machine.container() {
                known
                    .entry(fingerprint)
                    .or_default()
                    .push((machine.vm.clone(), id));
            }
        }
        *lock(&self.known) = known;
        *scanned = Some(started);
        Ok(())
    }

    /// Returns whether a guest with this host key belongs to a container of this host.
    async fn recognize(self: Arc<Self>, fingerprint: Fingerprint) -> bool {
        let begun = Instant::now();
        let mut look = begun;
        loop {
            match self.owner(fingerprint) {
                Owner::Container(id) => {
                    // A second line with the same key may come from a cloned machine.
                    if look == begun
                        && self.hub(id).is_connected()
                        && let Err(error) = self.scan(begun).await
                    {
                        tracing::warn!(container = %id, %error, "cannot verify the guest on a line");
                        return false;
                    }
                    match self.owner(fingerprint) {
                        Owner::Several(_) => {}
                        _ => return true,
                    }
                }
                Owner::Several(_) => {}
                Owner::Nobody => {
                    if let Err(error) = self.scan(look).await {
                        tracing::debug!(%error, "the containers could not be read");
                    }
                    if let Owner::Nobody = self.owner(fingerprint) {
                        let left = self.unknown_key_timeout.saturating_sub(begun.elapsed());
                        if left.is_zero() {
                            return false;
                        }
                        sleep(SCAN.min(left)).await;
                        look = Instant::now();
                    }
                    continue;
                }
            }
            if let Owner::Several(ids) = self.owner(fingerprint) {
                tracing::warn!(%fingerprint, ?ids, "several machines have the same key: their lines are refused");
                for id in ids {
                    self.hub(id).set_line(Line::Barred);
                }
                return false;
            }
        }
    }

    /// Serves one line until it ends.
    async fn serve(self: Arc<Self>, stream: TcpStream) -> Result<(), ConnectError> {
        let _ = stream.set_nodelay(true);
        let registry = Arc::clone(&self);
        let recognize = move |fingerprint| async move { registry.recognize(fingerprint).await };
        // Boxed, because it is large, and most of the time the task only waits for the end.
        let session = Box::pin(self.connector.connect(stream, recognize)).await?;
        let Owner::Container(id) = self.owner(session.fingerprint()) else {
            return Ok(());
        };
        let _open = Open(session.clone());
        let hub = self.hub(id);
        tracing::debug!(container = %id, "the line of a container was connected");
        hub.set_line(Line::Connected(session.clone()));
        session.closed().await;
        hub.line_closed(&session);
        match session.close_reason() {
            Some(error) if matches!(*error, ConnectError::Ssh(_)) => {
                let reason = chain(&*error);
                tracing::warn!(container = %id, reason, "the guest broke the line of a container");
            }
            _ => tracing::debug!(container = %id, "the line of a container was closed"),
        }
        Ok(())
    }
}

async fn accept(registry: Arc<Registry>, listener: TcpListener) {
    let slots = Arc::new(Semaphore::new(LINES));
    let mut lines = JoinSet::new();
    loop {
        while lines.try_join_next().is_some() {}
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
            return;
        };
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a serial line");
                sleep(PAUSE).await;
                continue;
            }
        };
        let registry = Arc::clone(&registry);
        lines.spawn(async move {
            if let Err(error) = Arc::clone(&registry).serve(stream).await {
                registry.refuse(peer, &error);
            }
            drop(slot);
        });
    }
}

/// Returns an error with its sources.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

/// The sender that publishes the state of a line.
pub(super) type LineWatch = watch::Sender<Line>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
