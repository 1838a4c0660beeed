//! File systems designed to take endless time or memory are refused.

use std::io::{Read, Write};

use disk_image::ext4::{self, Changes, Inode, Reader};
use disk_image::{Error, Limits, Monitor};

use crate::support::{Tar, disk};

const BLOCK: usize = 4096;
/// The first of the blocks that are free on the disk of [`sample`].
const FREE: usize = 3000;
/// The size of the file `f`, used to find its inode.
const SIZE: u32 = 123_456;

/// Returns a disk with the file `f`, without metadata checksums.
fn sample() -> Vec<u8> {
    let layer = Tar::new()
        .file("f", &vec![1; SIZE as usize])
        .file("d/e/a", b"")
        .hard_link("d/e/b", "d/e/a");
    let mut disk = disk([layer.done()]);
    disk[1024 + 0x65] &= !4;
    disk
}

fn put(disk: &mut [u8], at: usize, bytes: &[u8]) {
    disk[at..at + bytes.len()].copy_from_slice(bytes);
}

/// Returns the offset of the inode of `f`.
fn inode_of(disk: &[u8]) -> usize {
    let inodes = (0..disk.len() - 256).step_by(256);
    let mut found = inodes
        .filter(|at| disk[at + 4..at + 8] == SIZE.to_le_bytes() && disk[at + 1] & 0xf0 == 0x80);
    found.next().unwrap()
}

fn read(disk: Vec<u8>) -> Result<(), Error> {
    let reader = Reader::open(disk)?;
    let file: Inode = reader.lookup(b"f")?;
    let mut file = reader.file(&file)?;
    while file.seek_data()?.is_some() {
        file.read_exact(&mut [0; 512]).map_err(Error::Write)?;
    }
    Ok(())
}

fn node(depth: u16, entries: usize, entry: [u8; 12]) -> Vec<u8> {
    let mut node = vec![0x0a, 0xf3];
    for value in [entries as u16, entries as u16, depth, 0, 0] {
        node.extend(value.to_le_bytes());
    }
    (0..entries).for_each(|_| node.extend(entry));
    node
}

#[test]
fn trees_of_extents_that_lead_to_one_node_again_and_again_are_refused() {
    let mut disk = sample();
    let at = inode_of(&disk);
    let index = |block: usize| {
        let mut entry = [0; 12];
        entry[4..8].copy_from_slice(&(block as u32).to_le_bytes());
        entry
    };
    put(&mut disk, at + 0x28, &node(5, 4, index(FREE + 4)));
    for depth in 1..5u16 {
        let block = FREE + depth as usize;
        put(
            &mut disk,
            block * BLOCK,
            &node(depth, 340, index(block - 1)),
        );
    }
    // An unwritten extent has no data to find.
    let mut unwritten = [0; 12];
    unwritten[4..6].copy_from_slice(&40_000u16.to_le_bytes());
    put(&mut disk, FREE * BLOCK, &node(0, 340, unwritten));
    assert!(matches!(read(disk.clone()), Err(Error::Ext4(_))));
    // Nodes without entries.
    put(&mut disk, FREE * BLOCK, &node(0, 0, unwritten));
    assert!(matches!(read(disk), Err(Error::Ext4(_))));
}

#[test]
fn maps_of_blocks_that_lead_to_nothing_again_and_again_are_refused() {
    let mut disk = sample();
    let at = inode_of(&disk);
    disk[at + 0x22] &= !8;
    put(&mut disk, at + 0x28, &[0; 60]);
    put(&mut disk, at + 0x28 + 14 * 4, &(FREE as u32).to_le_bytes());
    // The largest size that the kernel does not read as negative.
    put(&mut disk, at + 0x6c, &0x7fff_ffffu32.to_le_bytes());
    for (block, next) in [(FREE, FREE + 1), (FREE + 1, FREE + 2)] {
        for entry in 0..1024 {
            put(
                &mut disk,
                block * BLOCK + entry * 4,
                &(next as u32).to_le_bytes(),
            );
        }
    }
    assert!(matches!(read(disk), Err(Error::Ext4(_))));
}

