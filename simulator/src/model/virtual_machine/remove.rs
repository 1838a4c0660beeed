//! Removes machines from the inventory, with or without their files.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use vim25::types::{VirtualMachineConfigInfo, VirtualMachinePowerState};
use vim25::{Fault, Ref, mo};

use crate::datastore::disk;
use crate::device;
use crate::fault;
use crate::guest::GuestDisk;
use crate::invocation::{Answer, Invocation, nothing};
use crate::machine::{self, Machine};
use crate::object::Retype;
use crate::shared::Shared;
use crate::task;
use crate::world::Transaction;

pub(super) fn unregister(inv: &mut Invocation<'_, '_>, vm: &Ref<mo::VirtualMachine>) -> Answer {
    must_be_off(inv.tx, vm)?;
    forget(inv.tx, vm)?;
    nothing()
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
fn is_deletable(shared: &Shared, file: &str) -> bool {
    let store = &shared.store;
    let says = |file| disk::read(store, &store.parse(file)?).map(|disk| disk.deletable);
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
    let machine = Machine::of(&object)?;
    let (vmx, ended) = (machine.vmx.clone(), machine.ended.clone());
    forget(tx, vm)?;
    let shared = Arc::clone(tx.shared());
    let parents = shared.settings.platform.destroy_deletes_parent_disks;
    let devices = &info.hardware.device;
    let mut disks = Vec::new();
    for device in devices {
        if device.node().is_a("VirtualDisk") {
            let chain = device::chain(device);
            let Some(disk) = GuestDisk::of(&shared, devices, device) else {
                continue;
            };
            let most = if parents { chain.len() } else { 1 };
            let below = disk.parents().collect::<Vec<_>>();
            let each = std::iter::once(disk).chain(below);
            for (file, disk) in chain.iter().zip(each).take(most) {
                if is_deletable(&shared, file) {
                    device::destroy_files(tx, std::slice::from_ref(file));
                    disks.push(disk);
                }
            }
        }
    }
    // Delete the machine's own files, and its directory unless it contains other files.
    let store = &shared.store;
    let stem = vmx.file_name().trim_end_matches(".vmx").to_owned();
    let own = ["vmx", "nvram", "vmsd", "vmxf"];
    for name in own.map(|suffix| format!("{stem}.{suffix}")) {
        let _ = store.delete(&vmx.sibling(&name));
    }
    let _ = store.delete(&vmx.sibling("vmware.log"));
    let _ = std::fs::remove_dir(store.file(&vmx.parent()));
    Ok(Gone { disks, ended })
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
    tx.object(vm)?;
    tx.remove(vm);
    Ok(())
}
