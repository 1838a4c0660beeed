//! The events of `docker events`, as far as this front end observes them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::broadcast;

use crate::request::Filters;

/// The number of events buffered for a slow client, which loses the oldest beyond that.
const BUFFER: usize = 1024;

/// An event, as `docker events` shows it.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    /// `container`, `image` or `network`.
    pub(crate) kind: &'static str,
    pub(crate) action: &'static str,
    pub(crate) id: String,
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) time: Timestamp,
}

impl Event {
    pub(crate) fn json(&self) -> Value {
        let mut json = json!({
            "Type": self.kind,
            "Action": self.action,
            "Actor": { "ID": self.id, "Attributes": self.attributes },
            "scope": "local",
            "time": self.time.as_second(),
            "timeNano": i64::try_from(self.time.as_nanosecond()).unwrap_or(i64::MAX),
        });
        // Clients before API 1.22 read these fields instead of `Actor`.
        if self.kind == "container" {
            json["status"] = self.action.into();
            json["id"] = self.id.clone().into();
            json["from"] = self.attributes.get("image").cloned().into();
        }
        json
    }

    /// Returns whether the event passes the filters of `docker events`.
    pub(crate) fn fits(&self, filters: &Filters) -> bool {
        let is_named = |wanted: &str| {
            self.id.starts_with(wanted)
                || self
                    .attributes
                    .get("name")
                    .is_some_and(|name| name == wanted)
        };
        filters.fits("type", |kind| kind == self.kind)
            && filters.fits("event", |action| action == self.action)
            && filters.fits("container", |wanted| {
                self.kind == "container" && is_named(wanted)
            })
            && filters.fits("image", |wanted| {
                (self.kind == "image" && is_named(wanted))
                    || self
                        .attributes
                        .get("image")
                        .is_some_and(|image| image == wanted)
            })
            && filters.fits("network", |wanted| {
                self.kind == "network" && is_named(wanted)
            })
            && filters.fits_labels(&self.attributes)
    }
}

/// Distributes events to all subscribers.
#[derive(Debug)]
pub(crate) struct Bus(broadcast::Sender<Event>);

impl Default for Bus {
    fn default() -> Self {
        Self(broadcast::channel(BUFFER).0)
    }
}

impl Bus {
    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.0.subscribe()
    }

    pub(crate) fn publish(
        &self,
        kind: &'static str,
        action: &'static str,
        id: impl ToString,
        attributes: impl IntoIterator<Item = (String, String)>,
    ) {
        // An error means that there are no subscribers.
        let _ = self.0.send(Event {
            kind,
            action,
            id: id.to_string(),
            attributes: attributes.into_iter().collect(),
            time: Timestamp::now(),
        });
    }
}
