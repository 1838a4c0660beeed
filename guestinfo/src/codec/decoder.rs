//! From keys to a value: what types call.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::decode::View;
use super::index::Index;
use super::report::{Issue, IssueKind, Report};
use super::rounds::Known;
use super::{Field, GuestInfo, MAX_ELEMENTS};
use crate::dialect::Dialect;
use crate::key::Cursor;
use crate::scope::Access;
use crate::secret::SecretKey;
use crate::value::chunk;
use crate::value::text::NIL;

/// Where keys come from.
pub(super) enum Source<'a> {
    /// All keys are at hand.
    Index(&'a Index<'a>),
    /// A reader without listing: keys that are not known yet are noted.
    Rounds {
        known: &'a Known,
        asked: &'a mut BTreeSet<String>,
    },
}

/// Gives the parts of a value; implementations of [`GuestInfo`] call it.
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
    /// List elements and map entries that may still come.
    elements: usize,
    chunks: bool,
}

impl std::fmt::Debug for Decoder<'_> {
    // Without values: secrets are among them.
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
            elements: MAX_ELEMENTS,
            chunks: false,
        }
    }

    pub(super) fn into_report(self) -> Report {
        Report::new(self.issues)
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

    /// The value at hand, or its form without any key; reports its lack.
    pub(crate) fn value<T: GuestInfo>(&mut self) -> Option<T> {
        let absent = T::absent(self.dialect());
        self.required(true, absent, T::decode)
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

    /// The text at hand: empty for `<nil>`, opened if it is secret, put
    /// together if it is in chunks.
    pub fn text(&mut self) -> Option<Cow<'a, str>> {
        if self.chunks && self.is_known_absent() {
            return chunk::decode(self).map(Cow::Owned);
        }
        self.stored_text()
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
        let plain = if self.cursor.scope().secret {
            match open(self.secret_key, stored) {
                Ok(plain) => Cow::Owned(plain),
                Err(reason) => {
                    self.unusable += 1;
                    self.issues.push(Issue {
                        key: self.cursor.key(),
                        kind: IssueKind::Sealed,
                        detail: reason.into(),
                    });
                    return None;
                }
            }
        } else {
            Cow::Borrowed(stored)
        };
        Some(if plain == NIL {
            Cow::Borrowed("")
        } else {
            plain
        })
    }

    /// Reads the text at hand as a value; reports text that is none.
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

    /// Reports that the text at hand is of no use.
    pub fn malformed(&mut self, expected: &'static str) {
        self.unusable += 1;
        self.report(IssueKind::Malformed, expected);
    }

    pub(crate) fn report(&mut self, kind: IssueKind, detail: impl Into<Cow<'static, str>>) {
        self.issues.push(Issue {
            key: self.cursor.key(),
            kind,
            detail: detail.into(),
        });
    }

    /// Notes how much has been found so far.
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

    /// Goes to an entry of a map or an element of a list.
    pub(crate) fn entry<R>(&mut self, name: &str, read: impl FnOnce(&mut Self) -> R) -> R {
        let mark = self.cursor.entry(name);
        let result = self.whole_texts(read);
        self.cursor.leave(mark);
        result
    }

    /// Goes below `~`.
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

    /// Takes one element from the bound; false when it is used up.
    pub(crate) fn take_element(&mut self) -> bool {
        let left = self.elements.checked_sub(1);
        self.elements = left.unwrap_or(0);
        left.is_some()
    }

    /// How many elements that need a key can be there at most.
    pub(crate) fn plausible_elements(&self) -> usize {
        match &self.source {
            Source::Index(index) => self.elements.min(index.len()),
            Source::Rounds { .. } => self.elements,
        }
    }

    /// Whether looking at another key costs nothing.
    pub(crate) fn has_listing(&self) -> bool {
        matches!(self.source, Source::Index(_))
    }

    /// Whether there is a key at hand, without reading it.
    pub(crate) fn is_stored(&mut self) -> bool {
        !self.is_known_absent()
    }

    /// Whether any key of a value is there; nothing is reported.
    pub(crate) fn probe<T: GuestInfo>(&mut self) -> bool {
        let (hits, unusable, issues) = (self.hits, self.unusable, self.issues.len());
        let _ = T::decode(self);
        let found = self.hits > hits;
        self.hits = hits;
        self.unusable = unusable;
        self.issues.truncate(issues);
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
