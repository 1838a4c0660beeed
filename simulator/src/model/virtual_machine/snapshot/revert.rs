//! Reverts machines to snapshots.

use std::collections::HashSet;
use std::sync::Arc;

use vim25::Fault;
use vim25::types::{VirtualMachinePowerState, VirtualMachineRuntimeInfo};

use super::{
    SnapshotRef, Vm, config, destroy_unused, find, freeze, guest_disks, machine, redo_logs, set,
};
use crate::device;
use crate::fault;
use crate::guest::GuestDisk;
use crate::machine::{self as machines, Machine, properties};
use crate::model::virtual_machine::{power, template};
use crate::shared::Shared;
use crate::snapshot::Snapshots;
use crate::world::Transaction;

/// The snapshot to revert to.
#[derive(Clone, Debug)]
pub(super) enum Target {
    Current,
    Snapshot(SnapshotRef),
}

impl Target {
    fn uid(&self, snapshots: &Snapshots) -> Result<i32, Fault> {
        match self {
            Self::Current => {
                let current = snapshots.current();
                let current = current.ok_or_else(|| fault::not_found_key("current snapshot"))?;
                Ok(current.uid)
            }
            Self::Snapshot(reference) => find(snapshots, reference),
        }
    }
}

/// Reverts a machine to a snapshot. A machine that is on is powered off first.
pub(super) async fn revert(
    shared: &Arc<Shared>,
    vm: Vm,
    target: Target,
    suppress_power_on: bool,
) -> Result<(), Fault> {
    let (own, to) = (vm.clone(), target.clone());
    let stopped = Transaction::run(shared, move |tx| {
        if template::is_one(tx, &own) {
            return Err(fault::not_supported());
        }
        let (object, machine) = machine(tx, &own)?;
        to.uid(&machine.snapshots)?;
        if machines::power_state(&object)? != VirtualMachinePowerState::PoweredOff {
            power::end(tx, &own, VirtualMachinePowerState::PoweredOff)?;
        }
        Ok(machine.ended.clone())
    });
    if let Some(ended) = stopped.await? {
        ended.cancelled().await;
    }
    let gone = Transaction::run(shared, move |tx| {
        revert_now(tx, &vm, &target, suppress_power_on)
    });
    super::forget(shared, &gone.await?).await;
    Ok(())
}

/// Reverts a machine that is off. Returns the disks whose files were deleted.
fn revert_now(
    tx: &mut Transaction<'_>,
    vm: &Vm,
    target: &Target,
    suppress_power_on: bool,
) -> Result<Vec<GuestDisk>, Fault> {
    let (object, machine) = machine(tx, vm)?;
    let site = machine.vmx.site();
    let now = config(&object)?;
    let mut snapshots = Snapshots::clone(&machine.snapshots);
    let uid = target.uid(&snapshots)?;
    let snapshot = snapshots.get(uid).ok_or_else(fault::invalid_state)?.clone();
    snapshots.revert_to(uid);
    let mut info = snapshot.config.clone();
    // The name and the files belong to the machine, not to its state.
    info.name = now.name;
    info.files = now.files;
    info.change_version = now.change_version;
    power::connect(&mut info, false);
    let made = freeze(tx, site, &mut info)?;
    let kept: HashSet<String> = snapshots.files().cloned().collect();
    let reverted = || {
        set(tx, vm, snapshots)?;
        Machine::edit(tx.edit(vm)?)?.extra = snapshot.extra.clone();
        machines::store(tx, vm, &mut info, true)?;
        match &snapshot.state {
            VirtualMachinePowerState::PoweredOn if !suppress_power_on => power::power_on(tx, vm),
            VirtualMachinePowerState::Suspended => {
                let object = tx.edit(vm)?;
                object.modify("runtime", |runtime: &mut VirtualMachineRuntimeInfo| {
                    runtime.power_state = VirtualMachinePowerState::Suspended;
                    runtime.suspend_time = Some(snapshot.created);
                })?;
                properties::refresh(tx, vm)
            }
            _ => Ok(()),
        }
    };
    if let Err(fault) = reverted() {
        undo(tx, &machine, &made);
        return Err(fault);
    }
    let mut doomed: Vec<String> = Vec::new();
    for chain in &machine.chains {
        let logs = chain.iter().take(redo_logs(tx, site, chain));
        doomed.extend(logs.filter(|file| !kept.contains(*file)).cloned());
    }
    let doomed = destroy_unused(tx, vm, site, doomed);
    power::log(tx, vm, "RevertToSnapshot");
    Ok(guest_disks(tx.shared(), site, &doomed))
}

/// Deletes the redo logs of a revert that failed, and restores the machine's files. Best effort.
fn undo(tx: &Transaction<'_>, machine: &Machine, made: &[String]) {
    device::destroy_files(tx, machine.vmx.site(), made);
    let store = &tx.shared().store;
    let listed = crate::snapshot::write_list(store, &machine.vmx, &machine.snapshots);
    let written = store.write_document(&machine.vmx, &machine.document);
    if let Err(fault) = listed.and(written) {
        tracing::warn!(vmx = %machine.vmx, %fault, "a revert that failed left files");
    }
}
