//! What exists already under the name of a host: the host itself, unfinished or not, or objects of
//! others.

use vim25::{Ref, mo};
use vsphere_client::{Datacenter, Datastore};

use super::finding::Finding;
use super::lookup::{Found, datastore_path};
use super::plan::{Bridge, Findings, Resolved};
use super::{HostSpec, HostState, Shared};
use crate::vsphere::kind;
use crate::{Error, Resource, Result};

impl Shared {
    /// Returns the unfinished host with this name. Adds a finding if another machine has this name.
    pub(super) async fn name_in_use(
        &self,
        spec: &HostSpec,
        found: &mut Findings,
    ) -> Result<Option<Found>> {
        let host = kind::host(&spec.name);
        let folders = self.endpoint.machine_folders().await?;
        let named = self.endpoint.machines_named(&folders, &spec.name, &host);
        if named.await?.is_empty() {
            return Ok(None);
        }
        let (error, remedy) = match self.find(&spec.name).await {
            Ok(host) if host.info().state == HostState::Unfinished => {
                found.0.push(Finding::warning(
                    kind::host(&spec.name),
                    format!("the installation of {:?} was not finished", spec.name),
                    "it will be resumed; to start over, delete it first",
                ));
                return Ok(Some(host));
            }
            // An installation with the same options only powers it on.
            Ok(host) if host.may_lack_power_on() => return Ok(Some(host)),
            Ok(_) => (
                Error::already_exists(host),
                "delete it first, or choose another name",
            ),
            Err(error) if error.is_not_found() => (
                Error::already_exists(Resource::new(kind::VIRTUAL_MACHINE, &spec.name)),
                "choose another name",
            ),
            Err(error) => return Err(error),
        };
        found.0.push(Finding::refusal(error, remedy));
        Ok(None)
    }

    /// Compares an unfinished host with the specification. What differs is written again, except
    /// networks, which its machine has already.
    pub(super) async fn compare(
        &self,
        spec: &HostSpec,
        resolved: &mut Resolved,
        found: &mut Findings,
    ) -> Result<()> {
        let host = kind::host(&spec.name);
        let Some(unfinished) = &resolved.unfinished else {
            return Ok(());
        };
        let record = &unfinished.record;
        let is_configured = record.appliance.is_some();
        // An earlier version has begun it, which recorded no networks at that point.
        if !is_configured && record.networks.roles.is_empty() {
            return Ok(());
        }
        if record.is_finished() {
            resolved.is_current = record.other_network(spec, resolved).is_none()
                && self.is_configured_for(spec, resolved, unfinished).await?;
            if !resolved.is_current {
                let error = Error::already_exists(host).with_source("its appliance is off");
                let remedy = "power it on or delete it first, or choose another name";
                found.0.push(Finding::refusal(error, remedy));
            }
            return Ok(());
        }
        if let Some((field, network)) = record.other_network(spec, resolved) {
            let reason = format!("its unfinished installation has {network:?}");
            let error = Error::invalid_argument(host, field, reason);
            let remedy = "name the same network, or delete the host first";
            found.0.push(Finding::refusal(error, remedy));
            return Ok(());
        }
        if matches!(resolved.bridge, Bridge::Missing(_)) && !record.created_bridge {
            let network = &record.bridge_network;
            let reason = format!(
                "its unfinished installation has {network:?}, which was removed or renamed"
            );
            let error = Error::invalid_argument(host, "bridge_network", reason);
            let remedy = "create that network again, or delete the host first";
            found.0.push(Finding::refusal(error, remedy));
            return Ok(());
        }
        if !is_configured {
            return Ok(());
        }
        resolved.is_current = self.is_configured_for(spec, resolved, unfinished).await?;
        if !resolved.is_current {
            found.0.push(Finding::warning(
                host,
                format!("the configuration of {:?} was different", spec.name),
                "it will be written again, and its appliance will be restarted",
            ));
        }
        Ok(())
    }

