//! Opens virtual disks of all supported formats, and their parents, for reading.

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::descriptor::{CreateType, Descriptor, ExtentKind, MAX_BYTES};
use super::grains::{Grain, Grains};
use super::header::MAGIC;
use super::{Error, SECTOR};
use crate::block::{BlockRead, RawDisk, file_error};

/// The maximum number of disks in a chain of parents.
const MAX_CHAIN: usize = 64;
/// The maximum number of extents of a disk; each one is an open file. The largest disk, 62 TiB, in
/// pieces of 2 GiB would have more, but no known program creates such disks.
const MAX_EXTENTS: usize = 4096;

/// A virtual disk that is open for reading, with its parents. Supported are monolithicSparse,
/// streamOptimized, flat and `vmfs` disks, and disks that are split into several extents.
///
/// The disk is not locked: while it is read, neither it nor its parents may be written to.
#[derive(Debug)]
pub struct Disk {
    path: PathBuf,
    descriptor: Descriptor,
    parts: Vec<Part>,
    capacity: u64,
    parent: Option<Box<Self>>,
}

#[derive(Debug)]
struct Part {
    start: u64,
    end: u64,
    content: PartContent,
}

#[derive(Debug)]
enum PartContent {
    Flat(RawDisk),
    Sparse(Box<Grains>),
    Zero,
}

/// The files that a disk may refer to.
#[derive(Clone, Copy)]
enum Others<'a> {
    Any,
    /// Those below this directory, which contains no symbolic links.
    Below(&'a Path),
    None,
}

/// The content of a range of a disk.
enum Piece<'a> {
    Flat(&'a RawDisk, u64),
    Grain {
        grains: &'a Grains,
        grain: u64,
        sector: u32,
        within: u64,
    },
    Zero,
    Absent,
}

