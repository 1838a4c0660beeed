//! Operations on virtual disks that need no machine: creating, copying, moving, deleting.

use std::sync::Arc;

use disk_image::Monitor;
use vim25::internal::types::{VirtualDiskInfo, VirtualDiskInfoUnit};
use vim25::types::{FileBackedVirtualDiskSpec, VirtualDiskSpec};
use vim25::{Fault, Poly};

use super::{disk_upkeep, file_argument};
use crate::datastore::disk::{self, New};
use crate::datastore::path::DatastorePath;
use crate::device;
use crate::fault;
use crate::guest;
use crate::invocation::{Answer, Invocation, nothing, value};
use crate::shared::Shared;
use crate::task;
use crate::world::Transaction;

pub(super) fn call(inv: &mut Invocation<'_, '_>) -> Option<Answer> {
    Some(match inv.request.method.as_str() {
        "CreateVirtualDisk_Task" => create(inv),
        "DeleteVirtualDisk_Task" => delete(inv),
        "ExtendVirtualDisk_Task" => extend(inv),
        "CopyVirtualDisk_Task" => copy(inv),
        "MoveVirtualDisk_Task" => rename(inv),
        "QueryVirtualDiskUuid" => uuid(inv),
        "QueryVirtualDiskInfo_Task" => info(inv),
        "CreateChildDisk_Task" => create_child(inv),
        _ => return disk_upkeep::call(inv),
    })
}

/// Returns the disk that the arguments `name` and `datacenter` refer to.
pub(super) fn path(inv: &Invocation<'_, '_>) -> Result<DatastorePath, Fault> {
    checked(file_argument::path(inv, "name", "datacenter")?)
}

/// Checks that a path is that of a disk.
fn checked(path: DatastorePath) -> Result<DatastorePath, Fault> {
    if path.file_name().ends_with(".vmdk") {
        Ok(path)
    } else {
        Err(fault::invalid_datastore_path(&path.to_string()))
    }
}

/// Returns the properties of a new disk, with generated ids.
fn new(tx: &mut Transaction<'_>, thin: bool) -> New {
    New {
        uuid: tx.ids().uuid().to_string(),
        thin,
        cid: tx.ids().cid(),
    }
}

fn create(inv: &mut Invocation<'_, '_>) -> Answer {
    let path = path(inv)?;
    let spec: Poly<VirtualDiskSpec> = inv.arg("spec")?;
    let malformed = |_| fault::invalid_argument("spec");
    let backed = spec
        .base::<FileBackedVirtualDiskSpec>()
        .map_err(malformed)?;
    let backed = backed.ok_or_else(|| fault::invalid_argument("spec"))?;
    let bytes = u64::try_from(backed.capacity_kb)
        .unwrap_or(0)
        .saturating_mul(1_024);
    if bytes == 0 {
        return Err(fault::invalid_argument("spec.capacityKb"));
    }
    let thin = backed.disk_type == "thin";
    let this = inv.this.clone();
    task::begin(
        inv,
        &this,
        "VirtualDiskManager.createVirtualDisk",
        move |tx| {
            let new = new(tx, thin);
            disk::create(&tx.shared().store, &path, bytes, &new)?;
            value(&path.to_string())
        },
    )
}

fn delete(inv: &mut Invocation<'_, '_>) -> Answer {
    let path = path(inv)?;
    let this = inv.this.clone();
    let description = "VirtualDiskManager.deleteVirtualDisk";
    task::begin_long(inv, &this, description, |shared| async move {
        let doomed = path.clone();
        Transaction::run(&shared, move |tx| {
            guest::check_unlocked(tx, &doomed)?;
            let shared = tx.shared();
            let honours = shared.settings.platform.destroy_honours_ddb_deletable;
            if honours && !disk::read(&shared.store, &doomed)?.deletable {
                return Err(fault::cannot_delete(&doomed.to_string()));
            }
            disk::delete(&shared.store, &doomed)
        })
        .await?;
        guest::forget_file(&shared, &path).await;
        nothing()
    })
}

/// Returns the source, the destination, and whether to overwrite.
fn ends(inv: &Invocation<'_, '_>) -> Result<(DatastorePath, DatastorePath, bool), Fault> {
    let force: Option<bool> = inv.arg("force")?;
    let (from, to) = file_argument::ends(
        inv,
        ("sourceName", "sourceDatacenter"),
        ("destName", "destDatacenter"),
    )?;
    Ok((checked(from)?, checked(to)?, force.unwrap_or(false)))
}

/// Deletes an existing destination if `force` is set.
async fn clear(shared: &Arc<Shared>, to: &DatastorePath, force: bool) -> Result<(), Fault> {
    if !shared.store.exists(to) {
        return Ok(());
    }
    if !force {
        return Err(fault::file_exists(&to.to_string()));
    }
    let doomed = to.clone();
    Transaction::run(shared, move |tx| {
        guest::check_unlocked(tx, &doomed)?;
        disk::delete(&tx.shared().store, &doomed)
    })
    .await?;
    guest::forget_file(shared, to).await;
    Ok(())
}

