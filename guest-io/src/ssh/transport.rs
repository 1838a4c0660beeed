//! The byte stream below SSH.
//!
//! [`Transport`] owns the stream of a line and lends it to one SSH connection after
//! another. It adds three things that `russh` lacks:
//!
//! - It queues writes. `russh` does not read while a write is blocked, so two
//!   ends that both write more than the line buffers would deadlock.
//!   The queue is bounded by the windows of the sessions; beyond [`MAX_QUEUE`], writes
//!   block.
//! - The guest's end of a line outlives its SSH connections. At the end of a connection, the
//!   stream is taken back, not shut down.
//! - A serial line does not report that the other end was replaced. A new host starts with a
//!   [handshake](crate::handshake): two SYNs, each alone between two pauses.
//!   Then the current connection is closed.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use crate::handshake::SYN;

/// The maximum size of the queue in bytes: the windows of all sessions of a line.
const MAX_QUEUE: usize = super::MAX_CHANNELS * super::WINDOW as usize;

/// The minimum pause before a SYN that starts a new handshake.
const PAUSE: Duration = Duration::from_millis(100);

/// What happens to the stream at the end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AtEnd {
    /// It stays open for the next connection.
    Keep,
    /// It is shut down.
    ShutDown,
}

/// Owns a stream; ends the lease when dropped.
#[derive(Debug)]
pub(super) struct Transport<S> {
    shared: Arc<Mutex<Shared<S>>>,
}

/// The stream, as lent to one connection.
#[derive(Debug)]
pub(super) struct Lease<S> {
    shared: Arc<Mutex<Shared<S>>>,
    number: u64,
    at_end: AtEnd,
}

#[derive(Debug)]
struct Shared<S> {
    /// `None` once it was closed.
    io: Option<S>,
    /// The bytes that were read from the stream, but not by a lease yet.
    input: BytesMut,
    output: BytesMut,
    lease: u64,
    /// The connection has shut down its end.
    done: bool,
    /// Another host has started a handshake.
    renewed: bool,
    renewal: Renewal,
    reader: Option<Waker>,
}

impl<S> Transport<S> {
    pub(super) fn new(io: S) -> Self {
        Self {
            shared: Arc::new(Mutex::new(Shared {
                io: Some(io),
                input: BytesMut::new(),
                output: BytesMut::new(),
                lease: 0,
                done: false,
                renewed: false,
                renewal: Renewal::default(),
                reader: None,
            })),
        }
    }

    /// Lends the stream; the previous lease ends.
    pub(super) fn lend(&self, at_end: AtEnd) -> Lease<S> {
        let mut shared = lock(&self.shared);
        shared.end_lease();
        Lease {
            shared: Arc::clone(&self.shared),
            number: shared.lease,
            at_end,
        }
    }

    /// Ends the lease: its reads and writes fail from now on.
    pub(super) fn take_back(&self) {
        lock(&self.shared).end_lease();
    }

    /// Ends the lease, and drops the stream.
    pub(super) fn close(&self) {
        let mut shared = lock(&self.shared);
        shared.io = None;
        shared.end_lease();
    }

