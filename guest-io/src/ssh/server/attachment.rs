//! The session's end of an attachment.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use crate::Stream;
use crate::ssh::Exit;
use crate::ssh::credit::Arrived;

/// The streams of a session that a host is attached to.
#[derive(Debug)]
#[non_exhaustive]
pub struct Attachment {
    /// The input from the host.
    pub stdin: Stdin,
    /// The output to the host.
    pub output: Output,
}

/// The error when the host has detached or the line was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the host has detached")]
pub struct Detached;

/// An input event from the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StdinEvent {
    /// Input, never empty.
    Data(Bytes),
    /// The host closed the session's standard input.
    Close,
}

/// The input of a session. At most [`WINDOW`](crate::ssh::WINDOW) bytes are buffered.
#[derive(Debug)]
pub struct Stdin {
    /// Bounded by the window.
    pub(super) events: mpsc::UnboundedReceiver<StdinEvent>,
    pub(super) arrived: Arc<Arrived>,
    /// Bounded by the window: the host sends only what was granted.
    pub(super) grants: mpsc::UnboundedSender<u32>,
}

impl Stdin {
    /// Waits for input; `None` when the host has detached, which does not close the
    /// session's standard input.
    ///
    /// Cancel safe.
    pub async fn next(&mut self) -> Option<StdinEvent> {
        let event = self.events.recv().await?;
        if let StdinEvent::Data(data) = &event
            && let Some(grant) = self.arrived.consume_and_confirm(data.len())
        {
            // Fails only if the connection has ended.
            let _ = self.grants.send(grant);
        }
        Some(event)
    }
}

/// Sends the output of a session to the host. Clones send to the same host.
#[derive(Debug, Clone)]
pub struct Output {
    pub(super) items: mpsc::Sender<Item>,
}

#[derive(Debug)]
pub(super) enum Item {
    Data(Stream, Bytes),
    /// Dropping the sender signals that the host has received it.
    Exit(Exit, oneshot::Sender<()>),
}

impl Output {
    /// Sends a chunk of output; waits if the host does not keep up.
    ///
    /// Cancel safe: either the whole chunk is sent or nothing.
    ///
    /// # Errors
    ///
    /// [`Detached`]; the chunk may or may not have reached the host.
    pub async fn send(&self, stream: Stream, data: Bytes) -> Result<(), Detached> {
        if data.is_empty() {
            return Ok(());
        }
        self.items
            .send(Item::Data(stream, data))
            .await
            .map_err(|_| Detached)
    }

    /// Reports how the session's process ended, after all of its output. Waits until the host
    /// has received everything, but at most 5 seconds after the last byte was sent. A client that
    /// has attached with `attach ID` has received everything when it disconnects.
    ///
    /// # Errors
    ///
    /// [`Detached`] if the host has already detached.
    pub async fn finish(self, exit: Exit) -> Result<(), Detached> {
        let (held, released) = oneshot::channel();
        self.items
            .send(Item::Exit(exit, held))
            .await
            .map_err(|_| Detached)?;
        let _released = released.await;
        Ok(())
    }

    /// Waits until the host has detached.
    pub async fn detached(&self) {
        self.items.closed().await;
    }
}
