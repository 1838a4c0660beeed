//! Streams file contents over HTTPS (`/folder/…`), with the client's session.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;
use futures_core::stream::BoxStream;
use futures_util::StreamExt;
use futures_util::future::{Either, select};
use reqwest::Method;
use tokio::io::AsyncRead;
use tokio::time::Instant;
use tokio_util::io::ReaderStream;
use url::Url;
use vim25::props;

use super::DatastorePath;
use super::direct::{self, Route};
use super::files::{Files, not_found};
use crate::client::Client;
use crate::error::{
    EntityKind, Error, LoginProblem, Operation, RequestPhase, Result, TransportProblem,
};
use crate::escape::encode;
use crate::exchange::Failure;
use crate::inventory::Datastore;
use crate::retry::Backoff;
use crate::transport::{Body, FailureKind, Request, Response, Transport, TransportError};

/// The size of the pieces that are read from a reader, in bytes.
const PIECE: usize = 64 << 10;

/// The progress of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TransferProgress {
    /// The bytes transferred so far.
    pub bytes: u64,
    /// The total number of bytes, if known.
    pub total: Option<u64>,
}

pub(crate) type OnProgress = Box<dyn FnMut(TransferProgress) + Send>;

impl Files<'_> {
    /// Writes a file from a reader, which must return exactly `length` bytes. Replaces an
    /// existing file; the directory must exist. Await the returned value.
    pub fn upload(
        &self,
        path: &str,
        content: impl AsyncRead + Send + 'static,
        length: u64,
    ) -> Upload {
        let content = ReaderStream::with_capacity(content, PIECE).boxed();
        self.upload_stream(path, content, length)
    }

    /// Writes a file with this content. Replaces an existing file; the directory must exist.
    /// Await the returned value.
    pub fn upload_bytes(&self, path: &str, content: impl Into<Bytes>) -> Upload {
        let content = content.into();
        let length = content.len() as u64;
        let mut rest = content;
        let pieces = std::iter::from_fn(move || {
            let piece = rest.split_to(rest.len().min(PIECE));
            (!piece.is_empty()).then_some(Ok(piece))
        });
        self.upload_stream(path, futures_util::stream::iter(pieces).boxed(), length)
    }

    pub(super) fn upload_stream(
        &self,
        path: &str,
        content: BoxStream<'static, std::io::Result<Bytes>>,
        length: u64,
    ) -> Upload {
        Upload {
            client: self.client.clone(),
            datastore: self.datastore.clone(),
            place: self.datastore.path(path),
            content,
            length,
            direct: self.direct,
            progress: None,
        }
    }

    /// Requests a file, or a range of it.
    async fn request(
        &self,
        path: &str,
        range: Option<&str>,
    ) -> Result<Result<Response, TransportError>> {
        get(self.client, self.datastore, path, range, self.direct).await
    }

    /// Reads a file as a stream of pieces. The stream fails when the server pauses for longer
    /// than the client's idle timeout, or when the content ends too early.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such file; otherwise see [`Error`].
    pub async fn download(&self, path: &str) -> Result<Download> {
        self.download_from(path, 0).await
    }

    /// Reads a file from an offset on, which has to be within the file.
    pub(super) async fn download_from(&self, path: &str, offset: u64) -> Result<Download> {
        let client = self.client;
        let place = self.datastore.path(path);
        let operation = client.operation(&format!("GET {place}"), None);
        let limit = client.inner.options.request_timeout;
        let range = (offset > 0).then(|| format!("bytes={offset}-"));
        let response = self.request(path, range.as_deref()).await?;
        let response = judge(client, &operation, &place, response, limit, true)?;
        let is_rest = response.status == 206 && begins_at(response.range.as_deref(), offset);
        if offset > 0 && !is_rest {
            return Err(no_parts(operation, response.status));
        }
        Ok(Download::new(client, operation, response))
    }
}

