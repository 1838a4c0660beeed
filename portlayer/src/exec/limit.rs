//! Limits of a process.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A limit of a process's resources, which its child processes inherit: Linux's `rlimit`, Docker's
/// `ulimit`.
///
/// ```
/// use portlayer::exec::{Command, Limit, LimitKind};
///
/// let command = Command::new("/hello").limit(Limit::new(LimitKind::NoFile, 1024).hard(4096));
/// assert_eq!(command.limits[0].kind.to_string(), "nofile");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Limit {
    /// The limited resource.
    pub kind: LimitKind,
    /// The limit that applies; the process can raise it to `hard`. `None`: unlimited.
    pub soft: Option<u64>,
    /// The upper limit of `soft`. `None`: unlimited.
    pub hard: Option<u64>,
}

impl Limit {
    /// Creates a limit that the process cannot raise.
    #[must_use]
    pub const fn new(kind: LimitKind, limit: u64) -> Self {
        Self {
            kind,
            soft: Some(limit),
            hard: Some(limit),
        }
    }

    /// Creates a limit that allows any amount.
    #[must_use]
    pub const fn unlimited(kind: LimitKind) -> Self {
        Self {
            kind,
            soft: None,
            hard: None,
        }
    }

    /// Sets the limit to which the process can raise the one that applies.
    #[must_use]
    pub const fn hard(mut self, limit: u64) -> Self {
        self.hard = Some(limit);
        self
    }

    /// Allows the process to raise the limit to any amount.
    #[must_use]
    pub const fn hard_unlimited(mut self) -> Self {
        self.hard = None;
        self
    }

    /// Returns the reason why no guest accepts these limits; `None` if they are valid.
    pub(super) fn refusal(limits: &[Self]) -> Option<&'static str> {
        for (position, limit) in limits.iter().enumerate() {
            let soft = limit.soft.unwrap_or(u64::MAX);
            if soft > limit.hard.unwrap_or(u64::MAX) {
                return Some("a limit is above its hard limit");
            }
            if limits[..position]
                .iter()
                .any(|other| other.kind == limit.kind)
            {
                return Some("the same resource is limited twice");
            }
        }
        None
    }
}

/// A resource of a process that can be limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum LimitKind {
    /// The size of the address space in bytes.
    As,
    /// The size of a core file in bytes.
    Core,
    /// Processor time in seconds.
    Cpu,
    /// The size of the data segment in bytes.
    Data,
    /// The size of a file that the process writes, in bytes.
    FSize,
    /// The number of file locks.
    Locks,
    /// The amount of memory that is locked, in bytes.
    MemLock,
    /// The size of POSIX message queues in bytes.
    MsgQueue,
    /// The highest priority: 20 minus the lowest nice value.
    Nice,
    /// One more than the highest number of an open file.
    NoFile,
    /// The number of processes of the process's user.
    NProc,
    /// The amount of resident memory in bytes, which Linux ignores.
    Rss,
    /// The highest real-time priority.
    RtPrio,
    /// Real-time processor time without a blocking call, in microseconds.
    RtTime,
    /// The number of queued signals.
    SigPending,
    /// The size of the stack in bytes.
    Stack,
}

const NAMES: [(LimitKind, &str); 16] = [
    (LimitKind::As, "as"),
    (LimitKind::Core, "core"),
    (LimitKind::Cpu, "cpu"),
    (LimitKind::Data, "data"),
    (LimitKind::FSize, "fsize"),
    (LimitKind::Locks, "locks"),
    (LimitKind::MemLock, "memlock"),
    (LimitKind::MsgQueue, "msgqueue"),
    (LimitKind::Nice, "nice"),
    (LimitKind::NoFile, "nofile"),
    (LimitKind::NProc, "nproc"),
    (LimitKind::Rss, "rss"),
    (LimitKind::RtPrio, "rtprio"),
    (LimitKind::RtTime, "rttime"),
    (LimitKind::SigPending, "sigpending"),
    (LimitKind::Stack, "stack"),
];

/// A text is not the name of a limit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the name of a limit, such as nofile")]
pub struct ParseLimitKindError(String);

impl fmt::Display for LimitKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NAMES.iter().find(|(kind, _)| kind == self);
        f.write_str(name.map_or("", |(_, name)| name))
    }
}

impl FromStr for LimitKind {
    type Err = ParseLimitKindError;

    fn from_str(text: &str) -> Result<Self, ParseLimitKindError> {
        let known = NAMES.iter().find(|(_, name)| *name == text);
        let (kind, _) = known.ok_or_else(|| ParseLimitKindError(text.to_owned()))?;
        Ok(*kind)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

    use super::*;

    #[test]
    fn a_name_is_the_same_in_text_and_json() {
        for (kind, name) in NAMES {
            assert_eq!(name.parse(), Ok(kind));
            assert_eq!(kind.to_string(), name);
            assert_eq!(serde_json::to_string(&kind).unwrap(), format!("{name:?}"));
        }
        assert!("NOFILE".parse::<LimitKind>().is_err());
    }

    #[test]
    fn contradictory_limits_are_refused() {
        let files = Limit::new(LimitKind::NoFile, 10);
        for fine in [
            files.hard(10),
            files.hard_unlimited(),
            Limit::unlimited(LimitKind::NoFile),
        ] {
            assert_eq!(
                Limit::refusal(&[fine, Limit::new(LimitKind::Core, 0)]),
                None
            );
        }
        assert!(Limit::refusal(&[files.hard(9)]).is_some());
        assert!(Limit::refusal(&[Limit::unlimited(LimitKind::NoFile).hard(9)]).is_some());
        assert!(Limit::refusal(&[files, files]).is_some());
    }
}
