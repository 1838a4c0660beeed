//! The host's end of the multiplexed streams: an SSH client on a serial line.

mod archive;
mod attach;
mod requests;

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use russh::client::{Config, DisconnectReason, Handle, Handler};
use russh::keys::{PrivateKeyWithHashAlg, PublicKeyOrCertificate};
use russh::{ChannelMsg, Disconnect};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

pub use archive::{ArchiveCause, ArchiveError, ArchiveIn, ArchiveOut};
pub use attach::{Attach, Control, Event, Input, Output};

use super::reload::one_line;
use super::transport::{AtEnd, Transport};
use super::{
    ArchiveDirection, Fingerprint, PrivateKey, ReloadFailed, ReloadReport, Subsystem, USER,
};
use crate::handshake;

/// The reason why connecting to a guest failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The line was lost.
    #[error("the serial line was lost")]
    Line(#[source] io::Error),
    /// The guest did not respond in time.
    #[error("the guest has not responded within {after:?} ({phase})")]
    Timeout {
        /// The timeout.
        after: Duration,
        /// The step for which the host waited: the handshake, or a step of SSH.
        phase: &'static str,
    },
    /// The guest did not complete the handshake.
    #[error("the guest does not answer the handshake")]
    Handshake(#[source] handshake::HandshakeError),
    /// The host key was refused by the caller.
    #[error("no machine has the host key {fingerprint}")]
    UnknownHostKey {
        /// The key's fingerprint; the guest has proved to have the key.
        fingerprint: Fingerprint,
    },
    /// The guest rejected the client key.
    #[error("the guest does not accept the host's client key")]
    Denied,
    /// The guest violated the SSH protocol. The reason may contain what the guest sent; it is one line
    /// of at most 1 KiB.
    #[error("the ssh connection to the guest failed")]
    Ssh(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The reason why a request to a connected guest failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The line was lost before the guest responded.
    #[error("the serial line was lost")]
    Lost,
    /// The guest refused: the session does not exist or does not allow attachments.
    #[error("the guest refuses the request")]
    Refused,
    /// The response of the guest is invalid.
    #[error("the guest's response is invalid")]
    Invalid,
    /// The guest is connected, but did not answer the request in time.
    #[error("the guest has not answered within {after:?}")]
    NoAnswer {
        /// The timeout.
        after: Duration,
    },
    /// The line is stalled, and too many requests wait already.
    #[error("the line is stalled, and too many requests wait for it")]
    Busy,
    /// The session id is empty, too long, or contains a blank.
    #[error("the session id is invalid")]
    Id,
    /// The path is not absolute, is too long, or contains a NUL.
    #[error("the path is not absolute, is too long, or contains a NUL")]
    Path,
}

/// The reason why a guest was not made to read its keys again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReloadError {
    /// The request was refused, or the line was lost.
    #[error("the request to read the keys again was not executed")]
    Session(#[source] SessionError),
    /// The guest reported a failure.
    #[error(transparent)]
    Failed(#[from] ReloadFailed),
}

/// Connects to guests, using the client key of a host.
#[derive(Debug, Clone)]
pub struct Connector {
    key: PrivateKey,
    handshake: bool,
    handshake_timeout: Duration,
    retry: Duration,
    ssh_timeout: Duration,
    answer_timeout: Duration,
    config: Arc<Config>,
}

impl Connector {
    /// Creates a connector that authenticates with `key`. It waits 3 minutes for the handshake,
    /// because the line exists long before the agent runs, 30 seconds for each step of SSH, and a
    /// minute for each answer after that.
    pub fn new(key: PrivateKey) -> Self {
        let config = Config {
            client_id: russh::SshId::Standard("SSH-2.0-VIC".into()),
            preferred: super::preferred(),
            keepalive_interval: Some(Duration::from_secs(15)),
            keepalive_max: 3,
            ..Default::default()
        };
        Self {
            key,
            handshake: true,
            handshake_timeout: Duration::from_secs(180),
            retry: Duration::from_secs(1),
            ssh_timeout: Duration::from_secs(30),
            answer_timeout: Duration::from_secs(60),
            config: Arc::new(config),
        }
    }

    /// Sets how long the guest may take for the handshake.
    #[must_use]
    pub fn handshake_timeout(mut self, timeout: Duration) -> Self {
        self.handshake_timeout = timeout;
        self
    }

    /// Sets how long the guest may take for SSH's key exchange, and how long for the login. The time
    /// to decide about the host key does not count.
    #[must_use]
    pub fn ssh_timeout(mut self, timeout: Duration) -> Self {
        self.ssh_timeout = timeout;
        self
    }

    /// Sets how long a connected guest may take to answer a request, and how long the transfer of an
    /// archive may pause because of the guest. The requests of a guest that still answers SSH's own
    /// messages, but nothing else, then end with [`SessionError::NoAnswer`].
    #[must_use]
    pub fn answer_timeout(mut self, timeout: Duration) -> Self {
        self.answer_timeout = timeout;
        self
    }

    /// Uses SSH from the first byte, for lines without a handshake.
    #[must_use]
    pub fn without_handshake(mut self) -> Self {
        self.handshake = false;
        self
    }

    /// Connects over a line. `recognize` decides whether to accept the guest's host key, which
    /// the guest has already proved to have; it may take any time.
    ///
    /// Dropping the future closes the line.
    ///
    /// # Errors
    ///
    /// [`ConnectError`]; the stream is then closed.
    pub async fn connect<S, F, Fut>(&self, stream: S, recognize: F) -> Result<Session, ConnectError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        F: FnOnce(Fingerprint) -> Fut + Send + 'static,
        Fut: Future<Output = bool> + Send + 'static,
    {
        let transport = Transport::new(stream);
        if self.handshake {
            timeout(self.handshake_timeout, shake_hands(&transport, self.retry))
                .await
                .map_err(|_| ConnectError::Timeout {
                    after: self.handshake_timeout,
                    phase: "handshake",
                })??;
        }
        let (alive, closed) = watch::channel(None);
        let verdict = Arc::new(Verdict::default());
        let guest = Guest {
            recognize: Some(Box::new(move |fingerprint| {
                Box::pin(recognize(fingerprint))
            })),
            verdict: Arc::clone(&verdict),
            alive: Some(alive),
        };
        let lease = transport.lend(AtEnd::ShutDown);
        let connect = russh::client::connect_stream(Arc::clone(&self.config), lease, guest);
        let late = |phase| ConnectError::Timeout {
            after: self.ssh_timeout,
            phase,
        };
        let mut handle = tokio::select! {
            handle = connect => handle.map_err(|error| match verdict.get() {
                Some((fingerprint, false)) => ConnectError::UnknownHostKey { fingerprint },
                _ => ssh(error),
            })?,
            () = verdict.late(self.ssh_timeout) => return Err(late("ssh key exchange")),
        };
        let Some((fingerprint, true)) = verdict.get() else {
            return Err(ssh(russh::Error::UnknownKey));
        };
        let key = PrivateKeyWithHashAlg::new(Arc::new(self.key.inner().clone()), None);
        let login = timeout(self.ssh_timeout, handle.authenticate_publickey(USER, key))
            .await
            .map_err(|_| late("ssh login"))?
            .map_err(ssh)?;
        if !login.success() {
            return Err(ConnectError::Denied);
        }
        Ok(Session {
            shared: Arc::new(Shared {
                handle,
                fingerprint,
                answer_timeout: self.answer_timeout,
                closed,
                close_transport: Box::new(move || transport.close()),
            }),
        })
    }
}

/// The maximum length of the reason why SSH failed, in bytes.
const MAX_REASON: usize = 1024;

fn ssh(error: russh::Error) -> ConnectError {
    match error {
        russh::Error::IO(error) => ConnectError::Line(error),
        russh::Error::HUP | russh::Error::Disconnect => {
            ConnectError::Line(io::ErrorKind::UnexpectedEof.into())
        }
        // It may contain what the guest sent, such as the names of all its algorithms.
        error => ConnectError::Ssh(one_line(&error.to_string(), MAX_REASON).into()),
    }
}

/// The first bytes that an SSH server sends.
const SSH: &[u8] = b"SSH-";

/// Retries the handshake until the guest has completed it and starts SSH.
async fn shake_hands<S>(transport: &Transport<S>, retry: Duration) -> Result<(), ConnectError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut client = handshake::Client::new(super::random_byte());
    let mut buffer = [0; 4096];
    // The bytes after the handshake.
    let mut payload = Vec::new();
    loop {
        send(transport, &client.take_output()).await?;
        let next = Instant::now() + retry;
        loop {
            let read = tokio::select! {
                read = transport.read(&mut buffer) => read.map_err(ConnectError::Line)?,
                () = sleep_until(next) => break,
            };
            if read == 0 {
                return Err(ConnectError::Line(io::ErrorKind::UnexpectedEof.into()));
            }
            let used = client
                .receive(&buffer[..read])
                .map_err(ConnectError::Handshake)?;
            send(transport, &client.take_output()).await?;
            if client.is_done() {
                payload.extend_from_slice(&buffer[used..read]);
                if payload.starts_with(SSH) {
                    transport.put_back(&payload);
                    return Ok(());
                }
                if !SSH.starts_with(&payload) {
                    // This was noise that looked like a handshake.
                    break;
                }
            }
        }
        if client.is_done() {
            payload.clear();
            client = handshake::Client::new(super::random_byte());
            sleep_until(next).await;
        } else {
            client.restart();
        }
    }
}

async fn send<S>(transport: &Transport<S>, bytes: &[u8]) -> Result<(), ConnectError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    if bytes.is_empty() {
        return Ok(());
    }
    transport.write(bytes).await.map_err(ConnectError::Line)
}

type Recognize =
    Box<dyn FnOnce(Fingerprint) -> std::pin::Pin<Box<dyn Future<Output = bool> + Send>> + Send>;

/// The decision about the host key.
#[derive(Debug, Default)]
struct Verdict {
    state: Mutex<VerdictState>,
    changed: tokio::sync::Notify,
}

#[derive(Debug, Default, Clone, Copy)]
struct VerdictState {
    deciding: bool,
    verdict: Option<(Fingerprint, bool)>,
}

impl Verdict {
    fn get(&self) -> Option<(Fingerprint, bool)> {
        self.state.lock().unwrap_or_else(|e| e.into_inner()).verdict
    }

    fn set(&self, state: VerdictState) {
        *self.state.lock().unwrap_or_else(|e| e.into_inner()) = state;
        self.changed.notify_one();
    }

    /// Waits for this long, not counting the time for the decision.
    async fn late(&self, limit: Duration) {
        loop {
            let deciding = self
                .state
                .lock()
                .unwrap_or_else(|e| e.into_inner())
                .deciding;
            if deciding {
                self.changed.notified().await;
            } else if timeout(limit, self.changed.notified()).await.is_err() {
                return;
            }
        }
    }
}

/// The reason why a connection was closed, if it is an error.
type Closed = Option<Arc<ConnectError>>;

/// Callbacks of the connection.
struct Guest {
    recognize: Option<Recognize>,
    verdict: Arc<Verdict>,
    /// Dropped at the end of the connection, which notifies the receivers.
    alive: Option<watch::Sender<Closed>>,
}

impl Handler for Guest {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        key: &PublicKeyOrCertificate,
    ) -> Result<bool, Self::Error> {
        let PublicKeyOrCertificate::PublicKey { key, .. } = key else {
            return Ok(false);
        };
        let fingerprint = Fingerprint::of(key);
        if let Some((known, accepted)) = self.verdict.get() {
            // A later key exchange must present the same host key.
            return Ok(accepted && known == fingerprint);
        }
        let Some(recognize) = self.recognize.take() else {
            return Ok(false);
        };
        self.verdict.set(VerdictState {
            deciding: true,
            verdict: None,
        });
        let accepted = recognize(fingerprint).await;
        self.verdict.set(VerdictState {
            deciding: false,
            verdict: Some((fingerprint, accepted)),
        });
        Ok(accepted)
    }

    async fn disconnected(
        &mut self,
        reason: DisconnectReason<Self::Error>,
    ) -> Result<(), Self::Error> {
        if let (Some(alive), DisconnectReason::Error(error)) = (&self.alive, reason) {
            alive.send_replace(Some(Arc::new(ssh(error))));
        }
        self.alive = None;
        Ok(())
    }
}