/// A part of a file, from [`Files::read_part`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FilePart {
    /// The bytes; fewer than requested at the end of the file.
    pub bytes: Bytes,
    /// The length of the whole file when it was read.
    pub total: u64,
}

impl Files<'_> {
    /// Reads part of a file: `length` bytes from `offset`, or fewer at the end of the file. This
    /// also works for a file that a running machine appends to.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such file; [`Error::Transport`] when the server
    /// responds with another part; otherwise see [`Error`].
    pub async fn read_part(&self, path: &str, offset: u64, length: u64) -> Result<FilePart> {
        let client = self.client;
        let place = self.datastore.path(path);
        let operation = client.operation(&format!("GET {place}"), None);
        let limit = client.inner.options.request_timeout;
        // A range cannot be empty: if no bytes are requested, request one to learn the length
        // of the file.
        let last = offset.saturating_add(length.max(1)) - 1;
        let range = format!("bytes={offset}-{last}");
        let response = self.request(path, Some(&range)).await?;
        if let Ok(response) = &response
            && response.status == 416
        {
            let total = response.range.as_deref().and_then(total).unwrap_or(offset);
            return Ok(FilePart {
                bytes: Bytes::new(),
                total,
            });
        }
        let response = judge(client, &operation, &place, response, limit, true)?;
        let partial = response.status == 206 && begins_at(response.range.as_deref(), offset);
        let total = match response.range.as_deref().and_then(total) {
            Some(total) if partial => total,
            // A server without support for ranges sends the whole file, which is too much to
            // request often.
            _ if response.status != 206 && offset == 0 => response.length.unwrap_or(0),
            _ => {
                return Err(no_parts(operation, response.status));
            }
        };
        let download = Download::new(client, operation, response);
        let mut bytes = bytes::BytesMut::new();
        let mut pieces = std::pin::pin!(download);
        while let Some(piece) = pieces.next().await {
            bytes.extend_from_slice(&piece?);
            if bytes.len() as u64 >= length {
                break;
            }
        }
        bytes.truncate(usize::try_from(length).unwrap_or(usize::MAX));
        Ok(FilePart {
            bytes: bytes.freeze(),
            total,
        })
    }
}

fn no_parts(operation: Operation, status: u16) -> Error {
    Error::Transport {
        operation,
        problem: TransportProblem::Status(status),
        source: Some("the server did not send the part of the file that was requested".into()),
    }
}

/// Returns whether a `Content-Range` (RFC 9110, section 14.4) begins at `offset`. Otherwise,
/// bytes from elsewhere would be written into the middle of a file.
fn begins_at(range: Option<&str>, offset: u64) -> bool {
    let first = range
        .and_then(|range| range.trim().strip_prefix("bytes "))
        .and_then(|range| range.split_once('-'))
        .and_then(|(first, _)| first.trim().parse().ok());
    first == Some(offset)
}

/// Returns the length of the whole file from a `Content-Range`.
fn total(range: &str) -> Option<u64> {
    range.rsplit_once('/')?.1.trim().parse().ok()
}

/// An upload, which starts when it is awaited. Dropping it ends the transfer; the server keeps
/// the bytes that it received.
#[must_use = "nothing is sent before this is awaited"]
pub struct Upload {
    client: Client,
    datastore: Datastore,
    place: DatastorePath,
    content: BoxStream<'static, std::io::Result<Bytes>>,
    length: u64,
    direct: bool,
    progress: Option<OnProgress>,
}

impl Upload {
    /// Sets a callback for progress, called after every piece. It should return quickly.
    pub fn on_progress(mut self, listener: impl FnMut(TransferProgress) + Send + 'static) -> Self {
        self.progress = Some(Box::new(listener));
        self
    }

