//! A map of keys with the rules of the platform.

use std::collections::BTreeMap;

use super::rpci::check_key;
use super::{GuestRpc, MAX_MESSAGE_BYTES, RpcError};
use crate::key::guest_may_write;

/// A machine's keys in memory, with the restrictions that a guest has: hidden keys do not
/// exist for it, keys with a `/` cannot be written, and case is ignored.
///
/// ```
/// use guestinfo::rpc::{GuestRpc, Memory};
///
/// let mut guest = Memory::from_iter([
///     ("guestinfo./repo".to_owned(), "busybox".to_owned()),
///     ("common/name".to_owned(), "hidden".to_owned()),
/// ]);
/// assert_eq!(guest.get("guestinfo./repo")?.as_deref(), Some("busybox"));
/// guest.set("guestinfo..started", "true")?;
/// assert!(guest.set("guestinfo./repo", "forged").is_err());
/// assert_eq!(guest.keys()["guestinfo..started"], "true");
/// # Ok::<(), guestinfo::rpc::RpcError>(())
/// ```
#[derive(Clone, Default)]
pub struct Memory {
    keys: BTreeMap<String, String>,
}

impl Memory {
    /// Creates a machine without keys.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns all keys of the machine, including hidden ones.
    #[must_use]
    pub fn keys(&self) -> &BTreeMap<String, String> {
        &self.keys
    }

    /// Returns the keys for changes by the host.
    pub fn keys_mut(&mut self) -> &mut BTreeMap<String, String> {
        &mut self.keys
    }

    fn spelling(&self, key: &str) -> Option<String> {
        if self.keys.contains_key(key) {
            return Some(key.to_owned());
        }
        let mut keys = self.keys.keys();
        keys.find(|stored| stored.eq_ignore_ascii_case(key))
            .cloned()
    }
}

impl std::fmt::Debug for Memory {
    // Omit the values, which may be secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Memory")
            .field(&self.keys.keys().collect::<Vec<_>>())
            .finish()
    }
}

impl FromIterator<(String, String)> for Memory {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(keys: I) -> Self {
        Self {
            keys: keys.into_iter().collect(),
        }
    }
}

impl GuestRpc for Memory {
    fn get(&mut self, key: &str) -> Result<Option<String>, RpcError> {
        check_key(key)?;
        let value = self.spelling(key).and_then(|key| self.keys.get(&key));
        Ok(value.filter(|value| !value.is_empty()).cloned())
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), RpcError> {
        check_key(key)?;
        let reason = if !guest_may_write(key) {
            return Err(RpcError::Refused {
                verb: "info-set",
                key: key.into(),
                reason: "the key is read-only for the guest".into(),
            });
        } else if value.is_empty() || value.contains('\0') {
            "the text must not be empty or contain a NUL"
        } else if key.len() + value.len() + "info-set  ".len() >= MAX_MESSAGE_BYTES {
            "verb, key and value must stay below 64 KiB"
        } else {
            let key = self.spelling(key).unwrap_or_else(|| key.to_owned());
            self.keys.insert(key, value.to_owned());
            return Ok(());
        };
        Err(RpcError::Value {
            key: key.into(),
            reason,
        })
    }
}
