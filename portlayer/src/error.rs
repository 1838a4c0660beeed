//! The error type of all traits.

use std::fmt;
use std::time::Duration;

use crate::{Capability, Resource, StateKind};

/// The maximum length of a guest's reason in bytes.
const REASON: usize = 4096;
/// The end of a shortened reason.
const ELLIPSIS: &str = "…";

/// The cause of an [`Error`], for example a fault of the endpoint or a parse error.
pub type Source = Box<dyn std::error::Error + Send + Sync>;

/// The result of an operation of the port layer.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The reason why an operation failed: the kind of failure, the resource, and the cause.
///
/// The [`kind`](Self::kind) alone is enough to decide what to do next, or which HTTP status to
/// return. `Display` names the resource and never repeats the cause, which is the
/// [`source`](std::error::Error::source).
///
/// ```
/// use portlayer::{Error, ErrorKind, Resource};
///
/// let result: portlayer::Result<()> = Err(Error::not_found(Resource::container("jovial_ride")));
/// match result {
///     Err(Error { kind: ErrorKind::NotFound, .. }) => {} // 404
///     Err(Error { kind: ErrorKind::InvalidState { .. } | ErrorKind::InUse { .. }, .. }) => {} // 409
///     _ => {}
/// }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Error {
    /// The kind of failure.
    pub kind: ErrorKind,
    resource: Box<Resource>,
    source: Option<Source>,
}

/// The kinds of [`Error`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The resource does not exist.
    NotFound,
    /// A resource with this id or name already exists.
    AlreadyExists,
    /// The resource was changed concurrently, between reading and writing it: read it again, and
    /// retry if the change is still wanted.
    Conflict {
        /// The keys and devices that changed, if known.
        changed: Box<[String]>,
    },
    /// The state of the resource does not allow the operation.
    InvalidState {
        /// The current state.
        actual: StateKind,
        /// The states in which the operation is allowed; may be empty.
        allowed: &'static [StateKind],
    },
    /// Something else still uses the resource.
    InUse {
        /// The users of the resource.
        by: Box<str>,
    },
    /// A value from the caller is invalid; the source says why.
    InvalidArgument {
        /// The name of the field.
        field: &'static str,
    },
    /// The caller's account lacks a privilege; the source names it if the endpoint does.
    PermissionDenied,
    /// The endpoint does not accept the credentials.
    Unauthenticated,
    /// A limit was reached: space, addresses, machines on a host.
    Exhausted {
        /// What ran out.
        what: Box<str>,
    },
    /// The operation took longer than allowed. The endpoint may still carry out requests that were
    /// already sent to it.
    Timeout {
        /// The operation or wait that timed out.
        phase: &'static str,
    },
    /// The endpoint cannot be reached or cannot serve now; a later retry may succeed.
    Unavailable {
        /// When to retry, if the endpoint said so.
        retry_after: Option<Duration>,
    },
    /// The guest failed. The reason is text from the guest: do not trust it
    /// beyond showing it.
    GuestFailed {
        /// The reason that the guest reported, at most 4 KiB of it.
        reason: Box<str>,
    },
    /// The request was sent and its response was lost: inspect the resource before retrying.
    OutcomeUnknown {
        /// The operation, or the endpoint's task.
        task: Box<str>,
    },
    /// The back end, or its endpoint, lacks a capability that the operation needs.
    Unsupported {
        /// The missing capability.
        capability: Capability,
    },
    /// A failure that should not happen; the source has the details.
    Internal,
}

impl Error {
    /// Creates an error of this kind without a source.
    #[must_use]
    pub fn new(kind: ErrorKind, resource: Resource) -> Self {
        Self {
            kind,
            resource: Box::new(resource),
            source: None,
        }
    }

    /// Creates a [`NotFound`](crate::ErrorKind::NotFound) error.
    #[must_use]
    pub fn not_found(resource: Resource) -> Self {
        Self::new(ErrorKind::NotFound, resource)
    }

