//! Locks on disks, and the calls of [`Guest::flush`](super::Guest::flush) and [`Guest::forget`](super::Guest::forget).

use std::io;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use vim25::types::VirtualMachineConfigInfo;
use vim25::{Fault, Ref, mo};

use super::{DiskMode, GuestDisk};
use crate::datastore::disk;
use crate::datastore::path::DatastorePath;
use crate::datastore::site::Site;
use crate::device::{self, Kind};
use crate::fault;
use crate::machine::Machine;
use crate::object::Object;
use crate::shared::Shared;
use crate::world::Transaction;

/// A disk, and a token that is cancelled when the last guest that used it has ended.
#[derive(Debug)]
struct Held {
    disk: GuestDisk,
    ended: Option<CancellationToken>,
}

impl Held {
    async fn free(&self) {
        if let Some(ended) = &self.ended {
            ended.cancelled().await;
        }
    }
}

/// Flushes all disks of a machine, which must be off.
pub(crate) async fn flush_machine(
    shared: &Arc<Shared>,
    vm: &Ref<mo::VirtualMachine>,
) -> Result<(), Fault> {
    let vm = vm.clone();
    let held = Transaction::run(shared, move |tx| {
        let object = tx.object(&vm)?;
        if Machine::of(object)?.cycle.is_some() {
            return Err(fault::invalid_state());
        }
        disks(tx.shared(), object)
    });
    for held in held.await? {
        flush(shared, held).await?;
    }
    Ok(())
}

/// Makes the files of a machine's disks complete: flushes the disks of a machine that is off, and
/// asks the guest of a machine that is on to release them. Returns the number of the power cycle
/// of a machine that is on; a caller should check that it has not changed.
///
/// # Errors
/// The guest did not write a disk, or does not release it.
pub(crate) async fn settle_machine(
    shared: &Arc<Shared>,
    vm: &Ref<mo::VirtualMachine>,
) -> Result<Option<u64>, Fault> {
    let own = vm.clone();
    let found = Transaction::run(shared, move |tx| {
        let object = tx.object(&own)?;
        let cycle = Machine::of(object)?.cycle.as_ref();
        let number = cycle.map(|cycle| cycle.number);
        Ok((number, disks(tx.shared(), object)?))
    });
    let (cycle, held) = found.await?;
    for held in held {
        if cycle.is_none() {
            flush(shared, held).await?;
        } else if held.disk.mode == DiskMode::Persistent {
            release(shared, &held.disk).await?;
        }
    }
    Ok(cycle)
}

async fn release(shared: &Shared, disk: &GuestDisk) -> Result<(), Fault> {
    let released = match write_out(shared, disk) {
        Ok(()) => shared.guest.release(disk).await,
        Err(error) => Err(error),
    };
    released.map_err(|error| {
        let file = shared.store.name_of(&disk.chain);
        tracing::debug!(file, %error, "a guest does not release its disk");
        fault::snapshot(&format!("the guest does not release the disk {file}"))
    })
}

/// Flushes the disk that a file of the datastore belongs to. A no-op for other files.
///
/// # Errors
/// The disk is locked by a machine that is on, or the guest failed to write it.
pub(crate) async fn flush_file(shared: &Arc<Shared>, file: &DatastorePath) -> Result<(), Fault> {
    let Some(path) = disk::descriptor_of(file) else {
        return Ok(());
    };
    let found = Transaction::run(shared, move |tx| {
        Ok(match owner(tx, &path) {
            Some(object) if Machine::of(object)?.cycle.is_some() => {
                if writes(tx, Machine::of(object)?, &path.to_string()) {
                    return Err(fault::file_locked(&path.to_string()));
                }
                // The disk's files stay as they are.
                None
            }
            Some(object) => core_disk(tx.shared(), object, &path)?,
            None => loose(tx.shared(), &path).map(|disk| Held { disk, ended: None }),
        })
    });
    match found.await? {
        Some(held) => flush(shared, held).await,
        None => Ok(()),
    }
}

/// Flushes disks in a datacenter that are about to become parents.
pub(crate) async fn flush_parents(
    shared: &Arc<Shared>,
    site: Site,
    names: &[String],
) -> Result<(), Fault> {
    for name in names.iter().filter(|name| !name.is_empty()) {
        flush_file(shared, &shared.store.parse(site, name)?).await?;
    }
    Ok(())
}

/// Returns the machine that has a disk attached, preferring one that is on.
fn owner<'t>(tx: &'t Transaction<'_>, path: &DatastorePath) -> Option<&'t Object> {
    let name = path.to_string();
    let mut found = None;
    for (object, machine) in tx.disk_owners(path.site(), &name) {
        found = Some(&**object);
        if machine.cycle.is_some() {
            break;
        }
    }
    found
}

