//! Names of entries: bytes, compared without regard to ASCII case.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

/// The byte order mark, with which a file may begin.
pub(crate) const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Spellings of `.encoding` in files written by old products.
const OLD_ENCODING_NAMES: [&str; 4] = [
    "config.encoding",
    "preferences.encoding",
    "vmlist.encoding",
    "snapshot.encoding",
];

/// The name of an entry.
///
/// Names are bytes: `.encoding` applies to values only, and names are never escaped. As
/// in VMware's lookups, equality, hash and order ignore ASCII case; [`Name::as_bytes`]
/// returns the original spelling.
///
/// [`Display`](fmt::Display) prints the spelling, with non-UTF-8 bytes and control
/// characters as `\xNN`, so that a name from an untrusted file cannot send control
/// sequences to a terminal.
#[derive(Clone, Copy)]
pub struct Name<'a>(&'a [u8]);

impl<'a> Name<'a> {
    /// Creates a name that may be written to a file.
    ///
    /// ```
    /// use vmx::{Name, NameError};
    ///
    /// assert!(Name::new("guestinfo./sessions|ab12/cmd/Path").is_ok());
    /// assert_eq!(Name::new("a\nb").unwrap_err().to_string(),
    ///     "name `a\\x0Ab` holds a line break at byte 1, which would begin another entry");
    /// ```
    ///
    /// # Errors
    ///
    /// Names have no escapes, so characters that would end a name are refused: NUL, a
    /// blank, `#`, `=`, CR and LF. Empty names are refused too. Names that begin with `.`
    /// are reserved for the dictionary itself, and VMware drops all of them but
    /// `.encoding`. A name that begins with a byte order mark would lose the mark at the
    /// start of a file.
    pub fn new(name: &'a str) -> Result<Self, NameError> {
        Self::from_bytes(name.as_bytes())
    }

    /// Creates a name like [`Name::new`], from bytes that need not be UTF-8.
    ///
    /// # Errors
    ///
    /// Fails like [`Name::new`].
    pub fn from_bytes(name: &'a [u8]) -> Result<Self, NameError> {
        let fault = |reason| {
            Err(NameError {
                name: Name(name).to_string(),
                reason,
            })
        };
        if name.is_empty() {
            return fault(Fault::Empty);
        }
        for (at, &byte) in name.iter().enumerate() {
            match byte {
                b'\n' | b'\r' => return fault(Fault::LineBreak { at }),
                0 | b' ' | b'\t' | b'#' | b'=' => return fault(Fault::Ends { at, byte }),
                _ => {}
            }
        }
        if name.starts_with(BYTE_ORDER_MARK) {
            return fault(Fault::ByteOrderMark);
        }
        let name = Self(name);
        if name.is_metavariable() && name != ".encoding" {
            return Err(NameError::metavariable(name));
        }
        Ok(name)
    }

    /// Wraps a name found in a file, without the checks for names that are to be written.
    pub(crate) const fn found(name: &'a [u8]) -> Self {
        Self(name)
    }

    /// Returns the spelling as bytes.
    #[must_use]
    pub const fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// Returns the spelling as text, or `None` if it is not UTF-8.
    #[must_use]
    pub fn as_str(self) -> Option<&'a str> {
        std::str::from_utf8(self.0).ok()
    }

    /// Whether the name begins with `prefix`, ignoring ASCII case.
    #[must_use]
    pub fn starts_with(self, prefix: &str) -> bool {
        self.0
            .get(..prefix.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(prefix.as_bytes()))
    }

    /// Whether the name ends with `suffix`, ignoring ASCII case.
    #[must_use]
    pub fn ends_with(self, suffix: &str) -> bool {
        let start = self.0.len().checked_sub(suffix.len());
        start.is_some_and(|start| self.0[start..].eq_ignore_ascii_case(suffix.as_bytes()))
    }

    /// Whether the name is reserved for the dictionary itself: it begins with `.`, or is
    /// an old product's spelling of `.encoding`.
    #[must_use]
    pub fn is_metavariable(self) -> bool {
        self.0.first() == Some(&b'.') || self.declares_encoding()
    }

    /// Whether the name is `.encoding` or an old spelling of it.
    pub(crate) fn declares_encoding(self) -> bool {
        // Most names end in a different letter, so check the last byte first.
        matches!(self.0.last(), Some(b'g' | b'G'))
            && (self == ".encoding" || OLD_ENCODING_NAMES.iter().any(|old| self == *old))
    }

    /// Whether the value may be secret and must stay out of logs and messages.
    ///
    /// VMware's own log omits `dataFileKey`, `*.key` and `annotation`. This function adds
    /// names that mention a password, a secret, a token or a key safe, and `guestinfo.`
    /// values, which carry cloud-init and container secrets.
    #[must_use]
    pub fn is_sensitive(self) -> bool {
        let folded = self.folded();
        let has = |part: &[u8]| folded.windows(part.len()).any(|window| window == part);
        folded.ends_with(b".key")
            || [
                &b"datafilekey"[..],
                b"annotation",
                b"encryption.keysafe",
                b"encryption.data",
            ]
            .contains(&&*folded)
            || [&b"password"[..], b"passwd", b"secret", b"token"]
                .iter()
                .any(|part| has(part))
            || folded.starts_with(b"guestinfo.")
    }

    /// Returns the spelling in lower case.
    pub(crate) fn folded(self) -> Cow<'a, [u8]> {
        if self.0.iter().any(u8::is_ascii_uppercase) {
            Cow::Owned(self.0.to_ascii_lowercase())
        } else {
            Cow::Borrowed(self.0)
        }
    }
}

