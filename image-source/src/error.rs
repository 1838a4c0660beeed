//! The error type of this crate.

use std::path::PathBuf;

use portlayer::image::Digest;

use crate::Platform;

/// The result type of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// The reason why an image could not be read from, or written to, its source.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or directory could not be read or written.
    #[error("cannot {attempt} {}", path.display())]
    Io {
        /// The attempted operation, as a verb: `open` or `read`, for example.
        attempt: &'static str,
        /// The path of the file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The file is not an image archive in a supported format.
    #[error("{} is not an image: {reason}", path.display())]
    NotAnImage {
        /// The path of the file or directory.
        path: PathBuf,
        /// What is missing or wrong.
        reason: String,
    },
    /// A document of the image (manifest, index, config) is invalid.
    #[error("the {document} of the image is not valid: {reason}")]
    InvalidDocument {
        /// The kind of document.
        document: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// Content does not match its digest.
    #[error("{what} has the digest {actual} instead of {expected}; obtain the image again")]
    DigestMismatch {
        /// The content that was read.
        what: String,
        /// The digest in the image.
        expected: Digest,
        /// The computed digest.
        actual: Digest,
    },
    /// Content is larger than its descriptor or the configured limit allows.
    #[error("{what} is larger than {limit} bytes")]
    TooLarge {
        /// The content that was read.
        what: String,
        /// The exceeded limit.
        limit: u64,
    },
    /// Content ends before its declared length.
    #[error("{what} ends after {actual} of {expected} bytes; obtain the image again")]
    Truncated {
        /// The content that was read.
        what: String,
        /// The declared length.
        expected: u64,
        /// The actual length.
        actual: u64,
    },
    /// The image uses a feature that this crate does not support: foreign or encrypted layers,
    /// an artifact that is not an image, a manifest of schema 1, or an unknown compression.
    #[error("the image cannot be used: {reason}")]
    Unsupported {
        /// The unsupported feature.
        reason: String,
    },
    /// The image has no variant for the requested platform.
    #[error(
        "no image for the platform {wanted}; there is {}",
        Platforms(available)
    )]
    NoSuchPlatform {
        /// The requested platform.
        wanted: Platform,
        /// The available platforms.
        available: Vec<Platform>,
    },
    /// The text is not an image reference.
    #[error("{text:?} is not an image reference: {reason}")]
    InvalidReference {
        /// The text.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The registry has no such image.
    #[error("{reference} was not found at {registry}: {message}")]
    NotFound {
        /// The image, as requested from the registry.
        reference: String,
        /// The registry, `host` or `host:port`.
        registry: String,
        /// The message of the registry.
        message: String,
    },
    /// The registry refused the credentials, or requires some and none were given.
    #[error("{registry} refused access to {repository}: {message}; check the credentials")]
    Denied {
        /// The registry, `host` or `host:port`.
        registry: String,
        /// The repository, or the text "its API" if a login was refused.
        repository: String,
        /// The message of the registry.
        message: String,
    },
    /// The response of the registry is not the expected one.
    #[error("{registry} answered {status} to {attempt}: {message}")]
    Registry {
        /// The registry, `host` or `host:port`.
        registry: String,
        /// The HTTP status.
        status: u16,
        /// The attempted operation.
        attempt: String,
        /// The message of the registry, shortened.
        message: String,
    },
    /// The registry could not be reached, or the connection broke on every attempt.
    #[error("cannot reach {registry}{hint}")]
    Transport {
        /// The registry, `host` or `host:port`.
        registry: String,
        /// A hint for the user about how to fix the problem; may be empty.
        hint: &'static str,
        /// The cause.
        source: Source,
    },
    /// The files of a stored image could not be read.
    #[error("cannot read the files of the stored image")]
    Stored {
        /// The cause.
        source: portlayer::Error,
    },
    /// The configuration of registries or credentials is invalid.
    #[error("cannot use {what}")]
    Configuration {
        /// The invalid part: a file, a credential helper, a certificate.
        what: String,
        /// The cause.
        source: Source,
    },
}

impl Error {
    pub(crate) fn io(
        attempt: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io {
            attempt,
            path,
            source,
        }
    }

    pub(crate) fn document(document: &'static str, reason: impl std::fmt::Display) -> Self {
        Self::InvalidDocument {
            document,
            reason: reason.to_string(),
        }
    }

    /// Returns the error of this crate that an [`std::io::Error`] contains, if any.
    ///
    /// Layers are read through [`std::io::Read`], which can only return `std::io::Error`, so
    /// errors of this crate are wrapped in it.
    #[must_use]
    pub fn from_read(error: &std::io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }
}

impl From<Error> for std::io::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Io { source, .. } if source.raw_os_error().is_some() => source,
            Error::Truncated { .. } => Self::new(std::io::ErrorKind::UnexpectedEof, error),
            other => Self::new(std::io::ErrorKind::InvalidData, other),
        }
    }
}

/// Prints platforms as a list.
struct Platforms<'a>(&'a [Platform]);

impl std::fmt::Display for Platforms<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none");
        }
        for (position, platform) in self.0.iter().enumerate() {
            let comma = if position == 0 { "" } else { ", " };
            write!(f, "{comma}{platform}")?;
        }
        Ok(())
    }
}
