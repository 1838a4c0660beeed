//! Moves the files of a machine to another datastore, also while it is on.

use std::collections::BTreeMap;
use std::sync::Arc;

use disk_image::Monitor;
use vim25::types::{
    VirtualDevice, VirtualMachineConfigInfo, VirtualMachineFileInfo, VirtualMachineRelocateSpec,
};
use vim25::{Fault, Poly, Ref, mo};

use super::super::clone::CancelOnDrop;
use super::super::create;
use super::super::directories::Directories;
use crate::datastore::disk::{self, New};
use crate::datastore::path::DatastorePath;
use crate::datastore::site::Site;
use crate::datastore::{Store, Volume};
use crate::device::{self, Kind};
use crate::fault;
use crate::guest;
use crate::machine::{self, Machine};
use crate::shared::Shared;
use crate::snapshot;
use crate::world::Transaction;

type Vm = Ref<mo::VirtualMachine>;

/// Returns whether a specification moves any file of a machine.
pub(super) fn are_moved(
    tx: &Transaction<'_>,
    vm: &Vm,
    spec: &VirtualMachineRelocateSpec,
) -> Result<bool, Fault> {
    let object = tx.object(vm)?;
    let vmx = &Machine::of(object)?.vmx;
    let store = &tx.shared().store;
    if target(store, spec).is_some_and(|target| !is_on(vmx, target)) {
        return Ok(true);
    }
    let config: VirtualMachineConfigInfo = object.read("config")?;
    let mut disks = config.hardware.device.iter();
    Ok(disks.any(|device| disk_target(store, spec, vmx.site(), device).is_some()))
}

/// Returns the datastore that the machine moves to.
fn target<'s>(store: &'s Store, spec: &VirtualMachineRelocateSpec) -> Option<&'s Volume> {
    store.referenced(spec.datastore.as_ref()?.value())
}

fn is_on(path: &DatastorePath, volume: &Volume) -> bool {
    path.site() == volume.site && path.datastore() == volume.name
}

/// Returns the current path of a disk of a machine in a datacenter, and the other datastore that it
/// moves to; `None` for a disk that stays and for other devices.
fn disk_target<'s>(
    store: &'s Store,
    spec: &VirtualMachineRelocateSpec,
    site: Site,
    device: &Poly<VirtualDevice>,
) -> Option<(DatastorePath, &'s Volume)> {
    if Kind::of(device) != Kind::Disk {
        return None;
    }
    let from = store
        .parse(site, &device::text(device, "backing.fileName")?)
        .ok()?;
    let mut own = spec.disk.iter();
    let to = match own.find(|own| own.disk_id == device::key(device)) {
        Some(own) => store.referenced(own.datastore.value())?,
        None => target(store, spec)?,
    };
    (!is_on(&from, to)).then_some((from, to))
}

/// Moves the files, and changes host, pool and folder as the specification says.
///
/// # Errors
/// The machine has snapshots, or a copy failed: then nothing has changed. While a machine is on, its
/// guest has to release the disks, independent disks cannot move, and it stays in its datacenter.
pub(super) async fn relocate(
    shared: &Arc<Shared>,
    vm: Vm,
    spec: VirtualMachineRelocateSpec,
) -> Result<(), Fault> {
    let cycle = guest::settle_machine(shared, &vm).await?;
    let (own, asked) = (vm.clone(), spec.clone());
    let plan = Transaction::run(shared, move |tx| Plan::new(tx, (own, cycle), &asked)).await?;
    let plan = Arc::new(plan);
    let monitor = Arc::new(Monitor::new());
    // Cancels the copies when the simulator shuts down.
    let _stop = CancelOnDrop(Arc::clone(&monitor));
    let (todo, files) = (Arc::clone(&plan), Arc::clone(shared));
    let copying = tokio::task::spawn_blocking(move || todo.copy(&files.store, &monitor));
    let copied = copying
        .await
        .unwrap_or_else(|_| Err(fault::internal("copying a disk failed")));
    let moved = match copied {
        Ok(()) => {
            let todo = Arc::clone(&plan);
            Transaction::run(shared, move |tx| todo.commit(tx, &spec)).await
        }
        Err(fault) => Err(fault),
    };
    if moved.is_err() {
        plan.undo(&shared.store);
        return moved;
    }
    for disk in plan.disks.values() {
        guest::forget_file(shared, &disk.from).await;
    }
    Ok(())
}

