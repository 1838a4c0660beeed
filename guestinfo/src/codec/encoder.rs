//! Encoding a value as keys: the interface for types.

use std::collections::HashSet;

use super::index::Index;
use super::{Field, GuestInfo, MAX_ELEMENTS};
use crate::dialect::Dialect;
use crate::error::EncodeError;
use crate::key::{
    Cursor, MAX_KEY_BYTES, NON_PERSISTENT_SUFFIX, SECRET_SUFFIX, guest_may_write, is_forbidden,
};
use crate::secret::SecretKey;
use crate::value::chunk;
use crate::value::text::{NIL, unstorable};

/// The longest value that is stored under one key, in bytes. A message of the guest is
/// limited to 64 KiB, including verb and key.
pub const MAX_VALUE_BYTES: usize = 60 * 1024;

/// One key with its text; secrets are not sealed yet.
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) value: String,
    pub(crate) secret: bool,
    /// Why the entry cannot be stored, as an index into [`Encoded::faults`].
    pub(crate) fault: Option<usize>,
    /// If this key lists a map's entries or counts a list's elements: the names of the
    /// entries or the indexes of the elements. Used only by updates.
    pub(crate) members: Vec<String>,
}

/// All entries of a value, sorted by key, including those that cannot be stored.
#[derive(Default)]
pub(crate) struct Encoded {
    pub(crate) entries: Vec<Entry>,
    pub(crate) faults: Vec<EncodeError>,
    /// A fault that belongs to no entry, so it is unknown which entries are affected.
    pub(crate) incomplete: Option<usize>,
}

/// Writes the parts of a value; used by implementations of [`GuestInfo`].
///
/// The first error is kept and returned at the end, so implementations need no error
/// handling.
pub struct Encoder {
    cursor: Cursor,
    encoded: Encoded,
    /// Number of list elements and map entries so far, in data that only the host writes
    /// and in data that the guest can write, counted as readers do.
    elements: [usize; 2],
    /// Whether the guest can write the list or map that is being written, or one that
    /// contains it.
    guest: bool,
    chunks: bool,
    /// The fault of the map entry that is being written.
    entry_fault: Option<usize>,
    for_update: bool,
}

impl std::fmt::Debug for Encoder {
    // Omit the values, which may be secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Encoder")
            .field("at", &self.cursor.key())
            .field("entries", &self.encoded.entries.len())
            .finish_non_exhaustive()
    }
}

impl Encoder {
    pub(super) fn new(cursor: Cursor, for_update: bool) -> Self {
        Self {
            cursor,
            encoded: Encoded {
                entries: Vec::with_capacity(256),
                ..Encoded::default()
            },
            elements: [0; 2],
            guest: false,
            chunks: false,
            entry_fault: None,
            for_update,
        }
    }