/// A connection to a guest. Cheap to clone; it closes when all clones and attachments
/// are dropped.
#[derive(Clone)]
pub struct Session {
    shared: Arc<Shared>,
}

struct Shared {
    handle: Handle<Guest>,
    fingerprint: Fingerprint,
    answer_timeout: Duration,
    closed: watch::Receiver<Closed>,
    close_transport: Box<dyn Fn() + Send + Sync>,
}

impl Session {
    /// Returns the fingerprint of the guest's host key, which it has proved to have.
    pub fn fingerprint(&self) -> Fingerprint {
        self.shared.fingerprint
    }

    /// Returns whether both are clones of the same connection.
    pub fn is_same_connection(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// Attaches to a session of the guest, which may not have started yet.
    ///
    /// # Errors
    ///
    /// [`SessionError::Refused`] if the guest has no such session; [`SessionError::Lost`] if
    /// the line is lost; [`SessionError::NoAnswer`] if the guest does not answer.
    pub async fn attach(&self, id: &str) -> Result<Attach, SessionError> {
        if !Subsystem::is_id(id) {
            return Err(SessionError::Id);
        }
        let opened = attach::open(&self.shared.handle, Subsystem::VicAttach(id));
        self.answered(opened).await
    }

    /// Returns the ids of the guest's sessions.
    ///
    /// # Errors
    ///
    /// [`SessionError`].
    pub async fn container_ids(&self) -> Result<Vec<String>, SessionError> {
        let text = self.ask(Subsystem::ContainerIds).await?;
        Ok(text.lines().map(str::to_owned).collect())
    }

    /// Returns the protocol version of the guest's end.
    ///
    /// # Errors
    ///
    /// [`SessionError`].
    pub async fn version(&self) -> Result<u32, SessionError> {
        let text = self.ask(Subsystem::Version).await?;
        text.trim().parse().map_err(|_| SessionError::Invalid)
    }

    /// Makes the agent read its keys again, after the host has changed them, and returns what it did.
    /// May be repeated: sessions that are already known are not started again.
    ///
    /// # Errors
    ///
    /// [`ReloadError`]. If the line was lost, the agent may or may not have read the keys.
    pub async fn reload(&self) -> Result<ReloadReport, ReloadError> {
        let text = self.ask(Subsystem::Reload).await;
        let response = ReloadReport::parse(&text.map_err(ReloadError::Session)?);
        let response = response.ok_or(ReloadError::Session(SessionError::Invalid))?;
        Ok(response?)
    }

    /// Starts to copy a path out of the container, as a tar archive. If it is a directory, with
    /// everything below it; a symbolic link is copied as such. The names in the archive start with
    /// the last component of the path.
    ///
    /// Symbolic links in the path are resolved inside the container. Directories on which other
    /// file systems are mounted, such as `/proc`, are empty in the archive.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`] if the path is invalid, the guest refuses the request, or the line is lost.
    /// A path that does not exist is reported by [`ArchiveOut::next`].
    pub async fn archive_out(&self, path: &str) -> Result<ArchiveOut, ArchiveError> {
        let attach = self.open_archive(ArchiveDirection::Out, path).await?;
        Ok(ArchiveOut::new(path, attach, self.shared.answer_timeout))
    }

    /// Starts to copy a tar archive into the container: into a directory, which must exist.
    ///
    /// Symbolic links in the path are resolved inside the container. Nothing outside of the
    /// directory is changed: an archive with a name that contains `..`, or leads through a symbolic
    /// link, is refused. Existing files are replaced, but not a directory by something else.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`] if the path is invalid, the guest refuses the request, or the line is lost.
    pub async fn archive_in(&self, path: &str) -> Result<ArchiveIn, ArchiveError> {
        let attach = self.open_archive(ArchiveDirection::In, path).await?;
        Ok(ArchiveIn::new(path, attach, self.shared.answer_timeout))
    }

    async fn open_archive(
        &self,
        direction: ArchiveDirection,
        path: &str,
    ) -> Result<Attach, ArchiveError> {
        let failed = |cause| archive::error(direction, path, cause);
        if !Subsystem::is_path(path) {
            return Err(failed(SessionError::Path));
        }
        let subsystem = Subsystem::VicArchive(direction, path);
        let opened = attach::open(&self.shared.handle, subsystem);
        self.answered(opened).await.map_err(failed)
    }

    /// Waits for a response of the guest, to check that it is alive.
    ///
    /// # Errors
    ///
    /// [`SessionError::Lost`] if the line was lost, and [`SessionError::NoAnswer`].
    pub async fn ping(&self) -> Result<(), SessionError> {
        let ping = async { self.shared.handle.send_ping().await };
        let answered = async { ping.await.map_err(|_| SessionError::Lost) };
        self.answered(answered).await
    }

    /// Waits until the connection is closed.
    pub async fn closed(&self) {
        let mut closed = self.shared.closed.clone();
        while closed.changed().await.is_ok() {}
    }

    /// Returns the reason why the connection was closed, if it is an error: the line was lost, or the
    /// guest violated the SSH protocol.
    pub fn close_reason(&self) -> Option<Arc<ConnectError>> {
        self.shared.closed.borrow().clone()
    }

    /// Returns whether the connection is closed.
    pub fn is_closed(&self) -> bool {
        self.shared.closed.has_changed().is_err()
    }

    /// Closes the connection, with all its attachments.
    pub async fn close(&self) {
        let _ = self
            .shared
            .handle
            .disconnect(Disconnect::ByApplication, "", "")
            .await;
        if timeout(Duration::from_secs(1), self.closed())
            .await
            .is_err()
        {
            self.abort();
        }
    }

    /// Closes the line immediately, even if there are other clones or attachments. The guest is not
    /// notified over SSH.
    pub fn abort(&self) {
        (self.shared.close_transport)();
    }

    /// Waits for an answer of the guest, but not forever.
    async fn answered<T>(
        &self,
        answer: impl Future<Output = Result<T, SessionError>>,
    ) -> Result<T, SessionError> {
        let after = self.shared.answer_timeout;
        let late = |_elapsed| SessionError::NoAnswer { after };
        timeout(after, answer).await.map_err(late)?
    }

    /// Opens a subsystem that returns a short text, and returns the text.
    async fn ask(&self, question: Subsystem<'_>) -> Result<String, SessionError> {
        self.answered(self.ask_patiently(question)).await
    }

    async fn ask_patiently(&self, question: Subsystem<'_>) -> Result<String, SessionError> {
        const LONGEST: usize = 1024 * 1024;
        let mut channel = self
            .shared
            .handle
            .channel_open_session()
            .await
            .map_err(|_| SessionError::Lost)?;
        channel
            .request_subsystem(true, question.to_string())
            .await
            .map_err(|_| SessionError::Lost)?;
        let mut text = Vec::new();
        let result = loop {
            match channel.wait().await {
                Some(ChannelMsg::Data { data }) => {
                    if text.len() + data.len() > LONGEST {
                        break Err(SessionError::Invalid);
                    }
                    text.extend_from_slice(&data);
                }
                Some(ChannelMsg::Failure) => break Err(SessionError::Refused),
                Some(ChannelMsg::Eof | ChannelMsg::Close) => {
                    break String::from_utf8(text).map_err(|_| SessionError::Invalid);
                }
                Some(_) => {}
                None => break Err(SessionError::Lost),
            }
        };
        // Best effort: the guest closes the channel, too.
        let _ = channel.close().await;
        result
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("fingerprint", &self.shared.fingerprint)
            .field("closed", &self.is_closed())
            .finish()
    }
}
