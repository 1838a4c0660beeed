//! How the sessions of a container have ended.

use guest_io::log::Outcome;
use tether_sys::Exit;

use crate::run::Report;

/// How the process of a session ended.
#[derive(Clone, Debug)]
pub(crate) struct Ended {
    pub(crate) outcome: Outcome,
    /// Why the process was not started; otherwise empty.
    pub(crate) reason: String,
}

impl Ended {
    pub(crate) fn not_started(reason: impl Into<String>) -> Self {
        Self {
            outcome: Outcome::NotStarted,
            reason: reason.into(),
        }
    }
}

impl From<Outcome> for Ended {
    fn from(outcome: Outcome) -> Self {
        Self {
            outcome,
            reason: String::new(),
        }
    }
}

/// How the sessions of a container have ended.
#[derive(Debug, Default)]
pub(crate) struct Ends {
    /// The id of the container, which is that of its own session.
    id: String,
    own: Option<Ended>,
    last: Option<Ended>,
}

impl Ends {
    pub(crate) fn new(id: String) -> Self {
        Self {
            id,
            ..Self::default()
        }
    }

    /// Returns how the container's own session ended, or else the last one.
    pub(crate) fn ended(self) -> Option<Ended> {
        self.own.or(self.last)
    }

    pub(crate) fn see(&mut self, report: &Report) {
        if let Some((id, ended)) = end_of(report) {
            if id == self.id {
                self.own = Some(ended.clone());
            }
            self.last = Some(ended);
        }
    }
}

/// Returns the session that a report ends, and how it ended.
fn end_of(report: &Report) -> Option<(&str, Ended)> {
    match report {
        Report::Failed { id, reason } => Some((id, Ended::not_started(reason))),
        Report::Ended { id, exit } => {
            let outcome = match exit {
                Exit::OutOfMemory => Outcome::OutOfMemory,
                exit => match exit.signal().map(u8::try_from) {
                    Some(Ok(signal)) => Outcome::Signal(signal),
                    // Linux has no other codes.
                    _ => Outcome::Code(u8::try_from(exit.status()).unwrap_or(u8::MAX)),
                },
            };
            Some((id, outcome.into()))
        }
        Report::Started { .. } | Report::Unblocked { .. } => None,
    }
}
