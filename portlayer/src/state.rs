//! The states of a container, and the ways its process can end.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::exec::Signal;

/// How a container's process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ExitStatus {
    /// The process exited with this code.
    Code(i32),
    /// The process was ended by this signal; `None` if the guest did not name it. The project's
    /// agent reports signals and exit codes separately. A guest that reports a single number, like
    /// VIC's, cannot distinguish a signal from an exit code of 128 plus the signal's number; such a
    /// number is reported as the signal. If the port layer switches the machine off, the exit
    /// status is the signal `KILL`.
    Signal(Option<Signal>),
    /// The kernel killed the process with the signal `KILL`, because the machine's memory ran out.
    /// The project's agent reports this; with other guests it is an ordinary signal `KILL`.
    OutOfMemory,
    /// The guest could not launch the process. The reason is in
    /// [`ContainerInfo::failure`](crate::exec::ContainerInfo::failure).
    NotLaunched,
    /// A start was recorded, but the guest reported nothing: the starting program was interrupted,
    /// the machine was switched off, or its boot failed, for example by a kernel panic.
    NeverOn,
    /// The process started, but it was not recorded how it ended: the machine or its host crashed,
    /// or the guest does not report exits.
    Lost,
}

impl ExitStatus {
    /// The exit status of a process that was ended by the signal `KILL`.
    pub const KILLED: Self = Self::Signal(Some(Signal::KILL));

    /// Returns the single number that shells and container front ends show: the exit code, or 128
    /// plus the number of the signal. `None` if the exit status has neither.
    #[must_use]
    pub fn code(self) -> Option<i32> {
        match self {
            Self::Code(code) => Some(code),
            Self::Signal(Some(signal)) => Some(128 + i32::from(signal.number())),
            Self::OutOfMemory => Self::KILLED.code(),
            Self::Signal(None) | Self::NotLaunched | Self::NeverOn | Self::Lost => None,
        }
    }

    /// Returns whether the process succeeded, which means that it exited with code zero.
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
            Self::OutOfMemory => f.write_str("out of memory"),
            Self::NotLaunched => f.write_str("not launched"),
            Self::NeverOn => f.write_str("never on"),
            Self::Lost => f.write_str("exit lost"),
        }
    }
}

/// The state of a container.
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
/// from every state, and left by removing the container or repairing its machine externally.
/// `Unknown` describes only the back end's knowledge: the container itself is in one of the other
/// states.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
#[non_exhaustive]
pub enum State {
    /// The container was never started.
    Created,
    /// The container's machine is on, but its process is not known to have started.
    Starting,
    /// The container's process is running.
    Running,
    /// The container's process was asked to exit and has not exited yet.
    Stopping,
    /// The container's process ended.
    Stopped {
        /// How the process ended.
        exit: ExitStatus,
    },
    /// The container's machine is suspended. The process continues when the machine is resumed.
    Suspended,
    /// The container is being removed.
    Removing,
    /// The container is unusable and can only be removed.
    Broken {
        /// What is wrong with the container.
        reason: String,
    },
    /// The back end cannot determine the state, for instance because the machine's host does not
    /// respond. Until it can, changes fail with [`Unavailable`](crate::ErrorKind::Unavailable), and
    /// waits go on.
    Unknown {
        /// Why the state cannot be determined.
        reason: String,
    },
}

impl State {
    /// Returns the state without its details.
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

    /// Returns how the process ended, if it has.
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
    /// The kind of [`State::Created`].
    Created,
    /// The kind of [`State::Starting`].
    Starting,
    /// The kind of [`State::Running`].
    Running,
    /// The kind of [`State::Stopping`].
    Stopping,
    /// The kind of [`State::Stopped`].
    Stopped,
    /// The kind of [`State::Suspended`].
    Suspended,
    /// The kind of [`State::Removing`].
    Removing,
    /// The kind of [`State::Broken`].
    Broken,
    /// The kind of [`State::Unknown`].
    Unknown,
}

impl StateKind {
    /// The states from which a container can be started.
    pub const STARTABLE: &'static [Self] = &[Self::Created, Self::Stopped];
    /// The states in which a container can be stopped. Stopping a stopped container is a no-op.
    pub const STOPPABLE: &'static [Self] = &[
        Self::Starting,
        Self::Running,
        Self::Stopping,
        Self::Suspended,
        Self::Stopped,
    ];
    /// The states in which a process can be signalled.
    pub const SIGNALLABLE: &'static [Self] = &[Self::Starting, Self::Running, Self::Stopping];
    /// The states in which a container can be paused. Pausing a suspended container is a no-op.
    pub const PAUSABLE: &'static [Self] = &[Self::Starting, Self::Running, Self::Suspended];
    /// The states in which a container can be resumed.
    pub const RESUMABLE: &'static [Self] = &[Self::Suspended];
    /// The states in which the name can be changed, and labels, annotations and the restart count
    /// with [`LiveEdits`](crate::Capability::LiveEdits).
    pub const EDITABLE: &'static [Self] = &[
        Self::Created,
        Self::Starting,
        Self::Running,
        Self::Stopping,
        Self::Suspended,
        Self::Stopped,
    ];
    /// Returns whether the container's process may exist. If so, its published ports cannot be
    /// published by another container.
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
                    exit: ExitStatus::OutOfMemory,
                },
                r#"{"state":"stopped","exit":"out_of_memory"}"#,
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
