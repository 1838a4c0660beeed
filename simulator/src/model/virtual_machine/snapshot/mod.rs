//! Snapshots of machines.
//!
//! A snapshot keeps the files of the machine's disks as they are; the machine continues them in
//! redo logs. When a snapshot is removed, its disks are merged with the redo logs that continue
//! them.

mod consolidate;
mod remove;
mod revert;
mod show;
mod take;

pub(super) use remove::destroy_unused;
pub(super) use show::{hide, load};
pub(super) use take::freeze;

use std::sync::Arc;

use vim25::types::{VirtualMachineConfigInfo, VirtualMachineGuestQuiesceSpec};
use vim25::{Fault, Poly, Ref, mo};

use crate::datastore::redo_log;
use crate::datastore::site::Site;
use crate::fault;
use crate::guest::GuestDisk;
use crate::invocation::{Answer, Invocation, nothing};
use crate::machine::Machine;
use crate::model::host_connection;
use crate::object::{Object, Retype};
use crate::shared::Shared;
use crate::snapshot::{self, Snapshots};
use crate::task;
use crate::world::Transaction;
use remove::Which;
use revert::Target;
use take::Request;

type Vm = Ref<mo::VirtualMachine>;
type SnapshotRef = Ref<mo::VirtualMachineSnapshot>;

/// Carries out a method of a snapshot.
pub(in crate::model) fn call(inv: &mut Invocation<'_, '_>) -> Option<Answer> {
    let snapshot: SnapshotRef = inv.this.retype();
    let vm = inv.this().and_then(|object| object.read::<Vm>("vm"));
    let vm = match vm.and_then(|vm| host_connection::check(inv.tx, &vm).map(|()| vm)) {
        Ok(vm) => vm,
        Err(fault) => return Some(Err(fault)),
    };
    Some(match inv.request.method.as_str() {
        "RemoveSnapshot_Task" => remove(inv, vm, snapshot),
        "RevertToSnapshot_Task" => {
            let description = "vm.Snapshot.revert";
            revert(inv, vm, Target::Snapshot(snapshot), description)
        }
        "RenameSnapshot" => rename(inv, &vm, &snapshot),
        _ => return None,
    })
}

/// Handles `CreateSnapshot_Task` and `CreateSnapshotEx_Task`.
pub(super) fn create(inv: &mut Invocation<'_, '_>, vm: Vm) -> Answer {
    let is_ex = inv.request.method == "CreateSnapshotEx_Task";
    let quiesce = if is_ex {
        let spec: Option<Poly<VirtualMachineGuestQuiesceSpec>> = inv.arg("quiesceSpec")?;
        spec.is_some()
    } else {
        inv.arg("quiesce")?
    };
    let description: Option<String> = inv.arg("description")?;
    let request = Request {
        name: checked_name(inv.arg("name")?)?,
        description: description.unwrap_or_default(),
        memory: inv.arg("memory")?,
        quiesce,
    };
    let entity = vm.retype();
    task::begin_long(
        inv,
        &entity,
        "VirtualMachine.createSnapshot",
        |shared| async move { take::take(&shared, vm, request).await },
    )
}

fn checked_name(name: String) -> Result<String, Fault> {
    if name.is_empty() {
        return Err(fault::invalid_name(&name));
    }
    Ok(name)
}

/// Handles `RevertToCurrentSnapshot_Task`.
pub(super) fn revert_to_current(inv: &mut Invocation<'_, '_>, vm: Vm) -> Answer {
    let description = "VirtualMachine.revertToCurrentSnapshot";
    revert(inv, vm, Target::Current, description)
}

fn revert(inv: &mut Invocation<'_, '_>, vm: Vm, to: Target, description: &str) -> Answer {
    let host: Option<Ref<mo::HostSystem>> = inv.arg("host")?;
    let suppress: Option<bool> = inv.arg("suppressPowerOn")?;
    if let Some(host) = &host {
        // The machine stays on its host; the argument is a choice for clusters.
        inv.tx.object(host)?;
    }
    let entity = vm.retype();
    task::begin_long(inv, &entity, description, move |shared| async move {
        revert::revert(&shared, vm, to, suppress.unwrap_or(false)).await?;
        nothing()
    })
}

fn remove(inv: &mut Invocation<'_, '_>, vm: Vm, snapshot: SnapshotRef) -> Answer {
    let which = Which::One {
        snapshot,
        children: inv.arg("removeChildren")?,
    };
    remove_these(inv, vm, which, "vm.Snapshot.remove")
}

