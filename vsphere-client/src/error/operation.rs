//! The operation that an error is about.

use std::fmt;

use vim25::AnyRef;

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
        match self.server() {
            "" => Ok(()),
            server => write!(f, " on {server}"),
        }
    }
}

impl fmt::Debug for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A phase of a request, each with a timeout of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestPhase {
    /// Resolving the name, connecting and the TLS handshake.
    Connect,
    /// The time from sending the request to the end of the response.
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
