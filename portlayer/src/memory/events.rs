//! Events of in-memory containers.

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::MemoryExec;
use crate::Result;
use crate::event::{Event, EventKind, Events};

/// The number of events that a subscriber may lag behind.
const BACKLOG: usize = 1024;

/// The events of the containers of a [`MemoryExec`]. Clones share the same source.
#[derive(Clone, Debug)]
pub struct MemoryEvents {
    exec: MemoryExec,
}

impl MemoryEvents {
    /// Returns the events of these containers.
    #[must_use]
    pub fn of(exec: MemoryExec) -> Self {
        Self { exec }
    }
}

#[async_trait]
impl Events for MemoryEvents {
    async fn subscribe(&self) -> Result<BoxStream<'static, Event>> {
        let receiver = self.exec.news().subscribe();
        let events = stream::unfold(receiver, |mut receiver| async move {
            let event = match receiver.recv().await {
                Ok(event) => event,
                Err(RecvError::Lagged(_)) => Event::new(Timestamp::now(), EventKind::Resync),
                Err(RecvError::Closed) => return None,
            };
            Some((event, receiver))
        });
        Ok(events.boxed())
    }
}

/// A publisher of events.
#[derive(Clone, Debug)]
pub(super) struct News(broadcast::Sender<Event>);

impl Default for News {
    fn default() -> Self {
        Self(broadcast::Sender::new(BACKLOG))
    }
}

impl News {
    pub(super) fn publish(&self, kind: EventKind) {
        // Without subscribers, the event is dropped.
        let _ = self.0.send(Event::new(Timestamp::now(), kind));
    }

    fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.0.subscribe()
    }
}
