//! The error type, which says what was attempted, on which object, and what to do.
//!
//! There are three layers, and each answers a different question:
//!
//! 1. [`Error`]: what can the caller do? Each variant calls for another reaction: wait, log in,
//!    pin a certificate, check before repeating, correct the program.
//! 2. [`TransportProblem`], [`TlsProblem`] and [`LoginProblem`]: what has to be mended? They
//!    are the reasons within one reaction, and the text that an operator reads.
//! 3. The chain of sources: what did the layer below report? The fault of the server, and
//!    errors of I/O, TLS and codec. For people and logs, not for decisions.
//!
//! The internal `FailureKind` of a transport and `Failure` of an attempt are no further
//! layers: they say whether a request was sent and whether to repeat it, and every one ends
//! as one of the variants here.

mod operation;
mod problem;
mod search;
mod shared;

pub use operation::{Operation, RequestPhase};
pub use problem::{LoginProblem, TlsProblem, TransportProblem, UntrustedCertificate};
pub use search::{EntityKind, SearchScope};

use std::error::Error as StdError;
use std::path::Path;
use std::time::Duration;

use vim25::types::{InvalidProperty, MethodFault};
use vim25::{AnyRef, ConvertError, DataObject, DecodeError, EncodeError, Fault, IsA, Ref, mo};

use crate::ovf::ArchiveError;

/// The result type of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

pub(crate) type Source = Box<dyn StdError + Send + Sync>;

/// The reason why a request to a server failed.
///
/// Each variant calls for a different reaction by the caller; details are in the text and in
/// the chain of sources. No text contains a password or a session cookie.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server was too slow. Nothing was changed: if a change times out, the error is
    /// [`OutcomeUnknown`](Self::OutcomeUnknown).
    #[error(
        "{operation}: {phase} took longer than {limit:?}; is the server overloaded or the network cut?"
    )]
    Timeout {
        /// The attempted operation.
        operation: Operation,
        /// The phase that took too long.
        phase: RequestPhase,
        /// The timeout.
        limit: Duration,
    },

    /// The server could not be reached, or the connection broke, on every attempt.
    #[error("{operation}: {problem}")]
    Transport {
        /// The attempted operation.
        operation: Operation,
        /// What went wrong, and what to check.
        problem: TransportProblem,
        /// The cause.
        source: Option<Source>,
    },

    /// The connection could not be secured; see [`untrusted`](Self::untrusted).
    #[error("{operation}: {problem}")]
    Tls {
        /// The attempted operation.
        operation: Operation,
        /// What went wrong, and what to do.
        problem: Box<TlsProblem>,
    },

    /// The server requires a login and there is none, or the server refused it.
    #[error("{operation}: {problem}")]
    NotAuthenticated {
        /// The attempted operation.
        operation: Operation,
        /// The reason why there is no session.
        problem: LoginProblem,
        /// The fault of the server.
        source: Option<Box<Fault>>,
    },

    /// The server returned a fault, immediately or at the end of a task.
    #[error("{operation} failed{}", unknown_property(source))]
    Fault {
        /// The attempted operation.
        operation: Operation,
        /// The task that ended with the fault, if it was a task.
        task: Option<Box<Ref<mo::Task>>>,
        /// The fault of the server.
        source: Box<Fault>,
    },

    /// A change was sent, and it is not known whether it was carried out. The source tells
    /// why. Check the object before repeating the call.
    #[error("{operation}: it may or may not have been carried out; check before repeating it")]
    OutcomeUnknown {
        /// The attempted operation.
        operation: Operation,
        /// The task whose end is unknown, if the server had started one.
        task: Option<Box<Ref<mo::Task>>>,
        /// The reason: the response was lost, a proxy in front of the server responded, or the
        /// task can no longer be observed.
        source: Source,
    },

    /// The response of the server could not be decoded.
    #[error("{operation}: the answer cannot be read")]
    Decode {
        /// The attempted operation.
        operation: Operation,
        /// The position of the error and its reason.
        source: Source,
    },

    /// The program's own input is invalid: an address, an option, an argument, or a call from
    /// outside a tokio runtime. Nothing was sent.
    #[error("{what}")]
    Config {
        /// What is wrong, and how to fix it.
        what: Box<str>,
        /// The cause.
        source: Option<Source>,
    },

    /// A file on the client's side of a transfer could not be read or written.
    #[error("cannot {what} the local file {}", path.display())]
    LocalFile {
        /// What was attempted: `read` or `write`.
        what: &'static str,
        /// The file.
        path: Box<Path>,
        /// The error of the operating system.
        source: std::io::Error,
    },

    /// An OVA cannot be imported: it is damaged, incomplete, or not what its manifest says.
    #[error("{operation}: the archive is not usable")]
    Archive {
        /// The attempted operation.
        operation: Operation,
        /// The entry, the position, and what is wrong there.
        source: Box<ArchiveError>,
    },

    /// The server, or its version, does not offer the requested feature.
    #[error("{server} does not offer {what}")]
    Unsupported {
        /// The missing feature: a service, a manager, views, …
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
        /// The kind of the object.
        kind: EntityKind,
        /// The name that was not found.
        name: Box<str>,
        /// The place that was searched, and what exists there.
        place: SearchScope,
    },

    /// Several objects match where one is needed.
    #[error("more than one {kind} fits in {place}; name one")]
    Ambiguous {
        /// The kind of the object.
        kind: EntityKind,
        /// The place that was searched, and what exists there.
        place: SearchScope,
    },
}

impl Error {
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

    pub(crate) fn archive(operation: &Operation, error: ArchiveError) -> Self {
        Self::Archive {
            operation: operation.clone(),
            source: Box::new(error),
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

    /// Returns the error for a response that can be decoded but makes no sense.
    pub(crate) fn senseless(operation: Operation, what: impl Into<String>) -> Self {
        Self::Decode {
            operation,
            source: what.into().into(),
        }
    }

    pub(crate) fn fault_of(operation: &Operation, fault: Fault) -> Self {
        Self::Fault {
            operation: operation.clone(),
            task: None,
            source: Box::new(fault),
        }
    }

    /// Returns the fault that the server sent, if any.
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

    /// Returns the task, if the call that failed or whose outcome is unknown started one.
    #[must_use]
    pub fn task(&self) -> Option<&Ref<mo::Task>> {
        match self {
            Self::Fault { task, .. } | Self::OutcomeUnknown { task, .. } => task.as_deref(),
            _ => None,
        }
    }

    /// Returns the certificate of the server, if the error is that it is not trusted.
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

    /// Returns whether the error is that the object of the request does not exist (any more).
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.is_fault::<vim25::types::ManagedObjectNotFound>()
    }
}

/// Formats the name of a property that the server does not know, if that is the reason of the
/// fault: the server's own message is often empty.
fn unknown_property(fault: &Fault) -> String {
    match fault.get::<InvalidProperty>() {
        Ok(Some(detail)) => format!(": the server knows no property {:?}", detail.name),
        _ => String::new(),
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
