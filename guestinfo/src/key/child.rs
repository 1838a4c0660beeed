//! Key arithmetic: from a parent's key to a child's.

use super::{MAX_KEY_BYTES, NON_PERSISTENT_SUFFIX, SECRET_SUFFIX};
use crate::codec::{Field, FieldKey};
use crate::dialect::Dialect;
use crate::scope::{Access, Scope};

/// The key of the value that is being written or read. It is modified in place when
/// entering a field and restored when leaving it.
///
/// The rules are VIC's. A visible child changes every separator of the path to its own,
/// so that a read-write field below read-only parents becomes `guestinfo..a.b.c`. A
/// hidden child of a visible parent loses the base and the leading separator. Suffixes
/// are removed from the parent and placed at the end of the child.
#[derive(Clone, Debug)]
pub(crate) struct Cursor {
    dialect: Dialect,
    /// The key without suffixes. [`with_suffix`](Self::with_suffix) appends suffixes
    /// temporarily.
    text: String,
    scope: Scope,
    /// Whether a map key contained separators of a different form.
    mixed: bool,
    /// Whether a map key contained an `@`, which VIC 1.x takes for the start of a suffix.
    at_sign: bool,
    spare: Vec<String>,
}

/// The state that [`Cursor::leave`] restores.
#[derive(Debug)]
#[must_use]
pub(crate) struct Mark {
    len: usize,
    replaced: Option<String>,
    scope: Scope,
    mixed: bool,
    at_sign: bool,
}

impl Cursor {
    /// Creates a cursor at the root, or at a path below which everything is stored.
    pub(crate) fn new(dialect: Dialect, root: &str) -> Self {
        let mut text = String::with_capacity(160);
        text.push_str(root);
        Self {
            dialect,
            text,
            scope: Scope::HIDDEN,
            mixed: false,
            at_sign: false,
            spare: Vec::new(),
        }
    }

    pub(crate) fn dialect(&self) -> Dialect {
        self.dialect
    }

    pub(crate) fn scope(&self) -> Scope {
        self.scope
    }

    pub(crate) fn is_root(&self) -> bool {
        self.text.is_empty()
    }

    /// Whether the key is too long for any host. This ends the recursion of types that
    /// contain themselves.
    pub(crate) fn is_too_long(&self) -> bool {
        self.text.len() > MAX_KEY_BYTES
    }

    /// Returns the key of a field below the current key; `None` if the field does not exist in
    /// the dialect.
    pub(crate) fn key_of(&self, field: &Field) -> Option<FieldKey> {
        field.key_below(self.dialect, self.scope)
    }

    /// Enters a field. Without a scope of its own, it inherits the parent's.
    pub(crate) fn field(&mut self, leaf: &str, scope: Option<Scope>) -> Mark {
        let from = self.scope;
        let mut to = scope.unwrap_or(Scope::new(from.access));
        to.secret |= from.secret;
        to.non_persistent |= from.non_persistent;

        let mut mark = Mark {
            len: self.text.len(),
            replaced: None,
            scope: from,
            mixed: self.mixed,
            at_sign: self.at_sign,
        };
        let separator = to.access.separator();
        if from.access == to.access && !self.mixed && !self.at_sign && !self.text.is_empty() {
            self.text.push(separator);
            push_rewritten(&mut self.text, leaf, to.access);
        } else {
            let mut text = self.spare.pop().unwrap_or_default();
            text.clear();
            let mut path = self.path();
            if self.at_sign {
                path = path.split('@').next().unwrap_or(path);
            }
            if to.access.is_visible() {
                text.push_str(self.dialect.base());
                text.push(separator);
                push_rewritten(&mut text, path, to.access);
            } else {
                text.push_str(path);
            }
            if !path.is_empty() {
                text.push(separator);
            }
            push_rewritten(&mut text, leaf, to.access);
            mark.replaced = Some(std::mem::replace(&mut self.text, text));
            self.mixed = false;
            self.at_sign = false;
        }
        self.scope = to;
        mark
    }

    /// Enters an entry of a map or an element of a list.
    pub(crate) fn entry(&mut self, name: &str) -> Mark {
        let mut mark = self.mark();
        if self.at_sign {
            mark.replaced = Some(self.insert_before_at_sign(&format!("|{name}")));
        } else {
            self.text.push('|');
            self.text.push_str(name);
        }
        let access = self.scope.access;
        self.mixed |= access.is_visible() && name.contains(access.other_separator());
        self.at_sign |= self.dialect == Dialect::Vic1 && name.contains('@');
        mark
    }

    /// Enters the joined elements of a list.
    pub(crate) fn joined(&mut self) -> Mark {
        let mut mark = self.mark();
        if self.at_sign {
            mark.replaced = Some(self.insert_before_at_sign("~"));
        } else {
            self.text.push('~');
        }
        mark
    }

    /// Inserts a piece where VIC 1.x does, before the first `@`, and returns the previous
    /// text.
    fn insert_before_at_sign(&mut self, piece: &str) -> String {
        let at = self.text.find('@').unwrap_or(self.text.len());
        let mut text = self.spare.pop().unwrap_or_default();
        text.clear();
        text.push_str(&self.text[..at]);
        text.push_str(piece);
        text.push_str(&self.text[at..]);
        std::mem::replace(&mut self.text, text)
    }

