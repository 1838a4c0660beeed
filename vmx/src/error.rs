//! Errors of parsing a file, reading a value, and editing.

use std::fmt;

use crate::encoding::{Encoding, EncodingError};
use crate::name::{NameError, print_visibly};

/// A position in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Position {
    /// Line number, from 1.
    pub line: usize,
    /// Byte position within the line, from 1.
    pub column: usize,
    /// Byte offset within the file, from 0.
    pub offset: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// Something in a file that VMware refuses: the reason, the position, and the line.
///
/// Strict parsing fails with the first problem; [`Document::problems`] lists all of them.
///
/// ```
/// use vmx::Document;
///
/// let error = Document::parse(&b"a = \"x\"\nb = two words\n"[..]).unwrap_err();
/// assert_eq!(error.to_string(),
///     "line 2, column 9: only a comment may follow the value; put a value with blanks in quotes");
/// assert_eq!(error.excerpt(), "2 | b = two words\n  |         ^^^^^\n");
/// ```
///
/// [`Document::problems`]: crate::Document::problems
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError(Box<Report>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Report {
    kind: ParseErrorKind,
    position: Position,
    /// Number of bytes within the line that the caret underlines.
    length: usize,
    /// The line, made safe to print: no secrets, no control characters.
    shown: String,
    /// Number of characters before the caret, and number of characters that it
    /// underlines.
    caret: (usize, usize),
}

/// Why VMware refuses a file.
///
/// `Debug` prints the message, because the bytes of a value may be secret.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseErrorKind {
    /// The file is larger than 4 GiB.
    #[error("files of 4 GiB or more are not supported")]
    TooLarge,
    /// A line begins with `=`.
    #[error("a name must come before `=`")]
    NameMissing,
    /// No `=` follows the name.
    #[error("`=` must follow the name; a comment begins with `#`")]
    EqualsMissing,
    /// A quoted value has no end.
    #[error("the value has no closing quote")]
    QuoteUnclosed,
    /// Something other than a comment follows a bare value.
    #[error("only a comment may follow the value; put a value with blanks in quotes")]
    TextAfterValue,
    /// Something other than a comment follows a quoted value.
    #[error("only a comment may follow the closing quote; a quote within a value is written |22")]
    TextAfterQuote,
    /// The name was already defined; names are compared without regard to case.
    #[error("`{name}` is defined twice, first on line {first}; VMware does not open such a file")]
    Duplicate {
        /// The name as spelled in the later entry.
        name: String,
        /// The line of the first entry, which counts.
        first: usize,
    },
    /// The declared charset is unknown or contradicts another declaration.
    #[error("the declared character encoding cannot be used")]
    Encoding(#[source] EncodingError),
    /// A value is not valid in the charset of the file.
    #[error("the value is not valid in {encoding}{}", if *declared { "" } else {
        ", and the file declares no encoding: how it is read depends on the host's own"
    })]
    Undecodable {
        /// The charset of the file, or the one that was assumed.
        encoding: Encoding,
        /// Whether the file declares the charset. If not, a host with a different default
        /// charset may be able to read the value.
        declared: bool,
        /// The bytes of the value, after unescaping.
        bytes: Box<[u8]>,
    },
}

impl fmt::Debug for ParseErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ParseErrorKind({self})")
    }
}

/// The maximum number of bytes of a line that an excerpt shows.
const SHOWN: usize = 100;

impl ParseError {
    /// Creates an error. `at` and `length` are bytes within `line`; the range `secret` of
    /// the line is masked.
    pub(crate) fn new(
        kind: ParseErrorKind,
        line_number: usize,
        line_offset: usize,
        line: &[u8],
        (at, length): (usize, usize),
        secret: Option<(usize, usize)>,
    ) -> Self {
        let position = Position {
            line: line_number,
            column: at + 1,
            offset: line_offset + at,
        };
        let at = at.min(line.len());
        let end = (at + length).min(line.len());
        // Long lines are cut around the position, at byte boundaries.
        let from = if at > SHOWN * 3 / 4 {
            at - SHOWN / 2
        } else {
            0
        };
        let until = line.len().min(from + SHOWN).max(at);
        let mut shown = String::new();
        if from > 0 {
            shown.push('…');
        }
        let (mut before, mut under) = (shown.chars().count(), 0);
        let edges = [from, at, end.min(until), until];
        for (index, range) in edges.windows(2).enumerate() {
            let start = shown.chars().count();
            for piece in visible(line, range[0], range[1], secret) {
                let _ = print_visibly(piece, &mut shown);
            }
            match index {
                0 => before = before.max(shown.chars().count()),
                1 => under = shown.chars().count() - start,
                _ => {}
            }
        }
        if until < line.len() {
            shown.push('…');
        }
        Self(Box::new(Report {
            kind,
            position,
            length,
            shown,
            caret: (before, under.max(1)),
        }))
    }

    pub(crate) fn too_large() -> Self {
        Self::new(ParseErrorKind::TooLarge, 1, 0, &[], (0, 0), None)
    }

    /// Whether VMware refuses the file on some hosts only, because no charset is declared
    /// and the value is read with the charset of the host.
    #[must_use]
    pub fn depends_on_host(&self) -> bool {
        matches!(
            self.0.kind,
            ParseErrorKind::Undecodable {
                declared: false,
                ..
            }
        )
    }

    /// Returns the kind of error.
    #[must_use]
    pub fn kind(&self) -> &ParseErrorKind {
        &self.0.kind
    }

    /// Returns the position of the error.
    #[must_use]
    pub fn position(&self) -> Position {
        self.0.position
    }