impl Disk {
    /// Opens a disk by the path of its descriptor, or of its only file. Extents and parents are
    /// opened wherever the descriptors point, so use this only for trusted disks, and
    /// [`Disk::open_within`] for others.
    ///
    /// # Errors
    /// [`crate::Error::Vmdk`] if a file cannot be read, or the disk is damaged or unsupported.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, crate::Error> {
        Self::open_link(path.as_ref(), Others::Any, 0)
    }

    /// Opens a disk that consists of this file, which may be unlinked. A disk that refers to other
    /// files, such as a parent, is refused.
    ///
    /// # Errors
    /// As [`Disk::open`].
    pub fn from_file(file: File) -> Result<Self, crate::Error> {
        Self::open_own(RawDisk::from_file(file)?, Path::new(""), Others::None, 0)
    }

    /// Opens a disk whose files must all be below the directory `root` once symbolic links are
    /// resolved.
    ///
    /// # Errors
    /// As [`Disk::open`], and [`Error::Outside`] if a file is not below `root`.
    pub fn open_within(
        path: impl AsRef<Path>,
        root: impl AsRef<Path>,
    ) -> Result<Self, crate::Error> {
        let root = root.as_ref();
        let root = root
            .canonicalize()
            .map_err(|source| file_error("open", root, source))?;
        Self::open_link(path.as_ref(), Others::Below(&root), 0)
    }

    /// Returns the size in bytes.
    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Returns the descriptor of this disk, without its parents.
    pub fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    /// Returns the parent, if this disk stores only the differences from one.
    pub fn parent(&self) -> Option<&Self> {
        self.parent.as_deref()
    }

    /// Returns the path from which the disk was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn into_parent(self) -> Option<Self> {
        self.parent.map(|parent| *parent)
    }

    fn open_link(path: &Path, others: Others<'_>, depth: usize) -> Result<Self, crate::Error> {
        if depth >= MAX_CHAIN {
            return Err(Error::ChainTooLong(MAX_CHAIN).into());
        }
        Self::open_own(open_file(path, others)?, path, others, depth)
    }

    /// Opens the disk whose descriptor is in the file `own`.
    fn open_own(
        own: RawDisk,
        path: &Path,
        others: Others<'_>,
        depth: usize,
    ) -> Result<Self, crate::Error> {
        let mut own = Some(own);
        let descriptor = read_descriptor_of(own.as_ref())?;
        if descriptor.extents().count() > MAX_EXTENTS {
            return Err(Error::Unsupported("it has more than 4,096 extents").into());
        }
        let mut parts = Vec::new();
        let mut start = 0;
        for extent in descriptor.extents() {
            let end = extent
                .sectors
                .checked_mul(SECTOR)
                .and_then(|size| size.checked_add(start))
                .filter(|&end| end <= 1 << 60)
                .ok_or(Error::Descriptor {
                    line: 0,
                    reason: "its extents are too large",
                })?;
            let target = path.parent().unwrap_or(Path::new("")).join(&extent.file);
            let content = match extent.kind {
                ExtentKind::Zero => PartContent::Zero,
                ExtentKind::Flat | ExtentKind::Vmfs => {
                    let offset = extent.offset.saturating_mul(SECTOR);
                    PartContent::Flat(open_file(&target, others)?.part(offset, end - start)?)
                }
                ExtentKind::Sparse => {
                    // A disk in one file may have been renamed, so its extent is always the file
                    // itself.
                    let is_own = is_sparse(own.as_ref());
                    let file = match own.take_if(|_| is_own) {
                        Some(file) => file,
                        None => open_file(&target, others)?,
                    };
                    let grains = Grains::open(file)?;
                    if grains.header().capacity < extent.sectors {
                        return Err(Error::Damaged {
                            what: "capacity",
                            offset: 0,
                        }
                        .into());
                    }
                    PartContent::Sparse(Box::new(grains))
                }
                ExtentKind::Other(_) => {
                    return Err(Error::Unsupported("an extent has an unknown type").into());
                }
            };
            parts.push(Part {
                start,
                end,
                content,
            });
            start = end;
        }
        let parent = match descriptor.parent_cid()? {
            None => None,
            Some(expected) => {
                let reason = "it has a parentCID but no parentFileNameHint";
                let hint = descriptor
                    .parent_hint()
                    .ok_or(Error::Descriptor { line: 0, reason })?;
                let target = path.parent().unwrap_or(Path::new("")).join(hint);
                let parent = Self::open_link(&target, others, depth + 1)?;
                let found = parent.descriptor.cid()?;
                if found != expected {
                    return Err(Error::ParentChanged { expected, found }.into());
                }
                Some(Box::new(parent))
            }
        };
        Ok(Self {
            path: path.to_owned(),
            descriptor,
            parts,
            capacity: start,
            parent,
        })
    }

    /// Returns the source of the data at `offset`, and where it ends, at most `end`.
    fn piece(&self, offset: u64, end: u64) -> Result<(Piece<'_>, u64), crate::Error> {
        let index = self.parts.partition_point(|part| part.end <= offset);
        let Some(part) = self.parts.get(index) else {
            return Ok((Piece::Zero, end));
        };
        let end = end.min(part.end);
        let at = offset - part.start;
        Ok(match &part.content {
            PartContent::Zero => (Piece::Zero, end),
            PartContent::Flat(file) => (Piece::Flat(file, at), end),
            PartContent::Sparse(grains) => {
                let size = grains.grain_bytes();
                let (grain, within) = (at / size, at % size);
                let until = end.min(offset - within + size);
                let piece = match grains.lookup(grain)? {
                    Grain::Absent => Piece::Absent,
                    Grain::Zero => Piece::Zero,
                    Grain::At(sector) => Piece::Grain {
                        grains,
                        grain,
                        sector,
                        within,
                    },
                };
                (piece, until)
            }
        })
    }

    /// Returns the next range at or after `from` that this disk stores itself, also if it is zero
    /// there. Outside of such ranges, the content is that of the parent.
    pub(super) fn next_own(&self, from: u64) -> Result<Option<Range<u64>>, crate::Error> {
        let mut at = from;
        while at < self.capacity {
            let (piece, until) = self.piece(at, self.capacity)?;
            if !matches!(piece, Piece::Absent) {
                return Ok(Some(at..until));
            }
            at = until;
        }
        Ok(None)
    }

    fn read_range(&self, buf: &mut [u8], offset: u64) -> Result<(), crate::Error> {
        let end = offset + buf.len() as u64;
        let mut at = offset;
        while at < end {
            let (piece, until) = self.piece(at, end)?;
            let buf = &mut buf[(at - offset) as usize..(until - offset) as usize];
            match piece {
                Piece::Flat(file, within) => file.read_exact_at(buf, within)?,
                Piece::Grain {
                    grains,
                    grain,
                    sector,
                    within,
                } => {
                    grains.read(grain, sector, buf, within)?;
                }
                Piece::Zero => buf.fill(0),
                Piece::Absent => match &self.parent {
                    Some(parent) => {
                        // A parent may be smaller than its child; the rest is zero.
                        let there = parent.capacity.saturating_sub(at).min(buf.len() as u64);
                        let (there, beyond) = buf.split_at_mut(there as usize);
                        parent.read_range(there, at)?;
                        beyond.fill(0);
                    }
                    None => buf.fill(0),
                },
            }
            at = until;
        }
        Ok(())
    }

    /// Returns the first range at or after `from` and below `limit` that this disk or a parent
    /// stores.
    fn next_stored(&self, from: u64, limit: u64) -> Result<Option<Range<u64>>, crate::Error> {
        let limit = limit.min(self.capacity);
        let mut at = from;
        while at < limit {
            let index = self.parts.partition_point(|part| part.end <= at);
            let Some(part) = self.parts.get(index) else {
                break;
            };
            let (stored, until) = match &part.content {
                PartContent::Zero => (None, part.end),
                PartContent::Flat(file) => match file.next_data(at - part.start)? {
                    Some(range) => {
                        return Ok(Some(range.start + part.start..range.end + part.start));
                    }
                    None => (None, part.end),
                },
                PartContent::Sparse(grains) => {
                    let size = grains.grain_bytes();
                    let grain = (at - part.start) / size;
                    let grains_here = if grains.is_table_absent(grain) {
                        super::TABLE_ENTRIES - grain % super::TABLE_ENTRIES
                    } else {
                        1
                    };
                    let until = part.end.min(part.start + (grain + grains_here) * size);
                    (Some(grains.lookup(grain)?), until)
                }
            };
            match stored {
                Some(Grain::At(_)) => return Ok(Some(at..until)),
                Some(Grain::Absent) => {
                    let below = match &self.parent {
                        Some(parent) => parent.next_stored(at, until)?,
                        None => None,
                    };
                    if let Some(range) = below.filter(|range| range.start < until) {
                        return Ok(Some(range.start..range.end.min(until)));
                    }
                }
                Some(Grain::Zero) | None => {}
            }
            at = until;
        }
        Ok(None)
    }
}

