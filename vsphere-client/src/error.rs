//! Errors: what was attempted, on what, and what to do.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use vim25::types::{InvalidProperty, MethodFault};
use vim25::{AnyRef, ConvertError, DataObject, DecodeError, EncodeError, Fault, IsA, Ref, mo};

/// The result type of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

type Source = Box<dyn StdError + Send + Sync>;

/// The reason why a request to a server failed.
///
/// Each variant calls for a different reaction; mere information is in the
/// text and in the chain of sources. No text contains a password or a session.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server was too slow. Nothing was changed: a change that timed out is
    /// [`OutcomeUnknown`](Self::OutcomeUnknown).
    #[error(
        "{operation}: {phase} took longer than {limit:?}; is the server overloaded or the network cut?"
    )]
    Timeout {
        /// What was attempted.
        operation: Operation,
        /// What took too long.
        phase: RequestPhase,
        /// The timeout.
        limit: Duration,
    },

    /// The server could not be reached, or the connection broke, on every attempt.
    #[error("{operation}: {problem}")]
    Transport {
        /// What was attempted.
        operation: Operation,
        /// What went wrong, and what to check.
        problem: TransportProblem,
        /// The cause.
        source: Option<Source>,
    },

    /// The connection could not be secured; see [`untrusted`](Self::untrusted).
    #[error("{operation}: {problem}")]
    Tls {
        /// What was attempted.
        operation: Operation,
        /// What went wrong, and what to do.
        problem: Box<TlsProblem>,
    },

    /// The server requires a login that it did not get, or refuses it.
    #[error("{operation}: {problem}")]
    NotAuthenticated {
        /// What was attempted.
        operation: Operation,
        /// The reason why there is no session.
        problem: LoginProblem,
        /// The fault of the server.
        source: Option<Box<Fault>>,
    },

    /// The server returned a fault, immediately or at the end of a task.
    #[error("{operation} failed{}", unknown_property(source))]
    Fault {
        /// What was attempted.
        operation: Operation,
        /// The task that ended with the fault, if it was a task.
        task: Option<Box<Ref<mo::Task>>>,
        /// The fault of the server.
        source: Box<Fault>,
    },

    /// A change was sent, and it is not known whether it was carried out; the source
    /// has the reason. Check the object before repeating the call.
    #[error("{operation}: it may or may not have been carried out; check before repeating it")]
    OutcomeUnknown {
        /// What was attempted.
        operation: Operation,
        /// The task whose end is unknown, if the server had started one.
        task: Option<Box<Ref<mo::Task>>>,
        /// The reason: the response was lost or came from something in front of the
        /// server, or the task cannot be followed.
        source: Source,
    },

    /// The response of the server could not be decoded.
    #[error("{operation}: the answer cannot be read")]
    Decode {
        /// What was attempted.
        operation: Operation,
        /// Where and why.
        source: Source,
    },

    /// Nothing was sent, because the request itself is invalid.
    #[error("{what}")]
    Config {
        /// What is wrong, and how to fix it.
        what: Box<str>,
        /// The cause.
        source: Option<Source>,
    },

    /// The server, or this version of it, does not offer what was requested.
    #[error("{server} does not offer {what}")]
    Unsupported {
        /// What it does not offer: a service, a manager, views, …
        what: Box<str>,
        /// The server, as `host:port`.
        server: Box<str>,
    },

    /// A required property currently has no value.
    #[error("{object} has no value for {property}")]
    Unset {
        /// The object.
        object: Box<AnyRef>,
        /// The path of the property.
        property: Box<str>,
    },

    /// An object exists, but is not of the requested type.
    #[error("{name} is a {found}, not a {expected}")]
    WrongType {
        /// The name or path.
        name: Box<str>,
        /// The wire name of the actual type.
        found: Box<str>,
        /// The requested type.
        expected: &'static str,
    },

    /// There is no object with the given name.
    #[error("no {kind} {name:?} in {place}")]
    NotFound {
        /// The kind of object that was looked for.
        kind: EntityKind,
        /// The name that was not found.
        name: Box<str>,
        /// Where it was looked for, and what exists there.
        place: SearchScope,
    },

    /// Several objects match where one is needed.
    #[error("more than one {kind} fits in {place}; name one")]
    Ambiguous {
        /// The kind of object that was looked for.
        kind: EntityKind,
        /// Where it was looked for, and what exists there.
        place: SearchScope,
    },
}

