//! The networks of an appliance by their roles, and its static addresses on them.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// The purpose of one of the appliance's networks besides the bridge network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum NetworkRole {
    /// Connects the appliance to the outside.
    Public,
    /// Connects the appliance's clients.
    Client,
    /// Connects the appliance to the endpoint.
    Management,
}

impl NetworkRole {
    /// All roles.
    pub const ALL: [Self; 3] = [Self::Public, Self::Client, Self::Management];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Client => "client",
            Self::Management => "management",
        }
    }

    /// Returns the field of the specification that contains the name of this network.
    pub(super) const fn network_field(self) -> &'static str {
        match self {
            Self::Public => "public_network",
            Self::Client => "client_network",
            Self::Management => "management_network",
        }
    }

    /// Returns the field of the specification that contains the address on this network.
    pub(super) const fn field(self) -> &'static str {
        match self {
            Self::Public => "public_address",
            Self::Client => "client_address",
            Self::Management => "management_address",
        }
    }
}

impl fmt::Display for NetworkRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A static address of the appliance on one of its networks.
///
/// ```
/// use portlayer::vsphere::StaticAddress;
///
/// let address = StaticAddress::new("10.0.0.7/24".parse()?).gateway("10.0.0.1".parse()?);
/// assert_eq!(address.gateway, Some("10.0.0.1".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StaticAddress {
    /// The address with the prefix length of its network.
    pub address: IpNet,
    /// The gateway of the network.
    #[serde(default)]
    pub gateway: Option<IpAddr>,
    /// The networks that are reached through the gateway. Empty for the public network, whose
    /// gateway is the default route.
    #[serde(default)]
    pub destinations: Vec<IpNet>,
}

impl StaticAddress {
    /// Creates an address without a gateway.
    #[must_use]
    pub const fn new(address: IpNet) -> Self {
        Self {
            address,
            gateway: None,
            destinations: Vec::new(),
        }
    }

    /// Sets the gateway of the network.
    #[must_use]
    pub fn gateway(mut self, gateway: IpAddr) -> Self {
        self.gateway = Some(gateway);
        self
    }

    /// Adds a network that is reached through the gateway.
    #[must_use]
    pub fn destination(mut self, network: IpNet) -> Self {
        self.destinations.push(network);
        self
    }
}

/// The networks of an appliance, as its record describes them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ApplianceNetworks {
    /// The network of each role. Hosts of earlier versions have no record of them.
    #[serde(default)]
    pub roles: Vec<RoleNetwork>,
    /// The name servers; empty if the appliance gets them by DHCP, or has none.
    #[serde(default)]
    pub name_servers: Vec<IpAddr>,
}

/// The network of one role of the appliance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RoleNetwork {
    /// The role.
    pub role: NetworkRole,
    /// The name or inventory path of the network. Roles with the same network share a card.
    pub network: String,
    /// The static address; `None`: the appliance gets an address by DHCP.
    #[serde(default)]
    pub address: Option<StaticAddress>,
}
