//! From keys to a value.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::index::Index;
use super::report::{Issue, IssueKind, Report};
use super::rounds::Known;
use super::{Field, GuestInfo, MAX_ELEMENTS};
use crate::dialect::Dialect;
use crate::error::DecodeError;
use crate::key::Cursor;
use crate::scope::Access;
use crate::secret::SecretKey;
use crate::value::chunk;
use crate::value::text::NIL;

/// A decoded value and what could not be used.
#[derive(Clone, Debug)]
pub struct Decoded<T> {
    /// The value; fields that were missing or malformed have their default.
    pub value: T,
    /// What was missing, malformed, unknown, truncated or stale.
    pub report: Report,
}

/// Reads a value from keys, in the dialect that they are written in.
///
/// Never fails: what cannot be used is in the report. Key lookup folds ASCII
/// case as the platform does. See [`Decode`] for the strict form, a given
/// dialect, secrets and the guest's view.
///
/// ```
/// use std::collections::BTreeMap;
/// use guestinfo::decode;
/// use guestinfo::vic::ExecutorConfig;
///
/// let keys = BTreeMap::from([
///     ("guestinfo./common/id".to_owned(), "4e01".to_owned()),
///     ("guestinfo./repo".to_owned(), "hello-world".to_owned()),
/// ]);
/// let container = decode::<ExecutorConfig>(&keys).value;
/// assert_eq!(container.common.id, "4e01");
/// assert_eq!(container.repo_name, "hello-world");
/// ```
pub fn decode<'k, T: GuestInfo + Default>(
    keys: impl IntoIterator<
        Item = (
            &'k (impl AsRef<str> + ?Sized + 'k),
            &'k (impl AsRef<str> + ?Sized + 'k),
        ),
    >,
) -> Decoded<T> {
    Decode::new().run(keys)
}

/// Who is reading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum View {
    /// The host: it sees every key.
    #[default]
    Host,
    /// The guest: hidden fields have their defaults and are neither asked for
    /// nor missed.
    Guest,
}

/// How to read: [`decode`] with more to say.
///
/// ```
/// use std::collections::BTreeMap;
/// use guestinfo::{Decode, Dialect, View};
/// use guestinfo::vic::ExecutorConfig;
///
/// let keys = BTreeMap::from([("guestinfo./repo".to_owned(), "busybox".to_owned())]);
/// let decoded = Decode::new()
///     .dialect(Dialect::Vic04)
///     .view(View::Guest)
///     .run::<ExecutorConfig>(&keys);
/// assert_eq!(decoded.value.repo_name, "busybox");
/// ```
#[derive(Clone, Debug, Default)]
pub struct Decode<'a> {
    dialect: Option<Dialect>,
    root: Cow<'a, str>,
    view: View,
    secret_key: Option<&'a SecretKey>,
}

impl<'a> Decode<'a> {
    /// Reads as the host, in the dialect found among the keys.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads in this dialect and does not look for it.
    #[must_use]
    pub fn dialect(mut self, dialect: Dialect) -> Self {
        self.dialect = Some(dialect);
        self
    }

    /// Reads the keys below this path.
    #[must_use]
    pub fn under(mut self, path: impl Into<Cow<'a, str>>) -> Self {
        self.root = path.into();
        self
    }

    /// Reads as host or as guest.
    #[must_use]
    pub fn view(mut self, view: View) -> Self {
        self.view = view;
        self
    }

    /// Opens secret fields with this key.
    #[must_use]
    pub fn secret_key(mut self, key: &'a SecretKey) -> Self {
        self.secret_key = Some(key);
        self
    }

    /// Reads the value and reports what could not be used.
    pub fn run<'k, T: GuestInfo + Default>(
        &self,
        keys: impl IntoIterator<
            Item = (
                &'k (impl AsRef<str> + ?Sized + 'k),
                &'k (impl AsRef<str> + ?Sized + 'k),
            ),
        >,
    ) -> Decoded<T> {
        let (index, duplicates) = Index::of(keys);
        let issues = duplicates.into_iter().map(|(first, key)| Issue {
            key: key.into(),
            kind: IssueKind::Duplicate,
            detail: format!("only its case differs from {first:?}, which counts").into(),
        });
        let issues = issues.collect();
        self.run_on(&index, issues)
    }

    /// Reads the value, and errs if anything but unknown and stale keys would
    /// be reported.
    ///
    /// # Errors
    /// With the whole report.
    pub fn strict<'k, T: GuestInfo + Default>(
        &self,
        keys: impl IntoIterator<
            Item = (
                &'k (impl AsRef<str> + ?Sized + 'k),
                &'k (impl AsRef<str> + ?Sized + 'k),
            ),
        >,
    ) -> Result<T, DecodeError> {
        let decoded = self.run(keys);
        if decoded.report.is_lossy() {
            return Err(DecodeError::new(decoded.report));
        }
        Ok(decoded.value)
    }

    pub(crate) fn run_on<T: GuestInfo + Default>(
        &self,
        index: &Index<'_>,
        issues: Vec<Issue>,
    ) -> Decoded<T> {
        let dialect = self
            .dialect
            .or_else(|| Dialect::detect(index.keys()))
            .unwrap_or_default();
        let mut decoder = self.decoder(dialect, Source::Index(index), issues);
        let value = decoder.whole();
        decoder.report_unknown(index);
        Decoded {
            value,
            report: Report::new(decoder.issues),
        }
    }

    pub(crate) fn run_rounds<T: GuestInfo + Default>(
        &self,
        dialect: Dialect,
        known: &Known,
        asked: &mut BTreeSet<String>,
    ) -> Decoded<T> {
        let mut decoder = self.decoder(dialect, Source::Rounds { known, asked }, Vec::new());
        let value = decoder.whole();
        Decoded {
            value,
            report: Report::new(decoder.issues),
        }
    }

    fn decoder<'s>(
        &'s self,
        dialect: Dialect,
        source: Source<'s>,
        issues: Vec<Issue>,
    ) -> Decoder<'s> {
        Decoder {
            cursor: Cursor::new(dialect, &self.root),
            source,
            view: self.view,
            secret_key: self.secret_key,
            issues,
            hits: 0,
            unusable: 0,
            elements: MAX_ELEMENTS,
            chunks: false,
        }
    }
}

enum Source<'a> {
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

    /// Whether any key of a value is there; nothing is taken or reported.
    pub(crate) fn probe<T: GuestInfo>(&mut self) -> bool {
        let before = (self.hits, self.unusable, self.elements, self.issues.len());
        let _ = T::decode(self);
        let found = self.hits > before.0;
        self.hits = before.0;
        self.unusable = before.1;
        self.elements = before.2;
        self.issues.truncate(before.3);
        found
    }

    pub(crate) fn unusable(&self) -> usize {
        self.unusable
    }

    fn hidden_from_reader(&self) -> bool {
        self.view == View::Guest && self.cursor.scope().access == Access::Hidden
    }

    fn whole<T: GuestInfo + Default>(&mut self) -> T {
        self.value().unwrap_or_default()
    }

    fn report_unknown(&mut self, index: &Index<'_>) {
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
