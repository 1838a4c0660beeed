//! The one error of the traits.

use std::time::Duration;

use crate::{Capability, Resource, StateKind};

/// The cause below an [`Error`]: a fault of the endpoint, a parse error, …
pub type Source = Box<dyn std::error::Error + Send + Sync>;

/// The result of an operation of the port layer.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an operation was not done.
///
/// The variant alone is enough to decide what to do next, or which HTTP status to answer. Each
/// names the resource it is about and keeps its cause as [`source`](std::error::Error::source);
/// `Display` never repeats the cause.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no such resource.
    #[error("{resource} was not found")]
    NotFound {
        /// What was looked for.
        resource: Resource,
        /// The cause, or what there is instead.
        source: Option<Source>,
    },
    /// A resource of that id or name is there already.
    #[error("{resource} already exists")]
    AlreadyExists {
        /// What stands in the way.
        resource: Resource,
        /// The cause.
        source: Option<Source>,
    },
    /// Somebody else changed the resource between reading and writing it: read it again, and ask
    /// again if the change is still wanted.
    #[error(
        "{resource} was changed by somebody else meanwhile{}",
        List(": ", changed)
    )]
    Conflict {
        /// What was changed.
        resource: Resource,
        /// The keys and devices that changed, as far as they are known.
        changed: Box<[String]>,
        /// The cause.
        source: Option<Source>,
    },
    /// The state of the resource does not allow the operation.
    #[error("{resource} is {actual}{}", List(", the operation needs it ", allowed))]
    InvalidState {
        /// Whose state.
        resource: Resource,
        /// The state it is in.
        actual: StateKind,
        /// The states in which the operation is allowed.
        allowed: &'static [StateKind],
        /// The cause.
        source: Option<Source>,
    },
    /// Something else still uses the resource.
    #[error("{resource} is in use by {by}")]
    InUse {
        /// What is in use.
        resource: Resource,
        /// By whom.
        by: Box<str>,
        /// The cause.
        source: Option<Source>,
    },
    /// A value that the caller gave cannot be used; the cause says why.
    #[error("the {field} of {resource} is not acceptable")]
    InvalidArgument {
        /// What the value was meant for.
        resource: Resource,
        /// The field that holds it.
        field: &'static str,
        /// The cause.
        source: Option<Source>,
    },
    /// The caller's account lacks the right.
    #[error("no permission on {resource}")]
    PermissionDenied {
        /// On what.
        resource: Resource,
        /// The cause, which names the privilege where the endpoint does.
        source: Option<Source>,
    },
    /// The endpoint does not accept the credentials.
    #[error("{resource} refused the credentials")]
    Unauthenticated {
        /// The endpoint.
        resource: Resource,
        /// The cause.
        source: Option<Source>,
    },
    /// A limit is reached: space, addresses, machines on a host.
    #[error("no {what} left for {resource}")]
    Exhausted {
        /// What needed it.
        resource: Resource,
        /// What ran out.
        what: Box<str>,
        /// The cause.
        source: Option<Source>,
    },
    /// It took longer than allowed. What was asked of the endpoint may still happen there.
    #[error("{resource}: {phase} took too long")]
    Timeout {
        /// On what.
        resource: Resource,
        /// What was being done or waited for.
        phase: &'static str,
        /// The cause.
        source: Option<Source>,
    },
    /// The endpoint cannot be reached or cannot serve now; the same call may succeed later.
    #[error("{resource} is not available")]
    Unavailable {
        /// The endpoint.
        resource: Resource,
        /// When to try again, where the endpoint said so.
        retry_after: Option<Duration>,
        /// The cause.
        source: Option<Source>,
    },
    /// The guest could not do its part. The reason is the guest's own words: do not trust it
    /// further than to show it.
    #[error("the guest of {resource} failed: {reason}")]
    GuestFailed {
        /// Whose guest.
        resource: Resource,
        /// What it said.
        reason: Box<str>,
        /// The cause.
        source: Option<Source>,
    },
    /// The request was sent and its answer lost: look at the resource before asking again.
    #[error("it is unknown whether {task} on {resource} was done")]
    OutcomeUnknown {
        /// On what.
        resource: Resource,
        /// The operation, or the endpoint's task.
        task: Box<str>,
        /// The cause.
        source: Option<Source>,
    },
    /// The back end, or its endpoint, lacks what this needs.
    #[error("{resource} needs {capability}, which is missing here")]
    Unsupported {
        /// What needs it.
        resource: Resource,
        /// What is missing.
        capability: Capability,
        /// The cause.
        source: Option<Source>,
    },
    /// Something that should not happen; the cause has the details.
    #[error("unexpected failure on {resource}")]
    Internal {
        /// On what.
        resource: Resource,
        /// The cause.
        source: Option<Source>,
    },
}