    /// Returns the byte range in the file that is wrong.
    #[must_use]
    pub fn span(&self) -> std::ops::Range<usize> {
        self.0.position.offset..self.0.position.offset + self.0.length
    }

    /// Returns two lines to print below the message: the line of the file, and a caret.
    ///
    /// Non-text bytes are shown as `\xNN`, possibly secret values as `***`, and long
    /// lines only around the position.
    #[must_use]
    pub fn excerpt(&self) -> String {
        let number = self.0.position.line.to_string();
        let margin = " ".repeat(number.len());
        let (before, under) = self.0.caret;
        format!(
            "{number} | {}\n{margin} | {}{}\n",
            self.0.shown,
            " ".repeat(before),
            "^".repeat(under)
        )
    }

    /// Returns the shown line and the byte range in it that the caret underlines.
    #[cfg(feature = "diagnostics")]
    pub(crate) fn shown(&self) -> (&str, std::ops::Range<usize>) {
        let (before, under) = self.0.caret;
        let byte = |chars: usize| {
            self.0
                .shown
                .char_indices()
                .nth(chars)
                .map_or(self.0.shown.len(), |(at, _)| at)
        };
        (&self.0.shown, byte(before)..byte(before + under))
    }
}

/// Renders the range `from..until` of a line, with any secret in it masked.
fn visible(
    line: &[u8],
    from: usize,
    until: usize,
    secret: Option<(usize, usize)>,
) -> impl Iterator<Item = &[u8]> {
    let until = until.max(from);
    let pieces = match secret {
        Some((start, end)) if start < until && from < end => {
            let mask: &[u8] = if start == end { b"" } else { b"***" };
            [
                &line[from..start.max(from)],
                mask,
                &line[end.min(until)..until],
            ]
        }
        _ => [&line[from..until], b"", b""],
    };
    pieces.into_iter()
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.position, self.0.kind)
    }
}

impl std::error::Error for ParseError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&self.0.kind)
    }
}

/// A value that cannot be read as the requested type.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ValueError {
    /// The bytes are not text in the charset of the file.
    #[error("value of {} bytes is not valid in {}", bytes.len(),
        encoding.map_or("the declared encoding, which is unknown", Encoding::name))]
    Undecodable {
        /// The charset, or `None` if the file declares an unknown one.
        encoding: Option<Encoding>,
        /// The bytes, after unescaping.
        bytes: Box<[u8]>,
    },
    /// The value is not of the requested type.
    #[error("value {} is not {expected}", quoted(bytes))]
    Unfit {
        /// The bytes, after unescaping.
        bytes: Box<[u8]>,
        /// The requested type.
        expected: &'static str,
    },
}

impl fmt::Debug for ValueError {
    /// Prints the message, because the bytes of `Undecodable` may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ValueError({self})")
    }
}

/// Returns the start of a value, in quotes.
fn quoted(bytes: &[u8]) -> String {
    let mut text = String::from("\"");
    let _ = print_visibly(&bytes[..bytes.len().min(40)], &mut text);
    text.push_str(if bytes.len() > 40 { "…\"" } else { "\"" });
    text
}

/// An edit that was refused. The document is unchanged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// The name cannot be written.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The value contains NUL, which would end the value in VMware.
    #[error("value of `{name}` holds NUL at byte {at}, which would end it")]
    Nul {
        /// The name of the entry.
        name: String,
        /// Byte offset in the value.
        at: usize,
    },
    /// The charset of the file cannot represent the value.
    #[error(
        "value of `{name}` holds {char:?}, which {encoding} cannot hold; transcode the file to UTF-8"
    )]
    Unencodable {
        /// The name of the entry.
        name: String,
        /// The charset of the file.
        encoding: Encoding,
        /// The first character that cannot be represented.
        char: char,
    },
    /// The charset that the file declares is not known, so only ASCII can be written.
    #[error("value of `{name}` is not ASCII, and the declared encoding of the file cannot be used")]
    Encoding {
        /// The name of the entry.
        name: String,
        /// Why the declaration cannot be used.
        #[source]
        source: EncodingError,
    },
    /// The file declares no charset, and the edit would require declaring one in which
    /// other values are not valid: VMware would refuse a file that it may be able to read
    /// now.
    #[error(
        "value of `{name}` is not ASCII, so the file must declare {encoding}, in which `{other}` is \
         not valid; say in which encoding the file is, or transcode it"
    )]
    Undeclared {
        /// The name of the entry to set.
        name: String,
        /// The charset that would be declared.
        encoding: Encoding,
        /// The name of an entry whose value is not valid in that charset.
        other: String,
    },
    /// `.encoding` was set to a charset that is not known.
    #[error("`.encoding` cannot be set")]
    UnknownEncoding(#[source] EncodingError),
    /// A value is not valid in the old charset, so it cannot be rewritten in a new one.
    #[error("value of `{name}` cannot be transcoded")]
    Undecodable {
        /// The name of the entry.
        name: String,
        /// The bytes of the value and the charset.
        #[source]
        source: ValueError,
    },
    /// There is no such entry.
    #[error("no entry `{name}`")]
    NotFound {
        /// The requested name.
        name: String,
    },
    /// An entry with that name already exists.
    #[error("an entry `{name}` exists already")]
    Exists {
        /// The name as it is spelled in the file.
        name: String,
    },
    /// Later edits were made to the document.
    #[error("the change cannot be undone: it is not the last one made to this document")]
    NotTheLast,
    /// The document would become larger than 4 GiB.
    #[error("the document would reach the limit of 4 GiB")]
    TooLarge,
}
