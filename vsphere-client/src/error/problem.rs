//! Problems below the API: connections, certificates, logins.

use std::error::Error as StdError;
use std::fmt;

use super::Source;

/// The reason why a request failed below the API.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TransportProblem {
    /// No connection could be established.
    Unreachable,
    /// The connection ended before the response was complete.
    Broken,
    /// The server, or a proxy in front of it, responded with this HTTP status.
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
            Self::TooLong { limit } => write!(f, "the response is longer than {limit} bytes"),
            Self::Source => f.write_str("the content to send could not be read"),
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

/// A certificate that a server presented and that is not trusted.
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
    /// The server does not accept the user name and password.
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
            Self::NoCredentials => "the server requires a login; give user name and password",
            Self::TicketRefused => "the session ticket is not valid any more; get a new one, or give user name and password",
            Self::NotPermitted => "refused even right after a login; give the user the missing permission",
            Self::Closed => "the client was closed; connect again",
        })
    }
}
