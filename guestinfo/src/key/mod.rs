//! The key of one stored value.
//!
//! ```text
//! guestinfo.vice.  /  sessions|4e01/cmd/Args ~  @secret@non-persistent
//! base             |  path                   |  suffixes
//!                  leading separator         joined list values
//! ```
//!
//! * The **base** depends on the [`Dialect`]; a key without it is hidden.
//! * The **leading separator** is the separator used in the path: `/` for values that the
//!   guest may only read, `.` for values that it may write.
//! * In the **path**, fields are separated by that separator; `|` precedes the key of a
//!   map entry or the index of a list element.
//! * A `~` after a list's key marks the key of its elements, joined with `|`.
//! * The **suffixes** are always in this order.

mod child;
mod error;
mod pattern;
#[cfg(feature = "serde")]
mod serde;

pub(crate) use child::Cursor;
pub use error::KeyError;
pub use pattern::Pattern;

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use crate::dialect::{Dialect, strip_prefix_ignore_case};
use crate::scope::{Access, Scope};
use error::Reason;

/// The longest key that is written, in bytes: hosts keep key names in buffers
/// of 1,024 bytes.
pub const MAX_KEY_BYTES: usize = 1000;

pub(crate) const SECRET_SUFFIX: &str = "@secret";
pub(crate) const NON_PERSISTENT_SUFFIX: &str = "@non-persistent";

/// A parsed and valid key.
///
/// [`Display`](fmt::Display) prints exactly the bytes that were parsed. Keys sort by path
/// first, so that all keys of one object are adjacent regardless of their access.
///
/// ```
/// use guestinfo::{Access, Dialect, Key};
///
/// let key: Key = "guestinfo.vice..sessions|4e01.started@non-persistent".parse()?;
/// assert_eq!(key.dialect(), Some(Dialect::Vic1));
/// assert_eq!(key.scope().access, Access::ReadWrite);
/// assert!(key.scope().non_persistent);
/// assert!(key.guest_may_write());
/// assert_eq!(key.path(), "sessions|4e01/started");
/// # Ok::<(), guestinfo::KeyError>(())
/// ```
#[derive(Clone)]
pub struct Key {
    text: Box<str>,
    scope: Scope,
    dialect: Option<Dialect>,
    /// The byte offset at which the path starts in `text`.
    start: usize,
    end: usize,
}

/// One step of a key's path.
///
/// The text of a key does not distinguish a separator from the same character inside a
/// map key: a read-only `m|a.b/c` is parsed as entry `a.b`, field `c`, and VIC cannot do
/// better either. Decoding never depends on these steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Step<'a> {
    /// A field of a struct.
    Field(&'a str),
    /// The key of a map entry or the index of a list element.
    Entry(&'a str),
    /// `~`: the joined elements of a list.
    Joined,
}

impl Key {
    /// Parses a key.
    ///
    /// # Errors
    /// Returns the byte at which the text stops being a valid key, and why. Keys of other
    /// programs, such as `guestinfo.ip`, are errors too, because no leading separator
    /// follows the base.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let fail = |at: usize, reason| Err(KeyError::new(text, at, reason));
        if text.is_empty() {
            return fail(0, Reason::Empty);
        }
        if text.len() > MAX_KEY_BYTES {
            return fail(MAX_KEY_BYTES, Reason::TooLong);
        }
        if let Some((at, found)) = text.char_indices().find(|(_, c)| is_forbidden(*c)) {
            return fail(at, Reason::Forbidden(found));
        }

        let mut end = text.len();
        let mut scope = Scope::HIDDEN;
        if let Some(rest) = text.strip_suffix(NON_PERSISTENT_SUFFIX) {
            scope.non_persistent = true;
            end = rest.len();
        }
        if let Some(rest) = text[..end].strip_suffix(SECRET_SUFFIX) {
            scope.secret = true;
            end = rest.len();
            if rest.ends_with(NON_PERSISTENT_SUFFIX) || rest.ends_with(SECRET_SUFFIX) {
                return fail(rest.len(), Reason::SuffixOrder);
            }
        } else if text[..end].ends_with(NON_PERSISTENT_SUFFIX) {
            return fail(end, Reason::SuffixOrder);
        }

        let mut dialect = None;
        let mut start = 0;
        if strip_prefix_ignore_case(text, Dialect::Vic04.base()).is_some() {
            if !text.starts_with(Dialect::Vic04.base()) {
                return fail(0, Reason::PrefixCase);
            }
            let mut base = Dialect::Vic04;
            if text.starts_with(Dialect::Vic1.base()) {
                base = Dialect::Vic1;
            }
            start = base.base().len();
            scope.access = match text.as_bytes().get(start) {
                Some(b'/') => Access::ReadOnly,
                Some(b'.') => Access::ReadWrite,
                _ => return fail(start, Reason::NoLeadingSeparator),
            };
            dialect = Some(base);
            start += 1;
        }
        if start >= end {
            return fail(end, Reason::EmptyStep);
        }

        // A map key follows the first `|` and may contain any character.
        let fields = text[start..end].find('|').map_or(end, |at| start + at);
        let separator = scope.access.separator();
        let mut at = start;
        for step in text[start..fields].split(separator) {
            if step.is_empty() {
                return fail(at, Reason::EmptyStep);
            }
            at += step.len() + separator.len_utf8();
        }
        Ok(Self {
            text: text.into(),
            scope,
            dialect,
            start,
            end,
        })
    }

    /// Returns the exact text of the key.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the scope that the form of the key declares: who may see and change it.
    #[must_use]
    pub fn scope(&self) -> Scope {
        self.scope
    }

    /// Returns the dialect, or `None` for hidden keys, which are the same in both
    /// dialects.
    #[must_use]
    pub fn dialect(&self) -> Option<Dialect> {
        self.dialect
    }

    /// Whether the platform lets the guest write this key: it must be visible and contain
    /// no `/`.
    #[must_use]
    pub fn guest_may_write(&self) -> bool {
        guest_may_write(&self.text)
    }

    /// Returns the path without base and suffixes, with fields separated by `/`
    /// regardless of the access.
    #[must_use]
    pub fn path(&self) -> Cow<'_, str> {
        let path = self.raw_path();
        if self.scope.access == Access::ReadWrite && path.contains('.') {
            Cow::Owned(path.replace('.', "/"))
        } else {
            Cow::Borrowed(path)
        }
    }

    /// Returns the steps of the path.
    ///
    /// ```
    /// use guestinfo::{Key, Step};
    ///
    /// let key: Key = "guestinfo./sessions|4e01/cmd/Args~".parse()?;
    /// assert_eq!(
    ///     key.steps().collect::<Vec<_>>(),
    ///     [
    ///         Step::Field("sessions"),
    ///         Step::Entry("4e01"),
    ///         Step::Field("cmd"),
    ///         Step::Field("Args"),
    ///         Step::Joined,
    ///     ],
    /// );
    /// # Ok::<(), guestinfo::KeyError>(())
    /// ```
    pub fn steps(&self) -> impl Iterator<Item = Step<'_>> {
        Steps {
            rest: Some(self.raw_path()),
            entry: false,
            joined: false,
            separator: self.scope.access.separator(),
        }
    }

    /// Whether the path of `parent` is a step-wise prefix of this key's path, regardless
    /// of access and dialect. A key is a prefix of itself.
    #[must_use]
    pub fn starts_with(&self, parent: &Self) -> bool {
        let mut mine = self.steps();
        parent.steps().all(|step| mine.next() == Some(step))
    }

    fn raw_path(&self) -> &str {
        &self.text[self.start..self.end]
    }

    /// Returns the bytes of the path with a uniform separator, for comparison.
    fn path_bytes(&self) -> impl Iterator<Item = u8> {
        let writable = self.scope.access == Access::ReadWrite;
        self.raw_path()
            .bytes()
            .map(move |b| if writable && b == b'.' { b'/' } else { b })
    }
}

