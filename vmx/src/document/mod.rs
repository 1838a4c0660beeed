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
/// A document is one buffer and a table of its lines. Lines that are not edited
/// are printed as they were read, whatever they hold: odd spacing, comments, the
/// spelling of escapes, duplicates, malformed lines, mixed line ends, a byte order
/// mark, bytes in a foreign charset. Edited lines are written as VMware writes
/// them, `name = "value"`.
///
/// Parsing copies nothing and allocates nothing per line. [`get`](Self::get) takes
/// constant time; the first one builds the index.
///
/// Lookups ignore the case of names, and the first of several entries of a name
/// counts. `Debug` prints no values.
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
    /// Built by the first lookup, dropped when line numbers move.
    index: OnceLock<Index>,
    /// The declared charset, parsed when text is first requested.
    declared: OnceLock<Result<Encoding, EncodingError>>,
    default_encoding: Encoding,
    unencodable: Unencodable,
    /// Whether the lines at the end are new: the first new one is set apart.
    appended: bool,
    /// Number of the last change.
    revision: u64,
}

impl Document {
    /// An empty document in UTF-8, which it says in its first line.
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

    /// The file: bytes as they were read, except for edited lines.
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

    /// Writes the file; see [`to_bytes`](Self::to_bytes).
    ///
    /// # Errors
    ///
    /// The errors of the writer.
    pub fn print(&self, mut writer: impl io::Write) -> io::Result<()> {
        let mut result = Ok(());
        self.pieces(|piece| {
            if result.is_ok() {
                result = writer.write_all(piece);
            }
        });
        result
    }

    /// The bytes of the file in few pieces: neighbours that nobody touched are one.
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

    /// The charset of the values: the one that `.encoding` declares, wherever it
    /// stands; else UTF-8 if there is a byte order mark; else
    /// [`ParseOptions::default_encoding`].
    ///
    /// # Errors
    ///
    /// The declared name is not known. Values that are ASCII can be read even so.
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

    /// The charset for values, if it is known.
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

    /// The index of the line of the entry of that name that counts.
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

/// The label on a line that declares the charset.
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
