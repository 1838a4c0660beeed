//! Small values that a front end keeps with its host.

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::Result;

/// The number of a value's change. Only equality means anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Revision(u64);

impl Revision {
    /// The revision that a back end numbers so.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The back end's number.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }
}

/// What must be stored for a change to take place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Anything or nothing.
    Any,
    /// Nothing.
    Absent,
    /// A value of this revision.
    Revision(Revision),
}

/// A stored value.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Versioned {
    /// The bytes.
    pub value: Bytes,
    /// Their revision.
    pub revision: Revision,
}

impl Versioned {
    /// A value of this revision.
    #[must_use]
    pub fn new(value: Bytes, revision: Revision) -> Self {
        Self { value, revision }
    }
}

/// Small values of a front end, kept with the host: image names, labels of networks. They are
/// visible to everybody who can open the host: no secrets.
///
/// Keys have 1 to 200 printable ASCII characters; a value has at most 48 KiB. Changes are atomic
/// per key, and durable once they are acknowledged.
#[async_trait]
pub trait Store: std::fmt::Debug + Send + Sync + 'static {
    /// Returns the value of a key, if it has one.
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) for a key that cannot be.
    async fn get(&self, key: &str) -> Result<Option<Versioned>>;

    /// Sets the value of a key if what is stored is as expected, and returns its revision.
    ///
    /// # Errors
    /// - [`InvalidArgument`](crate::ErrorKind::InvalidArgument) for a key or value that cannot be.
    /// - [`Conflict`](crate::ErrorKind::Conflict) if something else is stored.
    async fn put(&self, key: &str, value: Bytes, expect: Expect) -> Result<Revision>;

    /// Deletes a key if what is stored is as expected. Already absent counts as success unless a
    /// revision is expected.
    ///
    /// # Errors
    /// [`Conflict`](crate::ErrorKind::Conflict) if something else is stored.
    async fn delete(&self, key: &str, expect: Expect) -> Result<()>;

    /// Returns the keys that begin so, sorted.
    ///
    /// # Errors
    /// Only those that concern the whole back end.
    async fn keys(&self, prefix: &str) -> Result<Vec<String>>;
}