/// Copies a disk; the copy has no parent.
fn copy(inv: &mut Invocation<'_, '_>) -> Answer {
    let (from, to, force) = ends(inv)?;
    let thin = match disk::read(&inv.tx.shared().store, &from) {
        Ok(disk) => disk.thin,
        Err(fault) => return Err(fault),
    };
    let new = new(inv.tx, thin);
    let this = inv.this.clone();
    let description = "VirtualDiskManager.copyVirtualDisk";
    task::begin_long(inv, &this, description, move |shared| async move {
        guest::flush_file(&shared, &from).await?;
        clear(&shared, &to, force).await?;
        let monitor = Arc::new(Monitor::new());
        // Cancels the copy when the simulator shuts down.
        let _stop = CancelOnDrop(Arc::clone(&monitor));
        let name = to.to_string();
        let copying = tokio::task::spawn_blocking(move || {
            disk::copy(&shared.store, &from, &to, &new, &monitor)
        });
        copying
            .await
            .map_err(|_| fault::internal("copying a disk failed"))??;
        value(&name)
    })
}

struct CancelOnDrop(Arc<Monitor>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

fn rename(inv: &mut Invocation<'_, '_>) -> Answer {
    let (from, to, force) = ends(inv)?;
    let this = inv.this.clone();
    let description = "VirtualDiskManager.moveVirtualDisk";
    task::begin_long(inv, &this, description, move |shared| async move {
        guest::flush_file(&shared, &from).await?;
        clear(&shared, &to, force).await?;
        if !from.is_near(&to) {
            return carry(&shared, from, to).await;
        }
        let (source, name) = (from.clone(), to.to_string());
        Transaction::run(&shared, move |tx| {
            guest::check_unlocked(tx, &from)?;
            disk::rename(&tx.shared().store, &from, &to)
        })
        .await?;
        guest::forget_file(&shared, &source).await;
        value(&name)
    })
}

/// Moves a disk to another datastore. Like a copy, it has no parent there.
async fn carry(shared: &Arc<Shared>, from: DatastorePath, to: DatastorePath) -> Answer {
    let monitor = Arc::new(Monitor::new());
    let _stop = CancelOnDrop(Arc::clone(&monitor));
    let (own, name) = (Arc::clone(shared), to.to_string());
    let (source, target) = (from.clone(), to.clone());
    let disk = Transaction::run(shared, move |tx| {
        guest::check_unlocked(tx, &source)?;
        let disk = disk::read(&tx.shared().store, &source)?;
        let new = New {
            uuid: disk.uuid,
            thin: disk.thin,
            cid: tx.ids().cid(),
        };
        Ok((source, new))
    });
    let (source, new) = disk.await?;
    let copying = tokio::task::spawn_blocking(move || {
        disk::copy(&own.store, &source, &target, &new, &monitor)
    });
    copying
        .await
        .map_err(|_| fault::internal("copying a disk failed"))??;
    let doomed = from.clone();
    let removed = Transaction::run(shared, move |tx| {
        guest::check_unlocked(tx, &doomed)?;
        disk::delete(&tx.shared().store, &doomed)
    });
    if let Err(fault) = removed.await {
        let _ = disk::delete(&shared.store, &to);
        return Err(fault);
    }
    guest::forget_file(shared, &from).await;
    value(&name)
}

fn extend(inv: &mut Invocation<'_, '_>) -> Answer {
    let path = path(inv)?;
    let new: i64 = inv.arg("newCapacityKb")?;
    let bytes = u64::try_from(new).unwrap_or(0).saturating_mul(1_024);
    let this = inv.this.clone();
    task::begin(
        inv,
        &this,
        "VirtualDiskManager.extendVirtualDisk",
        move |tx| {
            let store = &tx.shared().store;
            if bytes < disk::read(store, &path)?.bytes {
                return Err(fault::invalid_argument("newCapacityKb"));
            }
            disk::extend(store, &path, bytes)?;
            nothing()
        },
    )
}

fn uuid(inv: &mut Invocation<'_, '_>) -> Answer {
    let path = path(inv)?;
    let disk = disk::read(&inv.tx.shared().store, &path)?;
    value(&disk.uuid)
}

/// Describes a disk and, on request, its parents.
fn info(inv: &mut Invocation<'_, '_>) -> Answer {
    let path = path(inv)?;
    let parents: bool = inv.arg("includeParents")?;
    let this = inv.this.clone();
    let description = "VirtualDiskManager.queryVirtualDiskInfo";
    task::begin(inv, &this, description, move |tx| {
        let store = &tx.shared().store;
        let chain = device::chain_of(store, &path)?;
        let mut infos = Vec::new();
        for (at, path) in chain.iter().enumerate() {
            let kind = match (chain.get(at + 1), disk::read(store, path)?.thin) {
                (Some(_), _) => "delta",
                (None, true) => "thin",
                (None, false) => "preallocated",
            };
            infos.push(VirtualDiskInfo {
                unit: Some(Box::new(VirtualDiskInfoUnit {
                    name: path.to_string(),
                })),
                disk_type: kind.into(),
                parent: chain.get(at + 1).map(ToString::to_string),
            });
        }
        infos.truncate(if parents { usize::MAX } else { 1 });
        value(&infos)
    })
}

/// Creates a disk that continues the content of another one.
fn create_child(inv: &mut Invocation<'_, '_>) -> Answer {
    // Without a datacenter, the parent is in that of the child.
    let (child, parent) = file_argument::ends(
        inv,
        ("childName", "childDatacenter"),
        ("parentName", "parentDatacenter"),
    )?;
    let (child, parent) = (checked(child)?, checked(parent)?);
    let this = inv.this.clone();
    let description = "VirtualDiskManager.createChildDisk";
    task::begin_long(inv, &this, description, move |shared| async move {
        guest::flush_file(&shared, &parent).await?;
        Transaction::run(&shared, move |tx| {
            let new = new(tx, true);
            let hint = device::hint(&child, &parent);
            disk::create_child(&tx.shared().store, &child, &parent, &hint, &new)
        })
        .await?;
        nothing()
    })
}
