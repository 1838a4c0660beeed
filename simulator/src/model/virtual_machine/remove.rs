//! Removes machines from the inventory, with or without their files.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use vim25::types::{VirtualMachineConfigInfo, VirtualMachinePowerState};
use vim25::{Fault, Ref, mo};

use super::snapshot;
use crate::datastore::disk;
use crate::datastore::site::Site;
use crate::device;
use crate::fault;
use crate::guest::GuestDisk;
use crate::invocation::{Answer, Invocation, nothing};
use crate::machine::{self, Machine};
use crate::object::Retype;
use crate::shared::Shared;
use crate::snapshot::state_file_name;
use crate::task;
use crate::vapp;
use crate::world::Transaction;

pub(super) fn unregister(inv: &mut Invocation<'_, '_>, vm: &Ref<mo::VirtualMachine>) -> Answer {
    unregister_now(inv.tx, vm)?;
    nothing()
}

/// Removes a machine that is off from the inventory. Its files stay.
pub(crate) fn unregister_now(
    tx: &mut Transaction<'_>,
    vm: &Ref<mo::VirtualMachine>,
) -> Result<(), Fault> {
    must_be_off(tx, vm)?;
    forget(tx, vm)
}

pub(super) fn destroy(inv: &mut Invocation<'_, '_>, vm: Ref<mo::VirtualMachine>) -> Answer {
    let entity = vm.retype();
    task::begin_long(
        inv,
        &entity,
        "VirtualMachine.destroy",
        |shared| async move {
            let gone = Transaction::run(&shared, move |tx| destroy_now(tx, &vm)).await?;
            gone.forget(&shared).await;
            nothing()
        },
    )
}

/// Disks that were deleted with a machine.
#[derive(Debug)]
pub(crate) struct Gone {
    disks: Vec<GuestDisk>,
    ended: Option<CancellationToken>,
}

impl Gone {
    /// Makes the guest forget the disks.
    pub(crate) async fn forget(self, shared: &Shared) {
        if let Some(ended) = self.ended {
            ended.cancelled().await;
        }
        for disk in &self.disks {
            shared.guest.forget(disk).await;
        }
    }
}

/// Returns whether a disk is deleted with its machine.
fn is_deletable(shared: &Shared, site: Site, file: &str) -> bool {
    let store = &shared.store;
    let says = |file| disk::read(store, &store.parse(site, file)?).map(|disk| disk.deletable);
    !shared.settings.platform.destroy_honours_ddb_deletable || says(file).unwrap_or(true)
}

/// Removes a machine that is off, with its files.
pub(crate) fn destroy_now(
    tx: &mut Transaction<'_>,
    vm: &Ref<mo::VirtualMachine>,
) -> Result<Gone, Fault> {
    must_be_off(tx, vm)?;
    let object = tx.object(vm)?.clone();
    let info: VirtualMachineConfigInfo = object.read("config")?;
    let machine = Arc::clone(Machine::of(&object)?);
    let (vmx, ended) = (&machine.vmx, machine.ended.clone());
    let site = vmx.site();
    forget(tx, vm)?;
    let shared = Arc::clone(tx.shared());
    let parents = shared.settings.platform.destroy_deletes_parent_disks;
    let devices = &info.hardware.device;
    let mut disks = Vec::new();
    for device in devices {
        if device.node().is_a("VirtualDisk") {
            let chain = device::chain(device);
            let Some(disk) = GuestDisk::of(&shared, site, devices, device) else {
                continue;
            };
            let own = snapshot::redo_logs(tx, site, &chain) + 1;
            let most = if parents { chain.len() } else { own };
            let below = disk.parents().collect::<Vec<_>>();
            let each = std::iter::once(disk).chain(below);
            for (at, (file, disk)) in chain.iter().zip(each).take(most).enumerate() {
                if (1..own).contains(&at) && tx.is_used_by_others(site, file, vm) {
                    // Linked clones need this disk and all of its parents.
                    break;
                }
                let is_doomed = match at {
                    0 => is_deletable(&shared, site, file),
                    _ if at < own => true,
                    // A vCenter knows the other clones of a snapshot.
                    _ if machine.is_linked && tx.is_used_by_others(site, file, vm) => false,
                    _ => is_deletable(&shared, site, file) && !tx.is_in_snapshots(site, file),
                };
                if is_doomed {
                    device::destroy_files(tx, site, std::slice::from_ref(file));
                    disks.push(disk);
                }
            }
        }
    }
    let store = &shared.store;
    disks.extend(destroy_snapshots(tx, vm, &machine));
    // Delete the machine's own files, and its directory unless it contains other files.
    let stem = vmx.file_name().trim_end_matches(".vmx").to_owned();
    let own = ["vmx", "nvram", "vmsd", "vmxf"];
    for name in own.map(|suffix| format!("{stem}.{suffix}")) {
        let _ = store.delete(&vmx.sibling(&name));
    }
    let _ = store.delete(&vmx.sibling("vmware.log"));
    store.delete_if_empty(&vmx.parent());
    // The machine may have a directory on every datastore that it had disks on.
    let files = machine.chains.iter().filter_map(|chain| chain.first());
    for path in files.filter_map(|file| store.parse(site, file).ok()) {
        let directory = path.parent();
        if !path.is_near(vmx) && !directory.is_root() {
            store.delete_if_empty(&directory);
        }
    }
    Ok(Gone { disks, ended })
}

/// Deletes the files of the snapshots of a machine that was removed, except for disks that other
/// machines continue. Returns the disks.
fn destroy_snapshots(
    tx: &Transaction<'_>,
    vm: &Ref<mo::VirtualMachine>,
    machine: &Machine,
) -> Vec<GuestDisk> {
    let (shared, site) = (tx.shared(), machine.vmx.site());
    let mut files = Vec::new();
    for snapshot in machine.snapshots.iter() {
        let _ = shared
            .store
            .delete(&state_file_name(&machine.vmx, snapshot.uid));
        for chain in snapshot.chains() {
            let own = chain.iter().take(snapshot::redo_logs(tx, site, chain) + 1);
            files.extend(own.filter(|file| is_present(shared, site, file)).cloned());
        }
    }
    files.sort_unstable();
    files.dedup();
    let doomed = snapshot::destroy_unused(tx, vm, site, files);
    snapshot::guest_disks(shared, site, &doomed)
}

fn is_present(shared: &Shared, site: Site, file: &str) -> bool {
    let path = shared.store.parse(site, file);
    path.is_ok_and(|path| shared.store.exists(&path))
}

fn must_be_off(tx: &Transaction<'_>, vm: &Ref<mo::VirtualMachine>) -> Result<(), Fault> {
    let state = machine::power_state(tx.object(vm)?)?;
    if state == VirtualMachinePowerState::PoweredOn {
        return Err(fault::invalid_power_state(
            &state,
            Some(VirtualMachinePowerState::PoweredOff),
        ));
    }
    Ok(())
}

fn forget(tx: &mut Transaction<'_>, vm: &Ref<mo::VirtualMachine>) -> Result<(), Fault> {
    let object = tx.object(vm)?.clone();
    let machine = Machine::of(&object)?;
    snapshot::hide(tx, &machine.snapshots);
    tx.remove(vm);
    match vapp::of(&object) {
        Some(app) => vapp::refresh(tx, &app),
        None => Ok(()),
    }
}
