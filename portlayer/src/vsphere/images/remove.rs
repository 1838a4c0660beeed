//! Removing images, and the leftovers of interrupted imports and removals.

use std::ops::ControlFlow;
use std::time::Duration;

use jiff::Timestamp;
use vim25::types::VirtualMachineConfigSpec;
use vim25::{Ref, mo};

use super::Shared;
use super::lookup::Found;
use super::record::{self, ImageRecord, RecordState};
use super::users::User;
use crate::image::ImageId;
use crate::vsphere::disks::disks;
use crate::vsphere::hardware::detach;
use crate::vsphere::machine_spec::options;
use crate::{Error, Resource, Result};

/// Interval at which a machine that another writer works on is checked.
const PAUSE: Duration = Duration::from_secs(2);

impl Shared {
    pub(super) async fn remove(&self, id: &ImageId) -> Result<()> {
        let resource = Resource::image(id);
        let chain = self.find(id).await?.record.chain;
        let _turn = self.chains.turn(chain).await;
        let mut tries = 0;
        let found = loop {
            let found = self.find(id).await?;
            let root = self.root_of(&found, &resource).await?;
            let users = self.users(&root.file).await?;
            let is_last = found.record.images.iter().all(|image| image.id == *id);
            let in_the_way: Vec<_> = users
                .iter()
                .filter(|user| is_last || user.image.as_ref() == Some(id))
                .collect();
            if !in_the_way.is_empty() {
                return Err(in_use(&resource, in_the_way));
            }
            let change = if is_last {
                // No container is created from it after this.
                record::removing(None)
            } else {
                found.record.without(id, &found.machine.keys)
            };
            match self.write(&found, change, &resource).await {
                Ok(()) if is_last => break found,
                Ok(()) => {
                    self.known.forget(id);
                    return Ok(());
                }
                Err(error) if error.is_conflict() && tries < self.options.conflict_retries => {
                    tries += 1;
                }
                Err(error) => return Err(error),
            }
        };
        self.known.forget(id);
        let vm = &found.machine.vm;
        match self.discard(vm, &resource).await {
            // A container was created concurrently.
            Err(error) if is_in_use(&error) => {
                if let Some(found) = self.reread(vm, &resource).await? {
                    let restored = record::restored(Timestamp::now());
                    self.write(&found, restored, &resource).await?;
                }
                Err(error)
            }
            removed => removed,
        }
    }

    /// Removes a machine whose disk is not in use: detaches the disk, deletes it, and destroys the
    /// machine. Each step can be repeated.
    ///
    /// # Errors
    /// [`InUse`](crate::ErrorKind::InUse) when containers are children of the disk.
    pub(super) async fn discard(
        &self,
        vm: &Ref<mo::VirtualMachine>,
        resource: &Resource,
    ) -> Result<()> {
        let mut tries = 0;
        let machine = loop {
            let machine = match self.endpoint.machine(vm, resource).await {
                Err(error) if error.is_not_found() => return Ok(()),
                machine => machine?,
            };
            let devices = self.endpoint.devices(vm, resource).await?;
            let disks = disks(&devices);
            let Some(disk) = disks.first() else {
                break machine;
            };
            let users = self.users(&disk.file).await?;
            if !users.is_empty() {
                return Err(in_use(resource, users.iter().collect()));
            }
            let change = VirtualMachineConfigSpec {
                change_version: machine.change_version.clone(),
                device_change: disks.iter().map(|disk| detach(disk.device)).collect(),
                extra_config: options(record::removing(Some(&disk.file))),
                ..VirtualMachineConfigSpec::default()
            };
            match self.endpoint.reconfigure(vm, &change, resource).await {
                Err(error) if error.is_conflict() && tries < self.options.conflict_retries => {
                    tries += 1;
                }
                changed => changed?,
            }
        };
        let directory = machine.directory();
        if let Some(Ok(ImageRecord {
            state: RecordState::Removing(Some(disk)),
            ..
        })) = ImageRecord::read(&machine.keys)
        {
            self.endpoint
                .delete_disk(&self.place.datacenter, &disk, resource)
                .await?;
        }
        self.endpoint.destroy(vm, resource).await?;
        let asked_for = format!("[{}] {}", self.place.defaults.datastore_name, machine.name);
        if directory == asked_for {
            self.endpoint
                .delete_file(&self.place.datastore, &directory, resource)
                .await?;
        }
        Ok(())
    }

    /// Waits while another writer works on a machine, and removes it if its writer has stopped.
    pub(super) async fn settle(&self, found: &Found) -> Result<()> {
        let resource = self.host();
        let seen = found.record.clone();
        let changes =
            self.endpoint.watch(
                &found.machine.vm,
                &resource,
                |machine| match ImageRecord::read(&machine.keys) {
                    Some(Ok(now)) if now.state == seen.state && now.writer == seen.writer => {
                        ControlFlow::Continue(())
                    }
                    _ => ControlFlow::Break(()),
                },
            );
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
        // Its previous writer cannot complete it after this.
        match self.write(found, claim, &resource).await {
            Ok(()) => {}
            Err(error) if error.is_not_found() => return Ok(true),
            Err(error) if error.is_conflict() => return Ok(false),
            Err(error) => return Err(error),
        }
        tracing::debug!(machine = %found.machine.vm, "removing a half-done image");
        self.discard(&found.machine.vm, &resource).await?;
        Ok(true)
    }

    pub(super) async fn prune(&self) -> Result<Vec<String>> {
        let mut removed = Vec::new();
        for found in self.machines().await?.into_iter().flatten() {
            if found.is_done() || self.live.contains(&found.record.writer) {
                continue;
            }
            match self.abandon(&found).await {
                Ok(true) => removed.push(format!("half-done image {}", found.label())),
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(%error, image = found.label(), "a half-done image stays");
                }
            }
        }
        Ok(removed)
    }

    pub(super) async fn remove_all(&self) -> Result<()> {
        let resource = self.host();
        let machines = self.endpoint.machines(&self.place.pool, &resource).await?;
        for machine in machines {
            if record::is_image(&machine.keys) {
                self.discard(&machine.vm, &resource).await?;
            }
        }
        Ok(())
    }
}

fn in_use(resource: &Resource, users: Vec<&User>) -> Error {
    let mut names: Vec<_> = users.into_iter().map(|user| user.label.as_str()).collect();
    names.sort_unstable();
    Error::in_use(resource.clone(), names.join(", "))
}

fn is_in_use(error: &Error) -> bool {
    matches!(error.kind, crate::ErrorKind::InUse { .. })
}