    async fn send(self) -> Result<()> {
        let client = self.client;
        let operation = client.operation(&format!("PUT {}", self.place), None);
        let path = self.place.path();
        let route = route(&client, &self.datastore, path, &Method::PUT, self.direct).await?;
        let (content, moved) = Counted::new(self.content, Some(self.length), self.progress);
        let body = Body::Stream {
            length: Some(self.length),
            content: content.boxed(),
        };
        let (transport, request) = request(route, Method::PUT, body, None);
        let idle = client.inner.options.idle_timeout;
        let sending = transport.send(request);
        let watch = std::pin::pin!(stalled(&moved, idle));
        let response = match select(sending, watch).await {
            Either::Left((response, _)) => response,
            Either::Right(((), _)) => Err(TransportError {
                kind: FailureKind::Timeout(RequestPhase::Idle),
                source: "the transfer stalled".into(),
            }),
        };
        // If there is no response, the file may have been written partly or completely.
        judge(&client, &operation, &self.place, response, idle, false).map(drop)
    }
}

impl IntoFuture for Upload {
    type Output = Result<()>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<()>> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Upload({}, {} bytes)", self.place, self.length)
    }
}

/// The content of a file, as a stream of pieces.
pub struct Download {
    client: Client,
    operation: Operation,
    total: Option<u64>,
    bytes: u64,
    body: BoxStream<'static, Result<Bytes, TransportError>>,
    stall: Option<Pin<Box<tokio::time::Sleep>>>,
    ended: bool,
}

impl Download {
    /// Streams the body of a successful response.
    pub(crate) fn new(client: &Client, operation: Operation, response: Response) -> Self {
        Self {
            client: client.clone(),
            operation,
            total: response.length,
            bytes: 0,
            body: response.body,
            stall: None,
            ended: false,
        }
    }

    /// Returns the progress of the download.
    #[must_use]
    pub const fn progress(&self) -> TransferProgress {
        TransferProgress {
            bytes: self.bytes,
            total: self.total,
        }
    }

    /// Reads the rest of the content, which must be at most `limit` bytes long.
    ///
    /// # Errors
    /// [`Error::Transport`] when the content is longer; otherwise see [`Error`].
    pub async fn read_to_end(mut self, limit: u64) -> Result<Bytes> {
        let mut content = bytes::BytesMut::new();
        while let Some(piece) = self.next().await {
            let piece = piece?;
            if (content.len() + piece.len()) as u64 > limit {
                return Err(Error::Transport {
                    operation: self.operation.clone(),
                    problem: TransportProblem::TooLong { limit },
                    source: None,
                });
            }
            content.extend_from_slice(&piece);
        }
        Ok(content.freeze())
    }

    fn fail(&self, error: TransportError) -> Error {
        let limit = self.client.inner.options.idle_timeout;
        let failure = Failure::Transport(error);
        self.client
            .inner
            .explain(self.operation.clone(), failure, true, limit)
    }
}

impl Stream for Download {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let error = match self.body.poll_next_unpin(cx) {
            Poll::Ready(Some(Ok(piece))) => {
                self.stall = None;
                self.bytes += piece.len() as u64;
                return Poll::Ready(Some(Ok(piece)));
            }
            Poll::Ready(None) if self.total.is_none_or(|total| total == self.bytes) => {
                self.ended = true;
                return Poll::Ready(None);
            }
            Poll::Ready(None) => TransportError {
                kind: FailureKind::Broken,
                source: "the content ended too early".into(),
            },
            Poll::Ready(Some(Err(error))) => error,
            Poll::Pending => {
                let idle = self.client.inner.options.idle_timeout;
                let stall = self
                    .stall
                    .get_or_insert_with(|| Box::pin(tokio::time::sleep(idle)));
                if stall.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                TransportError {
                    kind: FailureKind::Timeout(RequestPhase::Idle),
                    source: "the transfer stalled".into(),
                }
            }
        };
        self.ended = true;
        Poll::Ready(Some(Err(self.fail(error))))
    }
}

impl fmt::Debug for Download {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Download")
            .field("of", &self.operation)
            .field("bytes", &self.bytes)
            .field("total", &self.total)
            .finish_non_exhaustive()
    }
}

