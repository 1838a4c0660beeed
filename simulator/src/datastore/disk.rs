//! Virtual disks in the datastore: each is a text descriptor and an extent file.
//!
//! Base disks have a flat, sparse file. Child disks have a hosted sparse extent
//! instead of ESXi's own formats, so that any VMDK reader can open them.

use std::io;

use disk_image::vmdk::{self, ChildForm, CreateType, Descriptor, SparseDisk};
use disk_image::{Monitor, Sink};
use vim25::Fault;

use super::path::DatastorePath;
use super::{Allowance, Store};
use crate::fault;

/// The size of a sector in bytes.
const SECTOR: u64 = 512;

/// The key of a descriptor that marks a thin disk.
const THIN: &str = "ddb.thinProvisioned";

/// The key of a descriptor that says whether the disk may be deleted.
pub(crate) const DELETABLE: &str = "ddb.deletable";

/// The properties of an existing disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Disk {
    pub(crate) bytes: u64,
    /// The path of the parent, as the descriptor of a child disk contains it.
    pub(crate) parent: Option<String>,
    pub(crate) uuid: String,
    pub(crate) thin: bool,
    /// False if the descriptor contains `ddb.deletable = "false"`.
    pub(crate) deletable: bool,
}

/// The properties of a disk to be created.
#[derive(Clone, Debug)]
pub(crate) struct New {
    pub(crate) uuid: String,
    pub(crate) thin: bool,
    /// The content id (`CID`).
    pub(crate) cid: u32,
}

/// Creates an empty disk in an existing directory.
pub(crate) fn create(
    store: &Store,
    path: &DatastorePath,
    bytes: u64,
    new: &New,
) -> Result<(), Fault> {
    if store.exists(path) {
        return Err(fault::file_exists(&path.to_string()));
    }
    store.may_create(path)?;
    if bytes == 0 || bytes > 62 << 40 {
        return Err(fault::invalid_vm_config("capacity of the disk"));
    }
    let extent = extent(path);
    let failed = |error| fault::file_fault(&extent.to_string(), &error);
    // The file is sparse, so even a terabyte takes no space.
    store
        .create_sparse(&extent, bytes.next_multiple_of(SECTOR))
        .map_err(failed)?;
    let mut descriptor =
        Descriptor::new(CreateType::Vmfs, bytes.div_ceil(SECTOR), extent.file_name());
    descriptor.set_cid(new.cid);
    complete(&mut descriptor, new);
    store.write(path, &descriptor.to_bytes())
}

fn complete(descriptor: &mut Descriptor, new: &New) {
    descriptor.set("ddb.uuid", &new.uuid);
    descriptor.set("ddb.virtualHWVersion", "21");
    if new.thin {
        descriptor.set(THIN, "1");
    }
}

/// Creates a child disk; `hint` is the path of its parent, relative to the child.
pub(crate) fn create_child(
    store: &Store,
    path: &DatastorePath,
    parent: &DatastorePath,
    hint: &str,
    new: &New,
) -> Result<(), Fault> {
    if store.exists(path) {
        return Err(fault::file_exists(&path.to_string()));
    }
    store.may_create(path)?;
    if path.datastore() != parent.datastore() {
        // The hint cannot lead to another datastore.
        return Err(fault::not_supported());
    }
    let parent = open(store, parent)?;
    let child =
        SparseDisk::create_child(store.file(path)?, parent, hint, new.cid, ChildForm::Delta);
    let child = child.map_err(|error| refused(path, error))?;
    let mut descriptor = child.descriptor().clone();
    drop(child);
    complete(&mut descriptor, new);
    store.write(path, &descriptor.to_bytes())
}

/// Opens a disk and its parents for reading.
pub(crate) fn open(store: &Store, path: &DatastorePath) -> Result<vmdk::Disk, Fault> {
    let file = store.file(path)?;
    let open = || vmdk::Disk::open_within(&file, store.directory_of(path));
    let opened = open().or_else(|error| {
        // A descriptor that a client uploaded may name a parent that is not written yet.
        match store.write_all(path) {
            Ok(()) => open(),
            Err(_) => Err(error),
        }
    });
    opened.map_err(|error| refused(path, error))
}

