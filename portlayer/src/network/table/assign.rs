//! Assigns addresses to a container that is being created or changed.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Instant;

use ipnet::{IpNet, Ipv4Net};
use jiff::Timestamp;

use super::scope::{Scope, Segment};
use super::{Holder, Table};
use crate::network::{AddressError, EndpointInfo, EndpointSpec, MacAddress, ScopeKind, TrustLevel};
use crate::{Capability, ContainerId, Error, Resource, ResourceKind, Result};

/// The maximum number of attempts to find an unused MAC address for a container.
const MAC_TRIES: u32 = 1 << 16;

/// The connections that a container is about to have. Until the assignment is
/// [committed](Table::commit) or [abandoned](Table::abandon), the table reserves both the new
/// addresses and those that the container had before.
#[derive(Clone, Debug)]
#[must_use]
pub(crate) struct Assignment {
    pub(crate) id: ContainerId,
    pub(crate) endpoints: Vec<EndpointInfo>,
}

impl Table {
    /// Reserves addresses for a new container. If one of them cannot be assigned, none is.
    pub(crate) fn assign_new(
        &mut self,
        id: ContainerId,
        name: &str,
        created: Timestamp,
        specs: &[EndpointSpec],
        now: Instant,
    ) -> Result<Assignment> {
        if self.holders.contains_key(&id) {
            return Err(Error::already_exists(Resource::container(id)));
        }
        let endpoints = self.assign(&id, &[], specs, now)?;
        let holder = Holder {
            name: name.to_owned(),
            created: Some(created),
            endpoints: endpoints.clone(),
            is_settled: false,
        };
        self.index_names(&id, &holder, true);
        self.holders.insert(id, holder);
        Ok(Assignment { id, endpoints })
    }

    /// Reserves addresses for a container whose connections are changed to these. On a scope to
    /// which the container was already connected, it keeps an automatically assigned address unless
    /// it requests a fixed one.
    pub(crate) fn assign_edit(
        &mut self,
        id: ContainerId,
        specs: &[EndpointSpec],
        now: Instant,
    ) -> Result<Assignment> {
        let holder = self.holders.get(&id);
        let held = holder.ok_or_else(|| Error::not_found(Resource::container(id)))?;
        let held = if self.conflicts.contains_key(&id) {
            // The container is in conflict, so it must not keep the addresses that it has.
            Vec::new()
        } else {
            held.endpoints.clone()
        };
        let endpoints = self.assign(&id, &held, specs, now)?;
        Ok(Assignment { id, endpoints })
    }

    /// Completes an assignment after the back end has persisted it. Addresses that the container
    /// held before and does not hold any longer are freed.
    pub(crate) fn commit(&mut self, assignment: &Assignment, now: Instant) {
        let id = assignment.id;
        let Some(old) = self.holders.remove(&id) else {
            return;
        };
        self.index_names(&id, &old, false);
        self.free(&id, &old.endpoints, &assignment.endpoints, Some(now));
        let new = Holder {
            endpoints: assignment.endpoints.clone(),
            is_settled: true,
            ..old
        };
        self.holders.insert(id, new.clone());
        self.enter(id, new, None);
        self.reconsider();
    }

    /// Undoes an assignment that the back end did not persist. The container holds what it held
    /// before, and the new addresses are freed without a rest.
    pub(crate) fn abandon(&mut self, assignment: &Assignment) {
        let id = assignment.id;
        let Some(holder) = self.holders.get(&id).cloned() else {
            return;
        };
        if holder.is_settled {
            self.free(&id, &assignment.endpoints, &holder.endpoints, None);
        } else {
            self.index_names(&id, &holder, false);
            self.free(&id, &assignment.endpoints, &[], None);
            self.holders.remove(&id);
        }
    }

    fn assign(
        &mut self,
        id: &ContainerId,
        held: &[EndpointInfo],
        specs: &[EndpointSpec],
        now: Instant,
    ) -> Result<Vec<EndpointInfo>> {
        let default = self.default_scope().map(EndpointSpec::new);
        let specs = match specs {
            [] => default.as_slice(),
            specs => specs,
        };
        let macs = self.choose_macs(id, held, specs)?;
        let mut endpoints = Vec::new();
        for spec in specs {
            let before = held.iter().find(|e| e.spec.scope == spec.scope);
            match self.connect(id, before, spec, now) {
                Ok(mut endpoint) => {
                    let segment = self.scopes.get(&spec.scope).map(Scope::segment);
                    endpoint.mac = segment.and_then(|segment| macs.get(&segment).copied());
                    endpoints.push(endpoint);
                }
                Err(error) => {
                    let before = self.endpoints(id).unwrap_or_default().to_vec();
                    self.free(id, &endpoints, &before, None);
                    return Err(error);
                }
            }
        }
        for mac in macs.into_values() {
            self.macs.insert(mac, *id);
        }
        Ok(endpoints)
    }

