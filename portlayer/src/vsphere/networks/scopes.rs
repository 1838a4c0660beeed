//! The scopes created by users, stored in the keys of the host's appliance.

use std::collections::BTreeMap;

use guestinfo::{Dialect, GuestInfo, decode, encode};
use serde_json::Value;

use super::HostNetworks;
use super::scope_copies::Look;
use crate::network::table::KeptScope;
use crate::network::{ScopeInfo, ScopeKind, ScopeSpec};
use crate::vsphere::record::Keys;
use crate::{Error, ErrorKind, Resource, Result, Source};

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
    /// The version of the scopes, which each change increments.
    #[guestinfo(key = "scopesversion", scope = "hidden")]
    version: Option<u64>,
}

/// Returns the version of the stored scopes, and the scopes by name. Unreadable ones are preserved
/// unchanged.
pub(super) fn read(keys: &Keys) -> (Option<u64>, Stored) {
    let Kept { scopes, version } = decode::<Ours>(keys).value.host;
    let scopes = scopes.and_then(|text| serde_json::from_str(&text).ok());
    (version, scopes.unwrap_or_default())
}

/// Returns the key changes that store this version of the scopes; an empty value deletes a key.
pub(super) fn changes(
    old: &Keys,
    (version, scopes): (u64, &Stored),
) -> std::result::Result<Keys, String> {
    let dialect = Dialect::detect(old.keys()).unwrap_or_default();
    let text = match scopes.is_empty() {
        true => None,
        false => Some(serde_json::to_string(scopes).map_err(|error| error.to_string())?),
    };
    let kept = Ours {
        host: Kept {
            scopes: text,
            version: Some(version),
        },
    };
    let mut changes = encode(&kept, dialect).map_err(|error| error.to_string())?;
    let before = decode::<Ours>(old).value;
    let before = encode(&before, dialect).map_err(|error| error.to_string())?;
    for key in before.into_keys() {
        changes.entry(key).or_default();
    }
    Ok(changes)
}

/// The stored scopes by name.
pub(super) type Stored = BTreeMap<String, Value>;

/// Returns a stored scope; `None` if it is absent or unreadable.
pub(super) fn kept(stored: &Stored, name: &str) -> Option<KeptScope> {
    let kept: KeptScope = serde_json::from_value(stored.get(name)?.clone()).ok()?;
    (kept.spec.name == name).then_some(kept)
}

/// Returns the networks that were created for the scopes in a host's keys, each with its VLAN.
pub(in crate::vsphere) fn created_networks(keys: &Keys) -> Vec<(String, u16)> {
    let (_, stored) = read(keys);
    let created = stored.keys().filter_map(|name| {
        let kept = kept(&stored, name)?;
        Some((kept.network?, kept.vlan?))
    });
    created.collect()
}