    /// Returns bytes to the stream, for the next reader.
    pub(super) fn put_back(&self, bytes: &[u8]) {
        let mut shared = lock(&self.shared);
        let rest = shared.input.split();
        shared.input.extend_from_slice(bytes);
        shared.input.extend_from_slice(&rest);
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Transport<S> {
    /// Reads some bytes; returns 0 at the end of the stream. The queue is written
    /// concurrently. Cancel safe.
    pub(super) async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        std::future::poll_fn(|cx| {
            let mut buffer = ReadBuf::new(buffer);
            ready!(lock(&self.shared).poll_read(cx, &mut buffer, false))?;
            Poll::Ready(Ok(buffer.filled().len()))
        })
        .await
    }

    /// Queues bytes and writes as many as the stream accepts immediately; `read` writes the rest.
    pub(super) async fn write(&self, bytes: &[u8]) -> io::Result<()> {
        std::future::poll_fn(|cx| lock(&self.shared).poll_write(cx, bytes)).await?;
        Ok(())
    }
}

impl<S> Drop for Transport<S> {
    fn drop(&mut self) {
        self.take_back();
    }
}

impl<S> Shared<S> {
    fn end_lease(&mut self) {
        self.lease += 1;
        self.done = false;
        if self.renewed {
            // Discard the output for the previous host.
            self.output.clear();
            self.renewed = false;
        }
        self.renewal = Renewal::default();
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Shared<S> {
    /// Writes as much of the queue as the stream accepts.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.output.is_empty() {
            let io = open(&mut self.io)?;
            let n = ready!(io.poll_write(cx, &self.output))?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.output.advance(n);
        }
        if self.output.capacity() > 64 * 1024 {
            self.output = BytesMut::new();
        }
        open(&mut self.io)?.poll_flush(cx)
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        // The next read reports the error too.
        let drained = self.poll_drain(cx)?;
        let mut written = 0;
        if drained.is_ready()
            && let Poll::Ready(n) = open(&mut self.io)?.poll_write(cx, bytes)?
        {
            written = n;
        }
        if self.output.len() > MAX_QUEUE && written == 0 {
            return Poll::Pending;
        }
        self.output.extend_from_slice(&bytes[written..]);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
        watch: bool,
    ) -> Poll<io::Result<()>> {
        // Registers for both: russh polls its reader whenever it is idle.
        let _pending = self.poll_drain(cx)?;
        if !self.input.is_empty() {
            let n = self.input.len().min(buffer.remaining());
            buffer.put_slice(&self.input.split_to(n));
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        ready!(open(&mut self.io)?.poll_read(cx, buffer))?;
        let read = &buffer.filled()[before..];
        if watch && let Some(position) = self.renewal.observe(read, Instant::now()) {
            // The handshake continues after the SYN.
            self.renewed = true;
            self.input.extend_from_slice(&[SYN, position]);
            buffer.set_filled(before);
            return Poll::Ready(Err(io::Error::new(
                io::ErrorKind::ConnectionAborted,
                "the host has started a new handshake",
            )));
        }
        Poll::Ready(Ok(()))
    }
}

fn lock<S>(shared: &Mutex<Shared<S>>) -> MutexGuard<'_, Shared<S>> {
    shared.lock().unwrap_or_else(|e| e.into_inner())
}

fn open<S: Unpin>(io: &mut Option<S>) -> io::Result<Pin<&mut S>> {
    io.as_mut()
        .map(Pin::new)
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotConnected, "the line was closed"))
}

fn taken_back() -> io::Error {
    io::Error::new(
        io::ErrorKind::ConnectionAborted,
        "another connection has replaced this one",
    )
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Lease<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut shared = lock(&self.shared);
        if shared.lease != self.number {
            return Poll::Ready(Err(taken_back()));
        }
        if shared.done {
            return Poll::Ready(Ok(()));
        }
        shared.reader = Some(cx.waker().clone());
        shared.poll_read(cx, buffer, self.at_end == AtEnd::Keep)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Lease<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut shared = lock(&self.shared);
        if shared.lease != self.number {
            return Poll::Ready(Err(taken_back()));
        }
        shared.poll_write(cx, bytes)
    }

    /// Does not wait: the reader writes the queue.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut shared = lock(&self.shared);
        if shared.lease != self.number {
            return Poll::Ready(Err(taken_back()));
        }
        let _pending = shared.poll_drain(cx)?;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut shared = lock(&self.shared);
        if shared.lease != self.number {
            return Poll::Ready(Ok(()));
        }
        shared.done = true;
        match self.at_end {
            AtEnd::Keep => Poll::Ready(Ok(())),
            AtEnd::ShutDown => {
                ready!(shared.poll_drain(cx))?;
                open(&mut shared.io)?.poll_shutdown(cx)
            }
        }
    }
}

/// Detects the start of a new handshake within a connection.
#[derive(Debug, Default)]
struct Renewal {
    last: Option<Instant>,
    /// A SYN was read without its position, which may follow.
    half: bool,
    /// The number of consecutive SYNs.
    seen: u8,
}

impl Renewal {
    /// Processes a read, and returns the position of the second of two consecutive SYNs, each
    /// without other data and after a pause.
    fn observe(&mut self, read: &[u8], now: Instant) -> Option<u8> {
        let paused = self.last.is_none_or(|last| now - last >= PAUSE);
        self.last = Some(now);
        let position = match *read {
            [SYN, position] if paused => Some(position),
            [SYN] if paused => {
                self.half = true;
                return None;
            }
            [position] if self.half => Some(position),
            _ => None,
        };
        self.half = false;
        if position.is_none() {
            self.seen = 0;
            return None;
        }
        self.seen += 1;
        position.filter(|_| self.seen >= 2)
    }
}