/// Converts an error to a fault.
pub(super) fn refused(path: &DatastorePath, error: disk_image::Error) -> Fault {
    match error {
        disk_image::Error::Vmdk(vmdk::Error::File { source, .. }) => {
            fault::file_fault(&path.to_string(), &source)
        }
        error => {
            let causes = std::iter::successors(
                Some(&error as &(dyn std::error::Error + 'static)),
                |error| error.source(),
            );
            // Errors of the host's file system are logged, not sent to clients.
            if let Some(host) = causes
                .clone()
                .find_map(|cause| cause.downcast_ref::<io::Error>())
            {
                return fault::file_fault(&path.to_string(), host);
            }
            let words: Vec<String> = causes.take(2).map(ToString::to_string).collect();
            tracing::debug!(%path, %error, "a disk cannot be used");
            fault::invalid_disk(&path.to_string(), &words.join(": "))
        }
    }
}

/// Copies a disk, including the content of its parents, to a new base disk.
pub(crate) fn copy(
    store: &Store,
    from: &DatastorePath,
    to: &DatastorePath,
    new: &New,
    monitor: &Monitor,
) -> Result<(), Fault> {
    let source = open(store, from)?;
    create(store, to, source.capacity(), new)?;
    let copied = vmdk_file(store, &extent(to))
        .map_err(|error| fault::file_fault(&to.to_string(), &error))
        .and_then(|mut file| {
            disk_image::copy(&source, &mut file, monitor).map_err(|error| match error {
                disk_image::Error::Write(_) => refused(to, error),
                _ => refused(from, error),
            })
        });
    if copied.is_err() {
        let _ = delete(store, to);
    }
    copied
}

/// Copies what a disk stores besides its parent to a new child of the same parent; `hint` is the
/// path of the parent, relative to the new disk.
pub(crate) fn copy_child(
    store: &Store,
    from: &DatastorePath,
    to: &DatastorePath,
    parent: &DatastorePath,
    (hint, new): (&str, &New),
    monitor: &Monitor,
) -> Result<(), Fault> {
    let source = open(store, from)?;
    create_child(store, to, parent, hint, new)?;
    let copied = SparseDisk::open(store.file(to)?).and_then(|mut disk| {
        let mut content = disk.replace();
        disk_image::copy(&source, &mut content, monitor)?;
        content.finish()
    });
    copied.map_err(|error| refused(from, error))
}

/// Grows a disk to a new capacity.
pub(crate) fn extend(store: &Store, path: &DatastorePath, bytes: u64) -> Result<(), Fault> {
    let mut descriptor = descriptor(store, path)?;
    if descriptor.parent_hint().is_some() || descriptor.create_type() != CreateType::Vmfs {
        return Err(fault::not_supported());
    }
    let extent = extent(path);
    std::fs::OpenOptions::new()
        .write(true)
        .open(store.file(&extent)?)
        .and_then(|file| file.set_len(bytes))
        .map_err(|error| fault::file_fault(&extent.to_string(), &error))?;
    let sectors = bytes / SECTOR;
    let grown = Descriptor::new(CreateType::Vmfs, sectors, extent.file_name());
    descriptor.set_extents(grown.extents().cloned());
    for key in ["cylinders", "heads", "sectors"].map(|key| format!("ddb.geometry.{key}")) {
        if let Some(value) = grown.get(&key) {
            descriptor.set(&key, value);
        }
    }
    store.write(path, &descriptor.to_bytes())
}

/// Makes a thin base disk a thick one.
pub(crate) fn inflate(store: &Store, path: &DatastorePath) -> Result<(), Fault> {
    let mut descriptor = descriptor(store, path)?;
    if descriptor.parent_hint().is_some() || descriptor.create_type() != CreateType::Vmfs {
        return Err(fault::not_supported());
    }
    descriptor.set(THIN, "0");
    store.write(path, &descriptor.to_bytes())
}

/// Sets the UUID of a disk.
pub(crate) fn set_uuid(store: &Store, path: &DatastorePath, uuid: &str) -> Result<(), Fault> {
    let mut descriptor = descriptor(store, path)?;
    if !is_text(store, path) {
        return Err(fault::not_supported());
    }
    descriptor.set("ddb.uuid", uuid);
    store.write(path, &descriptor.to_bytes())
}

/// Returns the numbers of cylinders, heads, and sectors of each track.
pub(crate) fn geometry(store: &Store, path: &DatastorePath) -> Result<[u64; 3], Fault> {
    let descriptor = descriptor(store, path)?;
    let own = ["cylinders", "heads", "sectors"].map(|key| {
        let value = descriptor.get(&format!("ddb.geometry.{key}"))?;
        value.parse().ok()
    });
    match own {
        [Some(cylinders), Some(heads), Some(sectors)] => Ok([cylinders, heads, sectors]),
        // Children have the geometry of their parents, so calculate it.
        _ => {
            let sectors = read(store, path)?.bytes / SECTOR;
            Ok([sectors.div_ceil(255 * 63), 255, 63])
        }
    }
}

/// Overwrites a base disk with zeros.
pub(crate) fn zero(store: &Store, path: &DatastorePath) -> Result<(), Fault> {
    let descriptor = descriptor(store, path)?;
    if descriptor.parent_hint().is_some() || descriptor.create_type() != CreateType::Vmfs {
        return Err(fault::not_supported());
    }
    for extent in extents(store, path)? {
        let mut options = std::fs::OpenOptions::new();
        let file = options.write(true).open(store.file(&extent)?);
        file.and_then(|file| {
            let length = file.metadata()?.len();
            file.set_len(0)?;
            file.set_len(length)
        })
        .map_err(|error| fault::file_fault(&extent.to_string(), &error))?;
    }
    Ok(())
}

/// Sets the entry of the descriptor that says whether the disk may be deleted.
pub(crate) fn set_deletable(store: &Store, path: &DatastorePath, value: &str) -> Result<(), Fault> {
    let mut descriptor = descriptor(store, path)?;
    descriptor.set(DELETABLE, value);
    store.write(path, &descriptor.to_bytes())
}

/// Deletes a disk, without its parents.
pub(crate) fn delete(store: &Store, path: &DatastorePath) -> Result<(), Fault> {
    for extent in extents(store, path)? {
        if store.exists(&extent) {
            store.delete(&extent)?;
        }
    }
    store.delete(path)
}

/// Renames a disk and its extents.
pub(crate) fn rename(store: &Store, from: &DatastorePath, to: &DatastorePath) -> Result<(), Fault> {
    let stem = |path: &DatastorePath| {
        let name = path.file_name();
        name.strip_suffix(".vmdk").unwrap_or(name).to_owned()
    };
    let (old, new) = (stem(from), stem(to));
    let moved = |extent: &str| match extent.strip_prefix(&*old) {
        Some(rest) => format!("{new}{rest}"),
        None => extent.to_owned(),
    };
    let mut descriptor = descriptor(store, from)?;
    let rename = |from: &DatastorePath, to: &DatastorePath| {
        std::fs::rename(store.file(from)?, store.file(to)?)
            .map_err(|error| fault::file_fault(&from.to_string(), &error))
    };
    if descriptor.parent_hint().is_some() && from.parent() != to.parent() {
        // The parent hint of a child disk is relative to its directory, so it cannot move to
        // another.
        return Err(fault::not_supported());
    }
    for extent in extents(store, from)? {
        rename(&extent, &to.sibling(&moved(extent.file_name())))?;
    }
    let renamed: Vec<_> = descriptor
        .extents()
        .cloned()
        .map(|mut extent| {
            extent.file = moved(&extent.file);
            extent
        })
        .collect();
    descriptor.set_extents(renamed);
    if is_text(store, from) {
        store.write(to, &descriptor.to_bytes())?;
        store.delete(from)
    } else {
        rename(from, to)
    }
}

/// Returns whether the file is a text descriptor.
fn is_text(store: &Store, path: &DatastorePath) -> bool {
    use std::io::Read as _;
    if let Some(bytes) = store.in_memory(path) {
        return bytes.first() == Some(&b'#');
    }
    let mut start = [0; 1];
    store
        .written(path)
        .and_then(std::fs::File::open)
        .and_then(|mut file| file.read_exact(&mut start))
        .is_ok_and(|()| &start == b"#")
}

/// Lists the extents in the directory of the descriptor.
fn extents(store: &Store, path: &DatastorePath) -> Result<Vec<DatastorePath>, Fault> {
    if !is_text(store, path) {
        return Ok(Vec::new());
    }
    let descriptor = descriptor(store, path)?;
    // Extents in other directories do not belong to the disk.
    let own = descriptor
        .extents()
        .map(|extent| extent.file.clone())
        .filter(|file| !file.is_empty() && !file.contains(['/', '\\']) && file != "..");
    Ok(own.map(|file| path.sibling(&file)).collect())
}

pub(super) fn descriptor(store: &Store, path: &DatastorePath) -> Result<Descriptor, Fault> {
    let descriptor = match store.in_memory(path) {
        Some(bytes) => Descriptor::parse(&bytes).map_err(Into::into),
        None => vmdk::read_descriptor(store.file(path)?),
    };
    descriptor.map_err(|error| refused(path, error))
}

/// Reads the properties of a disk.
pub(crate) fn read(store: &Store, path: &DatastorePath) -> Result<Disk, Fault> {
    let descriptor = descriptor(store, path)?;
    let capacity = descriptor.capacity();
    let bytes = capacity.map_err(|error| refused(path, error.into()))?;
    Ok(Disk {
        bytes,
        parent: descriptor.parent_hint().map(str::to_owned),
        uuid: descriptor.get("ddb.uuid").unwrap_or_default().to_owned(),
        thin: descriptor.get(THIN).is_some_and(|value| value != "0"),
        deletable: descriptor
            .get(DELETABLE)
            .is_none_or(|value| !value.eq_ignore_ascii_case("false") && value != "0"),
    })
}

/// Returns the descriptor of the disk that a file belongs to, judging by its name.
pub(crate) fn descriptor_of(file: &DatastorePath) -> Option<DatastorePath> {
    let stem = file.file_name().strip_suffix(".vmdk")?;
    let own = ["-flat", "-delta"]
        .iter()
        .find_map(|kind| stem.strip_suffix(kind));
    Some(match own {
        Some(stem) => file.sibling(&format!("{stem}.vmdk")),
        None => file.clone(),
    })
}

/// Returns the path of the flat extent of a base disk.
pub(crate) fn extent(path: &DatastorePath) -> DatastorePath {
    let name = path.file_name();
    let stem = name.strip_suffix(".vmdk").unwrap_or(name);
    path.sibling(&format!("{stem}-flat.vmdk"))
}

/// A sink that writes to a flat file, which must contain only zeros.
#[derive(Debug)]
pub(crate) struct FlatFile {
    file: std::fs::File,
    allowance: Allowance,
    length: u64,
    /// Bytes written so far.
    pub(crate) populated: u64,
}

fn vmdk_file(store: &Store, extent: &DatastorePath) -> io::Result<FlatFile> {
    let file = std::fs::OpenOptions::new()
        .write(true)
        .open(store.written(extent)?)?;
    let length = file.metadata()?.len();
    Ok(FlatFile::new(file, length, store.allowance(extent)))
}

impl FlatFile {
    pub(crate) const fn new(file: std::fs::File, length: u64, allowance: Allowance) -> Self {
        Self {
            file,
            allowance,
            length,
            populated: 0,
        }
    }
}

impl Sink for FlatFile {
    fn put(&mut self, offset: u64, bytes: &[u8]) -> Result<(), disk_image::Error> {
        use std::io::{Seek as _, SeekFrom, Write as _};
        // The last grain of a stream may exceed the disk; it must be zero there.
        let room = usize::try_from(self.length.saturating_sub(offset)).unwrap_or(usize::MAX);
        let (inside, outside) = bytes.split_at(bytes.len().min(room));
        if outside.iter().any(|byte| *byte != 0) {
            let len = bytes.len() as u64;
            return Err(vmdk::Error::OutOfRange { offset, len }.into());
        }
        if inside.iter().all(|byte| *byte == 0) {
            return Ok(());
        }
        self.populated += inside.len() as u64;
        self.allowance
            .take(inside.len() as u64)
            .and_then(|()| self.file.seek(SeekFrom::Start(offset)))
            .and_then(|_| self.file.write_all(inside))
            .map_err(disk_image::Error::Write)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::datastore::site::Site;

    fn new() -> New {
        New {
            uuid: "60 00 C2 9a".into(),
            thin: true,
            cid: 0x1234_5678,
        }
    }

    #[test]
    fn a_disk_is_made_read_extended_moved_and_deleted() {
        let store = Store::temporary("ds").unwrap();
        let path = store.parse(Site::FIRST, "[ds] a.vmdk").unwrap();
        create(&store, &path, 1 << 30, &new()).unwrap();
        let disk = Disk {
            bytes: 1 << 30,
            parent: None,
            uuid: "60 00 C2 9a".into(),
            thin: true,
            deletable: true,
        };
        assert_eq!(read(&store, &path).unwrap(), disk);
        let flat = std::fs::metadata(store.first().directory.join("a-flat.vmdk")).unwrap();
        assert_eq!(flat.len(), 1 << 30);
        assert!(create(&store, &path, 1 << 30, &new()).is_err());
        extend(&store, &path, 2 << 30).unwrap();
        assert_eq!(read(&store, &path).unwrap().bytes, 2 << 30);
        assert_eq!(open(&store, &path).unwrap().capacity(), 2 << 30);
        let to = store.parse(Site::FIRST, "[ds] c.vmdk").unwrap();
        rename(&store, &path, &to).unwrap();
        assert_eq!(open(&store, &to).unwrap().capacity(), 2 << 30);
        assert!(!store.first().directory.join("a-flat.vmdk").exists());
        delete(&store, &to).unwrap();
        assert_eq!(
            std::fs::read_dir(&store.first().directory).unwrap().count(),
            0
        );
    }

    #[test]
    fn a_child_is_what_its_parent_is_until_it_is_written() {
        use disk_image::BlockRead as _;
        let store = Store::temporary("ds").unwrap();
        let (parent, child) = (
            store.path(store.first(), "p/a.vmdk").unwrap(),
            store.path(store.first(), "c/b.vmdk").unwrap(),
        );
        for path in [&parent, &child] {
            store.make_directory(&path.parent(), true).unwrap();
        }
        create(&store, &parent, 1 << 20, &new()).unwrap();
        let mut flat = vmdk_file(&store, &extent(&parent)).unwrap();
        flat.put(4_096, b"parent").unwrap();
        create_child(&store, &child, &parent, "../p/a.vmdk", &new()).unwrap();
        let made = read(&store, &child).unwrap();
        assert_eq!(made.bytes, 1 << 20);
        assert_eq!(made.parent.as_deref(), Some("../p/a.vmdk"));
        let mut sparse = SparseDisk::open(store.file(&child).unwrap()).unwrap();
        sparse.write_at(8_192, b"child").unwrap();
        drop(sparse);
        let copied = store.path(store.first(), "c/d.vmdk").unwrap();
        copy(&store, &child, &copied, &new(), &Monitor::new()).unwrap();
        delete(&store, &child).unwrap();
        let copied = open(&store, &copied).unwrap();
        let mut bytes = [0; 6];
        copied.read_exact_at(&mut bytes, 4_096).unwrap();
        assert_eq!(&bytes, b"parent");
        copied.read_exact_at(&mut bytes, 8_192).unwrap();
        assert_eq!(&bytes, b"child\0");
        let names = |directory: &str| {
            std::fs::read_dir(store.first().directory.join(directory))
                .unwrap()
                .count()
        };
        assert_eq!((names("p"), names("c")), (2, 2));
    }

    #[test]
    fn a_descriptor_that_names_files_elsewhere_deletes_only_itself() {
        let store = Store::temporary("ds").unwrap();
        let path = store.path(store.first(), "a/evil.vmdk").unwrap();
        store.make_directory(&path.parent(), true).unwrap();
        std::fs::write(store.first().directory.join("kept"), b"x").unwrap();
        let mut descriptor = Descriptor::new(CreateType::Vmfs, 8, "../kept");
        descriptor.set_cid(1);
        store.write(&path, &descriptor.to_bytes()).unwrap();
        delete(&store, &path).unwrap();
        assert!(store.first().directory.join("kept").exists());
    }
}
