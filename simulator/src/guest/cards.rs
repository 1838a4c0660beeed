//! Network cards of a machine that is on, as reconfigurations change them.

use std::sync::Arc;

use tokio::sync::watch;
use vim25::Poly;
use vim25::types::VirtualDevice;

use super::hardware::GuestNic;
use crate::device::{Devices, Kind};

/// The network cards of one machine, from power-on to power-off.
#[derive(Clone, Debug)]
pub(crate) struct Cards(Arc<watch::Sender<Vec<GuestNic>>>);

impl Cards {
    /// Creates the cards of a machine that is being powered on.
    pub(crate) fn new(devices: &Devices) -> Self {
        Self(Arc::new(watch::Sender::new(nics(devices))))
    }

    /// Updates the cards after a reconfiguration.
    pub(crate) fn rewire(&self, devices: &Devices) {
        let new = nics(devices);
        self.0.send_if_modified(|old| {
            let changed = *old != new;
            *old = new;
            changed
        });
    }

    pub(super) fn now(&self) -> Vec<GuestNic> {
        self.0.borrow().clone()
    }

    /// Waits until the cards differ from `seen`. Cancel-safe.
    pub(super) async fn changed(&self, seen: &[GuestNic]) -> Vec<GuestNic> {
        let mut cards = self.0.subscribe();
        let changed = cards.wait_for(|now| now != seen).await;
        match changed.map(|now| now.clone()) {
            Ok(now) => now,
            // Unreachable: `self` holds the sender.
            Err(_) => std::future::pending().await,
        }
    }
}

/// Returns the network cards among the devices of a machine, ordered by key.
pub(super) fn nics<'a>(
    devices: impl IntoIterator<Item = &'a Poly<VirtualDevice>>,
) -> Vec<GuestNic> {
    let cards = devices.into_iter();
    let cards = cards.filter(|device| Kind::of(device) == Kind::Network);
    let mut nics: Vec<_> = cards.map(GuestNic::of).collect();
    nics.sort_by_key(|nic| nic.key);
    nics
}