/// Checks that a file may be written or deleted: no machine that is on uses
/// its disk, not even as a parent.
pub(crate) fn check_unlocked(tx: &Transaction<'_>, file: &DatastorePath) -> Result<(), Fault> {
    let Some(path) = disk::descriptor_of(file) else {
        return Ok(());
    };
    let name = path.to_string();
    if tx.running_with_disk(path.site(), &name).next().is_some() {
        return Err(fault::file_locked(&name));
    }
    Ok(())
}

/// Returns whether a machine writes a disk while it is on.
fn writes(tx: &Transaction<'_>, machine: &Machine, file: &str) -> bool {
    let mut own = machine.chains.iter().filter_map(|chain| chain.first());
    let are_shared = tx.shared().settings.platform.nonpersistent_disks_are_shared;
    let is_discarded = || machine.nonpersistent.iter().any(|disk| disk == file);
    own.any(|own| own == file) && !(are_shared && is_discarded())
}

/// Checks that a machine can lock its disks for writing and their parents for reading.
pub(crate) fn check_free(tx: &Transaction<'_>, machine: &Machine) -> Result<(), Fault> {
    let site = machine.vmx.site();
    for chain in &machine.chains {
        for file in chain {
            // A disk may have one writer, or any number of readers.
            let is_on = || tx.running_with_disk(site, file).next().is_some();
            let mut owners = tx.disk_owners(site, file);
            if writes(tx, machine, file) && is_on()
                || owners.any(|(_, other)| other.cycle.is_some() && writes(tx, other, file))
            {
                return Err(fault::file_locked(file));
            }
        }
    }
    Ok(())
}

/// Makes the guest forget the disk that a deleted or replaced file belonged to.
pub(crate) async fn forget_file(shared: &Arc<Shared>, file: &DatastorePath) {
    let Some(path) = disk::descriptor_of(file) else {
        return;
    };
    let found = Transaction::run(shared, move |tx| {
        if let Some(object) = owner(tx, &path)
            && let Some(held) = core_disk(tx.shared(), object, &path)?
        {
            return Ok(held);
        }
        let disk = GuestDisk::new(vec![tx.shared().store.location(&path)], 0);
        Ok(Held { disk, ended: None })
    });
    if let Ok(held) = found.await {
        held.free().await;
        shared.guest.forget(&held.disk).await;
    }
}

async fn flush(shared: &Shared, held: Held) -> Result<(), Fault> {
    held.free().await;
    let flushed = match write_out(shared, &held.disk) {
        Ok(()) => shared.guest.flush(&held.disk).await,
        Err(error) => Err(error),
    };
    flushed.map_err(|error| {
        let file = held.disk.chain.first();
        let file = file.map(|file| file.display().to_string());
        tracing::warn!(file, %error, "a guest did not write its disk");
        fault::file_fault(&shared.store.name_of(&held.disk.chain), &error)
    })
}

/// Writes the files of a disk that are still kept in memory, before a guest uses them.
fn write_out(shared: &Shared, disk: &GuestDisk) -> io::Result<()> {
    let mut files = disk.chain.iter();
    files.try_for_each(|file| shared.store.write_out(file))
}

/// Lists the disks of a machine.
fn disks(shared: &Shared, object: &Object) -> Result<Vec<Held>, Fault> {
    let machine = Machine::of(object)?;
    let (ended, site) = (machine.ended.clone(), machine.vmx.site());
    let config: VirtualMachineConfigInfo = object.read("config")?;
    let all = &config.hardware.device;
    let disks = all
        .iter()
        .filter(|device| Kind::of(device) == Kind::Disk)
        .filter_map(|device| GuestDisk::of(shared, site, all, device))
        .map(|disk| Held {
            disk,
            ended: ended.clone(),
        });
    Ok(disks.collect())
}

/// Returns the disk of a machine that has this descriptor; parents of disks do not count.
fn core_disk(
    shared: &Shared,
    object: &Object,
    path: &DatastorePath,
) -> Result<Option<Held>, Fault> {
    let file = shared.store.location(path);
    let mut disks = disks(shared, object)?.into_iter();
    Ok(disks.find(|held| held.disk.chain.first() == Some(&file)))
}

/// Describes a disk that no machine has attached.
fn loose(shared: &Shared, path: &DatastorePath) -> Option<GuestDisk> {
    let bytes = disk::read(&shared.store, path).ok()?.bytes;
    let chain = device::chain_of(&shared.store, path).ok()?;
    let files = chain
        .iter()
        .map(|path| shared.store.location(path))
        .collect();
    Some(GuestDisk::new(files, bytes))
}
