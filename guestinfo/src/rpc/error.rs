//! The errors of accessing keys from the guest.

use crate::error::EncodeError;

/// A request of the guest failed. Never contains the value of a key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RpcError {
    /// A guest cannot access such a key.
    #[error("a guest cannot name the key {key:?}: {reason}")]
    Key {
        /// The key.
        key: String,
        /// Why the key is invalid.
        reason: &'static str,
    },
    /// A guest cannot set a key to this value.
    #[error("a guest cannot set the key {key:?} to this value: {reason}")]
    Value {
        /// The key.
        key: String,
        /// Why the value is invalid.
        reason: &'static str,
    },
    /// The host refused the request.
    #[error("the host refused to {verb} the key {key:?}: {reason:?}")]
    Refused {
        /// `info-get` or `info-set`.
        verb: &'static str,
        /// The key.
        key: String,
        /// The host's message.
        reason: String,
    },
    /// The host's answer is malformed.
    #[error("the host's answer to {verb} of the key {key:?} is malformed: {reason}")]
    Protocol {
        /// `info-get` or `info-set`.
        verb: &'static str,
        /// The key.
        key: String,
        /// Why the answer is invalid.
        reason: &'static str,
    },
    /// The host could not be reached.
    #[error("the host could not be reached to {verb} the key {key:?}")]
    Transport {
        /// `info-get` or `info-set`.
        verb: &'static str,
        /// The key.
        key: String,
        /// The error of the transport.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The value to be written has no stored form.
    #[error("the state of the guest cannot be stored")]
    Encode(#[from] EncodeError),
}
