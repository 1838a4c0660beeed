//! The settings without a property of their own, as the vSphere API represents them.

use std::collections::{HashMap, HashSet};
use std::fmt;

use crate::document::Document;
use crate::error::{EditError, ValueError};
use crate::name::{Name, NameError};
use crate::reserved::{has_own_field, is_hidden};

/// An ordered set of keys with text values: `config.extraConfig` in the API.
///
/// Keys are compared ignoring ASCII case and keep their first spelling. To the server an
/// empty value means "remove", so changes cannot set one; empty values found in a file
/// are kept, and servers report them (`scsi0:0.redo`).
///
/// The `Debug` output contains no values.
///
/// ```
/// use vmx::ExtraConfig;
///
/// let mut extra: ExtraConfig = [("guestinfo.a", "1"), ("svga.present", "TRUE")].into_iter().collect();
/// let applied = extra.apply([("GUESTINFO.A", "2"), ("svga.present", ""), ("memSize", "64")])?;
///
/// assert_eq!(extra.iter().collect::<Vec<_>>(), [("guestinfo.a", "2")]);
/// assert_eq!(applied.changed, ["guestinfo.a", "svga.present"]);
/// assert_eq!(applied.ignored, ["memSize"]);
/// # Ok::<(), vmx::ExtraConfigError>(())
/// ```
#[derive(Clone, Default)]
pub struct ExtraConfig {
    entries: Vec<(String, String)>,
    /// Maps folded keys to entries.
    index: HashMap<String, usize>,
}

/// The result of [`ExtraConfig::apply`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Applied {
    /// Keys that were added, changed or removed, spelled as stored.
    pub changed: Vec<String>,
    /// Keys that were ignored because they have a field of their own.
    pub ignored: Vec<String>,
}

/// The reason why changes to extraConfig were refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExtraConfigError {
    /// The key cannot be written to a file.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The value cannot be written to a file.
    #[error("value of `{key}` holds NUL at byte {at}, which would end it")]
    Nul {
        /// The key.
        key: String,
        /// Byte offset in the value.
        at: usize,
    },
    /// A value in the file is not text.
    #[error("value of `{key}` cannot be read")]
    Value {
        /// The key.
        key: String,
        /// Why the value cannot be read.
        #[source]
        source: ValueError,
    },
}

impl ExtraConfig {
    /// Creates an empty set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the extraConfig of a file: the first entry of each name without a field of
    /// its own, in file order.
    ///
    /// ```
    /// use vmx::{Document, ExtraConfig};
    ///
    /// let file = Document::parse(&b"memSize = \"64\"\nguestinfo./repo = \"busybox\"\n"[..])?;
    /// let extra = ExtraConfig::from_document(&file)?;
    /// assert_eq!(extra.iter().collect::<Vec<_>>(), [("guestinfo./repo", "busybox")]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Fails if a value is not valid text in the charset of the file. Entries whose names
    /// are not UTF-8 are skipped, because they cannot be keys in the API.
    pub fn from_document(document: &Document) -> Result<Self, ExtraConfigError> {
        let mut extra = Self::new();
        for entry in document.entries() {
            let Some(key) = entry.name().as_str() else {
                continue;
            };
            if has_own_field(key) || extra.contains(key) || !entry.is_first() {
                continue;
            }
            let value = entry
                .value()
                .text()
                .map_err(|source| ExtraConfigError::Value {
                    key: key.into(),
                    source,
                })?;
            extra.put(key.into(), value.into_owned());
        }
        Ok(extra)
    }

    /// Writes the entries to a file that has no extraConfig yet, such as a new one:
    /// existing names are updated, new ones are appended in order. Nothing is removed.
    ///
    /// # Errors
    ///
    /// Fails like [`Document::set`]; entries written before the failure stay written.
    pub fn write_to(&self, document: &mut Document) -> Result<(), EditError> {
        for (key, value) in self.iter() {
            document.set(key, value)?;
        }
        Ok(())
    }

    /// Replaces the extraConfig of a file: writes all entries like
    /// [`write_to`](Self::write_to), and removes entries of the file that have no field
    /// of their own and are not in this set.
    ///
    /// ```
    /// use vmx::{Document, ExtraConfig};
    ///
    /// let mut file = Document::parse(&b"memSize = \"64\"\na = \"1\"\nb = \"2\"\n"[..])?;
    /// let mut extra = ExtraConfig::from_document(&file)?;
    /// extra.apply([("a", ""), ("B", "3")])?;
    /// extra.replace_in(&mut file)?;
    /// assert_eq!(file.to_bytes(), b"memSize = \"64\"\nb = \"3\"\n");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Fails like [`Document::set`]; entries written before the failure stay written.
    pub fn replace_in(&self, document: &mut Document) -> Result<(), EditError> {
        document.remove_where(|name| {
            name.as_str()
                .is_some_and(|key| !has_own_field(key) && !self.contains(key))
        });
        self.write_to(document)
    }

