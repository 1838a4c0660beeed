//! Errors of encoding, and of strict decoding.

use crate::codec::Report;

/// The error of a value that cannot be encoded as keys.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// Two values have keys that are equal or differ only in case. The platform ignores
    /// case, and a machine with duplicate keys cannot be loaded.
    #[error("the keys {first:?} and {second:?} are the same to the platform; rename one of them")]
    Collision {
        /// The key that sorts first.
        first: String,
        /// The other key.
        second: String,
    },
    /// The value does not fit into one key.
    #[error(
        "the value of {key:?} has {len} bytes and at most {max} fit; shorten it or mark the field `chunks`"
    )]
    TooLong {
        /// The key of the value.
        key: String,
        /// The length of the stored text, in bytes.
        len: usize,
        /// The maximum length, in bytes.
        max: usize,
    },
    /// Lists and maps have more elements than a reader would accept.
    #[error("at {key:?} the value passes {max} list elements and map entries; split it")]
    TooMany {
        /// The key at which the limit was exceeded.
        key: String,
        /// The limit for all elements and entries together.
        max: usize,
    },
    /// The value has no stored form.
    #[error("the value of {key:?} cannot be stored: {reason}")]
    Unstorable {
        /// The key of the value.
        key: String,
        /// Why the value cannot be stored.
        reason: &'static str,
    },
    /// A name of a map entry cannot be part of a key.
    #[error("the map at {key:?} has an entry {entry:?} that cannot be part of a key: {reason}")]
    MapKey {
        /// The map's key.
        key: String,
        /// The name of the entry.
        entry: String,
        /// Why the name is invalid.
        reason: &'static str,
    },
    /// The complete key is longer than hosts accept.
    #[error("the key {key:?} has {len} bytes and at most {max} are safe; use shorter map keys")]
    KeyTooLong {
        /// The key.
        key: String,
        /// The length of the key, in bytes.
        len: usize,
        /// The maximum safe length, in bytes.
        max: usize,
    },
    /// A secret field has a value, but there is no secret key to seal it with.
    #[error("the value of {key:?} is secret and no secret key was given to seal it with")]
    NoSecretKey {
        /// The key of the value.
        key: String,
    },
}

/// The error of a strict decode that could not use something.
#[derive(Debug, thiserror::Error)]
#[error("the stored state is not complete: {}", self.summary())]
pub struct DecodeError {
    report: Report,
}

impl DecodeError {
    pub(crate) fn new(report: Report) -> Self {
        Self { report }
    }

    /// Returns everything that was found; never empty.
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
