//! Decoding keys into a value: the interface for types.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::decode::View;
use super::index::Index;
use super::report::{Issue, IssueKind, Note, NoteKind, Report};
use super::rounds::Known;
use super::{Field, GuestInfo, MAX_ELEMENTS};
use crate::dialect::Dialect;
use crate::key::{Cursor, guest_may_write};
use crate::scope::Access;
use crate::secret::SecretKey;
use crate::value::chunk;
use crate::value::text::NIL;

/// Where keys are looked up.
pub(super) enum Source<'a> {
    /// All keys are available.
    Index(&'a Index<'a>),
    /// For a reader that cannot list keys: keys that are not known yet are recorded.
    Rounds {
        known: &'a Known,
        asked: &'a mut BTreeSet<String>,
    },
}

/// Reads the parts of a value; used by implementations of [`GuestInfo`].
pub struct Decoder<'a> {
    cursor: Cursor,
    source: Source<'a>,
    view: View,
    secret_key: Option<&'a SecretKey>,
    issues: Vec<Issue>,
    /// Number of keys found so far.
    hits: usize,
    /// Number of keys found so far whose text was unusable.
    unusable: usize,
    notes: Vec<Note>,
    /// The remaining budgets: one for what only the host can write, one for what the
    /// guest can write. A guest therefore cannot exhaust the budget of the host's data.
    budgets: [Budget; 2],
    /// Whether the guest can write the list or map that is being read, or one that
    /// contains it.
    guest: bool,
    chunks: bool,
}

/// The remaining number of elements that lists and maps may have.
#[derive(Clone, Copy)]
struct Budget {
    /// Elements and entries that are stored.
    elements: usize,
    /// Elements and entries that are announced but not stored.
    absent: usize,
}

impl Budget {
    const FULL: Self = Self {
        elements: MAX_ELEMENTS,
        absent: MAX_ELEMENTS,
    };
}

impl std::fmt::Debug for Decoder<'_> {
    // Omit the values, which may be secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoder")
            .field("at", &self.cursor.key())
            .field("issues", &self.issues)
            .finish_non_exhaustive()
    }
}

/// A position during decoding, to be compared later with [`Decoder::found_since`].
#[derive(Clone, Copy, Debug)]
pub struct Checkpoint {
    hits: usize,
    issues: usize,
}

impl<'a> Decoder<'a> {
    pub(super) fn new(
        cursor: Cursor,
        source: Source<'a>,
        view: View,
        secret_key: Option<&'a SecretKey>,
        issues: Vec<Issue>,
    ) -> Self {
        Self {
            cursor,
            source,
            view,
            secret_key,
            issues,
            hits: 0,
            unusable: 0,
            notes: Vec::new(),
            budgets: [Budget::FULL; 2],
            guest: false,
            chunks: false,
        }
    }

    pub(super) fn into_report(self) -> Report {
        Report::new(self.issues, self.notes)
    }

