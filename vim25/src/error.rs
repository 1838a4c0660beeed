//! Errors, each with the path where it occurred.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

/// An error for a value that cannot be sent: part of it is unset or has no XML form.
///
/// Nothing was sent. [`path`](Self::path) names the field, for example
/// `deviceChange[0].device.backing`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodeError {
    path: String,
    problem: EncodeProblem,
}

/// The reason why a value cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EncodeProblem {
    /// A required field, or an item of a list, is not set.
    Unset,
    /// A reference without a value.
    EmptyReference,
    /// A character that XML 1.0 cannot carry, such as U+0000.
    ForbiddenCharacter(char),
    /// A field that the schema does not know, with a name that is not a valid element name.
    NotAName(String),
    /// The document would exceed 4 GiB of text or 2^32 values.
    TooLarge,
}

impl EncodeError {
    pub(crate) const fn new(path: String, problem: EncodeProblem) -> Self {
        Self { path, problem }
    }

    /// Returns the field at fault, as a property path from the root of the value.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns what is wrong with it.
    #[must_use]
    pub const fn problem(&self) -> &EncodeProblem {
        &self.problem
    }

    pub(crate) fn prefix(&self, outer: &str) -> Self {
        let path = match (outer.is_empty(), self.path.is_empty()) {
            (true, _) => self.path.clone(),
            (_, true) => outer.to_owned(),
            _ => format!("{outer}.{}", self.path),
        };
        Self {
            path,
            problem: self.problem.clone(),
        }
    }
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() {
            "value"
        } else {
            &self.path
        };
        match &self.problem {
            EncodeProblem::Unset => {
                write!(f, "`{path}` is not set; give it a value before sending")
            }
            EncodeProblem::EmptyReference => {
                write!(
                    f,
                    "`{path}` is an empty reference; set it to a managed object"
                )
            }
            EncodeProblem::ForbiddenCharacter(c) => {
                write!(f, "`{path}` contains {c:?}, which XML cannot carry")
            }
            EncodeProblem::NotAName(name) => {
                write!(
                    f,
                    "`{path}` has the name {name:?}, which is not a valid element name"
                )
            }
            EncodeProblem::TooLarge => write!(f, "`{path}` makes the document too large"),
        }
    }
}

impl Error for EncodeError {}

/// An error for a value that does not match the requested Rust type.
///
/// The document itself is intact: other parts of it can still be read, and
/// this part as well through [`Node`](crate::Node).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConvertError(Box<ConvertErrorInner>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct ConvertErrorInner {
    path: String,
    problem: ConvertProblem,
}

/// The reason why a value cannot be converted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConvertProblem {
    /// A required field is absent.
    Missing {
        /// Its wire name.
        field: &'static str,
    },
    /// The value is of another type.
    WrongType {
        /// The requested type.
        expected: Cow<'static, str>,
        /// The actual type.
        found: String,
    },
    /// The text is not a value of its type, or out of range.
    Malformed {
        /// The requested type.
        expected: &'static str,
        /// The start of the text.
        text: String,
    },
}

impl ConvertError {
    pub(crate) fn new(path: String, problem: ConvertProblem) -> Self {
        Self(Box::new(ConvertErrorInner { path, problem }))
    }

    /// Returns the location, as a property path from the root of the document.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.0.path
    }

    /// Returns what is wrong there.
    #[must_use]
    pub fn problem(&self) -> &ConvertProblem {
        &self.0.problem
    }
}

impl fmt::Display for ConvertError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.0.path.is_empty() {
            "value"
        } else {
            &self.0.path
        };
        match &self.0.problem {
            ConvertProblem::Missing { field } => {
                write!(f, "`{path}` lacks the required field `{field}`")
            }
            ConvertProblem::WrongType { expected, found } => {
                write!(f, "`{path}` is of type {found}, not {expected}")
            }
            ConvertProblem::Malformed { expected, text } => {
                write!(f, "`{path}` is not of type {expected}: {text:?}")
            }
        }
    }
}

impl Error for ConvertError {}

/// An error for bytes that are not a message of this protocol, or exceed a [limit](crate::Limits).
#[derive(Debug)]
pub struct DecodeError(Box<DecodeErrorInner>);

#[derive(Debug)]
struct DecodeErrorInner {
    offset: u64,
    path: String,
    problem: DecodeProblem,
}

/// The reason why bytes cannot be decoded.
#[derive(Debug)]
#[non_exhaustive]
pub enum DecodeProblem {
    /// The XML is not well-formed.
    Syntax(Box<dyn Error + Send + Sync>),
    /// The text is not UTF-8.
    Encoding(std::str::Utf8Error),
    /// A document type declaration; never accepted.
    DocumentType,
    /// A reference to an entity that XML does not define; never followed.
    Entity(String),
    /// An element whose name is not valid; contains that name.
    NotAName(String),
    /// An element contains both elements and text.
    MixedContent,
    /// Not a SOAP 1.1 message of this service; contains what was expected.
    NotSoap(&'static str),
    /// The response belongs to another method.
    OtherMethod {
        /// The element that was expected.
        expected: String,
        /// The element that was found.
        found: String,
    },
    /// A limit was exceeded; contains which one, and its value.
    Limit {
        /// The field of [`Limits`](crate::Limits).
        what: &'static str,
        /// Its value.
        limit: usize,
    },
}

impl DecodeError {
    pub(crate) fn new(offset: u64, path: String, problem: DecodeProblem) -> Self {
        Self(Box::new(DecodeErrorInner {
            offset,
            path,
            problem,
        }))
    }

    /// Returns the byte offset in the input where the problem was detected.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.0.offset
    }

    /// Returns the elements that were open there, as a property path.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.0.path
    }

    /// Returns what is wrong.
    #[must_use]
    pub fn problem(&self) -> &DecodeProblem {
        &self.0.problem
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.problem {
            DecodeProblem::Syntax(_) => write!(f, "the XML is not well-formed")?,
            DecodeProblem::Encoding(_) => write!(f, "the message is not UTF-8")?,
            DecodeProblem::DocumentType => {
                write!(f, "a document type declaration is not accepted")?;
            }
            DecodeProblem::Entity(name) => write!(f, "the entity `&{name};` is not defined")?,
            DecodeProblem::NotAName(name) => write!(f, "{name:?} is not a valid element name")?,
            DecodeProblem::MixedContent => write!(f, "an element contains text and elements")?,
            DecodeProblem::NotSoap(expected) => {
                write!(f, "not a SOAP message: expected {expected}")?;
            }
            DecodeProblem::OtherMethod { expected, found } => {
                write!(f, "expected the element `{expected}`, found `{found}`")?;
            }
            DecodeProblem::Limit { what, limit } => {
                write!(f, "the message exceeds the limit on {what} ({limit})")?;
            }
        }
        write!(f, " at byte {}", self.0.offset)?;
        if !self.0.path.is_empty() {
            write!(f, " in `{}`", self.0.path)?;
        }
        Ok(())
    }
}

impl Error for DecodeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.0.problem {
            DecodeProblem::Syntax(source) => Some(source.as_ref()),
            DecodeProblem::Encoding(source) => Some(source),
            _ => None,
        }
    }
}