    /// Creates one connection, without its MAC address.
    fn connect(
        &mut self,
        id: &ContainerId,
        before: Option<&EndpointInfo>,
        spec: &EndpointSpec,
        now: Instant,
    ) -> Result<EndpointInfo> {
        let resource = Resource::container(id);
        self.ready(&spec.scope)?;
        let mut endpoint = EndpointInfo::new(spec.clone());
        let Some(scope) = self.scopes.get_mut(&spec.scope) else {
            return Err(Error::not_found(Resource::network(&spec.scope)));
        };
        if let Some(reason) = refuse_ports(scope, spec) {
            return Err(Error::invalid_argument(resource, "endpoints.ports", reason));
        }
        let kept = before.filter(|before| match spec.address {
            None => before.spec.address.is_none(),
            wanted => before.address.map(|net| net.addr()) == wanted,
        });
        let address = match (
            kept.and_then(|kept| kept.address),
            spec.address,
            &mut scope.pool,
        ) {
            (Some(IpNet::V4(kept)), _, Some(_)) => Some(kept.addr()),
            (_, Some(IpAddr::V6(_)), _) => {
                return Err(Error::unsupported(resource, Capability::Ipv6));
            }
            (_, Some(IpAddr::V4(wanted)), Some(pool)) => match pool.claim(wanted) {
                Ok(()) => Some(wanted),
                Err(AddressError::Taken(_)) => {
                    let holder = scope.by_address.get(&wanted).copied();
                    let field = "endpoints.address";
                    return Err(self.taken(field, &wanted, holder.as_ref(), &spec.scope));
                }
                Err(refused) => {
                    let field = "endpoints.address";
                    return Err(Error::invalid_argument(resource, field, refused));
                }
            },
            (_, Some(wanted), None) => {
                let reason = format!(
                    "{wanted}: the scope {:?} has no subnet; DHCP assigns its addresses",
                    spec.scope
                );
                let field = "endpoints.address";
                return Err(Error::invalid_argument(resource, field, reason));
            }
            (_, None, Some(pool)) if pool.total() > 0 => match pool.assign(now) {
                Ok(assigned) => Some(assigned),
                Err(exhausted) => {
                    let members: Vec<_> = scope.members().copied().collect();
                    return Err(self.exhausted(&spec.scope, &exhausted, &members));
                }
            },
            (_, None, _) => None,
        };
        scope.join(*id);
        if let Some(address) = address {
            scope.by_address.insert(address, *id);
            let prefix = scope.subnet().map_or(32, |subnet| subnet.prefix_len());
            endpoint.address = Ipv4Net::new(address, prefix).ok().map(Into::into);
            endpoint.gateway = scope.way_out();
        }
        Ok(endpoint)
    }

    /// Chooses a MAC address for each network on which the container has a card.
    fn choose_macs(
        &self,
        id: &ContainerId,
        held: &[EndpointInfo],
        specs: &[EndpointSpec],
    ) -> Result<BTreeMap<Segment, MacAddress>> {
        let field = "endpoints.mac";
        let mut given: BTreeMap<Segment, Option<MacAddress>> = BTreeMap::new();
        for spec in specs {
            let segment = self.ready(&spec.scope)?.segment();
            let known = given.entry(segment).or_default();
            match (spec.mac, *known) {
                (Some(mac), Some(other)) if mac != other => {
                    let reason = format!(
                        "{mac}: the container has one card on this network, with {other} already"
                    );
                    let resource = Resource::container(id);
                    return Err(Error::invalid_argument(resource, field, reason));
                }
                (mac, known_mac) => *known = known_mac.or(mac),
            }
        }
        let mut macs = BTreeMap::new();
        for (segment, given) in given {
            if let Some(mac) = given
                && let Some(holder) = self.macs.get(&mac).filter(|holder| *holder != id)
            {
                return Err(self.taken(field, &mac, Some(holder), "its network"));
            }
            let of_segment = |e: &&EndpointInfo| {
                let scope = self.scopes.get(&e.spec.scope);
                scope.is_some_and(|scope| scope.segment() == segment)
            };
            let kept = held.iter().filter(of_segment).find_map(|e| e.mac);
            let mac = match given.or(kept) {
                Some(mac) => mac,
                None => self.generate_mac(id, &segment)?,
            };
            if macs.values().any(|other| *other == mac) {
                let reason = format!("{mac}: another card of the container has it already");
                let resource = Resource::container(id);
                return Err(Error::invalid_argument(resource, field, reason));
            }
            macs.insert(segment, mac);
        }
        Ok(macs)
    }

