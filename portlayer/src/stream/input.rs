//! A process's input as its one holder sees it.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncWrite, DuplexStream};
use tokio::sync::mpsc;

use super::Input;

/// Buffer size for input, in bytes.
const BUFFER: usize = 64 * 1024;

/// A guard for exclusive use of a container's input.
pub(crate) struct Hold(Arc<AtomicBool>);

impl Hold {
    /// `None` if another caller has it.
    pub(crate) fn take(held: &Arc<AtomicBool>) -> Option<Self> {
        let taken = held.swap(true, Ordering::AcqRel);
        (!taken).then(|| Self(Arc::clone(held)))
    }

    /// Creates the caller's end of the input, and the other end. `presence` is dropped with the
    /// caller's end.
    pub(crate) fn into_input(self, presence: Option<mpsc::Sender<Infallible>>) -> (Input, Source) {
        let (near, far) = tokio::io::duplex(BUFFER);
        let closes = Arc::new(AtomicBool::new(false));
        let source = Source {
            data: far,
            closes: Arc::clone(&closes),
        };
        let input = HeldInput {
            data: near,
            closes,
            _hold: self,
            _presence: presence,
        };
        (Box::pin(input), source)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// The bytes that a holder writes.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) data: DuplexStream,
    closes: Arc<AtomicBool>,
}

impl Source {
    /// Returns whether the end of its data closes the process's input.
    pub(crate) fn closes(&self) -> bool {
        self.closes.load(Ordering::Acquire)
    }
}

struct HeldInput {
    data: DuplexStream,
    closes: Arc<AtomicBool>,
    _hold: Hold,
    _presence: Option<mpsc::Sender<Infallible>>,
}

impl AsyncWrite for HeldInput {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.data).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.data).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.closes.store(true, Ordering::Release);
        Pin::new(&mut self.data).poll_shutdown(cx)
    }
}