impl Error {
    /// What the error is about.
    #[must_use]
    pub fn resource(&self) -> &Resource {
        match self {
            Self::NotFound { resource, .. }
            | Self::AlreadyExists { resource, .. }
            | Self::Conflict { resource, .. }
            | Self::InvalidState { resource, .. }
            | Self::InUse { resource, .. }
            | Self::InvalidArgument { resource, .. }
            | Self::PermissionDenied { resource, .. }
            | Self::Unauthenticated { resource, .. }
            | Self::Exhausted { resource, .. }
            | Self::Timeout { resource, .. }
            | Self::Unavailable { resource, .. }
            | Self::GuestFailed { resource, .. }
            | Self::OutcomeUnknown { resource, .. }
            | Self::Unsupported { resource, .. }
            | Self::Internal { resource, .. } => resource,
        }
    }

    /// A [`NotFound`](Self::NotFound) without a cause.
    #[must_use]
    pub fn not_found(resource: Resource) -> Self {
        Self::NotFound {
            resource,
            source: None,
        }
    }

    /// An [`AlreadyExists`](Self::AlreadyExists) without a cause.
    #[must_use]
    pub fn already_exists(resource: Resource) -> Self {
        Self::AlreadyExists {
            resource,
            source: None,
        }
    }

    /// An [`InvalidState`](Self::InvalidState) without a cause.
    #[must_use]
    pub fn invalid_state(
        resource: Resource,
        actual: StateKind,
        allowed: &'static [StateKind],
    ) -> Self {
        Self::InvalidState {
            resource,
            actual,
            allowed,
            source: None,
        }
    }

    /// An [`InvalidArgument`](Self::InvalidArgument) because of this reason.
    pub fn invalid_argument(
        resource: Resource,
        field: &'static str,
        reason: impl Into<Source>,
    ) -> Self {
        Self::InvalidArgument {
            resource,
            field,
            source: Some(reason.into()),
        }
    }

    /// An [`Internal`](Self::Internal) because of this reason.
    pub fn internal(resource: Resource, reason: impl Into<Source>) -> Self {
        Self::Internal {
            resource,
            source: Some(reason.into()),
        }
    }
}

/// Prints an introduction and the members, or nothing when there are none.
struct List<'a, T>(&'static str, &'a [T]);

impl<T: std::fmt::Display> std::fmt::Display for List<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (position, item) in self.1.iter().enumerate() {
            f.write_str(match position {
                0 => self.0,
                _ if position + 1 == self.1.len() && self.0.starts_with(',') => " or ",
                _ => ", ",
            })?;
            item.fmt(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_small() {
        assert!(size_of::<Error>() <= 64, "{} bytes", size_of::<Error>());
    }

    #[test]
    fn says_what_on_what_and_keeps_its_cause_apart() {
        let error = Error::invalid_state(
            Resource::container("ab12"),
            StateKind::Running,
            &[StateKind::Created, StateKind::Stopped],
        );
        assert_eq!(
            error.to_string(),
            "container \"ab12\" is running, the operation needs it created or stopped"
        );
        let error = Error::invalid_argument(Resource::host("a b"), "name", "it holds a space");
        assert_eq!(
            error.to_string(),
            "the name of virtual container host \"a b\" is not acceptable"
        );
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        assert_eq!(cause.as_deref(), Some("it holds a space"));
        let error = Error::Conflict {
            resource: Resource::container("ab12"),
            changed: Box::new([]),
            source: None,
        };
        assert_eq!(
            error.to_string(),
            "container \"ab12\" was changed by somebody else meanwhile"
        );
    }
}
