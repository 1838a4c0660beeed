//! The guest's end of a serial port.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::serial::Line;

/// The guest's end of a serial port: a stream of bytes without beginning or end.
///
/// The stream outlives what is at its other end. While nobody is connected,
/// reading waits, and bytes that are written are dropped, as a wire into the
/// air drops them; hosts do the same. Writing waits until the first attempt to
/// connect after power-on has ended, so that a listener that is there misses
/// nothing, and it waits for a slow reader: 64 KiB are in flight each way. A port that writes to
/// a file of the datastore has each byte in the file when the write returns;
/// it never has anything to read.
///
/// Once the machine is off, reading gives the end and writing fails with
/// [`BrokenPipe`](io::ErrorKind::BrokenPipe). Bytes that were written before are
/// still delivered, for up to two seconds.
///
/// Several handles of one port share its bytes: each byte is read once.
/// Reading and writing are cancel-safe as [`AsyncRead`] and [`AsyncWrite`] demand.
pub struct SerialPort {
    line: Arc<Line>,
}

impl SerialPort {
    pub(crate) const fn new(line: Arc<Line>) -> Self {
        Self { line }
    }

    /// Whether somebody is connected at the other end (a file always is).
    #[must_use]
    pub fn carrier(&self) -> bool {
        *self.line.carrier().borrow()
    }

    /// Waits until [`carrier`](Self::carrier) has a value; returns at once if
    /// it has. Returns too when the machine goes off. Cancel-safe.
    pub async fn carrier_is(&self, connected: bool) {
        let mut carrier = self.line.carrier();
        tokio::select! {
            _ = carrier.wait_for(|now| *now == connected) => {}
            () = self.line.closed() => {}
        }
    }
}

impl fmt::Debug for SerialPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SerialPort")
            .field("carrier", &self.carrier())
            .finish()
    }
}

impl AsyncRead for SerialPort {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.line.poll_read(cx, buffer)
    }
}

impl AsyncWrite for SerialPort {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.line.poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
