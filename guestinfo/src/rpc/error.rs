//! Why a guest could not reach a key.

use crate::error::EncodeError;

/// A call of the guest failed. Never holds the value of a key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RpcError {
    /// The key is not one that a guest can name.
    #[error("a guest cannot name the key {key:?}: {reason}")]
    Key {
        /// The key.
        key: String,
        /// Why it is invalid.
        reason: &'static str,
    },
    /// The value is not one that a guest can set.
    #[error("a guest cannot set the key {key:?} to this value: {reason}")]
    Value {
        /// The key.
        key: String,
        /// Why the value is invalid.
        reason: &'static str,
    },
    /// The host answered, and said no.
    #[error("the host refused to {verb} the key {key:?}: {reason:?}")]
    Refused {
        /// `info-get` or `info-set`.
        verb: &'static str,
        /// The key.
        key: String,
        /// The host's words.
        reason: String,
    },
    /// The host's answer is none.
    #[error("the host's answer to {verb} of the key {key:?} is malformed: {reason}")]
    Protocol {
        /// `info-get` or `info-set`.
        verb: &'static str,
        /// The key.
        key: String,
        /// Why it is invalid.
        reason: &'static str,
    },
    /// The host could not be reached.
    #[error("the host could not be reached to {verb} the key {key:?}")]
    Transport {
        /// `info-get` or `info-set`.
        verb: &'static str,
        /// The key.
        key: String,
        /// Why not.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The value that was to be written has no stored form.
    #[error("the state of the guest cannot be stored")]
    Encode(#[from] EncodeError),
}
