//! Errors, each with the place where it happened.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

/// A value cannot be sent: something in it is unset or has no XML form.
///
/// Nothing was sent. [`path`](Self::path) names the field, for example
/// `deviceChange[0].device.backing`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodeError {
    path: String,
    problem: EncodeProblem,
}

/// What is wrong with a value that cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EncodeProblem {
    /// A required field, or a value in a list, was never set.
    Unset,
    /// A reference without a value.
    EmptyReference,
    /// A character that XML 1.0 cannot carry, such as U+0000.
    ForbiddenCharacter(char),
    /// A field that the schema does not know, under a name that no element can have.
    NotAName(String),
    /// The document would exceed 4 GiB of text or 2^32 values.
    TooLarge,
}

impl EncodeError {
    pub(crate) const fn new(path: String, problem: EncodeProblem) -> Self {
        Self { path, problem }
    }

    /// The field at fault, as a property path from the root of the value.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What is wrong with it.
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
                write!(f, "`{path}` is called {name:?}, which no element can be")
            }
            EncodeProblem::TooLarge => write!(f, "`{path}` makes the document too large"),
        }
    }
}

impl Error for EncodeError {}

/// A value in a document is not what the Rust type asks for.
///
/// The document itself is unharmed: other parts of it can still be read, and
/// this part too, by [`Node`](crate::Node).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConvertError(Box<ConvertErrorInner>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct ConvertErrorInner {
    path: String,
    problem: ConvertProblem,
}

/// What is wrong with a value that cannot be converted.
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
        /// The type asked for.
        expected: Cow<'static, str>,
        /// The type found.
        found: String,
    },
    /// The text is not a value of its type, or out of its range.
    Malformed {
        /// The type asked for.
        expected: &'static str,
        /// The beginning of the text.
        text: String,
    },
}

impl ConvertError {
    pub(crate) fn new(path: String, problem: ConvertProblem) -> Self {
        Self(Box::new(ConvertErrorInner { path, problem }))
    }

    /// The place, as a property path from the root of the document.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.0.path
    }

    /// What is wrong there.
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

/// Bytes that are not a message of this protocol, or exceed a [limit](crate::Limits).
#[derive(Debug)]
pub struct DecodeError(Box<DecodeErrorInner>);

#[derive(Debug)]
struct DecodeErrorInner {
    offset: u64,
    path: String,
    problem: DecodeProblem,
}

/// What is wrong with bytes that cannot be decoded.
#[derive(Debug)]
#[non_exhaustive]
pub enum DecodeProblem {
    /// Not well-formed XML.
    Syntax(Box<dyn Error + Send + Sync>),
    /// Not UTF-8.
    Encoding(std::str::Utf8Error),
    /// A document type declaration; never accepted.
    DocumentType,
    /// A reference to an entity that XML does not define; never followed.
    Entity(String),
    /// What stands where the name of an element should be.
    NotAName(String),
    /// Elements and text stand side by side.
    MixedContent,
    /// Not a SOAP 1.1 message of this service; says what was expected.
    NotSoap(&'static str),
    /// The answer belongs to another method.
    OtherMethod {
        /// The element that was expected.
        expected: String,
        /// The element that was found.
        found: String,
    },
    /// A limit was exceeded: which, and its value.
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

    /// Byte offset in the input where the problem was seen.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.0.offset
    }

    /// The elements that were open there, as a property path.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.0.path
    }

    /// What is wrong.
    #[must_use]
    pub fn problem(&self) -> &DecodeProblem {
        &self.0.problem
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.problem {
            DecodeProblem::Syntax(_) => write!(f, "the XML is not well formed")?,
            DecodeProblem::Encoding(_) => write!(f, "the message is not UTF-8")?,
            DecodeProblem::DocumentType => {
                write!(f, "a document type declaration is not accepted")?;
            }
            DecodeProblem::Entity(name) => write!(f, "the entity `&{name};` is not defined")?,
            DecodeProblem::NotAName(name) => write!(f, "{name:?} is not the name of an element")?,
            DecodeProblem::MixedContent => write!(f, "text stands between elements")?,
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
