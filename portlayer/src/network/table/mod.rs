//! The scopes of one host, and which container holds which addresses and names in them. The table
//! does no I/O: a back end persists its decisions, and rebuilds the table from what it persisted.

#[cfg_attr(
    not(any(test, feature = "vsphere")),
    allow(
        dead_code,
        reason = "the in-memory back end does not rebuild its table from persisted state"
    )
)]
mod adopt;
mod assign;
#[cfg(feature = "vsphere")]
mod cards;
mod names;
mod scope;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use jiff::Timestamp;

#[cfg(any(test, feature = "vsphere"))]
pub(crate) use self::assign::Assignment;
pub(crate) use self::scope::KeptScope;
#[cfg(feature = "vsphere")]
pub(crate) use self::scope::Segment;
use self::scope::{Phase, Scope};
use super::address_pool::REMEMBERED;
use super::{BridgeRange, EndpointInfo, MacAddress, PortMapping, ScopeInfo, ScopeKind, ScopeSpec};
use crate::{Capability, ContainerId, Error, Resource, ResourceKind, Result};

/// How long a freed address rests. Linux forgets an unused ARP entry after at most 105 seconds.
pub(crate) const REST: Duration = Duration::from_secs(120);

/// The maximum number of containers that an error names; it shows only the number of the others.
const NAMED: usize = 10;

/// The scopes of one host, and what its containers hold in them.
#[derive(Debug)]
pub(crate) struct Table {
    range: BridgeRange,
    rest: Duration,
    /// The host's seed, from which MAC addresses are derived together with the container's id.
    /// Every host has a different seed.
    seed: Vec<u8>,
    scopes: BTreeMap<String, Scope>,
    holders: BTreeMap<ContainerId, Holder>,
    macs: HashMap<MacAddress, ContainerId>,
    conflicts: BTreeMap<ContainerId, String>,
    /// Addresses that were recently freed in scopes that have been removed, the longest unused
    /// first. If a new scope gets one of those subnets, these addresses rest there.
    freed: VecDeque<(Ipv4Addr, Instant)>,
}

/// A container and its connections.
#[derive(Clone, Debug)]
struct Holder {
    name: String,
    created: Option<Timestamp>,
    endpoints: Vec<EndpointInfo>,
    /// Whether the container is known to exist in the back end.
    is_settled: bool,
}

impl Table {
    /// Creates a table with only the default scope, which gets the range's first subnet.
    pub(crate) fn new(default: &str, range: BridgeRange, rest: Duration, seed: &[u8]) -> Self {
        let mut table = Self {
            range,
            rest,
            seed: seed.to_vec(),
            scopes: BTreeMap::new(),
            holders: BTreeMap::new(),
            macs: HashMap::new(),
            conflicts: BTreeMap::new(),
            freed: VecDeque::new(),
        };
        if let Ok(spec) = table.resolved(ScopeSpec::bridge(default)) {
            let scope = Scope::new(spec, rest).default_of_the_host();
            table.scopes.insert(default.to_owned(), scope);
        }
        table
    }

    /// Creates a scope that is hidden until [`open_scope`](Self::open_scope).
    pub(crate) fn make_scope(&mut self, kept: impl Into<KeptScope>) -> Result<ScopeInfo> {
        let kept = kept.into();
        kept.spec.validate()?;
        let name = kept.spec.name.clone();
        if self.scopes.contains_key(&name) {
            return Err(Error::already_exists(Resource::network(name)));
        }
        let spec = self.resolved(kept.spec.clone())?;
        let mut scope = Scope::new(KeptScope { spec, ..kept }, self.rest);
        if let Some(pool) = &mut scope.pool {
            for (address, at) in &self.freed {
                if pool.claim(*address).is_ok() {
                    pool.release(*address, *at);
                }
            }
        }
        if scope.assigns_nothing() {
            return Err(Error::invalid_argument(
                Resource::network(name),
                "pools",
                "all of their addresses are reserved, so none is left for containers",
            ));
        }
        let info = scope.info();
        self.scopes.insert(name, scope);
        Ok(info)
    }

    /// Makes a scope visible after the back end has created it.
    pub(crate) fn open_scope(&mut self, name: &str) {
        if let Some(scope) = self.scopes.get_mut(name) {
            scope.phase = Phase::Ready;
        }
        self.readopt_members(name);
    }

