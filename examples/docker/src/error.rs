//! Errors of the API: an HTTP status and a message.

use hyper::StatusCode;
use portlayer::{ErrorKind, ResourceKind};

pub(crate) type Result<T, E = ApiError> = std::result::Result<T, E>;

/// An error response.
#[derive(Debug)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    pub(crate) message: String,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
        }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    pub(crate) fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, message)
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, message)
    }

    /// Creates the refusal of an unsupported feature. The docker command prints only the message,
    /// so it must name the feature.
    pub(crate) fn not_supported(what: &str) -> Self {
        Self::new(
            StatusCode::NOT_IMPLEMENTED,
            format!("{what} is not supported by this host"),
        )
    }

    pub(crate) fn no_such_container(name: &str) -> Self {
        Self::not_found(format!("No such container: {name}"))
    }

    pub(crate) fn no_such_image(name: &str) -> Self {
        Self::not_found(format!("No such image: {name}"))
    }
}

/// Formats an error and its sources in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

impl From<portlayer::Error> for ApiError {
    /// The status depends only on the error's kind.
    fn from(error: portlayer::Error) -> Self {
        let resource = error.resource();
        let status = match error.kind() {
            ErrorKind::NotFound if resource.kind == ResourceKind::Container => {
                return Self::no_such_container(&resource.id);
            }
            ErrorKind::NotFound if resource.kind == ResourceKind::Image => {
                return Self::no_such_image(&resource.id);
            }
            ErrorKind::NotFound if resource.kind == ResourceKind::Network => {
                return Self::not_found(format!("network {} not found", resource.id));
            }
            ErrorKind::NotFound => StatusCode::NOT_FOUND,
            ErrorKind::AlreadyExists
            | ErrorKind::Conflict { .. }
            | ErrorKind::InvalidState { .. }
            | ErrorKind::InUse { .. } => StatusCode::CONFLICT,
            ErrorKind::InvalidArgument { .. } => StatusCode::BAD_REQUEST,
            ErrorKind::PermissionDenied => StatusCode::FORBIDDEN,
            ErrorKind::Exhausted { .. } => StatusCode::INSUFFICIENT_STORAGE,
            ErrorKind::Timeout { .. } => StatusCode::GATEWAY_TIMEOUT,
            ErrorKind::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
            ErrorKind::Unsupported { .. } => StatusCode::NOT_IMPLEMENTED,
            // Not 401, which would be about the client's credentials for the front end.
            ErrorKind::Unauthenticated => StatusCode::BAD_GATEWAY,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, chain(&error))
    }
}

impl From<image_source::Error> for ApiError {
    fn from(error: image_source::Error) -> Self {
        use image_source::Error as Source;
        let error = match error {
            Source::Stored { source } => return source.into(),
            error => error,
        };
        let status = match &error {
            Source::InvalidReference { text, .. } => {
                let reason = if text.bytes().any(|b| b.is_ascii_uppercase()) {
                    format!("repository name ({text}) must be lowercase")
                } else {
                    "invalid reference format".to_owned()
                };
                return Self::bad_request(reason);
            }
            Source::NotFound { .. } | Source::NoSuchPlatform { .. } => StatusCode::NOT_FOUND,
            Source::NotAnImage { .. }
            | Source::InvalidDocument { .. }
            | Source::DigestMismatch { .. }
            | Source::TooLarge { .. }
            | Source::Truncated { .. }
            | Source::Unsupported { .. } => StatusCode::BAD_REQUEST,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, chain(&error))
    }
}
