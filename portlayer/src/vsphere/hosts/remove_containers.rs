//! Removes the containers of a host that is being deleted.
//!
//! The endpoint destroys the machine of a container before the port layer deletes the rest of the
//! container's directory. A deletion that is interrupted in between leaves a directory that belongs
//! to no machine, and whose name does not contain the host's. So the containers are recorded in the
//! host's appliance before they are removed, a limited number at a time.

use std::collections::BTreeSet;

use futures_util::{StreamExt, TryStreamExt, stream};
use guestinfo::Dialect;
use vsphere_client::Datastore;

use super::lookup::Found;
use super::{ContainerPolicy, Shared};
use crate::exec::ExecExt;
use crate::vsphere::exec::VsphereExec;
use crate::vsphere::host_record::HostRecord;
use crate::vsphere::kind;
use crate::vsphere::machine_spec::directory;
use crate::{ContainerId, Error, Exec, Resource, Result};

/// Maximum number of concurrent removals of containers.
const AT_A_TIME: usize = 8;

/// Maximum number of containers that are recorded at a time, to limit the length of the key.
const RECORDED: usize = 64;

impl Shared {
    /// Removes the containers of a host, and the files of those whose machines an earlier call has
    /// already destroyed. Returns all of them.
    pub(super) async fn remove_containers(
        &self,
        exec: &VsphereExec,
        found: &Found,
        datastore: &Datastore,
        policy: ContainerPolicy,
    ) -> Result<BTreeSet<ContainerId>> {
        let host = kind::host(&found.machine.name);
        let mut ids = removable(exec, &host, policy).await?;
        for id in &found.record.removing {
            if !ids.contains(id) {
                self.delete_files_of(id, datastore).await?;
            }
        }
        let dialect =
            Dialect::detect(found.machine.keys.unpack().keys()).unwrap_or(self.options.dialect);
        let all: Vec<_> = ids.iter().copied().collect();
        for ids in all.chunks(RECORDED) {
            let keys = HostRecord::removing_key(ids, dialect)
                .map_err(|error| Error::internal(host.clone(), error))?;
            self.write_keys(&found.machine.vm, keys, &host).await?;
            stream::iter(ids)
                .map(Ok)
                .try_for_each_concurrent(AT_A_TIME, |id| async move {
                    match exec.remove_forced(id).await {
                        Err(error) if error.is_not_found() => {
                            self.delete_files_of(id, datastore).await
                        }
                        removed => removed,
                    }
                })
                .await?;
        }
        ids.extend(&found.record.removing);
        Ok(ids)
    }

    /// Deletes the files of a container that has no machine in the host.
    async fn delete_files_of(&self, id: &ContainerId, datastore: &Datastore) -> Result<()> {
        let directory = directory(datastore.name(), id);
        let resource = Resource::new(kind::FILE, &directory);
        // Somebody may have moved the machine out of the host.
        if self
            .endpoint
            .has_machine_in(datastore, &directory, &resource)
            .await?
        {
            return Err(Error::in_use(resource, "a machine outside the host"));
        }
        self.endpoint
            .delete_file(datastore, &directory, &resource)
            .await
    }
}

/// Returns the containers of a host.
///
/// # Errors
/// [`InUse`](crate::ErrorKind::InUse) if they must not be removed, or machines of others are among them.
async fn removable(
    exec: &VsphereExec,
    host: &Resource,
    policy: ContainerPolicy,
) -> Result<BTreeSet<ContainerId>> {
    let listing = exec.list().await?;
    let mut in_the_way: Vec<_> = listing
        .quarantined
        .iter()
        .filter(|broken| broken.id.is_none() || policy == ContainerPolicy::Refuse)
        .map(|broken| broken.label.clone())
        .collect();
    if policy == ContainerPolicy::Refuse {
        let names = listing.containers.iter();
        in_the_way.extend(names.map(|container| container.name.clone()));
    }
    if !in_the_way.is_empty() {
        in_the_way.sort();
        return Err(Error::in_use(host.clone(), in_the_way.join(", ")));
    }
    let known = listing.containers.iter().map(|container| container.id);
    let broken = listing.quarantined.iter().filter_map(|broken| broken.id);
    Ok(known.chain(broken).collect())
}
