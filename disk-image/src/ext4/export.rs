//! Traverses a file system, unpacks it, and streams it as tar.

use std::collections::BTreeSet;
use std::collections::btree_map::{BTreeMap, Entry};
use std::io::{self, Read, Write};

use super::error::Error;
use super::inode::{FileKind, Inode};
use super::layout::LOST_AND_FOUND;
use super::reader::{Reader, from_io};
use crate::Monitor;
use crate::archive::writer::{Attributes, Item, TarWriter};
use crate::block::BlockRead;
use crate::limits::LimitKind;
use crate::tree::Xattr;

/// A name visited by [`Reader::walk`].
#[derive(Debug)]
#[non_exhaustive]
pub struct Visited<'a> {
    /// The path relative to the start of the walk, without a leading slash; empty for the
    /// start itself.
    pub path: &'a [u8],
    /// The file.
    pub inode: &'a Inode,
}

impl<D: BlockRead> Reader<D> {
    /// Visits `start` and everything below it, parents first, siblings in byte order.
    /// An empty `lost+found` in the root is skipped. The visitor returns whether to enter a
    /// directory.
    ///
    /// # Errors
    /// The error of the visitor, and [`crate::Error::Ext4`] if something is damaged, including a
    /// directory with two parents.
    pub fn walk(
        &self,
        start: &Inode,
        monitor: &Monitor,
        mut visit: impl FnMut(&Visited<'_>) -> Result<bool, crate::Error>,
    ) -> Result<(), crate::Error> {
        let mut path = Vec::new();
        if !visit(&Visited {
            path: &path,
            inode: start,
        })? || start.kind != FileKind::Directory
        {
            return Ok(());
        }
        let mut seen = BTreeSet::from([start.number()]);
        let names = self.read_dir(start)?;
        // Number of names in memory, from all directories on the current path.
        let mut held = names.len();
        let mut open = vec![(names.into_iter(), 0, held)];
        let is_root = start.number() == super::ROOT_INODE;
        while let Some((names, length, count)) = open.last_mut() {
            monitor.check()?;
            path.truncate(*length);
            let Some((name, number)) = names.next() else {
                held -= *count;
                open.pop();
                continue;
            };
            let inode = self.inode(number)?;
            let is_lost_and_found = is_root && path.is_empty() && &*name == LOST_AND_FOUND;
            if is_lost_and_found && self.is_lost_and_found(&inode)? {
                continue;
            }
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(&name);
            monitor.add_entry();
            let enter = visit(&Visited {
                path: &path,
                inode: &inode,
            })?;
            if inode.kind == FileKind::Directory {
                if !seen.insert(number) {
                    let what = "directory, which has two names,";
                    return Err(Error::Damaged {
                        inode: number,
                        what,
                    }
                    .into());
                }
                if enter {
                    let depth = open.len() as u64;
                    self.limit(depth, |limits| limits.depth, LimitKind::Depth)?;
                    let names = self.read_dir(&inode)?;
                    let count = names.len();
                    held += count;
                    self.limit(held as u64, |limits| limits.entries, LimitKind::Entries)?;
                    open.push((names.into_iter(), path.len(), count));
                }
            }
        }
        Ok(())
    }

    /// Returns whether a file named `lost+found` in the root is an empty directory.
    pub(super) fn is_lost_and_found(&self, inode: &Inode) -> Result<bool, crate::Error> {
        Ok(inode.kind == FileKind::Directory && self.read_dir(inode)?.is_empty())
    }

    /// Unpacks the whole file system into a directory, which must be empty and is created if it
    /// does not exist. Nothing is written outside of it. Anything for which the caller lacks
    /// privileges is recorded and skipped; sockets are skipped.
    ///
    /// # Errors
    /// [`crate::Error::Unpack`] with the file that could not be created;
    /// [`crate::Error::Ext4`]; [`crate::Error::Cancelled`]. Files unpacked so far
    /// remain.
    #[cfg(unix)]
    pub fn unpack(
        &self,
        directory: impl AsRef<std::path::Path>,
        options: &crate::UnpackOptions,
        monitor: &Monitor,
    ) -> Result<crate::Unpacked, crate::Error> {
        let mut unpacker = crate::unpack::Unpacker::new(directory.as_ref(), options)?;
        let mut names = FirstNames::default();
        let mut buf = vec![0; 256 << 10];
        self.walk(&self.root()?, monitor, |visited| {
            let Visited { path, inode } = *visited;
            let xattrs = self.xattrs(inode)?;
            let attributes = attributes(inode, &xattrs);
            if let Some(first) = names.first(self, path, inode)? {
                let is_device = matches!(inode.kind, FileKind::Char(..) | FileKind::Block(..));
                if is_device && !unpacker.exists(first) {
                    return Ok(true);
                }
                unpacker.make(path, &Item::HardLink(first), &attributes)?;
                return Ok(true);
            }
            let target;
            let item = match inode.kind {
                FileKind::File => {
                    let file = unpacker.create(path)?;
                    let mut reader = self.file(inode)?;
                    while let Some(offset) = reader.seek_data()? {
                        monitor.check()?;
                        let n = reader.read(&mut buf).map_err(from_io)?;
                        file.write_at(offset, &buf[..n])?;
                        monitor.add_bytes(n as u64);
                        unpacker.add_bytes(n as u64);
                    }
                    unpacker.close(path, file, inode.size, &attributes)?;
                    return Ok(true);
                }
                FileKind::Symlink => {
                    target = self.read_link(inode)?;
                    Item::Symlink(&target)
                }
                kind => match item_of(kind) {
                    Some(item) => item,
                    None => return Ok(true),
                },
            };
            unpacker.make(path, &item, &attributes)?;
            Ok(true)
        })?;
        unpacker.finish()
    }

    /// Streams the directory `start` as a tar archive, with relative names. `filter` is called for
    /// every path; a rejected directory is skipped with everything below it. Sockets
    /// are skipped.
    ///
    /// # Errors
    /// [`crate::Error::Write`]; [`crate::Error::Ext4`], also if `start` is not a directory;
    /// [`crate::Error::Cancelled`].
    pub fn write_tar<W: Write>(
        &self,
        start: &Inode,
        out: W,
        mut filter: impl FnMut(&Visited<'_>) -> bool,
        monitor: &Monitor,
    ) -> Result<W, crate::Error> {
        // A file would have no name.
        if start.kind != FileKind::Directory {
            return Err(Error::NotADirectory(start.number).into());
        }
        let mut tar = TarWriter::new(out);
        let mut names = FirstNames::default();
        self.walk(start, monitor, |visited| {
            if !filter(visited) {
                return Ok(false);
            }
            self.write_entry(&mut tar, &mut names, visited.path, visited.inode, monitor)?;
            Ok(true)
        })?;
        tar.finish().map_err(crate::Error::Write)
    }

    /// Writes one entry with its data.
    pub(super) fn write_entry<W: Write>(
        &self,
        tar: &mut TarWriter<W>,
        names: &mut FirstNames,
        path: &[u8],
        inode: &Inode,
        monitor: &Monitor,
    ) -> Result<(), crate::Error> {
        let xattrs = self.xattrs(inode)?;
        let attributes = attributes(inode, &xattrs);
        let path = if path.is_empty() { b"." } else { path };
        if let Some(first) = names.first(self, path, inode)? {
            let link = tar.entry(path, &Item::HardLink(first), &attributes);
            return link.map_err(crate::Error::Write);
        }
        match inode.kind {
            FileKind::File => {
                let file = Watched(self.file(inode)?, monitor);
                tar.entry(path, &Item::File(inode.size), &attributes)
                    .and_then(|()| tar.data(file, inode.size))
                    .map_err(|error| match error.downcast::<crate::Error>() {
                        Ok(error) => error,
                        Err(source) => crate::Error::Write(source),
                    })
            }
            FileKind::Symlink => {
                let target = self.read_link(inode)?;
                let entry = tar.entry(path, &Item::Symlink(&target), &attributes);
                entry.map_err(crate::Error::Write)
            }
            kind => match item_of(kind) {
                Some(item) => tar
                    .entry(path, &item, &attributes)
                    .map_err(crate::Error::Write),
                None => Ok(()),
            },
        }
    }
}

/// Remembers the first name of every file that has several hard links.
#[derive(Default)]
pub(super) struct FirstNames {
    names: BTreeMap<u32, Box<[u8]>>,
    bytes: u64,
}

impl FirstNames {
    /// Creates a map that already contains `names`, by inode number.
    pub(super) fn of(names: &BTreeMap<u32, Box<[u8]>>) -> Self {
        Self {
            names: names.clone(),
            bytes: names.values().map(|name| name.len() as u64).sum(),
        }
    }

    /// Returns the name that this one is a hard link to; `None` if this is the file's first name.
    fn first<D: BlockRead>(
        &mut self,
        reader: &Reader<D>,
        path: &[u8],
        inode: &Inode,
    ) -> Result<Option<&[u8]>, crate::Error> {
        if inode.links < 2 || inode.kind == FileKind::Directory {
            return Ok(None);
        }
        match self.names.entry(inode.number) {
            Entry::Occupied(name) => Ok(Some(&**name.into_mut())),
            Entry::Vacant(place) => {
                self.bytes += path.len() as u64;
                reader.limit(self.bytes, |limits| limits.metadata, LimitKind::Metadata)?;
                place.insert(path.into());
                Ok(None)
            }
        }
    }
}

/// A reader that stops when the operation is cancelled, because reading a huge hole may take very
/// long.
struct Watched<'a, R>(R, &'a Monitor);

impl<R: Read> Read for Watched<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.1.check().map_err(io::Error::other)?;
        let n = self.0.read(buf)?;
        self.1.add_bytes(n as u64);
        Ok(n)
    }
}

fn item_of(kind: FileKind) -> Option<Item<'static>> {
    Some(match kind {
        FileKind::Directory => Item::Directory,
        FileKind::Char(major, minor) => Item::Char(major, minor),
        FileKind::Block(major, minor) => Item::Block(major, minor),
        FileKind::Fifo => Item::Fifo,
        FileKind::File | FileKind::Symlink | FileKind::Socket => return None,
    })
}

fn attributes<'a>(inode: &Inode, xattrs: &'a [Xattr]) -> Attributes<'a> {
    Attributes {
        mode: inode.permissions(),
        uid: inode.uid,
        gid: inode.gid,
        mtime: inode.mtime,
        xattrs,
    }
}
