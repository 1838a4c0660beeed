//! The programs that a tether can run.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::GuestMachine;

/// The signal that nothing withstands.
pub(super) const KILL: i32 = 9;

/// A program of a container: what happens when it is run.
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

/// A run of a program.
#[derive(Clone, Debug)]
pub struct Process {
    pub(super) session: String,
    pub(super) path: String,
    pub(super) args: Vec<String>,
    pub(super) env: Vec<String>,
    pub(super) machine: GuestMachine,
}

impl Program {
    /// A program whose run is a future that gives the exit status.
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

    /// A program that ends at once with an exit status.
    #[must_use]
    pub fn exits(status: i32) -> Self {
        Self::new(move |_| std::future::ready(status))
    }

    /// The same program, but it takes so long before.
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

    /// The same program, but a signal, by its number on Linux, does not end it.
    /// `SIGKILL`, 9, always does.
    #[must_use]
    pub fn ignores(mut self, signal: i32) -> Self {
        self.ignores.push(signal);
        self
    }

    pub(super) fn heeds(&self, signal: i32) -> bool {
        signal == KILL || !self.ignores.contains(&signal)
    }

    /// A program that does not end by itself.
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
    /// The id of its session.
    #[must_use]
    pub fn session(&self) -> &str {
        &self.session
    }

    /// The program's path.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The arguments, the program's name among them if their author put it there.
    #[must_use]
    pub fn args(&self) -> &[String] {
        &self.args
    }

    /// The environment, `NAME=value` each.
    #[must_use]
    pub fn env(&self) -> &[String] {
        &self.env
    }

    /// The machine it runs in.
    #[must_use]
    pub const fn machine(&self) -> &GuestMachine {
        &self.machine
    }
}
