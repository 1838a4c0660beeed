//! The programs that a tether can run.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::GuestMachine;

/// `SIGKILL`, which no program can ignore.
pub(super) const KILL: i32 = 9;

/// A simulated program of a container: defines what happens when it runs.
///
/// ```
/// use std::time::Duration;
/// use simulator::{Program, Tether};
///
/// let tether = Tether::new()
///     .program("/bin/fails", Program::exits(3).after(Duration::from_millis(5)))
///     .program("/bin/serve", Program::forever())
///     .program("/bin/count", Program::new(|process| async move {
///         i32::try_from(process.args().len()).unwrap_or(-1)
///     }));
/// # drop(tether);
/// ```
#[derive(Clone)]
pub struct Program {
    run: Arc<dyn Fn(Process) -> BoxFuture<'static, i32> + Send + Sync>,
    ignores: Vec<i32>,
}

/// A running program.
#[derive(Clone, Debug)]
pub struct Process {
    pub(super) session: String,
    pub(super) path: String,
    pub(super) args: Vec<String>,
    pub(super) env: Vec<String>,
    pub(super) machine: GuestMachine,
}

impl Program {
    /// Creates a program from an async function that returns the exit status.
    pub fn new<F, R>(run: F) -> Self
    where
        F: Fn(Process) -> R + Send + Sync + 'static,
        R: Future<Output = i32> + Send + 'static,
    {
        Self {
            run: Arc::new(move |process| Box::pin(run(process))),
            ignores: Vec::new(),
        }
    }

    /// Creates a program that exits immediately with a status.
    #[must_use]
    pub fn exits(status: i32) -> Self {
        Self::new(move |_| std::future::ready(status))
    }

    /// Delays the start of the program by this time.
    #[must_use]
    pub fn after(self, time: Duration) -> Self {
        let run = Arc::clone(&self.run);
        Self {
            run: Arc::new(move |process| {
                let run = Arc::clone(&run);
                Box::pin(async move {
                    tokio::time::sleep(time).await;
                    run(process).await
                })
            }),
            ..self
        }
    }

    /// Makes the program ignore a signal, given by its Linux number. `SIGKILL`, 9, cannot be
    /// ignored.
    #[must_use]
    pub fn ignores(mut self, signal: i32) -> Self {
        self.ignores.push(signal);
        self
    }

    pub(super) fn heeds(&self, signal: i32) -> bool {
        signal == KILL || !self.ignores.contains(&signal)
    }

    /// Creates a program that never exits by itself.
    #[must_use]
    pub fn forever() -> Self {
        Self::new(|_| std::future::pending())
    }

    pub(super) fn run(&self, process: Process) -> BoxFuture<'static, i32> {
        (self.run)(process)
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Program")
    }
}

impl Process {
    /// Returns the id of the session that the process belongs to.
    #[must_use]
    pub fn session(&self) -> &str {
        &self.session
    }

    /// Returns the program's path.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns the arguments, including the program's name if the container's author set it.
    #[must_use]
    pub fn args(&self) -> &[String] {
        &self.args
    }

    /// Returns the environment variables, each as `NAME=value`.
    #[must_use]
    pub fn env(&self) -> &[String] {
        &self.env
    }

    /// Returns the machine that the process runs in.
    #[must_use]
    pub const fn machine(&self) -> &GuestMachine {
        &self.machine
    }
}