    /// Creates an [`AlreadyExists`](crate::ErrorKind::AlreadyExists) error.
    #[must_use]
    pub fn already_exists(resource: Resource) -> Self {
        Self::new(ErrorKind::AlreadyExists, resource)
    }

    /// Creates a [`Conflict`](crate::ErrorKind::Conflict) error about these keys and devices.
    #[must_use]
    pub fn conflict(resource: Resource, changed: impl IntoIterator<Item = String>) -> Self {
        let changed = changed.into_iter().collect();
        Self::new(ErrorKind::Conflict { changed }, resource)
    }

    /// Creates an [`InvalidState`](crate::ErrorKind::InvalidState) error.
    #[must_use]
    pub fn invalid_state(
        resource: Resource,
        actual: StateKind,
        allowed: &'static [StateKind],
    ) -> Self {
        Self::new(ErrorKind::InvalidState { actual, allowed }, resource)
    }

    /// Creates an [`InUse`](crate::ErrorKind::InUse) error with the users.
    #[must_use]
    pub fn in_use(resource: Resource, by: impl Into<Box<str>>) -> Self {
        Self::new(ErrorKind::InUse { by: by.into() }, resource)
    }

    /// Creates an [`InvalidArgument`](crate::ErrorKind::InvalidArgument) error with the reason.
    #[must_use]
    pub fn invalid_argument(
        resource: Resource,
        field: &'static str,
        reason: impl Into<Source>,
    ) -> Self {
        Self::new(ErrorKind::InvalidArgument { field }, resource).with_source(reason)
    }

    /// Creates a [`PermissionDenied`](crate::ErrorKind::PermissionDenied) error.
    #[must_use]
    pub fn permission_denied(resource: Resource) -> Self {
        Self::new(ErrorKind::PermissionDenied, resource)
    }

    /// Creates an [`Unauthenticated`](crate::ErrorKind::Unauthenticated) error.
    #[must_use]
    pub fn unauthenticated(resource: Resource) -> Self {
        Self::new(ErrorKind::Unauthenticated, resource)
    }

    /// Creates an [`Exhausted`](crate::ErrorKind::Exhausted) error: nothing is left of `what`.
    #[must_use]
    pub fn exhausted(resource: Resource, what: impl Into<Box<str>>) -> Self {
        Self::new(ErrorKind::Exhausted { what: what.into() }, resource)
    }

    /// Creates a [`Timeout`](crate::ErrorKind::Timeout) error of this phase.
    #[must_use]
    pub fn timeout(resource: Resource, phase: &'static str) -> Self {
        Self::new(ErrorKind::Timeout { phase }, resource)
    }

    /// Creates an [`Unavailable`](crate::ErrorKind::Unavailable) error.
    #[must_use]
    pub fn unavailable(resource: Resource, retry_after: Option<Duration>) -> Self {
        Self::new(ErrorKind::Unavailable { retry_after }, resource)
    }

    /// Creates a [`GuestFailed`](crate::ErrorKind::GuestFailed) error with the guest's reason, which is
    /// shortened to 4 KiB.
    #[must_use]
    pub fn guest_failed(resource: Resource, reason: impl Into<Box<str>>) -> Self {
        let mut reason = reason.into();
        if reason.len() > REASON {
            let end = reason.floor_char_boundary(REASON - ELLIPSIS.len());
            reason = format!("{}{ELLIPSIS}", &reason[..end]).into();
        }
        Self::new(ErrorKind::GuestFailed { reason }, resource)
    }

    /// Creates an [`OutcomeUnknown`](crate::ErrorKind::OutcomeUnknown) error of an operation or
    /// task.
    #[must_use]
    pub fn outcome_unknown(resource: Resource, task: impl Into<Box<str>>) -> Self {
        Self::new(ErrorKind::OutcomeUnknown { task: task.into() }, resource)
    }

    /// Creates an [`Unsupported`](crate::ErrorKind::Unsupported) error with the missing capability.
    #[must_use]
    pub fn unsupported(resource: Resource, capability: Capability) -> Self {
        Self::new(ErrorKind::Unsupported { capability }, resource)
    }

