//! Finds the users of images' disks, and the space that the disks occupy.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use vim25::{Ref, mo};

use super::Shared;
use super::lookup::Found;
use crate::image::{ImageId, ImageUsage};
use crate::vsphere::disks::parents;
use crate::vsphere::index::Seen;
use crate::{ContainerId, ErrorKind, Result};

type Vm = Ref<mo::VirtualMachine>;

/// A container or machine whose disk is a child of an image's disk.
#[derive(Clone, Debug)]
pub(super) struct User {
    pub(super) id: Option<ContainerId>,
    /// The image from which the container was created, if its keys record it.
    pub(super) image: Option<ImageId>,
    /// The name of the container, or of the machine if it is not a container. For messages.
    pub(super) label: String,
}

impl User {
    fn new(seen: &Seen) -> Self {
        match seen.described() {
            Some(info) => Self {
                id: Some(info.id),
                image: info.root.image_id().copied(),
                label: info.name.clone(),
            },
            None => Self {
                id: seen.id(),
                image: None,
                label: seen.machine.name.clone(),
            },
        }
    }
}

/// The users of the disks of all images.
#[derive(Debug, Default)]
pub(super) struct Users {
    /// Containers that record an image, by the machine of that image.
    recorded: HashMap<Vm, Vec<User>>,
    /// Users that do not record an image, each with the parents of its disks.
    by_disk: Vec<(HashSet<String>, User)>,
}

impl Users {
    /// Returns the users of the disk that is attached to machine `vm` and stored in `file`.
    pub(super) fn of(&self, vm: &Vm, file: Option<&str>) -> Vec<User> {
        let recorded = self.recorded.get(vm).into_iter().flatten();
        let by_disk = self.by_disk.iter().filter_map(|(parents, user)| {
            let is_child = file.is_some_and(|file| parents.contains(file));
            is_child.then_some(user)
        });
        recorded.chain(by_disk).cloned().collect()
    }
}

impl Shared {
    /// Returns the users of images' disks.
    ///
    /// A container records the image from which it was created, in keys that its guest cannot
    /// write, so the index suffices for most containers. Disks are read only for machines without a
    /// readable record, and for containers whose image is on no disk or on several disks.
    pub(super) async fn users(&self) -> Result<Users> {
        let mut disks_of: HashMap<ImageId, Vec<Vm>> = HashMap::new();
        for found in self.machines().await? {
            for image in &found.record.images {
                let disks = disks_of.entry(image.id).or_default();
                disks.push(found.machine.vm.clone());
            }
        }
        let mut users = Users::default();
        let mut doubtful: HashMap<Vm, Arc<Seen>> = HashMap::new();
        for seen in self.index.all().await? {
            let image = match seen.described() {
                None if seen.is_image() => continue,
                None => None,
                Some(info) => match info.root.image_id() {
                    Some(image) => Some(*image),
                    None => continue,
                },
            };
            match image
                .and_then(|image| disks_of.get(&image))
                .map(Vec::as_slice)
            {
                Some([vm]) => {
                    let recorded = users.recorded.entry(vm.clone()).or_default();
                    recorded.push(User::new(&seen));
                }
                _ => drop(doubtful.insert(seen.machine.vm.clone(), seen)),
            }
        }
        if doubtful.is_empty() {
            return Ok(users);
        }
        let vms: Vec<_> = doubtful.keys().cloned().collect();
        let devices = self.endpoint.devices_of(&vms, &self.host()).await?;
        users.by_disk = devices
            .iter()
            .filter_map(|(vm, devices)| {
                let parents: HashSet<_> = devices.iter().flat_map(parents).collect();
                Some((parents, User::new(doubtful.get(vm)?)))
            })
            .filter(|(parents, _)| !parents.is_empty())
            .collect();
        Ok(users)
    }

    /// Returns the users of the disk of an image.
    pub(super) async fn users_of(&self, found: &Found) -> Result<Vec<User>> {
        let users = self.users().await?;
        let file = self.file_for(&users, found).await?;
        Ok(users.of(&found.machine.vm, file.as_deref()))
    }

    /// Returns the file of an image's disk if it is needed to find the disk's users. A machine that
    /// does not have exactly one disk has no users that could be found through the file.
    async fn file_for(&self, users: &Users, found: &Found) -> Result<Option<String>> {
        if users.by_disk.is_empty() {
            return Ok(None);
        }
        match self.root_of(found, &self.host()).await {
            Ok(root) => Ok(Some(root.file)),
            Err(error) if error.kind == ErrorKind::Internal || error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn usage(&self) -> Result<ImageUsage> {
        let machines = self.machines().await?;
        let users = self.users().await?;
        let vms: Vec<_> = machines
            .iter()
            .map(|found| found.machine.vm.clone())
            .collect();
        let committed = match vms.as_slice() {
            [] => HashMap::new(),
            vms => self.endpoint.committed(vms, &self.host()).await?,
        };
        let mut usage = ImageUsage::default();
        for found in &machines {
            let vm = &found.machine.vm;
            let bytes = committed.get(vm).copied().unwrap_or(found.record.size);
            usage.bytes += bytes;
            if !found.is_done() {
                continue;
            }
            let file = self.file_for(&users, found).await?;
            let users = users.of(vm, file.as_deref());
            if users.is_empty() {
                usage.reclaimable += bytes;
            }
            for image in &found.record.images {
                let ids = users.iter().filter(|user| {
                    // A container that does not record its image may use any image on the disk.
                    user.image.is_none_or(|of| of == image.id)
                });
                let mut ids: Vec<_> = ids.filter_map(|user| user.id).collect();
                ids.sort_unstable();
                ids.dedup();
                if !ids.is_empty() {
                    usage.users.insert(image.id, ids);
                }
            }
        }
        Ok(usage)
    }
}
