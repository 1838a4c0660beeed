//! From keys to a value: what a caller can say.

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

/// A decoded value and what could not be used.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Decoded<T> {
    /// The value; fields that were missing or malformed have their default.
    pub value: T,
    /// The dialect that was read.
    pub dialect: Dialect,
    /// The keys that were missing, malformed, unknown, truncated or stale.
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

/// The reader: the host sees keys that the guest does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum View {
    /// The host: it sees every key.
    #[default]
    Host,
    /// The guest: hidden fields have their defaults and are neither asked for
    /// nor missed.
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
            detail: if first == key {
                "it is there twice; the first one counts".into()
            } else {
                format!("only its case differs from {first:?}, which counts").into()
            },
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
