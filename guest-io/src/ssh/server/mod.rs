//! The guest's end of the multiplexed streams: an SSH server on a serial line.

mod attachment;
mod channel;
mod connection;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{oneshot, watch};

pub use attachment::{Attachment, Detached, Output, Stdin, StdinEvent};

use super::transport::{AtEnd, Transport};
use super::{ArchiveDirection, ClientPublicKey, PrivateKey, ReloadFailed, ReloadReport, Window};
use crate::handshake;

/// The sessions of a guest, used by the server.
///
/// The methods are called from within a connection and must not block: spawn a task
/// for longer work.
pub trait GuestSessions: fmt::Debug + Send + Sync + 'static {
    /// Returns the ids of the existing sessions, started or not.
    fn ids(&self) -> Vec<String>;

    /// Attaches the host to a session, which may not have started yet.
    ///
    /// The session sends its output to [`Attachment::output`] and reads its input from
    /// [`Attachment::stdin`], until either reports that the host has detached. A session may be
    /// attached to more than once.
    ///
    /// # Errors
    ///
    /// [`Refused`] if the session does not exist or does not allow attachments.
    fn attach(&self, id: &str, attachment: Attachment) -> Result<(), Refused>;

    /// Executes a request for a session; returns whether it was executed.
    fn request(&self, id: &str, request: Request) -> bool;

    /// Reads the keys of the machine again, and responds with what was done. The default refuses.
    ///
    /// # Errors
    ///
    /// [`Refused`] if the guest cannot do that.
    fn reload(&self, _reply: ReloadReply) -> Result<(), Refused> {
        Err(Refused)
    }

    /// Transfers a [tar archive](super#archives) out of the container, to
    /// [`Attachment::output`], or into it, from [`Attachment::stdin`]. The end is reported by
    /// [`Output::finish`]. When the host detaches, the transfer ends. The default refuses.
    ///
    /// # Errors
    ///
    /// [`Refused`] if the guest cannot do that.
    fn archive(&self, _archive: Archive, _attachment: Attachment) -> Result<(), Refused> {
        Err(Refused)
    }
}

/// An archive to transfer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Archive {
    /// The direction.
    pub direction: ArchiveDirection,
    /// The absolute path in the container: what is transferred out of it, or the directory into
    /// which the archive is unpacked.
    pub path: String,
}

/// Responds to a request to read the keys again. Dropping it responds with a failure.
#[derive(Debug)]
pub struct ReloadReply(oneshot::Sender<Result<ReloadReport, ReloadFailed>>);

impl ReloadReply {
    /// Sends the response. A host that no longer waits is ignored.
    pub fn send(self, response: Result<ReloadReport, ReloadFailed>) {
        let _ = self.0.send(response);
    }
}

/// The error when the guest refuses to attach the host to a session, or another request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the guest does not have this session or does not support this request")]
pub struct Refused;

/// A request of the host to a session.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Request {
    /// The host's terminal has this size.
    Resize(Window),
    /// A signal to deliver: a name without `SIG`, such as `TERM`, or a number as text.
    Signal(String),
    /// A client has attached, so a session that waits for one may start. Can occur repeatedly.
    Unblock,
}

/// An SSH server for the lines of a guest.
///
/// Cheap to clone; all clones serve one connection at a time.
#[derive(Debug, Clone)]
pub struct Server {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    config: Arc<russh::server::Config>,
    client: ClientPublicKey,
    sessions: Arc<dyn GuestSessions>,
    dialect: Option<handshake::Dialect>,
    /// The number of lines that were served; a new line replaces the current one.
    turn: watch::Sender<u64>,
}

impl Server {
    /// Creates a server that authenticates with `host_key` and accepts only `client`, with the
    /// handshake of VIC 1.x on each connection.
    pub fn new(
        host_key: PrivateKey,
        client: ClientPublicKey,
        sessions: Arc<dyn GuestSessions>,
    ) -> Self {
        let config = russh::server::Config {
            server_id: russh::SshId::Standard("SSH-2.0-VIC".into()),
            methods: russh::MethodSet::from(&[russh::MethodKind::PublicKey][..]),
            auth_rejection_time: Duration::from_millis(200),
            auth_rejection_time_initial: Some(Duration::ZERO),
            keys: vec![host_key.inner().clone()],
            preferred: super::preferred(),
            max_auth_attempts: 3,
            inactivity_timeout: None,
            keepalive_interval: Some(Duration::from_secs(15)),
            keepalive_max: 3,
            ..Default::default()
        };
        Self {
            shared: Arc::new(Shared {
                config: Arc::new(config),
                client,
                sessions,
                dialect: Some(handshake::Dialect::Vic1),
                turn: watch::Sender::new(0),
            }),
        }
    }

    /// Sets the variant of the handshake; with `None`, the stream carries SSH from its
    /// first byte, for lines that neither lose data nor outlive a connection.
    ///
    /// # Panics
    ///
    /// Panics if the server was cloned before.
    #[must_use]
    pub fn handshake(mut self, dialect: impl Into<Option<handshake::Dialect>>) -> Self {
        Arc::get_mut(&mut self.shared)
            .expect("the server is configured before it is cloned")
            .dialect = dialect.into();
        self
    }

    /// Serves one line until it ends: one connection after another, each with its
    /// handshake. A failed connection is logged and followed by the next.
    ///
    /// Serving another line ends this one. Dropping the future closes the current
    /// connection; its attachments report that the host has detached.
    ///
    /// # Errors
    ///
    /// Fails with the error of the stream. The end of the stream is not an error.
    pub async fn serve<S>(&self, stream: S) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut turn = self.shared.turn.subscribe();
        self.shared.turn.send_modify(|turn| *turn += 1);
        let _ours = *turn.borrow_and_update();
        let transport = Transport::new(stream);
        tokio::select! {
            result = self.serve_connections(&transport) => result,
            _ = turn.changed() => Ok(()),
        }
    }

    async fn serve_connections<S>(&self, transport: &Transport<S>) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        loop {
            if let Some(dialect) = self.shared.dialect
                && !answer(transport, dialect).await?
            {
                return Ok(());
            }
            let lease = transport.lend(match self.shared.dialect {
                Some(_) => AtEnd::Keep,
                None => AtEnd::ShutDown,
            });
            if let Err(error) = connection::run(&self.shared, lease).await {
                tracing::debug!(%error, "a connection on the line has ended");
            }
            transport.take_back();
            if self.shared.dialect.is_none() {
                return Ok(());
            }
        }
    }
}

/// Completes the handshake with a host; returns `false` at the end of the stream.
async fn answer<S>(transport: &Transport<S>, dialect: handshake::Dialect) -> io::Result<bool>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut server = handshake::Server::new(dialect, super::random_byte());
    let mut buffer = [0; 1024];
    while !server.is_done() {
        let n = transport.read(&mut buffer).await?;
        if n == 0 {
            return Ok(false);
        }
        match server.receive(&buffer[..n]) {
            Ok(used) => {
                transport.write(&server.take_output()).await?;
                transport.put_back(&buffer[used..n]);
            }
            Err(error) => {
                tracing::debug!(%error, "the handshake is restarted");
                server = handshake::Server::new(dialect, super::random_byte());
                // Limits the CPU time that a flooded line can use.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    Ok(true)
}