/// The kind of object that was looked up by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EntityKind {
    /// Any object of the inventory, by its path.
    Entity,
    /// A datacenter.
    Datacenter,
    /// A datastore.
    Datastore,
    /// A network or distributed port group.
    Network,
    /// A resource pool, or the host or cluster whose root pool it is.
    ResourcePool,
    /// A file on a datastore.
    File,
    /// A directory on a datastore.
    Directory,
    /// A file or directory on a datastore.
    FileOrDirectory,
}

impl EntityKind {
    /// Returns the kind in words, such as `resource pool`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Entity => "inventory object",
            Self::Datacenter => "datacenter",
            Self::Datastore => "datastore",
            Self::Network => "network",
            Self::ResourcePool => "resource pool",
            Self::File => "file",
            Self::Directory => "directory",
            Self::FileOrDirectory => "file or directory",
        }
    }
}

impl fmt::Display for EntityKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The place where a name was looked up, and what exists there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchScope(Box<SearchScopeParts>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct SearchScopeParts {
    name: String,
    there: Vec<String>,
}

impl SearchScope {
    pub(crate) fn new(name: impl Into<String>, there: Vec<String>) -> Self {
        Self(Box::new(SearchScopeParts {
            name: name.into(),
            there,
        }))
    }

    /// Returns the name or path of the place.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Returns the names of the objects that exist there, as far as they were read.
    #[must_use]
    pub fn there(&self) -> &[String] {
        &self.0.there
    }
}

impl fmt::Display for SearchScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 20;
        f.write_str(self.name())?;
        for (index, name) in self.there().iter().take(SHOWN).enumerate() {
            let before = if index == 0 { "; there is" } else { "," };
            write!(f, "{before} {name}")?;
        }
        match self.there().len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

impl Error {
    /// Returns a copy of the error for another caller that it affects.
    pub(crate) fn shared(error: &Arc<Self>) -> Self {
        let source = || Box::new(SharedSource(Arc::clone(error)));
        let some_source = || error.source().is_some().then(|| -> Source { source() });
        match &**error {
            Self::Timeout {
                operation,
                phase,
                limit,
            } => Self::Timeout {
                operation: operation.clone(),
                phase: *phase,
                limit: *limit,
            },
            Self::Transport {
                operation, problem, ..
            } => Self::Transport {
                operation: operation.clone(),
                problem: problem.clone(),
                source: some_source(),
            },
            Self::Tls { operation, problem } => Self::Tls {
                operation: operation.clone(),
                problem: Box::new(match &**problem {
                    TlsProblem::Untrusted(certificate) => {
                        TlsProblem::Untrusted(certificate.clone())
                    }
                    TlsProblem::Other(other) => TlsProblem::Other(other.to_string().into()),
                }),
            },
            Self::NotAuthenticated {
                operation,
                problem,
                source,
            } => Self::NotAuthenticated {
                operation: operation.clone(),
                problem: *problem,
                source: source.clone(),
            },
            Self::Fault {
                operation,
                task,
                source,
            } => Self::Fault {
                operation: operation.clone(),
                task: task.clone(),
                source: source.clone(),
            },
            Self::OutcomeUnknown {
                operation, task, ..
            } => Self::OutcomeUnknown {
                operation: operation.clone(),
                task: task.clone(),
                source: source(),
            },
            Self::Decode { operation, .. } => Self::Decode {
                operation: operation.clone(),
                source: source(),
            },
            Self::Config { what, .. } => Self::Config {
                what: what.clone(),
                source: some_source(),
            },
            Self::Unsupported { what, server } => Self::Unsupported {
                what: what.clone(),
                server: server.clone(),
            },
            Self::Unset { object, property } => Self::Unset {
                object: object.clone(),
                property: property.clone(),
            },
            Self::WrongType {
                name,
                found,
                expected,
            } => Self::WrongType {
                name: name.clone(),
                found: found.clone(),
                expected,
            },
            Self::NotFound { kind, name, place } => Self::NotFound {
                kind: *kind,
                name: name.clone(),
                place: place.clone(),
            },
            Self::Ambiguous { kind, place } => Self::Ambiguous {
                kind: *kind,
                place: place.clone(),
            },
        }
    }

    pub(crate) fn config(what: impl Into<Box<str>>) -> Self {
        Self::Config {
            what: what.into(),
            source: None,
        }
    }

    pub(crate) fn unsupported(what: &str, server: &str) -> Self {
        Self::Unsupported {
            what: what.into(),
            server: server.into(),
        }
    }

    pub(crate) fn not_found(
        kind: EntityKind,
        name: impl Into<Box<str>>,
        place: SearchScope,
    ) -> Self {
        Self::NotFound {
            kind,
            name: name.into(),
            place,
        }
    }

    pub(crate) fn unencodable(operation: &Operation, error: EncodeError) -> Self {
        Self::Config {
            what: format!("{operation}: an argument cannot be sent").into(),
            source: Some(error.into()),
        }
    }

    pub(crate) fn undecodable(operation: &Operation, error: DecodeError) -> Self {
        Self::Decode {
            operation: operation.clone(),
            source: error.into(),
        }
    }

    pub(crate) fn unconvertible(operation: &Operation, error: ConvertError) -> Self {
        Self::Decode {
            operation: operation.clone(),
            source: error.into(),
        }
    }

    pub(crate) fn fault_of(operation: &Operation, fault: Fault) -> Self {
        Self::Fault {
            operation: operation.clone(),
            task: None,
            source: Box::new(fault),
        }
    }

    /// Returns the fault of the server, if it sent one.
    #[must_use]
    pub fn server_fault(&self) -> Option<&Fault> {
        match self {
            Self::Fault { source, .. } => Some(source),
            Self::NotAuthenticated { source, .. } => source.as_deref(),
            _ => None,
        }
    }

    /// Returns the detail of the server's fault, if it is exactly a `T`.
    ///
    /// ```
    /// use vim25::types::{InvalidPowerState, VirtualMachinePowerState};
    ///
    /// fn was_on_already(error: &vsphere_client::Error) -> bool {
    ///     error.fault::<InvalidPowerState>().is_some_and(|detail| {
    ///         detail.existing_state == VirtualMachinePowerState::PoweredOn
    ///     })
    /// }
    /// ```
    #[must_use]
    pub fn fault<T: DataObject + IsA<MethodFault>>(&self) -> Option<T> {
        self.server_fault()?.get().ok().flatten()
    }

    /// Returns whether the detail of the server's fault is a `T` or of a type derived from it.
    #[must_use]
    pub fn is_fault<T: DataObject + IsA<MethodFault>>(&self) -> bool {
        self.server_fault().is_some_and(Fault::is::<T>)
    }

    /// Returns the task of a failed or lost call, if the call started one.
    #[must_use]
    pub fn task(&self) -> Option<&Ref<mo::Task>> {
        match self {
            Self::Fault { task, .. } | Self::OutcomeUnknown { task, .. } => task.as_deref(),
            _ => None,
        }
    }

    /// Returns the certificate that was not trusted, if that is the reason.
    #[must_use]
    pub fn untrusted(&self) -> Option<&UntrustedCertificate> {
        match self {
            Self::Tls { problem, .. } => match &**problem {
                TlsProblem::Untrusted(certificate) => Some(certificate),
                TlsProblem::Other(_) => None,
            },
            _ => None,
        }
    }

    /// Returns whether the object of the request does not exist (any more).
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.is_fault::<vim25::types::ManagedObjectNotFound>()
    }
}