#[test]
fn numbers_of_the_superblock_cannot_overflow() {
    let mut disk = sample();
    disk[1024 + 0x60] |= 0x10;
    put(&mut disk, 1024 + 0x104, &[0; 4]);
    put(&mut disk, 1024, &[0xff; 4]);
    put(&mut disk, 1024 + 0x20, &[0xff; 4]);
    put(&mut disk, 1024 + 0x28, &1u32.to_le_bytes());
    let reader = Reader::open(disk).unwrap();
    assert!(matches!(reader.inode(u32::MAX), Err(Error::Ext4(_))));
}

/// The size of inline data is checked for files only: for a directory, it may be anything. Such a
/// directory may also be named as the value of an attribute.
#[test]
fn directories_are_not_read_as_files() {
    const INLINE: u32 = 0x1000_0000;
    let mut disk = sample();
    let at = inode_of(&disk);
    put(&mut disk, at, &0o040_755u16.to_le_bytes());
    put(&mut disk, at + 0x20, &INLINE.to_le_bytes());
    let reader = Reader::open(disk).unwrap();
    let inode = reader.lookup(b"f").unwrap();
    let read = reader.file(&inode);
    assert!(matches!(read, Err(Error::Ext4(ext4::Error::NotAFile(_)))));
}

#[test]
fn a_journal_that_has_to_be_replayed_is_refused() {
    let mut disk = sample();
    disk[1024 + 0x60] |= 4;
    let error = Reader::open(disk).unwrap_err();
    assert!(matches!(error, Error::Ext4(ext4::Error::NeedsRecovery)));
}

/// Layers cannot contain sockets.
#[test]
fn a_file_that_was_replaced_by_a_socket_is_deleted() {
    let old = sample();
    let mut new = old.clone();
    let at = inode_of(&new);
    put(&mut new, at, &0o140_644u16.to_le_bytes());
    let [old, new] = [old, new].map(|disk| Reader::open(disk).unwrap());
    let list = |from, to| {
        let changes = Changes::between(from, to, &Monitor::new()).unwrap();
        let changes = changes.list().iter();
        changes
            .map(|c| (c.path.to_vec(), c.kind))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        list(&old, &new),
        [(b"f".to_vec(), ext4::ChangeKind::Deleted)]
    );
    assert_eq!(list(&new, &old), [(b"f".to_vec(), ext4::ChangeKind::Added)]);
    assert_eq!(list(&new, &new), []);
}

#[test]
fn directories_and_names_are_limited() {
    let disk = sample();
    for (limits, text) in [
        (Limits::default().entries(1), "more than 1 entries"),
        (Limits::default().entries(2), "more than 2 entries"),
        (Limits::default().depth(1), "more than 1 nested directories"),
        (
            Limits::default().metadata(4),
            "more than 4 bytes of names and attributes",
        ),
    ] {
        let reader = Reader::open(&disk).unwrap().limits(limits.clone());
        let root = reader.root().unwrap();
        let monitor = Monitor::new();
        let error = reader.write_tar(&root, Vec::new(), |_| true, &monitor);
        let Err(Error::Ext4(error)) = error else {
            panic!("{text}");
        };
        assert_eq!(error.to_string(), text);
    }
    let old = Reader::open(crate::support::disk([])).unwrap();
    for limits in [Limits::default().depth(1), Limits::default().metadata(4)] {
        let new = Reader::open(&disk).unwrap().limits(limits);
        let changes = Changes::between(&old, &new, &Monitor::new());
        assert!(matches!(changes, Err(Error::Ext4(_))));
    }
}

/// A sink that cancels the operation after a number of bytes.
struct Cancelling(Monitor, usize);

impl Write for Cancelling {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        self.1 = self.1.saturating_sub(buf.len());
        if self.1 == 0 {
            self.0.cancel();
        }
        Ok(buf.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn streaming_an_endless_hole_can_be_cancelled() {
    let mut disk = sample();
    let at = inode_of(&disk);
    put(&mut disk, at + 0x6c, &0x3fff_ffffu32.to_le_bytes());
    let reader = Reader::open(disk).unwrap();
    let monitor = Monitor::new();
    let out = Cancelling(monitor.clone(), 1 << 20);
    let result = reader.write_tar(&reader.root().unwrap(), out, |_| true, &monitor);
    assert!(matches!(result, Err(Error::Cancelled)));
    assert!(monitor.bytes() < 8 << 20);
}
