//! Removes a container.

use vim25::types::VirtualMachineConfigSpec;

use super::{Shared, Snapshot};
use crate::vsphere::disks::disks;
use crate::vsphere::hardware::detach;
use crate::vsphere::machine_spec::options;
use crate::vsphere::record::REMOVING;
use crate::{ContainerId, Error, ErrorKind, Resource, Result, StateKind};

impl Shared {
    pub(super) async fn remove(&self, id: &ContainerId) -> Result<()> {
        let _turn = self.ids.turn(*id).await;
        self.remove_now(id).await
    }

    /// Removes a container. The caller holds its lock.
    ///
    /// Destroying a machine deletes the files of its disks together with their parents, which other
    /// containers use. So this detaches shared disks, checks that they are detached, and then
    /// destroys the machine.
    pub(super) async fn remove_now(&self, id: &ContainerId) -> Result<()> {
        let resource = Resource::container(id);
        let _removing = self.in_progress.mark(*id, StateKind::Removing);
        let mut own = Vec::new();
        let mut tries = 0;
        let machine = loop {
            let snapshot = self.look_for_edit(id).await?;
            self.require(id, &snapshot, StateKind::REMOVABLE)?;
            match self.detach_shared(&snapshot, &resource, &mut own).await {
                Ok(true) => break snapshot.machine,
                // The next iteration reads the machine again to check that all disks are detached.
                Ok(false) => {}
                Err(Error {
                    kind: ErrorKind::Conflict { .. },
                    ..
                }) if tries < self.options.conflict_retries => tries += 1,
                Err(error) => return Err(error),
            }
        };
        self.log_readers.done(id).await;
        match self.endpoint.destroy(&machine.vm, &resource).await {
            // Another program finished the removal concurrently.
            Err(error) if error.is_not_found() => {}
            destroyed => destroyed?,
        }
        self.index.destroyed(&machine.vm);
        self.networks.removed(id, &machine.vm);
        self.ended_tasks.forget(id);
        self.heard_exits.forget_all(id);
        for disk in own {
            self.endpoint
                .delete_disk(&self.objects.datacenter, &disk, &resource)
                .await?;
        }
        // This includes disks that an earlier attempt detached but did not delete.
        let directory = machine.directory();
        if directory == self.objects.defaults.directory(id) {
            self.endpoint
                .delete_file(&self.objects.datastore, &directory, &resource)
                .await?;
        }
        tracing::debug!(container = %id, "removed");
        Ok(())
    }

    /// Detaches the disks that must survive the removal. Returns whether there were none left.
    /// Disks that belong to this container alone, which are child disks in its directory, are added
    /// to `own`.
    async fn detach_shared(
        &self,
        snapshot: &Snapshot,
        resource: &Resource,
        own: &mut Vec<String>,
    ) -> Result<bool> {
        let vm = &snapshot.machine.vm;
        let directory = snapshot.machine.directory();
        let devices = self.endpoint.devices(vm, resource).await?;
        let shared: Vec<_> = disks(&devices)
            .into_iter()
            .filter(|disk| disk.must_be_detached(&directory))
            .collect();
        if shared.is_empty() {
            return Ok(true);
        }
        let change = VirtualMachineConfigSpec {
            change_version: snapshot.machine.change_version.clone(),
            device_change: shared.iter().map(|disk| detach(disk.device)).collect(),
            extra_config: options([(REMOVING.to_owned(), "true".to_owned())]),
            ..VirtualMachineConfigSpec::default()
        };
        self.endpoint.reconfigure(vm, &change, resource).await?;
        own.extend(
            shared
                .iter()
                .filter(|d| d.is_in(&directory))
                .map(|disk| disk.file.clone()),
        );
        Ok(false)
    }
}
