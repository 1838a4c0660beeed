//! A virtual switch: transfers Ethernet frames between the network cards of containers.
//!
//! Each port group is a segment. A frame reaches only cards of its own segment: the one with its
//! destination, or all of them if it is a broadcast, a multicast, or its destination is unknown.
//!
//! Guests are untrusted. Frames are not stored: each one is read from the card of its sender and
//! written at once to those of its receivers, whose queues are the kernel's and bounded. What does
//! not fit is dropped, as are frames that exceed the MTU of either card. The addresses that a card can
//! make the switch remember are bounded, and none can take the address of another card.

mod card;
mod frame;
mod table;

pub(crate) use card::Card;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use card::Tap;
use frame::Frame;
use table::{PortId, Table, Target};

/// All segments.
#[derive(Debug, Default)]
pub(crate) struct Switch(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    last: PortId,
    segments: HashMap<String, Segment>,
}

/// The connected cards of a port group.
#[derive(Debug, Default)]
struct Segment {
    table: Table,
    taps: HashMap<PortId, Arc<Tap>>,
}

/// A card's connection to a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Plug {
    segment: String,
    port: PortId,
}

impl Switch {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connect(&self, segment: &str, tap: &Arc<Tap>) -> Plug {
        let mut state = self.state();
        state.last += 1;
        let port = state.last;
        let connected = state.segments.entry(segment.to_owned()).or_default();
        connected.table.connect(port, tap.mac());
        connected.taps.insert(port, Arc::clone(tap));
        let segment = segment.to_owned();
        Plug { segment, port }
    }

    fn disconnect(&self, plug: &Plug) {
        let mut state = self.state();
        if let Some(segment) = state.segments.get_mut(&plug.segment) {
            segment.table.disconnect(plug.port);
            segment.taps.remove(&plug.port);
            if segment.taps.is_empty() {
                state.segments.remove(&plug.segment);
            }
        }
    }

    /// Delivers a frame that a card sent.
    fn forward(&self, plug: &Plug, bytes: &[u8]) {
        let Some(frame) = Frame::parse(bytes) else {
            return;
        };
        // Written without the lock.
        for tap in self.receivers(plug, &frame) {
            tap.deliver(bytes);
        }
    }

    fn receivers(&self, plug: &Plug, frame: &Frame) -> Vec<Arc<Tap>> {
        let mut state = self.state();
        // The card may have been disconnected in the meantime.
        let Some(segment) = state.segments.get_mut(&plug.segment) else {
            return Vec::new();
        };
        match segment.table.target(plug.port, frame) {
            Target::Nobody => Vec::new(),
            Target::Port(port) => segment.taps.get(&port).cloned().into_iter().collect(),
            Target::Others => {
                let others = segment.taps.iter().filter(|(port, _)| **port != plug.port);
                others.map(|(_, tap)| Arc::clone(tap)).collect()
            }
        }
    }

    /// Returns the number of connected cards.
    #[cfg(test)]
    fn ports(&self) -> usize {
        let state = self.state();
        state
            .segments
            .values()
            .map(|segment| segment.taps.len())
            .sum()
    }
}

#[cfg(test)]
mod tests;
