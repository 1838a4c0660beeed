//! The clients whose input the process has not consumed yet.

use std::future::poll_fn;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, ready};

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use guest_io::ssh::client::Input;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::unconstrained;

use crate::stream::Source;

/// Maximum number of clients, including the attached one, whose input was not consumed yet. Each
/// has a buffer.
const CLIENTS: usize = 4;

/// The maximum number of bytes that are read from a client at once.
const PIECE: usize = 16 * 1024;

/// Counts the clients of a container whose input was not consumed yet.
#[derive(Debug)]
pub(super) struct Unread(watch::Sender<usize>);

/// The input of one client, counted until the process has consumed it.
#[derive(Debug)]
pub(super) struct UnreadInput {
    source: Source,
    /// The data that was read from the client before the input could be sent.
    kept: Bytes,
    _turn: Turn,
}

/// The place of one client among those that are counted.
#[derive(Debug)]
pub(super) struct Turn(watch::Sender<usize>);

impl Default for Unread {
    fn default() -> Self {
        Self(watch::Sender::new(0))
    }
}

impl Unread {
    /// `None` if too many clients have left input that the process does not read.
    pub(super) fn turn(&self) -> Option<Turn> {
        let added = self.0.send_if_modified(|count| {
            let has_room = *count < CLIENTS;
            *count += usize::from(has_room);
            has_room
        });
        added.then(|| Turn(self.0.clone()))
    }

    /// Waits until the process has consumed all input, or has ended. Cancel-safe.
    pub(super) async fn consumed(&self) {
        let mut count = self.0.subscribe();
        // The sender lives as long as `self`.
        drop(count.wait_for(|count| *count == 0).await);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count = count.saturating_sub(1));
    }
}

impl Turn {
    pub(super) fn input(self, source: Source) -> UnreadInput {
        UnreadInput {
            source,
            kept: Bytes::new(),
            _turn: self,
        }
    }
}

impl UnreadInput {
    /// Returns the input of a client that has detached or has closed it, to be sent later. `None` if
    /// there is nothing to send, or if the client may still write.
    pub(super) fn left(mut self) -> Option<Self> {
        let mut kept = BytesMut::from(&self.kept[..]);
        // The client's end has a buffer of limited size.
        while let Some(piece) = unconstrained(read(&mut self.source)).now_or_never()? {
            kept.extend_from_slice(&piece);
        }
        self.kept = kept.freeze();
        (!self.kept.is_empty() || self.source.closes()).then_some(self)
    }
}

/// The inputs that were not sent yet.
#[derive(Clone, Debug)]
pub(super) struct Queue(Arc<Mutex<mpsc::Receiver<UnreadInput>>>);

impl Queue {
    /// Returns the inputs that clients have left, once nothing is [fed](feed) any more.
    pub(super) async fn left(self) -> Vec<UnreadInput> {
        let mut inputs = self.0.lock().await;
        let unsent = std::iter::from_fn(|| inputs.try_recv().ok());
        unsent.filter_map(UnreadInput::left).collect()
    }
}

/// The inputs of the clients of a session, in the order in which they attached.
pub(super) fn inputs() -> (mpsc::Sender<UnreadInput>, Queue) {
    let (sender, receiver) = mpsc::channel(CLIENTS);
    (sender, Queue(Arc::new(Mutex::new(receiver))))
}

/// Copies the inputs of clients to a session, one after the other. Each of them counts until the
/// session has consumed it. If the session ends, the input that was being sent is lost.
pub(super) async fn feed(inputs: Queue, mut session: Input) {
    let mut inputs = inputs.0.lock().await;
    while let Some(mut input) = inputs.recv().await {
        while !input.kept.is_empty() {
            let piece = input.kept.split_to(input.kept.len().min(PIECE));
            if session.send(piece).await.is_err() {
                return;
            }
        }
        let source = &mut input.source;
        while let Some(piece) = read(source).await {
            if session.send(piece).await.is_err() {
                return;
            }
        }
        if source.closes() {
            // Ignore a session that has ended.
            let _ = session.close().await;
            return;
        }
        if session.consumed().await.is_err() {
            return;
        }
    }
}

/// Reads a piece; `None` after the client has closed or dropped its end. Holds no buffer while it
/// waits, because most clients write nothing most of the time.
async fn read(source: &mut Source) -> Option<Bytes> {
    poll_fn(|cx| {
        let mut space = [MaybeUninit::uninit(); PIECE];
        let mut buffer = ReadBuf::uninit(&mut space);
        let read = ready!(Pin::new(&mut source.data).poll_read(cx, &mut buffer));
        let piece = Bytes::copy_from_slice(buffer.filled());
        Poll::Ready((read.is_ok() && !piece.is_empty()).then_some(piece))
    })
    .await
}
