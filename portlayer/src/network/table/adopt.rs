//! Keeps the table up to date with existing containers: those found, changed by others, or removed.

use std::collections::BTreeMap;
use std::time::Instant;

use ipnet::{IpNet, Ipv4Net};
use jiff::Timestamp;

use super::{Holder, Table, port_in_use};
use crate::network::{AddressError, EndpointInfo, PortMapping, ScopeKind};
use crate::{ContainerId, Error, Resource, ResourceKind};

impl Table {
    /// Enters an existing container with the connections that the back end reports. If another
    /// container holds one of its addresses, the container that was created first owns the address,
    /// and the other becomes a [conflict](Self::conflict). Unknown scopes are allowed. Addresses
    /// that the container held before and does not hold any longer are freed and rest.
    pub(crate) fn adopt(
        &mut self,
        id: ContainerId,
        name: &str,
        created: Option<Timestamp>,
        endpoints: Vec<EndpointInfo>,
        now: Instant,
    ) {
        if let Some(known) = self.holders.get_mut(&id)
            && known.endpoints == endpoints
            && known.name == name
        {
            known.is_settled = true;
            return;
        }
        let holder = Holder {
            name: name.to_owned(),
            created,
            endpoints,
            is_settled: true,
        };
        let before: Vec<_> = self.conflicts.keys().copied().collect();
        self.enter(id, holder, Some(now));
        self.reconsider();
        for (id, reason) in self.conflicts.iter().filter(|(id, _)| !before.contains(id)) {
            tracing::warn!(container = %id, reason, "quarantined");
        }
    }

    pub(super) fn enter(&mut self, id: ContainerId, holder: Holder, now: Option<Instant>) {
        if let Some(old) = self.holders.remove(&id) {
            self.index_names(&id, &old, false);
            self.free(&id, &old.endpoints, &holder.endpoints, now);
        }
        self.conflicts.remove(&id);
        self.index_names(&id, &holder, true);
        let endpoints = holder.endpoints.clone();
        self.holders.insert(id, holder);
        for endpoint in &endpoints {
            self.hold(id, endpoint);
        }
    }

    fn hold(&mut self, id: ContainerId, endpoint: &EndpointInfo) {
        if let Some(mac) = endpoint.mac {
            match self.macs.get(&mac).copied() {
                Some(other) if other != id => {
                    let later = self.later(id, other);
                    self.conflict_over(&later, &mac, if later == id { &other } else { &id });
                    self.macs.insert(mac, if later == id { other } else { id });
                }
                _ => {
                    self.macs.insert(mac, id);
                }
            }
        }
        let Some(scope) = self.scopes.get_mut(&endpoint.spec.scope) else {
            return;
        };
        scope.join(id);
        let (Some(IpNet::V4(net)), Some(pool)) = (endpoint.address, &mut scope.pool) else {
            return;
        };
        let address = net.addr();
        match (pool.claim(address), scope.by_address.get(&address).copied()) {
            (Err(AddressError::Taken(_)), Some(other)) if other != id => {
                let later = self.later(id, other);
                let earlier = if later == id { other } else { id };
                self.conflict_over(&later, &address, &earlier);
                if let Some(scope) = self.scopes.get_mut(&endpoint.spec.scope) {
                    scope.by_address.insert(address, earlier);
                }
            }
            (Ok(()) | Err(AddressError::Taken(_)), _) => {
                scope.by_address.insert(address, id);
            }
            (Err(refused), _) => {
                let reason = format!("its address cannot be used: {refused}");
                self.conflicts.insert(id, reason);
            }
        }
    }

    /// Returns which of two containers was created later. An unknown creation time counts as later.
    fn later(&self, one: ContainerId, other: ContainerId) -> ContainerId {
        let age = |id: ContainerId| {
            let created = self.holders.get(&id).and_then(|holder| holder.created);
            (created.is_none(), created, id)
        };
        if age(one) > age(other) { one } else { other }
    }

    fn conflict_over(
        &mut self,
        later: &ContainerId,
        what: &dyn std::fmt::Display,
        earlier: &ContainerId,
    ) {
        let owner = self.holders.get(earlier).map(|holder| holder.name.as_str());
        let reason = format!(
            "its address {what} belongs to the container {:?}, which was created before it: give \
             it another one, or remove it",
            owner.unwrap_or_default()
        );
        self.conflicts.insert(*later, reason);
    }

    /// Checks conflicting containers again, in the order of their creation, after something was
    /// freed.
    pub(super) fn reconsider(&mut self) {
        let mut ids: Vec<_> = self.conflicts.keys().copied().collect();
        ids.sort_by_key(|id| self.holders.get(id).and_then(|holder| holder.created));
        for id in ids {
            if let Some(holder) = self.holders.get(&id).cloned() {
                self.enter(id, holder, None);
            } else {
                self.conflicts.remove(&id);
            }
        }
    }

    /// Enters the containers of a scope that was lost and has been created again.
    pub(super) fn readopt_members(&mut self, scope: &str) {
        let is_on = |holder: &Holder| holder.endpoints.iter().any(|e| e.spec.scope == scope);
        let members: Vec<_> = self
            .holders
            .iter()
            .filter(|(_, holder)| holder.is_settled && is_on(holder))
            .map(|(id, holder)| (*id, holder.clone()))
            .collect();
        for (id, holder) in members {
            self.enter(id, holder, None);
        }
    }

