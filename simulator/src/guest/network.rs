//! Addresses that a guest reports to the host.

use std::net::IpAddr;

use vim25::types::{GuestNicInfo, NetIpConfigInfo, NetIpConfigInfoIpAddress};

use super::hardware::GuestHardware;

/// Addresses of one network card, as reported by the guest.
///
/// ```
/// use simulator::{GuestAddress, GuestNicAddresses};
///
/// let address = GuestAddress::new([10, 0, 0, 7].into(), 24);
/// let nic = GuestNicAddresses::new("00:0c:29:00:00:01").address(address);
/// assert_eq!(nic.addresses().count(), 1);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GuestNicAddresses {
    mac: String,
    addresses: Vec<GuestAddress>,
}

/// An IP address with its prefix length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GuestAddress {
    /// IP address.
    pub ip: IpAddr,
    /// Prefix length in bits: 24 for 255.255.255.0.
    pub prefix: u8,
}

impl GuestAddress {
    /// Creates an address with a prefix of `prefix` bits.
    #[must_use]
    pub const fn new(ip: IpAddr, prefix: u8) -> Self {
        Self { ip, prefix }
    }
}

impl GuestNicAddresses {
    /// Creates an entry without addresses for the card with a MAC address.
    #[must_use]
    pub fn new(mac: impl Into<String>) -> Self {
        Self {
            mac: mac.into(),
            addresses: Vec::new(),
        }
    }

    /// Adds an address.
    #[must_use]
    pub fn address(mut self, address: GuestAddress) -> Self {
        self.addresses.push(address);
        self
    }

    /// Returns the MAC address of the card.
    #[must_use]
    pub fn mac(&self) -> &str {
        &self.mac
    }

    /// Iterates over the addresses in the order they were added.
    pub fn addresses(&self) -> impl Iterator<Item = GuestAddress> {
        self.addresses.iter().copied()
    }
}

/// Converts the reported addresses to the value of `guest.net`.
pub(super) fn show(nics: &[GuestNicAddresses], hardware: &GuestHardware) -> Vec<GuestNicInfo> {
    let one = |nic: &GuestNicAddresses| {
        let card = hardware
            .nics
            .iter()
            .find(|card| card.mac.eq_ignore_ascii_case(&nic.mac));
        let addresses = nic.addresses().map(|address| NetIpConfigInfoIpAddress {
            ip_address: address.ip.to_string(),
            prefix_length: i32::from(address.prefix),
            state: Some("preferred".into()),
            ..Default::default()
        });
        GuestNicInfo {
            network: card.map(|card| card.network.clone()),
            ip_address: nic.addresses().map(|a| a.ip.to_string()).collect(),
            mac_address: Some(nic.mac.clone()),
            connected: true,
            device_config_id: card.map_or(-1, |card| card.key),
            ip_config: Some(Box::new(NetIpConfigInfo {
                ip_address: addresses.collect(),
                ..Default::default()
            })),
            ..Default::default()
        }
    };
    nics.iter().map(one).collect()
}
