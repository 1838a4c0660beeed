//! A third-party program, available or missing with a reason.

use std::path::PathBuf;

/// Whether a peer is available here, and where.
#[derive(Debug, Clone)]
pub(crate) enum Peer {
    /// The peer is ready to run.
    Had {
        program: PathBuf,
        /// What exactly was installed, for the log.
        what: String,
    },
    /// The peer is not available here. A peer that is available but does not build is an
    /// error instead.
    Missing { reason: String },
}

impl Peer {
    pub(crate) fn had(program: PathBuf, what: impl Into<String>) -> Self {
        Self::Had {
            program,
            what: what.into(),
        }
    }

    pub(crate) fn missing(reason: impl Into<String>) -> Self {
        Self::Missing {
            reason: reason.into(),
        }
    }

    /// Returns one line for the log.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Had { what, .. } => format!("had: {what}"),
            Self::Missing { reason } => format!("NOT AVAILABLE: {reason}"),
        }
    }
}
