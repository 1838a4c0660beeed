//! Copies of one error for several callers.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use super::{Error, Source, TlsProblem};

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
            // The engine reads no archives.
            Self::Decode { operation, .. } | Self::Archive { operation, .. } => Self::Decode {
                operation: operation.clone(),
                source: source(),
            },
            Self::Config { what, .. } => Self::Config {
                what: what.clone(),
                source: some_source(),
            },
            Self::LocalFile { what, path, source } => Self::LocalFile {
                what,
                path: path.clone(),
                source: std::io::Error::new(source.kind(), SharedSource(Arc::clone(error))),
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
}

/// The source of a copied error: delegates to the original error.
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
