//! The methods of `VirtualDiskManager` that describe disks and keep them in shape.
//!
//! The files of the simulator are sparse whatever the type of a disk, so there is nothing to defragment,
//! and no space to be won by shrinking.

use vim25::Fault;
use vim25::types::HostDiskDimensionsChs;

use crate::datastore::disk;
use crate::datastore::path::DatastorePath;
use crate::fault;
use crate::guest;
use crate::invocation::{Answer, Invocation, nothing, value};
use crate::model::virtual_disk_manager::path;
use crate::task;
use crate::world::Transaction;

/// Work on the files of a disk that no running machine uses.
type Work = fn(&Transaction<'_>, &DatastorePath) -> Result<(), Fault>;

pub(super) fn call(inv: &mut Invocation<'_, '_>) -> Option<Answer> {
    Some(match inv.request.method.as_str() {
        "SetVirtualDiskUuid" => set_uuid(inv),
        "QueryVirtualDiskGeometry" => geometry(inv),
        "QueryVirtualDiskFragmentation" => fragmentation(inv),
        "ZeroFillVirtualDisk_Task" => work(inv, "zeroFillVirtualDisk", |tx, path| {
            disk::zero(&tx.shared().store, path)
        }),
        // The blocks that nobody has written are zero in any case.
        "InflateVirtualDisk_Task" => work(inv, "inflateVirtualDisk", thicken),
        "EagerZeroVirtualDisk_Task" => work(inv, "eagerZeroVirtualDisk", thicken),
        "DefragmentVirtualDisk_Task" => work(inv, "defragmentVirtualDisk", exists),
        "ShrinkVirtualDisk_Task" => work(inv, "shrinkVirtualDisk", exists),
        _ => return None,
    })
}

fn work(inv: &mut Invocation<'_, '_>, name: &str, work: Work) -> Answer {
    let path = path(inv)?;
    let this = inv.this.clone();
    task::begin(
        inv,
        &this,
        &format!("VirtualDiskManager.{name}"),
        move |tx| {
            guest::check_unlocked(tx, &path)?;
            work(tx, &path)?;
            nothing()
        },
    )
}

fn thicken(tx: &Transaction<'_>, path: &DatastorePath) -> Result<(), Fault> {
    disk::inflate(&tx.shared().store, path)
}

fn exists(tx: &Transaction<'_>, path: &DatastorePath) -> Result<(), Fault> {
    disk::read(&tx.shared().store, path).map(drop)
}

fn set_uuid(inv: &mut Invocation<'_, '_>) -> Answer {
    let path = path(inv)?;
    let uuid: String = inv.arg("uuid")?;
    let digits = uuid.chars().filter(char::is_ascii_hexdigit).count();
    let is_separator = |c: char| c == ' ' || c == '-';
    let is_valid = |c: char| c.is_ascii_hexdigit() || is_separator(c);
    if digits != 32 || uuid.len() > 64 || !uuid.chars().all(is_valid) {
        return Err(fault::invalid_argument("uuid"));
    }
    guest::check_unlocked(inv.tx, &path)?;
    disk::set_uuid(&inv.tx.shared().store, &path, &uuid)?;
    nothing()
}

fn geometry(inv: &mut Invocation<'_, '_>) -> Answer {
    let path = path(inv)?;
    let [cylinders, heads, sectors] = disk::geometry(&inv.tx.shared().store, &path)?;
    let int = |number: u64| i32::try_from(number).unwrap_or(i32::MAX);
    value(&HostDiskDimensionsChs {
        cylinder: i64::try_from(cylinders).unwrap_or(i64::MAX),
        head: int(heads),
        sector: int(sectors),
    })
}

fn fragmentation(inv: &mut Invocation<'_, '_>) -> Answer {
    let path = path(inv)?;
    exists(inv.tx, &path)?;
    value(&0i32)
}
