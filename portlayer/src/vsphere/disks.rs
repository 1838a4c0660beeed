//! The disks of a machine, including which of them must survive its removal.

use vim25::Poly;
use vim25::types::{VirtualDevice, VirtualDisk};

/// A disk of a machine, with what removing the machine needs to know about it.
#[derive(Debug)]
pub(super) struct Disk<'a> {
    /// The device, unmodified, as it was read.
    pub(super) device: &'a Poly<VirtualDevice>,
    /// The disk's path as `[datastore] path`; empty for a disk that is not backed by a file.
    pub(super) file: String,
    /// Whether this disk is the child of another disk. When the server deletes a machine, it also
    /// deletes the parents of its disks (<https://github.com/vmware/vic/issues/2928>), even if
    /// other machines use them.
    pub(super) has_parent: bool,
}

/// Returns the disks among the devices. Untyped nodes are read, so disks whose backings are missing
/// from the schema are included.
pub(super) fn disks(devices: &[Poly<VirtualDevice>]) -> Vec<Disk<'_>> {
    devices
        .iter()
        .filter(|device| device.is::<VirtualDisk>())
        .map(|device| {
            let backing = device.node().get("backing");
            let file = backing.as_ref().and_then(|backing| backing.get("fileName"));
            Disk {
                device,
                file: file
                    .and_then(|file| file.as_str().map(str::to_owned))
                    .unwrap_or_default(),
                has_parent: backing.is_some_and(|backing| backing.get("parent").is_some()),
            }
        })
        .collect()
}

/// Returns the files of a disk's ancestors, the direct parent first.
pub(super) fn parents(device: &Poly<VirtualDevice>) -> Vec<String> {
    let mut parents = Vec::new();
    let mut backing = device.node().get("backing");
    while let Some(parent) = backing.and_then(|backing| backing.get("parent")) {
        let file = parent.get("fileName");
        parents.extend(file.and_then(|file| file.as_str().map(str::to_owned)));
        backing = Some(parent);
    }
    parents
}

impl Disk<'_> {
    /// Returns the capacity of the disk.
    pub(super) fn capacity_kib(&self) -> Option<i64> {
        self.device
            .node()
            .get("capacityInKB")
            .and_then(|capacity| capacity.as_i64())
    }

    /// Returns whether the disk has to be detached before its machine is destroyed: it has a
    /// parent, or lies outside `directory` (`[datastore] path`), where the machine's files are.
    pub(super) fn must_be_detached(&self, directory: &str) -> bool {
        self.has_parent || !self.is_in(directory)
    }

    /// Returns whether the disk's file is in this directory.
    pub(super) fn is_in(&self, directory: &str) -> bool {
        self.file.strip_prefix(directory).is_some_and(|rest| {
            rest.strip_prefix('/')
                .is_some_and(|name| !name.is_empty() && !name.contains('/'))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vim25::types::{
        VirtualCdrom, VirtualDeviceFileBackingInfo, VirtualDiskFlatVer2BackingInfo,
        VirtualDiskSeSparseBackingInfo,
    };

    fn file(name: &str) -> VirtualDeviceFileBackingInfo {
        VirtualDeviceFileBackingInfo {
            file_name: name.into(),
            ..Default::default()
        }
    }

    fn disk(
        backing: impl Into<Poly<vim25::types::VirtualDeviceBackingInfo>>,
    ) -> Poly<VirtualDevice> {
        let base = VirtualDevice {
            key: 2000,
            backing: Some(backing.into()),
            ..Default::default()
        };
        Poly::new(VirtualDisk {
            base,
            ..Default::default()
        })
    }

    #[test]
    fn own_disks_go_and_shared_ones_stay() {
        let own = VirtualDiskFlatVer2BackingInfo {
            base: file("[ds] ab/ab.vmdk"),
            ..Default::default()
        };
        let child = VirtualDiskFlatVer2BackingInfo {
            parent: Some(Box::new(VirtualDiskFlatVer2BackingInfo {
                base: file("[ds] images/1/1.vmdk"),
                ..Default::default()
            })),
            ..own.clone()
        };
        let sparse_child = VirtualDiskSeSparseBackingInfo {
            base: file("[ds] ab/ab-sesparse.vmdk"),
            parent: Some(Box::default()),
            ..Default::default()
        };
        let volume = VirtualDiskFlatVer2BackingInfo {
            base: file("[ds] volumes/v/v.vmdk"),
            ..Default::default()
        };
        let neighbour = VirtualDiskFlatVer2BackingInfo {
            base: file("[ds] abc/ab.vmdk"),
            ..Default::default()
        };
        let devices = [
            disk(own),
            disk(child),
            disk(sparse_child),
            disk(volume),
            disk(neighbour),
            Poly::new(VirtualCdrom::default()),
        ];
        let found = disks(&devices);
        let stays: Vec<_> = found
            .iter()
            .map(|disk| disk.must_be_detached("[ds] ab"))
            .collect();
        assert_eq!(stays, [false, true, true, true, true]);
        let own: Vec<_> = found.iter().map(|disk| disk.is_in("[ds] ab")).collect();
        assert_eq!(own, [true, true, true, false, false]);
    }
}
