//! Merges a child disk into its parent.

use std::fs::{File, OpenOptions};
use std::path::Path;

use super::descriptor::{Descriptor, ExtentKind};
use super::disk::Disk;
use super::sparse_disk::SparseDisk;
use super::{Error, GRAIN, SECTOR};
use crate::Monitor;
use crate::block::{BlockRead as _, file_error, write_all_at};

/// Writes the data that the disk `path` stores itself into its parent. The parent then has the
/// content and the content id of the child, and can replace it as the parent of other disks.
///
/// All files must be below the directory `root`. Afterwards the child cannot be opened any more;
/// its files are left for the caller to delete. If the merge is interrupted, the child still has
/// its content, and the merge can be repeated; the content of the parent is lost either way.
///
/// # Errors
/// [`crate::Error::Vmdk`] if the disk has no parent, or the parent cannot be written to;
/// [`crate::Error::Cancelled`].
pub fn merge_into_parent(
    path: impl AsRef<Path>,
    root: impl AsRef<Path>,
    monitor: &Monitor,
) -> Result<(), crate::Error> {
    let child = Disk::open_within(path, root)?;
    let parent = child
        .parent()
        .ok_or(Error::Unsupported("it has no parent"))?;
    let mut target = Target::open(parent)?;
    // A child is rounded up to whole grains, so it may be larger.
    let end = child.capacity().min(parent.capacity());
    let mut buf = vec![0; GRAIN as usize];
    let mut at = 0;
    while let Some(range) = child.next_own(at)? {
        at = range.start;
        let until = range.end.min(end);
        while at < until {
            monitor.check()?;
            let now = (until - at).min(GRAIN);
            let buf = &mut buf[..now as usize];
            child.read_exact_at(buf, at)?;
            target.write(at, buf)?;
            monitor.add_bytes(now);
            at += now;
        }
        if range.end >= end {
            break;
        }
    }
    target.finish(child.descriptor().cid()?)
}

/// A parent that is open for writing.
enum Target<'a> {
    Sparse(Box<SparseDisk>),
    Flat {
        path: &'a Path,
        descriptor: Descriptor,
        extents: Vec<FlatExtent<'a>>,
    },
}

struct FlatExtent<'a> {
    file: File,
    name: &'a str,
    /// The range of the disk, in bytes.
    start: u64,
    end: u64,
    /// The offset of the extent in its file.
    offset: u64,
}

