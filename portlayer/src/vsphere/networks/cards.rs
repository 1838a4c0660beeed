//! Computes the changes of a container's network cards.

use std::collections::BTreeMap;

use guestinfo::Dialect;
use vim25::Poly;
use vim25::types::{
    VirtualDevice, VirtualDeviceBackingInfo, VirtualDeviceConfigSpec, VirtualDevicePciBusSlotInfo,
    VirtualEthernetCard,
};

use crate::network::table::Segment;
use crate::network::{EndpointInfo, MacAddress};
use crate::vsphere::hardware;

/// A network card of a container.
#[derive(Clone, Debug)]
pub(in crate::vsphere) struct Card {
    pub(in crate::vsphere) backing: Poly<VirtualDeviceBackingInfo>,
    /// The MAC address; `None`: the endpoint generates one.
    pub(in crate::vsphere) mac: Option<MacAddress>,
    /// The PCI slot, by which the guest identifies the card.
    pub(in crate::vsphere) slot: i32,
}

/// Iterates over the PCI slots of a container's cards, which differ between VIC 0.4 and 1.x.
pub(in crate::vsphere) fn slots(dialect: Dialect) -> impl Iterator<Item = i32> {
    let first = match dialect {
        Dialect::Vic04 => 192,
        Dialect::Vic1 => 0x4a0,
    };
    (0..).map(move |position| first + 32 * position)
}

/// Computes the device changes after which a machine has one card per segment, and no other cards
/// of its previous connections. Cards are identified by MAC address. Returns the changes, and the
/// slot of each segment's card.
pub(in crate::vsphere) fn card_changes(
    devices: &[Poly<VirtualDevice>],
    before: &[EndpointInfo],
    segments: &[(Segment, Option<MacAddress>)],
    backings: &BTreeMap<Segment, Poly<VirtualDeviceBackingInfo>>,
    dialect: Dialect,
) -> (Vec<Poly<VirtualDeviceConfigSpec>>, BTreeMap<Segment, i32>) {
    let found: Vec<_> = devices
        .iter()
        .filter_map(|device| Some((device, device.base::<VirtualEthernetCard>().ok()??)))
        .map(|(device, card)| {
            let mac = card.mac_address.as_deref().and_then(|mac| mac.parse().ok());
            let slot = card.base.slot_info.as_ref();
            let slot = slot.and_then(|slot| slot.get::<VirtualDevicePciBusSlotInfo>().ok()?);
            (device, mac, slot.map(|slot| slot.pci_slot_number))
        })
        .collect();
    // If a connection has no recorded MAC address, every card is assumed to belong to the
    // connections.
    let all_are_ours = before.iter().any(|endpoint| endpoint.mac.is_none());
    let is_ours = |mac: &Option<MacAddress>| {
        all_are_ours || before.iter().any(|e| e.mac.is_some() && e.mac == *mac)
    };
    let stays = |mac: &Option<MacAddress>| mac.is_some() && segments.iter().any(|s| s.1 == *mac);
    let mut changes = Vec::new();
    let mut taken = Vec::new();
    for (device, mac, slot) in &found {
        if is_ours(mac) && !stays(mac) {
            changes.push(hardware::detach(device));
        } else {
            taken.extend(*slot);
        }
    }
    let mut placed = BTreeMap::new();
    let mut added = 0;
    for (segment, mac) in segments {
        let kept = found
            .iter()
            .find(|(_, found, _)| mac.is_some() && found == mac);
        if let Some((_, _, slot)) = kept {
            placed.extend(slot.map(|slot| (segment.clone(), slot)));
            continue;
        }
        let Some(backing) = backings.get(segment) else {
            continue;
        };
        let Some(slot) = slots(dialect).find(|slot| !taken.contains(slot)) else {
            continue;
        };
        taken.push(slot);
        placed.insert(segment.clone(), slot);
        let card = Card {
            backing: backing.clone(),
            mac: *mac,
            slot,
        };
        changes.push(hardware::nic(added, &card));
        added += 1;
    }
    (changes, placed)
}
