//! The scopes created by users, stored in the keys of the host's appliance.

use std::collections::BTreeMap;

use guestinfo::{Dialect, GuestInfo, decode, encode};
use serde_json::Value;
use vim25::types::VirtualMachineConfigSpec;

use super::HostNetworks;
use crate::network::table::KeptScope;
use crate::network::{ScopeInfo, ScopeKind, ScopeSpec};
use crate::vsphere::machine_spec::options;
use crate::vsphere::record::Keys;
use crate::{Error, ErrorKind, Resource, Result};

/// Maximum number of attempts to change the scopes while the appliance is changed concurrently.
const TRIES: usize = 5;

#[derive(Clone, Debug, Default, GuestInfo)]
struct Ours {
    #[guestinfo(key = "portlayer", scope = "hidden")]
    host: Kept,
}

#[derive(Clone, Debug, Default, GuestInfo)]
struct Kept {
    /// The scopes by name, as a JSON object of their specifications.
    #[guestinfo(key = "scopes", scope = "hidden", chunks)]
    scopes: Option<String>,
}

/// Returns the stored scopes by name. Unreadable ones are preserved unchanged.
fn read(keys: &Keys) -> BTreeMap<String, Value> {
    let text = decode::<Ours>(keys).value.host.scopes;
    text.and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_default()
}

/// Returns the key changes that store these scopes; an empty value deletes a key.
fn changes(old: &Keys, scopes: &BTreeMap<String, Value>, dialect: Dialect) -> Result<Keys, String> {
    let text = match scopes.is_empty() {
        true => None,
        false => Some(serde_json::to_string(scopes).map_err(|error| error.to_string())?),
    };
    let kept = Ours {
        host: Kept { scopes: text },
    };
    let mut changes = encode(&kept, dialect).map_err(|error| error.to_string())?;
    let before = decode::<Ours>(old).value;
    let before = encode(&before, dialect).map_err(|error| error.to_string())?;
    for key in before.into_keys() {
        changes.entry(key).or_default();
    }
    Ok(changes)
}

impl HostNetworks {
    /// Updates the table from the stored scopes. The caller holds the `scopes` lock.
    pub(super) async fn read_scopes(&self) -> Result<()> {
        let host = self.objects.host();
        let appliance = self
            .endpoint
            .machine(&self.objects.appliance, &host)
            .await?;
        let mut specs = Vec::new();
        for (name, value) in read(&appliance.keys) {
            match serde_json::from_value::<KeptScope>(value) {
                Ok(kept) if kept.spec.name == name => specs.push(kept),
                Ok(kept) => {
                    tracing::warn!(
                        name,
                        kept = kept.spec.name,
                        "a scope is stored under another name"
                    );
                }
                Err(error) => tracing::warn!(name, %error, "cannot read a scope"),
            }
        }
        for (name, error) in self.table().reconcile(specs) {
            tracing::warn!(name, %error, "cannot use a scope");
        }
        Ok(())
    }

    pub(super) async fn create_scope(&self, spec: ScopeSpec) -> Result<ScopeInfo> {
        spec.validate()?;
        self.load().await?;
        let _turn = self.scopes.lock().await;
        self.read_scopes().await?;
        if let ScopeKind::External { network } = &spec.kind {
            self.refuse_network(&spec.name, network).await?;
        }
        let network = self.network_of_its_own(&spec)?;
        let info = self.table().make_scope(KeptScope { spec, network })?;
        let name = info.spec.name.clone();
        let kept = KeptScope {
            spec: info.spec.clone(),
            network: info.network.clone(),
        };
        let value = serde_json::to_value(&kept)
            .map_err(|error| Error::internal(Resource::network(&name), error));
        // If the future is dropped here, the scope stays invisible until the next change reads the
        // stored scopes.
        let kept = match value {
            Ok(value) => self.keep(&name, Some(value)).await,
            Err(error) => Err(error),
        };
        let mut table = self.table();
        match kept {
            Ok(()) => table.open_scope(&name),
            Err(error) => {
                table.drop_scope(&name);
                return Err(error);
            }
        }
        table.inspect(&name)
    }

