//! Encoding a value as keys: the interface for callers.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::GuestInfo;
use super::encoder::{Encoded, Encoder};
use crate::dialect::Dialect;
use crate::error::EncodeError;
use crate::key::Cursor;
use crate::secret::SecretKey;

/// Encodes a value as keys.
///
/// Empty text is written as `<nil>`, because the platform treats an empty value as a
/// deletion.
///
/// ```
/// use guestinfo::{Dialect, GuestInfo, encode};
///
/// #[derive(GuestInfo)]
/// struct Session {
///     #[guestinfo(key = "tty", scope = "read-only")]
///     tty: bool,
///     #[guestinfo(key = "started", scope = "read-write")]
///     started: String,
/// }
///
/// let session = Session { tty: true, started: String::new() };
/// let keys = encode(&session, Dialect::Vic04)?;
/// assert_eq!(keys["guestinfo./tty"], "true");
/// assert_eq!(keys["guestinfo..started"], "<nil>");
/// # Ok::<(), guestinfo::EncodeError>(())
/// ```
///
/// # Errors
/// Fails if the value has no stored form, see [`EncodeError`]. There is no partial
/// result.
pub fn encode<T: GuestInfo>(
    value: &T,
    dialect: Dialect,
) -> Result<BTreeMap<String, String>, EncodeError> {
    Encode::new(dialect).run(value)
}

/// [`encode`] with options: the dialect, a path for all keys, and a secret key.
///
/// ```
/// use guestinfo::{Dialect, Encode};
/// use guestinfo::vic::ExecutorConfig;
///
/// // The appliance keeps its own configuration below `init`.
/// let keys = Encode::new(Dialect::Vic1).under("init").run(&ExecutorConfig {
///     layer_id: "layer1".into(),
///     ..Default::default()
/// })?;
/// assert_eq!(keys["guestinfo.vice./init/layerid"], "layer1");
/// # Ok::<(), guestinfo::EncodeError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Encode<'a> {
    pub(super) dialect: Dialect,
    pub(super) root: Cow<'a, str>,
    pub(super) secret_key: Option<&'a SecretKey>,
}

impl<'a> Encode<'a> {
    /// Creates options for encoding in this dialect.
    #[must_use]
    pub fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            root: Cow::Borrowed(""),
            secret_key: None,
        }
    }

    /// Puts all keys below this path.
    #[must_use]
    pub fn under(mut self, path: impl Into<Cow<'a, str>>) -> Self {
        self.root = path.into();
        self
    }

    /// Seals secret fields with this key.
    #[must_use]
    pub fn secret_key(mut self, key: &'a SecretKey) -> Self {
        self.secret_key = Some(key);
        self
    }

    /// Encodes the value.
    ///
    /// # Errors
    /// Fails like [`encode`].
    pub fn run<T: GuestInfo>(&self, value: &T) -> Result<BTreeMap<String, String>, EncodeError> {
        let encoded = self.plain(value, false);
        if let Some(error) = encoded.faults.into_iter().next() {
            return Err(error);
        }
        encoded
            .entries
            .into_iter()
            .map(|entry| {
                let value = self.seal(&entry.key, entry.value, entry.secret)?;
                Ok((entry.key, value))
            })
            .collect()
    }

    /// Returns the entries before sealing, sorted by key.
    pub(crate) fn plain<T: GuestInfo>(&self, value: &T, for_update: bool) -> Encoded {
        let mut encoder = Encoder::new(Cursor::new(self.dialect, &self.root), for_update);
        value.encode(&mut encoder);
        encoder.finish()
    }

    pub(crate) fn seal(
        &self,
        key: &str,
        value: String,
        secret: bool,
    ) -> Result<String, EncodeError> {
        if !secret {
            return Ok(value);
        }
        let Some(secret_key) = self.secret_key else {
            return Err(EncodeError::NoSecretKey { key: key.into() });
        };
        secret_key
            .seal(&value)
            .map_err(|reason| EncodeError::Unstorable {
                key: key.into(),
                reason,
            })
    }
}
