//! Reads and writes whole values, one key at a time.

use std::collections::BTreeMap;

use super::{GuestRpc, RpcError};
use crate::codec::{Decode, Decoded, Encode, GuestInfo, Refusal, Refused, Rounds, View};
use crate::dialect::Dialect;
use crate::key::guest_may_write;
use crate::secret::{SECRET_KEY_KEY, SecretError, SecretKey};

/// How reliably the keys of a machine identify its dialect.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Trust {
    /// There are no keys.
    Nothing,
    /// The guest could have written all of the keys.
    Writable,
    /// The host wrote at least one of the keys.
    Trusted,
}

/// Reads and writes values in a guest.
///
/// ```
/// use guestinfo::rpc::{GuestStore, Memory};
/// use guestinfo::vic::{ExecutorConfig, SessionConfig, Started};
/// use guestinfo::{Dialect, encode};
///
/// let mut container = ExecutorConfig::default();
/// container.sessions.insert("4e01".into(), SessionConfig::default());
/// let host = Memory::from_iter(encode(&container, Dialect::Vic1)?);
///
/// let mut guest = GuestStore::new(host);
/// let mut seen: ExecutorConfig = guest.read()?.value;
/// seen.sessions.get_mut("4e01").expect("the host named it").started = Started::Yes;
/// let refused = guest.write(&seen)?;
/// assert!(refused.is_empty());
/// assert_eq!(guest.rpc().keys()["guestinfo.vice..sessions|4e01.started"], "true");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct GuestStore<R> {
    rpc: R,
    dialect: Option<Dialect>,
    secret_key: Option<SecretKey>,
    /// The known keys of the machine, from reads and writes.
    known: BTreeMap<String, String>,
}

impl<R: GuestRpc> GuestStore<R> {
    /// Creates a store over this transport. The dialect is detected by the first read.
    pub fn new(rpc: R) -> Self {
        Self {
            rpc,
            dialect: None,
            secret_key: None,
            known: BTreeMap::new(),
        }
    }

    /// Uses this dialect instead of detecting it.
    #[must_use]
    pub fn dialect(mut self, dialect: Dialect) -> Self {
        self.dialect = Some(dialect);
        self
    }

    /// Opens and seals secret fields with this key.
    #[must_use]
    pub fn secret_key(mut self, key: SecretKey) -> Self {
        self.secret_key = Some(key);
        self
    }

    /// Returns the transport.
    pub fn rpc(&self) -> &R {
        &self.rpc
    }

    /// Returns the transport, for direct requests to the host.
    pub fn rpc_mut(&mut self) -> &mut R {
        &mut self.rpc
    }

    /// Loads the secret key with which later reads open sealed values. Returns whether it
    /// exists.
    ///
    /// # Errors
    /// Fails if the transport fails, or if the stored text is not a secret key: VIC stores it
    /// under the same key as an OVF environment.
    pub fn load_secret_key(&mut self) -> Result<bool, RpcError> {
        let Some(stored) = self.rpc.get(SECRET_KEY_KEY)? else {
            return Ok(false);
        };
        let key =
            SecretKey::from_base64(&stored).map_err(|error: SecretError| RpcError::Protocol {
                verb: "info-get",
                key: SECRET_KEY_KEY.into(),
                reason: error.reason(),
            })?;
        self.secret_key = Some(key);
        Ok(true)
    }

    /// Reads a value by requesting all its keys from the host.
    ///
    /// # Errors
    /// Fails if the transport fails or the host refuses. Missing and malformed keys are
    /// listed in the report.
    pub fn read<T: GuestInfo + Default>(&mut self) -> Result<Decoded<T>, RpcError> {
        let candidates = match self.dialect {
            Some(dialect) => vec![dialect],
            None => vec![Dialect::Vic1, Dialect::Vic04],
        };
        // Keys that the guest could have written determine the dialect only if there are
        // no others.
        let mut writable = None;
        for dialect in candidates {
            let (decoded, trust) = self.read_in(dialect)?;
            if trust == Trust::Trusted || self.dialect.is_some() {
                self.dialect = Some(dialect);
                return Ok(decoded);
            }
            if trust == Trust::Writable && writable.is_none() {
                writable = Some(dialect);
            }
        }
        let (decoded, _) = self.read_in(writable.unwrap_or_default())?;
        self.dialect = writable;
        Ok(decoded)
    }

    /// Reads in one dialect. Also returns what kind of keys there were.
    fn read_in<T: GuestInfo + Default>(
        &mut self,
        dialect: Dialect,
    ) -> Result<(Decoded<T>, Trust), RpcError> {
        self.known.clear();
        let mut decode = Decode::new().view(View::Guest);
        if let Some(key) = &self.secret_key {
            decode = decode.secret_key(key);
        }
        let mut rounds = Rounds::new(decode, dialect);
        let mut trust = Trust::Nothing;
        loop {
            let keys = rounds.keys();
            if keys.is_empty() {
                break;
            }
            for key in keys {
                let value = self.rpc.get(&key)?;
                if let Some(value) = &value {
                    let writable = guest_may_write(&key);
                    trust = trust.max(if writable {
                        Trust::Writable
                    } else {
                        Trust::Trusted
                    });
                    self.known.insert(key.clone(), value.clone());
                }
                rounds.answer(key, value);
            }
        }
        Ok((rounds.finish(), trust))
    }

    /// Writes the differences from the last read, as far as a guest can: it sets visible
    /// keys without a `/`. Returns the changes that a guest cannot make.
    ///
    /// Keys that name others, such as the length of a list, are written last, so that a
    /// reader never finds a name without its value.
    ///
    /// # Errors
    /// Fails if the value has no stored form, the transport fails, or the host refuses.
    /// Keys written before the failure stay written.
    pub fn write<T: GuestInfo + Default>(&mut self, new: &T) -> Result<Vec<Refused>, RpcError> {
        let mut encode = Encode::new(self.dialect.unwrap_or_default());
        if let Some(key) = &self.secret_key {
            encode = encode.secret_key(key);
        }
        let update = encode.update(&self.known, new)?.for_guest();
        // In reverse order, a longer key is written before the shorter key that names it.
        for (key, value) in update.sets().collect::<Vec<_>>().into_iter().rev() {
            self.rpc.set(key, value)?;
            self.known.insert(key.to_owned(), value.to_owned());
        }
        // A guest sees defaults for hidden fields, so these are not changes.
        let refused = update.refused().iter().filter(|refused| {
            refused.reason != Refusal::NotGuestWritable
                || refused.change.scope().access.is_visible()
        });
        Ok(refused.cloned().collect())
    }
}
