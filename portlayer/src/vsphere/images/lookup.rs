//! Finds the machines of images.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vim25::{Ref, mo};

use super::record::{ImageRecord, RecordState};
use super::{Shared, machine};
use crate::image::{ChainId, ImageId};
use crate::vsphere::disks::disks;
use crate::vsphere::index::Seen;
use crate::{Error, Resource, Result};

/// A snapshot of the machine of an image.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) machine: Arc<Seen>,
    pub(super) record: Arc<ImageRecord>,
}

impl Found {
    /// Creates a snapshot; returns `None` if the machine does not belong to an image, or is
    /// unreadable.
    pub(super) fn new(machine: &Arc<Seen>) -> Option<Self> {
        Some(Self {
            record: Arc::clone(machine.image()?.ok()?),
            machine: Arc::clone(machine),
        })
    }

    pub(super) fn is_done(&self) -> bool {
        self.record.state == RecordState::Done
    }

    /// Returns the names of the images on the disk, for messages.
    pub(super) fn label(&self) -> String {
        self.machine.machine.name.clone()
    }
}

/// The disk of an image, which is the parent of containers' disks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::vsphere) struct Root {
    /// The machine that the disk is attached to.
    pub(super) machine: Ref<mo::VirtualMachine>,
    /// The disk's path as `[datastore] path`, read from the machine.
    pub(in crate::vsphere) file: String,
    /// The capacity; child disks must have the same one.
    pub(in crate::vsphere) capacity_kib: i64,
}

/// A cache of the disks that were read from machines. Each entry is valid for one version of its
/// machine.
#[derive(Debug, Default)]
pub(super) struct Roots {
    known: Mutex<HashMap<Ref<mo::VirtualMachine>, (String, Root)>>,
}

impl Roots {
    fn get(&self, machine: &Seen) -> Option<Root> {
        let version = machine.change_version.as_ref()?;
        let known = self.lock();
        let (of, root) = known.get(&machine.vm)?;
        (of == version).then(|| root.clone())
    }

    fn insert(&self, machine: &Seen, root: &Root) {
        if let Some(version) = &machine.change_version {
            let entry = (version.clone(), root.clone());
            self.lock().insert(machine.vm.clone(), entry);
        }
    }

    pub(super) fn forget(&self, vm: &Ref<mo::VirtualMachine>) {
        self.lock().remove(vm);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Ref<mo::VirtualMachine>, (String, Root)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    pub(super) fn host(&self) -> Resource {
        self.objects.host()
    }

    /// Returns the readable machines of images, complete or not.
    pub(super) async fn machines(&self) -> Result<Vec<Found>> {
        let machines = self.index.images().await?;
        Ok(machines.iter().filter_map(Found::new).collect())
    }

    /// Returns the machine whose disk holds the layers of this chain id, complete or not.
    pub(super) async fn find_chain(&self, chain: &ChainId) -> Result<Option<Found>> {
        let found = self.machines().await?.into_iter();
        // If there are several machines, prefer a complete one.
        let found = found
            .filter(|found| found.record.chain == *chain)
            .max_by_key(Found::is_done);
        if found.is_some() {
            return Ok(found);
        }
        // Another program may have just created it.
        let (uuid, host) = (machine::uuid(&self.objects, chain), self.host());
        let there = self.endpoint.find_machine(&self.objects, uuid, &host);
        match there.await? {
            Some(vm) => self.reread(&vm, &host).await,
            None => Ok(None),
        }
    }

    /// Returns the machine of a complete image.
    pub(super) async fn find(&self, id: &ImageId) -> Result<Found> {
        let resource = Resource::image(id);
        let holds = |found: &Found| found.record.image(id).is_some();
        let is_it = |found: &Found| found.is_done() && holds(found);
        if let Some(found) = self.machines().await?.into_iter().find(is_it) {
            return Ok(found);
        }
        // Another program may have just imported or completed it.
        self.index.catch_up().await?;
        for found in self.machines().await? {
            if is_it(&found) {
                return Ok(found);
            }
            if holds(&found)
                && let Some(again) = self.reread(&found.machine.vm, &resource).await?
                && is_it(&again)
            {
                return Ok(again);
            }
        }
        Err(Error::not_found(resource))
    }

    pub(super) async fn root(&self, id: &ImageId) -> Result<Root> {
        let found = self.find(id).await?;
        self.root_of(&found, &Resource::image(id)).await
    }

    pub(super) async fn confirm(&self, id: &ImageId, root: &Root) -> Result<()> {
        let resource = Resource::image(id);
        let found = if self.options.sole_writer {
            // As the only writer, only this process could have removed the image, so the index is
            // current.
            let machines = self.machines().await?.into_iter();
            machines.filter(|f| f.machine.vm == root.machine).last()
        } else {
            self.reread(&root.machine, &resource).await?
        };
        match found {
            Some(found) if found.is_done() && found.record.image(id).is_some() => Ok(()),
            _ => Err(Error::not_found(resource)),
        }
    }

    /// Returns the disk of an image's machine.
    pub(super) async fn root_of(&self, found: &Found, resource: &Resource) -> Result<Root> {
        if let Some(root) = self.roots.get(&found.machine) {
            return Ok(root);
        }
        let vm = &found.machine.vm;
        let devices = self.endpoint.devices(vm, resource).await?;
        let disks = disks(&devices);
        match disks.as_slice() {
            [disk] if !disk.file.is_empty() => {
                let root = Root {
                    machine: vm.clone(),
                    file: disk.file.clone(),
                    capacity_kib: disk.capacity_kib().unwrap_or_else(|| {
                        i64::try_from(found.record.capacity / 1024).unwrap_or(i64::MAX)
                    }),
                };
                self.roots.insert(&found.machine, &root);
                Ok(root)
            }
            disks => Err(Error::internal(
                resource.clone(),
                format!(
                    "its machine {:?} has {} disks instead of one",
                    found.label(),
                    disks.len()
                ),
            )),
        }
    }
}
