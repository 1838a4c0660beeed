//! Lines and entries of a document.

use std::fmt;

use crate::error::Position;
use crate::line::{EntryParts, Parts, Physical};
use crate::name::{BYTE_ORDER_MARK, Name};
use crate::value::Value;

use super::Document;

impl Document {
    /// Returns the value of the entry with that name, in constant time.
    #[must_use]
    pub fn get(&self, name: impl AsRef<[u8]>) -> Option<Value<'_>> {
        self.entry(name).map(|entry| entry.value())
    }

    /// Returns the entry with that name, ignoring case; if there are several, the first.
    #[must_use]
    pub fn entry(&self, name: impl AsRef<[u8]>) -> Option<Entry<'_>> {
        let at = self.find(Name::found(name.as_ref()))?;
        Entry::at(self, at)
    }

    /// Whether there is an entry with that name, ignoring case.
    #[must_use]
    pub fn contains(&self, name: impl AsRef<[u8]>) -> bool {
        self.find(Name::found(name.as_ref())).is_some()
    }

    /// Returns the entries in file order, including later entries with the same name and
    /// names reserved for the dictionary itself, see [`Name::is_metavariable`].
    #[must_use]
    pub fn entries(&self) -> Entries<'_> {
        Entries {
            document: self,
            at: 0,
        }
    }

    /// Returns the physical lines.
    #[must_use]
    pub fn lines(&self) -> Lines<'_> {
        Lines {
            document: self,
            at: 0,
        }
    }

    /// Returns the number, from 1, that a line has in the printed file.
    pub(super) fn line_number(&self, at: usize) -> usize {
        self.lines[..at]
            .iter()
            .filter(|line| line.parts != Parts::Removed)
            .count()
            + 1
    }

    fn position(&self, at: usize, column: usize) -> Position {
        let mark = if self.byte_order_mark {
            BYTE_ORDER_MARK.len()
        } else {
            0
        };
        let before: usize = self.lines[..at]
            .iter()
            .map(|l| l.text(&self.source).len())
            .sum();
        Position {
            line: self.line_number(at),
            column: column + 1,
            offset: mark + before + column,
        }
    }
}

/// An entry: a name and its value.
#[derive(Clone, Copy)]
pub struct Entry<'a> {
    document: &'a Document,
    at: usize,
    line: &'a Physical,
    parts: EntryParts,
}

impl<'a> Entry<'a> {
    fn at(document: &'a Document, at: usize) -> Option<Self> {
        let line = document.lines.get(at)?;
        match line.parts {
            Parts::Entry(parts) => Some(Self {
                document,
                at,
                line,
                parts,
            }),
            _ => None,
        }
    }

    /// Returns the name, spelled as in the file.
    #[must_use]
    pub fn name(&self) -> Name<'a> {
        Name::found(self.parts.name(self.line.text(&self.document.source)))
    }

    /// Returns the value.
    #[must_use]
    pub fn value(&self) -> Value<'a> {
        let raw = self.parts.value(self.line.text(&self.document.source));
        Value::new(raw, self.document.charset())
    }

    /// Whether the value is quoted.
    #[must_use]
    pub fn is_quoted(&self) -> bool {
        self.parts.quoted
    }

    /// Returns the comment after the value, starting with its `#`.
    #[must_use]
    pub fn comment(&self) -> Option<&'a [u8]> {
        let behind = self.parts.behind(self.line.content(&self.document.source));
        let behind = behind.split(|&byte| byte == 0).next()?;
        behind
            .iter()
            .position(|&byte| byte == b'#')
            .map(|at| &behind[at..])
    }

    /// Whether this is the first entry with its name, the one that counts.
    #[must_use]
    pub fn is_first(&self) -> bool {
        self.document.find(self.name()) == Some(self.at)
    }

    /// Returns the position of the name in the printed file. It counts lines, so it takes
    /// time linear in the size of the file.
    #[must_use]
    pub fn position(&self) -> Position {
        self.document.position(self.at, self.parts.name_range().0)
    }
}

impl fmt::Debug for Entry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("name", &self.name())
            .field("value", &self.value())
            .finish()
    }
}

/// An iterator over the entries of a document, see [`Document::entries`].
#[derive(Debug, Clone)]
pub struct Entries<'a> {
    document: &'a Document,
    at: usize,
}

impl<'a> Iterator for Entries<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        while self.at < self.document.lines.len() {
            let at = self.at;
            self.at += 1;
            if let Some(entry) = Entry::at(self.document, at) {
                return Some(entry);
            }
        }
        None
    }
}

/// A physical line.
#[derive(Clone, Copy)]
pub struct Line<'a> {
    document: &'a Document,
    at: usize,
}

/// The kind of a line.
#[derive(Debug, Clone, Copy)]
pub enum LineKind<'a> {
    /// An empty line, or only blanks.
    Blank,
    /// A comment: its first non-blank byte is `#`.
    Comment,
    /// A name and a value.
    Entry(Entry<'a>),
    /// A line that is a syntax error to VMware.
    Malformed,
}

impl<'a> Line<'a> {
    /// Returns the kind of the line.
    #[must_use]
    pub fn kind(&self) -> LineKind<'a> {
        match self.document.lines[self.at].parts {
            Parts::Comment => LineKind::Comment,
            Parts::Malformed { .. } => LineKind::Malformed,
            Parts::Entry(_) => {
                Entry::at(self.document, self.at).map_or(LineKind::Malformed, LineKind::Entry)
            }
            Parts::Blank | Parts::Removed => LineKind::Blank,
        }
    }

    /// Returns the bytes of the line without its terminator.
    #[must_use]
    pub fn content(&self) -> &'a [u8] {
        self.document.lines[self.at].content(&self.document.source)
    }

    /// Returns the line terminator: LF, CRLF, CR, or nothing if the last line has none.
    #[must_use]
    pub fn terminator(&self) -> &'a [u8] {
        self.document.lines[self.at].terminator(&self.document.source)
    }
}

impl fmt::Debug for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line")
            .field("kind", &self.kind())
            .finish_non_exhaustive()
    }
}

/// An iterator over the physical lines of a document, see [`Document::lines`].
#[derive(Debug, Clone)]
pub struct Lines<'a> {
    document: &'a Document,
    at: usize,
}

impl<'a> Iterator for Lines<'a> {
    type Item = Line<'a>;

    fn next(&mut self) -> Option<Line<'a>> {
        while let Some(line) = self.document.lines.get(self.at) {
            let at = self.at;
            self.at += 1;
            if line.parts != Parts::Removed {
                return Some(Line {
                    document: self.document,
                    at,
                });
            }
        }
        None
    }
}
