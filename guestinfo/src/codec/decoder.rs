//! From keys to a value: what types call.

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

/// The source of keys.
pub(super) enum Source<'a> {
    /// All keys are known.
    Index(&'a Index<'a>),
    /// A reader without listing: keys that are not known yet are noted.
    Rounds {
        known: &'a Known,
        asked: &'a mut BTreeSet<String>,
    },
}

/// Reads the parts of a value; implementations of [`GuestInfo`] call it.
pub struct Decoder<'a> {
    cursor: Cursor,
    source: Source<'a>,
    view: View,
    secret_key: Option<&'a SecretKey>,
    issues: Vec<Issue>,
    /// Keys found so far.
    hits: usize,
    /// Keys found so far whose text was of no use.
    unusable: usize,
    notes: Vec<Note>,
    /// What reading may still cost: for what only the host writes, and for what
    /// the guest can write. A guest cannot use up the host's.
    budgets: [Budget; 2],
    /// Whether the guest can write the list or map that is being read, or one
    /// around it.
    guest: bool,
    chunks: bool,
}

/// The remaining cost that lists and maps may have.
#[derive(Clone, Copy)]
struct Budget {
    /// Elements and entries that are stored.
    elements: usize,
    /// Elements and entries that are announced and not stored.
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

/// A point during decoding to which [`Decoder::found_since`] compares.
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

    /// The dialect that is read.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        self.cursor.dialect()
    }

    /// Reads a field; without it, `default`.
    pub fn field<T: GuestInfo>(&mut self, field: &Field, default: impl FnOnce() -> T) -> T {
        let absent = T::absent(self.dialect());
        self.field_with(
            field,
            absent.is_none(),
            |decoder| T::decode(decoder),
            || absent.unwrap_or_else(default),
        )
    }

    /// Reads a field that need not be there.
    pub fn optional_field<T: GuestInfo>(
        &mut self,
        field: &Field,
        default: impl FnOnce() -> T,
    ) -> T {
        self.field_with(field, false, T::decode, default)
    }

    /// Reads a field by a function.
    pub fn field_with<T>(
        &mut self,
        field: &Field,
        required: bool,
        read: impl FnOnce(&mut Self) -> Option<T>,
        default: impl FnOnce() -> T,
    ) -> T {
        let Some(place) = self.cursor.place(field) else {
            return default();
        };
        let mark = self.cursor.field(place.leaf, place.scope);
        let chunks = std::mem::replace(&mut self.chunks, field.chunks);
        let value = self.required(required, None, read);
        self.chunks = chunks;
        self.cursor.leave(mark);
        value.unwrap_or_else(default)
    }

    /// The value at the current key, or its form without any key; reports if both are missing.
    pub(crate) fn value<T: GuestInfo>(&mut self) -> Option<T> {
        let absent = T::absent(self.dialect());
        self.value_or(absent, T::decode)
    }

    /// Returns the result of a function, or else `absent`; reports a missing key without either.
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
            self.report(IssueKind::Missing, "nothing is stored there");
        }
        absent
    }

    /// Reads the fields of a struct that stands at the same key.
    pub fn flatten<T: GuestInfo>(&mut self, default: impl FnOnce() -> T) -> T {
        self.value().unwrap_or_else(default)
    }

    /// The text at the current key: empty for `<nil>`, opened if it is secret, put
    /// together if it is in chunks.
    pub fn text(&mut self) -> Option<Cow<'a, str>> {
        if !self.chunks {
            return self.stored_text();
        }
        if self.is_known_absent() {
            return chunk::decode(self).map(Cow::Owned);
        }
        let text = self.stored_text();
        // A long text under one key, which we would write in chunks.
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
        // Sealed text is literal, including `<nil>`.
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

    /// Parses the text at the current key; reports text that cannot be parsed.
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

    /// Notes for an update how the stored form at the current key differs from what was
    /// read.
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

    /// Records how much has been found so far.
    #[must_use]
    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint {
            hits: self.hits,
            issues: self.issues.len(),
        }
    }

    /// Whether any key was found since; if not, what was missed since is taken
    /// back, for the whole value will be reported.
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

    /// Reads the joined elements of a list, below `~`.
    pub(crate) fn joined<R>(&mut self, read: impl FnOnce(&mut Self) -> R) -> R {
        let mark = self.cursor.joined();
        let result = self.whole_texts(read);
        self.cursor.leave(mark);
        result
    }

    /// Only a field's own text is cut into chunks, not what stands below it.
    fn whole_texts<R>(&mut self, read: impl FnOnce(&mut Self) -> R) -> R {
        let chunks = std::mem::replace(&mut self.chunks, false);
        let result = read(self);
        self.chunks = chunks;
        result
    }

    /// Reads the elements of the current list or map, and accounts them to the party
    /// that can write it.
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

    /// Whether another element may be looked for.
    pub(crate) fn has_room(&mut self) -> bool {
        let budget = self.budget();
        budget.elements > 0 && budget.absent > 0
    }

    /// Counts one stored element; false when that is one too many.
    pub(crate) fn take_element(&mut self) -> bool {
        let budget = self.budget();
        let left = budget.elements.checked_sub(1);
        budget.elements = left.unwrap_or(0);
        left.is_some()
    }

    /// Counts one element that is announced and not stored; false when that is
    /// one too many.
    pub(crate) fn take_absent(&mut self) -> bool {
        let budget = self.budget();
        let left = budget.absent.checked_sub(1);
        budget.absent = left.unwrap_or(0);
        left.is_some()
    }

    /// Reports that the list or map at the current key was not read to its end.
    pub(crate) fn too_many(&mut self) {
        self.note(NoteKind::TooMany);
        self.report(
            IssueKind::TooMany,
            "the reader stopped at its bound of elements; update leaves the rest alone",
        );
    }

    /// Returns the maximum number of elements that the existing keys can hold.
    pub(crate) fn plausible_elements(&self) -> usize {
        match &self.source {
            Source::Index(index) => index.len(),
            Source::Rounds { .. } => MAX_ELEMENTS,
        }
    }

    /// Whether looking at another key costs nothing.
    pub(crate) fn has_listing(&self) -> bool {
        matches!(self.source, Source::Index(_))
    }

    /// Whether the current key is stored, without reading it.
    pub(crate) fn is_stored(&mut self) -> bool {
        !self.is_known_absent()
    }

    /// Whether any key of a value is there; nothing is reported.
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
    let key = secret_key.ok_or("no secret key was given to open it with")?;
    key.open(stored).map_err(crate::secret::SecretError::reason)
}
