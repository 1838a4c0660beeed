//! NICs and networks of a container.

use std::net::IpAddr;

use ipnet::IpNet;

use super::session::Common;
use crate::GuestInfo;
use crate::value::NicAddress;

/// One NIC of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, GuestInfo)]
pub struct NetworkEndpoint {
    /// The PCI slot number of the NIC (as id) and the name of the link.
    #[guestinfo(key = "Common")]
    pub common: Common,
    /// Whether the user requested the address. Only in 1.x; in 0.4 an
    /// [`address`](Self::address) is always static.
    #[guestinfo(vic1(key = "static", scope = "read-only"), default)]
    pub is_static: bool,
    /// The address to use; `None` for DHCP.
    #[guestinfo(
        vic04(key = "staticip", scope = "read-only"),
        vic1(key = "ip", scope = "read-only")
    )]
    pub address: Option<NicAddress>,
    /// The address in use. Written by the guest.
    #[guestinfo(
        vic04(key = "ip", scope = "read-write"),
        vic1(key = "assigned", scope = "read-write")
    )]
    pub assigned: Option<NicAddress>,
    /// The network to which the NIC is attached.
    #[guestinfo(key = "network", scope = "read-only")]
    pub network: ContainerNetwork,
    /// Published ports: `80/tcp`, `8080:81/tcp`. VIC 0.4 ignores them.
    #[guestinfo(key = "ports", scope = "read-only")]
    pub ports: Vec<String>,
    /// Whether traffic cannot leave the network.
    #[guestinfo(vic1(key = "internal", scope = "read-only"), default)]
    pub internal: bool,
}

/// The settings of a network that its containers need.
#[derive(Clone, Debug, Default, PartialEq, Eq, GuestInfo)]
pub struct ContainerNetwork {
    /// The name of the network; in the appliance, also the id of its port group.
    #[guestinfo(key = "Common")]
    pub common: Common,
    /// The gateway with the prefix of the network.
    #[guestinfo(key = "gateway", scope = "read-only")]
    pub gateway: Option<IpNet>,
    /// Whether the default route uses this network.
    #[guestinfo(key = "default", scope = "read-only", default)]
    pub is_default: bool,
    /// The name servers. VIC 0.4 could not store them: under its own key it would read an
    /// empty address, so in 0.4 they are stored under a key of ours.
    #[guestinfo(
        vic04(key = "nameservers", scope = "read-only"),
        vic1(key = "dns", scope = "read-only")
    )]
    pub nameservers: Vec<IpAddr>,
    /// The DNS search domain. A key of ours, which VIC ignores.
    #[guestinfo(key = "search", scope = "read-only")]
    pub search_domain: Option<String>,
    /// The maximum packet size in bytes; `None` for the link's default. A key of ours,
    /// which VIC ignores.
    #[guestinfo(key = "mtu", scope = "read-only")]
    pub mtu: Option<u32>,
    /// The ranges of addresses that may be assigned.
    #[guestinfo(key = "pools", scope = "read-only")]
    pub pools: Vec<IpRange>,
    /// Aliases of containers, each as `container:alias`.
    #[guestinfo(key = "aliases", scope = "hidden")]
    pub aliases: Vec<String>,
    /// `bridge` or `external`. The guest can write it.
    #[guestinfo(vic1(key = "type", scope = "read-write"), default)]
    pub kind: String,
    /// The networks that are reached through this one.
    #[guestinfo(vic1(key = "destinations", scope = "read-only"))]
    pub destinations: Vec<IpNet>,
    /// The traffic that the network permits.
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
    /// The gateway with the prefix of the network.
    #[guestinfo(key = "gateway", scope = "read-write")]
    pub gateway: Option<IpNet>,
    /// The name servers.
    #[guestinfo(key = "dns", scope = "read-write")]
    pub nameservers: Vec<IpAddr>,
}

/// The traffic that a network permits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, GuestInfo)]
pub enum TrustLevel {
    /// Unspecified.
    #[default]
    #[guestinfo(text = "0")]
    Unspecified,
    /// Incoming traffic to published ports, and outgoing traffic.
    #[guestinfo(text = "1")]
    Published,
    /// All traffic.
    #[guestinfo(text = "2")]
    Open,
    /// No traffic.
    #[guestinfo(text = "3")]
    Closed,
    /// Only outgoing traffic.
    #[guestinfo(text = "4")]
    Outbound,
    /// Only traffic between members of the network.
    #[guestinfo(text = "5")]
    Peers,
}
