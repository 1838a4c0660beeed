//! Removes snapshots.

use std::collections::HashSet;
use std::sync::Arc;

use vim25::Fault;

use super::{SnapshotRef, Vm, config, consolidate, find, guest_disks, machine, redo_logs, set};
use crate::datastore::redo_log;
use crate::datastore::site::Site;
use crate::device;
use crate::guest::GuestDisk;
use crate::machine as machines;
use crate::model::virtual_machine::power;
use crate::shared::Shared;
use crate::snapshot::{self, Snapshot, Snapshots};
use crate::world::Transaction;

/// The snapshots to remove.
#[derive(Debug)]
pub(super) enum Which {
    All,
    One {
        snapshot: SnapshotRef,
        children: bool,
    },
}

impl Which {
    /// Returns the numbers of the snapshots, parents first.
    fn uids(&self, snapshots: &Snapshots) -> Result<Vec<i32>, Fault> {
        Ok(match self {
            Self::All => snapshots.iter().map(|snapshot| snapshot.uid).collect(),
            Self::One { snapshot, children } => {
                let uid = find(snapshots, snapshot)?;
                match children {
                    true => snapshots.with_descendants(uid),
                    false => vec![uid],
                }
            }
        })
    }
}

/// Removes snapshots and, if `merge` is set, merges their disks with those that continue them.
///
/// # Errors
/// If only the merge fails, the snapshots are removed, and `runtime.consolidationNeeded` is set.
pub(super) async fn remove(
    shared: &Arc<Shared>,
    vm: Vm,
    which: Which,
    merge: bool,
) -> Result<(), Fault> {
    let own = vm.clone();
    let gone = Transaction::run(shared, move |tx| remove_now(tx, &own, &which)).await?;
    super::forget(shared, &gone).await;
    if merge {
        consolidate::consolidate(shared, &vm).await?;
    }
    Ok(())
}

/// Removes snapshots from the tree, and deletes the disks that only they used.
fn remove_now(tx: &mut Transaction<'_>, vm: &Vm, which: &Which) -> Result<Vec<GuestDisk>, Fault> {
    let (object, machine) = machine(tx, vm)?;
    let site = machine.vmx.site();
    let mut snapshots = Snapshots::clone(&machine.snapshots);
    let uids = which.uids(&snapshots)?;
    let removed: Vec<Arc<Snapshot>> = uids
        .into_iter()
        .rev()
        .filter_map(|uid| snapshots.remove(uid))
        .collect();
    if removed.is_empty() {
        return Ok(Vec::new());
    }
    let kept: HashSet<&String> = snapshots
        .files()
        .chain(machine.chains.iter().flatten())
        .collect();
    let mut candidates: Vec<String> = Vec::new();
    for chain in removed.iter().flat_map(|snapshot| snapshot.chains()) {
        // The last of them is the base of the machine's disk, which is no redo log.
        for file in chain.iter().take(redo_logs(tx, site, chain) + 1) {
            if !kept.contains(file) && !candidates.contains(file) {
                candidates.push(file.clone());
            }
        }
    }
    drop(kept);
    snapshots.unmerged = consolidate::is_needed(tx, vm, &machine, &snapshots);
    let mut info = config(&object)?;
    set(tx, vm, snapshots)?;
    machines::store(tx, vm, &mut info, true)?;
    let store = &tx.shared().store;
    for snapshot in &removed {
        let _ = store.delete(&snapshot::state_file_name(&machine.vmx, snapshot.uid));
    }
    let doomed = destroy_unused(tx, vm, site, candidates);
    power::log(tx, vm, "RemoveSnapshot");
    Ok(guest_disks(tx.shared(), site, &doomed))
}

/// Deletes the disks that no other machine has and that are no parents, children before their
/// parents. Returns those that were deleted.
pub(in crate::model::virtual_machine) fn destroy_unused(
    tx: &Transaction<'_>,
    vm: &Vm,
    site: Site,
    mut candidates: Vec<String>,
) -> Vec<String> {
    let store = &tx.shared().store;
    let mut doomed = Vec::new();
    loop {
        let leaf = candidates.iter().position(|file| {
            let is_parent = store
                .parse(site, file)
                .is_ok_and(|path| redo_log::has_children(store, &path));
            !is_parent && !tx.is_used_by_others(site, file, vm)
        });
        let Some(leaf) = leaf else {
            return doomed;
        };
        let file = candidates.swap_remove(leaf);
        device::destroy_files(tx, site, std::slice::from_ref(&file));
        doomed.push(file);
    }
}
