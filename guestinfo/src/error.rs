//! Errors of writing a value, and of reading it strictly.

use crate::codec::Report;

/// A value cannot be written as keys.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// Two values would be stored at keys that are equal, or equal once the
    /// case is folded; the platform folds case, and a duplicate makes a virtual
    /// machine unloadable.
    #[error("the keys {first:?} and {second:?} are the same to the platform; rename one of them")]
    Collision {
        /// The key that sorts first.
        first: String,
        /// The other one.
        second: String,
    },
    /// The value does not fit into one key.
    #[error(
        "the value of {key:?} has {len} bytes and at most {max} fit; shorten it or mark the field `chunks`"
    )]
    TooLong {
        /// The key to store it at.
        key: String,
        /// Bytes of the stored text.
        len: usize,
        /// Bytes that fit.
        max: usize,
    },
    /// Lists and maps have more elements than a reader would accept.
    #[error("at {key:?} the value passes {max} list elements and map entries; split it")]
    TooMany {
        /// The key at which the limit was exceeded.
        key: String,
        /// The bound on all elements and entries together.
        max: usize,
    },
    /// The value has no stored form.
    #[error("the value of {key:?} cannot be stored: {reason}")]
    Unstorable {
        /// The key to store it at.
        key: String,
        /// Why it is invalid.
        reason: &'static str,
    },
    /// The key of a map cannot be part of a key.
    #[error("the map at {key:?} has an entry {entry:?} that cannot be part of a key: {reason}")]
    MapKey {
        /// The map's key.
        key: String,
        /// The entry's name.
        entry: String,
        /// Why it is invalid.
        reason: &'static str,
    },
    /// The finished key is longer than hosts take.
    #[error("the key {key:?} has {len} bytes and at most {max} are safe; use shorter map keys")]
    KeyTooLong {
        /// The key.
        key: String,
        /// Its bytes.
        len: usize,
        /// Bytes that are safe.
        max: usize,
    },
    /// A secret field has a value but nobody supplied a key to seal it with.
    #[error("the value of {key:?} is secret and no secret key was given to seal it with")]
    NoSecretKey {
        /// The key to store it at.
        key: String,
    },
}

/// A strict decode found something it could not use.
#[derive(Debug, thiserror::Error)]
#[error("the stored state is not complete: {}", self.summary())]
pub struct DecodeError {
    report: Report,
}

impl DecodeError {
    pub(crate) fn new(report: Report) -> Self {
        Self { report }
    }

    /// Everything that was found, never empty.
    #[must_use]
    pub fn report(&self) -> &Report {
        &self.report
    }

    fn summary(&self) -> String {
        let issues = self.report.issues();
        let first = issues.first().map(ToString::to_string).unwrap_or_default();
        match issues.len() {
            0 | 1 => first,
            n => format!("{first}, and {} more", n - 1),
        }
    }
}
