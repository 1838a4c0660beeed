//! Removes images, and the leftovers of interrupted imports and removals.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use vim25::types::VirtualMachineConfigSpec;
use vim25::{Ref, mo};

use super::Shared;
use super::lookup::Found;
use super::record::{self, RecordState};
use super::template::off;
use super::users::User;
use crate::image::{ChainId, ImageId};
use crate::vsphere::disks::disks;
use crate::vsphere::hardware::detach;
use crate::vsphere::index::Seen;
use crate::vsphere::machine_spec::options;
use crate::{Error, ErrorKind, Resource, Result};

/// Maximum number of concurrent removals of incomplete images.
const AT_A_TIME: usize = 4;

/// Interval at which a machine that another writer is working on is checked.
const PAUSE: Duration = Duration::from_secs(2);

impl Shared {
    pub(super) async fn remove(&self, id: &ImageId) -> Result<()> {
        let resource = Resource::image(id);
        let chain = self.find(id).await?.record.chain;
        let _turn = self.chains.turn(chain).await;
        let mut tries = 0;
        let mut found = self.find(id).await?;
        loop {
            let users = self.users_of(&found).await?;
            let is_last = found.record.images.iter().all(|image| image.id == *id);
            let in_the_way: Vec<_> = users
                .iter()
                .filter(|user| is_last || user.image.as_ref() == Some(id))
                .collect();
            if !in_the_way.is_empty() {
                return Err(in_use(&resource, in_the_way));
            }
            let change = if is_last {
                // After this change, no container is created from the image.
                record::removing(None)
            } else {
                found.record.without(id, &found.machine.keys.unpack())
            };
            match self.write(&found, change, &resource).await {
                Ok(()) if is_last => break,
                Ok(()) => {
                    self.make_template(&found.machine.vm, &resource).await;
                    return Ok(());
                }
                Err(error) if error.is_conflict() && tries < self.conflict_retries() => {
                    tries += 1;
                    found = match self.reread(&found.machine.vm, &resource).await? {
                        Some(again) if again.is_done() && again.record.image(id).is_some() => again,
                        _ => return Err(Error::not_found(resource)),
                    };
                }
                Err(error) => return Err(error),
            }
        }
        let vm = &found.machine.vm;
        match self.discard(vm, &resource).await {
            // A container was created from the image concurrently.
            Err(error) if is_in_use(&error) => {
                if let Some(found) = self.reread(vm, &resource).await? {
                    let restored = record::restored(Timestamp::now());
                    self.write(&found, restored, &resource).await?;
                    self.make_template(vm, &resource).await;
                }
                Err(error)
            }
            removed => removed,
        }
    }

    /// Removes a machine whose disk is not in use: detaches the disk, deletes it, and destroys the
    /// machine. Each step is idempotent.
    ///
    /// # Errors
    /// [`InUse`](crate::ErrorKind::InUse) if disks of containers are children of this disk, or the
    /// machine is on.
    pub(super) async fn discard(
        &self,
        vm: &Ref<mo::VirtualMachine>,
        resource: &Resource,
    ) -> Result<()> {
        let mut tries = 0;
        let machine = loop {
            let machine = match self.index.read(vm, resource).await {
                Err(error) if error.is_not_found() => return Ok(()),
                machine => machine?,
            };
            if machine.is_template {
                let pool = &self.objects.pool;
                match self.endpoint.mark_as_machine(vm, pool, resource).await {
                    Err(error) if error.is_conflict() && tries < self.conflict_retries() => {
                        tries += 1;
                    }
                    made => made?,
                }
                continue;
            }
            let devices = self.endpoint.devices(vm, resource).await?;
            let disks = disks(&devices);
            let Some(disk) = disks.first() else {
                break machine;
            };
            off(&machine, resource)?;
            // Another program may have just created a container.
            self.index.catch_up().await?;
            let users = self.users().await?.of(vm, Some(&disk.file));
            if !users.is_empty() {
                return Err(in_use(resource, users.iter().collect()));
            }
            let change = VirtualMachineConfigSpec {
                change_version: machine.change_version.clone(),
                device_change: disks.iter().map(|disk| detach(disk.device)).collect(),
                extra_config: options(record::removing(Some(&disk.file))),
                ..VirtualMachineConfigSpec::default()
            };
            let changed = self.endpoint.reconfigure(vm, &change, resource).await;
            match changed.map_err(|error| self.refused(resource, error)) {
                Err(error) if error.is_conflict() && tries < self.conflict_retries() => {
                    tries += 1;
                }
                // A datastore without space also refuses this change. No container uses a disk that
                // was never complete.
                Err(Error {
                    kind: ErrorKind::Exhausted { .. },
                    ..
                }) if is_being_written(&machine) => break machine,
                changed => changed?,
            }
        };
        let directory = machine.directory();
        let record = machine.image().and_then(|image| image.ok());
        if let Some(RecordState::Removing(Some(disk))) = record.map(|record| &record.state) {
            self.endpoint
                .set_protected(&self.objects.datastore, disk, false, resource)
                .await?;
            self.endpoint
                .delete_disk(&self.objects.datacenter, disk, resource)
                .await?;
        }
        self.endpoint.destroy(vm, resource).await?;
        self.index.destroyed(vm);
        self.roots.forget(vm);
        let (datastore, name) = (&self.objects.defaults.datastore_name, &machine.machine.name);
        let asked_for = format!("[{datastore}] {name}");
        if directory == asked_for {
            self.endpoint
                .delete_file(&self.objects.datastore, &directory, resource)
                .await?;
        }
        Ok(())
    }