    /// Fails if containers cannot have cards on this network. The network is looked up when the
    /// scope is created, before any container, so that a wrong name is noticed early.
    async fn refuse_network(&self, scope: &str, network: &str) -> Result<()> {
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
        if self.objects.scope_networks.iter().any(|own| own == network) {
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

    /// Returns the network to assign exclusively to a new bridge scope, if the host is configured
    /// that way.
    fn network_of_its_own(&self, spec: &ScopeSpec) -> Result<Option<String>> {
        let all = &self.objects.scope_networks;
        if spec.kind != ScopeKind::Bridge || all.is_empty() {
            return Ok(None);
        }
        let table = self.table();
        match table.unused_network(all) {
            Some(network) => Ok(Some(network.to_owned())),
            None => {
                let reason = format!(
                    "each scope of this host needs a network of its own, and all {} are in use: \
                     remove a scope",
                    all.len()
                );
                let resource = Resource::network(&spec.name);
                Err(Error::exhausted(resource, "network").with_source(reason))
            }
        }
    }

    pub(super) async fn remove_scope(&self, name: &str) -> Result<()> {
        self.refresh().await?;
        let _turn = self.scopes.lock().await;
        self.read_scopes().await?;
        self.table().close_scope(name)?;
        let kept = self.keep(name, None).await;
        let mut table = self.table();
        match kept {
            Ok(()) => table.drop_scope(name),
            Err(error) => {
                // The scope may have been deleted. It then stays hidden until the stored scopes are
                // read.
                if !matches!(error.kind, ErrorKind::OutcomeUnknown { .. }) {
                    table.open_scope(name);
                }
                return Err(error);
            }
        }
        Ok(())
    }

    /// Stores a scope; `None` deletes it.
    async fn keep(&self, name: &str, spec: Option<Value>) -> Result<()> {
        let resource = Resource::network(name);
        let mut tries = 0;
        loop {
            let appliance = self
                .endpoint
                .machine(&self.objects.appliance, &resource)
                .await?;
            let mut scopes = read(&appliance.keys);
            match &spec {
                Some(spec) => scopes.insert(name.to_owned(), spec.clone()),
                None => scopes.remove(name),
            };
            let dialect = Dialect::detect(appliance.keys.keys()).unwrap_or_default();
            let keys = changes(&appliance.keys, &scopes, dialect)
                .map_err(|error| Error::internal(resource.clone(), error))?;
            let change = VirtualMachineConfigSpec {
                change_version: appliance.change_version.clone(),
                extra_config: options(keys),
                ..VirtualMachineConfigSpec::default()
            };
            let vm = &self.objects.appliance;
            match self.endpoint.reconfigure(vm, &change, &resource).await {
                Err(error) if error.is_conflict() && tries < TRIES => tries += 1,
                done => return done,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

    use super::*;

    #[test]
    fn scopes_are_read_as_they_were_kept() {
        for dialect in Dialect::ALL {
            let mut scopes = BTreeMap::new();
            let mut keys = Keys::new();
            let mut apply = |scopes: &BTreeMap<String, Value>| {
                for (key, text) in changes(&keys, scopes, dialect).unwrap() {
                    match text.as_str() {
                        "" => keys.remove(&key),
                        _ => keys.insert(key, text),
                    };
                }
                assert_eq!(read(&keys), *scopes);
                keys.len()
            };
            // Enough scopes to need more than one value.
            for n in 0..500 {
                let spec = ScopeSpec::bridge(format!("scope.{n}")).label("a", "b".repeat(200));
                let kept = KeptScope {
                    network: (n % 2 == 0).then(|| format!("port group {n}")),
                    spec: spec.subnet("10.0.0.0/24".parse().unwrap()).mtu(1400),
                };
                let value = serde_json::to_value(&kept).unwrap();
                assert_eq!(
                    serde_json::from_value::<KeptScope>(value.clone()).unwrap(),
                    kept
                );
                scopes.insert(kept.spec.name, value);
            }
            assert!(apply(&scopes) > 1);
            scopes.retain(|name, _| name == "scope.1");
            apply(&scopes);
            scopes.clear();
            assert_eq!(apply(&scopes), 0);
        }
    }
}
