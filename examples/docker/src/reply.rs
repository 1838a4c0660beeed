//! Constructors of HTTP responses.

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use serde::Serialize;

use crate::error::ApiError;

pub(crate) type Body = UnsyncBoxBody<Bytes, std::io::Error>;
pub(crate) type Reply = Response<Body>;

pub(crate) const JSON: &str = "application/json";

/// Creates a response with this status, media type and content.
pub(crate) fn content(status: StatusCode, media_type: &'static str, content: Bytes) -> Reply {
    let body = Full::new(content).map_err(|never| match never {});
    with_body(status, media_type, body.boxed_unsync())
}

fn with_body(status: StatusCode, media_type: &'static str, body: Body) -> Reply {
    let mut reply = Response::new(body);
    *reply.status_mut() = status;
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    reply
}

/// Creates a response without content.
pub(crate) fn empty(status: StatusCode) -> Reply {
    let mut reply = content(status, JSON, Bytes::new());
    reply.headers_mut().remove(CONTENT_TYPE);
    reply
}

/// Creates a response with a JSON value, terminated by a line feed like the engine's.
pub(crate) fn json(value: &impl Serialize) -> Reply {
    json_with(StatusCode::OK, value)
}

pub(crate) fn json_with(status: StatusCode, value: &impl Serialize) -> Reply {
    match serde_json::to_vec(value) {
        Ok(mut bytes) => {
            bytes.push(b'\n');
            content(status, JSON, bytes.into())
        }
        Err(error) => error_reply(&ApiError::internal(error.to_string())),
    }
}

pub(crate) fn error_reply(error: &ApiError) -> Reply {
    json_with(
        error.status,
        &serde_json::json!({ "message": error.message }),
    )
}

/// Creates a response whose content is streamed.
pub(crate) fn stream(
    media_type: &'static str,
    items: impl Stream<Item = std::io::Result<Bytes>> + Send + 'static,
) -> Reply {
    let body = StreamBody::new(items.map(|item| item.map(Frame::data)));
    with_body(StatusCode::OK, media_type, body.boxed_unsync())
}

/// Creates a response that switches the connection to raw bytes.
pub(crate) fn upgraded(media_type: &'static str) -> Reply {
    use hyper::header::{CONNECTION, UPGRADE};
    let mut reply = content(StatusCode::SWITCHING_PROTOCOLS, media_type, Bytes::new());
    let headers = reply.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("tcp"));
    reply
}