/// Handles `RemoveAllSnapshots_Task`.
pub(super) fn remove_all(inv: &mut Invocation<'_, '_>, vm: Vm) -> Answer {
    let spec: Option<vim25::types::SnapshotSelectionSpec> = inv.arg("spec")?;
    if spec.is_some_and(|spec| spec.retention_days.is_some()) {
        return Err(fault::not_supported());
    }
    remove_these(inv, vm, Which::All, "VirtualMachine.removeAllSnapshots")
}

fn remove_these(inv: &mut Invocation<'_, '_>, vm: Vm, which: Which, description: &str) -> Answer {
    let merge: Option<bool> = inv.arg("consolidate")?;
    let entity = vm.retype();
    task::begin_long(inv, &entity, description, move |shared| async move {
        remove::remove(&shared, vm, which, merge.unwrap_or(true)).await?;
        nothing()
    })
}

/// Handles `ConsolidateVMDisks_Task`.
pub(super) fn consolidate(inv: &mut Invocation<'_, '_>, vm: Vm) -> Answer {
    let entity = vm.retype();
    task::begin_long(
        inv,
        &entity,
        "VirtualMachine.consolidateDisks",
        |shared| async move {
            consolidate::consolidate(&shared, &vm).await?;
            nothing()
        },
    )
}

fn rename(inv: &mut Invocation<'_, '_>, vm: &Vm, snapshot: &SnapshotRef) -> Answer {
    let name: Option<String> = inv.arg("name")?;
    let description: Option<String> = inv.arg("description")?;
    let name = name.map(checked_name).transpose()?;
    let (_, machine) = machine(inv.tx, vm)?;
    let mut snapshots = Snapshots::clone(&machine.snapshots);
    let uid = find(&snapshots, snapshot)?;
    snapshots.edit(uid, |snapshot| {
        snapshot.name = name.unwrap_or_else(|| snapshot.name.clone());
        snapshot.description = description.unwrap_or_else(|| snapshot.description.clone());
    });
    set(inv.tx, vm, snapshots)?;
    nothing()
}

fn machine(tx: &Transaction<'_>, vm: &Vm) -> Result<(Arc<Object>, Arc<Machine>), Fault> {
    let object = Arc::clone(tx.object(vm)?);
    let machine = Arc::clone(Machine::of(&object)?);
    Ok((object, machine))
}

/// Returns the number of a snapshot.
fn find(snapshots: &Snapshots, reference: &SnapshotRef) -> Result<i32, Fault> {
    let found = snapshots.find(reference).map(|snapshot| snapshot.uid);
    found.ok_or_else(|| fault::not_found(&reference.retype()))
}

/// Replaces the snapshots of a machine: in its list of snapshots, in its properties and those of
/// the snapshots.
fn set(tx: &mut Transaction<'_>, vm: &Vm, snapshots: Snapshots) -> Result<(), Fault> {
    let (_, machine) = machine(tx, vm)?;
    snapshot::write_list(&tx.shared().store, &machine.vmx, &snapshots)?;
    Machine::edit(tx.edit(vm)?)?.snapshots = Arc::new(snapshots);
    show::show(tx, vm, &machine.snapshots)
}

/// Returns the configuration of a machine.
fn config(object: &Object) -> Result<VirtualMachineConfigInfo, Fault> {
    object.read("config")
}

/// Describes disks in a datacenter to the guest by the names of their files.
pub(super) fn guest_disks(shared: &Shared, site: Site, files: &[String]) -> Vec<GuestDisk> {
    let paths = files
        .iter()
        .filter_map(|file| shared.store.parse(site, file).ok());
    paths
        .map(|path| GuestDisk::new(vec![shared.store.location(&path)], 0))
        .collect()
}

/// Makes the guest forget disks whose files were deleted.
async fn forget(shared: &Shared, disks: &[GuestDisk]) {
    for disk in disks {
        shared.guest.forget(disk).await;
    }
}

/// Returns the number of redo logs at the start of a chain.
pub(super) fn redo_logs(tx: &Transaction<'_>, site: Site, chain: &[String]) -> usize {
    let store = &tx.shared().store;
    let pairs = chain.iter().zip(chain.iter().skip(1));
    let continues = |(child, parent): &(&String, &String)| {
        let paths = store
            .parse(site, child)
            .ok()
            .zip(store.parse(site, parent).ok());
        paths.is_some_and(|(child, parent)| redo_log::continues(&child, &parent))
    };
    pairs.take_while(continues).count()
}
