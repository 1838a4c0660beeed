//! `VirtualMachine`: the methods of virtual machines.

mod clone;
mod create;
mod directories;
mod placement;
mod power;
mod reconfigure;
mod relocate;
mod remove;
mod snapshot;
mod template;
mod ticket;
mod upgrade;

pub(crate) use create::{begin_create, create, create_on, register, restore};
pub(crate) use placement::Placement;
pub(crate) use power::{ask_shutdown, check_off, power_off, power_on, start, suspend_now};
pub(crate) use remove::{Gone, destroy_now, unregister_now};
pub(super) use snapshot::call as call_snapshot;
pub(crate) use template::mark_as_template;

use std::sync::Arc;

use vim25::{Ref, mo};

use super::host_connection;
use crate::datastore::path::DatastorePath;
use crate::invocation::{Answer, Invocation, nothing};
use crate::machine::{Machine, properties};
use crate::object::{Object, Retype};
use crate::world::Transaction;

/// The power operations, which the vApp of a machine excludes while it starts or stops.
const POWER: [&str; 6] = [
    "PowerOnVM_Task",
    "PowerOffVM_Task",
    "ResetVM_Task",
    "SuspendVM_Task",
    "ShutdownGuest",
    "RebootGuest",
];

/// Returns the machine with a `.vmx` file.
pub(super) fn at<'t>(tx: &'t Transaction<'_>, vmx: &DatastorePath) -> Option<&'t Arc<Object>> {
    let name = vmx.to_string();
    let mut found = tx.identified("config.files.vmPathName", &name);
    found.find(|object| Machine::of(object).is_ok_and(|machine| machine.vmx == *vmx))
}

pub(super) fn call(inv: &mut Invocation<'_, '_>) -> Option<Answer> {
    let vm: Ref<mo::VirtualMachine> = inv.this.retype();
    // vCenter removes a machine from its inventory without its host.
    if inv.request.method != "UnregisterVM"
        && let Err(fault) = host_connection::check(inv.tx, &vm)
    {
        return Some(Err(fault));
    }
    if POWER.contains(&inv.request.method.as_str())
        && let Err(fault) = super::virtual_app::check_idle(inv.tx, &vm)
    {
        return Some(Err(fault));
    }
    Some(match inv.request.method.as_str() {
        "ReconfigVM_Task" => reconfigure::call(inv, vm),
        "Rename_Task" => reconfigure::rename(inv, vm),
        "PowerOnVM_Task" => power::on(inv, vm),
        "PowerOffVM_Task" => power::off(inv, vm),
        "ResetVM_Task" => power::reset(inv, vm),
        "SuspendVM_Task" => power::suspend(inv, vm),
        "ShutdownGuest" => power::shutdown_guest(inv, &vm),
        "RebootGuest" => power::reboot_guest(inv, &vm),
        "CreateSnapshot_Task" | "CreateSnapshotEx_Task" => snapshot::create(inv, vm),
        "RevertToCurrentSnapshot_Task" => snapshot::revert_to_current(inv, vm),
        "RemoveAllSnapshots_Task" => snapshot::remove_all(inv, vm),
        "ConsolidateVMDisks_Task" => snapshot::consolidate(inv, vm),
        "CloneVM_Task" => clone::call(inv, vm),
        "InstantClone_Task" => clone::instant(inv, vm),
        "RelocateVM_Task" => relocate::relocate(inv, vm),
        "MigrateVM_Task" => relocate::migrate(inv, vm),
        "Destroy_Task" => remove::destroy(inv, vm),
        "UpgradeVM_Task" => upgrade::call(inv, vm),
        "AcquireTicket" => ticket::acquire(inv, &vm),
        "AcquireMksTicket" => ticket::acquire_mks(inv, &vm),
        "ExportVm" => super::lease::export(inv, vm),
        "MarkAsTemplate" => template::mark(inv, &vm),
        "MarkAsVirtualMachine" => template::unmark(inv, &vm),
        "UnregisterVM" => remove::unregister(inv, &vm),
        "RefreshStorageInfo" => properties::refresh(inv.tx, &vm).and_then(|()| nothing()),
        "Reload" => nothing(),
        _ => return None,
    })
}