/// Formats the property that the server does not know, if that is its reason: the
/// server's own message is often empty.
fn unknown_property(fault: &Fault) -> String {
    match fault.get::<InvalidProperty>() {
        Ok(Some(detail)) => format!(": the server knows no property {:?}", detail.name),
        _ => String::new(),
    }
}

/// The source of an error that several callers received.
#[derive(Debug)]
struct SharedSource(Arc<Error>);

impl fmt::Display for SharedSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.source() {
            Some(source) => fmt::Display::fmt(source, f),
            None => fmt::Display::fmt(&self.0, f),
        }
    }
}

impl StdError for SharedSource {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source()?.source()
    }
}

/// The operation that was attempted, its object and its server.
#[derive(Clone, PartialEq, Eq)]
pub struct Operation(Box<OperationParts>);

#[derive(Clone, PartialEq, Eq)]
struct OperationParts {
    operation: Box<str>,
    object: Option<AnyRef>,
    server: Box<str>,
}

impl Operation {
    pub(crate) fn new(operation: &str, object: Option<&AnyRef>, server: &str) -> Self {
        Self(Box::new(OperationParts {
            operation: operation.into(),
            object: object.cloned(),
            server: server.into(),
        }))
    }

    /// Returns the method of the API, or another operation such as `GET /folder/iso/boot.iso`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.operation
    }

    /// Returns the object of the operation.
    #[must_use]
    pub fn object(&self) -> Option<&AnyRef> {
        self.0.object.as_ref()
    }

    /// Returns the server as `host:port`.
    #[must_use]
    pub fn server(&self) -> &str {
        &self.0.server
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        if let Some(object) = self.object() {
            write!(f, " of {object}")?;
        }
        write!(f, " on {}", self.server())
    }
}

