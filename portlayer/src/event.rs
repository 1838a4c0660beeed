//! Events on a virtual container host.

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use jiff::Timestamp;
use serde::Serialize;

use crate::{ContainerId, ExitStatus, Resource, Result};

/// The source of events on one virtual container host, whatever their cause.
#[async_trait]
pub trait Events: std::fmt::Debug + Send + Sync + 'static {
    /// Subscribes to the events from now on.
    ///
    /// Events of one container arrive in order. A subscriber that does not keep up, or a back end
    /// that lost its connection, yields [`EventKind::Resync`] in place of the missed events: the
    /// subscriber then has to list the containers again.
    ///
    /// # Errors
    /// Returns only errors that affect the whole back end.
    async fn subscribe(&self) -> Result<BoxStream<'static, Event>>;
}

/// An event on a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Event {
    /// The time when the event was observed.
    pub time: Timestamp,
    /// The kind of the event.
    #[serde(flatten)]
    pub kind: EventKind,
}

impl Event {
    /// Creates an event with this time and kind.
    #[must_use]
    pub fn new(time: Timestamp, kind: EventKind) -> Self {
        Self { time, kind }
    }
}

/// The kind of an [`Event`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum EventKind {
    /// A container was created.
    Created {
        /// The container.
        container: ContainerId,
    },
    /// A container's process started.
    Started {
        /// The container.
        container: ContainerId,
    },
    /// A container stopped.
    Stopped {
        /// The container.
        container: ContainerId,
        /// How the container's process ended.
        exit: ExitStatus,
    },
    /// A container's name, labels or other settings changed.
    Updated {
        /// The container.
        container: ContainerId,
    },
    /// A container was removed.
    Removed {
        /// The container.
        container: ContainerId,
    },
    /// A resource became unreadable, or readable again.
    Health {
        /// The resource.
        resource: Resource,
        /// The reason why it is unreadable; `None` when it is readable again.
        reason: Option<String>,
    },
    /// Events were missed: the subscriber has to list the containers again.
    Resync,
}