    /// Returns the dialect in which the keys are read.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        self.cursor.dialect()
    }

    /// Reads a field, or returns `default` if it is missing.
    pub fn field<T: GuestInfo>(&mut self, field: &Field, default: impl FnOnce() -> T) -> T {
        let absent = T::absent(self.dialect());
        self.field_with(
            field,
            absent.is_none(),
            |decoder| T::decode(decoder),
            || absent.unwrap_or_else(default),
        )
    }

    /// Reads a field that may be missing.
    pub fn optional_field<T: GuestInfo>(
        &mut self,
        field: &Field,
        default: impl FnOnce() -> T,
    ) -> T {
        self.field_with(field, false, T::decode, default)
    }

    /// Reads a field with a function.
    pub fn field_with<T>(
        &mut self,
        field: &Field,
        required: bool,
        read: impl FnOnce(&mut Self) -> Option<T>,
        default: impl FnOnce() -> T,
    ) -> T {
        let Some(key) = self.cursor.key_of(field) else {
            return default();
        };
        let mark = self.cursor.field(key.leaf, key.scope);
        let chunks = std::mem::replace(&mut self.chunks, field.chunks);
        let value = self.required(required, None, read);
        self.chunks = chunks;
        self.cursor.leave(mark);
        value.unwrap_or_else(default)
    }

    /// Reads the value at the current key, or returns the form of the value that has no
    /// key; reports the key as missing if there is no such form.
    pub(crate) fn value<T: GuestInfo>(&mut self) -> Option<T> {
        let absent = T::absent(self.dialect());
        self.value_or(absent, T::decode)
    }

    /// Returns the result of a function, otherwise `absent`; reports a missing key if
    /// there is neither.
    pub(crate) fn value_or<T>(
        &mut self,
        absent: Option<T>,
        read: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Option<T> {
        self.required(true, absent, read)
    }

    fn required<T>(
        &mut self,
        required: bool,
        absent: Option<T>,
        read: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Option<T> {
        let unusable = self.unusable;
        if let Some(value) = read(self) {
            return Some(value);
        }
        if self.unusable > unusable {
            return None;
        }
        if absent.is_none() && required && !self.hidden_from_reader() {
            self.report(IssueKind::Missing, "the key is not stored");
        }
        absent
    }

    /// Reads the fields of a struct that is flattened into the current key.
    pub fn flatten<T: GuestInfo>(&mut self, default: impl FnOnce() -> T) -> T {
        self.value().unwrap_or_else(default)
    }

    /// Returns the text at the current key: empty for `<nil>`, opened if it is secret,
    /// and joined if it is stored in chunks.
    pub fn text(&mut self) -> Option<Cow<'a, str>> {
        if !self.chunks {
            return self.stored_text();
        }
        if self.is_known_absent() {
            return chunk::decode(self).map(Cow::Owned);
        }
        let text = self.stored_text();
        // A long text stored under one key, which we would write in chunks.
        if text.is_some() {
            self.note(NoteKind::Keep);
        }
        text
    }

    fn is_known_absent(&mut self) -> bool {
        let source = &mut self.source;
        self.cursor.with_key(|key| source.read(key).is_none())
    }

    pub(crate) fn stored_text(&mut self) -> Option<Cow<'a, str>> {
        if self.hidden_from_reader() || self.cursor.is_too_long() {
            return None;
        }
        let source = &mut self.source;
        let stored = self.cursor.with_key(|key| source.read(key))?;
        self.hits += 1;
        if !self.cursor.scope().secret {
            return Some(Cow::Borrowed(if stored == NIL { "" } else { stored }));
        }
        // Sealed text is taken literally, including `<nil>`.
        match open(self.secret_key, stored) {
            Ok(plain) => Some(Cow::Owned(plain)),
            Err(reason) => {
                self.unusable += 1;
                self.issues.push(Issue {
                    key: self.cursor.key(),
                    kind: IssueKind::Sealed,
                    detail: reason.into(),
                });
                self.note(NoteKind::Keep);
                None
            }
        }
    }

    /// Parses the text at the current key, and reports text that cannot be parsed.
    pub fn parse<T>(
        &mut self,
        expected: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let value = parse(&self.text()?);
        if value.is_none() {
            self.malformed(expected);
        }
        value
    }

    /// Reports that the text at the current key is malformed.
    pub fn malformed(&mut self, expected: &'static str) {
        self.unusable += 1;
        self.note(NoteKind::RewriteKey);
        self.report(IssueKind::Malformed, expected);
    }

    /// Records, for an update, how the stored form at the current key differs from the
    /// value read.
    pub(crate) fn note(&mut self, kind: NoteKind) {
        let key = self.cursor.key();
        self.notes.push(Note { key, kind });
    }

    pub(crate) fn report(&mut self, kind: IssueKind, detail: impl Into<Cow<'static, str>>) {
        self.issues.push(Issue {
            key: self.cursor.key(),
            kind,
            detail: detail.into(),
        });
    }

    /// Returns a checkpoint of what has been found so far.
    #[must_use]
    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint {
            hits: self.hits,
            issues: self.issues.len(),
        }
    }

    /// Whether any key was found since the checkpoint. If not, the missing keys reported
    /// since then are withdrawn, because the value will be reported as a whole.
    pub fn found_since(&mut self, checkpoint: Checkpoint) -> bool {
        let found = self.hits > checkpoint.hits;
        if !found {
            self.issues.truncate(checkpoint.issues);
        }
        found
    }

    /// Reads an entry of a map or an element of a list.
    pub(crate) fn entry<R>(&mut self, name: &str, read: impl FnOnce(&mut Self) -> R) -> R {
        let mark = self.cursor.entry(name);
        let result = self.whole_texts(read);
        self.cursor.leave(mark);
        result
    }

    /// Reads the joined elements of a list, at the key with `~`.
    pub(crate) fn joined<R>(&mut self, read: impl FnOnce(&mut Self) -> R) -> R {
        let mark = self.cursor.joined();
        let result = self.whole_texts(read);
        self.cursor.leave(mark);
        result
    }

    /// Disables chunks: only the field's own text may be chunked, not the texts below it.
    fn whole_texts<R>(&mut self, read: impl FnOnce(&mut Self) -> R) -> R {
        let chunks = std::mem::replace(&mut self.chunks, false);
        let result = read(self);
        self.chunks = chunks;
        result
    }

    /// Reads the elements of the current list or map, charging them to the budget of the
    /// host or of the guest, whichever can write it.
    pub(crate) fn collection<R>(&mut self, read: impl FnOnce(&mut Self) -> R) -> R {
        let outer = self.guest;
        self.guest = outer || self.cursor.with_key(guest_may_write);
        let result = read(self);
        self.guest = outer;
        result
    }

    fn budget(&mut self) -> &mut Budget {
        &mut self.budgets[usize::from(self.guest)]
    }

    /// Whether the budget allows another element.
    pub(crate) fn has_room(&mut self) -> bool {
        let budget = self.budget();
        budget.elements > 0 && budget.absent > 0
    }

    /// Charges one stored element. Returns `false` if the budget is exhausted.
    pub(crate) fn take_element(&mut self) -> bool {
        let budget = self.budget();
        let left = budget.elements.checked_sub(1);
        budget.elements = left.unwrap_or(0);
        left.is_some()
    }

    /// Charges one element that is announced but not stored. Returns `false` if the
    /// budget is exhausted.
    pub(crate) fn take_absent(&mut self) -> bool {
        let budget = self.budget();
        let left = budget.absent.checked_sub(1);
        budget.absent = left.unwrap_or(0);
        left.is_some()
    }

    /// Reports that the list or map at the current key was not read to the end.
    pub(crate) fn too_many(&mut self) {
        self.note(NoteKind::TooMany);
        self.report(
            IssueKind::TooMany,
            "the reader stopped at its limit of elements; updates leave the rest unchanged",
        );
    }

    /// Returns the maximum number of elements that the existing keys can hold.
    pub(crate) fn plausible_elements(&self) -> usize {
        match &self.source {
            Source::Index(index) => index.len(),
            Source::Rounds { .. } => MAX_ELEMENTS,
        }
    }

    /// Whether all keys are available, so that a lookup costs no request.
    pub(crate) fn has_listing(&self) -> bool {
        matches!(self.source, Source::Index(_))
    }

    /// Whether the current key is stored. Does not decode its text.
    pub(crate) fn is_stored(&mut self) -> bool {
        !self.is_known_absent()
    }

    /// Whether any key of a value is stored; reports nothing.
    pub(crate) fn probe<T: GuestInfo>(&mut self) -> bool {
        let (hits, unusable) = (self.hits, self.unusable);
        let (issues, notes) = (self.issues.len(), self.notes.len());
        let _ = T::decode(self);
        let found = self.hits > hits;
        self.hits = hits;
        self.unusable = unusable;
        self.issues.truncate(issues);
        self.notes.truncate(notes);
        found
    }

    pub(crate) fn unusable(&self) -> usize {
        self.unusable
    }

    fn hidden_from_reader(&self) -> bool {
        self.view == View::Guest && self.cursor.scope().access == Access::Hidden
    }

    pub(super) fn whole<T: GuestInfo + Default>(&mut self) -> T {
        self.value().unwrap_or_default()
    }

    pub(super) fn report_unknown(&mut self, index: &Index<'_>) {
        for key in index.unread() {
            if Dialect::of_visible(key).is_some() {
                self.issues.push(Issue {
                    key: key.into(),
                    kind: IssueKind::Unknown,
                    detail: Cow::Borrowed("no field reads it"),
                });
            }
        }
    }
}

impl<'a> Source<'a> {
    fn read(&mut self, key: &str) -> Option<&'a str> {
        match self {
            Self::Index(index) => index.read(key),
            Self::Rounds { known, asked } => match known.get(key) {
                Some(value) => value.as_deref(),
                None => {
                    if !asked.contains(key) {
                        asked.insert(key.to_owned());
                    }
                    None
                }
            },
        }
    }
}

fn open(secret_key: Option<&SecretKey>, stored: &str) -> Result<String, &'static str> {
    let key = secret_key.ok_or("no secret key was given to open the value")?;
    key.open(stored).map_err(crate::secret::SecretError::reason)
}
