//! The sessions of a container, to which clients attach.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use guest_io::Stream;
use tether_sys::{Exit, TerminalSize};
use tokio::sync::{mpsc, watch};

use crate::platform::{Platform, PlatformError};
use crate::process::Terminal;

/// The maximum number of output chunks that are queued for one reader. When the queue is full,
/// the process waits for the reader.
const PIECES: usize = 16;

/// The sessions of a container, by id. Clones refer to the same sessions.
#[derive(Clone, Debug, Default)]
pub struct Sessions(Arc<Mutex<BTreeMap<String, Session>>>);

impl Sessions {
    /// Returns the session with this id.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<Session> {
        self.lock().get(id).cloned()
    }

    /// Returns the session, if there is exactly one.
    #[must_use]
    pub fn only(&self) -> Option<Session> {
        let sessions = self.lock();
        let mut all = sessions.values();
        let first = all.next()?;
        all.next().is_none().then(|| first.clone())
    }

    /// Returns the ids of all sessions that a client may attach to, in order.
    #[must_use]
    pub fn ids(&self) -> Vec<String> {
        let attachable = |(_, session): &(&String, &Session)| session.0.settings.attach;
        self.lock()
            .iter()
            .filter(attachable)
            .map(|(id, _)| id.clone())
            .collect()
    }

    pub(crate) fn insert(&self, session: &Session) {
        let id = session.0.settings.id.clone();
        self.lock().insert(id, session.clone());
    }

    /// Starts all sessions that wait for a client, because no client can attach.
    pub(crate) fn unblock_all(&self) {
        for session in self.lock().values() {
            session.unblock();
        }
    }

    /// Waits until every reader has read everything or has detached.
    pub(crate) async fn drained(&self) {
        let sessions: Vec<_> = self.lock().values().cloned().collect();
        for session in sessions {
            let senders = session.0.readers().senders.clone();
            for sender in senders {
                sender.closed().await;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A session: a running process, or one that will be started. Clones refer to the same session.
#[derive(Clone, Debug)]
pub struct Session(Arc<Inner>);

/// An output event of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Output {
    /// Output of the process.
    Data(Stream, Bytes),
    /// The process ended; nothing follows.
    Ended(Exit),
}

/// A reader of a session's output. Dropping it detaches.
#[derive(Debug)]
pub struct Attachment(mpsc::Receiver<Output>);

/// The reason why a request to a session failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The process has not started or has ended.
    #[error("the session {id:?} has no process")]
    NotRunning {
        /// The session's id.
        id: String,
    },
    /// Standard input is not open, or was closed.
    #[error("standard input of the session {id:?} is not open")]
    NoInput {
        /// The session's id.
        id: String,
    },
    /// The platform returned an error.
    #[error("the session {id:?} could not be signalled")]
    Platform {
        /// The session's id.
        id: String,
        /// The error of the platform.
        #[source]
        source: PlatformError,
    },
}

/// The constant properties of a session.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    pub(crate) id: String,
    pub(crate) tty: bool,
    pub(crate) attach: bool,
    pub(crate) open_stdin: bool,
    pub(crate) run_block: bool,
}

/// A chunk of a client's input, or its end.
pub(crate) enum InputPiece {
    Data(Bytes),
    Close,
}

#[derive(Debug)]
struct Inner {
    settings: Settings,
    platform: Arc<dyn Platform>,
    readers: Mutex<Readers>,
    input: mpsc::Sender<InputPiece>,
    terminal: Mutex<TerminalState>,
    pid: Mutex<Option<i32>>,
    unblocked: watch::Sender<bool>,
    stopping: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Readers {
    senders: Vec<mpsc::Sender<Output>>,
    ended: Option<Exit>,
}

#[derive(Debug, Default)]
struct TerminalState {
    size: Option<TerminalSize>,
    terminal: Option<Terminal>,
}

impl std::fmt::Debug for InputPiece {
    // Omit the input, which may be a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Data(_) => "Data(..)",
            Self::Close => "Close",
        })
    }
}

impl Session {
    /// Creates a session, and returns it with the receiver of its input.
    pub(crate) fn new(
        settings: Settings,
        platform: Arc<dyn Platform>,
    ) -> (Self, mpsc::Receiver<InputPiece>) {
        let (input, pieces) = mpsc::channel(PIECES);
        let unblocked = watch::Sender::new(!settings.run_block);
        let session = Self(Arc::new(Inner {
            settings,
            platform,
            readers: Mutex::default(),
            input,
            terminal: Mutex::default(),
            pid: Mutex::default(),
            unblocked,
            stopping: watch::Sender::new(false),
        }));
        (session, pieces)
    }

