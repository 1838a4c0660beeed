//! Decoding keys into a value: the interface for callers.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::GuestInfo;
use super::decoder::{Decoder, Source};
use super::index::Index;
use super::report::{Issue, IssueKind, Report};
use super::rounds::Known;
use crate::dialect::Dialect;
use crate::error::DecodeError;
use crate::key::Cursor;
use crate::secret::SecretKey;

/// A decoded value and a report of what could not be used.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Decoded<T> {
    /// The value; missing or malformed fields have their default.
    pub value: T,
    /// The dialect in which the keys were read.
    pub dialect: Dialect,
    /// The keys that were missing, malformed, unknown, truncated or stale.
    pub report: Report,
}

/// Decodes a value from keys, in the dialect in which they are written.
///
/// Never fails: the report lists everything that could not be used. Keys are looked up
/// without regard to ASCII case, as on the platform. See [`Decode`] for strict decoding,
/// a fixed dialect, secrets and the guest's view.
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

/// Who reads the keys: the host sees keys that the guest does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum View {
    /// The host, which sees every key.
    #[default]
    Host,
    /// The guest: hidden fields have their defaults; they are not looked up and not
    /// reported as missing.
    Guest,
}

/// [`decode`] with options: dialect, view, path and secret key.
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
    /// Creates options for reading as the host, in the dialect detected from the keys.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads in this dialect instead of detecting it.
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

    /// Reads as the host or as the guest.
    #[must_use]
    pub fn view(mut self, view: View) -> Self {
        self.view = view;
        self
    }

    /// Opens secret fields with this secret key.
    #[must_use]
    pub fn secret_key(mut self, key: &'a SecretKey) -> Self {
        self.secret_key = Some(key);
        self
    }

    /// Decodes the value and reports what could not be used.
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
            detail: if first == key {
                "the key exists twice; the first one counts".into()
            } else {
                format!("only its case differs from {first:?}, which counts").into()
            },
        });
        let issues = issues.collect();
        self.run_on(&index, issues)
    }

    /// Decodes the value, and fails if the report contains anything but unknown and stale
    /// keys.
    ///
    /// # Errors
    /// Returns the whole report.
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
            dialect,
            report: decoder.into_report(),
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
            dialect,
            report: decoder.into_report(),
        }
    }

    fn decoder<'s>(
        &'s self,
        dialect: Dialect,
        source: Source<'s>,
        issues: Vec<Issue>,
    ) -> Decoder<'s> {
        let cursor = Cursor::new(dialect, &self.root);
        Decoder::new(cursor, source, self.view, self.secret_key, issues)
    }
}
