//! Requests to read the keys of the machine again.

use guestinfo::vic::{ExecutorConfig, Started};
use tokio::sync::{mpsc, oneshot};

/// The reason why a process that was added to a running machine is not started.
const NO_EXECS: &str = "this agent does not start processes in a running container";
/// The same reason for a session that is started with the machine.
const TOO_LATE: &str = "sessions are started only when the machine starts";
/// The number of requests that wait while the agent is busy.
const WAITING: usize = 4;

/// Makes an agent read the keys of its machine again. Clones reach the same agent.
#[derive(Clone, Debug)]
pub struct Reloader(mpsc::Sender<oneshot::Sender<Result<Reloaded, ReloadError>>>);

/// What an agent did after it has read its keys again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reloaded {
    /// The ids of the sessions that were started.
    pub started: Vec<String>,
    /// The sessions that were not started, with the reasons.
    pub refused: Vec<(String, String)>,
}

/// The reason why an agent did not read its keys again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReloadError {
    /// The container has ended.
    #[error("the container has ended")]
    Ended,
    /// The keys could not be read.
    #[error("the keys of the machine could not be read: {reason}")]
    Read {
        /// The reason.
        reason: String,
    },
}

/// The agent's end of a [`Reloader`].
pub(crate) type Requests = mpsc::Receiver<oneshot::Sender<Result<Reloaded, ReloadError>>>;

impl Reloader {
    pub(crate) fn new() -> (Self, Requests) {
        let (sender, requests) = mpsc::channel(WAITING);
        (Self(sender), requests)
    }

    /// Makes the agent read the keys again, and waits until it has done so. Sessions that the host
    /// has added are started, or refused: this version refuses all of them, and also writes the
    /// reason to their keys. May be repeated.
    ///
    /// If the future is dropped, the agent may or may not read the keys.
    ///
    /// # Errors
    /// [`ReloadError`].
    pub async fn reload(&self) -> Result<Reloaded, ReloadError> {
        let (sender, done) = oneshot::channel();
        self.0.send(sender).await.map_err(|_| ReloadError::Ended)?;
        done.await.map_err(|_| ReloadError::Ended)?
    }
}

/// Compares keys that were read again with the state of the container. New sessions are refused:
/// the reason is put into the state, so that it is written to the keys.
pub(crate) fn refuse_new(container: &mut ExecutorConfig, read: ExecutorConfig) -> Reloaded {
    let mut reloaded = Reloaded::default();
    for (id, mut exec) in read.execs {
        reloaded.refused.push((id.clone(), NO_EXECS.to_owned()));
        exec.started = Started::failed(NO_EXECS.to_owned());
        container.execs.insert(id, exec);
    }
    for id in read.sessions.into_keys() {
        if !container.sessions.contains_key(&id) {
            reloaded.refused.push((id, TOO_LATE.to_owned()));
        }
    }
    reloaded
}