impl PartialEq for Name<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(other.0)
    }
}

impl Eq for Name<'_> {}

impl PartialEq<str> for Name<'_> {
    fn eq(&self, other: &str) -> bool {
        self.0.eq_ignore_ascii_case(other.as_bytes())
    }
}

impl PartialEq<&str> for Name<'_> {
    fn eq(&self, other: &&str) -> bool {
        *self == **other
    }
}

impl PartialOrd for Name<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Name<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        let fold = |name: &Self| name.0.iter().map(u8::to_ascii_lowercase);
        fold(self).cmp(fold(other))
    }
}

impl Hash for Name<'_> {
    /// Folds case in a small buffer, so hashing never allocates.
    fn hash<H: Hasher>(&self, state: &mut H) {
        let mut buffer = [0; 64];
        for chunk in self.0.chunks(buffer.len()) {
            let folded = &mut buffer[..chunk.len()];
            folded.copy_from_slice(chunk);
            folded.make_ascii_lowercase();
            state.write(folded);
        }
    }
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        print_visibly(self.0, f)
    }
}

impl fmt::Debug for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{self}`")
    }
}

/// Prints valid, printable text unchanged, and everything else as `\xNN`.
pub(crate) fn print_visibly(bytes: &[u8], f: &mut impl fmt::Write) -> fmt::Result {
    for chunk in bytes.utf8_chunks() {
        for char in chunk.valid().chars() {
            if char.is_control() {
                let mut buffer = [0; 4];
                for byte in char.encode_utf8(&mut buffer).bytes() {
                    write!(f, "\\x{byte:02X}")?;
                }
            } else {
                f.write_char(char)?;
            }
        }
        for byte in chunk.invalid() {
            write!(f, "\\x{byte:02X}")?;
        }
    }
    Ok(())
}

/// A name that cannot be written to a file, and the reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("name `{name}` {reason}")]
pub struct NameError {
    name: String,
    reason: Fault,
}

impl NameError {
    pub(crate) fn metavariable(name: Name<'_>) -> Self {
        Self {
            name: name.to_string(),
            reason: Fault::Metavariable,
        }
    }

    /// Returns the refused name, printed like [`Name`].
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Fault {
    #[error("is empty")]
    Empty,
    #[error("holds a line break at byte {at}, which would begin another entry")]
    LineBreak { at: usize },
    #[error("holds {} at byte {at}, which would end it", describe(*byte))]
    Ends { at: usize, byte: u8 },
    #[error("begins with a byte order mark, which is skipped at the start of a file")]
    ByteOrderMark,
    #[error("is reserved for the dictionary itself: VMware drops such entries, except .encoding")]
    Metavariable,
}

fn describe(byte: u8) -> &'static str {
    match byte {
        0 => "NUL",
        b' ' => "a space",
        b'\t' => "a tab",
        b'#' => "`#`",
        _ => "`=`",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use std::hash::{BuildHasher, RandomState};

    #[test]
    fn names_that_end_early_are_refused() {
        for name in [
            "",
            "a b",
            "a\tb",
            "a#b",
            "a=b",
            "a\0b",
            "a\rb",
            "a\nb",
            ".foo",
            "\u{FEFF}a",
        ] {
            assert!(Name::new(name).is_err(), "{name:?}");
        }
        for name in [
            "a",
            "a/b|c~@d",
            "\"a\"",
            ".encoding",
            ".Encoding",
            "naïve",
            "a\u{FEFF}",
        ] {
            assert!(Name::new(name).is_ok(), "{name:?}");
        }
    }

    #[test]
    fn case_folds_in_comparison_order_and_hash() {
        let long = "guestinfo.".repeat(20);
        let (a, b) = (Name::new(&long).unwrap(), long.to_uppercase());
        let b = Name::new(&b).unwrap();
        let state = RandomState::new();
        assert_eq!(a, b);
        assert_eq!(a.cmp(&b), Ordering::Equal);
        assert_eq!(state.hash_one(a), state.hash_one(b));
        assert_eq!(a.folded(), b.folded());
    }

    #[test]
    fn printing_hides_no_byte_and_no_control_character() {
        assert_eq!(
            Name::found(b"a\x1B[2J\xCE\xBB\xFF").to_string(),
            "a\\x1B[2Jλ\\xFF"
        );
    }
}