    /// Merges changes as the server does, in order:
    ///
    /// * a key with a field of its own is ignored ([`has_own_field`]);
    /// * an empty value removes the key, or does nothing;
    /// * an existing key, in any case, gets the value and keeps its spelling and
    ///   position;
    /// * a new key is appended.
    ///
    /// Whether a real vCenter ignores case is not documented. The file that it writes
    /// ignores case, so a second spelling would make VMware refuse the machine.
    ///
    /// # Errors
    ///
    /// Fails if a key or value cannot be stored in a file. Nothing is applied then.
    pub fn apply<K, V>(
        &mut self,
        changes: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Applied, ExtraConfigError>
    where
        K: Into<String>,
        V: Into<String>,
    {
        let mut checked = Vec::new();
        let mut applied = Applied::default();
        for (key, value) in changes {
            let (key, value) = (key.into(), value.into());
            if has_own_field(&key) {
                applied.ignored.push(key);
                continue;
            }
            Name::new(&key)?;
            if let Some(at) = value.bytes().position(|byte| byte == 0) {
                return Err(ExtraConfigError::Nul { key, at });
            }
            checked.push((key, value));
        }
        let mut removed = HashSet::new();
        for (key, value) in checked {
            let folded = key.to_ascii_lowercase();
            match self.index.get(&folded) {
                Some(&at) if value.is_empty() => {
                    applied.changed.push(self.entries[at].0.clone());
                    self.index.remove(&folded);
                    removed.insert(at);
                }
                Some(&at) => {
                    let (stored, old) = &mut self.entries[at];
                    if *old != value {
                        applied.changed.push(stored.clone());
                        *old = value;
                    }
                }
                None if value.is_empty() => {}
                None => {
                    applied.changed.push(key.clone());
                    self.put(key, value);
                }
            }
        }
        if !removed.is_empty() {
            let mut at = 0..;
            self.entries
                .retain(|_| !at.next().is_some_and(|at| removed.contains(&at)));
            self.index = self
                .entries
                .iter()
                .enumerate()
                .map(|(at, (key, _))| (key.to_ascii_lowercase(), at))
                .collect();
        }
        Ok(applied)
    }

    /// Returns the fewest changes that turn this set into `new`: after
    /// `old.apply(old.changes_to(&new))`, `old` equals `new` except for order and the
    /// spelling of keys that both have. Empty values remove keys. Since no change can set
    /// an empty value, a key whose value is empty in `new` is removed.
    #[must_use]
    pub fn changes_to(&self, new: &Self) -> Vec<(String, String)> {
        let removed = self
            .iter()
            .filter(|(key, _)| !new.contains(key))
            .map(|(key, _)| (key.to_owned(), String::new()));
        let set = new
            .iter()
            .filter(|(key, value)| self.get(key).unwrap_or_default() != *value)
            .map(|(key, value)| (key.to_owned(), value.to_owned()));
        removed.chain(set).collect()
    }

    /// Returns the value of a key, ignoring case.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        let at = *self.index.get(&key.to_ascii_lowercase())?;
        self.entries.get(at).map(|(_, value)| value.as_str())
    }

    /// Whether the key exists, ignoring case.
    #[must_use]
    pub fn contains(&self, key: &str) -> bool {
        self.index.contains_key(&key.to_ascii_lowercase())
    }

    /// Returns keys and values in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.entries
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Returns the pairs that the API shows, see [`is_hidden`].
    pub fn visible(&self) -> impl Iterator<Item = (&str, &str)> {
        self.iter().filter(|(key, _)| !is_hidden(key))
    }

    /// Returns the number of keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no keys.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn put(&mut self, key: String, value: String) {
        self.index
            .insert(key.to_ascii_lowercase(), self.entries.len());
        self.entries.push((key, value));
    }
}

/// Collects pairs without checks: keys with a field of their own and empty values are
/// kept too. If a key occurs several times, the first one counts.
impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for ExtraConfig {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        let mut extra = Self::new();
        for (key, value) in pairs {
            let (key, value) = (key.into(), value.into());
            if !extra.contains(&key) {
                extra.put(key, value);
            }
        }
        extra
    }
}

/// Returns keys and values in order.
impl IntoIterator for ExtraConfig {
    type Item = (String, String);
    type IntoIter = std::vec::IntoIter<(String, String)>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}

/// Two sets are equal if they have the same keys and values; order and the spelling of
/// keys are ignored.
impl PartialEq for ExtraConfig {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len()
            && self
                .iter()
                .all(|(key, value)| other.get(key) == Some(value))
    }
}

impl Eq for ExtraConfig {}

impl fmt::Debug for ExtraConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(self.entries.iter().map(|(key, _)| key))
            .finish()
    }
}
