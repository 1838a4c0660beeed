//! Clones machines by copying their configuration and by copying or continuing their disks.

mod instant;
mod plan;

pub(super) use instant::call as instant;

use std::sync::Arc;
use std::time::Duration;

use disk_image::Monitor;
use vim25::types::VirtualMachineCloneSpec;
use vim25::{Fault, Ref, mo};

use super::relocate;
use crate::fault;
use crate::guest;
use crate::invocation::{Answer, Invocation};
use crate::object::Retype;
use crate::shared::Shared;
use crate::task::{self, Progress};
use crate::world::Transaction;
use plan::{Plan, Source};

/// Disk move types that copy every disk as a whole, besides the default.
const FULL_COPY: [&str; 2] = [
    "moveAllDiskBackingsAndConsolidate",
    "moveAllDiskBackingsAndDisallowSharing",
];
/// The disk move type of linked clones.
const LINKED: &str = "createNewChildDiskBacking";
/// Disk move types that copy a disk, but not its parents, if the copy is on their datastore. The
/// second one allows it because the parents are already there.
const CHILD_MOST: [&str; 2] = [
    "moveChildMostDiskBacking",
    "moveAllDiskBackingsAndAllowSharing",
];
/// Time between two reports of the progress.
const PACE: Duration = Duration::from_millis(100);

/// Handles `CloneVM_Task`, which only a vCenter has.
pub(super) fn call(inv: &mut Invocation<'_, '_>, vm: Ref<mo::VirtualMachine>) -> Answer {
    let folder: Ref<mo::Folder> = inv.object_arg("folder")?;
    let name: String = inv.arg("name")?;
    let spec: VirtualMachineCloneSpec = inv.arg("spec")?;
    relocate::check(inv.tx, &spec.location)?;
    let types: Vec<String> = inv.tx.object(&folder)?.list("childType")?;
    if !types.iter().any(|ty| ty == "VirtualMachine") {
        return Err(fault::invalid_argument("folder"));
    }
    check_move_types(&spec)?;
    if spec.customization.is_some() {
        return Err(fault::not_supported());
    }
    if spec.template && spec.power_on {
        return Err(fault::invalid_argument("spec.powerOn"));
    }
    let entity = vm.retype();
    task::begin_cancelable(inv, &entity, task::CLONE, |shared, progress| async move {
        // The disks of a snapshot are complete: they are not written any more.
        if spec.snapshot.is_none() {
            guest::settle_machine(&shared, &vm).await?;
        }
        let source = Source {
            vm: vm.clone(),
            snapshot: spec.snapshot.clone(),
            is_frozen: false,
        };
        let request = (folder, name, spec);
        let plan = Transaction::run(&shared, move |tx| Plan::new(tx, source, request)).await?;
        let plan = Arc::new(plan);
        let made = finish(&shared, &plan, &progress).await;
        if made.is_err() {
            plan.undo(&shared);
        }
        made
    })
}

/// How a disk of the clone is created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// Its content and that of its parents are copied.
    Copy,
    /// Only its own content is copied.
    CopyChild,
    /// It is a child of the source's disk.
    Child,
}

impl Form {
    fn of(spec: &VirtualMachineCloneSpec, disk: i32) -> Self {
        let mut own = spec.location.disk.iter().filter(|own| own.disk_id == disk);
        let own = own.find_map(|disk| disk.disk_move_type.as_deref());
        match own.or(spec.location.disk_move_type.as_deref()) {
            Some(LINKED) => Self::Child,
            Some(ty) if CHILD_MOST.contains(&ty) => Self::CopyChild,
            _ => Self::Copy,
        }
    }
}

fn check_move_types(spec: &VirtualMachineCloneSpec) -> Result<(), Fault> {
    let own = spec.location.disk.iter().map(|disk| &disk.disk_move_type);
    for ty in own.chain([&spec.location.disk_move_type]).flatten() {
        // Only the disks of a snapshot are not written any more.
        if ty == LINKED && spec.snapshot.is_none() {
            return Err(fault::invalid_argument("spec.snapshot"));
        }
        let mut known = FULL_COPY.iter().chain(&CHILD_MOST).chain([&LINKED]);
        if !known.any(|known| known == ty) {
            return Err(fault::invalid_argument("spec.location.diskMoveType"));
        }
    }
    Ok(())
}

/// Creates the disks and adds the clone to the inventory.
async fn finish(shared: &Arc<Shared>, plan: &Arc<Plan>, progress: &Progress) -> Answer {
    let monitor = Arc::new(Monitor::new());
    // Cancels the copies when the simulator shuts down.
    let _stop = CancelOnDrop(Arc::clone(&monitor));
    let (own, todo, watched) = (Arc::clone(shared), Arc::clone(plan), Arc::clone(&monitor));
    let mut copying = tokio::task::spawn_blocking(move || todo.make_disks(&own.store, &watched));
    let copied = tokio::select! {
        copied = &mut copying => copied,
        () = report(plan, &monitor, progress) => copying.await,
        () = progress.cancelled() => {
            monitor.cancel();
            // The files can be deleted when nothing writes to them any more.
            let _ = copying.await;
            return Err(fault::canceled());
        }
    };
    copied.map_err(|_| fault::internal("copying a disk failed"))??;
    let plan = Arc::clone(plan);
    Transaction::run(shared, move |tx| plan.build(tx)).await
}

/// Reports the progress of the copies. Does not return.
async fn report(plan: &Plan, monitor: &Monitor, progress: &Progress) {
    let mut last = 0;
    loop {
        tokio::time::sleep(PACE).await;
        let percent = monitor.bytes().saturating_mul(95) / plan.bytes().max(1);
        let percent = i32::try_from(percent.min(95)).unwrap_or(95);
        if percent != last {
            last = percent;
            progress.set(percent);
        }
    }
}

/// Cancels copies when it is dropped.
pub(super) struct CancelOnDrop(pub(super) Arc<Monitor>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}
