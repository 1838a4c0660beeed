//! Finds what a deleted host left on the endpoint.

use std::collections::{BTreeSet, HashSet};

use uuid::Uuid;
use vim25::{Ref, mo};
use vsphere_client::{Datacenter, Datastore};

use super::Shared;
use super::delete::folder;
use super::lookup::{Found, datastore_path};
use crate::vsphere::endpoint::Identified;
use crate::vsphere::images::is_image_directory;
use crate::vsphere::kind;
use crate::{ContainerId, Resource, Result};

/// By what the leftovers of a host are recognized.
pub(super) struct Traces<'a> {
    /// The host, as it was before its deletion.
    pub(super) found: &'a Found,
    pub(super) place: (&'a Datacenter, &'a Ref<mo::ResourcePool>),
    pub(super) datastore: &'a Datastore,
    /// The directory of the host: `[datastore] path`.
    pub(super) directory: &'a str,
    /// The containers that were removed with the host.
    pub(super) containers: BTreeSet<ContainerId>,
    pub(super) deleted_folder: bool,
}

impl Traces<'_> {
    fn name(&self) -> &str {
        &self.found.machine.name
    }

    /// Returns whether a machine belonged to the host. Somebody may have moved it out of the host's
    /// pool and folder.
    fn is_own(&self, machine: &Identified) -> bool {
        let directory = datastore_path(&machine.directory);
        let own = |id: ContainerId| {
            let namespace = self.found.machine.uuid?;
            Some(Uuid::new_v5(&namespace, id.to_string().as_bytes()))
        };
        let uuid = directory.path().parse().ok().and_then(own);
        let is_container = uuid.is_some() && uuid == machine.uuid;
        is_container || is_image_directory(self.name(), &machine.name)
    }
}

impl Shared {
    /// Finds leftovers of a host by names, paths and marks.
    pub(super) async fn left_of(&self, traces: &Traces<'_>) -> Result<Vec<Resource>> {
        let (name, host) = (traces.name(), kind::host(traces.name()));
        let mut left = Vec::new();
        let folders = self.endpoint.machine_folders().await?;
        let named = self.endpoint.machines_named(&folders, name, &host).await?;
        let machine = |name: &str| Resource::new(kind::VIRTUAL_MACHINE, name);
        left.extend(named.iter().map(|_| machine(name)));
        let machines = self.endpoint.identified().await?;
        let own = machines.iter().filter(|machine| traces.is_own(machine));
        left.extend(own.map(|own| machine(&own.name)));
        let pools = self.endpoint.pools_named(name).await?;
        let pool = || Resource::new(kind::RESOURCE_POOL, name);
        left.extend(pools.iter().map(|_| pool()));
        if traces.deleted_folder {
            left.extend(self.folders_named(name).await?.iter().map(|_| folder(name)));
        }
        let (datacenter, pool) = traces.place;
        let networks = self.marked_networks(traces.found, datacenter, pool).await?;
        left.extend(networks.iter().map(|(name, _)| Resource::network(name)));
        left.extend(self.directories_of(traces, &machines).await?);
        Ok(left)
    }

    /// Returns the directories of the host, its images and its containers, except those of machines
    /// that exist.
    async fn directories_of(
        &self,
        traces: &Traces<'_>,
        machines: &[Identified],
    ) -> Result<Vec<Resource>> {
        let mut left = Vec::new();
        let file = |path: &str| Resource::new(kind::FILE, path);
        let directory = traces.directory;
        let used: HashSet<&str> = machines.iter().map(|m| m.directory.as_str()).collect();
        if self.endpoint.has_file(traces.datastore, directory).await? {
            left.push(file(directory));
        }
        let host = kind::host(traces.name());
        for name in self.endpoint.directories(traces.datastore, &host).await? {
            let id = name.parse().ok();
            let is_own = is_image_directory(traces.name(), &name)
                || id.is_some_and(|id| traces.containers.contains(&id));
            let path = format!("[{}] {name}", traces.datastore.name());
            if is_own && !used.contains(path.as_str()) {
                left.push(file(&path));
            }
        }
        Ok(left)
    }
}
