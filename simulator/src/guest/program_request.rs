//! Programs that clients of the API start in a guest.

use std::fmt;

use tokio::sync::oneshot;

/// A client's wish to start a program in the guest, by `StartProgramInGuest`.
///
/// The client waits for the answer. A request that is dropped is answered as
/// if the guest's tools did not run.
#[non_exhaustive]
pub struct GuestProgram {
    /// The user whom the client names in the guest.
    pub user: String,
    /// The program; guests give commands of their own a plain name such as `kill`.
    pub path: String,
    /// The arguments, as one text.
    pub arguments: String,
    /// Where it is to run.
    pub working_directory: Option<String>,
    /// `NAME=value` each.
    pub environment: Vec<String>,
    password: String,
    answer: oneshot::Sender<Result<i64, GuestProgramRefusal>>,
}

/// Why a guest starts no program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GuestProgramRefusal {
    /// The user or the password is wrong: the client sees `InvalidGuestLogin`.
    Login,
    /// There is no such program: `FileNotFound`.
    NotFound,
    /// The arguments make no sense: `InvalidArgument`.
    Arguments,
    /// The program cannot be started now: `InvalidState`.
    State,
}

/// A request on its way to the guest.
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
    /// The request, and where its answer comes out.
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

    /// The password that the client gives.
    #[must_use]
    pub fn password(&self) -> &str {
        &self.password
    }

    /// Answers that it runs, with its process id.
    pub fn started(self, pid: i64) {
        // A client that has gone does not care.
        let _ = self.answer.send(Ok(pid));
    }

    /// Answers that it does not.
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