/// A stream that counts the bytes of a body as they are sent.
pub(crate) struct Counted {
    content: BoxStream<'static, std::io::Result<Bytes>>,
    bytes: u64,
    /// The announced length, if known.
    total: Option<u64>,
    progress: Option<OnProgress>,
    /// The time when the last piece was sent.
    moved: Arc<Mutex<Instant>>,
}

impl Counted {
    /// Wraps `content`, whose length is `total` if known. The time of each piece is recorded
    /// in the returned clock.
    pub(crate) fn new(
        content: BoxStream<'static, std::io::Result<Bytes>>,
        total: Option<u64>,
        progress: Option<OnProgress>,
    ) -> (Self, Arc<Mutex<Instant>>) {
        let moved = Arc::new(Mutex::new(Instant::now()));
        let counted = Self {
            content,
            bytes: 0,
            total,
            progress,
            moved: Arc::clone(&moved),
        };
        (counted, moved)
    }
}

impl Stream for Counted {
    type Item = std::io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let piece = std::task::ready!(self.content.poll_next_unpin(cx));
        *self.moved.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        let wrong = |text: &str| {
            let error = std::io::Error::other(text.to_owned());
            Poll::Ready(Some(Err(std::io::Error::other(
                crate::transport::UploadFailed(error),
            ))))
        };
        match piece {
            Some(Ok(piece)) => {
                self.bytes += piece.len() as u64;
                if self.total.is_some_and(|total| self.bytes > total) {
                    return wrong("there is more to send than announced");
                }
                let progress = TransferProgress {
                    bytes: self.bytes,
                    total: self.total,
                };
                if let Some(listener) = &mut self.progress {
                    listener(progress);
                }
                Poll::Ready(Some(Ok(piece)))
            }
            Some(Err(error)) => {
                let error = std::io::Error::other(crate::transport::UploadFailed(error));
                Poll::Ready(Some(Err(error)))
            }
            None if self.total.is_some_and(|total| self.bytes < total) => {
                self.total = Some(self.bytes);
                wrong("there is less to send than announced")
            }
            None => Poll::Ready(None),
        }
    }
}

/// Waits until nothing was transferred for `idle`.
pub(crate) async fn stalled(moved: &Mutex<Instant>, idle: Duration) {
    loop {
        let last = *moved.lock().unwrap_or_else(PoisonError::into_inner);
        let deadline = last + idle;
        if Instant::now() >= deadline {
            return;
        }
        tokio::time::sleep_until(deadline).await;
    }
}

/// Logs in again if the session was lost. This is done before an upload, because its content
/// cannot be sent twice.
async fn ensure_session(client: &Client, datastore: &Datastore) -> Result<()> {
    client
        .try_get(datastore.reference(), props::datastore::NAME)
        .await
        .map(drop)
}

/// Requests a file, or a range of it. Like every read, the request is repeated within the
/// budget until a response begins, and once if it is refused because the session was lost in
/// between.
async fn get(
    client: &Client,
    datastore: &Datastore,
    path: &str,
    range: Option<&str>,
    direct: bool,
) -> Result<Result<Response, TransportError>> {
    let limit = client.inner.options.request_timeout;
    let mut backoff = Backoff::new(client.inner.options.retry);
    let mut was_refused = false;
    loop {
        let route = route(client, datastore, path, &Method::GET, direct).await?;
        let (transport, mut request) = request(route, Method::GET, Body::Empty, Some(limit));
        if let Some(range) = range {
            request.headers.push(("range", range.to_owned()));
        }
        let response = transport.send(request).await;
        let pause = match &response {
            Ok(response) if response.status == 401 && !was_refused => {
                was_refused = true;
                continue;
            }
            Ok(response) if matches!(response.status, 502..=504) => {
                response.retry_after.unwrap_or_default()
            }
            Err(error) if error.kind.is_passing() => Duration::ZERO,
            _ => return Ok(response),
        };
        if !backoff.again_after(pause).await {
            return Ok(response);
        }
    }
}

