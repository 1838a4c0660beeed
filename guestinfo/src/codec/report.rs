//! What decoding could not use.

use std::borrow::Cow;
use std::fmt;

/// What one decode found missing, malformed, unknown, truncated or stale.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    issues: Vec<Issue>,
}

impl Report {
    pub(crate) fn new(issues: Vec<Issue>) -> Self {
        Self { issues }
    }

    /// All findings, in the order of decoding; unknown keys last.
    #[must_use]
    pub fn issues(&self) -> &[Issue] {
        &self.issues
    }

    /// Whether nothing at all was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.issues.is_empty()
    }

    /// The findings of one kind.
    pub fn of(&self, kind: IssueKind) -> impl Iterator<Item = &Issue> {
        self.issues.iter().filter(move |issue| issue.kind == kind)
    }

    /// Whether the value may lack something that was stored or should have
    /// been: anything but unknown and stale keys.
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

/// One key that decoding could not use. Never holds the stored text.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Issue {
    /// The key.
    pub key: String,
    /// What is the matter.
    pub kind: IssueKind,
    /// The same for a person, without the stored text.
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

/// Kinds of findings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum IssueKind {
    /// A required key is not there; the field has its default.
    Missing,
    /// The text is not of the field's type; the field has its default.
    Malformed,
    /// A list or a chunked value holds less or more than it announces.
    Truncated,
    /// A sealed value could not be opened; the field has its default.
    Sealed,
    /// Two keys are equal after folding the case; the first one counts.
    Duplicate,
    /// An exact form that an older writer has overtaken; not used.
    Stale,
    /// A key of ours that no field reads.
    Unknown,
}

impl fmt::Display for IssueKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "missing",
            Self::Malformed => "malformed",
            Self::Truncated => "truncated",
            Self::Sealed => "sealed",
            Self::Duplicate => "duplicate",
            Self::Stale => "stale",
            Self::Unknown => "unknown",
        })
    }
}
