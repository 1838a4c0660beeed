//! Limits the time of request bodies, and counts the requests in progress.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::CONTENT_LENGTH;
use axum::middleware::Next;
use axum::response::Response;
use futures_util::StreamExt as _;
use tokio::time::Instant;

use super::connection::Peer;
use crate::shared::Shared;

/// Timeout of a whole SOAP request, as a multiple of the timeout of one pause.
const WHOLE: u32 = 4;

/// Marks the connection as busy until the response is sent, and limits the time of the
/// request's body.
pub(super) async fn watch(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    request: Request,
    next: Next,
) -> Response {
    let busy = peer.activity.as_ref().map(|activity| activity.begin());
    let pause = shared.settings.read;
    let is_soap = request.uri().path().starts_with("/sdk");
    let end = is_soap.then(|| Instant::now() + pause * WHOLE);
    let response = next.run(request.map(|body| paced(body, pause, end))).await;
    let (mut parts, body) = response.into_parts();
    let length = body.size_hint().exact();
    if length == Some(0) {
        return Response::from_parts(parts, body);
    }
    if let Some(length) = length {
        parts.headers.entry(CONTENT_LENGTH).or_insert(length.into());
    }
    let stream = body.into_data_stream().map(move |piece| {
        let _ = &busy;
        piece
    });
    Response::from_parts(parts, Body::from_stream(stream))
}

/// Wraps a body so that reading fails if nothing arrives for `pause`, or if it is not complete
/// at `end`.
fn paced(body: Body, pause: Duration, end: Option<Instant>) -> Body {
    if body.is_end_stream() {
        return body;
    }
    let pieces =
        futures_util::stream::unfold(Some(body.into_data_stream()), move |stream| async move {
            let mut stream = stream?;
            let pause = Instant::now() + pause;
            let until = end.map_or(pause, |end| end.min(pause));
            match tokio::time::timeout_at(until, stream.next()).await {
                Ok(piece) => piece.map(|piece| (piece.map_err(io::Error::other), Some(stream))),
                Err(_) => {
                    let error = io::Error::new(io::ErrorKind::TimedOut, "the request body is late");
                    Some((Err(error), None))
                }
            }
        });
    Body::from_stream(pieces)
}