/// Returns the way to a file: to a host, if this is wanted and possible, else to the server.
async fn route(
    client: &Client,
    datastore: &Datastore,
    path: &str,
    method: &Method,
    direct: bool,
) -> Result<Route> {
    let url = folder_url(client, datastore, path)?;
    if direct && let Some(route) = direct::route(client, datastore, path, method).await {
        return Ok(route);
    }
    ensure_session(client, datastore).await?;
    Ok(Route {
        url,
        transport: Arc::clone(&client.inner.transport),
        cookie: client.inner.session.ticket().cookie,
    })
}

fn request(
    route: Route,
    method: Method,
    body: Body,
    limit: Option<Duration>,
) -> (Arc<dyn Transport>, Request) {
    let mut headers = Vec::new();
    if matches!(body, Body::Stream { .. }) {
        headers.push(("content-type", "application/octet-stream".to_owned()));
    }
    let request = Request {
        method,
        url: route.url,
        headers,
        cookie: route.cookie,
        body,
        limit,
    };
    (route.transport, request)
}

/// Returns the response if it is a success, otherwise an error. After a failure without a
/// response, it is known that nothing was changed only if the request `reads`.
fn judge(
    client: &Client,
    operation: &Operation,
    place: &DatastorePath,
    response: Result<Response, TransportError>,
    limit: Duration,
    reads: bool,
) -> Result<Response> {
    let outcome = match &response {
        Ok(response) => format!("status {}", response.status),
        Err(error) => format!("{:?}", error.kind),
    };
    tracing::debug!(
        server = client.server(),
        operation = operation.name(),
        outcome,
        "transfer"
    );
    match response {
        Ok(response) => match response.status {
            200..=299 => Ok(response),
            404 => Err(not_found(EntityKind::FileOrDirectory, place)),
            401 | 403 => Err(client.not_authenticated(operation, LoginProblem::NotPermitted, None)),
            status => {
                let failure = Failure::Status(status, response.retry_after);
                let known = reads || failure.is_refusal();
                Err(client
                    .inner
                    .explain(operation.clone(), failure, known, limit))
            }
        },
        Err(error) => {
            // If the source of an upload failed, it is known that the file is incomplete.
            let known = reads || error.kind == FailureKind::Source;
            let failure = Failure::Transport(error);
            Err(client
                .inner
                .explain(operation.clone(), failure, known, limit))
        }
    }
}

/// Returns `/folder/<path>`.
pub(super) fn folder_path(path: &str) -> Result<String> {
    let mut segments = String::from("/folder");
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        // Refuse `.` and `..`: a URL parser would resolve them, even if they are escaped.
        if matches!(segment, "." | "..") {
            return Err(Error::config(format!(
                "{path:?} is not a path on a datastore: it contains {segment:?}"
            )));
        }
        segments.push('/');
        segments.push_str(&encode(segment));
    }
    Ok(segments)
}

/// Returns `https://server/folder/<path>?dcPath=…&dsName=…`.
fn folder_url(client: &Client, datastore: &Datastore, path: &str) -> Result<Url> {
    let datacenter = datastore.datacenter().path().trim_start_matches('/');
    let query = format!(
        "dcPath={}&dsName={}",
        encode(datacenter),
        encode(datastore.name())
    );
    let mut url = client.inner.url.clone();
    url.set_path(&folder_path(path)?);
    url.set_query(Some(&query));
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_part_that_was_requested_is_taken() {
        assert!(begins_at(Some("bytes 100-199/300"), 100));
        assert!(begins_at(Some("bytes 100-199/*"), 100));
        for range in [
            None,
            Some(""),
            Some("bytes 0-199/300"),
            Some("bytes */300"),
            Some("bytes -100-199/300"),
            Some("bytes 99999999999999999999-1/2"),
            Some("items 100-199/300"),
        ] {
            assert!(!begins_at(range, 100), "{range:?}");
        }
    }
}
