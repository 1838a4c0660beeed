//! Disks of machines: their files and the chains of their parents.

use vim25::types::{
    VirtualDevice, VirtualDeviceConfigSpec, VirtualDeviceConfigSpecFileOperation, VirtualDisk,
    VirtualDiskFlatVer2BackingInfo,
};
use vim25::{Fault, Poly};

use super::Devices;
use super::kind::Kind;
use crate::datastore::disk::{self, New};
use crate::datastore::path::DatastorePath;
use crate::datastore::redo_log;
use crate::datastore::site::Site;
use crate::datastore::{Store, Volume};
use crate::fault;
use crate::guest::DiskMode;
use crate::world::Transaction;

/// Maximum number of disks in a chain of parents.
const CHAIN: usize = 255;

/// Checks and completes a disk to be added; creates its files if requested.
///
/// Returns the files that it created, to be deleted if a later step fails.
pub(super) fn prepare(
    tx: &mut Transaction<'_>,
    index: usize,
    device: &mut Poly<VirtualDevice>,
    operation: Option<&VirtualDeviceConfigSpecFileOperation>,
    home: &DatastorePath,
) -> Result<Option<DatastorePath>, Fault> {
    let malformed = |_| fault::invalid_device(index, "the disk is incomplete");
    let Some(disk) = device.base::<VirtualDisk>().map_err(malformed)? else {
        return Ok(None);
    };
    let Some(backing) = &disk.backing else {
        return Err(fault::invalid_device(index, "the disk has no backing"));
    };
    let Some(mut backing) = backing
        .get::<VirtualDiskFlatVer2BackingInfo>()
        .map_err(malformed)?
    else {
        return Err(fault::invalid_device(
            index,
            "the host has no such disk backing",
        ));
    };
    let asked = match disk.capacity_in_bytes.filter(|bytes| *bytes > 0) {
        Some(bytes) => bytes,
        None => disk.capacity_in_kb.saturating_mul(1_024),
    };
    let asked = u64::try_from(asked).unwrap_or(0);
    let store = &tx.shared().store;
    let wanted = backing.base.datastore.as_ref();
    let wanted = wanted.and_then(|wanted| store.referenced(wanted.value()));
    let wanted = wanted.filter(|wanted| wanted.site == home.site());
    let mut path = place(store, &backing.base.file_name, wanted, home)?;
    let mut made = None;
    let on_disk = match operation {
        Some(VirtualDeviceConfigSpecFileOperation::Create) => {
            let parent = backing
                .parent
                .as_ref()
                .map(|parent| parent.file_name.clone());
            let parent = match parent.filter(|name| !name.is_empty()) {
                Some(name) => Some(store.parse(home.site(), &name)?),
                None if asked == 0 => {
                    return Err(fault::invalid_device(index, "the disk has no capacity"));
                }
                None => None,
            };
            let new = New {
                uuid: spaced(tx.ids().bytes()),
                // A child disk stores only the differences to its parent, so it is thin.
                thin: backing.thin_provisioned.unwrap_or(false) || parent.is_some(),
                cid: tx.ids().cid(),
            };
            let store = &tx.shared().store;
            path = store.make_home(&path.parent())?.join(path.file_name());
            match parent {
                Some(parent) => {
                    let hint = hint(&path, &parent);
                    disk::create_child(store, &path, &parent, &hint, &new)?;
                }
                None => disk::create(store, &path, asked, &new)?,
            }
            made = Some(path.clone());
            disk::read(store, &path)?
        }
        Some(VirtualDeviceConfigSpecFileOperation::Replace) => {
            return Err(fault::not_supported());
        }
        _ => disk::read(store, &path)?,
    };
    describe(tx, &mut backing, &path, &on_disk)?;
    device
        .modify::<VirtualDisk>(|disk| {
            let bytes = i64::try_from(on_disk.bytes).unwrap_or(i64::MAX);
            disk.capacity_in_kb = bytes / 1_024;
            disk.capacity_in_bytes = Some(bytes);
            disk.backing = Some(Poly::new(backing));
        })
        .map_err(malformed)?;
    Ok(made)
}

