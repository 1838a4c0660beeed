//! Published ports.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// A transport protocol.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Protocol {
    /// The Transmission Control Protocol.
    #[default]
    Tcp,
    /// The User Datagram Protocol.
    Udp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

/// A container's port that is published at an address of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PortMapping {
    /// The port in the container.
    pub container_port: u16,
    /// The transport protocol.
    #[serde(default)]
    pub protocol: Protocol,
    /// The host's address. `None`: all addresses.
    #[serde(default)]
    pub host_address: Option<IpAddr>,
    /// The host's port. `None`: any free port, chosen when the container starts.
    #[serde(default)]
    pub host_port: Option<u16>,
}

impl PortMapping {
    /// Publishes a TCP port of the container at any free port of the host.
    #[must_use]
    pub const fn new(container_port: u16) -> Self {
        Self {
            container_port,
            protocol: Protocol::Tcp,
            host_address: None,
            host_port: None,
        }
    }

    /// Sets the transport protocol.
    #[must_use]
    pub const fn protocol(mut self, protocol: Protocol) -> Self {
        self.protocol = protocol;
        self
    }

    /// Sets the host's address.
    #[must_use]
    pub const fn host_address(mut self, address: IpAddr) -> Self {
        self.host_address = Some(address);
        self
    }

    /// Sets the host's port.
    #[must_use]
    pub const fn host_port(mut self, port: u16) -> Self {
        self.host_port = Some(port);
        self
    }

    /// Returns whether the two mappings cannot be published at the same time: they have the same
    /// protocol and host port, and their host addresses are equal or one of them is "all
    /// addresses".
    #[must_use]
    pub fn conflicts_with(&self, other: &Self) -> bool {
        let is_any = |address: Option<IpAddr>| address.is_none_or(|a| a.is_unspecified());
        self.protocol == other.protocol
            && self.host_port.is_some()
            && self.host_port == other.host_port
            && (is_any(self.host_address)
                || is_any(other.host_address)
                || self.host_address == other.host_address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn ports_conflict_per_protocol_and_address() {
        let web = PortMapping::new(80).host_port(8080);
        assert!(web.conflicts_with(&PortMapping::new(81).host_port(8080)));
        assert!(!web.conflicts_with(&PortMapping::new(80).host_port(8081)));
        assert!(!web.conflicts_with(&web.protocol(Protocol::Udp)));
        assert!(!PortMapping::new(80).conflicts_with(&PortMapping::new(80)));
        let local = web.host_address(Ipv4Addr::LOCALHOST.into());
        let other = web.host_address(Ipv4Addr::new(10, 0, 0, 1).into());
        assert!(!local.conflicts_with(&other));
        assert!(local.conflicts_with(&web));
        assert!(local.conflicts_with(&web.host_address(Ipv4Addr::UNSPECIFIED.into())));
    }
}
