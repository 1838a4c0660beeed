//! One scope of the table.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net};
use serde::{Deserialize, Serialize};

use super::names::Names;
use crate::ContainerId;
use crate::network::{AddressPool, ScopeInfo, ScopeKind, ScopeSpec};

/// Whether others may see a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The scope is being created or removed.
    Hidden,
    Ready,
}

/// A scope as a back end persists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeptScope {
    #[serde(flatten)]
    pub(crate) spec: ScopeSpec,
    /// The network that only this bridge scope uses. `None`: it shares the host's bridge network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) network: Option<String>,
    /// The VLAN of that network, if the network was created for this scope.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) vlan: Option<u16>,
    /// Whether the scope is being created or removed. Nothing is connected to it, and its network
    /// may not exist.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) unfinished: bool,
}

impl From<ScopeSpec> for KeptScope {
    fn from(spec: ScopeSpec) -> Self {
        Self {
            spec,
            network: None,
            vlan: None,
            unfinished: false,
        }
    }
}

#[derive(Debug)]
pub(super) struct Scope {
    pub(super) spec: ScopeSpec,
    /// The network that only this bridge scope uses; `None` if it shares the host's.
    network: Option<String>,
    /// The VLAN of that network, if the network was created for this scope.
    vlan: Option<u16>,
    pub(super) is_default: bool,
    pub(super) phase: Phase,
    /// The addresses of the scope; `None` if it has no subnet.
    pub(super) pool: Option<AddressPool>,
    pub(super) by_address: HashMap<Ipv4Addr, ContainerId>,
    pub(super) names: Names,
    members: BTreeSet<ContainerId>,
}

impl Scope {
    pub(super) fn new(kept: impl Into<KeptScope>, rest: Duration) -> Self {
        let KeptScope {
            spec,
            network,
            vlan,
            unfinished: _,
        } = kept.into();
        let v4 = |address: IpAddr| match address {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        };
        let subnet = match spec.subnet {
            Some(IpNet::V4(subnet)) => Some(subnet),
            _ => None,
        };
        let pool = subnet.map(|subnet| {
            let mut pool = AddressPool::new(subnet, rest);
            // Other machines have addresses on an external network, so only those in the scope's
            // pools are assigned.
            if !spec.pools.is_empty() || spec.kind != ScopeKind::Bridge {
                let ranges = spec.pools.iter();
                let ranges = ranges.filter_map(|pool| Some((v4(pool.first)?, v4(pool.last)?)));
                pool = pool.only(ranges);
            }
            let reserved = spec.gateway.iter().chain(&spec.dns);
            pool = reserved
                .filter_map(|a| v4(*a))
                .fold(pool, AddressPool::reserve);
            let (random, _) = uuid::Uuid::new_v4().as_u64_pair();
            pool.begin_at(random)
        });
        Self {
            spec,
            network,
            vlan,
            is_default: false,
            phase: Phase::Hidden,
            pool,
            by_address: HashMap::new(),
            names: Names::default(),
            members: BTreeSet::new(),
        }
    }

    pub(super) fn default_of_the_host(mut self) -> Self {
        self.is_default = true;
        self.phase = Phase::Ready;
        self
    }

    pub(super) fn subnet(&self) -> Option<Ipv4Net> {
        self.pool.as_ref().map(AddressPool::subnet)
    }

    /// Iterates over the containers connected to the scope.
    pub(super) fn members(&self) -> std::collections::btree_set::Iter<'_, ContainerId> {
        self.members.iter()
    }

    pub(super) fn join(&mut self, id: ContainerId) {
        self.members.insert(id);
    }

    pub(super) fn leave(&mut self, id: &ContainerId) {
        self.members.remove(id);
    }

    /// Returns whether the port layer, rather than DHCP, assigns an address to a container that
    /// does not request one.
    pub(super) fn is_assigning(&self) -> bool {
        self.spec.kind == ScopeKind::Bridge || !self.spec.pools.is_empty()
    }

    /// Returns whether the scope should assign addresses but has none to assign.
    pub(super) fn assigns_nothing(&self) -> bool {
        self.is_assigning() && self.pool.as_ref().is_none_or(|pool| pool.total() == 0)
    }

    /// Returns the default gateway of the scope's containers; `None` for an internal scope.
    pub(super) fn way_out(&self) -> Option<IpAddr> {
        self.spec.gateway.filter(|_| !self.spec.internal)
    }

    /// Returns whether the scope equals its persisted form.
    pub(super) fn is(&self, kept: &KeptScope) -> bool {
        self.spec == kept.spec && self.network == kept.network && self.vlan == kept.vlan
    }

    /// Returns the VLAN of the network that was created for this scope.
    #[cfg(feature = "vsphere")]
    pub(super) fn vlan(&self) -> Option<u16> {
        self.vlan
    }

    /// Returns the network to which the scope's cards are attached. Scopes on the same network
    /// share a container's card.
    pub(super) fn segment(&self) -> Segment {
        match &self.spec.kind {
            ScopeKind::Bridge => Segment(self.network.clone()),
            ScopeKind::External { network } => Segment(Some(network.clone())),
        }
    }

    pub(super) fn info(&self) -> ScopeInfo {
        let mut info = ScopeInfo::new(self.spec.clone());
        info.is_default = self.is_default;
        info.network.clone_from(&self.network);
        let assigning = self.pool.as_ref().filter(|_| self.is_assigning());
        info.free = assigning.map(|pool| pool.free().into());
        info.containers = self.members.iter().copied().collect();
        info
    }
}

/// A network of the back end: the host's bridge network, or the one of this name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Segment(pub(crate) Option<String>);
