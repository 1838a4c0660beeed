//! Events: what happens on a virtual container host.

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use jiff::Timestamp;
use serde::Serialize;

use crate::{ContainerId, ExitStatus, Resource, Result};

/// The events of one virtual container host, no matter who caused them.
#[async_trait]
pub trait Events: std::fmt::Debug + Send + Sync + 'static {
    /// Returns the events from now on.
    ///
    /// Events of one container come in their order. A subscriber that does not keep up, or a back
    /// end that lost its connection, yields [`EventKind::Resync`] in place of what was missed: the
    /// subscriber then lists what it cares about again.
    ///
    /// # Errors
    /// Only those that concern the whole back end.
    async fn subscribe(&self) -> Result<BoxStream<'static, Event>>;
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Event {
    /// When it was noticed.
    pub time: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

impl Event {
    /// This happened at this time.
    #[must_use]
    pub fn new(time: Timestamp, kind: EventKind) -> Self {
        Self { time, kind }
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum EventKind {
    /// A container was created.
    Created {
        /// Which.
        container: ContainerId,
    },
    /// Its process started.
    Started {
        /// Which.
        container: ContainerId,
    },
    /// It stopped.
    Stopped {
        /// Which.
        container: ContainerId,
        /// How its process ended.
        exit: ExitStatus,
    },
    /// Its name, labels or other settings changed.
    Updated {
        /// Which.
        container: ContainerId,
    },
    /// It was removed.
    Removed {
        /// Which.
        container: ContainerId,
    },
    /// Something cannot be read any more, or can be again.
    Health {
        /// What.
        resource: Resource,
        /// The reason; `None`: it can be read again.
        reason: Option<String>,
    },
    /// Events were missed: list again.
    Resync,
}
