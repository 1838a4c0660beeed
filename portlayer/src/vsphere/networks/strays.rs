//! Port groups that belong to no scope, and scopes whose port group does not exist.
//!
//! A scope is stored before its port group is created, and deleted after its port group. So they
//! differ only if the endpoint carries out a request after the program that sent it has ended, and
//! another program has finished or undone the change by then; or if somebody else removed the port
//! group.

use super::HostNetworks;
use super::own_network::is_unknown;
use super::scopes::{Stored, kept};
use crate::network::ScopeSpec;
use crate::network::table::KeptScope;
use crate::vsphere::scope_networks::ScopeNetworks;
use crate::{ErrorKind, Result};

/// A port group or a scope without its counterpart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::vsphere) enum Unmatched {
    /// A port group that this host created, and that no scope has, with its VLAN.
    PortGroup(String, u16),
    /// A complete scope whose port group does not exist.
    Scope(String),
}

impl HostNetworks {
    /// Returns the port groups that the host creates for its scopes; `None` if it creates none.
    pub(super) fn scope_networks(&self) -> Option<ScopeNetworks> {
        self.objects.created_scope_networks()
    }

    /// Finds port groups and scopes without their counterpart.
    pub(in crate::vsphere) async fn unmatched(&self) -> Result<Vec<Unmatched>> {
        let _turn = self.scopes.lock().await;
        self.find_unmatched().await
    }

    /// As [`unmatched`](Self::unmatched). The caller holds the `scopes` lock.
    async fn find_unmatched(&self) -> Result<Vec<Unmatched>> {
        let Some(networks) = self.scope_networks() else {
            return Ok(Vec::new());
        };
        let before = self.read_scopes().await?;
        let switch = match self.bridge_switch().await {
            // Port groups cannot be created here.
            Err(error) if matches!(error.kind, ErrorKind::Unsupported { .. }) => {
                return Ok(Vec::new());
            }
            switch => switch?,
        };
        let after = self.read_scopes().await?;
        // Another program may be changing scopes: only what both reads agree on is reported.
        let has_scope = |(name, vlan): &(String, u16)| {
            [&before, &after]
                .into_iter()
                .any(|stored| is_of_scope(stored, name, *vlan))
        };
        let groups = networks.among(&switch).into_iter();
        let groups = groups.filter(|group| !has_scope(group));
        let groups = groups.map(|(name, vlan)| Unmatched::PortGroup(name, vlan));
        let is_missing = |name: &&String| {
            let scope = kept(&after, name);
            let created = scope.as_ref().filter(|scope| !scope.unfinished);
            let network = created.and_then(|scope| Some((scope.network.as_deref()?, scope.vlan?)));
            network.is_some_and(|network| !switch.has(network))
                && before.get(*name) == after.get(*name)
        };
        let scopes = after.keys().filter(is_missing).cloned();
        Ok(groups.chain(scopes.map(Unmatched::Scope)).collect())
    }

    /// Removes a port group that belongs to no scope, or creates the port group of a scope again.
    pub(in crate::vsphere) async fn match_up(&self, unmatched: &Unmatched) -> Result<()> {
        let _turn = self.scopes.lock().await;
        match unmatched {
            Unmatched::PortGroup(name, vlan) => self.remove_stray(name, *vlan).await,
            Unmatched::Scope(name) => self.restore_network(name).await,
        }
    }

    /// Removes all port groups that belong to no scope. Best effort: what stays is found again. The
    /// caller holds the `scopes` lock.
    pub(super) async fn remove_strays(&self) {
        let found = match self.find_unmatched().await {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(%error, "cannot look for port groups without a scope");
                return;
            }
        };
        for unmatched in found {
            let Unmatched::PortGroup(name, vlan) = unmatched else {
                continue;
            };
            match self.remove_stray(&name, vlan).await {
                Ok(()) => tracing::info!(name, "removed a port group without a scope"),
                Err(error) => tracing::warn!(name, %error, "cannot remove a port group"),
            }
        }
    }

    /// Removes a port group unless a scope has it. While it is being removed, it is stored as that
    /// of an unfinished scope: so no other program uses the name and the VLAN for a new scope, and
    /// an interruption leaves something that is finished later.
    async fn remove_stray(&self, network: &str, vlan: u16) -> Result<()> {
        let stored = self.read_scopes().await?;
        if is_of_scope(&stored, network, vlan) {
            return Ok(());
        }
        let mut name = format!("stray-vlan-{vlan}");
        while stored.contains_key(&name) {
            name.push('x');
        }
        let claim = KeptScope {
            // An external scope, because it needs no subnet.
            spec: ScopeSpec::external(&name, network),
            network: Some(network.to_owned()),
            vlan: Some(vlan),
            unfinished: true,
        };
        self.keep(&name, Some(&claim), |now| *now == stored).await?;
        let removed = self.remove_network(&claim).await;
        if removed.as_ref().is_err_and(is_unknown) {
            return removed;
        }
        let is_current = |now: &Stored| kept(now, &name).is_none_or(|now| now == claim);
        self.keep(&name, None, is_current).await?;
        removed
    }

    /// Creates the port group of a complete scope if it does not exist.
    async fn restore_network(&self, name: &str) -> Result<()> {
        let stored = self.read_scopes().await?;
        let Some(scope) = kept(&stored, name).filter(|scope| !scope.unfinished) else {
            return Ok(());
        };
        match self.add_network(&scope).await {
            Err(error) if error.kind == ErrorKind::AlreadyExists => {
                let switch = self.bridge_switch().await?;
                let network = scope.network.as_deref().zip(scope.vlan);
                match network.is_some_and(|network| switch.has(network)) {
                    true => Ok(()),
                    false => Err(error),
                }
            }
            added => added,
        }
    }
}

/// Returns whether a stored scope, unfinished or not, has this network.
fn is_of_scope(stored: &Stored, network: &str, vlan: u16) -> bool {
    let mut scopes = stored.keys().filter_map(|name| kept(stored, name));
    scopes.any(|scope| scope.vlan == Some(vlan) && scope.network.as_deref() == Some(network))
}
