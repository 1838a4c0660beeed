//! A file in VMware's dictionary grammar, kept byte for byte.

mod change;
mod edit;
mod index;
mod parse;
mod problems;
mod read;

use std::fmt;
use std::io;
use std::sync::OnceLock;

use crate::encoding::{Encoding, EncodingError};
use crate::line::{Parts, Physical, Text};
use crate::name::{BYTE_ORDER_MARK, Name, print_visibly};

use self::index::Index;

pub use self::change::Change;
pub use self::edit::Unencodable;
pub use self::parse::{ParseOptions, Policy, Source};
pub use self::read::{Entries, Entry, Line, LineKind, Lines};

/// A file in VMware's dictionary grammar: `.vmx`, `.vmtx`, `.vmsd`, preferences.
///
/// A document is one buffer and a table of its lines. Unedited lines are written byte for
/// byte as they were read: odd spacing, comments, the spelling of escapes, duplicates,
/// malformed lines, mixed line endings, a byte order mark, and bytes in an unknown
/// charset are all kept. Edited lines are written as VMware writes them,
/// `name = "value"`.
///
/// Parsing copies nothing and allocates nothing per line. [`get`](Self::get) takes
/// constant time, except that the first call builds the index.
///
/// Lookups ignore the case of names. If a name has several entries, the first one counts.
/// The `Debug` output contains no values.
///
/// ```
/// use vmx::Document;
///
/// let mut document = Document::parse(&b"# by hand\nmemsize=1024\nnumvcpus = \"2\"\n"[..])?;
/// assert_eq!(document.get("memSize").map(|value| value.integer()), Some(Ok(1024)));
///
/// document.set("memSize", "2048")?;
/// assert_eq!(document.to_bytes(), b"# by hand\nmemsize = \"2048\"\nnumvcpus = \"2\"\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Document {
    source: Vec<u8>,
    lines: Vec<Physical>,
    byte_order_mark: bool,
    /// Built by the first lookup, dropped when lines are inserted or removed.
    index: OnceLock<Index>,
    /// The declared charset, parsed when text is first requested.
    declared: OnceLock<Result<Encoding, EncodingError>>,
    default_encoding: Encoding,
    unencodable: Unencodable,
    /// Whether entries were already appended; the first one is preceded by a blank line.
    appended: bool,
    /// The revision number of the last change.
    revision: u64,
}

impl Document {
    /// Creates an empty document that declares UTF-8 in its first line.
    #[must_use]
    pub fn new() -> Self {
        let mut document = Self::empty();
        document
            .lines
            .extend(Physical::entry(b".encoding", b"UTF-8", b"\n"));
        document.appended = true;
        document
    }

    fn empty() -> Self {
        Self {
            source: Vec::new(),
            lines: Vec::new(),
            byte_order_mark: false,
            index: OnceLock::new(),
            declared: OnceLock::new(),
            default_encoding: Encoding::UTF_8,
            unencodable: Unencodable::Refuse,
            appended: false,
            revision: 0,
        }
    }

    /// Returns the file: bytes as they were read, except for edited lines.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let length = BYTE_ORDER_MARK.len()
            + self
                .lines
                .iter()
                .map(|line| line.text(&self.source).len())
                .sum::<usize>();
        let mut bytes = Vec::with_capacity(length);
        self.pieces(|piece| bytes.extend_from_slice(piece));
        bytes
    }

    /// Writes the file, see [`to_bytes`](Self::to_bytes).
    ///
    /// # Errors
    ///
    /// Returns the errors of the writer.
    pub fn print(&self, mut writer: impl io::Write) -> io::Result<()> {
        let mut result = Ok(());
        self.pieces(|piece| {
            if result.is_ok() {
                result = writer.write_all(piece);
            }
        });
        result
    }

    /// Passes the bytes of the file to `put` in few pieces: adjacent unedited lines are
    /// one piece.
    fn pieces(&self, mut put: impl FnMut(&[u8])) {
        if self.byte_order_mark {
            put(BYTE_ORDER_MARK);
        }
        let mut untouched = 0..0;
        for line in &self.lines {
            match &line.text {
                Text::Source { start, end } if *start as usize == untouched.end => {
                    untouched.end = *end as usize;
                }
                Text::Source { start, end } => {
                    // A removed line is an empty range.
                    if start < end {
                        put(&self.source[untouched]);
                        untouched = *start as usize..*end as usize;
                    }
                }
                Text::Owned(bytes) => {
                    put(&self.source[untouched.clone()]);
                    untouched.start = untouched.end;
                    put(bytes);
                }
            }
        }
        put(&self.source[untouched]);
    }

    /// Returns the charset of the values: the one declared by `.encoding`, wherever it is
    /// in the file; otherwise UTF-8 if there is a byte order mark; otherwise
    /// [`ParseOptions::default_encoding`].
    ///
    /// # Errors
    ///
    /// Fails if the declared name is not known. ASCII values can be read nevertheless.
    pub fn encoding(&self) -> Result<Encoding, EncodingError> {
        self.declared().clone()
    }

    fn declared(&self) -> &Result<Encoding, EncodingError> {
        self.declared.get_or_init(|| {
            let declaration = self
                .lines
                .iter()
                .find(|line| declares_encoding(line, &self.source));
            match declaration.map(|line| declared_label(line, &self.source)) {
                Some(label) => Encoding::for_label(&label),
                None if self.byte_order_mark => Ok(Encoding::UTF_8),
                None => Ok(self.default_encoding),
            }
        })
    }

    fn declares_encoding(&self) -> bool {
        self.lines
            .iter()
            .any(|line| declares_encoding(line, &self.source))
    }

    /// Returns the charset for values, if it is known.
    fn charset(&self) -> Option<Encoding> {
        self.declared().as_ref().ok().copied()
    }

    /// Whether the file begins with a byte order mark.
    #[must_use]
    pub fn has_byte_order_mark(&self) -> bool {
        self.byte_order_mark
    }

    fn index(&self) -> &Index {
        self.index
            .get_or_init(|| Index::of(&self.source, &self.lines))
    }

    /// Returns the index of the line of the first entry with that name.
    fn find(&self, name: Name<'_>) -> Option<usize> {
        self.index().find(&self.source, &self.lines, name)
    }
}

/// Whether a line declares the charset.
fn declares_encoding(line: &Physical, source: &[u8]) -> bool {
    match &line.parts {
        Parts::Entry(parts) => Name::found(parts.name(line.text(source))).declares_encoding(),
        _ => false,
    }
}

/// Returns the charset name on a line that declares the charset.
fn declared_label(line: &Physical, source: &[u8]) -> String {
    match &line.parts {
        Parts::Entry(parts) => {
            let value = crate::value::Value::new(parts.value(line.text(source)), None);
            let mut label = String::new();
            let _ = print_visibly(&value.bytes(), &mut label);
            label
        }
        _ => String::new(),
    }
}

impl Default for Document {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Document")
            .field("lines", &self.lines().count())
            .field("entries", &self.entries().count())
            .field("encoding", self.declared())
            .finish_non_exhaustive()
    }
}
