//! From a value to keys: what types call.

use super::index::Index;
use super::{Field, GuestInfo, MAX_ELEMENTS};
use crate::dialect::Dialect;
use crate::error::EncodeError;
use crate::key::{Cursor, MAX_KEY_BYTES, NON_PERSISTENT_SUFFIX, SECRET_SUFFIX, is_forbidden};
use crate::secret::SecretKey;
use crate::value::chunk;
use crate::value::text::{NIL, unstorable};

/// The longest value that is stored under one key, in bytes. A guest message
/// holds 64 KiB, and verb and key are part of it.
pub const MAX_VALUE_BYTES: usize = 60 * 1024;

/// One key with its text, secrets still open.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) value: String,
    pub(crate) secret: bool,
}

/// Takes the parts of a value; implementations of [`GuestInfo`] call it.
///
/// The first error is kept and returned at the end, so that implementations
/// need not care.
pub struct Encoder {
    cursor: Cursor,
    entries: Vec<Entry>,
    elements: usize,
    chunks: bool,
    error: Option<EncodeError>,
}

impl std::fmt::Debug for Encoder {
    // Without values: secrets are among them.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Encoder")
            .field("at", &self.cursor.key())
            .field("entries", &self.entries.len())
            .finish_non_exhaustive()
    }
}

impl Encoder {
    pub(super) fn new(cursor: Cursor) -> Self {
        Self {
            cursor,
            entries: Vec::with_capacity(256),
            elements: 0,
            chunks: false,
            error: None,
        }
    }

    /// The dialect that is written.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        self.cursor.dialect()
    }

    /// Writes a field, unless the dialect does not have it.
    pub fn field<T: GuestInfo>(&mut self, field: &Field, value: &T) {
        self.field_with(field, |encoder| value.encode(encoder));
    }

    /// Writes a field by a function, unless the dialect does not have it.
    pub fn field_with(&mut self, field: &Field, write: impl FnOnce(&mut Self)) {
        let Some(place) = self.cursor.place(field) else {
            return;
        };
        let mark = self.cursor.field(place.leaf, place.scope);
        let chunks = std::mem::replace(&mut self.chunks, field.chunks);
        write(self);
        self.chunks = chunks;
        self.cursor.leave(mark);
    }

    /// Writes the text of the value at hand.
    pub fn text(&mut self, text: impl Into<String>) {
        let text = text.into();
        if self.cursor.is_root() {
            return self.unstorable("a single value has no key; put it into a struct");
        }
        if text == NIL {
            return self.unstorable("the text `<nil>` is how empty text is stored");
        }
        if let Some(reason) = unstorable(&text) {
            return self.unstorable(reason);
        }
        if text.len() > self.max_value() {
            if self.chunks {
                return chunk::encode(self, &text);
            }
            let error = EncodeError::TooLong {
                key: self.cursor.key(),
                len: text.len(),
                max: self.max_value(),
            };
            return self.fail(error);
        }
        self.put(if text.is_empty() { NIL.into() } else { text });
    }

    /// Writes an entry of a map or an element of a list.
    pub(crate) fn entry<T: GuestInfo>(&mut self, name: &str, value: &T) {
        let mark = self.cursor.entry(name);
        self.whole(|encoder| value.encode(encoder));
        self.cursor.leave(mark);
    }

    pub(crate) fn entry_text(&mut self, name: &str, text: &str) {
        let mark = self.cursor.entry(name);
        self.whole(|encoder| encoder.text(text));
        self.cursor.leave(mark);
    }

    /// Writes below `~`.
    pub(crate) fn joined(&mut self, write: impl FnOnce(&mut Self)) {
        let mark = self.cursor.joined();
        self.whole(write);
        self.cursor.leave(mark);
    }

    /// Only a field's own text is cut into chunks, not what stands below it.
    fn whole(&mut self, write: impl FnOnce(&mut Self)) {
        let chunks = std::mem::replace(&mut self.chunks, false);
        write(self);
        self.chunks = chunks;
    }

    /// Counts elements against the bound that readers have.
    pub(crate) fn count(&mut self, elements: usize) -> bool {
        self.elements = self.elements.saturating_add(elements);
        if self.elements > MAX_ELEMENTS {
            let error = EncodeError::TooMany {
                key: self.cursor.key(),
                max: MAX_ELEMENTS,
            };
            self.fail(error);
            return false;
        }
        true
    }

    /// Whether a name can be the key of a map's entry.
    pub(crate) fn check_map_key(&mut self, name: &str) -> bool {
        let reason = if name.is_empty() {
            "it is empty"
        } else if name.contains(is_forbidden) {
            "spaces, `#`, `=`, `\"` and control characters cannot stand in a VMX key"
        } else if name.ends_with(SECRET_SUFFIX) || name.ends_with(NON_PERSISTENT_SUFFIX) {
            "it ends like a suffix of the format"
        } else if name.ends_with('~') {
            "`~` at its end marks the elements of a list"
        } else {
            return true;
        };
        let error = EncodeError::MapKey {
            key: self.cursor.key(),
            entry: name.into(),
            reason,
        };
        self.fail(error);
        false
    }

    /// Records that the value at hand has no stored form.
    pub fn unstorable(&mut self, reason: &'static str) {
        let key = self.cursor.key();
        self.fail(EncodeError::Unstorable { key, reason });
    }

    /// A sealed value grows by a third and 40 bytes.
    fn max_value(&self) -> usize {
        if self.cursor.scope().secret {
            MAX_VALUE_BYTES / 4 * 3 - SecretKey::OVERHEAD
        } else {
            MAX_VALUE_BYTES
        }
    }

    pub(crate) fn max_chunk(&self) -> usize {
        self.max_value()
    }

    /// Stores finished text.
    fn put(&mut self, value: String) {
        let key = self.cursor.key();
        if key.len() > MAX_KEY_BYTES {
            let len = key.len();
            return self.fail(EncodeError::KeyTooLong {
                key,
                len,
                max: MAX_KEY_BYTES,
            });
        }
        self.entries.push(Entry {
            key,
            value,
            secret: self.cursor.scope().secret,
        });
    }

    fn fail(&mut self, error: EncodeError) {
        self.error.get_or_insert(error);
    }

    pub(super) fn finish(mut self) -> Result<Vec<Entry>, EncodeError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        self.entries.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        let mut seen = Index::with_capacity(self.entries.len());
        for entry in &self.entries {
            if let Err(first) = seen.insert(&entry.key, "") {
                return Err(EncodeError::Collision {
                    first: first.into(),
                    second: entry.key.clone(),
                });
            }
        }
        Ok(self.entries)
    }
}
