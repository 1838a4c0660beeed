//! Options for starting and stopping containers.

use std::time::Duration;

use super::Signal;
use crate::StateKind;

/// Options of [`Exec::start`](super::Exec::start).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StartOptions {
    /// Whether to refuse a container that was started before. A caller whose process must run at
    /// most once can then retry a start whose outcome is unknown.
    pub only_if_never_started: bool,
}

impl StartOptions {
    /// Creates options that allow a start from every startable state.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            only_if_never_started: false,
        }
    }

    /// Returns the states from which this start is allowed.
    #[must_use]
    pub const fn allowed(&self) -> &'static [StateKind] {
        if self.only_if_never_started {
            &[StateKind::Created]
        } else {
            StateKind::STARTABLE
        }
    }

    /// Makes the start fail if the container was started before.
    #[must_use]
    pub const fn only_if_never_started(mut self) -> Self {
        self.only_if_never_started = true;
        self
    }
}

/// Options of [`Exec::stop`](super::Exec::stop).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StopOptions {
    /// The signal to send to the process. `None`: the container's own stop signal.
    pub signal: Option<Signal>,
    /// How long the process may take to exit after the signal. Default: 10 seconds. Zero: the
    /// machine is switched off at once.
    pub grace: Duration,
}

impl Default for StopOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl StopOptions {
    /// Options that switch the machine off at once, without a signal or a grace period.
    pub const AT_ONCE: Self = Self {
        signal: Some(Signal::KILL),
        grace: Duration::ZERO,
    };

    /// Creates options with the container's own stop signal and a grace period of 10 seconds.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            signal: None,
            grace: Duration::from_secs(10),
        }
    }

    /// Sets the signal to send to the process.
    #[must_use]
    pub const fn signal(mut self, signal: Signal) -> Self {
        self.signal = Some(signal);
        self
    }

    /// Sets how long the process may take to exit after the signal.
    #[must_use]
    pub const fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }
}