/// The new places of the files of a machine.
struct Plan {
    vm: Vm,
    /// The power cycle in which the guest released the disks; `None` if the machine was off.
    cycle: Option<u64>,
    /// The version of the configuration that the plan is for.
    change_version: String,
    vmx: DatastorePath,
    new_vmx: DatastorePath,
    directories: Directories,
    /// The disks that move, by the keys of their devices.
    disks: BTreeMap<i32, MovedDisk>,
}

struct MovedDisk {
    from: DatastorePath,
    to: DatastorePath,
    new: New,
}

impl Plan {
    /// Finds a place for every file, and creates the new directories.
    fn new(
        tx: &mut Transaction<'_>,
        (vm, cycle): (Vm, Option<u64>),
        spec: &VirtualMachineRelocateSpec,
    ) -> Result<Self, Fault> {
        let object = Arc::clone(tx.object(&vm)?);
        let machine = Machine::of(&object)?;
        let snapshots = &machine.snapshots;
        if !snapshots.is_empty() || snapshots.unmerged {
            return Err(fault::not_supported());
        }
        if machine.cycle.as_ref().map(|cycle| cycle.number) != cycle {
            return Err(fault::invalid_state());
        }
        let shared = Arc::clone(tx.shared());
        let store = &shared.store;
        let (name, vmx) = (object.name(), machine.vmx.clone());
        let (new_vmx, mut directories) = match target(store, spec) {
            Some(target) if !is_on(&vmx, target) => {
                let root = store.path(target, "")?;
                let home = create::free_directory(store, &root, name);
                (home.join(vmx.file_name()), Directories::new(home))
            }
            _ => (vmx.clone(), Directories::existing(vmx.parent())),
        };
        let stem = vmx.file_name().trim_end_matches(".vmx");
        let config: VirtualMachineConfigInfo = object.read("config")?;
        let mut disks: BTreeMap<i32, MovedDisk> = BTreeMap::new();
        for device in &config.hardware.device {
            let Some((from, volume)) = disk_target(store, spec, vmx.site(), device) else {
                continue;
            };
            if cycle.is_some() && (!device::is_in_snapshots(device) || volume.site != vmx.site()) {
                // The guest still writes to its independent disks.
                return Err(fault::not_supported());
            }
            let directory = directories.on(store, volume, name)?;
            let mut names = (0..).map(|number| match number {
                0 => directory.join(&format!("{stem}.vmdk")),
                number => directory.join(&format!("{stem}_{number}.vmdk")),
            });
            let is_free = |path: &DatastorePath| {
                !store.exists(path) && disks.values().all(|disk| disk.to != *path)
            };
            let to = names.find(is_free).ok_or_else(fault::invalid_state)?;
            let disk = disk::read(store, &from)?;
            let new = New {
                uuid: disk.uuid,
                thin: disk.thin,
                cid: tx.ids().cid(),
            };
            disks.insert(device::key(device), MovedDisk { from, to, new });
        }
        directories.make(store)?;
        let new_vmx = directories.made(&new_vmx);
        for disk in disks.values_mut() {
            disk.to = directories.made(&disk.to);
        }
        Ok(Self {
            vm,
            cycle,
            change_version: config.change_version,
            vmx,
            new_vmx,
            directories,
            disks,
        })
    }

    /// Copies the disks, with the content of their parents, and the other files.
    fn copy(&self, store: &Store, monitor: &Monitor) -> Result<(), Fault> {
        for disk in self.disks.values() {
            disk::copy(store, &disk.from, &disk.to, &disk.new, monitor)?;
        }
        if self.vmx == self.new_vmx {
            return Ok(());
        }
        for name in self.other_files() {
            let from = self.vmx.sibling(&name);
            if store.exists(&from) {
                store.write(&self.new_vmx.sibling(&name), &store.read(&from)?)?;
            }
        }
        Ok(())
    }

