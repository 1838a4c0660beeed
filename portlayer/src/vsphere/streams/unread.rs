//! The clients whose input the process has not consumed yet.

use bytes::{Bytes, BytesMut};
use guest_io::ssh::client::Input;
use tokio::io::AsyncReadExt;
use tokio::sync::{mpsc, watch};

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
            _turn: self,
        }
    }
}

/// The inputs of the clients of a session, in the order in which they attached.
pub(super) fn inputs() -> (mpsc::Sender<UnreadInput>, mpsc::Receiver<UnreadInput>) {
    mpsc::channel(CLIENTS)
}

/// Copies the inputs of clients to a session, one after the other. Each of them counts until the
/// session has consumed it.
pub(super) async fn feed(mut inputs: mpsc::Receiver<UnreadInput>, mut session: Input) {
    while let Some(mut input) = inputs.recv().await {
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

/// Reads a piece; `None` after the client has closed or dropped its end.
async fn read(source: &mut Source) -> Option<Bytes> {
    let mut buffer = BytesMut::with_capacity(PIECE);
    match source.data.read_buf(&mut buffer).await {
        Ok(0) | Err(_) => None,
        Ok(_) => Some(buffer.freeze()),
    }
}
