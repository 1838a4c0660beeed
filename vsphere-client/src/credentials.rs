//! Credentials for opening a session.

use std::fmt;

use secrecy::SecretString;

/// Credentials with which a client opens its session. Secrets are wiped on drop and never
/// printed.
#[derive(Clone)]
#[non_exhaustive]
pub enum Credentials {
    /// A user and a password. The client logs in, and logs in again when the session is lost.
    Password {
        /// The user, such as `root` or `administrator@vsphere.local`.
        user: String,
        /// The password.
        password: SecretString,
    },
    /// A session opened by another program: the value of the cookie `vmware_soap_session`,
    /// with or without its quotes. The client uses the session as long as it is valid, and
    /// [`Client::close`](crate::Client::close) does not end it.
    Session(SecretString),
}

impl Credentials {
    /// Creates credentials from a user and a password.
    #[must_use]
    pub fn password(user: impl Into<String>, password: impl Into<SecretString>) -> Self {
        Self::Password {
            user: user.into(),
            password: password.into(),
        }
    }

    /// Creates credentials from the ticket of an open session.
    #[must_use]
    pub fn session(ticket: impl Into<SecretString>) -> Self {
        Self::Session(ticket.into())
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Password { user, .. } => write!(f, "Password({user}, hidden)"),
            Self::Session(_) => f.write_str("Session(hidden)"),
        }
    }
}