impl BlockRead for Disk {
    fn size(&self) -> u64 {
        self.capacity
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> Result<(), crate::Error> {
        let len = buf.len() as u64;
        if offset
            .checked_add(len)
            .is_none_or(|end| end > self.capacity)
        {
            return Err(Error::OutOfRange { offset, len }.into());
        }
        self.read_range(buf, offset)
    }

    fn next_data(&self, offset: u64) -> Result<Option<Range<u64>>, crate::Error> {
        self.next_stored(offset, self.capacity)
    }
}

/// Reads only the descriptor of a disk, which is a file of its own or embedded in the disk's only
/// file. Extents and parents are not opened.
///
/// # Errors
/// [`crate::Error::Vmdk`] if there is no valid descriptor.
pub fn read_descriptor(path: impl AsRef<Path>) -> Result<Descriptor, crate::Error> {
    let path = path.as_ref();
    let file = RawDisk::open(path)?;
    read_descriptor_of(Some(&file))
}

fn is_sparse(file: Option<&RawDisk>) -> bool {
    let mut magic = [0; 4];
    file.is_some_and(|file| file.read_exact_at(&mut magic, 0).is_ok() && &magic == MAGIC)
}

fn read_descriptor_of(file: Option<&RawDisk>) -> Result<Descriptor, crate::Error> {
    let Some(file) = file else {
        return Err(Error::Unsupported("it has no descriptor").into());
    };
    if is_sparse(Some(file)) {
        let header = super::grains::read_header(file)?;
        return match super::grains::read_descriptor(file, &header)? {
            Some(text) => {
                let descriptor = Descriptor::parse(&text)?;
                let sparse = |kind: &ExtentKind| *kind == ExtentKind::Sparse;
                if descriptor.extents().count() != 1
                    || !descriptor.extents().all(|extent| sparse(&extent.kind))
                {
                    return Err(Error::Unsupported(
                        "it is a single file, but its descriptor refers to other files",
                    )
                    .into());
                }
                Ok(descriptor)
            }
            // An extent without a descriptor is treated as a complete disk.
            None => Ok(Descriptor::new(
                CreateType::MonolithicSparse,
                header.capacity,
                "self",
            )),
        };
    }
    let mut text = vec![0; file.size().min(MAX_BYTES as u64 + 1) as usize];
    file.read_exact_at(&mut text, 0)?;
    if text.starts_with(b"COWD") {
        return Err(Error::Unsupported("it is an ESXi delta disk without its descriptor").into());
    }
    Ok(Descriptor::parse(&text)?)
}

fn open_file(path: &Path, others: Others<'_>) -> Result<RawDisk, crate::Error> {
    let root = match others {
        Others::Any => return RawDisk::open(path),
        Others::Below(root) => root,
        Others::None => return Err(Error::Outside(path.to_owned()).into()),
    };
    let real = path
        .canonicalize()
        .map_err(|source| file_error("open", path, source))?;
    if !real.starts_with(root) {
        return Err(Error::Outside(path.to_owned()).into());
    }
    // Opening a pipe would block until another process writes to it.
    let meta = real.metadata();
    if !meta
        .map_err(|source| file_error("open", path, source))?
        .is_file()
    {
        return Err(Error::Unsupported("one of its files is not a regular file").into());
    }
    RawDisk::open(real)
}
