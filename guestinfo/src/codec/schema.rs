//! The keys that a type owns.

use std::collections::BTreeSet;

use super::{Field, GuestInfo};
use crate::dialect::Dialect;
use crate::key::{Cursor, NON_PERSISTENT_SUFFIX, SECRET_SUFFIX};

/// A placeholder for any entry's name.
const ANY: &str = "\u{1}";
/// The maximum nesting depth of a description.
const MAX_DEPTH: usize = 24;

/// Collects the keys that values of a type can have; used by implementations of
/// [`GuestInfo`].
#[derive(Debug)]
pub struct Describer {
    cursor: Cursor,
    depth: usize,
    chunks: bool,
    exact: BTreeSet<String>,
    globs: BTreeSet<String>,
}

impl Describer {
    pub(crate) fn of<T: GuestInfo>(dialect: Dialect, root: &str) -> Schema {
        let mut describer = Self {
            cursor: Cursor::new(dialect, root),
            depth: 0,
            chunks: false,
            exact: BTreeSet::new(),
            globs: BTreeSet::new(),
        };
        T::describe(&mut describer);
        Schema {
            exact: describer.exact,
            globs: describer.globs.into_iter().collect(),
        }
    }

    /// Returns the dialect for which the keys are described.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        self.cursor.dialect()
    }

    /// Describes a field.
    pub fn field<T: GuestInfo>(&mut self, field: &Field) {
        self.field_with(field, T::describe);
    }

    /// Describes a field with a function.
    pub fn field_with(&mut self, field: &Field, describe: impl FnOnce(&mut Self)) {
        let Some(key) = self.cursor.key_of(field) else {
            return;
        };
        let mark = self.cursor.field(key.leaf, key.scope);
        let chunks = std::mem::replace(&mut self.chunks, field.chunks);
        self.descend(describe);
        if field.chunks {
            self.joined(|d| {
                d.text();
                d.entry(Self::text);
            });
        }
        self.chunks = chunks;
        self.cursor.leave(mark);
    }

    /// Describes a text at the current key.
    pub fn text(&mut self) {
        let key = self.cursor.key().to_ascii_lowercase();
        if key.contains(ANY) {
            self.globs.insert(key);
        } else {
            self.exact.insert(key);
        }
    }

    /// Describes any entry of a map or element of a list.
    pub(crate) fn entry(&mut self, describe: impl FnOnce(&mut Self)) {
        let mark = self.cursor.entry(ANY);
        self.descend(describe);
        self.cursor.leave(mark);
    }

    /// Describes what is stored at the key with `~`.
    pub(crate) fn joined(&mut self, describe: impl FnOnce(&mut Self)) {
        let mark = self.cursor.joined();
        describe(self);
        self.cursor.leave(mark);
    }

    fn descend(&mut self, describe: impl FnOnce(&mut Self)) {
        if self.depth < MAX_DEPTH {
            self.depth += 1;
            describe(self);
            self.depth -= 1;
        }
    }
}

/// The keys that values of one type can have, in lower case.
pub(crate) struct Schema {
    exact: BTreeSet<String>,
    globs: Vec<String>,
}

impl Schema {
    /// Whether a value of the type could have been stored at this key.
    pub(crate) fn owns(&self, key: &str) -> bool {
        let key = key.to_ascii_lowercase();
        let owns = |key: &str| {
            self.exact.contains(key) || self.globs.iter().any(|glob| matches(glob, key))
        };
        if owns(&key) {
            return true;
        }
        // In VIC 1.x, if the name of a map entry contains an `@`, everything from the `@`
        // on is moved to the end of the key.
        let (head, tail) = key.split_once('@').unwrap_or((&key, ""));
        let suffix = [
            "@secret@non-persistent",
            SECRET_SUFFIX,
            NON_PERSISTENT_SUFFIX,
        ]
        .into_iter()
        .find(|suffix| key.ends_with(suffix))
        .unwrap_or_default();
        !tail.is_empty() && owns(&format!("{head}{suffix}"))
    }
}

/// Whether `key` matches `glob`, in which each [`ANY`] stands for any text.
fn matches(glob: &str, key: &str) -> bool {
    let mut parts = glob.split(ANY);
    let Some(mut rest) = parts.next().and_then(|head| key.strip_prefix(head)) else {
        return false;
    };
    let mut parts = parts.peekable();
    // `ANY` may stand for the empty text, because VIC 1.x truncates the name `@x` to
    // nothing.
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.is_empty()
}