    /// Returns the names of the small files next to the `.vmx` file.
    fn other_files(&self) -> [String; 4] {
        let stem = self.vmx.file_name().trim_end_matches(".vmx");
        [
            format!("{stem}.nvram"),
            format!("{stem}.vmxf"),
            snapshot::list_file(&self.vmx).file_name().to_owned(),
            "vmware.log".to_owned(),
        ]
    }

    /// Attaches the machine to the copies, and deletes the previous files.
    fn commit(
        &self,
        tx: &mut Transaction<'_>,
        spec: &VirtualMachineRelocateSpec,
    ) -> Result<(), Fault> {
        let version: String = tx.object(&self.vm)?.read("config.changeVersion")?;
        if version != self.change_version {
            return Err(fault::concurrent_access());
        }
        let machine = Machine::of(tx.object(&self.vm)?)?;
        let cycle = machine.cycle.as_ref().map(|cycle| cycle.number);
        if cycle.is_some() && cycle != self.cycle {
            return Err(fault::invalid_state());
        }
        let site = super::move_to(tx, &self.vm, spec)?;
        if cycle.is_some() && site != self.vmx.site() {
            return Err(fault::not_supported());
        }
        self.check_site(tx, site)?;
        let mut info: VirtualMachineConfigInfo = tx.object(&self.vm)?.read("config")?;
        for device in &mut info.hardware.device {
            if let Some(disk) = self.disks.get(&device::key(device)) {
                device::attach(tx, device, &disk.to)?;
            }
        }
        if self.vmx != self.new_vmx {
            let directory = Some(format!("{}/", self.new_vmx.parent()));
            info.files = VirtualMachineFileInfo {
                vm_path_name: Some(self.new_vmx.to_string()),
                snapshot_directory: directory.clone(),
                suspend_directory: directory.clone(),
                log_directory: directory,
                ..info.files
            };
        }
        let machine = Machine::edit(tx.edit(&self.vm)?)?;
        machine.vmx = self.new_vmx.clone();
        machine.is_linked = false;
        machine::store(tx, &self.vm, &mut info, true)?;
        if self.vmx.site() != site {
            super::reconnect(tx, &self.vm, spec)?;
        }
        super::change_devices(tx, &self.vm, spec)?;
        self.delete_old(tx);
        Ok(())
    }

    /// Checks that the machine leaves no file in another datacenter than its folder and pool.
    fn check_site(&self, tx: &Transaction<'_>, site: Site) -> Result<(), Fault> {
        let store = &tx.shared().store;
        let home = store.volume(&self.new_vmx);
        super::check_volume(tx, site, home, "spec.datastore")?;
        let config: VirtualMachineConfigInfo = tx.object(&self.vm)?.read("config")?;
        for device in &config.hardware.device {
            let Some(file) = device::text(device, "backing.fileName") else {
                continue;
            };
            let volume = match self.disks.get(&device::key(device)) {
                Some(moved) => store.volume(&moved.to),
                None if file.is_empty() => continue,
                None => store.volume(&store.parse(self.vmx.site(), &file)?),
            };
            super::check_volume(tx, site, volume, "spec.disk")?;
        }
        Ok(())
    }

    /// Deletes the previous files, except for disks that other machines use.
    fn delete_old(&self, tx: &Transaction<'_>) {
        let store = &tx.shared().store;
        for disk in self.disks.values() {
            if tx.is_used_by_others(disk.from.site(), &disk.from.to_string(), &self.vm) {
                continue;
            }
            if let Err(fault) = disk::delete(store, &disk.from) {
                tracing::warn!(disk = %disk.from, %fault, "the previous disk was not deleted");
            }
        }
        if self.vmx != self.new_vmx {
            let _ = store.delete(&self.vmx);
            for name in self.other_files() {
                let _ = store.delete(&self.vmx.sibling(&name));
            }
        }
        // Directories with other files remain.
        let homes = self.disks.values().map(|disk| disk.from.parent());
        for directory in homes.chain([self.vmx.parent()]) {
            if !directory.is_root() {
                store.delete_if_empty(&directory);
            }
        }
    }

    /// Deletes the copies.
    fn undo(&self, store: &Store) {
        for disk in self.disks.values() {
            let _ = disk::delete(store, &disk.to);
        }
        self.directories.delete(store);
    }
}
