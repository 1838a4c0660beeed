//! The networks of single bridge scopes: existing ones that are assigned to a scope, and port groups
//! with VLANs that are created for it.
//!
//! A port group is created and removed in steps, between which the program may end. So the scope is
//! stored as unfinished before its port group is created or removed. An unfinished scope is not
//! visible, and [`finish`](HostNetworks::finish) removes what is left of it.

use super::HostNetworks;
use super::scopes::{Stored, kept};
use crate::network::table::KeptScope;
use crate::network::{ScopeKind, ScopeSpec};
use crate::vsphere::endpoint::BridgeSwitch;
use crate::{Error, ErrorKind, Resource, Result};

/// The network that only one bridge scope uses.
#[derive(Clone, Debug)]
pub(super) struct OwnNetwork {
    pub(super) name: String,
    /// The VLAN, if the network has to be created.
    pub(super) vlan: Option<u16>,
}

impl HostNetworks {
    /// Fails if containers cannot have cards on this network. The network is looked up when the
    /// scope is created, before any container, so that a wrong name is noticed early.
    pub(super) async fn refuse_network(&self, scope: &str, network: &str) -> Result<()> {
        let datacenter = &self.objects.datacenter;
        let found = self
            .endpoint
            .find_network(datacenter, Some(network))
            .await?;
        let refuse = |reason: String| {
            let field = "kind.network";
            Err(Error::invalid_argument(
                Resource::network(scope),
                field,
                reason,
            ))
        };
        let is_reserved = self.objects.scope_networks.iter().any(|own| own == network)
            || self.table().is_of_bridge_scope(&found.facts.name);
        if is_reserved {
            return refuse(format!(
                "{network:?} is reserved for the host's bridge scopes"
            ));
        }
        if found.facts.is_uplink {
            return refuse(format!(
                "{network:?} carries the uplinks of its distributed switch: choose another port \
                 group"
            ));
        }
        self.endpoint.backing(&found).await?;
        // A container has one card per network, so two scopes must not use different names for one
        // network.
        let others = self.table().external_networks();
        for (known, other) in others.iter().filter(|(known, _)| *known != network) {
            let same = self.endpoint.find_network(datacenter, Some(known)).await;
            if same.is_ok_and(|same| same.reference == found.reference) {
                return refuse(format!(
                    "{network:?} is the network that the scope {other:?} calls {known:?}: use that \
                     name"
                ));
            }
        }
        Ok(())
    }

    /// Returns the network to use exclusively for a new bridge scope, if the host is configured
    /// that way.
    pub(super) async fn network_of_its_own(&self, spec: &ScopeSpec) -> Result<Option<OwnNetwork>> {
        if spec.kind != ScopeKind::Bridge {
            return Ok(None);
        }
        let exhausted = |reason: String| {
            let resource = Resource::network(&spec.name);
            Error::exhausted(resource, "network").with_source(reason)
        };
        if let Some(networks) = self.scope_networks() {
            let vlans = networks.vlans;
            let switch = self.bridge_switch().await?;
            let mut used = self.table().vlans();
            used.extend(switch.vlans());
            for vlan in vlans.iter().filter(|vlan| !used.contains(vlan)) {
                let name = networks.name(vlan);
                if !self.is_network(&name).await? {
                    let vlan = Some(vlan);
                    return Ok(Some(OwnNetwork { name, vlan }));
                }
            }
            return Err(exhausted(format!(
                "each scope of this host needs a VLAN of its own, and all of {vlans} are in use on \
                 the switch {:?}: remove a scope",
                switch.name
            )));
        }
        let all = &self.objects.scope_networks;
        if all.is_empty() {
            return Ok(None);
        }
        let table = self.table();
        let unused = table.unused_network(all).ok_or_else(|| {
            exhausted(format!(
                "each scope of this host needs a network of its own, and all {} are in use: remove \
                 a scope",
                all.len()
            ))
        })?;
        Ok(Some(OwnNetwork {
            name: unused.to_owned(),
            vlan: None,
        }))
    }

    pub(super) async fn bridge_switch(&self) -> Result<BridgeSwitch> {
        let objects = &self.objects;
        let (datacenter, pool) = (&objects.datacenter, &objects.pool);
        self.endpoint
            .bridge_switch(datacenter, pool, &objects.bridge_network)
            .await
    }