/// Completes a backing according to the files of its disk.
fn describe(
    tx: &Transaction<'_>,
    backing: &mut VirtualDiskFlatVer2BackingInfo,
    path: &DatastorePath,
    on_disk: &disk::Disk,
) -> Result<(), Fault> {
    backing.base.file_name = path.to_string();
    backing.base.datastore = Some(tx.shared().store.reference(path));
    if backing.disk_mode.is_empty() {
        backing.disk_mode = "persistent".into();
    }
    backing.uuid = Some(dashed(&on_disk.uuid)).filter(|uuid| !uuid.is_empty());
    backing.thin_provisioned = Some(on_disk.thin);
    backing.split.get_or_insert(false);
    backing.write_through.get_or_insert(false);
    backing.parent = parents(tx, path, on_disk.parent.as_deref())?;
    Ok(())
}

/// Returns whether a device is a disk that snapshots include.
pub(crate) fn is_in_snapshots(device: &Poly<VirtualDevice>) -> bool {
    let mode = super::text(device, "backing.diskMode").unwrap_or_default();
    Kind::of(device) == Kind::Disk && !mode.starts_with("independent")
}

/// Continues a disk of a machine in a datacenter in a new redo log. Returns the path of the redo log.
pub(crate) fn branch(
    tx: &mut Transaction<'_>,
    site: Site,
    device: &mut Poly<VirtualDevice>,
) -> Result<DatastorePath, Fault> {
    let cid = tx.ids().cid();
    let store = &tx.shared().store;
    let file = super::text(device, "backing.fileName").unwrap_or_default();
    let parent = store.parse(site, &file)?;
    let path = redo_log::create(store, &parent, cid)?;
    if let Err(fault) = attach(tx, device, &path) {
        destroy_files(tx, site, &[path.to_string()]);
        return Err(fault);
    }
    Ok(path)
}

/// Attaches a disk device to other files with the same capacity.
pub(crate) fn attach(
    tx: &Transaction<'_>,
    device: &mut Poly<VirtualDevice>,
    path: &DatastorePath,
) -> Result<(), Fault> {
    let malformed = || fault::invalid_vm_config("config.hardware.device");
    let disk = device.base::<VirtualDisk>().map_err(|_| malformed())?;
    let backing = disk.as_ref().and_then(|disk| disk.backing.as_ref());
    let backing = backing.ok_or_else(malformed)?;
    let mut backing = backing
        .get::<VirtualDiskFlatVer2BackingInfo>()
        .map_err(|_| malformed())?
        .ok_or_else(malformed)?;
    describe(
        tx,
        &mut backing,
        path,
        &disk::read(&tx.shared().store, path)?,
    )?;
    device
        .modify::<VirtualDisk>(|disk| disk.backing = Some(Poly::new(backing)))
        .map(drop)
        .map_err(|_| malformed())
}

/// Checks an edited disk against its previous state, and grows it if requested. Returns the
/// path and the previous size in bytes of a disk that was grown.
pub(super) fn edit(
    tx: &Transaction<'_>,
    index: usize,
    site: Site,
    old: &Poly<VirtualDevice>,
    new: &mut Poly<VirtualDevice>,
) -> Result<Option<(DatastorePath, u64)>, Fault> {
    let malformed = |_| fault::invalid_device(index, "the disk is incomplete");
    let (Some(before), Some(after)) = (
        old.base::<VirtualDisk>().map_err(malformed)?,
        new.base::<VirtualDisk>().map_err(malformed)?,
    ) else {
        return Ok(None);
    };
    let had = before
        .capacity_in_bytes
        .unwrap_or(before.capacity_in_kb * 1_024);
    // The client may have changed either of the two capacities.
    let by_kb = after.capacity_in_kb.saturating_mul(1_024);
    let asked = match after.capacity_in_bytes {
        Some(bytes) if bytes != had => bytes,
        _ => by_kb,
    };
    if asked < had {
        return Err(fault::invalid_device(index, "a disk cannot shrink"));
    }
    let bytes = |number| u64::try_from(number).unwrap_or(0);
    let mut grown = None;
    if asked > had {
        if chain(old).len() > 1 {
            return Err(fault::invalid_device_operation(
                index,
                "Disks with parents cannot be expanded",
            ));
        }
        let name = super::text(old, "backing.fileName").unwrap_or_default();
        let store = &tx.shared().store;
        let path = store.parse(site, &name)?;
        disk::extend(store, &path, bytes(asked))?;
        grown = Some((path, bytes(had)));
    }
    new.modify::<VirtualDisk>(|disk| {
        disk.capacity_in_kb = asked / 1_024;
        disk.capacity_in_bytes = Some(asked);
    })
    .map_err(malformed)?;
    Ok(grown)
}