/// Whether the platform lets a guest write the key with this text.
pub(crate) fn guest_may_write(text: &str) -> bool {
    strip_prefix_ignore_case(text, Dialect::Vic04.base()).is_some() && !text.contains('/')
}

/// Returns the scope that the form of a key declares, for any key, including those of
/// other programs.
pub(crate) fn scope_of(text: &str) -> Scope {
    let mut scope = Scope::HIDDEN;
    let rest = text.strip_suffix(NON_PERSISTENT_SUFFIX);
    scope.non_persistent = rest.is_some();
    scope.secret = rest.unwrap_or(text).ends_with(SECRET_SUFFIX);
    if let Some(rest) = strip_prefix_ignore_case(text, Dialect::Vic04.base()) {
        let rest = strip_prefix_ignore_case(rest, "vice.").unwrap_or(rest);
        scope.access = if rest.starts_with('/') {
            Access::ReadOnly
        } else {
            Access::ReadWrite
        };
    }
    scope
}

/// Returns the path of a key, without base, leading separator and suffixes, in lower case and
/// with `/` between fields. All forms of the same key have the same path.
pub(crate) fn path_of(text: &str) -> String {
    let text = text.split('@').next().unwrap_or_default();
    let mut path = text;
    if let Some(rest) = strip_prefix_ignore_case(text, Dialect::Vic04.base()) {
        let rest = strip_prefix_ignore_case(rest, "vice.").unwrap_or(rest);
        path = rest.strip_prefix(['/', '.']).unwrap_or(rest);
    }
    path.to_ascii_lowercase().replace('.', "/")
}

/// Returns the name of a map entry as it appears in a [path](path_of).
pub(crate) fn path_of_name(name: &str) -> String {
    let name = name.split('@').next().unwrap_or_default();
    name.to_ascii_lowercase().replace('.', "/")
}

/// Returns the paths of the structs, lists and maps that contain a path, outermost first, and
/// finally the path itself.
pub(crate) fn containing_paths(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices(['/', '|', '~'])
        .map(|(at, _)| &path[..at])
        .chain(std::iter::once(path))
}

/// Returns whether the grammar of a VMX file forbids a character in a key.
pub(crate) fn is_forbidden(c: char) -> bool {
    c.is_control() || matches!(c, ' ' | '#' | '=' | '"')
}

struct Steps<'a> {
    /// `None` after the last step.
    rest: Option<&'a str>,
    entry: bool,
    joined: bool,
    separator: char,
}

impl<'a> Iterator for Steps<'a> {
    type Item = Step<'a>;

    fn next(&mut self) -> Option<Step<'a>> {
        if std::mem::take(&mut self.joined) {
            return Some(Step::Joined);
        }
        let rest = self.rest?;
        let entry = self.entry;
        let mut step = rest;
        self.rest = None;
        if let Some(at) = rest.find(['|', self.separator]) {
            step = &rest[..at];
            self.entry = rest[at..].starts_with('|');
            self.rest = Some(&rest[at + 1..]);
        }
        if let Some(list) = step.strip_suffix('~')
            && !list.is_empty()
        {
            step = list;
            self.joined = true;
        }
        Some(if entry {
            Step::Entry(step)
        } else {
            Step::Field(step)
        })
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        self.path_bytes()
            .cmp(other.path_bytes())
            .then_with(|| self.text.cmp(&other.text))
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl FromStr for Key {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        Self::parse(text)
    }
}

impl AsRef<str> for Key {
    fn as_ref(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Key").field(&self.as_str()).finish()
    }
}
