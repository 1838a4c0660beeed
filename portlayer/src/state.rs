//! The states of a container and how its process ended.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::exec::Signal;

/// How a container's process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ExitStatus {
    /// It exited with this code.
    Code(i32),
    /// It was ended by this signal; `None` if the guest did not name it. A guest that reports one
    /// number, as VIC's does, cannot tell a signal from the code 128 and its number: such a code is
    /// taken for the signal. A machine that was switched off by the port layer ends with `KILL`.
    Signal(Option<Signal>),
    /// The guest could not launch it. Why is in
    /// [`ContainerInfo::failure`](crate::exec::ContainerInfo::failure).
    NotLaunched,
    /// A start was recorded, and the machine is not known to have been on since: the program that started
    /// it was interrupted, or the machine went off before its guest reported anything.
    NeverOn,
    /// It started, and nobody recorded how it ended: a crash of the machine or its host, or a guest
    /// that does not report.
    Lost,
}

impl ExitStatus {
    /// Ended by `KILL`.
    pub const KILLED: Self = Self::Signal(Some(Signal::KILL));

    /// The one number that shells and container front ends show: the exit code, or 128 and the
    /// number of the signal. `None` if there is neither.
    #[must_use]
    pub fn code(self) -> Option<i32> {
        match self {
            Self::Code(code) => Some(code),
            Self::Signal(Some(signal)) => Some(128 + i32::from(signal.number())),
            Self::Signal(None) | Self::NotLaunched | Self::NeverOn | Self::Lost => None,
        }
    }

    /// Whether the process itself reported success: exit code zero.
    #[must_use]
    pub fn is_success(self) -> bool {
        self == Self::Code(0)
    }
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(None) => f.write_str("a signal"),
            Self::Signal(Some(signal)) => write!(f, "signal {signal}"),
            Self::NotLaunched => f.write_str("not launched"),
            Self::NeverOn => f.write_str("never on"),
            Self::Lost => f.write_str("exit lost"),
        }
    }
}

/// Where a container is in its life.
///
/// ```text
/// Created ──start──▶ Starting ──started──▶ Running ──stop──▶ Stopping
///    │                  │                     │                 │
///    │                  └───────ended─────────┴──────ended──────┤
///    │                  ▲                                       ▼
///    │                  └────────────────start────────────── Stopped{exit}
///    └───────────────────────remove──▶ Removing ◀──remove──────┘
/// ```
/// `Running` and `Suspended` change into each other by pause and resume. `Broken` can be entered
/// from everywhere, and left by removing the container or by repairing its machine outside.
/// `Unknown` says nothing about the container: it is in one of the other states.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
#[non_exhaustive]
pub enum State {
    /// It was never started.
    Created,
    /// Its machine is on; its process is not known to have started.
    Starting,
    /// Its process runs.
    Running,
    /// It was asked to end and has not ended.
    Stopping,
    /// It ended.
    Stopped {
        /// How.
        exit: ExitStatus,
    },
    /// Its machine is suspended: its process runs on when it is resumed.
    Suspended,
    /// It is being removed.
    Removing,
    /// It cannot be worked with, only removed.
    Broken {
        /// What is wrong with it.
        reason: String,
    },
    /// The back end cannot tell now, for instance because the machine's host does not respond.
    Unknown {
        /// Why.
        reason: String,
    },
}

impl State {
    /// The state without its details.
    #[must_use]
    pub fn kind(&self) -> StateKind {
        match self {
            Self::Created => StateKind::Created,
            Self::Starting => StateKind::Starting,
            Self::Running => StateKind::Running,
            Self::Stopping => StateKind::Stopping,
            Self::Stopped { .. } => StateKind::Stopped,
            Self::Suspended => StateKind::Suspended,
            Self::Removing => StateKind::Removing,
            Self::Broken { .. } => StateKind::Broken,
            Self::Unknown { .. } => StateKind::Unknown,
        }
    }

    /// How the process ended, if it has.
    #[must_use]
    pub fn exit(&self) -> Option<ExitStatus> {
        match self {
            Self::Stopped { exit } => Some(*exit),
            _ => None,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped { exit } => write!(f, "stopped ({exit})"),
            Self::Broken { reason } => write!(f, "broken ({reason})"),
            Self::Unknown { reason } => write!(f, "unknown ({reason})"),
            other => other.kind().fmt(f),
        }
    }
}

/// A [`State`] without its details.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StateKind {
    /// [`State::Created`]
    Created,
    /// [`State::Starting`]
    Starting,
    /// [`State::Running`]
    Running,
    /// [`State::Stopping`]
    Stopping,
    /// [`State::Stopped`]
    Stopped,
    /// [`State::Suspended`]
    Suspended,
    /// [`State::Removing`]
    Removing,
    /// [`State::Broken`]
    Broken,
    /// [`State::Unknown`]
    Unknown,
}

impl StateKind {
    /// The states from which a container can be started.
    pub const STARTABLE: &'static [Self] = &[Self::Created, Self::Stopped];
    /// The states in which a container can be stopped; stopping what has stopped changes nothing.
    pub const STOPPABLE: &'static [Self] = &[
        Self::Starting,
        Self::Running,
        Self::Stopping,
        Self::Suspended,
        Self::Stopped,
    ];
    /// The states in which a process can be signalled.
    pub const SIGNALLABLE: &'static [Self] = &[Self::Starting, Self::Running, Self::Stopping];
    /// The states in which a container can be paused; pausing what is suspended changes nothing.
    pub const PAUSABLE: &'static [Self] = &[Self::Starting, Self::Running, Self::Suspended];
    /// The states in which a container can be resumed.
    pub const RESUMABLE: &'static [Self] = &[Self::Suspended];
    /// The states in which a name, labels and annotations can be changed.
    pub const EDITABLE: &'static [Self] = &[
        Self::Created,
        Self::Starting,
        Self::Running,
        Self::Stopping,
        Self::Suspended,
        Self::Stopped,
    ];
    /// Whether its process may exist: what it published cannot be published by another.
    pub(crate) const fn may_be_on(self) -> bool {
        matches!(
            self,
            Self::Starting | Self::Running | Self::Stopping | Self::Suspended | Self::Unknown
        )
    }

    /// The states in which a container can be removed.
    pub const REMOVABLE: &'static [Self] =
        &[Self::Created, Self::Stopped, Self::Removing, Self::Broken];
}

impl fmt::Display for StateKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Created => "created",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Removing => "removing",
            Self::Broken => "broken",
            Self::Suspended => "suspended",
            Self::Unknown => "unknown",
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

    use super::*;

    #[test]
    fn json_is_flat_and_round_trips() {
        for (state, json) in [
            (State::Created, r#"{"state":"created"}"#),
            (
                State::Stopped {
                    exit: ExitStatus::Code(3),
                },
                r#"{"state":"stopped","exit":{"code":3}}"#,
            ),
            (
                State::Stopped {
                    exit: ExitStatus::Lost,
                },
                r#"{"state":"stopped","exit":"lost"}"#,
            ),
            (
                State::Stopped {
                    exit: ExitStatus::KILLED,
                },
                r#"{"state":"stopped","exit":{"signal":"KILL"}}"#,
            ),
        ] {
            assert_eq!(serde_json::to_string(&state).unwrap(), json);
            assert_eq!(serde_json::from_str::<State>(json).unwrap(), state);
        }
    }
}
