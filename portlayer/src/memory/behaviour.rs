//! The behaviour of processes in memory.

use std::fmt;
use std::time::Duration;

use crate::ExitStatus;
use crate::exec::{ContainerSpec, Signal};

/// Decides what the processes of containers do; implemented by every `Fn(&ContainerSpec) ->
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

/// The behaviour of one process, as a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Behaviour {
    refusal: Option<String>,
    end: Option<(Duration, ExitStatus)>,
    ignores_signals: bool,
}

impl Behaviour {
    /// The process exits immediately with this code.
    #[must_use]
    pub fn exits(code: i32) -> Self {
        Self::ends(ExitStatus::Code(code))
    }

    /// The process ends immediately with this exit status.
    #[must_use]
    pub fn ends(exit: ExitStatus) -> Self {
        Self {
            end: Some((Duration::ZERO, exit)),
            ..Self::runs()
        }
    }

    /// The process runs until a signal ends it.
    #[must_use]
    pub fn runs() -> Self {
        Self {
            refusal: None,
            end: None,
            ignores_signals: false,
        }
    }

    /// The process cannot be launched, for this reason.
    #[must_use]
    pub fn cannot_launch(reason: impl Into<String>) -> Self {
        Self {
            refusal: Some(reason.into()),
            ..Self::runs()
        }
    }

    /// The process ends only after this time.
    #[must_use]
    pub fn after(mut self, time: Duration) -> Self {
        if let Some((after, _)) = &mut self.end {
            *after = time;
        }
        self
    }

    /// The process ignores signals other than `KILL`.
    #[must_use]
    pub fn ignoring_signals(mut self) -> Self {
        self.ignores_signals = true;
        self
    }

    pub(super) fn refusal(&self) -> Option<&str> {
        self.refusal.as_deref()
    }

    pub(super) fn end(&self) -> Option<(Duration, ExitStatus)> {
        self.end
    }

    pub(super) fn heeds(&self, signal: Signal) -> bool {
        !self.ignores_signals || signal == Signal::KILL
    }
}
