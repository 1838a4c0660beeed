//! The users of images' disks, and the space they occupy.

use std::collections::HashMap;

use vim25::Poly;
use vim25::types::VirtualDevice;

use super::Shared;
use super::record::{ImageRecord, RecordState};
use crate::image::{ImageId, ImageUsage};
use crate::vsphere::disks::{disks, parents};
use crate::vsphere::endpoint::Machine;
use crate::vsphere::record::Record;
use crate::{ContainerId, Result};

/// A container whose disk is a child of an image's.
#[derive(Clone, Debug)]
pub(super) struct User {
    pub(super) id: Option<ContainerId>,
    /// The image from which it was created, if recorded.
    pub(super) image: Option<ImageId>,
    /// For messages: the name of the container, or of the machine if it is not a container.
    pub(super) label: String,
}

impl User {
    fn read(machine: &Machine) -> Self {
        match Record::read(&machine.keys) {
            Ok(record) => Self {
                id: Some(record.spec.id),
                image: record.spec.root.image_id().copied(),
                label: record.spec.name,
            },
            Err(broken) => Self {
                id: broken.id,
                image: None,
                label: machine.name.clone(),
            },
        }
    }
}

impl Shared {
    /// Returns the machines with a disk that is a descendant of this file.
    pub(super) async fn users(&self, file: &str) -> Result<Vec<User>> {
        let machines = self
            .endpoint
            .machines_with_devices(&self.place.pool, &self.host())
            .await?;
        let users = machines.iter().filter(|(_, devices, _)| {
            let parents = devices.iter().flat_map(parents);
            parents.into_iter().any(|parent| parent == file)
        });
        Ok(users.map(|(machine, ..)| User::read(machine)).collect())
    }

    pub(super) async fn usage(&self) -> Result<ImageUsage> {
        let machines = self
            .endpoint
            .machines_with_devices(&self.place.pool, &self.host())
            .await?;
        let mut usage = ImageUsage::default();
        let mut users_of: HashMap<String, Vec<User>> = HashMap::new();
        for (machine, devices, _) in &machines {
            for parent in devices.iter().flat_map(parents) {
                users_of
                    .entry(parent)
                    .or_default()
                    .push(User::read(machine));
            }
        }
        for (machine, devices, committed) in &machines {
            let Some(Ok(record)) = ImageRecord::read(&machine.keys) else {
                continue;
            };
            let bytes = committed.unwrap_or(record.size);
            usage.bytes += bytes;
            if record.state != RecordState::Done {
                continue;
            }
            let users = file(devices).and_then(|file| users_of.get(&file));
            let users = users.map(Vec::as_slice).unwrap_or_default();
            if users.is_empty() {
                usage.reclaimable += bytes;
            }
            for image in &record.images {
                let ids = users.iter().filter(|user| {
                    // If a container does not record its image, it may be any on the disk.
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

fn file(devices: &[Poly<VirtualDevice>]) -> Option<String> {
    disks(devices).into_iter().next().map(|disk| disk.file)
}