impl HostNetworks {
    /// Updates the table from the stored scopes, and returns them. The caller holds the `scopes`
    /// lock.
    pub(super) async fn read_scopes(&self) -> Result<Stored> {
        let host = self.objects.host();
        let appliance = self.appliance(&host).await?;
        let current = self.current(&appliance, Look::IfNeeded, &host).await?;
        let stored = current.scopes;
        let mut specs = Vec::new();
        for (name, value) in &stored {
            match serde_json::from_value::<KeptScope>(value.clone()) {
                Ok(kept) if kept.spec.name == *name => specs.push(kept),
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
        Ok(stored)
    }

    pub(super) async fn create_scope(&self, spec: ScopeSpec) -> Result<ScopeInfo> {
        spec.validate()?;
        self.load().await?;
        let _turn = self.scopes.lock().await;
        self.remove_strays().await;
        let mut tries = 0;
        loop {
            match self.try_create_scope(spec.clone()).await {
                // Another program changed the scopes. They may overlap the new one now.
                Err(error) if error.is_conflict() && tries < TRIES => tries += 1,
                created => return created,
            }
        }
    }

    async fn try_create_scope(&self, spec: ScopeSpec) -> Result<ScopeInfo> {
        let stored = self.read_to_create(&spec.name).await?;
        if let ScopeKind::External { network } = &spec.kind {
            self.refuse_network(&spec.name, network).await?;
        }
        let own = self.network_of_its_own(&spec).await?;
        let vlan = own.as_ref().and_then(|own| own.vlan);
        let kept = KeptScope {
            spec,
            network: own.map(|own| own.name),
            vlan,
            unfinished: vlan.is_some(),
        };
        let info = self.table().make_scope(kept.clone())?;
        let name = info.spec.name.clone();
        let spec = info.spec;
        // If the future is dropped here, the scope stays invisible until the next change reads the
        // stored scopes.
        let created = self.store_new(KeptScope { spec, ..kept }, &stored).await;
        let mut table = self.table();
        match created {
            Ok(()) => table.open_scope(&name),
            Err(error) => {
                table.drop_scope(&name);
                return Err(error);
            }
        }
        table.inspect(&name)
    }

    pub(super) async fn remove_scope(&self, name: &str) -> Result<()> {
        self.refresh().await?;
        let _turn = self.scopes.lock().await;
        self.try_remove_scope(name).await?;
        self.remove_strays().await;
        Ok(())
    }

    async fn try_remove_scope(&self, name: &str) -> Result<()> {
        let stored = self.read_scopes().await?;
        let kept = kept(&stored, name);
        if let Some(kept) = kept.as_ref().filter(|kept| kept.unfinished) {
            return self.finish(kept, &stored).await;
        }
        self.table().close_scope(name)?;
        if let Err(error) = self.delete_stored(name, kept.as_ref(), &stored).await {
            // The scope may have been deleted, or be unfinished. If the stored scopes cannot be read
            // now, it stays hidden until they are read.
            let is_unknown = matches!(error.kind, ErrorKind::OutcomeUnknown { .. });
            if self.read_scopes().await.is_err() && !is_unknown {
                self.table().open_scope(name);
            }
            return Err(error);
        }
        self.table().drop_scope(name);
        Ok(())
    }

    /// Stores a scope; `None` deletes it.
    ///
    /// # Errors
    /// [`Conflict`](ErrorKind::Conflict) if `is_current` rejects the scopes that are stored now.
    pub(super) async fn keep(
        &self,
        name: &str,
        scope: Option<&KeptScope>,
        is_current: impl Fn(&Stored) -> bool,
    ) -> Result<()> {
        let resource = Resource::network(name);
        let internal = |error: Source| Error::internal(resource.clone(), error);
        let value = scope.map(serde_json::to_value).transpose();
        let value = value.map_err(|error| internal(error.into()))?;
        let mut tries = 0;
        loop {
            let appliance = self.appliance(&resource).await?;
            let current = self.current(&appliance, Look::List, &resource).await?;
            let mut scopes = current.scopes.clone();
            if !is_current(&scopes) {
                let changed = ["the scopes of the host".to_owned()];
                return Err(Error::conflict(resource, changed));
            }
            match &value {
                Some(value) => scopes.insert(name.to_owned(), value.clone()),
                None => scopes.remove(name),
            };
            let stored = self.commit(&appliance, &current, scopes, &resource);
            match stored.await {
                // The appliance was changed, but not necessarily its scopes.
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
    use crate::vsphere::host_record::HostRecord;

    #[test]
    fn scopes_are_read_as_they_were_kept() {
        for dialect in Dialect::ALL {
            let mut scopes = BTreeMap::new();
            let mut keys = Keys::new();
            // Something that tells the dialect.
            keys.extend(HostRecord::starting_key(dialect).unwrap());
            let others = keys.len();
            let mut version = 0;
            let mut apply = |scopes: &BTreeMap<String, Value>| {
                version += 1;
                for (key, text) in changes(&keys, (version, scopes)).unwrap() {
                    match text.as_str() {
                        "" => keys.remove(&key),
                        _ => keys.insert(key, text),
                    };
                }
                assert_eq!(read(&keys), (Some(version), scopes.clone()));
                keys.len() - others
            };
            // Enough scopes to need more than one value.
            for n in 0..500_u16 {
                let spec = ScopeSpec::bridge(format!("scope.{n}")).label("a", "b".repeat(200));
                let kept = KeptScope {
                    network: (n % 2 == 0).then(|| format!("port group {n}")),
                    vlan: (n % 4 == 0).then_some(n),
                    unfinished: n % 8 == 0,
                    spec: spec.subnet("10.0.0.0/24".parse().unwrap()).mtu(1400),
                };
                let value = serde_json::to_value(&kept).unwrap();
                assert_eq!(
                    serde_json::from_value::<KeptScope>(value.clone()).unwrap(),
                    kept
                );
                scopes.insert(kept.spec.name, value);
            }
            assert!(apply(&scopes) > 2);
            scopes.retain(|name, _| name == "scope.1");
            apply(&scopes);
            scopes.clear();
            // The version stays.
            assert_eq!(apply(&scopes), 1);
        }
    }
}
