//! A program of others: had, or missing for a reason.

use std::path::PathBuf;

/// Whether a peer can be had here, and where it is.
#[derive(Debug, Clone)]
pub(crate) enum Peer {
    /// Ready to run.
    Had {
        program: PathBuf,
        /// What exactly was had, for the log.
        what: String,
    },
    /// It cannot be had here. A peer that can be had but does not build is an
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

    /// One line for the log.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Had { what, .. } => format!("had: {what}"),
            Self::Missing { reason } => format!("CANNOT BE HAD: {reason}"),
        }
    }
}