    pub(crate) fn leave(&mut self, mark: Mark) {
        match mark.replaced {
            Some(text) => self.spare.push(std::mem::replace(&mut self.text, text)),
            None => self.text.truncate(mark.len),
        }
        self.scope = mark.scope;
        self.mixed = mark.mixed;
        self.at_sign = mark.at_sign;
    }

    /// Returns the complete key.
    pub(crate) fn key(&self) -> String {
        let mut key = String::with_capacity(self.text.len() + self.suffix_len());
        key.push_str(&self.text);
        self.push_suffixes(&mut key);
        key
    }

    /// Passes the complete key to a function without copying it.
    pub(crate) fn with_key<R>(&mut self, look: impl FnOnce(&str) -> R) -> R {
        if self.suffix_len() == 0 {
            return look(&self.text);
        }
        let len = self.text.len();
        let mut text = std::mem::take(&mut self.text);
        self.push_suffixes(&mut text);
        let result = look(&text);
        text.truncate(len);
        self.text = text;
        result
    }

    fn mark(&self) -> Mark {
        Mark {
            len: self.text.len(),
            replaced: None,
            scope: self.scope,
            mixed: self.mixed,
            at_sign: self.at_sign,
        }
    }

    /// Returns the path without base and leading separator.
    fn path(&self) -> &str {
        if self.scope.access.is_visible() {
            &self.text[self.dialect.base().len() + 1..]
        } else {
            &self.text
        }
    }

    fn suffix_len(&self) -> usize {
        let scope = self.scope;
        usize::from(scope.secret) * SECRET_SUFFIX.len()
            + usize::from(scope.non_persistent) * NON_PERSISTENT_SUFFIX.len()
    }

    fn push_suffixes(&self, key: &mut String) {
        if self.scope.secret {
            key.push_str(SECRET_SUFFIX);
        }
        if self.scope.non_persistent {
            key.push_str(NON_PERSISTENT_SUFFIX);
        }
    }
}

/// Appends `path` with the separators of `access`; a hidden path is not changed.
fn push_rewritten(text: &mut String, path: &str, access: Access) {
    let (other, separator) = (access.other_separator(), access.separator());
    if !access.is_visible() || !path.contains(other) {
        text.push_str(path);
        return;
    }
    for part in path.split_inclusive(other) {
        match part.strip_suffix(other) {
            Some(part) => {
                text.push_str(part);
                text.push(separator);
            }
            None => text.push_str(part),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]

    use super::*;
    use crate::key::scope_of;

    /// Creates a cursor at a complete key.
    fn at(dialect: Dialect, key: &str) -> Cursor {
        let mut cursor = Cursor::new(dialect, "");
        if key != "-" {
            cursor.scope = scope_of(key);
            cursor.text = key.split('@').next().unwrap().to_owned();
        }
        cursor
    }

    fn scope(words: &str) -> Scope {
        let mut scope = Scope::HIDDEN;
        for word in words.split(',') {
            match word {
                "hidden" => (),
                "read-only" => scope.access = Access::ReadOnly,
                "read-write" => scope.access = Access::ReadWrite,
                "secret" => scope.secret = true,
                "non-persistent" => scope.non_persistent = true,
                _ => panic!("{word}"),
            }
        }
        scope
    }

    #[test]
    fn the_vectors_of_key_arithmetic() {
        let vectors = include_str!("../../tests/vectors/keys.txt");
        let mut checked = 0;
        for line in vectors.lines().filter(|line| !line.is_empty()) {
            if line.starts_with('#') {
                continue;
            }
            let columns: Vec<_> = line.split_whitespace().collect();
            let [parent, words, leaf, expected] = columns[..] else {
                panic!("{line}");
            };
            for dialect in Dialect::ALL {
                let spell = |key: &str| match key.strip_prefix('P') {
                    Some(rest) => format!("{}{rest}", dialect.base()),
                    None => key.to_owned(),
                };
                let mut cursor = at(dialect, &spell(parent));
                let before = cursor.key();
                let mark = cursor.field(leaf, Some(scope(words)));
                assert_eq!(cursor.key(), spell(expected), "{line}");
                assert_eq!(cursor.with_key(str::to_owned), cursor.key());
                cursor.leave(mark);
                assert_eq!(cursor.key(), before, "{line}");
                checked += 1;
            }
        }
        assert_eq!(checked, 32);
    }

    #[test]
    fn entries_keep_their_names_and_fields_below_rewrite_them() {
        let mut cursor = at(Dialect::Vic1, "guestinfo.vice./m");
        let entry = cursor.entry("k.1");
        assert_eq!(cursor.key(), "guestinfo.vice./m|k.1");
        let field = cursor.field("f", None);
        assert_eq!(cursor.key(), "guestinfo.vice./m|k/1/f");
        cursor.leave(field);
        let field = cursor.field("f", Some(Scope::READ_WRITE));
        assert_eq!(cursor.key(), "guestinfo.vice..m|k.1.f");
        cursor.leave(field);
        cursor.leave(entry);
        assert_eq!(cursor.key(), "guestinfo.vice./m");
    }
}