/// Returns the path of a new disk, completing one that names only a datastore or a file. Without a
/// name, the disk is on the datastore `wanted`, or else on that of the machine.
fn place(
    store: &Store,
    given: &str,
    wanted: Option<&Volume>,
    home: &DatastorePath,
) -> Result<DatastorePath, Fault> {
    let directory = home.parent().relative();
    let mut volume = wanted.unwrap_or_else(|| store.volume(home));
    let path;
    if !given.trim().is_empty() {
        path = match given.trim_start().starts_with('[') {
            true => store.parse(home.site(), given)?,
            false => store.path(store.volume(home), &format!("{directory}/{given}"))?,
        };
        if !path.is_root() {
            return Ok(path);
        }
        volume = store.volume(&path);
    }
    let home = store.path(volume, &format!("{directory}/{}", home.file_name()))?;
    let name = home.file_name();
    let stem = name.strip_suffix(".vmx").unwrap_or(name);
    let mut path = home.sibling(&format!("{stem}.vmdk"));
    let mut number = 0;
    while store.exists(&path) {
        number += 1;
        path = home.sibling(&format!("{stem}_{number}.vmdk"));
    }
    Ok(path)
}

/// Returns the parent's path relative to the child's directory, which works for
/// readers outside the simulator too.
pub(crate) fn hint(path: &DatastorePath, parent: &DatastorePath) -> String {
    let (from, to) = (path.parent(), parent.parent());
    let both = from.parts().iter().zip(to.parts());
    let common = both.take_while(|(from, to)| from == to).count();
    let up = std::iter::repeat_n("..", from.parts().len() - common);
    let down = parent.parts().iter().skip(common).map(String::as_str);
    up.chain(down).collect::<Vec<_>>().join("/")
}

/// Resolves the parent hint of a descriptor.
fn resolve(store: &Store, path: &DatastorePath, hint: &str) -> Result<DatastorePath, Fault> {
    if let Some((volume, relative)) = store.located(hint, path) {
        return store.path(volume, relative);
    }
    if let Some(rooted) = hint.strip_prefix('/') {
        return store.path(store.volume(path), rooted);
    }
    let mut parts = path.parent().parts().to_vec();
    for part in hint.split('/') {
        match part {
            ".." if parts.pop().is_none() => return Err(fault::invalid_datastore_path(hint)),
            ".." | "." | "" => {}
            part => parts.push(part.to_owned()),
        }
    }
    store.path(store.volume(path), &parts.join("/"))
}

/// Returns the parents of a disk, the direct parent first.
fn above(
    store: &Store,
    path: &DatastorePath,
    hint: Option<&str>,
) -> Result<Vec<DatastorePath>, Fault> {
    let mut chain = Vec::new();
    let (mut path, mut hint) = (path.clone(), hint.map(str::to_owned));
    while let Some(name) = hint {
        if chain.len() >= CHAIN {
            return Err(fault::invalid_vm_config("chain of parents of a disk"));
        }
        let parent = resolve(store, &path, &name)?;
        hint = disk::read(store, &parent)?.parent;
        path = parent.clone();
        chain.push(parent);
    }
    Ok(chain)
}

/// Returns the paths of a disk and of its parents, the disk first.
pub(crate) fn chain_of(store: &Store, path: &DatastorePath) -> Result<Vec<DatastorePath>, Fault> {
    let hint = disk::read(store, path)?.parent;
    let mut chain = vec![path.clone()];
    chain.extend(above(store, path, hint.as_deref())?);
    Ok(chain)
}

fn parents(
    tx: &Transaction<'_>,
    path: &DatastorePath,
    hint: Option<&str>,
) -> Result<Option<Box<VirtualDiskFlatVer2BackingInfo>>, Fault> {
    let store = &tx.shared().store;
    let chain = above(store, path, hint)?;
    Ok(chain.into_iter().rev().fold(None, |above, parent| {
        let mut backing = VirtualDiskFlatVer2BackingInfo {
            disk_mode: "persistent".into(),
            parent: above,
            ..Default::default()
        };
        backing.base.file_name = parent.to_string();
        backing.base.datastore = Some(store.reference(&parent));
        Some(Box::new(backing))
    }))
}

