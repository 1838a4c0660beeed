//! Configures the network cards of a machine, which are found by their PCI slot.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::Path;

use crate::error::{Step, SysError};
use crate::netlink::{LOOPBACK, Netlink};

/// The device number of a machine's first PCI bridge.
const FIRST_BRIDGE: u32 = 0x11;

/// A network card and its configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinkSetup {
    /// The PCI slot number of the card in the machine's hardware.
    pub slot: u32,
    /// The MTU in bytes; `None` for the card's default.
    pub mtu: Option<u32>,
    /// The addresses with prefix lengths.
    pub addresses: Vec<(IpAddr, u8)>,
    /// Networks with prefix lengths, and the gateway to each.
    pub routes: Vec<((IpAddr, u8), IpAddr)>,
}

impl LinkSetup {
    /// Creates the configuration of a card without an address.
    #[must_use]
    pub fn new(slot: u32) -> Self {
        Self {
            slot,
            ..Self::default()
        }
    }
}

/// Switches the loopback device on.
///
/// # Errors
/// Fails with the system's error.
pub fn configure_loopback() -> Result<(), SysError> {
    Netlink::open()?.link_up(LOOPBACK, None)
}

/// Configures a network card, and returns the name of its device.
///
/// # Errors
/// Fails when there is no card in the slot, and with the system's error.
pub fn configure_link(setup: &LinkSetup) -> Result<String, SysError> {
    let (name, index) = find(setup.slot)?;
    let mut network = Netlink::open()?;
    network.link_up(index, setup.mtu)?;
    for (address, prefix) in &setup.addresses {
        network.add_address(index, *address, *prefix)?;
    }
    for (destination, gateway) in &setup.routes {
        network.add_route(index, *destination, *gateway)?;
    }
    Ok(name)
}

/// Removes an address, with its prefix length, from a network card. The system also removes the
/// routes to the address's network and by gateways in it.
///
/// # Errors
/// Fails when there is no card in the slot, and with the system's error.
pub fn remove_address(slot: u32, address: IpAddr, prefix: u8) -> Result<(), SysError> {
    let (_, index) = find(slot)?;
    Netlink::open()?.remove_address(index, address, prefix)
}

fn find(slot: u32) -> Result<(String, u32), SysError> {
    let action = format!("find the network card in the PCI slot {slot}");
    let entries = fs::read_dir("/sys/class/net").step(&action)?;
    for entry in entries.flatten() {
        let Ok(device) = fs::canonicalize(entry.path().join("device")) else {
            continue;
        };
        // A virtio card is a child of the PCI device.
        if !device.ancestors().any(|device| is_in(slot, device)) {
            continue;
        }
        let index = fs::read_to_string(entry.path().join("ifindex")).step(&action)?;
        if let Ok(index) = index.trim().parse() {
            return Ok((entry.file_name().to_string_lossy().into_owned(), index));
        }
    }
    let missing = io::Error::new(io::ErrorKind::NotFound, "the slot has no network card");
    Err(SysError::new(action, missing))
}

/// Returns whether a device in `/sys/devices` is in a PCI slot. A slot number contains the device
/// in its lowest five bits, the bus in the next five, and the function in the next three. Except on
/// the first bus, bus and function identify the bridge to the bus.
fn is_in(slot: u32, device: &Path) -> bool {
    let (number, bus, function) = (slot & 0x1f, slot >> 5 & 0x1f, slot >> 10 & 0x7);
    let name = |path: &Path| Some(path.file_name()?.to_str()?.to_owned());
    let Some(own) = name(device) else {
        return false;
    };
    if bus == 0 {
        return own == format!("0000:00:{number:02x}.{function}");
    }
    let bridge = format!("0000:00:{:02x}.{function}", FIRST_BRIDGE + bus - 1);
    device.parent().and_then(name) == Some(bridge) && own.ends_with(&format!(":{number:02x}.0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_number_is_a_path_in_sysfs() {
        let root = Path::new("/sys/devices/pci0000:00");
        assert!(is_in(3, &root.join("0000:00:03.0")));
        assert!(!is_in(3, &root.join("0000:00:04.0")));
        // ESXi's numbers of the first two cards of a machine.
        assert!(is_in(192, &root.join("0000:00:16.0/0000:0b:00.0")));
        assert!(is_in(160, &root.join("0000:00:15.0/0000:03:00.0")));
        assert!(!is_in(160, &root.join("0000:00:16.0/0000:0b:00.0")));
        // The second function of a bridge.
        assert!(is_in(1184, &root.join("0000:00:15.1/0000:04:00.0")));
        assert!(!is_in(160, &root.join("0000:00:15.1/0000:04:00.0")));
    }
}