    async fn is_network(&self, name: &str) -> Result<bool> {
        let datacenter = &self.objects.datacenter;
        match self.endpoint.find_network(datacenter, Some(name)).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Stores a new scope, and creates its network if it needs one. `stored` is what the scope was
    /// checked against.
    pub(super) async fn store_new(&self, mut scope: KeptScope, stored: &Stored) -> Result<()> {
        let name = scope.spec.name.clone();
        self.keep(&name, Some(&scope), |now| now == stored).await?;
        if !scope.unfinished {
            return Ok(());
        }
        if let Err(error) = self.add_network(&scope).await {
            if is_unknown(&error) {
                return Err(error);
            }
            // Another program has just created a port group with this name.
            let is_foreign = error.kind == ErrorKind::AlreadyExists;
            self.undo(&scope, is_foreign).await;
            return Err(match is_foreign {
                true => Error::conflict(Resource::network(name), scope.network).with_source(error),
                false => error,
            });
        }
        let unfinished = scope.clone();
        scope.unfinished = false;
        let is_current = |now: &Stored| kept(now, &name).as_ref() == Some(&unfinished);
        match self.keep(&name, Some(&scope), is_current).await {
            // The scope may be complete.
            Err(error) if is_unknown(&error) => Err(error),
            Err(error) => {
                self.undo(&unfinished, false).await;
                Err(error)
            }
            Ok(()) => Ok(()),
        }
    }

    /// Removes what was created of an unfinished scope. Best effort: what stays is found later.
    async fn undo(&self, scope: &KeptScope, keeps_network: bool) {
        let name = &scope.spec.name;
        let is_current = |now: &Stored| kept(now, name).as_ref() == Some(scope);
        let undone = async {
            if !keeps_network {
                self.remove_network(scope).await?;
            }
            self.keep(name, None, is_current).await
        };
        if let Err(error) = undone.await {
            tracing::warn!(name, %error, "an unfinished scope is left");
        }
    }

    pub(super) async fn add_network(&self, scope: &KeptScope) -> Result<()> {
        let (Some(name), Some(vlan)) = (&scope.network, scope.vlan) else {
            return Ok(());
        };
        let switch = self.bridge_switch().await?;
        let description = self.scope_networks().map(|networks| networks.description());
        self.endpoint
            .add_vlan_network(&switch, (name, vlan), description)
            .await
    }

    /// Removes the network that was created for a scope, if there is one. An absent one counts as
    /// success.
    pub(super) async fn remove_network(&self, scope: &KeptScope) -> Result<()> {
        let (Some(name), Some(vlan)) = (&scope.network, scope.vlan) else {
            return Ok(());
        };
        let network = (name.as_str(), vlan);
        let (datacenter, pool) = (&self.objects.datacenter, &self.objects.pool);
        self.endpoint
            .remove_vlan_networks(datacenter, pool, [network])
            .await
    }

    /// Deletes a stored scope, after its network if that was created for it.
    pub(super) async fn delete_stored(
        &self,
        name: &str,
        scope: Option<&KeptScope>,
        stored: &Stored,
    ) -> Result<()> {
        let Some(scope) = scope.filter(|scope| scope.vlan.is_some()) else {
            return self.delete_entry(name, stored).await;
        };
        let unfinished = KeptScope {
            unfinished: true,
            ..scope.clone()
        };
        let is_ready = |now: &Stored| kept(now, name).as_ref() == Some(scope);
        let is_unfinished = |now: &Stored| kept(now, name).as_ref() == Some(&unfinished);
        self.keep(name, Some(&unfinished), is_ready).await?;
        match self.remove_network(scope).await {
            Ok(()) => {
                let is_gone = |now: &Stored| !now.contains_key(name);
                let is_current = |now: &Stored| is_gone(now) || is_unfinished(now);
                self.keep(name, None, is_current).await
            }
            Err(error) => {
                if !is_unknown(&error)
                    && let Err(error) = self.keep(name, Some(scope), is_unfinished).await
                {
                    tracing::warn!(name, %error, "an unfinished scope is left");
                }
                Err(error)
            }
        }
    }

    /// Reads the stored scopes for the creation of this one. If a change of it was interrupted and
    /// this program is the only writer, first removes what the change left. The caller holds the
    /// `scopes` lock.
    ///
    /// # Errors
    /// [`InUse`](ErrorKind::InUse) if another program may be creating or removing the scope.
    pub(super) async fn read_to_create(&self, name: &str) -> Result<Stored> {
        let stored = self.read_scopes().await?;
        let Some(scope) = kept(&stored, name).filter(|scope| scope.unfinished) else {
            return Ok(stored);
        };
        if self.is_only_writer {
            self.finish(&scope, &stored).await?;
            return self.read_scopes().await;
        }
        let by = "a creation or removal of it that was interrupted or is in progress";
        let advice = "if no other program is changing it, remove it first";
        Err(Error::in_use(Resource::network(name), by).with_source(advice))
    }

    /// Removes what is left of an unfinished scope. The caller holds the `scopes` lock.
    pub(super) async fn finish(&self, scope: &KeptScope, stored: &Stored) -> Result<()> {
        let name = &scope.spec.name;
        self.remove_network(scope).await?;
        self.delete_entry(name, stored).await?;
        self.table().drop_scope(name);
        Ok(())
    }

    /// Deletes a stored scope that is as it was read. Already deleted counts as success.
    async fn delete_entry(&self, name: &str, stored: &Stored) -> Result<()> {
        let before = stored.get(name);
        let is_current = |now: &Stored| now.get(name).is_none_or(|value| Some(value) == before);
        self.keep(name, None, is_current).await
    }

    /// Returns the names of the scopes whose creation or removal was interrupted, or is in progress
    /// in another program.
    pub(in crate::vsphere) async fn unfinished_scopes(&self) -> Result<Vec<String>> {
        let _turn = self.scopes.lock().await;
        let stored = self.read_scopes().await?;
        let is_unfinished = |name: &&String| kept(&stored, name).is_some_and(|s| s.unfinished);
        Ok(stored.keys().filter(is_unfinished).cloned().collect())
    }

    /// Removes what is left of a scope if it is unfinished.
    pub(in crate::vsphere) async fn finish_scope(&self, name: &str) -> Result<()> {
        let _turn = self.scopes.lock().await;
        let stored = self.read_scopes().await?;
        match kept(&stored, name).filter(|scope| scope.unfinished) {
            Some(scope) => self.finish(&scope, &stored).await,
            None => Ok(()),
        }
    }
}

/// Returns whether the request that failed with this error may still be carried out.
pub(super) fn is_unknown(error: &Error) -> bool {
    matches!(
        error.kind,
        ErrorKind::OutcomeUnknown { .. } | ErrorKind::Timeout { .. }
    )
}
