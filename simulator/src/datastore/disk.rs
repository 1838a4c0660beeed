//! Virtual disks: a descriptor of text and an extent of sparse bytes.

use std::fmt::Write;
use std::fs::OpenOptions;

use vim25::Fault;

use super::Store;
use super::path::DatastorePath;
use crate::fault;

/// Bytes of a sector.
const SECTOR: u64 = 512;
/// Sectors of a track and tracks of a cylinder, as disks on SCSI have them.
const SECTORS: u64 = 63;
const HEADS: u64 = 255;

/// What a descriptor says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Disk {
    pub(crate) bytes: u64,
    /// The parent's path in the datastore, of a child disk.
    pub(crate) parent: Option<String>,
    pub(crate) uuid: String,
    pub(crate) thin: bool,
}

/// Makes a disk without content. Its directory must be there.
pub(crate) fn create(store: &Store, path: &DatastorePath, disk: &Disk) -> Result<(), Fault> {
    if store.exists(path) {
        return Err(fault::file_exists(&path.to_string()));
    }
    let extent = extent(path, disk.parent.is_some());
    let failed = |error| fault::file_fault(&extent.to_string(), &error);
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(store.file(&extent))
        .map_err(failed)?;
    if disk.parent.is_none() {
        // Sparse: a terabyte costs nothing.
        file.set_len(disk.bytes).map_err(failed)?;
    }
    store.write(path, descriptor(&extent, disk).as_bytes())
}

/// Makes a disk larger.
pub(crate) fn extend(store: &Store, path: &DatastorePath, bytes: u64) -> Result<(), Fault> {
    let mut disk = read(store, path)?;
    disk.bytes = bytes;
    let extent = extent(path, disk.parent.is_some());
    if disk.parent.is_none() {
        OpenOptions::new()
            .write(true)
            .open(store.file(&extent))
            .and_then(|file| file.set_len(bytes))
            .map_err(|error| fault::file_fault(&extent.to_string(), &error))?;
    }
    store.write(path, descriptor(&extent, &disk).as_bytes())
}

/// Deletes a disk, without its parents.
pub(crate) fn delete(store: &Store, path: &DatastorePath) -> Result<(), Fault> {
    let disk = read(store, path)?;
    let extent = extent(path, disk.parent.is_some());
    if store.exists(&extent) {
        store.delete(&extent)?;
    }
    store.delete(path)
}

/// Reads what a descriptor says.
pub(crate) fn read(store: &Store, path: &DatastorePath) -> Result<Disk, Fault> {
    const MOST: u64 = 64 << 10;
    let length = std::fs::metadata(store.file(path)).map(|metadata| metadata.len());
    match length {
        Err(error) => return Err(fault::file_fault(&path.to_string(), &error)),
        // A disk that was uploaded as one file is all extent.
        Ok(length) if length > MOST => {
            return Ok(Disk {
                bytes: length,
                parent: None,
                uuid: String::new(),
                thin: false,
            });
        }
        Ok(_) => {}
    }
    let text = String::from_utf8_lossy(&store.read(path)?).into_owned();
    let value = |name: &str| {
        text.lines().find_map(|line| {
            let (key, value) = line.split_once('=')?;
            (key.trim() == name).then(|| value.trim().trim_matches('"').to_owned())
        })
    };
    let sectors = text.lines().find_map(|line| {
        let rest = line.strip_prefix("RW ")?;
        rest.split_whitespace().next()?.parse::<u64>().ok()
    });
    let sectors = sectors.ok_or_else(|| fault::invalid_vm_config("descriptor of the disk"))?;
    Ok(Disk {
        bytes: sectors.saturating_mul(SECTOR),
        parent: value("parentFileNameHint"),
        uuid: value("ddb.uuid").unwrap_or_default(),
        thin: value("ddb.thinProvisioned").is_some(),
    })
}

/// The descriptor of the disk to which a file belongs.
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

/// The file with the content.
pub(crate) fn extent(path: &DatastorePath, child: bool) -> DatastorePath {
    let name = path.file_name();
    let stem = name.strip_suffix(".vmdk").unwrap_or(name);
    let kind = if child { "delta" } else { "flat" };
    path.sibling(&format!("{stem}-{kind}.vmdk"))
}

fn descriptor(extent: &DatastorePath, disk: &Disk) -> String {
    let sectors = disk.bytes / SECTOR;
    let (create, kind) = match disk.parent {
        Some(_) => ("vmfsSparse", "VMFSSPARSE"),
        None => ("vmfs", "VMFS"),
    };
    // The ids of the content: what a chain is checked by.
    let parent_id = disk.parent.as_ref().map_or("ffffffff", |_| "fffffffe");
    let mut text = format!(
        "# Disk DescriptorFile\nversion=1\nencoding=\"UTF-8\"\nCID=fffffffe\n\
         parentCID={parent_id}\ncreateType=\"{create}\"\n"
    );
    if let Some(parent) = &disk.parent {
        let _ = writeln!(text, "parentFileNameHint=\"{parent}\"");
    }
    let _ = write!(
        text,
        "\n# Extent description\nRW {sectors} {kind} \"{}\"\n\n# The Disk Data Base\n#DDB\n\n\
         ddb.adapterType = \"lsilogic\"\nddb.geometry.cylinders = \"{}\"\n\
         ddb.geometry.heads = \"{HEADS}\"\nddb.geometry.sectors = \"{SECTORS}\"\n\
         ddb.uuid = \"{}\"\nddb.virtualHWVersion = \"21\"\n",
        extent.file_name(),
        sectors / (HEADS * SECTORS),
        disk.uuid,
    );
    if disk.thin {
        text.push_str("ddb.thinProvisioned = \"1\"\n");
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_disk_is_made_read_extended_and_deleted() {
        let store = Store::temporary("ds").unwrap();
        let path = store.parse("[ds] a.vmdk").unwrap();
        let disk = Disk {
            bytes: 1 << 30,
            parent: None,
            uuid: "60 00 C2 9a".into(),
            thin: true,
        };
        create(&store, &path, &disk).unwrap();
        assert_eq!(read(&store, &path).unwrap(), disk);
        let flat = std::fs::metadata(store.directory().join("a-flat.vmdk")).unwrap();
        assert_eq!(flat.len(), 1 << 30);
        assert!(create(&store, &path, &disk).is_err());
        extend(&store, &path, 2 << 30).unwrap();
        assert_eq!(read(&store, &path).unwrap().bytes, 2 << 30);
        let child = store.parse("[ds] b.vmdk").unwrap();
        let made = Disk {
            parent: Some("a.vmdk".into()),
            ..disk
        };
        create(&store, &child, &made).unwrap();
        assert_eq!(read(&store, &child).unwrap(), made);
        delete(&store, &child).unwrap();
        delete(&store, &path).unwrap();
        assert_eq!(std::fs::read_dir(store.directory()).unwrap().count(), 0);
    }
}