    /// Creates an [`Internal`](crate::ErrorKind::Internal) error with a cause.
    #[must_use]
    pub fn internal(resource: Resource, reason: impl Into<Source>) -> Self {
        Self::new(ErrorKind::Internal, resource).with_source(reason)
    }

    /// Returns the error with another source.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Source>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Returns the error about another resource.
    #[must_use]
    pub fn with_resource(mut self, resource: Resource) -> Self {
        *self.resource = resource;
        self
    }

    /// Returns the kind of failure.
    #[must_use]
    pub fn kind(&self) -> &ErrorKind {
        &self.kind
    }

    /// Returns the resource of the operation.
    #[must_use]
    pub fn resource(&self) -> &Resource {
        &self.resource
    }

    /// Returns whether the resource does not exist.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.kind == ErrorKind::NotFound
    }

    /// Returns whether the resource was changed concurrently.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        matches!(self.kind, ErrorKind::Conflict { .. })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let resource = &self.resource;
        match &self.kind {
            ErrorKind::NotFound => write!(f, "{resource} was not found"),
            ErrorKind::AlreadyExists => write!(f, "{resource} already exists"),
            ErrorKind::Conflict { changed } => {
                let changed = List(": ", ", ", changed);
                write!(f, "{resource} was changed concurrently{changed}")
            }
            ErrorKind::InvalidState { actual, allowed } => {
                let allowed = List(", but must be ", " or ", allowed);
                write!(f, "{resource} is {actual}{allowed}")
            }
            ErrorKind::InUse { by } => write!(f, "{resource} is in use by {by}"),
            ErrorKind::InvalidArgument { field } => {
                write!(f, "invalid value for {field} of {resource}")
            }
            ErrorKind::PermissionDenied => write!(f, "no permission on {resource}"),
            ErrorKind::Unauthenticated => write!(f, "{resource} refused the credentials"),
            ErrorKind::Exhausted { what } => write!(f, "no {what} left for {resource}"),
            ErrorKind::Timeout { phase } => write!(f, "{resource}: timed out in {phase}"),
            ErrorKind::Unavailable { .. } => write!(f, "{resource} is not available"),
            ErrorKind::GuestFailed { reason } => {
                write!(f, "the guest of {resource} failed: {reason}")
            }
            ErrorKind::OutcomeUnknown { task } => {
                write!(
                    f,
                    "it is unknown whether {task} on {resource} was carried out"
                )
            }
            ErrorKind::Unsupported { capability } => {
                write!(f, "{resource} needs {capability}, which is not available")
            }
            ErrorKind::Internal => write!(f, "unexpected failure on {resource}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source
            .as_deref()
            .map(|source| source as &(dyn std::error::Error + 'static))
    }
}

/// Prints a list, or nothing if it is empty. The fields are the introduction, the separator before
/// the last item, and the items.
struct List<'a, T>(&'static str, &'static str, &'a [T]);

impl<T: fmt::Display> fmt::Display for List<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(introduction, last, items) = self;
        for (position, item) in items.iter().enumerate() {
            f.write_str(match position {
                0 => introduction,
                _ if position + 1 == items.len() => last,
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
    fn display_names_the_resource_and_leaves_the_cause_to_the_source() {
        let error = Error::invalid_state(
            Resource::container("ab12"),
            StateKind::Running,
            &[StateKind::Created, StateKind::Stopped],
        );
        assert_eq!(
            error.to_string(),
            "container \"ab12\" is running, but must be created or stopped"
        );
        let error =
            Error::invalid_argument(Resource::container("a b"), "name", "it contains a space");
        assert_eq!(
            error.to_string(),
            "invalid value for name of container \"a b\""
        );
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        assert_eq!(cause.as_deref(), Some("it contains a space"));
        let error = Error::conflict(Resource::container("ab12"), []);
        assert_eq!(
            error.to_string(),
            "container \"ab12\" was changed concurrently"
        );
        let error = Error::conflict(Resource::container("ab12"), ["a".into(), "b".into()]);
        assert_eq!(
            error.to_string(),
            "container \"ab12\" was changed concurrently: a, b"
        );
    }
}
