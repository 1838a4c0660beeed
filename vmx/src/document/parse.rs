//! Parses bytes into a document.

use crate::encoding::Encoding;
use crate::error::ParseError;
use crate::line::{Ends, Physical, Text, measure, scan};
use crate::name::BYTE_ORDER_MARK;

use super::Document;

/// How to treat files that VMware refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Policy {
    /// Refuse the file, as VMware does.
    #[default]
    Strict,
    /// Keep what is malformed unchanged and report it, see [`Document::problems`]. If a name
    /// has several entries, the first one counts.
    Lenient,
}

/// Where the bytes come from, which determines what ends a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Source {
    /// A file: LF, CRLF and a lone CR end a line, and a byte order mark is skipped.
    #[default]
    File,
    /// Text from memory, such as a decrypted dictionary: only LF and CRLF end a line, and
    /// nothing is skipped.
    Buffer,
}

/// Options for reading a document, for cases that [`Document::parse`] and
/// [`Document::parse_lenient`] do not cover.
///
/// ```
/// use vmx::{Encoding, ParseOptions, Policy};
///
/// let document = ParseOptions::new()
///     .policy(Policy::Lenient)
///     .default_encoding(Encoding::for_label("windows-1252")?)
///     .parse(&b"displayName = \"caf\xE9\"\n"[..])?;
/// assert_eq!(document.get("displayName").unwrap().text()?, "café");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct ParseOptions {
    policy: Policy,
    source: Source,
    default_encoding: Encoding,
}

impl ParseOptions {
    /// Returns the defaults: strict, from a file, UTF-8 if the file declares no charset.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets how files that VMware refuses are treated.
    #[must_use]
    pub fn policy(self, policy: Policy) -> Self {
        Self { policy, ..self }
    }

    /// Sets the source of the bytes.
    #[must_use]
    pub fn source(self, source: Source) -> Self {
        Self { source, ..self }
    }

    /// Sets the charset of files that declare none. VMware uses the charset of the host.
    #[must_use]
    pub fn default_encoding(self, default_encoding: Encoding) -> Self {
        Self {
            default_encoding,
            ..self
        }
    }

    /// Parses a document.
    ///
    /// # Errors
    ///
    /// With [`Policy::Strict`], returns the first problem for which VMware would refuse
    /// the file. With [`Policy::Lenient`], fails only if there are 4 GiB or more.
    pub fn parse(self, bytes: impl Into<Vec<u8>>) -> Result<Document, ParseError> {
        let document = self.read(bytes.into())?;
        if self.policy == Policy::Strict
            && let Some(problem) = document.first_problems(1).into_iter().next()
        {
            return Err(problem);
        }
        Ok(document)
    }

    fn read(self, source: Vec<u8>) -> Result<Document, ParseError> {
        if u32::try_from(source.len()).is_err() {
            return Err(ParseError::too_large());
        }
        let ends = match self.source {
            Source::File => Ends::File,
            Source::Buffer => Ends::Buffer,
        };
        let mut document = Document::empty();
        document.default_encoding = self.default_encoding;
        document.byte_order_mark = ends == Ends::File && source.starts_with(BYTE_ORDER_MARK);

        let mut start = if document.byte_order_mark {
            BYTE_ORDER_MARK.len()
        } else {
            0
        };
        // VMware's own files average 30 bytes a line.
        document.lines.reserve(source.len() / 32);
        while start < source.len() {
            let (content, terminator) = measure(&source[start..], ends);
            let end = start + content + usize::from(terminator);
            document.lines.push(Physical {
                parts: scan(&source[start..start + content]),
                text: Text::Source {
                    start: start as u32,
                    end: end as u32,
                },
                terminator,
            });
            start = end;
        }
        document.source = source;
        Ok(document)
    }
}

impl Document {
    /// Parses a file strictly: anything that VMware refuses is an error.
    ///
    /// Accepts anything that converts into a `Vec<u8>`; a `Vec<u8>` itself is not copied.
    ///
    /// # Errors
    ///
    /// Returns the first malformed line, duplicate name, undecodable value, or charset
    /// declaration that is unknown or contradictory.
    pub fn parse(bytes: impl Into<Vec<u8>>) -> Result<Self, ParseError> {
        ParseOptions::new().parse(bytes)
    }

    /// Parses any bytes. What VMware would refuse is kept unchanged and listed by
    /// [`problems`](Self::problems).
    ///
    /// # Errors
    ///
    /// Fails only if there are 4 GiB or more.
    pub fn parse_lenient(bytes: impl Into<Vec<u8>>) -> Result<Self, ParseError> {
        ParseOptions::new().policy(Policy::Lenient).parse(bytes)
    }
}
