//! Merges redo logs that no snapshot needs any more.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use disk_image::Monitor;
use vim25::{Fault, Poly};

use super::{Vm, config, guest_disks, machine, set};
use crate::datastore::path::DatastorePath;
use crate::datastore::redo_log;
use crate::device::{self, Devices, Kind};
use crate::fault;
use crate::guest;
use crate::machine::{self as machines, Machine};
use crate::shared::Shared;
use crate::snapshot::{self, Snapshots};
use crate::world::Transaction;

/// A redo log, and the parent to merge it into.
#[derive(Clone, Debug)]
struct Merge {
    child: DatastorePath,
    parent: DatastorePath,
}

/// Merges all redo logs of a machine that can be merged.
pub(super) async fn consolidate(shared: &Arc<Shared>, vm: &Vm) -> Result<(), Fault> {
    let mut is_settled = false;
    loop {
        let own = vm.clone();
        let next = Transaction::run(shared, move |tx| {
            let (_, machine) = machine(tx, &own)?;
            let next = next(tx, &own, &machine, &machine.snapshots);
            if next.is_none() && machine.snapshots.unmerged {
                let mut snapshots = Snapshots::clone(&machine.snapshots);
                snapshots.unmerged = false;
                set(tx, &own, snapshots)?;
            }
            Ok(next)
        });
        let Some(merge) = next.await? else {
            return Ok(());
        };
        if !is_settled {
            guest::settle_machine(shared, vm).await?;
            is_settled = true;
        }
        apply(shared, vm, merge).await?;
    }
}

/// Returns whether redo logs of a machine can be merged.
pub(super) fn is_needed(
    tx: &Transaction<'_>,
    vm: &Vm,
    machine: &Machine,
    snapshots: &Snapshots,
) -> bool {
    next(tx, vm, machine, snapshots).is_some()
}

/// Finds a redo log that can be merged: its parent belongs to no snapshot, and no other disk
/// continues the parent.
fn next(tx: &Transaction<'_>, vm: &Vm, machine: &Machine, snapshots: &Snapshots) -> Option<Merge> {
    let (chains, site) = (&machine.chains, machine.vmx.site());
    let store = &tx.shared().store;
    let frozen = || snapshots.iter().flat_map(|snapshot| snapshot.chains());
    let in_use: HashSet<&String> = chains
        .iter()
        .chain(frozen())
        .filter_map(|chain| chain.first())
        .collect();
    let mut children: HashMap<&String, HashSet<&String>> = HashMap::new();
    for chain in chains.iter().chain(frozen()) {
        for (child, parent) in chain.iter().zip(chain.iter().skip(1)) {
            children.entry(parent).or_default().insert(child);
        }
    }
    let mut found: Vec<(&String, &String)> = children
        .into_iter()
        .filter(|(parent, children)| !in_use.contains(parent) && children.len() == 1)
        .filter_map(|(parent, children)| Some((children.into_iter().next()?, parent)))
        .collect();
    found.sort_unstable();
    found.into_iter().find_map(|(child, parent)| {
        let merge = Merge {
            child: store.parse(site, child).ok()?,
            parent: store.parse(site, parent).ok()?,
        };
        let is_own = redo_log::continues(&merge.child, &merge.parent)
            && !tx.is_used_by_others(site, child, vm)
            && !tx.is_used_by_others(site, parent, vm);
        is_own.then_some(merge)
    })
}

/// Merges a redo log into its parent, and attaches the parent in place of the redo log.
async fn apply(shared: &Arc<Shared>, vm: &Vm, merge: Merge) -> Result<(), Fault> {
    let monitor = Arc::new(Monitor::new());
    // Cancels the merge when the simulator shuts down.
    let _stop = CancelOnDrop(Arc::clone(&monitor));
    let (own, todo) = (Arc::clone(shared), merge.clone());
    let merging =
        tokio::task::spawn_blocking(move || redo_log::merge(&own.store, &todo.child, &monitor));
    merging
        .await
        .map_err(|_| fault::internal("merging a disk failed"))??;
    let (vm, done) = (vm.clone(), merge.clone());
    Transaction::run(shared, move |tx| replace(tx, &vm, &done)).await?;
    let files = [merge.child.to_string(), merge.parent.to_string()];
    super::forget(shared, &guest_disks(shared, merge.child.site(), &files)).await;
    Ok(())
}

struct CancelOnDrop(Arc<Monitor>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// Replaces a merged redo log by its parent in the chains of all disks, and deletes it.
fn replace(tx: &mut Transaction<'_>, vm: &Vm, merge: &Merge) -> Result<(), Fault> {
    let (object, machine) = machine(tx, vm)?;
    let store = &tx.shared().store;
    let old = merge.child.to_string();
    let mut snapshots = Snapshots::clone(&machine.snapshots);
    let frozen = snapshots.iter().flat_map(|snapshot| snapshot.chains());
    let mut followers: Vec<&String> = Vec::new();
    for chain in machine.chains.iter().chain(frozen) {
        let mut pairs = chain.iter().zip(chain.iter().skip(1));
        followers.extend(pairs.find_map(|(child, parent)| (*parent == old).then_some(child)));
    }
    followers.sort_unstable();
    followers.dedup();
    for follower in followers {
        let follower = store.parse(merge.child.site(), follower)?;
        let hint = device::hint(&follower, &merge.parent);
        redo_log::set_parent(store, &follower, &merge.parent, &hint)?;
    }
    let mut info = config(&object)?;
    reattach(tx, &mut info.hardware.device, &old, &merge.parent)?;
    for snapshot in machine.snapshots.iter() {
        if !snapshot.chains().iter().flatten().any(|file| *file == old) {
            continue;
        }
        let mut config = snapshot.config.clone();
        reattach(tx, &mut config.hardware.device, &old, &merge.parent)?;
        snapshots.edit(snapshot.uid, |snapshot| snapshot.set_config(config));
        if let Some(changed) = snapshots.get(snapshot.uid) {
            snapshot::write_state(store, &machine.vmx, changed)?;
        }
    }
    set(tx, vm, snapshots)?;
    machines::store(tx, vm, &mut info, true)?;
    device::destroy_files(tx, merge.child.site(), &[old]);
    Ok(())
}

/// Attaches the disks whose chains contain a redo log to its parent instead.
fn reattach(
    tx: &Transaction<'_>,
    devices: &mut Devices,
    old: &str,
    parent: &DatastorePath,
) -> Result<(), Fault> {
    let is_disk = |device: &&mut Poly<_>| Kind::of(device) == Kind::Disk;
    for disk in devices.iter_mut().filter(is_disk) {
        let chain = device::chain(disk);
        match chain.iter().position(|file| file == old) {
            None => {}
            Some(0) => device::attach(tx, disk, parent)?,
            Some(_) => {
                let own = chain.first().map_or("", String::as_str);
                device::attach(tx, disk, &tx.shared().store.parse(parent.site(), own)?)?;
            }
        }
    }
    Ok(())
}
