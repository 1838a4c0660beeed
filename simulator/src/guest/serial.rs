//! The guest's end of a serial port.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::serial::Line;

/// The guest's end of a serial port.
///
/// The stream stays open from power-on to power-off, however often the
/// network side connects and disconnects:
///
/// - Without a connection, reads wait and written bytes are dropped, as on ESXi and
///   QEMU. Writes wait for the first connection attempt after power-on to
///   finish, so a peer that is already listening misses nothing.
/// - Each direction buffers 64 KiB; beyond that, writes wait for the peer.
/// - A port backed by a file appends to it synchronously: the bytes are in the
///   file when the write returns. Nothing can be read from such a port.
/// - After power-off, reads return the end of the stream and writes fail
///   with [`BrokenPipe`](io::ErrorKind::BrokenPipe). Bytes written before are
///   delivered for up to two more seconds.
///
/// All handles of a port share one stream: each byte is read once.
/// [`AsyncRead`] and [`AsyncWrite`] are cancel-safe; flush and shutdown do nothing.
pub struct SerialPort {
    line: Arc<Line>,
}

impl SerialPort {
    pub(crate) const fn new(line: Arc<Line>) -> Self {
        Self { line }
    }

    /// Returns whether the other end is connected. Always true for a file.
    #[must_use]
    pub fn carrier(&self) -> bool {
        *self.line.carrier().borrow()
    }

    /// Waits until [`carrier`](Self::carrier) returns `connected`, or the machine
    /// is powered off. Cancel-safe.
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
