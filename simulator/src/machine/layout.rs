//! The files of a machine, as `layoutEx` shows them.

use std::collections::HashMap;

use jiff::Timestamp;
use vim25::Poly;
use vim25::types::{
    VirtualDevice, VirtualMachineConfigInfo, VirtualMachineFileLayoutEx,
    VirtualMachineFileLayoutExDiskLayout, VirtualMachineFileLayoutExDiskUnit,
    VirtualMachineFileLayoutExFileInfo, VirtualMachineFileLayoutExSnapshotLayout,
};

use super::Machine;
use crate::datastore::Store;
use crate::datastore::site::Site;
use crate::device::{self, Kind};
use crate::snapshot;
use crate::world::Transaction;

/// The key of a file that does not exist, such as the memory of a machine that was off.
const NONE: i32 = -1;

/// The suffixes of the names of extents, which replace `.vmdk`.
const EXTENTS: [&str; 2] = ["-flat.vmdk", "-delta.vmdk"];

/// Returns the files of a machine. A disk has a descriptor and, unless that contains its content, an
/// extent.
pub(super) fn of(
    tx: &Transaction<'_>,
    machine: &Machine,
    config: &VirtualMachineConfigInfo,
) -> VirtualMachineFileLayoutEx {
    let mut files = Files {
        store: &tx.shared().store,
        site: machine.vmx.site(),
        keys: HashMap::new(),
        list: Vec::new(),
    };
    files.key(machine.vmx.to_string(), "config");
    let disk = files.disks(config);
    let snapshots = &machine.snapshots;
    if snapshots.is_used() {
        files.key(
            snapshot::list_file(&machine.vmx).to_string(),
            "snapshotList",
        );
    }
    let snapshot = snapshots
        .iter()
        .map(|one| {
            let state = snapshot::state_file_name(&machine.vmx, one.uid);
            VirtualMachineFileLayoutExSnapshotLayout {
                key: one.reference.clone(),
                data_key: files.key(state.to_string(), "snapshotData"),
                memory_key: NONE,
                disk: files.disks(&one.config),
            }
        })
        .collect();
    VirtualMachineFileLayoutEx {
        file: files.list,
        disk,
        snapshot,
        timestamp: Timestamp::now(),
    }
}

struct Files<'s> {
    store: &'s Store,
    site: Site,
    keys: HashMap<String, i32>,
    list: Vec<VirtualMachineFileLayoutExFileInfo>,
}

impl Files<'_> {
    /// Returns the key of a file, adding it to the list.
    fn key(&mut self, name: String, kind: &str) -> i32 {
        if let Some(key) = self.keys.get(&name) {
            return *key;
        }
        let key = i32::try_from(self.list.len()).unwrap_or(i32::MAX);
        let path = self.store.parse(self.site, &name).ok();
        let size = path.map_or(0, |path| match kind {
            // Extents are sparse.
            "diskExtent" => self.store.occupied(&path),
            _ => self.store.length(&path),
        });
        self.list.push(VirtualMachineFileLayoutExFileInfo {
            key,
            name: name.clone(),
            type_: kind.to_owned(),
            size: i64::try_from(size).unwrap_or(i64::MAX),
            accessible: Some(true),
            ..Default::default()
        });
        self.keys.insert(name, key);
        key
    }

    /// Returns the disks of a configuration, each with its parents. The base comes first.
    fn disks(
        &mut self,
        config: &VirtualMachineConfigInfo,
    ) -> Vec<VirtualMachineFileLayoutExDiskLayout> {
        let disks = config.hardware.device.iter();
        disks
            .filter(|device| Kind::of(device) == Kind::Disk)
            .map(|disk| self.disk(disk))
            .collect()
    }

    /// Returns the keys of the files of one disk, without its parents.
    fn unit(&mut self, descriptor: String) -> Vec<i32> {
        let stem = descriptor.strip_suffix(".vmdk").unwrap_or(&descriptor);
        // Reading descriptors would make every change of a machine slower.
        let names = EXTENTS.map(|suffix| format!("{stem}{suffix}"));
        let exists = |name: &String| {
            let path = self.store.parse(self.site, name);
            path.is_ok_and(|path| self.store.exists(&path))
        };
        let extent = names.into_iter().find(exists);
        let mut keys = vec![self.key(descriptor, "diskDescriptor")];
        keys.extend(extent.map(|name| self.key(name, "diskExtent")));
        keys
    }

    fn disk(&mut self, disk: &Poly<VirtualDevice>) -> VirtualMachineFileLayoutExDiskLayout {
        let files = device::chain(disk);
        let units = files
            .into_iter()
            .map(|file| VirtualMachineFileLayoutExDiskUnit {
                file_key: self.unit(file),
            });
        let mut chain: Vec<_> = units.collect();
        chain.reverse();
        VirtualMachineFileLayoutExDiskLayout {
            key: device::key(disk),
            chain,
            ..Default::default()
        }
    }
}
