//! NICs and networks of a container.

use std::net::IpAddr;

use ipnet::IpNet;

use super::session::Common;
use crate::GuestInfo;
use crate::value::NicAddress;

/// One NIC of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, GuestInfo)]
pub struct NetworkEndpoint {
    /// Its id is the PCI slot number of the NIC, its name the link's name.
    #[guestinfo(key = "Common")]
    pub common: Common,
    /// The address was asked for by the user. Only 1.x; in 0.4 an
    /// [`address`](Self::address) is always static.
    #[guestinfo(vic1(key = "static", scope = "read-only"), default)]
    pub is_static: bool,
    /// The address to take; `None` for DHCP.
    #[guestinfo(
        vic04(key = "staticip", scope = "read-only"),
        vic1(key = "ip", scope = "read-only")
    )]
    pub address: Option<NicAddress>,
    /// The address that was taken. Written by the guest.
    #[guestinfo(
        vic04(key = "ip", scope = "read-write"),
        vic1(key = "assigned", scope = "read-write")
    )]
    pub assigned: Option<NicAddress>,
    /// The network it is on.
    #[guestinfo(key = "network", scope = "read-only")]
    pub network: ContainerNetwork,
    /// Published ports: `80/tcp`, `8080:81/tcp`. VIC 0.4 ignores them.
    #[guestinfo(key = "ports", scope = "read-only")]
    pub ports: Vec<String>,
    /// No traffic leaves the network.
    #[guestinfo(vic1(key = "internal", scope = "read-only"), default)]
    pub internal: bool,
}

/// A network as its members know it.
#[derive(Clone, Debug, Default, PartialEq, Eq, GuestInfo)]
pub struct ContainerNetwork {
    /// Its name, and on the appliance the port group's id.
    #[guestinfo(key = "Common")]
    pub common: Common,
    /// The gateway, with the network's prefix.
    #[guestinfo(key = "gateway", scope = "read-only")]
    pub gateway: Option<IpNet>,
    /// The default route leaves by it.
    #[guestinfo(key = "default", scope = "read-only", default)]
    pub is_default: bool,
    /// Name servers. VIC 0.4 could not store them: under its own key it would read an address that
    /// is nil, so there they have a key of ours.
    #[guestinfo(
        vic04(key = "nameservers", scope = "read-only"),
        vic1(key = "dns", scope = "read-only")
    )]
    pub nameservers: Vec<IpAddr>,
    /// The DNS search domain. VIC has no such key, and ignores it.
    #[guestinfo(key = "search", scope = "read-only")]
    pub search_domain: Option<String>,
    /// The maximum packet size in bytes; `None` for that of the link. VIC has no such key, and
    /// ignores it.
    #[guestinfo(key = "mtu", scope = "read-only")]
    pub mtu: Option<u32>,
    /// Addresses that may be given out.
    #[guestinfo(key = "pools", scope = "read-only")]
    pub pools: Vec<IpRange>,
    /// Other names of containers, `container:alias` each.
    #[guestinfo(key = "aliases", scope = "hidden")]
    pub aliases: Vec<String>,
    /// `bridge` or `external`. The guest can write it.
    #[guestinfo(vic1(key = "type", scope = "read-write"), default)]
    pub kind: String,
    /// Networks that are reached through it.
    #[guestinfo(vic1(key = "destinations", scope = "read-only"))]
    pub destinations: Vec<IpNet>,
    /// The traffic that is permitted.
    #[guestinfo(vic1(key = "TrustLevel"), default)]
    pub trust_level: TrustLevel,
    /// The values assigned by DHCP. Written by the guest.
    #[guestinfo(vic1(key = "assigned", scope = "read-write"))]
    pub assigned: Option<AssignedNetwork>,
}

/// A range of addresses, both ends included.
#[derive(Clone, Debug, Default, PartialEq, Eq, GuestInfo)]
pub struct IpRange {
    /// The first address.
    #[guestinfo(key = "first", scope = "read-only")]
    pub first: Option<IpAddr>,
    /// The last address.
    #[guestinfo(key = "last", scope = "read-only")]
    pub last: Option<IpAddr>,
}

/// The values that DHCP assigned for a network.
#[derive(Clone, Debug, Default, PartialEq, Eq, GuestInfo)]
pub struct AssignedNetwork {
    /// The gateway, with the network's prefix.
    #[guestinfo(key = "gateway", scope = "read-write")]
    pub gateway: Option<IpNet>,
    /// Name servers.
    #[guestinfo(key = "dns", scope = "read-write")]
    pub nameservers: Vec<IpAddr>,
}

/// The traffic that a network permits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, GuestInfo)]
pub enum TrustLevel {
    /// Not said.
    #[default]
    #[guestinfo(text = "0")]
    Unspecified,
    /// In to published ports, and out.
    #[guestinfo(text = "1")]
    Published,
    /// Everything.
    #[guestinfo(text = "2")]
    Open,
    /// Nothing.
    #[guestinfo(text = "3")]
    Closed,
    /// Only out.
    #[guestinfo(text = "4")]
    Outbound,
    /// Only between its members.
    #[guestinfo(text = "5")]
    Peers,
}
