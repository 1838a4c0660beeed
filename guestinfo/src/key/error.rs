//! The error of parsing a key.

use std::fmt;

/// A text that is not a valid key, with the position and the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyError {
    text: Box<str>,
    at: usize,
    reason: Reason,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    Empty,
    TooLong,
    Forbidden(char),
    PrefixCase,
    NoLeadingSeparator,
    EmptyStep,
    SuffixOrder,
}

impl KeyError {
    pub(super) fn new(text: &str, at: usize, reason: Reason) -> Self {
        Self {
            text: text.into(),
            at,
            reason,
        }
    }

    /// Returns the text that was parsed.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the byte offset of the error.
    #[must_use]
    pub fn position(&self) -> usize {
        self.at
    }
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 200;
        let mut shown = self.text.len().min(SHOWN);
        while !self.text.is_char_boundary(shown) {
            shown -= 1;
        }
        let dots = if shown < self.text.len() { "..." } else { "" };
        write!(
            f,
            "invalid key {:?}{dots} at byte {}: {}",
            &self.text[..shown],
            self.at,
            self.reason
        )
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the key is empty"),
            Self::TooLong => write!(f, "longer than {} bytes", super::MAX_KEY_BYTES),
            Self::Forbidden(c) => {
                write!(f, "{c:?} is not allowed in a key, because a VMX file could not hold it")
            }
            Self::PrefixCase => f.write_str("the prefix is written `guestinfo.`, in lower case"),
            Self::NoLeadingSeparator => f.write_str(
                "expected `/` (read-only) or `.` (read-write) after `guestinfo.` or `guestinfo.vice.`",
            ),
            Self::EmptyStep => f.write_str("expected the name of a field"),
            Self::SuffixOrder => {
                f.write_str("suffixes are written once each, `@secret` before `@non-persistent`")
            }
        }
    }
}

impl std::error::Error for KeyError {}