    /// Waits while another writer is working on a machine, and removes the machine if that writer
    /// has stopped.
    pub(super) async fn settle(&self, found: &Found) -> Result<()> {
        let resource = self.host();
        if self.options.sole_writer && !self.live.contains(&found.record.writer) {
            // No other writer is working on the machine.
            if !self.abandon(found).await? {
                self.reread(&found.machine.vm, &resource).await?;
            }
            return Ok(());
        }
        let seen = found.record.clone();
        let changes = self.index.watch(&found.machine.vm, &resource, |machine| {
            match machine.image() {
                Some(Ok(now)) if now.state == seen.state && now.writer == seen.writer => {
                    ControlFlow::Continue(())
                }
                _ => ControlFlow::Break(()),
            }
        });
        match tokio::time::timeout(self.options.import_patience, changes).await {
            Ok(Err(error)) if !error.is_not_found() => Err(error),
            Ok(_changed) => Ok(()),
            Err(_elapsed) => {
                if !self.abandon(found).await? {
                    tokio::time::sleep(PAUSE).await;
                }
                Ok(())
            }
        }
    }

    /// Takes over an unfinished machine and removes it. Returns `false` if another writer is
    /// still working on it.
    async fn abandon(&self, found: &Found) -> Result<bool> {
        let resource = self.host();
        let claim = record::claimed(&uuid::Uuid::new_v4().simple().to_string());
        // After this claim, the previous writer cannot complete the image.
        match self.write(found, claim, &resource).await {
            Ok(()) => {}
            Err(error) if error.is_not_found() => return Ok(true),
            Err(error) if error.is_conflict() => return Ok(false),
            Err(error) => return Err(error),
        }
        tracing::debug!(machine = %found.machine.vm, "removing an incomplete image");
        self.discard(&found.machine.vm, &resource).await?;
        Ok(true)
    }

    /// Returns incomplete images, except those that this process is importing.
    async fn incomplete(&self) -> Result<Vec<Found>> {
        let mut machines = self.machines().await?;
        machines.retain(|found| !found.is_done() && !self.live.contains(&found.record.writer));
        Ok(machines)
    }

    pub(super) async fn half_done(&self) -> Result<Vec<ChainId>> {
        let incomplete = self.incomplete().await?.into_iter();
        let chains: BTreeSet<_> = incomplete.map(|found| found.record.chain).collect();
        Ok(chains.into_iter().collect())
    }

    pub(super) async fn give_up(&self, chain: &ChainId) -> Result<()> {
        let _turn = self.chains.turn(*chain).await;
        for found in self.incomplete().await? {
            if found.record.chain == *chain {
                self.abandon(&found).await?;
            }
        }
        Ok(())
    }

    pub(super) async fn prune(&self) -> Result<Vec<String>> {
        let abandon = |found: Found| async move {
            let label = found.label();
            match self.abandon(&found).await {
                Ok(true) => Some(format!("incomplete image {label}")),
                Ok(false) => None,
                Err(error) => {
                    tracing::warn!(%error, image = label, "cannot remove an incomplete image");
                    None
                }
            }
        };
        let incomplete = stream::iter(self.incomplete().await?);
        let removed = incomplete.map(abandon).buffer_unordered(AT_A_TIME);
        let removed: Vec<_> = removed.collect().await;
        let mut removed: Vec<_> = removed.into_iter().flatten().collect();
        for directory in self.left_behind(self.options.left_behind_after).await? {
            match self.delete_directory(&directory).await {
                Ok(()) => removed.push(format!("files of a former image {directory}")),
                Err(error) => {
                    tracing::warn!(%error, directory, "cannot remove the files of a former image");
                }
            }
        }
        removed.sort();
        Ok(removed)
    }

    pub(super) async fn remove_all(&self) -> Result<()> {
        let resource = self.host();
        self.index.catch_up().await?;
        for image in self.index.images().await? {
            self.discard(&image.machine.vm, &resource).await?;
        }
        for directory in self.left_behind(Duration::ZERO).await? {
            self.delete_directory(&directory).await?;
        }
        Ok(())
    }
}

fn in_use(resource: &Resource, users: Vec<&User>) -> Error {
    let mut names: Vec<_> = users.into_iter().map(|user| user.label.as_str()).collect();
    names.sort_unstable();
    Error::in_use(resource.clone(), names.join(", "))
}

/// Returns whether the image of a machine was never complete.
fn is_being_written(machine: &Seen) -> bool {
    let record = machine.image().and_then(|image| image.ok());
    record.is_some_and(|record| record.state == RecordState::Unfinished)
}

fn is_in_use(error: &Error) -> bool {
    matches!(error.kind, ErrorKind::InUse { .. })
}