    /// Frees everything that a container held, after its removal was confirmed. Its addresses rest.
    pub(crate) fn release(&mut self, id: &ContainerId, now: Instant) {
        self.conflicts.remove(id);
        if let Some(holder) = self.holders.remove(id) {
            self.index_names(id, &holder, false);
            self.free(id, &holder.endpoints, &[], Some(now));
        }
        self.reconsider();
    }

    /// Returns a container's connections; `None` for an unknown container.
    pub(crate) fn endpoints(&self, id: &ContainerId) -> Option<&[EndpointInfo]> {
        self.holders
            .get(id)
            .map(|holder| holder.endpoints.as_slice())
    }

    /// Returns the containers that must not be started, because one of their addresses belongs to
    /// another container, with the reasons.
    pub(crate) fn conflicts(&self) -> BTreeMap<ContainerId, String> {
        self.conflicts.clone()
    }

    /// Returns the reason why a container must not be started, if one of its addresses belongs to
    /// another container.
    pub(crate) fn conflict(&self, id: &ContainerId) -> Option<&str> {
        self.conflicts.get(id).map(String::as_str)
    }

    /// Returns the containers that must not be on at the same time as this one, each with the error
    /// to return if it is on. They publish the same port of the host, or are in conflict over this
    /// container's address. A container in conflict cannot be started, but it may have been on
    /// already when the conflict was found.
    pub(crate) fn rivals(&self, id: &ContainerId) -> Vec<(ContainerId, Error)> {
        let ports = self.port_rivals(id).into_iter();
        let ports = ports.map(|(rival, name, port)| (rival, port_in_use(&port, name)));
        ports.chain(self.address_rivals(id)).collect()
    }

    fn address_rivals(&self, id: &ContainerId) -> impl Iterator<Item = (ContainerId, Error)> {
        let own = self.endpoints(id).unwrap_or_default();
        let shared = move |theirs: &[EndpointInfo]| {
            own.iter().find_map(|own| {
                let is_same = |e: &&EndpointInfo| {
                    own.mac.is_some() && own.mac == e.mac
                        || own.spec.scope == e.spec.scope
                            && own.address.is_some()
                            && own.address == e.address
                };
                let same = theirs.iter().find(is_same)?;
                match same.address.filter(|address| own.address == Some(*address)) {
                    Some(net) => Some(net.addr().to_string()),
                    None => same.mac.map(|mac| mac.to_string()),
                }
            })
        };
        let others = self.conflicts.keys().filter(move |other| *other != id);
        others.filter_map(move |other| {
            let holder = self.holders.get(other)?;
            let address = shared(&holder.endpoints)?;
            let resource = Resource::new(ResourceKind::Other("address"), &address);
            let reason = format!(
                "{address} belongs to this container, but {:?}, which is in conflict with it, is on: \
                 stop that one first",
                holder.name
            );
            let error = Error::in_use(resource, holder.name.clone()).with_source(reason);
            Some((*other, error))
        })
    }

    /// Returns the other containers that publish a port of the host that this one publishes too,
    /// with their names and the port. They matter only while they are on.
    pub(super) fn port_rivals(&self, id: &ContainerId) -> Vec<(ContainerId, String, PortMapping)> {
        let own: Vec<_> = self.published(id).collect();
        if own.is_empty() {
            return Vec::new();
        }
        let mut rivals = Vec::new();
        for (other, holder) in self.holders.iter().filter(|(other, _)| *other != id) {
            let clash = |theirs: &PortMapping| own.iter().any(|own| own.conflicts_with(theirs));
            if let Some(port) = self.published(other).find(clash) {
                rivals.push((*other, holder.name.clone(), port));
            }
        }
        rivals
    }

    /// Iterates over the ports that a container publishes at addresses of the host. These are only
    /// the ports on bridge scopes: on an external scope, clients reach the container at its own
    /// address.
    fn published(&self, id: &ContainerId) -> impl Iterator<Item = PortMapping> {
        let endpoints = self.endpoints(id).unwrap_or_default().iter();
        endpoints
            .filter(|endpoint| {
                let scope = self.scopes.get(&endpoint.spec.scope);
                scope.is_some_and(|scope| scope.spec.kind == ScopeKind::Bridge)
            })
            .flat_map(|endpoint| endpoint.spec.ports.iter().copied())
    }

    /// Iterates over the subnets of connections to unknown scopes, each with the scope and the
    /// container. Their addresses are in use although the scope is unknown.
    pub(super) fn stray_subnets(&self) -> impl Iterator<Item = (Ipv4Net, (&str, &str))> {
        self.holders.values().flat_map(|holder| {
            let stray = holder.endpoints.iter();
            stray
                .filter(|endpoint| !self.scopes.contains_key(&endpoint.spec.scope))
                .filter_map(move |endpoint| match endpoint.address? {
                    IpNet::V4(net) => {
                        let names = (endpoint.spec.scope.as_str(), holder.name.as_str());
                        Some((net.trunc(), names))
                    }
                    IpNet::V6(_) => None,
                })
        })
    }
}
