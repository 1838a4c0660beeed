//! The names of containers within a scope.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::{Holder, Table};
use crate::network::EndpointInfo;
use crate::{ContainerId, Result};

/// The containers of a scope by the names that they have there: pairs, because a set for each name
/// would have room for eleven containers.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeSet<(Box<str>, ContainerId)>);

impl Names {
    fn add(&mut self, name: String, id: ContainerId) {
        self.0.insert((name.into(), id));
    }

    fn remove(&mut self, name: String, id: ContainerId) {
        self.0.remove(&(name.into(), id));
    }

    fn get(&self, name: &str) -> impl Iterator<Item = &ContainerId> {
        let pairs = self.0.range((Box::from(name), ContainerId::FIRST)..);
        let named = pairs.take_while(move |(other, _)| **other == *name);
        named.map(|(_, id)| id)
    }
}

/// Iterates over all names of a container on one connection, in lower case: its name, short id and
/// aliases.
fn called(id: &ContainerId, name: &str, endpoint: &EndpointInfo) -> impl Iterator<Item = String> {
    let own = [name.to_ascii_lowercase(), id.short()];
    let aliases = endpoint.spec.aliases.iter();
    let all = own
        .into_iter()
        .chain(aliases.map(|a| a.to_ascii_lowercase()));
    all.filter(|name| !name.is_empty())
}

impl Table {
    /// Adds the names of a container's connections to the index, or removes them.
    pub(super) fn index_names(&mut self, id: &ContainerId, holder: &Holder, add: bool) {
        for endpoint in &holder.endpoints {
            let Some(scope) = self.scopes.get_mut(&endpoint.spec.scope) else {
                continue;
            };
            for name in called(id, &holder.name, endpoint) {
                if add {
                    scope.names.add(name, *id);
                } else {
                    scope.names.remove(name, *id);
                }
            }
        }
    }

    /// Renames a container.
    pub(crate) fn rename(&mut self, id: &ContainerId, name: &str) {
        let Some(old) = self.holders.get(id).cloned() else {
            return;
        };
        self.index_names(id, &old, false);
        let new = Holder {
            name: name.to_owned(),
            ..old
        };
        self.index_names(id, &new, true);
        self.holders.insert(*id, new);
    }

    /// Returns the containers with a name in a scope. With `from`, that container's links take
    /// precedence.
    pub(crate) fn called(
        &self,
        scope: &str,
        from: Option<&ContainerId>,
        name: &str,
    ) -> Result<Vec<ContainerId>> {
        let ready = self.ready(scope)?;
        let name = name.to_ascii_lowercase();
        let link = from
            .and_then(|from| self.endpoint(from, scope))
            .and_then(|own| own.spec.links.iter().find(|(_, alias)| *alias == name))
            .map(|(other, _)| other.to_ascii_lowercase());
        let name = match link {
            // A link may refer to a container by its full id.
            Some(other) => match other.parse::<ContainerId>() {
                Ok(id) => id.short(),
                Err(_) => other,
            },
            None => name,
        };
        Ok(ready.names.get(&name).copied().collect())
    }

    /// Returns the addresses of the containers with a name in a scope, as far as the port layer
    /// assigned them.
    pub(crate) fn resolve(
        &self,
        scope: &str,
        from: Option<&ContainerId>,
        name: &str,
    ) -> Result<Vec<IpAddr>> {
        let called = self.called(scope, from, name)?;
        let address = |id: &ContainerId| {
            let address = self.endpoint(id, scope)?.address?.addr();
            (!self.conflicts.contains_key(id)).then_some(address)
        };
        let mut found: Vec<_> = called.iter().filter_map(address).collect();
        found.sort_unstable();
        Ok(found)
    }

    /// Returns the names of the container with this address in a scope: its own name first, then
    /// its aliases.
    pub(crate) fn reverse(&self, scope: &str, address: IpAddr) -> Result<Vec<String>> {
        let ready = self.ready(scope)?;
        let holder = match address {
            IpAddr::V4(address) => ready.by_address.get(&address),
            IpAddr::V6(_) => None,
        };
        Ok(holder.map_or_else(Vec::new, |id| self.names_of(scope, id)))
    }

    /// Returns the names of a container in a scope: its own name first, then its aliases.
    pub(crate) fn names_of(&self, scope: &str, id: &ContainerId) -> Vec<String> {
        let name = self.holders.get(id).map(|holder| holder.name.clone());
        let endpoint = self.endpoint(id, scope);
        let aliases = endpoint.into_iter().flat_map(|e| &e.spec.aliases).cloned();
        name.into_iter().chain(aliases).collect()
    }

    /// Returns the containers of a scope whose addresses the port layer did not assign.
    #[cfg(feature = "vsphere")]
    pub(crate) fn unaddressed(&self, scope: &str) -> Result<Vec<ContainerId>> {
        let is_unknown = |id: &&ContainerId| {
            self.endpoint(id, scope)
                .is_some_and(|endpoint| endpoint.address.is_none())
        };
        let members = self.ready(scope)?.members();
        Ok(members.filter(is_unknown).copied().collect())
    }

    /// Returns a container's connection to a scope.
    pub(crate) fn endpoint(&self, id: &ContainerId, scope: &str) -> Option<&EndpointInfo> {
        let endpoints = self.holders.get(id)?.endpoints.iter();
        endpoints.into_iter().find(|e| e.spec.scope == scope)
    }
}
