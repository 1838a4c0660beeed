//! The findings of the checks before an installation.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Error, ErrorKind, Resource};

/// The severity of a [`Finding`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Severity {
    /// The check passed, or could not be made.
    Info,
    /// The installation will work, but something may not work later.
    Warning,
    /// The installation is refused.
    Error,
}

/// One result of the checks of a [`Plan`](super::Plan).
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// The severity.
    pub severity: Severity,
    /// The object that was checked.
    pub object: Resource,
    /// The description of what was found.
    pub message: String,
    /// How to fix it; empty if nothing has to be done. Fields of the
    /// [specification](super::HostSpec) are in backquotes, so that a front end can name its own options
    /// instead.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub remedy: String,
    /// The error with which the check ended, if any.
    #[serde(skip)]
    error: Option<Error>,
}

impl Finding {
    /// Creates a finding that needs no attention.
    pub fn info(object: Resource, message: impl Into<String>) -> Self {
        Self::new(Severity::Info, object, message.into(), String::new())
    }

    /// Creates a warning, with a remedy.
    pub fn warning(
        object: Resource,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::new(Severity::Warning, object, message.into(), remedy.into())
    }

    /// Creates a finding that refuses the installation, with a remedy.
    pub fn refusal(error: Error, remedy: impl Into<String>) -> Self {
        let object = error.resource().clone();
        let mut message = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(source) = cause {
            let text = source.to_string();
            if !message.contains(&text) {
                message = format!("{message}: {text}");
            }
            cause = source.source();
        }
        Self {
            error: Some(error),
            ..Self::new(Severity::Error, object, message, remedy.into())
        }
    }

    fn new(severity: Severity, object: Resource, message: String, remedy: String) -> Self {
        Self {
            severity,
            object,
            message,
            remedy,
            error: None,
        }
    }

    /// Returns the kind of the error of a [refusal](Self::refusal).
    #[must_use]
    pub fn kind(&self) -> Option<&ErrorKind> {
        self.error.as_ref().map(Error::kind)
    }

    /// Returns the error of a refused installation.
    pub(super) fn into_error(self) -> Error {
        self.error.unwrap_or_else(|| {
            Error::new(ErrorKind::Internal, self.object).with_source(self.message)
        })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if !self.remedy.is_empty() {
            write!(f, "; {}", self.remedy)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_its_causes_and_the_remedy() {
        let error = Error::invalid_argument(Resource::network("lan"), "bridge", "it is in use");
        let finding = Finding::refusal(error, "name another");
        assert_eq!(
            finding.to_string(),
            "invalid value for bridge of network \"lan\": it is in use; name another"
        );
        assert_eq!(finding.severity, Severity::Error);
        assert!(matches!(
            finding.into_error().kind,
            ErrorKind::InvalidArgument { field: "bridge" }
        ));
    }
}