/// Returns the files of a disk and of its parents, the disk's own file first.
pub(crate) fn chain(device: &Poly<VirtualDevice>) -> Vec<String> {
    let mut files = Vec::new();
    let mut at = device.node().get("backing");
    while let Some(backing) = at {
        files.extend(
            backing
                .get("fileName")
                .and_then(|name| name.as_str())
                .map(str::to_owned),
        );
        at = backing.get("parent");
    }
    files
}

/// Returns the chain of every disk.
pub(crate) fn chains(devices: &Devices) -> Vec<Vec<String>> {
    devices
        .iter()
        .filter(|device| Kind::of(device) == Kind::Disk)
        .map(chain)
        .collect()
}

/// Returns the disks whose writes are discarded, by their descriptors.
pub(crate) fn nonpersistent(devices: &Devices) -> Vec<String> {
    let is_nonpersistent = |device: &&Poly<VirtualDevice>| {
        let mode = super::text(device, "backing.diskMode");
        mode.is_some_and(|mode| DiskMode::of(&mode).is_discarded())
    };
    devices
        .iter()
        .filter(|device| Kind::of(device) == Kind::Disk)
        .filter(is_nonpersistent)
        .filter_map(|device| chain(device).into_iter().next())
        .collect()
}

/// Returns the parents of the child disks that a list of changes creates.
pub(crate) fn parents_asked(changes: &[Poly<VirtualDeviceConfigSpec>]) -> Vec<String> {
    let parent = |change: &Poly<VirtualDeviceConfigSpec>| {
        let made = change.node().path("fileOperation")?.as_str() == Some("create");
        let name = change.node().path("device.backing.parent.fileName")?;
        made.then(|| name.as_str().map(str::to_owned)).flatten()
    };
    changes.iter().filter_map(parent).collect()
}

/// Deletes the files of disks in a datacenter. Missing files are ignored.
pub(crate) fn destroy_files(tx: &Transaction<'_>, site: Site, files: &[String]) {
    let store = &tx.shared().store;
    for file in files {
        let deleted = store
            .parse(site, file)
            .and_then(|path| disk::delete(store, &path));
        if let Err(fault) = deleted {
            tracing::debug!(file, %fault, "a disk was not deleted");
        }
    }
}

/// Formats the bytes of a UUID as in a disk descriptor: `xx xx .. xx-xx .. xx`.
fn spaced(bytes: [u8; 16]) -> String {
    let mut text = String::new();
    for (at, byte) in bytes.iter().enumerate() {
        text.push_str(match at {
            0 => "",
            8 => "-",
            _ => " ",
        });
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

/// Converts a UUID from the form of a disk descriptor to that of the API.
fn dashed(spaced: &str) -> String {
    let hex: String = spaced.chars().filter(char::is_ascii_hexdigit).collect();
    uuid::Uuid::parse_str(&hex).map_or_else(|_| String::new(), |uuid| uuid.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_child_finds_its_parent_by_its_hint() {
        let store = Store::temporary("ds").unwrap();
        for (child, parent, expected) in [
            ("a/b.vmdk", "a/c.vmdk", "c.vmdk"),
            ("a/b.vmdk", "x/y/c.vmdk", "../x/y/c.vmdk"),
            ("a/b/c.vmdk", "a/d.vmdk", "../d.vmdk"),
            ("b.vmdk", "a/c.vmdk", "a/c.vmdk"),
            ("a/b.vmdk", "c.vmdk", "../c.vmdk"),
        ] {
            let (child, parent) = (
                store.path(store.first(), child).unwrap(),
                store.path(store.first(), parent).unwrap(),
            );
            assert_eq!(hint(&child, &parent), expected);
            assert_eq!(resolve(&store, &child, expected).unwrap(), parent);
        }
        let child = store.path(store.first(), "a/b.vmdk").unwrap();
        for (hint, parent) in [
            ("/x/c.vmdk", Some("x/c.vmdk")),
            ("/vmfs/volumes/ds/x/c.vmdk", Some("x/c.vmdk")),
            ("../../c.vmdk", None),
        ] {
            let found = resolve(&store, &child, hint).ok();
            assert_eq!(
                found,
                parent.map(|parent| store.path(store.first(), parent).unwrap()),
                "{hint}"
            );
        }
    }
}
