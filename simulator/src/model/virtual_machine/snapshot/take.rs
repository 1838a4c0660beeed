//! Takes snapshots.

use std::sync::Arc;

use vim25::Fault;
use vim25::types::{
    MemorySnapshotOnIndependentDisk, SnapshotDisabled, SnapshotLocked, TooManySnapshotLevels,
    VirtualMachineConfigInfo, VirtualMachinePowerState,
};

use super::{Vm, config, machine, show};
use crate::datastore::site::Site;
use crate::device::{self, Kind};
use crate::fault;
use crate::guest;
use crate::invocation::{Answer, value};
use crate::machine::{self as machines, Machine};
use crate::model::virtual_machine::{power, template};
use crate::shared::Shared;
use crate::snapshot::{self, Label, Snapshots};
use crate::world::Transaction;

/// Maximum number of snapshots from the root to the current one, as of a host.
const LEVELS: usize = 32;

/// What a client asks for.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) name: String,
    pub(super) description: String,
    pub(super) memory: bool,
    pub(super) quiesce: bool,
}

/// Takes a snapshot, and returns its reference.
pub(super) async fn take(shared: &Arc<Shared>, vm: Vm, request: Request) -> Answer {
    let checked = vm.clone();
    Transaction::run(shared, move |tx| {
        check(tx, &checked, request.memory).map(drop)
    })
    .await?;
    let cycle = guest::settle_machine(shared, &vm).await?;
    Transaction::run(shared, move |tx| take_now(tx, &vm, request, cycle)).await
}

/// Checks that a snapshot of the machine can be taken.
fn check(
    tx: &Transaction<'_>,
    vm: &Vm,
    memory: bool,
) -> Result<(VirtualMachineConfigInfo, Arc<Machine>), Fault> {
    if template::is_one(tx, vm) {
        return Err(fault::not_supported());
    }
    let (object, machine) = machine(tx, vm)?;
    let info = config(&object)?;
    let message = "An error occurred while taking a snapshot";
    if info.flags.snapshot_disabled == Some(true) {
        let reason = format!("{message}: snapshots are disabled.");
        return Err(Fault::new(reason, SnapshotDisabled::default()));
    }
    if info.flags.snapshot_locked == Some(true) {
        let reason = format!("{message}: the snapshots are locked.");
        return Err(Fault::new(reason, SnapshotLocked::default()));
    }
    if machine.snapshots.depth() >= LEVELS {
        let reason = format!("{message}: the snapshot hierarchy is too deep.");
        return Err(Fault::new(reason, TooManySnapshotLevels::default()));
    }
    let mut disks = info.hardware.device.iter();
    let independent =
        disks.any(|disk| Kind::of(disk) == Kind::Disk && !device::is_in_snapshots(disk));
    if memory && machine.cycle.is_some() && independent {
        let reason = format!("{message}: the machine has an independent disk.");
        return Err(Fault::new(
            reason,
            MemorySnapshotOnIndependentDisk::default(),
        ));
    }
    Ok((info, machine))
}

/// Continues the disks of a machine in a datacenter in redo logs, which are returned.
pub(in crate::model::virtual_machine) fn freeze(
    tx: &mut Transaction<'_>,
    site: Site,
    info: &mut VirtualMachineConfigInfo,
) -> Result<Vec<String>, Fault> {
    let mut made = Vec::new();
    let disks = info.hardware.device.iter_mut();
    for disk in disks.filter(|device| device::is_in_snapshots(device)) {
        match device::branch(tx, site, disk) {
            Ok(path) => made.push(path.to_string()),
            Err(fault) => {
                device::destroy_files(tx, site, &made);
                return Err(fault);
            }
        }
    }
    Ok(made)
}

fn take_now(tx: &mut Transaction<'_>, vm: &Vm, request: Request, cycle: Option<u64>) -> Answer {
    let (mut info, machine) = check(tx, vm, request.memory)?;
    if machine.cycle.as_ref().map(|cycle| cycle.number) != cycle {
        return Err(fault::invalid_state());
    }
    let state = machines::power_state(tx.object(vm)?)?;
    let has_tools = machine.cycle.as_ref().is_some_and(|cycle| cycle.tools);
    let label = Label {
        name: request.name,
        description: request.description,
        state: if request.memory {
            state
        } else {
            VirtualMachinePowerState::PoweredOff
        },
        quiesced: request.quiesce && has_tools,
    };
    let mut snapshots = Snapshots::clone(&machine.snapshots);
    let reference = show::reference(tx, vm, snapshots.next_uid());
    let taken = snapshots.take(
        reference.clone(),
        label,
        info.clone(),
        machine.extra.clone(),
    );
    let made = freeze(tx, machine.vmx.site(), &mut info)?;
    let store = &tx.shared().store;
    let recorded = snapshot::write_state(store, &machine.vmx, &taken).and_then(|()| {
        super::set(tx, vm, snapshots)?;
        machines::store(tx, vm, &mut info, true)
    });
    if let Err(fault) = recorded {
        undo(tx, &machine, taken.uid, &made);
        return Err(fault);
    }
    power::log(tx, vm, "CreateSnapshot");
    value(&reference)
}

/// Deletes the files of a snapshot that could not be taken. Best effort.
fn undo(tx: &Transaction<'_>, machine: &Machine, uid: i32, made: &[String]) {
    let store = &tx.shared().store;
    device::destroy_files(tx, machine.vmx.site(), made);
    let _ = store.delete(&snapshot::state_file_name(&machine.vmx, uid));
    let listed = snapshot::write_list(store, &machine.vmx, &machine.snapshots);
    // The `.vmx` file may already name the new disks.
    let written = store.write_document(&machine.vmx, &machine.document);
    if let Err(fault) = listed.and(written) {
        tracing::warn!(vmx = %machine.vmx, %fault, "a snapshot that failed left files");
    }
}