    /// Returns whether the pool below this parent, if any, and the folder can be created. Empty ones
    /// are reused.
    pub(super) async fn is_free(
        &self,
        spec: &HostSpec,
        datacenter: &Datacenter,
        parent: Option<&Ref<mo::ResourcePool>>,
        found: &mut Findings,
    ) -> Result<bool> {
        // If the host or its machine already exists, its objects need no findings of their own.
        let machine = Resource::new(kind::VIRTUAL_MACHINE, &spec.name);
        let named = [kind::host(&spec.name), machine];
        if found
            .0
            .iter()
            .any(|finding| named.contains(&finding.object))
        {
            return Ok(true);
        }
        let mut refusals = Vec::new();
        if let Some(parent) = parent {
            let resource = Resource::new(kind::RESOURCE_POOL, &spec.name);
            let pool = self.endpoint.child_pool(parent, &spec.name, &resource);
            if let Some(pool) = pool.await?
                && !self.endpoint.is_empty_pool(&pool, &resource).await?
            {
                let error = Error::already_exists(resource);
                let remedy = "empty it, or choose another name".to_owned();
                refusals.push(Finding::refusal(error, remedy));
            }
        }
        if self.endpoint.has_folders() {
            refusals.extend(self.folder_in_use(spec, datacenter).await?);
        }
        let is_free = refusals.is_empty();
        if !is_free && self.find(&spec.name).await.is_ok() {
            // Its machine was created after the first look.
            let error = Error::already_exists(kind::host(&spec.name));
            let remedy = "another program has installed it, or is installing it";
            refusals = vec![Finding::refusal(error, remedy)];
        }
        found.0.extend(refusals);
        Ok(is_free)
    }

    /// Returns a finding if somebody else uses the name of the inventory folder.
    async fn folder_in_use(
        &self,
        spec: &HostSpec,
        datacenter: &Datacenter,
    ) -> Result<Option<Finding>> {
        let resource = Resource::new(kind::FOLDER, &spec.name);
        let parent = datacenter.vm_folder();
        let child = self.endpoint.child_named(parent, &spec.name, &resource);
        let Some(child) = child.await? else {
            return Ok(None);
        };
        let error = Error::already_exists(resource.clone());
        let Some(folder) = child.downcast::<mo::Folder>() else {
            let remedy = "rename the object with this name, or choose another name";
            return Ok(Some(Finding::refusal(error, remedy)));
        };
        let content = self.endpoint.names_in(&folder, &resource).await?;
        let remedy = match content.as_slice() {
            [] => return Ok(None),
            [only] => format!("{only:?} is in it"),
            [first, others @ ..] => format!("{first:?} and {} others are in it", others.len()),
        };
        let remedy = format!("{remedy}: empty or rename it, or choose another name");
        Ok(Some(Finding::refusal(error, remedy)))
    }

    /// Returns whether an unfinished host is at the requested place.
    pub(super) async fn is_there(
        &self,
        spec: &HostSpec,
        (parent, has_pools, datastore): (&Ref<mo::ResourcePool>, bool, &Datastore),
        unfinished: &Found,
        found: &mut Findings,
    ) -> Result<bool> {
        let resource = Resource::new(kind::RESOURCE_POOL, &spec.name);
        let pool = self.endpoint.child_pool(parent, &spec.name, &resource);
        let pool = pool.await?;
        let host = kind::host(&spec.name);
        let home = self.endpoint.home(&unfinished.machine.vm, &host).await?;
        let shares_pool = !has_pools && unfinished.record.folder.is_some() && home.pool == *parent;
        let directory = unfinished.machine.directory();
        let elsewhere = if pool.as_ref() != Some(&home.pool) && !shares_pool {
            Some(("compute", home.pool_name))
        } else if datastore_path(&directory).datastore() != datastore.name() {
            Some(("datastore", directory))
        } else {
            None
        };
        let Some((field, place)) = elsewhere else {
            return Ok(true);
        };
        let error = Error::invalid_argument(
            host,
            field,
            format!("its unfinished installation is in {place}"),
        );
        let remedy = "resume it there, or delete it first";
        found.0.push(Finding::refusal(error, remedy));
        Ok(false)
    }
}
