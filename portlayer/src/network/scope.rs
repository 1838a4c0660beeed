//! Specifications and descriptions of scopes.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::refuse;
use crate::{ContainerId, Error, Resource, Result};

/// The kind of network behind a scope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ScopeKind {
    /// An isolated network of the host, whose addresses the port layer assigns.
    Bridge,
    /// An existing network. Addresses come from the scope's pools, or from DHCP if it has no pools.
    External {
        /// The name of the existing network.
        network: String,
    },
}

/// Which connections to a container on a scope are allowed (VIC's firewall levels).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TrustLevel {
    /// Connections to published ports and connections from other containers on the scope.
    #[default]
    Published,
    /// Only connections that the container opens.
    Outbound,
    /// Only connections within the scope.
    Peers,
    /// All connections.
    Open,
    /// No connections.
    Closed,
}

/// A range of addresses from the first to the last, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AddressRange {
    /// The first address.
    pub first: IpAddr,
    /// The last address.
    pub last: IpAddr,
}

/// The specification of a scope.
///
/// ```
/// use portlayer::network::ScopeSpec;
///
/// let spec = ScopeSpec::bridge("backend").subnet("10.1.0.0/24".parse()?);
/// assert_eq!(spec.name, "backend");
/// # Ok::<(), ipnet::AddrParseError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ScopeSpec {
    /// The name: 1 to 64 lower-case letters, digits, `_`, `.` and `-`, the first a letter or a
    /// digit.
    pub name: String,
    /// The kind of network behind the scope.
    pub kind: ScopeKind,
    /// The subnet. `None`: part of the host's range for a bridge scope, DHCP for an
    /// external one.
    #[serde(default)]
    pub subnet: Option<IpNet>,
    /// The gateway's address. `None`: the first address of a bridge scope's subnet.
    #[serde(default)]
    pub gateway: Option<IpAddr>,
    /// The ranges to assign addresses from; any other address of the subnet can be requested
    /// explicitly. Empty: the whole subnet of a bridge scope, DHCP for an external scope.
    #[serde(default)]
    pub pools: Vec<AddressRange>,
    /// The name servers of its containers.
    #[serde(default)]
    pub dns: Vec<IpAddr>,
    /// The DNS search domain of its containers.
    #[serde(default)]
    pub search_domain: Option<String>,
    /// Whether the scope has no connection to other networks.
    #[serde(default)]
    pub internal: bool,
    /// Which connections to its containers are allowed.
    #[serde(default)]
    pub trust: TrustLevel,
    /// The maximum packet size in bytes, from 68 to 65535. `None`: the network's own maximum.
    #[serde(default)]
    pub mtu: Option<u32>,
    /// The labels of the scope.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

impl ScopeSpec {
    fn new(name: String, kind: ScopeKind) -> Self {
        Self {
            name,
            kind,
            subnet: None,
            gateway: None,
            pools: Vec::new(),
            dns: Vec::new(),
            search_domain: None,
            internal: false,
            trust: TrustLevel::default(),
            mtu: None,
            labels: BTreeMap::new(),
        }
    }

    /// Creates the specification of an isolated network whose subnet the port layer chooses.
    pub fn bridge(name: impl Into<String>) -> Self {
        Self::new(name.into(), ScopeKind::Bridge)
    }

    /// Creates the specification of a scope on an existing network, with addresses from DHCP.
    pub fn external(name: impl Into<String>, network: impl Into<String>) -> Self {
        let network = network.into();
        Self::new(name.into(), ScopeKind::External { network })
    }

    /// Sets the subnet.
    #[must_use]
    pub fn subnet(mut self, subnet: IpNet) -> Self {
        self.subnet = Some(subnet);
        self
    }

    /// Sets the gateway's address.
    #[must_use]
    pub fn gateway(mut self, gateway: IpAddr) -> Self {
        self.gateway = Some(gateway);
        self
    }

    /// Adds a range to assign addresses from.
    #[must_use]
    pub fn pool(mut self, first: IpAddr, last: IpAddr) -> Self {
        self.pools.push(AddressRange { first, last });
        self
    }

    /// Adds all addresses of a network to the ranges to assign addresses from.
    #[must_use]
    pub fn pool_of(self, network: IpNet) -> Self {
        self.pool(network.network(), network.broadcast())
    }

    /// Adds a name server.
    #[must_use]
    pub fn dns(mut self, server: IpAddr) -> Self {
        self.dns.push(server);
        self
    }

    /// Sets the DNS search domain of its containers.
    #[must_use]
    pub fn search_domain(mut self, domain: impl Into<String>) -> Self {
        self.search_domain = Some(domain.into());
        self
    }

    /// Disconnects the scope from other networks.
    #[must_use]
    pub fn internal(mut self) -> Self {
        self.internal = true;
        self
    }

    /// Sets which connections to its containers are allowed.
    #[must_use]
    pub fn trust(mut self, trust: TrustLevel) -> Self {
        self.trust = trust;
        self
    }

    /// Sets the maximum packet size in bytes.
    #[must_use]
    pub fn mtu(mut self, bytes: u32) -> Self {
        self.mtu = Some(bytes);
        self
    }

    /// Validates everything that can be checked without knowing other scopes. Every implementation
    /// calls this first.
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) with the first invalid field; the
    /// source names the value and the reason.
    pub fn validate(&self) -> Result<()> {
        match refuse::scope(self) {
            None => Ok(()),
            Some((field, reason)) => Err(Error::invalid_argument(
                Resource::network(&self.name),
                field,
                reason,
            )),
        }
    }

    /// Adds a label.
    #[must_use]
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(name.into(), value.into());
        self
    }
}

/// The description of a scope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ScopeInfo {
    /// The specification that the scope was created from, with the chosen subnet and gateway filled
    /// in.
    pub spec: ScopeSpec,
    /// Whether containers that are created without endpoints are connected to this scope.
    pub is_default: bool,
    /// The number of unassigned addresses; `None` if the port layer does not assign them.
    pub free: Option<u128>,
    /// The connected containers.
    pub containers: Vec<ContainerId>,
    /// The back end's network that only this bridge scope uses. `None`: the scope shares the host's
    /// bridge network with other scopes, or is external.
    #[serde(default)]
    pub network: Option<String>,
}

impl ScopeInfo {
    /// Creates the description of a scope with this specification.
    #[must_use]
    pub fn new(spec: ScopeSpec) -> Self {
        Self {
            spec,
            is_default: false,
            free: None,
            containers: Vec::new(),
            network: None,
        }
    }
}