impl fmt::Debug for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The phase of a request that took too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestPhase {
    /// Resolving the name, connecting and the TLS handshake.
    Connect,
    /// From sending the request to the end of the response.
    Request,
    /// A pause between two pieces of a transfer.
    Idle,
}

impl fmt::Display for RequestPhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "connecting",
            Self::Request => "the answer",
            Self::Idle => "a pause in the transfer",
        })
    }
}

/// The problem below the API.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TransportProblem {
    /// No connection could be established.
    Unreachable,
    /// The connection ended before the response was complete.
    Broken,
    /// The server, or something in front of it, responded with this HTTP status.
    Status(u16),
    /// The response is longer than [`vim25::Limits`] allow.
    TooLong {
        /// The allowed number of bytes.
        limit: u64,
    },
    /// Reading the source of an upload failed.
    Source,
}

impl fmt::Display for TransportProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable => f.write_str(
                "the server cannot be reached; check its name and port, and that it is running",
            ),
            Self::Broken => f.write_str("the connection broke"),
            Self::Status(status @ (502..=504)) => write!(
                f,
                "HTTP status {status}: the service behind the server's front end is not answering; is it still starting?"
            ),
            Self::Status(404) => f.write_str(
                "HTTP status 404: nothing there; is this the address of an ESXi host or vCenter?",
            ),
            Self::Status(status) => write!(f, "unexpected HTTP status {status}"),
            Self::TooLong { limit } => write!(f, "the answer is longer than {limit} bytes"),
            Self::Source => f.write_str("what was to be sent could not be read"),
        }
    }
}

/// The reason why a connection could not be secured.
#[derive(Debug)]
#[non_exhaustive]
pub enum TlsProblem {
    /// The server's certificate is not trusted.
    Untrusted(UntrustedCertificate),
    /// The TLS handshake failed for another reason.
    Other(Source),
}

impl fmt::Display for TlsProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Untrusted(certificate) => certificate.fmt(f),
            Self::Other(error) => write!(f, "the connection cannot be secured: {error}"),
        }
    }
}

/// The certificate that a server presented and that is not trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UntrustedCertificate {
    pub(crate) thumbprint: String,
    pub(crate) expected: Option<String>,
    pub(crate) reason: String,
}

impl UntrustedCertificate {
    /// Returns the certificate's SHA-256 thumbprint, as pairs of digits with colons.
    #[must_use]
    pub fn thumbprint(&self) -> &str {
        &self.thumbprint
    }
}

impl fmt::Display for UntrustedCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.expected {
            Some(expected) => write!(
                f,
                "the server's certificate is not the pinned one: pinned {expected}, shown SHA-256 {}; \
                 if it was renewed, verify the new thumbprint on the server itself and pin that",
                self.thumbprint
            ),
            None => write!(
                f,
                "the server's certificate is not trusted ({}); \
                 add its authority to the TLS roots, or verify its SHA-256 thumbprint \
                 on the server itself and pin it: {}",
                self.reason, self.thumbprint
            ),
        }
    }
}

impl StdError for UntrustedCertificate {}

/// The reason why there is no session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LoginProblem {
    /// The server does not accept user name and password.
    WrongPassword,
    /// The client was built without credentials.
    NoCredentials,
    /// The session ticket is not valid (any more), and there is no password to log in again.
    TicketRefused,
    /// The call was refused right after a login: the user lacks a permission.
    NotPermitted,
    /// The client was closed.
    Closed,
}

impl fmt::Display for LoginProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WrongPassword => "user name or password is wrong; check both, and whether the account is locked",
            Self::NoCredentials => "the server wants a login; give the client a user name and password",
            Self::TicketRefused => "the session ticket is not valid any more; get a new one, or give user name and password",
            Self::NotPermitted => "refused, also right after a login; give the user the missing permission",
            Self::Closed => "the client was closed; connect again",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_fits_into_a_cache_line() {
        assert!(size_of::<Error>() <= 64, "{}", size_of::<Error>());
    }

    #[test]
    fn not_found_says_what_is_there() {
        let there = vec!["ds1".into(), "ds2".into()];
        let error = Error::not_found(
            EntityKind::Datastore,
            "nfs",
            SearchScope::new("/ha-datacenter", there),
        );
        assert_eq!(
            error.to_string(),
            "no datastore \"nfs\" in /ha-datacenter; there is ds1, ds2"
        );
    }
}
