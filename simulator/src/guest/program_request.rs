//! Requests to start a program in a guest.

use std::fmt;

use tokio::sync::oneshot;

/// A `StartProgramInGuest` request from a client of the API.
///
/// The client waits up to ten seconds for [`started`](Self::started) or
/// [`refuse`](Self::refuse). If the request is dropped or answered late, the client receives
/// the fault `GuestOperationsUnavailable`. A guest does not see requests whose clients were answered
/// already. At most 64 requests wait for a guest; others are refused with `TooManyGuestLogons`.
#[non_exhaustive]
pub struct GuestProgram {
    /// User name in the guest.
    pub user: String,
    /// Path of the program, or a plain name such as `kill` for a built-in command of the guest.
    pub path: String,
    /// Arguments, in one string.
    pub arguments: String,
    /// Working directory.
    pub working_directory: Option<String>,
    /// Environment as `NAME=value`.
    pub environment: Vec<String>,
    password: String,
    answer: oneshot::Sender<Result<i64, GuestProgramRefusal>>,
}

/// The reason for not starting a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GuestProgramRefusal {
    /// Wrong user or password; the fault is `InvalidGuestLogin`.
    Login,
    /// No such program; the fault is `FileNotFound`.
    NotFound,
    /// Invalid arguments; the fault is `InvalidArgument`.
    Arguments,
    /// The program cannot be started in the current state; the fault is `InvalidState`.
    State,
}

/// The parameters of a request and the channel for its answer.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) user: String,
    pub(crate) password: String,
    pub(crate) path: String,
    pub(crate) arguments: String,
    pub(crate) working_directory: Option<String>,
    pub(crate) environment: Vec<String>,
}

impl GuestProgram {
    /// Creates a request and the receiver of its answer.
    pub(crate) fn new(order: Order) -> (Self, oneshot::Receiver<Result<i64, GuestProgramRefusal>>) {
        let (answer, answered) = oneshot::channel();
        let program = Self {
            user: order.user,
            path: order.path,
            arguments: order.arguments,
            working_directory: order.working_directory,
            environment: order.environment,
            password: order.password,
            answer,
        };
        (program, answered)
    }

    /// Returns whether nobody waits for the answer any more.
    pub(crate) fn is_late(&self) -> bool {
        self.answer.is_closed()
    }

    /// Returns the password of the user. `Debug` does not show it.
    #[must_use]
    pub fn password(&self) -> &str {
        &self.password
    }

    /// Responds with the id of the started process.
    pub fn started(self, pid: i64) {
        // The client may have disconnected.
        let _ = self.answer.send(Ok(pid));
    }

    /// Responds with a fault.
    pub fn refuse(self, why: GuestProgramRefusal) {
        let _ = self.answer.send(Err(why));
    }
}

impl fmt::Debug for GuestProgram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuestProgram")
            .field("user", &self.user)
            .field("path", &self.path)
            .field("arguments", &self.arguments)
            .finish_non_exhaustive()
    }
}
