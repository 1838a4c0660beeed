//! Adapters for async callers: the functions of this crate block, so they run on a blocking
//! thread of tokio.

use std::fmt;
use std::future::Future;
use std::io::{self, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::{Error, Monitor};

/// Size of the chunks between the threads in bytes.
const CHUNK: usize = 128 << 10;
/// Number of chunks that wait for the reader.
const QUEUE: usize = 4;

/// Runs a blocking operation of this crate, such as [`Merge::layer`](crate::Merge::layer), on a
/// blocking thread.
///
/// Dropping the future cancels `monitor`, and with it the operation, which ends soon after in the
/// background. Use a separate monitor for operations that must continue.
///
/// ```no_run
/// # async fn example() -> Result<(), disk_image::Error> {
/// use std::sync::Arc;
/// use disk_image::{FileLayer, LayerDigests, Limits, Merge, Monitor, run_blocking};
///
/// let merge = run_blocking(&Monitor::new(), |monitor| {
///     let mut merge = Merge::new(Limits::default());
///     let layer = Arc::new(FileLayer::new("layer.tar.gz"));
///     merge.layer(layer, LayerDigests::none(), monitor)?;
///     Ok(merge)
/// })
/// .await?;
/// # drop(merge);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// The error of the operation; [`Error::Cancelled`] if the runtime is shut down.
///
/// # Panics
/// If there is no tokio runtime, or the operation panics.
pub async fn run_blocking<T: Send + 'static>(
    monitor: &Monitor,
    operation: impl FnOnce(&Monitor) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let mut cancel = CancelOnDrop(Some(monitor.clone()));
    let monitor = monitor.clone();
    let span = tracing::Span::current();
    let done = spawn_blocking(move || span.in_scope(|| operation(&monitor))).await;
    cancel.0 = None;
    match done {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(Error::Cancelled),
        },
    }
}

/// Cancels an operation unless it has finished.
struct CancelOnDrop(Option<Monitor>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if let Some(monitor) = &self.0 {
            monitor.cancel();
        }
    }
}

/// The output of a blocking operation as a stream of bytes, for example as the body of an upload.
///
/// The operation runs on a blocking thread, at most about 640 KiB ahead of the reader. Its error,
/// an [`Error`] inside of the [`io::Error`], is returned after everything that it wrote, and again
/// by all further reads: an incomplete stream never ends like a complete one. Dropping the stream
/// cancels the operation through its monitor.
///
/// ```no_run
/// # async fn example(plan: disk_image::Plan) -> std::io::Result<()> {
/// use disk_image::{ByteStream, Monitor, StreamOptions};
///
/// let mut disk = ByteStream::new(&Monitor::new(), move |out, monitor| {
///     plan.write_stream_optimized(out, &StreamOptions::new(), monitor)?;
///     Ok(())
/// });
/// tokio::io::copy(&mut disk, &mut tokio::io::sink()).await?;
/// # Ok(())
/// # }
/// ```
pub struct ByteStream {
    chunks: mpsc::Receiver<Vec<u8>>,
    chunk: Vec<u8>,
    /// Number of bytes of the chunk that were already read.
    read: usize,
    state: State,
    cancel: CancelOnDrop,
}

enum State {
    Running(JoinHandle<Result<(), Error>>),
    Complete,
    Failed,
}

impl ByteStream {
    /// Starts the operation `write`, which writes the bytes of the stream.
    ///
    /// # Panics
    /// If there is no tokio runtime.
    pub fn new(
        monitor: &Monitor,
        write: impl FnOnce(&mut dyn Write, &Monitor) -> Result<(), Error> + Send + 'static,
    ) -> Self {
        let (sender, chunks) = mpsc::channel(QUEUE);
        let cancel = CancelOnDrop(Some(monitor.clone()));
        let monitor = monitor.clone();
        let span = tracing::Span::current();
        let task = spawn_blocking(move || {
            let _entered = span.entered();
            let mut out = Chunks {
                sender,
                chunk: Vec::new(),
            };
            write(&mut out, &monitor)?;
            out.flush().map_err(Error::Write)
        });
        Self {
            chunks,
            chunk: Vec::new(),
            read: 0,
            state: State::Running(task),
            cancel,
        }
    }

    /// Returns the outcome of the operation, after its last chunk.
    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = match &mut self.state {
            State::Running(task) => ready!(Pin::new(task).poll(context)),
            State::Complete => return Poll::Ready(Ok(())),
            State::Failed => return Poll::Ready(Err(io::Error::other("the stream has failed"))),
        };
        self.cancel.0 = None;
        let outcome = match outcome {
            Ok(written) => written.map_err(io::Error::other),
            Err(error) => Err(io::Error::other(error)),
        };
        self.state = match outcome {
            Ok(()) => State::Complete,
            Err(_) => State::Failed,
        };
        Poll::Ready(outcome)
    }
}

impl AsyncRead for ByteStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        while this.read == this.chunk.len() {
            match ready!(this.chunks.poll_recv(context)) {
                Some(chunk) => (this.chunk, this.read) = (chunk, 0),
                None => return this.poll_end(context),
            }
        }
        let now = buf.remaining().min(this.chunk.len() - this.read);
        buf.put_slice(&this.chunk[this.read..this.read + now]);
        this.read += now;
        Poll::Ready(Ok(()))
    }
}

impl fmt::Debug for ByteStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Running(_) => "running",
            State::Complete => "complete",
            State::Failed => "failed",
        };
        f.debug_struct("ByteStream")
            .field("state", &state)
            .finish_non_exhaustive()
    }
}

/// Collects what is written into chunks, and waits while the queue is full.
struct Chunks {
    sender: mpsc::Sender<Vec<u8>>,
    chunk: Vec<u8>,
}

impl Write for Chunks {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if self.chunk.len() == CHUNK {
            self.flush()?;
        }
        if self.chunk.is_empty() {
            self.chunk.reserve_exact(CHUNK);
        }
        let now = buf.len().min(CHUNK - self.chunk.len());
        self.chunk.extend_from_slice(&buf[..now]);
        Ok(now)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        let chunk = std::mem::take(&mut self.chunk);
        let sent = self.sender.blocking_send(chunk);
        sent.map_err(|_| io::Error::new(io::ErrorKind::BrokenPipe, "the stream was dropped"))
    }
}
