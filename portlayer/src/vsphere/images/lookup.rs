//! Finding the machines of images.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use vim25::{Ref, mo};

use super::Shared;
use super::record::{ImageRecord, RecordState};
use crate::image::{ChainId, ImageId};
use crate::vsphere::disks::disks;
use crate::vsphere::endpoint::Machine;
use crate::{Error, Resource, Result};

/// A cache of the machines of images. If an entry is outdated, the pool is searched.
#[derive(Debug, Default)]
pub(super) struct Known {
    machines: Mutex<HashMap<ImageId, Ref<mo::VirtualMachine>>>,
}

impl Known {
    pub(super) fn insert(&self, id: ImageId, vm: Ref<mo::VirtualMachine>) {
        self.lock().insert(id, vm);
    }

    pub(super) fn forget(&self, id: &ImageId) {
        self.lock().remove(id);
    }

    fn get(&self, id: &ImageId) -> Option<Ref<mo::VirtualMachine>> {
        self.lock().get(id).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ImageId, Ref<mo::VirtualMachine>>> {
        self.machines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A snapshot of the machine of an image.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) machine: Machine,
    pub(super) record: ImageRecord,
}

impl Found {
    pub(super) fn is_done(&self) -> bool {
        self.record.state == RecordState::Done
    }

    /// Returns the images on the disk as text for messages.
    pub(super) fn label(&self) -> String {
        self.machine.name.clone()
    }
}

/// The disk of an image, the parent of containers' disks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::vsphere) struct Root {
    /// The machine that the disk is attached to.
    pub(super) machine: Ref<mo::VirtualMachine>,
    /// `[datastore] path`, read from the machine.
    pub(in crate::vsphere) file: String,
    /// The capacity, which children must have too.
    pub(in crate::vsphere) capacity_kib: i64,
}

impl Shared {
    pub(super) fn host(&self) -> Resource {
        self.place.host()
    }

    /// Returns all machines of images, with a label and a reason for each that cannot be read.
    pub(super) async fn machines(&self) -> Result<Vec<Result<Found, (String, String)>>> {
        let machines = self
            .endpoint
            .machines(&self.place.pool, &self.host())
            .await?;
        Ok(machines.into_iter().filter_map(read).collect())
    }

    /// Returns the machine whose disk has the layers of this chain id, complete or not.
    pub(super) async fn find_chain(&self, chain: &ChainId) -> Result<Option<Found>> {
        let found = self.machines().await?.into_iter().flatten();
        // If there are several, prefer a complete one.
        Ok(found
            .filter(|found| found.record.chain == *chain)
            .max_by_key(Found::is_done))
    }

    /// Returns the machine of a complete image.
    pub(super) async fn find(&self, id: &ImageId) -> Result<Found> {
        let resource = Resource::image(id);
        let is_it = |found: &Found| found.is_done() && found.record.image(id).is_some();
        if let Some(vm) = self.known.get(id) {
            match self.endpoint.machine(&vm, &resource).await {
                Ok(machine) => match read(machine) {
                    Some(Ok(found)) if is_it(&found) => return Ok(found),
                    _ => self.known.forget(id),
                },
                // It was registered again under another reference, or removed by another writer.
                Err(error) if error.is_not_found() => self.known.forget(id),
                Err(error) => return Err(error),
            }
        }
        let machines = self.machines().await?.into_iter().flatten();
        let found = machines.into_iter().find(is_it);
        let found = found.ok_or_else(|| Error::not_found(resource))?;
        self.known.insert(*id, found.machine.vm.clone());
        Ok(found)
    }

    pub(super) async fn root(&self, id: &ImageId) -> Result<Root> {
        let found = self.find(id).await?;
        self.root_of(&found, &Resource::image(id)).await
    }

    pub(super) async fn confirm(&self, id: &ImageId, root: &Root) -> Result<()> {
        let found = self.find(id).await?;
        if found.machine.vm == root.machine {
            return Ok(());
        }
        // It was removed and imported again.
        Err(Error::not_found(Resource::image(id)))
    }

    /// Returns the disk of an image's machine.
    pub(super) async fn root_of(&self, found: &Found, resource: &Resource) -> Result<Root> {
        let vm = &found.machine.vm;
        let devices = self.endpoint.devices(vm, resource).await?;
        let disks = disks(&devices);
        match disks.as_slice() {
            [disk] if !disk.file.is_empty() => Ok(Root {
                machine: vm.clone(),
                file: disk.file.clone(),
                capacity_kib: disk.capacity_kib().unwrap_or_else(|| {
                    i64::try_from(found.record.capacity / 1024).unwrap_or(i64::MAX)
                }),
            }),
            disks => Err(Error::internal(
                resource.clone(),
                format!(
                    "its machine {:?} has {} disks instead of one",
                    found.machine.name,
                    disks.len()
                ),
            )),
        }
    }
}

fn read(machine: Machine) -> Option<Result<Found, (String, String)>> {
    Some(match ImageRecord::read(&machine.keys)? {
        Ok(record) => Ok(Found { machine, record }),
        Err(reason) => Err((machine.name, reason)),
    })
}