    fn generate_mac(&self, id: &ContainerId, segment: &Segment) -> Result<MacAddress> {
        let network = segment.0.as_deref().unwrap_or_default();
        let candidate = |attempt: u32| {
            let attempt = attempt.to_be_bytes();
            let parts = [&self.seed, &id.as_bytes()[..], &attempt, network.as_bytes()];
            MacAddress::from_seed(&parts.concat())
        };
        let is_free = |mac: &MacAddress| self.macs.get(mac).is_none_or(|holder| holder == id);
        (0..MAC_TRIES)
            .map(candidate)
            .find(is_free)
            .ok_or_else(|| Error::exhausted(Resource::container(id), "MAC address"))
    }

    /// Creates the error for a scope without a free address, which names containers whose removal
    /// would free one.
    fn exhausted(&self, scope: &str, error: &AddressError, members: &[ContainerId]) -> Error {
        let connected = match self.named(members.iter()) {
            Some(names) => format!("; connected are {names}"),
            None => String::new(),
        };
        let reason = format!("{error}{connected}");
        Error::exhausted(Resource::network(scope), "address").with_source(reason)
    }

    fn taken(
        &self,
        field: &str,
        address: &dyn std::fmt::Display,
        holder: Option<&ContainerId>,
        scope: &str,
    ) -> Error {
        let by = self.named(holder.into_iter());
        let by = by.unwrap_or_else(|| "a container that is being created".to_owned());
        let resource = Resource::new(ResourceKind::Other("address"), address);
        let reason = format!("{field}: {address} is in use by {by} in {scope}");
        Error::in_use(resource, by).with_source(reason)
    }

    /// Frees everything that is in `endpoints` and not in `but`. Addresses rest from `now` on.
    /// `None` means that they were never used and need no rest.
    pub(super) fn free(
        &mut self,
        id: &ContainerId,
        endpoints: &[EndpointInfo],
        but: &[EndpointInfo],
        now: Option<Instant>,
    ) {
        for endpoint in endpoints {
            let stays = but.iter().find(|e| e.spec.scope == endpoint.spec.scope);
            if let Some(scope) = self.scopes.get_mut(&endpoint.spec.scope) {
                if stays.is_none() {
                    scope.leave(id);
                }
                if let Some(IpNet::V4(net)) = endpoint.address
                    && stays.is_none_or(|stays| stays.address != endpoint.address)
                    && scope.by_address.get(&net.addr()) == Some(id)
                {
                    scope.by_address.remove(&net.addr());
                    if let Some(pool) = &mut scope.pool {
                        match now {
                            Some(now) => pool.release(net.addr(), now),
                            None => pool.release_unused(net.addr()),
                        };
                    }
                }
            }
            if let Some(mac) = endpoint.mac
                && !but.iter().any(|e| e.mac == Some(mac))
                && self.macs.get(&mac) == Some(id)
            {
                self.macs.remove(&mac);
            }
        }
    }
}

/// Returns the reason why this scope cannot publish the ports of a connection; `None` if it can.
fn refuse_ports(scope: &Scope, spec: &EndpointSpec) -> Option<String> {
    let port = spec.ports.first()?;
    let trust = scope.spec.trust;
    let refused = match trust {
        TrustLevel::Closed | TrustLevel::Outbound => Some(port),
        // Peers reach all ports directly; only on an external network may a container also redirect
        // one.
        TrustLevel::Peers if scope.spec.kind == ScopeKind::Bridge => Some(port),
        TrustLevel::Peers => spec.ports.iter().find(|port| port.host_port.is_none()),
        TrustLevel::Published | TrustLevel::Open => None,
    };
    refused.map(|port| {
        format!(
            "{port}: the trust level of the scope {:?} is {trust:?}, which allows no published ports",
            scope.spec.name
        )
    })
}
