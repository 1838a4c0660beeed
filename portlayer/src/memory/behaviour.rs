//! The behaviour of in-memory processes.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::MemoryProcess;
use crate::ExitStatus;
use crate::exec::{ContainerSpec, Signal};

/// Decides how the processes of containers behave. Implemented by every `Fn(&ContainerSpec) ->
/// Behaviour`.
pub trait Program: Send + Sync + 'static {
    /// Returns the behaviour of this container's process; called at each start.
    fn behaviour(&self, spec: &ContainerSpec) -> Behaviour;
}

impl<F: Fn(&ContainerSpec) -> Behaviour + Send + Sync + 'static> Program for F {
    fn behaviour(&self, spec: &ContainerSpec) -> Behaviour {
        self(spec)
    }
}

impl fmt::Debug for dyn Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Program")
    }
}

/// A function that uses the streams of a process and returns its exit code.
#[derive(Clone)]
pub(super) struct Script(Arc<dyn Fn(MemoryProcess) -> BoxFuture<'static, i32> + Send + Sync>);

impl Script {
    pub(super) fn run(&self, process: MemoryProcess) -> BoxFuture<'static, i32> {
        (self.0)(process)
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Script")
    }
}

impl PartialEq for Script {
    /// Compares identities: two scripts are equal only if they are clones.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Script {}

/// The behaviour of one process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Behaviour {
    refusal: Option<String>,
    end: Option<(Duration, ExitStatus)>,
    script: Option<Script>,
    ignores_signals: bool,
}

impl Behaviour {
    /// Returns the behaviour of a process that exits immediately with this code.
    #[must_use]
    pub fn exits(code: i32) -> Self {
        Self::ends(ExitStatus::Code(code))
    }

    /// Returns the behaviour of a process that ends immediately with this exit status.
    #[must_use]
    pub fn ends(exit: ExitStatus) -> Self {
        Self {
            end: Some((Duration::ZERO, exit)),
            ..Self::runs()
        }
    }

    /// Returns the behaviour of a process that runs until a signal ends it.
    #[must_use]
    pub fn runs() -> Self {
        Self {
            refusal: None,
            end: None,
            script: None,
            ignores_signals: false,
        }
    }

    /// Returns the behaviour of a process that runs this function with its streams, and exits with
    /// the code that the function returns. A signal ends the process at its next `await`.
    ///
    /// ```
    /// use portlayer::memory::Behaviour;
    /// use portlayer::stream::StdStream;
    ///
    /// let echo = Behaviour::scripted(|mut process| async move {
    ///     while let Some(bytes) = process.read().await {
    ///         process.write(StdStream::Stdout, bytes).await;
    ///     }
    ///     0
    /// });
    /// # drop(echo);
    /// ```
    pub fn scripted<F, R>(script: F) -> Self
    where
        F: Fn(MemoryProcess) -> R + Send + Sync + 'static,
        R: Future<Output = i32> + Send + 'static,
    {
        Self {
            script: Some(Script(Arc::new(move |process| Box::pin(script(process))))),
            ..Self::runs()
        }
    }

    /// Returns the behaviour of a process that cannot be launched, for this reason.
    #[must_use]
    pub fn cannot_launch(reason: impl Into<String>) -> Self {
        Self {
            refusal: Some(reason.into()),
            ..Self::runs()
        }
    }

    /// Makes the process end only after this time.
    #[must_use]
    pub fn after(mut self, time: Duration) -> Self {
        if let Some((after, _)) = &mut self.end {
            *after = time;
        }
        self
    }

    /// Makes the process ignore signals other than `KILL`.
    #[must_use]
    pub fn ignoring_signals(mut self) -> Self {
        self.ignores_signals = true;
        self
    }

    pub(super) fn refusal(&self) -> Option<&str> {
        self.refusal.as_deref()
    }

    pub(super) fn script(&self) -> Option<&Script> {
        self.script.as_ref()
    }

    pub(super) fn end(&self) -> Option<(Duration, ExitStatus)> {
        self.end
    }

    pub(super) fn heeds(&self, signal: Signal) -> bool {
        !self.ignores_signals || signal == Signal::KILL
    }
}
