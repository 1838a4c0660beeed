//! The problems that decoding found.

use std::borrow::Cow;
use std::fmt;

use crate::key::guest_may_write;

/// A report of the keys that were missing, malformed, unknown, truncated or stale during
/// decoding.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    issues: Vec<Issue>,
    notes: Vec<Note>,
}

/// A difference between the stored form of a value and the value read; used by updates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Note {
    pub(crate) key: String,
    pub(crate) kind: NoteKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoteKind {
    /// The text of this key was unusable.
    RewriteKey,
    /// Elements of this list are missing or at the wrong index.
    RewriteList,
    /// More is stored at and below this key than was read, in a form that we would not
    /// write. It is kept unless the value changes.
    Keep,
    /// The reader stopped within this list or map. Nothing in it may be changed.
    TooMany,
}

impl Report {
    pub(crate) fn new(issues: Vec<Issue>, notes: Vec<Note>) -> Self {
        Self { issues, notes }
    }

    pub(crate) fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// Returns all findings, in the order of decoding, with unknown keys last.
    #[must_use]
    pub fn issues(&self) -> &[Issue] {
        &self.issues
    }

    /// Whether there are no findings at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.issues.is_empty()
    }

    /// Returns the findings of one kind.
    pub fn of(&self, kind: IssueKind) -> impl Iterator<Item = &Issue> {
        self.issues.iter().filter(move |issue| issue.kind == kind)
    }

    /// Returns the findings that cast doubt on data that only the host can write: damaged
    /// texts, lists and maps, and duplicate keys.
    ///
    /// A guest cannot cause any of them. Not included are missing keys, because older
    /// programs do not write every key, sealed values, and lists written by VIC whose
    /// elements contain the separator.
    ///
    /// ```
    /// use std::collections::BTreeMap;
    /// use guestinfo::decode;
    /// use guestinfo::vic::ExecutorConfig;
    ///
    /// let mut keys = BTreeMap::from([
    ///     ("guestinfo.vice./common/id".to_owned(), "4e01".to_owned()),
    ///     ("guestinfo.vice..createtime".to_owned(), "not a number".to_owned()),
    /// ]);
    /// let report = decode::<ExecutorConfig>(&keys).report;
    /// assert_eq!(report.host_damage().count(), 0);
    ///
    /// keys.insert("guestinfo.vice./asymrouting".to_owned(), "perhaps".to_owned());
    /// let report = decode::<ExecutorConfig>(&keys).report;
    /// assert_eq!(report.host_damage().count(), 1);
    /// ```
    pub fn host_damage(&self) -> impl Iterator<Item = &Issue> {
        self.issues.iter().filter(|issue| {
            let damage = matches!(
                issue.kind,
                IssueKind::Malformed
                    | IssueKind::Truncated
                    | IssueKind::TooMany
                    | IssueKind::Duplicate
            );
            damage && !guest_may_write(&issue.key)
        })
    }

    /// Whether the value may lack something that was stored or should have been stored,
    /// which is the case for every finding except unknown and stale keys.
    #[must_use]
    pub fn is_lossy(&self) -> bool {
        self.issues
            .iter()
            .any(|issue| !matches!(issue.kind, IssueKind::Unknown | IssueKind::Stale))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, issue) in self.issues.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            issue.fmt(f)?;
        }
        Ok(())
    }
}

/// A key that decoding could not use. Never contains the stored text.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Issue {
    /// The key.
    pub key: String,
    /// The kind of problem.
    pub kind: IssueKind,
    /// A description of the problem for people, without the stored text.
    pub detail: Cow<'static, str>,
}

impl fmt::Display for Issue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} key {:?}", self.kind, self.key)?;
        if self.detail.is_empty() {
            return Ok(());
        }
        write!(f, ": {}", self.detail)
    }
}

/// The kind of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum IssueKind {
    /// A required key does not exist; the field has its default.
    Missing,
    /// The text is not valid for the field's type; the field has its default.
    Malformed,
    /// A list or a chunked value contains less than it announces.
    Truncated,
    /// A list contains more than it announces; the rest is ignored. VIC writes such lists
    /// when an element contains the separator.
    Surplus,
    /// The reader stopped at [`MAX_ELEMENTS`](crate::MAX_ELEMENTS); the rest was not
    /// read.
    TooMany,
    /// A sealed value could not be opened; the field has its default.
    Sealed,
    /// Two keys differ only in case; the first one counts.
    Duplicate,
    /// The exact form of a list or map, made obsolete by an older program; it is ignored.
    Stale,
    /// A key in our format that no field reads.
    Unknown,
}

impl fmt::Display for IssueKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "missing",
            Self::Malformed => "malformed",
            Self::Truncated => "truncated",
            Self::Surplus => "surplus",
            Self::TooMany => "too many",
            Self::Sealed => "sealed",
            Self::Duplicate => "duplicate",
            Self::Stale => "stale",
            Self::Unknown => "unknown",
        })
    }
}