    /// Returns the id of the session.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.0.settings.id
    }

    /// Returns whether it has a terminal, in which case there is only one output stream.
    #[must_use]
    pub fn has_terminal(&self) -> bool {
        self.0.settings.tty
    }

    /// Returns whether a client may attach.
    #[must_use]
    pub fn is_attachable(&self) -> bool {
        self.0.settings.attach
    }

    /// Starts reading the output that is written from now on. Each reader receives all of it; a
    /// slow reader slows the process down.
    #[must_use]
    pub fn attach(&self) -> Attachment {
        let (sender, receiver) = mpsc::channel(PIECES);
        let mut readers = self.0.readers();
        match readers.ended {
            Some(exit) => drop(sender.try_send(Output::Ended(exit))),
            None => readers.senders.push(sender),
        }
        Attachment(receiver)
    }

    /// Writes to standard input; waits until the process has started, and while it does not
    /// read. If the future is dropped, the data may or may not be written.
    ///
    /// # Errors
    /// Fails when standard input is not open.
    pub async fn write(&self, data: Bytes) -> Result<(), SessionError> {
        self.send(InputPiece::Data(data)).await
    }

    /// Closes standard input when everything written so far has been read. A terminal stays
    /// open.
    ///
    /// # Errors
    /// Fails when standard input is not open.
    pub async fn close_stdin(&self) -> Result<(), SessionError> {
        if self.0.settings.tty {
            return Ok(());
        }
        self.send(InputPiece::Close).await
    }

    async fn send(&self, piece: InputPiece) -> Result<(), SessionError> {
        let settings = &self.0.settings;
        let refused = || SessionError::NoInput {
            id: settings.id.clone(),
        };
        if !settings.open_stdin && !settings.tty {
            return Err(refused());
        }
        self.0.input.send(piece).await.map_err(|_| refused())
    }

    /// Sets the size of the terminal, now or when the process starts. A no-op without a
    /// terminal.
    pub fn resize(&self, size: TerminalSize) {
        let mut state = self.0.terminal();
        state.size = Some(size);
        if let Some(terminal) = &state.terminal
            && let Err(error) = terminal.resize(size)
        {
            tracing::debug!(session = self.id(), %error, "the terminal was not resized");
        }
    }

    /// Sends a signal, by its Linux number, to the process.
    ///
    /// # Errors
    /// Fails when there is no process.
    pub async fn signal(&self, signal: i32) -> Result<(), SessionError> {
        let pid = self.0.pid().ok_or_else(|| SessionError::NotRunning {
            id: self.id().to_owned(),
        })?;
        let sent = self.0.platform.signal(pid, signal).await;
        sent.map_err(|source| SessionError::Platform {
            id: self.id().to_owned(),
            source,
        })
    }

    /// Starts the process if it waits for a client.
    pub fn unblock(&self) {
        self.0.unblocked.send_replace(true);
    }

    pub(crate) async fn unblocked(&self) {
        let mut unblocked = self.0.unblocked.subscribe();
        // The sender lives as long as `self`.
        drop(unblocked.wait_for(|now| *now).await);
    }

    /// Records that the session was asked to end, so that it is not restarted.
    pub(crate) fn stop(&self) {
        self.0.stopping.send_replace(true);
    }

    pub(crate) fn is_stopping(&self) -> bool {
        *self.0.stopping.borrow()
    }

    pub(crate) async fn stopping(&self) {
        let mut stopping = self.0.stopping.subscribe();
        // The sender lives as long as `self`.
        drop(stopping.wait_for(|now| *now).await);
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// Returns the size of the terminal to open; `None` for a session without a terminal.
    pub(crate) fn terminal_size(&self) -> Option<TerminalSize> {
        let size = self.0.terminal().size.unwrap_or_default();
        self.has_terminal().then_some(size)
    }

    pub(crate) fn begin(&self, pid: i32, terminal: Option<Terminal>) {
        *self.0.pid.lock().unwrap_or_else(PoisonError::into_inner) = Some(pid);
        let mut state = self.0.terminal();
        // A client may have attached and set the size in the meantime.
        if let (Some(terminal), Some(size)) = (&terminal, state.size) {
            drop(terminal.resize(size));
        }
        state.terminal = terminal;
    }

    pub(crate) fn process_ended(&self) {
        *self.0.pid.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.0.terminal().terminal = None;
    }

    /// Sends a chunk of output to all readers, and removes those that have detached.
    pub(crate) async fn publish(&self, stream: Stream, data: &Bytes) {
        let senders = self.0.readers().senders.clone();
        let mut gone = false;
        for sender in &senders {
            gone |= sender
                .send(Output::Data(stream, data.clone()))
                .await
                .is_err();
        }
        if gone {
            self.0
                .readers()
                .senders
                .retain(|sender| !sender.is_closed());
        }
    }

    /// Reports the end to all readers, including later ones.
    pub(crate) async fn end(&self, exit: Exit) {
        let senders = {
            let mut readers = self.0.readers();
            readers.ended = Some(exit);
            readers.senders.clone()
        };
        for sender in senders {
            drop(sender.send(Output::Ended(exit)).await);
        }
    }
}

impl Inner {
    fn readers(&self) -> MutexGuard<'_, Readers> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn terminal(&self) -> MutexGuard<'_, TerminalState> {
        self.terminal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pid(&self) -> Option<i32> {
        *self.pid.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attachment {
    /// Waits for the next event; `None` after the end, or when the agent has ended. Cancel-safe.
    pub async fn next(&mut self) -> Option<Output> {
        self.0.recv().await
    }
}