impl<'a> Target<'a> {
    fn open(disk: &'a Disk) -> Result<Self, crate::Error> {
        let is_flat = |kind: &ExtentKind| matches!(kind, ExtentKind::Flat | ExtentKind::Vmfs);
        if !disk.descriptor().extents().all(|e| is_flat(&e.kind)) {
            let mut sparse = SparseDisk::open(disk.path())?;
            sparse.keep_cid();
            return Ok(Self::Sparse(Box::new(sparse)));
        }
        let folder = disk.path().parent().unwrap_or(Path::new(""));
        let mut extents = Vec::new();
        let mut start = 0;
        for extent in disk.descriptor().extents() {
            let path = folder.join(&extent.file);
            let file = OpenOptions::new()
                .write(true)
                .open(&path)
                .map_err(|source| file_error("open", &path, source))?;
            // `Disk::open_within` has checked that the sum does not overflow.
            let end = start + extent.sectors * SECTOR;
            extents.push(FlatExtent {
                file,
                name: &extent.file,
                start,
                end,
                offset: extent.offset.saturating_mul(SECTOR),
            });
            start = end;
        }
        Ok(Self::Flat {
            path: disk.path(),
            descriptor: disk.descriptor().clone(),
            extents,
        })
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<(), crate::Error> {
        let extents = match self {
            Self::Sparse(disk) => return disk.write_at(offset, bytes),
            Self::Flat { extents, .. } => extents,
        };
        let last = offset + bytes.len() as u64;
        for extent in extents {
            let (from, to) = (offset.max(extent.start), last.min(extent.end));
            if from < to {
                let piece = &bytes[(from - offset) as usize..(to - offset) as usize];
                write_all_at(&extent.file, piece, extent.offset + from - extent.start)
                    .map_err(|source| file_error("write", Path::new(extent.name), source))?;
            }
        }
        Ok(())
    }

    fn finish(self, cid: u32) -> Result<(), crate::Error> {
        match self {
            Self::Sparse(mut disk) => disk.set_cid(cid),
            Self::Flat {
                path,
                mut descriptor,
                ..
            } => {
                descriptor.set_cid(cid);
                std::fs::write(path, descriptor.to_bytes())
                    .map_err(|source| file_error("write", path, source))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::super::{ChildForm, CreateType, FlatDisk};
    use super::*;

    fn read(path: &Path, offset: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        let disk = Disk::open(path).unwrap();
        disk.read_exact_at(&mut bytes, offset).unwrap();
        bytes
    }

    fn child(path: &Path, parent: &Path, cid: u32) -> SparseDisk {
        let hint = parent.file_name().unwrap().to_str().unwrap();
        let parent = Disk::open(parent).unwrap();
        SparseDisk::create_child(path, parent, hint, cid, ChildForm::Delta).unwrap()
    }

    #[test]
    fn a_chain_is_merged_into_its_base_from_either_end() {
        for top_first in [true, false] {
            let folder = tempfile::tempdir().unwrap();
            let at = |name: &str| folder.path().join(name);
            let (base, middle, top) = (at("a.vmdk"), at("a-000001.vmdk"), at("a-000002.vmdk"));
            let mut flat = FlatDisk::create(&base, CreateType::Vmfs, 1 << 20, 7).unwrap();
            flat.write_at(0, &[b'b'; 1 << 20]).unwrap();
            drop(flat);
            let mut disk = child(&middle, &base, 8);
            disk.write_at(65_536, &[b'm'; 131_072]).unwrap();
            drop(disk);
            let mut disk = child(&top, &middle, 9);
            // Zeros hide what the parents have.
            disk.write_at(131_072, &[0; 65_536]).unwrap();
            disk.write_at(5, b"top").unwrap();
            drop(disk);
            let whole = read(&top, 0, 1 << 20);
            let monitor = Monitor::new();
            if top_first {
                merge_into_parent(&top, folder.path(), &monitor).unwrap();
                std::fs::remove_file(&top).unwrap();
                assert_eq!(read(&middle, 0, 1 << 20), whole);
                merge_into_parent(&middle, folder.path(), &monitor).unwrap();
            } else {
                let middle_cid = Disk::open(&middle).unwrap().descriptor().cid().unwrap();
                merge_into_parent(&middle, folder.path(), &monitor).unwrap();
                let mut descriptor = super::super::read_descriptor(&top).unwrap();
                // The base has taken over the id that the child expects.
                descriptor.set_parent(middle_cid, "a.vmdk");
                std::fs::write(&top, descriptor.to_bytes()).unwrap();
                assert_eq!(read(&top, 0, 1 << 20), whole);
                merge_into_parent(&top, folder.path(), &monitor).unwrap();
            }
            assert_eq!(read(&base, 0, 1 << 20), whole);
            assert_eq!(&whole[..8], b"bbbbbtop");
            assert_eq!(&whole[131_071..131_073], b"m\0");
        }
    }

    #[test]
    fn a_merge_that_is_cancelled_leaves_the_child_readable() {
        let folder = tempfile::tempdir().unwrap();
        let (base, top) = (folder.path().join("a.vmdk"), folder.path().join("b.vmdk"));
        drop(SparseDisk::create(&base, 1 << 20, 7).unwrap());
        let mut disk = child(&top, &base, 8);
        disk.write_at(0, &[b't'; 1 << 17]).unwrap();
        drop(disk);
        let monitor = Monitor::new();
        monitor.cancel();
        let cancelled = merge_into_parent(&top, folder.path(), &monitor);
        assert!(matches!(cancelled, Err(crate::Error::Cancelled)));
        assert_eq!(read(&top, 0, 4), b"tttt");
        merge_into_parent(&top, folder.path(), &Monitor::new()).unwrap();
        assert_eq!(read(&base, 0, 4), b"tttt");
        let alone = merge_into_parent(&base, folder.path(), &Monitor::new());
        assert!(alone.is_err());
    }
}
