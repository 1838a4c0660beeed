//! Removes a container.

use guest_io::log::part_name;
use vim25::Poly;
use vim25::types::{VirtualDevice, VirtualMachineConfigSpec};
use vsphere_client::Datastore;

use super::{Shared, Snapshot};
use crate::vsphere::disks::{Disk, disks};
use crate::vsphere::hardware::{detach, log_file};
use crate::vsphere::index::Seen;
use crate::vsphere::log_rotation::LogRotation;
use crate::vsphere::machine_spec::options;
use crate::vsphere::record::REMOVING;
use crate::{ContainerId, Error, ErrorKind, Resource, Result, State, StateKind};

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
    ///
    /// The files that the endpoint does not delete together with the machine are deleted before it:
    /// without the machine, nothing tells whose they are. So a program that dies here leaves either
    /// the machine, with which the removal is finished, or nothing. The exception is a directory that
    /// is [found without its machine](Self::left_behind) and deleted by the only writer of the host:
    /// it is deleted as a whole after the machine, if nothing has to be detached first.
    pub(super) async fn remove_now(&self, id: &ContainerId) -> Result<()> {
        let resource = Resource::container(id);
        let _removing = self.in_progress.mark(*id, StateKind::Removing);
        let mut own = Vec::new();
        let mut log = None;
        let mut tries = 0;
        let machine = loop {
            let (machine, devices) = self.machine_with_devices(id).await?;
            let snapshot = self.snapshot_for_edit(id, &machine).await?;
            self.require(id, &snapshot, StateKind::REMOVABLE)?;
            let is_marked = snapshot.machine.is_half_removed();
            if is_marked && log.is_none() {
                own = self.detached_disks(id, &snapshot, &devices).await?;
            }
            // Marking the machine changes its state, so the state before counts.
            let log = log.get_or_insert_with(|| self.log_of(id, &snapshot, &devices));
            let is_found = self.options.sole_writer && self.has_own_directory(id, &machine);
            if shared_disks(&snapshot, &devices).is_empty() {
                if is_marked || log.is_none() {
                    break snapshot.machine;
                }
                if is_found {
                    *log = None;
                    break snapshot.machine;
                }
            }
            match self.mark(&snapshot, &devices, &resource, &mut own).await {
                // The next iteration reads the machine again to check that all disks are detached.
                Ok(()) => {}
                Err(Error {
                    kind: ErrorKind::Conflict { .. },
                    ..
                }) if tries < self.options.conflict_retries => tries += 1,
                Err(error) => return Err(error),
            }
        };
        self.log_readers.done(id).await;
        for disk in own {
            self.endpoint
                .delete_disk(&self.objects.datacenter, &disk, &resource)
                .await?;
        }
        if let Some(log) = log.flatten() {
            let datastore = self
                .endpoint
                .datastore_of(&self.objects, &log, &resource)
                .await?;
            let is_own_directory = self.has_own_directory(id, &machine);
            let older = self
                .older_parts(&datastore, &log, is_own_directory, &resource)
                .await?;
            for part in (0..=older).map(|part| part_name(&log, part)) {
                self.endpoint
                    .delete_file(&datastore, &part, &resource)
                    .await?;
            }
        }
        let ending = self.destroyed.begin(*id, &self.index);
        match self.endpoint.destroy(&machine.vm, &resource).await {
            // Another program finished the removal concurrently.
            Err(error) if error.is_not_found() => {}
            destroyed => destroyed?,
        }
        self.index.destroyed(&machine.vm);
        self.networks.removed(id, &machine.vm);
        self.ended_tasks.forget(id);
        self.heard_exits.forget_all(id);
        self.rotations.forget(id);
        // Deletes what else is there, such as core dumps.
        if self.has_own_directory(id, &machine) {
            self.endpoint
                .delete_file(&self.objects.datastore, &machine.directory(), &resource)
                .await?;
        }
        ending.finished();
        tracing::debug!(container = %id, "removed");
        Ok(())
    }

    /// Returns whether the machine's directory is named after the container, so that it is the
    /// container's alone, and is found when the machine is gone.
    fn has_own_directory(&self, id: &ContainerId, machine: &Seen) -> bool {
        machine.directory() == self.objects.defaults.directory(id)
    }

    /// Returns the number of older parts of a log that may have to be deleted.
    async fn older_parts(
        &self,
        datastore: &Datastore,
        log: &str,
        is_own_directory: bool,
        resource: &Resource,
    ) -> Result<u32> {
        let keep = self
            .options
            .log_rotation
            .map_or(0, |rotation| rotation.keep);
        if is_own_directory {
            // The whole directory is deleted.
            return Ok(keep);
        }
        // A directory with another name is not deleted, so look for parts of earlier options.
        let mut parts = keep;
        while parts < LogRotation::MAX_KEEP {
            let next = part_name(log, parts + 1);
            let length = self.endpoint.length(datastore, &next, resource).await?;
            if length.is_none() {
                break;
            }
            parts += 1;
        }
        Ok(parts)
    }

    /// Returns the log of a container: `[datastore] path`. One that was never started has none. If
    /// the machine was moved, the log may still be where it was created.
    fn log_of(
        &self,
        id: &ContainerId,
        snapshot: &Snapshot,
        devices: &[Poly<VirtualDevice>],
    ) -> Option<String> {
        let file = log_file(devices)?;
        let is_in = |directory: &str| {
            let rest = file.strip_prefix(directory);
            rest.is_some_and(|rest| rest.starts_with('/'))
        };
        let is_own =
            is_in(&snapshot.machine.directory()) || is_in(&self.objects.defaults.directory(id));
        (is_own && snapshot.state != State::Created).then_some(file)
    }

    /// Marks the machine as half removed, and detaches the disks that must survive. Disks that belong
    /// to this container alone, which are child disks in its directory, are added to `own`.
    async fn mark(
        &self,
        snapshot: &Snapshot,
        devices: &[Poly<VirtualDevice>],
        resource: &Resource,
        own: &mut Vec<String>,
    ) -> Result<()> {
        let vm = &snapshot.machine.vm;
        let directory = snapshot.machine.directory();
        let shared = shared_disks(snapshot, devices);
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
        Ok(())
    }

    /// Returns the disks in the container's directory that an earlier attempt detached but did not
    /// delete.
    async fn detached_disks(
        &self,
        id: &ContainerId,
        snapshot: &Snapshot,
        devices: &[Poly<VirtualDevice>],
    ) -> Result<Vec<String>> {
        let directory = snapshot.machine.directory();
        if directory != self.objects.defaults.directory(id) {
            return Ok(Vec::new());
        }
        let attached = disks(devices);
        let resource = Resource::container(id);
        let datastore = &self.objects.datastore;
        let found = self.endpoint.disks_in(datastore, &directory, &resource);
        let mut found = found.await?;
        found.retain(|file| attached.iter().all(|disk| disk.file != *file));
        Ok(found)
    }
}

/// Returns the disks that must be detached before the machine is destroyed.
fn shared_disks<'d>(snapshot: &Snapshot, devices: &'d [Poly<VirtualDevice>]) -> Vec<Disk<'d>> {
    let directory = snapshot.machine.directory();
    let mut disks = disks(devices);
    disks.retain(|disk| disk.must_be_detached(&directory));
    disks
}
