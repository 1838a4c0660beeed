//! The differences between two file systems, as a list and as a layer.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::iter::Peekable;

use super::export::FirstNames;
use super::inode::{FileKind, Inode};
use super::layout::LOST_AND_FOUND;
use super::reader::{NamedInode, Reader, from_io};
use crate::archive::writer::{Attributes, Item, TarWriter};
use crate::block::BlockRead;
use crate::limits::{LimitKind, Limits};
use crate::{Error, Monitor, Timestamp};

/// The kind of a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ChangeKind {
    /// The path is new.
    Added,
    /// The content, type or attributes of the path differ.
    Modified,
    /// The path was deleted, with everything below it.
    Deleted,
}

/// A path that differs between two file systems.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// The path, without a leading slash.
    pub path: Box<[u8]>,
    /// The kind of the difference.
    pub kind: ChangeKind,
    /// Its inode number in the newer file system; 0 if the path was deleted.
    inode: u32,
}

/// The changes from one file system to another, returned by [`Changes::between`].
#[derive(Debug, Default)]
pub struct Changes {
    list: Vec<Change>,
    /// Unchanged names of files that have several hard links, by inode number.
    unchanged: BTreeMap<u32, Box<[u8]>>,
    /// Total size in bytes of all paths kept in memory.
    bytes: u64,
}

impl Changes {
    /// Compares two trees: names, kinds, attributes, and contents byte by byte. Access times,
    /// change times and inode numbers are ignored.
    ///
    /// # Errors
    /// [`Error::Ext4`] if one of them is damaged; [`Error::Cancelled`].
    pub fn between<A: BlockRead, B: BlockRead>(
        old: &Reader<A>,
        new: &Reader<B>,
        monitor: &Monitor,
    ) -> Result<Self, Error> {
        let mut comparison = Comparison {
            old,
            new,
            changes: Self::default(),
            monitor,
        };
        comparison.run()?;
        comparison.changes.list.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(comparison.changes)
    }

    /// Returns the changes in order of their paths. Every path below an added directory is listed,
    /// but no path below a deleted one.
    pub fn list(&self) -> &[Change] {
        &self.list
    }

    /// Writes the changes as a layer of an image, with whiteouts for deleted files. `new` must
    /// be the file system that was compared. `filter` is called for every change.
    ///
    /// # Errors
    /// [`Error::Write`]; [`Error::Ext4`]; [`Error::Cancelled`]; [`Error::Unstorable`] if a
    /// name starts like a whiteout.
    pub fn write_layer<B: BlockRead, W: Write>(
        &self,
        new: &Reader<B>,
        out: W,
        mut filter: impl FnMut(&Change) -> bool,
        monitor: &Monitor,
    ) -> Result<W, Error> {
        let mut tar = TarWriter::new(out);
        let mut names = FirstNames::of(&self.unchanged);
        for change in &self.list {
            monitor.check()?;
            if !filter(change) {
                continue;
            }
            let (parent, name) = split(&change.path);
            if name.starts_with(b".wh.") {
                let reason = "a name that begins with .wh. is a whiteout in a layer";
                return Err(Error::Unstorable {
                    path: change.path.clone(),
                    reason,
                });
            }
            if change.kind == ChangeKind::Deleted {
                let path = [parent, b".wh.", name].concat();
                tar.entry(&path, &Item::File(0), &WHITEOUT)
                    .map_err(Error::Write)?;
            } else {
                let inode = new.inode(change.inode)?;
                new.write_entry(&mut tar, &mut names, &change.path, &inode, monitor)?;
            }
            monitor.add_entry();
        }
        tar.finish().map_err(Error::Write)
    }
}

const WHITEOUT: Attributes<'static> = Attributes {
    mode: 0o600,
    uid: 0,
    gid: 0,
    mtime: Timestamp {
        seconds: 0,
        nanos: 0,
    },
    xattrs: &[],
};

/// Splits a path into its parent, including the trailing slash, and its name.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    let at = path
        .iter()
        .rposition(|&byte| byte == b'/')
        .map_or(0, |slash| slash + 1);
    path.split_at(at)
}

struct Comparison<'a, A, B> {
    old: &'a Reader<A>,
    new: &'a Reader<B>,
    changes: Changes,
    monitor: &'a Monitor,
}

type Names = Peekable<std::vec::IntoIter<NamedInode>>;

