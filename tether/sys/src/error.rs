//! Errors of system calls, with the step that failed.

use std::fmt::Display;
use std::io;

/// A failed step in the set-up of a container or a process.
#[derive(Debug, thiserror::Error)]
#[error("{action}")]
pub struct SysError {
    action: String,
    #[source]
    source: io::Error,
}

impl SysError {
    pub(crate) fn new(action: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self {
            action: action.into(),
            source: source.into(),
        }
    }

    /// Returns the operating system's error number, if there is one.
    #[must_use]
    pub fn raw_os_error(&self) -> Option<i32> {
        self.source.raw_os_error()
    }

    /// Returns the step and its cause in one line, for a message that contains only text.
    pub(crate) fn line(&self) -> String {
        format!("{}: {}", self.action, reason(&self.source))
    }
}

/// Adds the step to the error of a result.
pub(crate) trait Step<T> {
    fn step(self, action: impl Display) -> Result<T, SysError>;
}

impl<T, E: Into<io::Error>> Step<T> for Result<T, E> {
    fn step(self, action: impl Display) -> Result<T, SysError> {
        self.map_err(|error| SysError::new(action.to_string(), error))
    }
}

/// Returns the system's message for an error, in lower case and without its number.
pub(crate) fn reason(error: &io::Error) -> String {
    let text = match error.raw_os_error() {
        Some(number) => nix::errno::Errno::from_raw(number).desc().to_owned(),
        None => error.to_string(),
    };
    let mut chars = text.chars();
    match chars.next() {
        // Does not change an abbreviation such as "RPC".
        Some(first) if chars.as_str().starts_with(char::is_lowercase) => {
            first.to_lowercase().chain(chars).collect()
        }
        _ => text,
    }
}