    /// Returns the dialect in which the keys are written.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        self.cursor.dialect()
    }

    /// Writes a field, if it exists in the dialect.
    pub fn field<T: GuestInfo>(&mut self, field: &Field, value: &T) {
        self.field_with(field, |encoder| value.encode(encoder));
    }

    /// Writes a field with a function, if it exists in the dialect.
    pub fn field_with(&mut self, field: &Field, write: impl FnOnce(&mut Self)) {
        let Some(key) = self.cursor.key_of(field) else {
            return;
        };
        let mark = self.cursor.field(key.leaf, key.scope);
        let chunks = std::mem::replace(&mut self.chunks, field.chunks);
        write(self);
        self.chunks = chunks;
        self.cursor.leave(mark);
    }

    /// Writes the text at the current key.
    pub fn text(&mut self, text: impl Into<String>) {
        let text = text.into();
        if self.cursor.is_root() {
            return self.unstorable("a single value has no key; put it into a struct");
        }
        if self.cursor.scope().secret {
            // Sealed text is stored literally, including empty text.
            return self.put_or_cut(text);
        }
        if text == NIL {
            return self.unstorable_value("the text `<nil>` stands for empty text", text);
        }
        if let Some(reason) = unstorable(&text) {
            return self.unstorable_value(reason, text);
        }
        self.put_or_cut(if text.is_empty() { NIL.into() } else { text });
    }

    fn put_or_cut(&mut self, text: String) {
        if text.len() <= self.max_value() {
            return self.put(text);
        }
        if self.chunks {
            return chunk::encode(self, &text);
        }
        let error = EncodeError::TooLong {
            key: self.cursor.key(),
            len: text.len(),
            max: self.max_value(),
        };
        self.put_fault(error, text);
    }

    /// Records which entries or elements are listed or counted by the text just written.
    pub(crate) fn members(&mut self, members: impl FnOnce() -> Vec<String>) {
        if self.for_update
            && let Some(entry) = self.encoded.entries.last_mut()
        {
            entry.members = members();
        }
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

    /// Writes at the key with `~`.
    pub(crate) fn joined(&mut self, write: impl FnOnce(&mut Self)) {
        let mark = self.cursor.joined();
        self.whole(write);
        self.cursor.leave(mark);
    }

    /// Disables chunks: only the field's own text may be chunked, not the texts below it.
    fn whole(&mut self, write: impl FnOnce(&mut Self)) {
        let chunks = std::mem::replace(&mut self.chunks, false);
        write(self);
        self.chunks = chunks;
    }

    /// Writes the elements of the list or map at the current key.
    pub(crate) fn collection(&mut self, write: impl FnOnce(&mut Self)) {
        let outer = self.guest;
        self.guest = outer || self.cursor.with_key(guest_may_write);
        write(self);
        self.guest = outer;
    }

    /// Counts elements against the limit of readers. Returns `false` if it is exceeded.
    pub(crate) fn count(&mut self, elements: usize) -> bool {
        let guest = self.guest || self.cursor.with_key(guest_may_write);
        let counted = &mut self.elements[usize::from(guest)];
        *counted = counted.saturating_add(elements);
        if *counted > MAX_ELEMENTS {
            let error = EncodeError::TooMany {
                key: self.cursor.key(),
                max: MAX_ELEMENTS,
            };
            self.fail(error);
            return false;
        }
        true
    }

    /// Returns a fault if a name cannot be the key of a map entry.
    pub(crate) fn map_key_fault(&mut self, name: &str) -> Option<usize> {
        let reason = if name.is_empty() {
            "it is empty"
        } else {
            unwritable_name(name)?
        };
        let key = self.cursor.key();
        Some(self.fault(EncodeError::MapKey {
            key,
            entry: name.into(),
            reason,
        }))
    }

    /// Writes with the fault of a map entry, if there is one.
    pub(crate) fn with_fault(&mut self, fault: Option<usize>, write: impl FnOnce(&mut Self)) {
        let outer = self.entry_fault;
        self.entry_fault = outer.or(fault);
        write(self);
        self.entry_fault = outer;
    }

    /// Writes a struct or tuple inside an `Option` with at least one key, so that it is
    /// not read back as `None`. `write` writes it in the usual way. If that writes no
    /// key, the first of `fields` that can be written even when empty is written.
    pub(crate) fn some(&mut self, write: impl FnOnce(&mut Self), fields: &[&dyn Fn(&mut Self)]) {
        let entries = self.encoded.entries.len();
        let faults = self.encoded.faults.len();
        let incomplete = self.encoded.incomplete;
        write(self);
        let mut refused = false;
        for field in fields {
            if self.encoded.entries.len() > entries || self.encoded.faults.len() > faults {
                return;
            }
            field(self);
            if self.encoded.faults.len() > faults {
                refused = true;
                self.encoded.entries.truncate(entries);
                self.encoded.faults.truncate(faults);
                self.encoded.incomplete = incomplete;
            }
        }
        if refused && self.encoded.entries.len() == entries {
            let reason = "none of its fields has a value, so it would be read back as `None`";
            self.unstorable_value(reason, String::new());
        }
    }

    /// Records that the value at the current key has no stored form.
    pub fn unstorable(&mut self, reason: &'static str) {
        let key = self.cursor.key();
        self.fail(EncodeError::Unstorable { key, reason });
    }

    /// Records that the value at the current key has no stored form. The text
    /// distinguishes it from other values, so that an update can detect that it has not
    /// changed.
    pub(crate) fn unstorable_value(&mut self, reason: &'static str, text: String) {
        let key = self.cursor.key();
        self.put_fault(EncodeError::Unstorable { key, reason }, text);
    }

    /// Returns the maximum length of a value. Sealing adds a third and 40 bytes.
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

    /// Stores a finished text.
    fn put(&mut self, value: String) {
        let key = self.cursor.key();
        let mut fault = self.entry_fault;
        if fault.is_none() && key.len() > MAX_KEY_BYTES {
            fault = Some(self.fault(EncodeError::KeyTooLong {
                len: key.len(),
                key: key.clone(),
                max: MAX_KEY_BYTES,
            }));
        }
        self.push(key, value, fault);
    }

    fn put_fault(&mut self, error: EncodeError, value: String) {
        let fault = Some(self.fault(error));
        let key = self.cursor.key();
        self.push(key, value, fault);
    }

    fn push(&mut self, key: String, value: String, fault: Option<usize>) {
        self.encoded.entries.push(Entry {
            key,
            value,
            secret: self.cursor.scope().secret,
            fault,
            members: Vec::new(),
        });
    }

    fn fault(&mut self, error: EncodeError) -> usize {
        self.encoded.faults.push(error);
        self.encoded.faults.len() - 1
    }

    fn fail(&mut self, error: EncodeError) {
        let fault = self.fault(error);
        self.encoded.incomplete.get_or_insert(fault);
    }

    pub(super) fn finish(self) -> Encoded {
        let mut encoded = self.encoded;
        encoded.entries.sort_by(|a, b| a.key.cmp(&b.key));
        let mut seen = Index::with_capacity(encoded.entries.len());
        let mut equal = HashSet::new();
        for entry in &encoded.entries {
            if let Err(first) = seen.insert(&entry.key, "") {
                encoded.faults.push(EncodeError::Collision {
                    first: first.into(),
                    second: entry.key.clone(),
                });
                equal.insert(entry.key.to_ascii_lowercase());
            }
        }
        if !equal.is_empty() {
            let fault = encoded.faults.len() - 1;
            for entry in &mut encoded.entries {
                if equal.contains(&entry.key.to_ascii_lowercase()) {
                    entry.fault.get_or_insert(fault);
                }
            }
        }
        encoded
    }
}

/// Returns the reason if no key can be written below this name of a map entry.
pub(crate) fn unwritable_name(name: &str) -> Option<&'static str> {
    if name.contains(is_forbidden) {
        Some("spaces, `#`, `=`, `\"` and control characters are not allowed in a VMX key")
    } else if name.ends_with(SECRET_SUFFIX) || name.ends_with(NON_PERSISTENT_SUFFIX) {
        Some("it ends with a suffix of the format")
    } else if name.ends_with('~') {
        Some("a `~` at the end marks the elements of a list")
    } else {
        None
    }
}