    /// Hides an unused scope, so that the back end can remove it.
    pub(crate) fn close_scope(&mut self, name: &str) -> Result<()> {
        let resource = Resource::network(name);
        let users = match self.scopes.get(name) {
            Some(scope) if scope.phase == Phase::Ready => {
                if scope.is_default {
                    let by = "its host, whose default scope it is";
                    return Err(Error::in_use(resource, by));
                }
                self.named(scope.members())
            }
            _ => return Err(Error::not_found(resource)),
        };
        if let Some(users) = users {
            return Err(Error::in_use(resource, users));
        }
        if let Some(scope) = self.scopes.get_mut(name) {
            scope.phase = Phase::Hidden;
        }
        Ok(())
    }

    /// Removes a scope from the table.
    pub(crate) fn drop_scope(&mut self, name: &str) {
        if let Some(pool) = self.scopes.remove(name).and_then(|scope| scope.pool) {
            let mut freed: Vec<_> = self.freed.drain(..).chain(pool.freed()).collect();
            freed.sort_by_key(|(_, at)| *at);
            let too_many = freed.len().saturating_sub(REMEMBERED);
            self.freed.extend(freed.into_iter().skip(too_many));
        }
    }

    /// Replaces the table's scopes by the default scope and these persisted ones. Returns the names
    /// of the scopes that could not be restored, each with the reason; the others are not affected.
    #[cfg_attr(
        not(any(test, feature = "vsphere")),
        allow(
            dead_code,
            reason = "the in-memory back end does not rebuild its table from persisted state"
        )
    )]
    pub(crate) fn reconcile(
        &mut self,
        kept: impl IntoIterator<Item = impl Into<KeptScope>>,
    ) -> Vec<(String, Error)> {
        let kept = kept.into_iter().map(Into::into);
        let kept: BTreeMap<_, KeptScope> = kept.map(|s| (s.spec.name.clone(), s)).collect();
        let is_gone = |(name, scope): (&String, &Scope)| {
            let stays = scope.is_default || kept.get(name).is_some_and(|k| scope.is(k));
            (!stays).then(|| name.clone())
        };
        let gone: Vec<_> = self.scopes.iter().filter_map(is_gone).collect();
        gone.iter().for_each(|name| self.drop_scope(name));
        let mut refused = Vec::new();
        for (name, kept) in kept {
            let is_ready = !kept.unfinished;
            if !self.scopes.contains_key(&name)
                && let Err(error) = self.make_scope(kept)
            {
                refused.push((name, error));
                continue;
            }
            match self.scopes.get_mut(&name) {
                Some(scope) if is_ready && scope.phase != Phase::Ready => self.open_scope(&name),
                Some(scope) if !is_ready => scope.phase = Phase::Hidden,
                _ => {}
            }
        }
        refused
    }

    /// Returns the first of these networks that no scope uses.
    #[cfg(feature = "vsphere")]
    pub(crate) fn unused_network<'a>(&self, all: &'a [String]) -> Option<&'a str> {
        let segments: Vec<_> = self.scopes.values().map(Scope::segment).collect();
        let is_used = |name: &String| segments.iter().any(|s| s.0.as_ref() == Some(name));
        all.iter().find(|name| !is_used(name)).map(String::as_str)
    }

    /// Returns the VLANs of the networks that were created for bridge scopes.
    #[cfg(feature = "vsphere")]
    pub(crate) fn vlans(&self) -> Vec<u16> {
        self.scopes.values().filter_map(Scope::vlan).collect()
    }

    /// Returns whether a bridge scope has this network for itself.
    #[cfg(feature = "vsphere")]
    pub(crate) fn is_of_bridge_scope(&self, network: &str) -> bool {
        let mut bridges = self.scopes.values();
        bridges.any(|scope| {
            scope.spec.kind == ScopeKind::Bridge && scope.segment().0.as_deref() == Some(network)
        })
    }

    /// Returns the networks of the external scopes.
    #[cfg(feature = "vsphere")]
    pub(crate) fn external_networks(&self) -> BTreeMap<String, String> {
        let scopes = self.scopes.iter();
        scopes
            .filter_map(|(scope, known)| match &known.spec.kind {
                ScopeKind::External { network } => Some((network.clone(), scope.clone())),
                ScopeKind::Bridge => None,
            })
            .collect()
    }

    /// Returns the description of one scope.
    pub(crate) fn inspect(&self, name: &str) -> Result<ScopeInfo> {
        self.ready(name).map(Scope::info)
    }

    /// Returns the descriptions of all scopes, sorted by name.
    pub(crate) fn list(&self) -> Vec<ScopeInfo> {
        let scopes = self.scopes.values();
        scopes
            .filter(|scope| scope.phase == Phase::Ready)
            .map(Scope::info)
            .collect()
    }

    fn ready(&self, name: &str) -> Result<&Scope> {
        self.scopes
            .get(name)
            .filter(|scope| scope.phase == Phase::Ready)
            .ok_or_else(|| Error::not_found(Resource::network(name)))
    }

    fn default_scope(&self) -> Option<&str> {
        let mut scopes = self.scopes.iter();
        scopes
            .find(|(_, scope)| scope.is_default)
            .map(|(name, _)| name.as_str())
    }

    /// Returns the specification with the subnet and the gateway chosen.
    fn resolved(&self, mut spec: ScopeSpec) -> Result<ScopeSpec> {
        let resource = || Resource::network(&spec.name);
        if spec.kind == ScopeKind::Bridge && spec.subnet.is_none() {
            let taken = self.scopes.values().filter_map(Scope::subnet);
            let taken = taken.chain(self.stray_subnets().map(|(net, _)| net));
            let chosen = self.range.choose(taken).ok_or_else(|| {
                let reason = format!(
                    "all of {} are in use: remove a scope, or specify a subnet outside of the range",
                    self.range
                );
                Error::exhausted(resource(), "subnet").with_source(reason)
            })?;
            spec.subnet = Some(chosen.into());
        }
        let subnet = match spec.subnet {
            None => return Ok(spec),
            Some(ipnet::IpNet::V6(_)) => {
                return Err(Error::unsupported(resource(), Capability::Ipv6));
            }
            Some(ipnet::IpNet::V4(subnet)) => subnet,
        };
        let overlaps = |net: ipnet::Ipv4Net| super::bridge_range::overlap(net, subnet);
        for (name, scope) in &self.scopes {
            if let Some(other) = scope.subnet().filter(|net| overlaps(*net)) {
                let reason = format!("{subnet} overlaps {other} of the scope {name:?}");
                return Err(Error::invalid_argument(resource(), "subnet", reason));
            }
        }
        let mut stray = self.stray_subnets();
        if let Some((net, holder)) =
            stray.find(|(net, (scope, _))| *scope != spec.name && overlaps(*net))
        {
            let (scope, container) = holder;
            let reason = format!(
                "{subnet} overlaps {net} of the lost scope {scope:?}, where the container \
                 {container:?} still has an address"
            );
            return Err(Error::invalid_argument(resource(), "subnet", reason));
        }
        if spec.kind == ScopeKind::Bridge && spec.gateway.is_none() {
            spec.gateway = subnet.hosts().next().map(Into::into);
        }
        Ok(spec)
    }

    /// Returns the containers' names as an error shows them; `None` if there are no containers.
    fn named<'a>(&self, ids: impl ExactSizeIterator<Item = &'a ContainerId>) -> Option<String> {
        let count = ids.len();
        let name = |id: &ContainerId| match self.holders.get(id) {
            Some(holder) if !holder.name.is_empty() => holder.name.clone(),
            _ => id.short(),
        };
        let names: Vec<_> = ids.take(NAMED).map(name).collect();
        let more = match count.saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        (count > 0).then(|| format!("{}{more}", names.join(", ")))
    }
}

/// Creates the error for a port of the host that another container publishes.
fn port_in_use(port: &PortMapping, by: String) -> Error {
    let shown = match (port.host_address, port.host_port) {
        (Some(address), Some(number)) => {
            format!(
                "{}/{}",
                std::net::SocketAddr::new(address, number),
                port.protocol
            )
        }
        (_, number) => format!("{}/{}", number.unwrap_or_default(), port.protocol),
    };
    let resource = Resource::new(ResourceKind::Other("host port"), shown);
    let reason = format!("endpoints.ports: {port} is published by {by}, which is on");
    Error::in_use(resource, by).with_source(reason)
}

#[cfg(test)]
mod tests;
