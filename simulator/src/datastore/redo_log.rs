//! Redo logs: the child disks that snapshots create, named `NAME-000001.vmdk` as on a host.

use disk_image::Monitor;
use disk_image::vmdk;
use vim25::Fault;

use super::Store;
use super::disk::{self, New};
use super::path::DatastorePath;
use crate::fault;

/// The largest number in the name of a redo log.
const LAST: u32 = 999_999;

/// Returns the name of the disk that a redo log belongs to, and the number of the redo log:
/// `vm` and 1 for `vm-000001.vmdk`.
fn parts(path: &DatastorePath) -> (&str, Option<u32>) {
    let name = path.file_name();
    let stem = name.strip_suffix(".vmdk").unwrap_or(name);
    let numbered = stem.rsplit_once('-').and_then(|(disk, number)| {
        let is_number = number.len() == 6 && number.bytes().all(|byte| byte.is_ascii_digit());
        Some((disk, is_number.then(|| number.parse().ok())??))
    });
    match numbered {
        Some((disk, number)) if !disk.is_empty() => (disk, Some(number)),
        _ => (stem, None),
    }
}

/// Returns whether a disk is a redo log of its parent, judging by their names. Other children,
/// such as linked clones, continue the disk of somebody else.
pub(crate) fn continues(child: &DatastorePath, parent: &DatastorePath) -> bool {
    let ((own, number), (disk, _)) = (parts(child), parts(parent));
    number.is_some() && own == disk && child.parent() == parent.parent()
}

/// Creates a redo log of a disk, under the first name that is not in use. It keeps the UUID of
/// the disk.
pub(crate) fn create(
    store: &Store,
    parent: &DatastorePath,
    cid: u32,
) -> Result<DatastorePath, Fault> {
    let (stem, _) = parts(parent);
    let mut candidates = (1..=LAST).map(|number| {
        let name = format!("{stem}-{number:06}");
        let extent = parent.sibling(&format!("{name}-delta.vmdk"));
        (parent.sibling(&format!("{name}.vmdk")), extent)
    });
    let free = candidates.find(|(path, extent)| !store.exists(path) && !store.exists(extent));
    let (path, _) = free.ok_or_else(|| fault::file_exists(&parent.to_string()))?;
    let disk = disk::read(store, parent)?;
    let new = New {
        uuid: disk.uuid,
        thin: disk.thin,
        cid,
    };
    disk::create_child(store, &path, parent, parent.file_name(), &new)?;
    Ok(path)
}

/// Writes the content of a child into its parent. The child's files remain, but are not usable.
pub(crate) fn merge(store: &Store, child: &DatastorePath, monitor: &Monitor) -> Result<(), Fault> {
    vmdk::merge_into_parent(store.file(child)?, store.directory_of(child), monitor)
        .map_err(|error| disk::refused(child, error))
}

/// Makes a disk the child of another disk with the same content as its previous parent. `hint`
/// is the path of the new parent, relative to the child.
pub(crate) fn set_parent(
    store: &Store,
    child: &DatastorePath,
    parent: &DatastorePath,
    hint: &str,
) -> Result<(), Fault> {
    let cid = disk::descriptor(store, parent)?.cid();
    let cid = cid.map_err(|error| disk::refused(parent, error.into()))?;
    let mut descriptor = disk::descriptor(store, child)?;
    descriptor.set_parent(cid, hint);
    store.write(child, &descriptor.to_bytes())
}

/// Returns whether another disk in the same directory has this disk as its parent.
pub(crate) fn has_children(store: &Store, path: &DatastorePath) -> bool {
    let entries = store.written(&path.parent()).and_then(std::fs::read_dir);
    let Ok(entries) = entries else {
        return false;
    };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let is_extent = |name: &str| name.ends_with("-flat.vmdk") || name.ends_with("-delta.vmdk");
    let mut disks = names.filter(|name| name.ends_with(".vmdk") && !is_extent(name));
    disks.any(|name| {
        let parent = disk::read(store, &path.sibling(&name)).map(|disk| disk.parent);
        parent.is_ok_and(|parent| parent.as_deref() == Some(path.file_name()))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::datastore::site::Site;

    #[test]
    fn redo_logs_are_known_by_their_names() {
        let path = |name| DatastorePath::parse(Site::FIRST, &format!("[ds] {name}")).unwrap();
        for (child, parent, expected) in [
            ("a/a-000001.vmdk", "a/a.vmdk", true),
            ("a/a-000012.vmdk", "a/a-000001.vmdk", true),
            ("a/a.vmdk", "a/a-000001.vmdk", false),
            ("a/a-000001.vmdk", "b/a.vmdk", false),
            ("a/a-000001.vmdk", "a/b.vmdk", false),
            ("a/a-1.vmdk", "a/a.vmdk", false),
            ("a/-000001.vmdk", "a/.vmdk", false),
            ("a/b-000001-000001.vmdk", "a/b-000001.vmdk", false),
        ] {
            assert_eq!(continues(&path(child), &path(parent)), expected, "{child}");
        }
    }

    #[test]
    fn a_redo_log_gets_the_first_free_name_and_is_merged() {
        let store = Store::temporary("ds").unwrap();
        let base = store.path(store.first(), "a.vmdk").unwrap();
        let new = New {
            uuid: "60 00 C2 9a".into(),
            thin: true,
            cid: 5,
        };
        disk::create(&store, &base, 1 << 20, &new).unwrap();
        let first = create(&store, &base, 6).unwrap();
        let second = create(&store, &first, 7).unwrap();
        assert_eq!(first.file_name(), "a-000001.vmdk");
        assert_eq!(second.file_name(), "a-000002.vmdk");
        assert_eq!(disk::read(&store, &second).unwrap().uuid, "60 00 C2 9a");
        assert!(has_children(&store, &base) && has_children(&store, &first));
        merge(&store, &first, &Monitor::new()).unwrap();
        set_parent(&store, &second, &base, "a.vmdk").unwrap();
        disk::delete(&store, &first).unwrap();
        assert!(disk::open(&store, &second).is_ok());
        assert_eq!(create(&store, &second, 8).unwrap(), first);
        assert!(!has_children(&store, &first));
    }
}
