//! A container's connection to a scope.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{MacAddress, PortMapping};

/// The specification of a connection to a scope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EndpointSpec {
    /// The name of the scope.
    pub scope: String,
    /// A fixed address. `None`: the scope assigns one.
    #[serde(default)]
    pub address: Option<IpAddr>,
    /// A fixed MAC address. `None`: the port layer generates one.
    #[serde(default)]
    pub mac: Option<MacAddress>,
    /// Additional names of the container in the scope: host names in lower case.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Aliases under which this container reaches other containers, as pairs of the other
    /// container's name and the alias.
    #[serde(default)]
    pub links: Vec<(String, String)>,
    /// The published ports.
    #[serde(default)]
    pub ports: Vec<PortMapping>,
}

impl EndpointSpec {
    /// Creates a connection to this scope with an address assigned by the scope.
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

    /// Sets a fixed address.
    #[must_use]
    pub fn address(mut self, address: IpAddr) -> Self {
        self.address = Some(address);
        self
    }

    /// Sets a fixed MAC address.
    #[must_use]
    pub fn mac(mut self, mac: MacAddress) -> Self {
        self.mac = Some(mac);
        self
    }

    /// Adds an additional name.
    #[must_use]
    pub fn alias(mut self, name: impl Into<String>) -> Self {
        self.aliases.push(name.into());
        self
    }

    /// Adds an alias under which this container reaches another container.
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

/// The description of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EndpointInfo {
    /// The specification that the connection was created from.
    pub spec: EndpointSpec,
    /// The address with the prefix length of its subnet; `None` if it is unknown, for example
    /// before a DHCP server has assigned one.
    pub address: Option<IpNet>,
    /// The address of the gateway.
    pub gateway: Option<IpAddr>,
    /// The MAC address, once it is known.
    pub mac: Option<MacAddress>,
}

impl EndpointInfo {
    /// Creates the description of a connection with this specification.
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
