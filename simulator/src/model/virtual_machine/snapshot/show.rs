//! The properties that show snapshots, and snapshots that are read from files.

use std::sync::Arc;

use vim25::types::VirtualMachineSnapshotInfo;
use vim25::{Fault, Ref};

use super::{SnapshotRef, Vm, machine};
use crate::machine::{Machine, properties};
use crate::model::virtual_machine::create;
use crate::object::Object;
use crate::snapshot::{self, Snapshots};
use crate::world::Transaction;

/// Returns the reference of a new snapshot: on a host, it consists of the references of the
/// machine and the snapshot's number.
pub(super) fn reference(tx: &mut Transaction<'_>, vm: &Vm, uid: i32) -> SnapshotRef {
    if tx.layout().is_vcenter {
        Ref::new(&format!("snapshot-{}", tx.ids().number()))
    } else {
        Ref::new(&format!("{}-snapshot-{uid}", vm.value()))
    }
}

/// Updates the objects of a machine's snapshots, and the machine's properties. `before` are the
/// snapshots that were shown last.
pub(super) fn show(tx: &mut Transaction<'_>, vm: &Vm, before: &Snapshots) -> Result<(), Fault> {
    let (_, machine) = machine(tx, vm)?;
    let snapshots = &machine.snapshots;
    for old in before.iter() {
        if snapshots.get(old.uid).is_none() {
            tx.remove(&old.reference);
        }
    }
    for snapshot in snapshots.iter() {
        let children = snapshots.children(Some(snapshot.uid));
        let mut object = match tx.object(&snapshot.reference) {
            Ok(object) => Object::clone(object),
            Err(_) => Object::new::<vim25::mo::VirtualMachineSnapshot>(snapshot.reference.value()),
        };
        object.put("config", &snapshot.config);
        object.put("childSnapshot", &children);
        object.put("vm", vm);
        tx.insert(object);
    }
    let info = VirtualMachineSnapshotInfo {
        current_snapshot: snapshots.current().map(|one| one.reference.clone()),
        root_snapshot_list: snapshots.trees(vm),
    };
    let object = tx.edit(vm)?;
    if snapshots.is_empty() {
        object.clear("snapshot");
    } else {
        object.put("snapshot", &info);
    }
    object.put("rootSnapshot", &snapshots.children(None));
    properties::refresh(tx, vm)
}

/// Removes the objects of a machine's snapshots.
pub(in crate::model::virtual_machine) fn hide(tx: &mut Transaction<'_>, snapshots: &Snapshots) {
    for snapshot in snapshots.iter() {
        tx.remove(&snapshot.reference);
    }
}

/// Reads the snapshots of a machine that was registered.
pub(in crate::model::virtual_machine) fn load(
    tx: &mut Transaction<'_>,
    vm: &Vm,
) -> Result<(), Fault> {
    let (object, machine) = machine(tx, vm)?;
    let Some(stored) = snapshot::load(&tx.shared().store, &machine.vmx) else {
        return Ok(());
    };
    let mut snapshots = Snapshots::stored(stored.last, stored.current, stored.unmerged);
    for one in stored.snapshots {
        let described = create::described(tx, &one.config, &machine.vmx, object.name());
        let (info, extra) = match described {
            Ok(described) => described,
            Err(fault) => {
                tracing::warn!(%vm, uid = one.uid, %fault, "a snapshot is skipped");
                continue;
            }
        };
        let reference = reference(tx, vm, one.uid);
        snapshots.restore(one, reference, info, extra);
    }
    let before = Arc::clone(&machine.snapshots);
    Machine::edit(tx.edit(vm)?)?.snapshots = Arc::new(snapshots);
    show(tx, vm, &before)
}