impl<A: BlockRead, B: BlockRead> Comparison<'_, A, B> {
    fn run(&mut self) -> Result<(), Error> {
        let (old, new) = (self.old.root()?, self.new.root()?);
        if !self.is_same(&old, &new)? {
            self.push(b".".as_slice().into(), ChangeKind::Modified, new.number())?;
        }
        let mut open = vec![(Vec::new(), 1, Some(old), new)];
        let mut seen = std::collections::BTreeSet::new();
        while let Some((path, depth, old, new)) = open.pop() {
            self.new
                .limit(depth, |limits| limits.depth, LimitKind::Depth)?;
            if !seen.insert(new.number()) {
                let (inode, what) = (new.number(), "directory, which has two names,");
                return Err(super::Error::Damaged { inode, what }.into());
            }
            let old_names = match &old {
                Some(old) => self.old.read_dir(old)?,
                None => Vec::new(),
            };
            let mut old_names = old_names.into_iter().peekable();
            let mut new_names = self.new.read_dir(&new)?.into_iter().peekable();
            while let Some((name, old, new)) = next_pair(&mut old_names, &mut new_names) {
                self.monitor.check()?;
                if path.is_empty() && &*name == LOST_AND_FOUND && self.is_unused(old, new)? {
                    continue;
                }
                let mut path: Vec<u8> = path.clone();
                if !path.is_empty() {
                    path.push(b'/');
                }
                path.extend_from_slice(&name);
                if let Some((path, old, new)) = self.compare(path, old, new)? {
                    self.count(&path)?;
                    open.push((path, depth + 1, old, new));
                }
            }
        }
        Ok(())
    }

    /// Returns whether `lost+found` is empty or missing in both file systems.
    fn is_unused(&self, old: Option<u32>, new: Option<u32>) -> Result<bool, Error> {
        if let Some(old) = old
            && !self.old.is_lost_and_found(&self.old.inode(old)?)?
        {
            return Ok(false);
        }
        match new {
            Some(new) => self.new.is_lost_and_found(&self.new.inode(new)?),
            None => Ok(true),
        }
    }

    /// Compares one path, and returns the directories to compare below it.
    #[expect(clippy::type_complexity, reason = "the entry of a private stack")]
    fn compare(
        &mut self,
        path: Vec<u8>,
        old: Option<u32>,
        new: Option<u32>,
    ) -> Result<Option<(Vec<u8>, Option<Inode>, Inode)>, Error> {
        // Layers cannot contain sockets, so they count as absent.
        let is_present = |inode: &Inode| inode.kind() != FileKind::Socket;
        let old = old.map(|number| self.old.inode(number)).transpose()?;
        let old = old.filter(is_present);
        let new = new.map(|number| self.new.inode(number)).transpose()?;
        let Some(new) = new.filter(is_present) else {
            if old.is_some() {
                self.push(path.into(), ChangeKind::Deleted, 0)?;
            }
            return Ok(None);
        };
        match &old {
            None => self.push(path.clone().into(), ChangeKind::Added, new.number())?,
            Some(old) if !self.is_same(old, &new)? => {
                self.push(path.clone().into(), ChangeKind::Modified, new.number())?;
            }
            Some(_) if new.links() > 1 => {
                self.count(&path)?;
                self.changes
                    .unchanged
                    .entry(new.number())
                    .or_insert_with(|| path.clone().into());
            }
            Some(_) => {}
        }
        if new.kind() != FileKind::Directory {
            return Ok(None);
        }
        let old = old.filter(|old| old.kind() == FileKind::Directory);
        Ok(Some((path, old, new)))
    }

    fn push(&mut self, path: Box<[u8]>, kind: ChangeKind, inode: u32) -> Result<(), Error> {
        self.count(&path)?;
        self.changes.list.push(Change { path, kind, inode });
        Ok(())
    }

    /// Counts a path that is kept in memory towards the limit.
    fn count(&mut self, path: &[u8]) -> Result<(), Error> {
        self.changes.bytes += path.len() as u64;
        let most = |limits: &Limits| limits.metadata;
        self.new
            .limit(self.changes.bytes, most, LimitKind::Metadata)
    }

    fn is_same(&self, old: &Inode, new: &Inode) -> Result<bool, Error> {
        let attributes = |inode: &Inode| {
            let size = if inode.kind() == FileKind::Directory {
                0
            } else {
                inode.size()
            };
            let owner = (inode.uid(), inode.gid());
            (
                inode.kind(),
                inode.permissions(),
                owner,
                inode.modified(),
                size,
            )
        };
        if attributes(old) != attributes(new) || self.old.xattrs(old)? != self.new.xattrs(new)? {
            return Ok(false);
        }
        match new.kind() {
            FileKind::Symlink => Ok(self.old.read_link(old)? == self.new.read_link(new)?),
            FileKind::File => self.has_same_content(old, new),
            _ => Ok(true),
        }
    }

    fn has_same_content(&self, old: &Inode, new: &Inode) -> Result<bool, Error> {
        let (mut old, mut new) = (self.old.file(old)?, self.new.file(new)?);
        let (mut a, mut b) = (vec![0; 64 << 10], vec![0; 64 << 10]);
        loop {
            self.monitor.check()?;
            // Holes of both files are skipped, because they may be terabytes long.
            let data = old.next_data()?.min(new.next_data()?);
            old.skip_to(data);
            new.skip_to(data);
            let n = old.read(&mut a).map_err(from_io)?;
            if n == 0 {
                return Ok(true);
            }
            new.read_exact(&mut b[..n]).map_err(from_io)?;
            if a[..n] != b[..n] {
                return Ok(false);
            }
            self.monitor.add_bytes(n as u64);
        }
    }
}

/// Returns the next name in either directory, with its inode number in each.
#[expect(clippy::type_complexity, reason = "a name with two numbers")]
fn next_pair(old: &mut Names, new: &mut Names) -> Option<(Box<[u8]>, Option<u32>, Option<u32>)> {
    let order = match (old.peek(), new.peek()) {
        (Some(old), Some(new)) => old.0.cmp(&new.0),
        (Some(_), None) => std::cmp::Ordering::Less,
        (None, _) => std::cmp::Ordering::Greater,
    };
    let old = if order.is_le() { old.next() } else { None };
    let new = if order.is_ge() { new.next() } else { None };
    let (old_inode, new_inode) = (old.as_ref().map(|n| n.1), new.as_ref().map(|n| n.1));
    let name = new.or(old)?.0;
    Some((name, old_inode, new_inode))
}
