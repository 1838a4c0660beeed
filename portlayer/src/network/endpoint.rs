//! A container's connection to a scope.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{MacAddress, PortMapping};

/// A connection as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EndpointSpec {
    /// The scope, by name.
    pub scope: String,
    /// A fixed address. `None`: one of the scope's.
    #[serde(default)]
    pub address: Option<IpAddr>,
    /// A fixed MAC address. `None`: one is made.
    #[serde(default)]
    pub mac: Option<MacAddress>,
    /// More names of the container in the scope: host names in lower case.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Names by which this container reaches others: the other's name, and the alias.
    #[serde(default)]
    pub links: Vec<(String, String)>,
    /// Ports that are published.
    #[serde(default)]
    pub ports: Vec<PortMapping>,
}

impl EndpointSpec {
    /// A connection to this scope with an address of the scope's.
    pub fn new(scope: impl Into<String>) -> Self {
        Self {
            scope: scope.into(),
            address: None,
            mac: None,
            aliases: Vec::new(),
            links: Vec::new(),
            ports: Vec::new(),
        }
    }

    /// A fixed address.
    #[must_use]
    pub fn address(mut self, address: IpAddr) -> Self {
        self.address = Some(address);
        self
    }

    /// A fixed MAC address.
    #[must_use]
    pub fn mac(mut self, mac: MacAddress) -> Self {
        self.mac = Some(mac);
        self
    }

    /// Adds a name.
    #[must_use]
    pub fn alias(mut self, name: impl Into<String>) -> Self {
        self.aliases.push(name.into());
        self
    }

    /// Adds a name by which this container reaches another.
    #[must_use]
    pub fn link(mut self, other: impl Into<String>, alias: impl Into<String>) -> Self {
        self.links.push((other.into(), alias.into()));
        self
    }

    /// Publishes a port.
    #[must_use]
    pub fn port(mut self, mapping: PortMapping) -> Self {
        self.ports.push(mapping);
        self
    }
}

/// A connection as the back end has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EndpointInfo {
    /// What it was made from.
    pub spec: EndpointSpec,
    /// The address with its subnet's prefix; `None` where it is not known, such as before a DHCP
    /// server assigned one.
    pub address: Option<IpNet>,
    /// The address that leads out of the subnet.
    pub gateway: Option<IpAddr>,
    /// The MAC address, once known.
    pub mac: Option<MacAddress>,
}

impl EndpointInfo {
    /// A connection made from this specification.
    #[must_use]
    pub fn new(spec: EndpointSpec) -> Self {
        Self {
            spec,
            address: None,
            gateway: None,
            mac: None,
        }
    }
}
