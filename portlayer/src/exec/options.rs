//! How containers are started and stopped.

use std::time::Duration;

use super::Signal;
use crate::StateKind;

/// How [`Exec::start`](super::Exec::start) goes about it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StartOptions {
    /// Whether to refuse a container that was started before. A caller whose process must run at
    /// most once can then retry a start whose outcome is unknown.
    pub only_if_never_started: bool,
}

impl StartOptions {
    /// A start from every state that allows one.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            only_if_never_started: false,
        }
    }

    /// The states from which this start is allowed.
    #[must_use]
    pub const fn allowed(&self) -> &'static [StateKind] {
        if self.only_if_never_started {
            &[StateKind::Created]
        } else {
            StateKind::STARTABLE
        }
    }

    /// Refuses a container that was started before.
    #[must_use]
    pub const fn only_if_never_started(mut self) -> Self {
        self.only_if_never_started = true;
        self
    }
}

/// How [`Exec::stop`](super::Exec::stop) goes about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StopOptions {
    /// What the process is sent first. `None`: the container's own stop signal.
    pub signal: Option<Signal>,
    /// How long it may take to end after that. Default: 10 seconds. Zero: the machine is switched
    /// off at once.
    pub grace: Duration,
}

impl Default for StopOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl StopOptions {
    /// No signal and no grace: switched off.
    pub const AT_ONCE: Self = Self {
        signal: Some(Signal::KILL),
        grace: Duration::ZERO,
    };

    /// The container's own stop signal and 10 seconds.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            signal: None,
            grace: Duration::from_secs(10),
        }
    }

    /// What the process is sent first.
    #[must_use]
    pub const fn signal(mut self, signal: Signal) -> Self {
        self.signal = Some(signal);
        self
    }

    /// How long it may take to end after that.
    #[must_use]
    pub const fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }
}
