//! Scopes as they are asked for and as they are.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::refuse;
use crate::{ContainerId, Error, Resource, Result};

/// What a scope's addresses belong to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ScopeKind {
    /// An isolated network of the host, whose addresses the port layer assigns.
    Bridge,
    /// A network that exists, by its name. Addresses come from the scope's pools, or by DHCP if
    /// there are none.
    External {
        /// The network's name.
        network: String,
    },
}

/// What may reach a container on a scope (VIC's firewall levels).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TrustLevel {
    /// Connections to published ports, and from peers on the scope.
    #[default]
    Published,
    /// Only connections that the container opens.
    Outbound,
    /// Only connections within the scope.
    Peers,
    /// Everything.
    Open,
    /// Nothing.
    Closed,
}

/// Addresses from the first to the last, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AddressRange {
    /// The first address.
    pub first: IpAddr,
    /// The last address.
    pub last: IpAddr,
}

/// A scope as it is asked for.
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
    /// Its name: 1 to 64 lower-case letters, digits, `_`, `.` and `-`, the first a letter or a
    /// digit.
    pub name: String,
    /// What its addresses belong to.
    pub kind: ScopeKind,
    /// Its addresses. `None`: a subnet of the host's range for a bridge scope, DHCP for an
    /// external one.
    #[serde(default)]
    pub subnet: Option<IpNet>,
    /// The address that leads out of the subnet. `None`: the first of a bridge scope's subnet.
    #[serde(default)]
    pub gateway: Option<IpAddr>,
    /// The addresses that are assigned to containers that ask for none; any other of the subnet can
    /// be asked for. Empty: all of a bridge scope's subnet, DHCP for an external scope.
    #[serde(default)]
    pub pools: Vec<AddressRange>,
    /// Name servers of its containers.
    #[serde(default)]
    pub dns: Vec<IpAddr>,
    /// The domain in which its containers complete names.
    #[serde(default)]
    pub search_domain: Option<String>,
    /// Whether nothing leads out of the scope.
    #[serde(default)]
    pub internal: bool,
    /// What may reach its containers.
    #[serde(default)]
    pub trust: TrustLevel,
    /// The largest packet in bytes, from 68 to 65535. `None`: the network's own.
    #[serde(default)]
    pub mtu: Option<u32>,
    /// Labels.
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

    /// An isolated network with a subnet chosen by the port layer.
    pub fn bridge(name: impl Into<String>) -> Self {
        Self::new(name.into(), ScopeKind::Bridge)
    }

    /// A scope on a network that exists, with addresses by DHCP.
    pub fn external(name: impl Into<String>, network: impl Into<String>) -> Self {
        let network = network.into();
        Self::new(name.into(), ScopeKind::External { network })
    }

    /// Its addresses.
    #[must_use]
    pub fn subnet(mut self, subnet: IpNet) -> Self {
        self.subnet = Some(subnet);
        self
    }

    /// The address that leads out of the subnet.
    #[must_use]
    pub fn gateway(mut self, gateway: IpAddr) -> Self {
        self.gateway = Some(gateway);
        self
    }

    /// Adds addresses that are assigned.
    #[must_use]
    pub fn pool(mut self, first: IpAddr, last: IpAddr) -> Self {
        self.pools.push(AddressRange { first, last });
        self
    }

    /// Adds a name server.
    #[must_use]
    pub fn dns(mut self, server: IpAddr) -> Self {
        self.dns.push(server);
        self
    }

    /// The domain in which its containers complete names.
    #[must_use]
    pub fn search_domain(mut self, domain: impl Into<String>) -> Self {
        self.search_domain = Some(domain.into());
        self
    }

    /// Makes a scope that nothing leads out of.
    #[must_use]
    pub fn internal(mut self) -> Self {
        self.internal = true;
        self
    }

    /// What may reach its containers.
    #[must_use]
    pub fn trust(mut self, trust: TrustLevel) -> Self {
        self.trust = trust;
        self
    }

    /// The largest packet in bytes.
    #[must_use]
    pub fn mtu(mut self, bytes: u32) -> Self {
        self.mtu = Some(bytes);
        self
    }

    /// Checks what can be checked without knowing other scopes. Every implementation does so
    /// first.
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) naming the first field that cannot be
    /// used; the source has the value and the reason.
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

/// A scope as the back end has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ScopeInfo {
    /// What it was made from, with the subnet and the gateway that were chosen.
    pub spec: ScopeSpec,
    /// Whether containers without an endpoint of their own are connected to it.
    pub is_default: bool,
    /// Addresses that can still be assigned; `None` where somebody else assigns them.
    pub free: Option<u128>,
    /// The containers connected to it.
    pub containers: Vec<ContainerId>,
}

impl ScopeInfo {
    /// A scope made from this specification.
    #[must_use]
    pub fn new(spec: ScopeSpec) -> Self {
        Self {
            spec,
            is_default: false,
            free: None,
            containers: Vec::new(),
        }
    }
}
