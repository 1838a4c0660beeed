//! Buffers between a guest and the backing of its serial port.

use std::fs::File;
use std::future::poll_fn;
use std::io::{self, Write as _};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::ReadBuf;
use tokio::sync::watch;

/// Buffer size of each direction.
const FLIGHT: usize = 64 << 10;

/// A serial line: the buffers of both directions and the far end.
#[derive(Debug)]
pub(crate) struct Line {
    state: Mutex<State>,
    carrier: watch::Sender<bool>,
}

#[derive(Debug)]
struct State {
    end: End,
    to_guest: BytesMut,
    from_guest: BytesMut,
    /// Set at power-off.
    closed: bool,
    wakers: Vec<Waker>,
}

/// The far end of a line.
#[derive(Debug)]
pub(crate) enum End {
    /// The first connection attempt is in progress.
    Unsettled,
    Nobody,
    Stream,
    File(File),
}

impl Line {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                end: End::Unsettled,
                to_guest: BytesMut::new(),
                from_guest: BytesMut::new(),
                closed: false,
                wakers: Vec::new(),
            }),
            carrier: watch::Sender::new(false),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn carrier(&self) -> watch::Receiver<bool> {
        self.carrier.subscribe()
    }

    /// Replaces the far end. Bytes that were not delivered to the previous one are dropped.
    pub(super) fn set(&self, end: End) {
        let connected = matches!(end, End::Stream | End::File(_));
        let mut state = self.lock();
        // Bytes written before the first connection attempt finished are kept for that
        // connection.
        if !matches!(state.end, End::Unsettled) {
            state.from_guest.clear();
        }
        state.end = end;
        wake(state);
        self.carrier.send_replace(connected);
    }

    /// Closes the line at power-off.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        wake(state);
    }

    /// Waits for power-off.
    pub(crate) async fn closed(&self) {
        poll_fn(|cx| {
            let mut state = self.lock();
            if state.closed {
                Poll::Ready(())
            } else {
                state.wait(cx)
            }
        })
        .await;
    }

    /// Waits for bytes from the guest; `None` after power-off.
    pub(super) async fn written(&self) -> Option<Bytes> {
        poll_fn(|cx| {
            let mut state = self.lock();
            if !state.from_guest.is_empty() {
                let bytes = state.from_guest.split().freeze();
                wake(state);
                Poll::Ready(Some(bytes))
            } else if state.closed {
                Poll::Ready(None)
            } else {
                state.wait(cx)
            }
        })
        .await
    }

    /// Buffers bytes for the guest, waiting while the buffer is full. Drops them after power-off.
    pub(super) async fn deliver(&self, mut bytes: &[u8]) {
        poll_fn(|cx| {
            let mut state = self.lock();
            if state.closed {
                return Poll::Ready(());
            }
            let room = FLIGHT.saturating_sub(state.to_guest.len()).min(bytes.len());
            let (now, later) = bytes.split_at(room);
            bytes = later;
            state.to_guest.extend_from_slice(now);
            if bytes.is_empty() {
                wake(state);
                return Poll::Ready(());
            }
            let waiting = state.wait(cx);
            if room > 0 {
                // This also wakes the current task, which polls again.
                wake(state);
            }
            waiting
        })
        .await;
    }

    pub(crate) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut state = self.lock();
        if !state.to_guest.is_empty() {
            let length = state.to_guest.len().min(buffer.remaining());
            buffer.put_slice(&state.to_guest[..length]);
            state.to_guest.advance(length);
            wake(state);
            return Poll::Ready(Ok(()));
        }
        if state.closed {
            return Poll::Ready(Ok(()));
        }
        state.wait(cx)
    }

    pub(crate) fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = self.lock();
        if state.closed {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        match &mut state.end {
            End::Nobody => return Poll::Ready(Ok(bytes.len())),
            // Write synchronously, so that the file is complete when clients see the machine
            // as off.
            End::File(file) => {
                let some = bytes.get(..FLIGHT).unwrap_or(bytes);
                if let Err(error) = file.write_all(some) {
                    tracing::warn!(%error, "the file of a serial port cannot be written");
                }
                return Poll::Ready(Ok(some.len()));
            }
            End::Unsettled => return state.wait(cx),
            End::Stream => {}
        }
        let room = FLIGHT.saturating_sub(state.from_guest.len());
        if room == 0 {
            return state.wait(cx);
        }
        let length = room.min(bytes.len());
        state.from_guest.extend_from_slice(&bytes[..length]);
        wake(state);
        Poll::Ready(Ok(length))
    }
}

impl State {
    fn wait<T>(&mut self, cx: &Context<'_>) -> Poll<T> {
        if !self.wakers.iter().any(|other| other.will_wake(cx.waker())) {
            self.wakers.push(cx.waker().clone());
        }
        Poll::Pending
    }
}

/// Wakes all waiting tasks after releasing the lock.
fn wake(mut state: MutexGuard<'_, State>) {
    let wakers = std::mem::take(&mut state.wakers);
    drop(state);
    for waker in wakers {
        waker.wake();
    }
}
