//! API versions, and the document in which a server lists those it supports.

use std::fmt;
use std::str::FromStr;

use quick_xml::Reader;
use quick_xml::events::Event;

use crate::error::{DecodeError, DecodeProblem};

/// A version of the API, such as `8.0.3.0`: up to four numbers, absent ones are zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ApiVersion([u16; 4]);

impl ApiVersion {
    /// The version that the schema of this crate describes.
    pub const LATEST: Self = Self([9, 1, 0, 0]);

    /// Creates a version from its numbers.
    #[must_use]
    pub const fn new(major: u16, minor: u16, update: u16, patch: u16) -> Self {
        Self([major, minor, update, patch])
    }
}

impl fmt::Display for ApiVersion {
    /// Writes two numbers for versions before 6.8 (`6.5`), four for later ones (`8.0.3.0`),
    /// as servers do.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, update, patch] = self.0;
        if *self < Self::new(6, 7, 1, 0) && update == 0 && patch == 0 {
            write!(f, "{major}.{minor}")
        } else {
            write!(f, "{major}.{minor}.{update}.{patch}")
        }
    }
}

/// An error for text that is not a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseVersionError(String);

impl fmt::Display for ParseVersionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "not an API version: {:?}; expected up to four numbers such as 8.0.3.0",
            self.0
        )
    }
}

impl std::error::Error for ParseVersionError {}

impl FromStr for ApiVersion {
    type Err = ParseVersionError;

    fn from_str(text: &str) -> Result<Self, ParseVersionError> {
        let error = || ParseVersionError(text.chars().take(32).collect());
        let mut numbers = [0; 4];
        let mut slots = numbers.iter_mut();
        for part in text.trim_ascii().split('.') {
            *slots.next().ok_or_else(error)? = part.parse().map_err(|_| error())?;
        }
        Ok(Self(numbers))
    }
}

/// Parses `vimServiceVersions.xml`: returns the versions that a server supports for a
/// namespace, verbatim, newest first.
///
/// # Errors
/// [`DecodeError`] when the text is not well-formed XML.
pub fn parse_service_versions(xml: &str, namespace: &str) -> Result<Vec<String>, DecodeError> {
    let mut reader = Reader::from_str(xml.strip_prefix('\u{feff}').unwrap_or(xml));
    let mut versions = Vec::new();
    let mut element = String::new();
    let mut current = String::new();
    loop {
        let event = reader.read_event().map_err(|error| {
            let problem = DecodeProblem::Syntax(Box::new(error));
            DecodeError::new(reader.buffer_position(), element.clone(), problem)
        })?;
        match event {
            Event::Start(start) => start.local_name().as_ref().clone_into(&mut element),
            Event::Text(text) => match element.as_str() {
                "name" => text.trim_ascii().clone_into(&mut current),
                "version" if current == namespace => versions.push(text.trim_ascii().to_owned()),
                _ => {}
            },
            Event::End(_) => element.clear(),
            Event::DocType(_) => {
                let problem = DecodeProblem::DocumentType;
                return Err(DecodeError::new(reader.buffer_position(), element, problem));
            }
            Event::Eof => return Ok(versions),
            _ => {}
        }
    }
}
