//! Virtual disks without a machine.

use vim25::types::{FileBackedVirtualDiskSpec, VirtualDiskSpec};
use vim25::{Fault, Poly};

use crate::datastore::disk::{self, Disk};
use crate::datastore::path::DatastorePath;
use crate::fault;
use crate::invocation::{Answer, Invocation, nothing, value};
use crate::task;

pub(super) fn call(inv: &mut Invocation<'_, '_>) -> Option<Answer> {
    Some(match inv.request.method.as_str() {
        "CreateVirtualDisk_Task" => create(inv),
        "DeleteVirtualDisk_Task" => delete(inv),
        "ExtendVirtualDisk_Task" => extend(inv),
        "QueryVirtualDiskUuid" => uuid(inv),
        _ => return None,
    })
}

fn path(inv: &Invocation<'_, '_>) -> Result<DatastorePath, Fault> {
    let name: String = inv.arg("name")?;
    let path = inv.tx.core().store.parse(&name)?;
    if path.file_name().ends_with(".vmdk") {
        Ok(path)
    } else {
        Err(fault::invalid_datastore_path(&name))
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
            let uuid = tx.ids().uuid().to_string();
            let disk = Disk {
                bytes,
                parent: None,
                uuid,
                thin,
            };
            disk::create(&tx.core().store, &path, &disk)?;
            value(&path.to_string())
        },
    )
}

fn delete(inv: &mut Invocation<'_, '_>) -> Answer {
    let path = path(inv)?;
    let this = inv.this.clone();
    task::begin(
        inv,
        &this,
        "VirtualDiskManager.deleteVirtualDisk",
        move |tx| {
            disk::delete(&tx.core().store, &path)?;
            nothing()
        },
    )
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
            let store = &tx.core().store;
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
    let disk = disk::read(&inv.tx.core().store, &path)?;
    value(&disk.uuid)
}
