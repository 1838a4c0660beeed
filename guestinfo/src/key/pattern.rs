//! Patterns for the paths of keys.

use std::fmt;
use std::str::FromStr;

use super::{Key, KeyError, Step, error::Reason, is_forbidden};
use crate::scope::Access;

/// A pattern for paths, to select the keys to watch.
///
/// It is written like a [path](Key::path): `/` precedes a field, `|` a map key or a list
/// index, and `~` follows a list; `*` stands for one whole field or entry. The dialect,
/// separators and suffixes of the key are ignored.
///
/// ```
/// use guestinfo::{Key, Pattern};
///
/// let status: Pattern = "sessions|*/status".parse()?;
/// let old: Key = "guestinfo..sessions|4e01.status".parse()?;
/// let new: Key = "guestinfo.vice..sessions|4e01.status".parse()?;
/// assert!(status.matches(&old) && status.matches(&new));
/// assert_eq!(status.captures(&new), Some(vec!["4e01"]));
/// # Ok::<(), guestinfo::KeyError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pattern {
    text: Box<str>,
    steps: Vec<Expected>,
    access: Option<Access>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Expected {
    Field(Option<Box<str>>),
    Entry(Option<Box<str>>),
    Joined,
}

impl Pattern {
    /// Parses a pattern.
    ///
    /// # Errors
    /// Returns the byte at which the text stops being a valid pattern, and why.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let fail = |at, reason| Err(KeyError::new(text, at, reason));
        if text.is_empty() {
            return fail(0, Reason::Empty);
        }
        if let Some((at, found)) = text.char_indices().find(|(_, c)| is_forbidden(*c)) {
            return fail(at, Reason::Forbidden(found));
        }
        let mut steps = Vec::new();
        let (mut at, mut entry) = (0, false);
        for step in text.split_inclusive(['/', '|']) {
            let delimiter = step.ends_with(['/', '|']);
            let name = &step[..step.len() - usize::from(delimiter)];
            let (name, joined) = match name.strip_suffix('~') {
                Some(list) => (list, true),
                None => (name, false),
            };
            if name.is_empty() {
                return fail(at, Reason::EmptyStep);
            }
            let name = (name != "*").then(|| name.into());
            steps.push(if entry {
                Expected::Entry(name)
            } else {
                Expected::Field(name)
            });
            if joined {
                steps.push(Expected::Joined);
            }
            at += step.len();
            entry = step.ends_with('|');
            if delimiter && at == text.len() {
                return fail(at, Reason::EmptyStep);
            }
        }
        Ok(Self {
            text: text.into(),
            steps,
            access: None,
        })
    }

    /// Restricts the pattern to keys with this access.
    #[must_use]
    pub fn access(mut self, access: Access) -> Self {
        self.access = Some(access);
        self
    }

    /// Whether the whole path of the key matches.
    #[must_use]
    pub fn matches(&self, key: &Key) -> bool {
        self.walk(key, |_| ())
    }

    /// Returns the steps that the stars match, in order, or `None` if the key does not
    /// match.
    #[must_use]
    pub fn captures<'k>(&self, key: &'k Key) -> Option<Vec<&'k str>> {
        let mut captures = Vec::new();
        self.walk(key, |step| captures.push(step))
            .then_some(captures)
    }

    fn walk<'k>(&self, key: &'k Key, mut capture: impl FnMut(&'k str)) -> bool {
        if self
            .access
            .is_some_and(|access| access != key.scope().access)
        {
            return false;
        }
        let mut steps = key.steps();
        for expected in &self.steps {
            let (name, step) = match (expected, steps.next()) {
                (Expected::Field(name), Some(Step::Field(step)))
                | (Expected::Entry(name), Some(Step::Entry(step))) => (name, step),
                (Expected::Joined, Some(Step::Joined)) => continue,
                _ => return false,
            };
            match name {
                None => capture(step),
                // The platform ignores the case of keys.
                Some(name) if name.eq_ignore_ascii_case(step) => (),
                Some(_) => return false,
            }
        }
        steps.next().is_none()
    }
}

impl FromStr for Pattern {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        Self::parse(text)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
