//! Small values that a front end stores with its host.

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{Error, Resource, ResourceKind, Result};

/// The revision of a stored value. Only equality is meaningful.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Revision(u64);

impl Revision {
    /// Creates a revision from the back end's number for it.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Returns the back end's number for the revision.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }
}

/// The precondition of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// The change has no precondition.
    Any,
    /// The key must have no value.
    Absent,
    /// The stored value must have this revision.
    Revision(Revision),
}

impl Expect {
    /// Checks the precondition for a change of this key, whose current value is `stored`.
    pub(crate) fn check(self, key: &str, stored: Option<&Versioned>) -> Result<()> {
        let holds = match self {
            Self::Any => true,
            Self::Absent => stored.is_none(),
            Self::Revision(expected) => stored.is_some_and(|stored| stored.revision == expected),
        };
        if holds {
            return Ok(());
        }
        let resource = Resource::new(ResourceKind::StoredValue, key);
        Err(Error::conflict(resource, [key.to_owned()]))
    }
}

/// Fails if the key is invalid.
pub(crate) fn check_key(key: &str) -> Result<()> {
    let is_printable = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
    if (1..=MAX_KEY).contains(&key.len()) && key.bytes().all(is_printable) {
        return Ok(());
    }
    let resource = Resource::new(ResourceKind::StoredValue, key.escape_default());
    let reason = format!("a key has 1 to {MAX_KEY} printable ASCII characters");
    Err(Error::invalid_argument(resource, "key", reason))
}

/// Fails if the value is too long.
pub(crate) fn check_value(key: &str, value: &[u8]) -> Result<()> {
    if value.len() <= MAX_VALUE {
        return Ok(());
    }
    let resource = Resource::new(ResourceKind::StoredValue, key);
    let reason = format!(
        "it has {} bytes, at most {MAX_VALUE} are stored",
        value.len()
    );
    Err(Error::invalid_argument(resource, "value", reason))
}

/// The maximum number of characters in a key.
const MAX_KEY: usize = 200;
/// The maximum number of bytes in a value.
const MAX_VALUE: usize = 48 * 1024;

/// A stored value and its revision.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Versioned {
    /// The bytes of the value.
    pub value: Bytes,
    /// The revision of the value.
    pub revision: Revision,
}

impl Versioned {
    /// Creates a value with its revision.
    #[must_use]
    pub fn new(value: Bytes, revision: Revision) -> Self {
        Self { value, revision }
    }
}

/// Stores small values of a front end, such as image names and network labels, with the host.
/// Everyone who can open the host can read them, so they must not contain secrets.
///
/// Keys have 1 to 200 printable ASCII characters; a value has at most 48 KiB. Changes are atomic
/// per key, and durable once they are acknowledged.
#[async_trait]
pub trait Store: std::fmt::Debug + Send + Sync + 'static {
    /// Returns the value of a key, if it has one.
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) for an invalid key.
    async fn get(&self, key: &str) -> Result<Option<Versioned>>;

    /// Sets the value of a key if the precondition holds, and returns its revision.
    ///
    /// # Errors
    /// - [`InvalidArgument`](crate::ErrorKind::InvalidArgument) for an invalid key or value.
    /// - [`Conflict`](crate::ErrorKind::Conflict) if the precondition does not hold.
    async fn put(&self, key: &str, value: Bytes, expect: Expect) -> Result<Revision>;

    /// Deletes a key if the precondition holds. Deleting an absent key succeeds unless a revision
    /// is expected.
    ///
    /// # Errors
    /// [`Conflict`](crate::ErrorKind::Conflict) if the precondition does not hold.
    async fn delete(&self, key: &str, expect: Expect) -> Result<()>;

    /// Returns the keys with a prefix, sorted.
    ///
    /// # Errors
    /// Returns only errors that affect the whole back end.
    async fn keys(&self, prefix: &str) -> Result<Vec<String>>;
}
