//! Reads any ext4 file system that was unmounted cleanly.

use std::fmt;
use std::io::{self, Read};

use uuid::Uuid;

use super::crc::crc32c;
use super::encode::MAGIC;
use super::error::Error;
use super::inode::{FLAG_ENCRYPTED, FLAG_EXTENTS, FLAG_INLINE, FileKind, Inode};
use super::read_xattr;
use super::runs::{Run, Runs};
use super::{ROOT_INODE, geometry};
use crate::block::BlockRead;
use crate::le;
use crate::limits::{LimitKind, Limits};
use crate::tree::Xattr;

/// Reads an ext4 file system, on any disk: raw, virtual, or in memory.
///
/// It supports file systems written by the kernel, not only by this crate: all block sizes, extents
/// and block maps, inline data, hashed and large directories, attributes in inodes, blocks and
/// other inodes. A file system whose journal has to be replayed is rejected, and so are compressed
/// and encrypted files. All input is validated: a damaged or hostile image causes an error, never a
/// panic or an endless loop.
pub struct Reader<D> {
    disk: D,
    block_size: u64,
    blocks: u64,
    inodes: u32,
    inodes_per_group: u32,
    inode_size: usize,
    descriptor_size: usize,
    first_data_block: u64,
    blocks_per_group: u64,
    /// The first descriptor block that is stored in a meta block group instead of in the single
    /// table; `None` without meta block groups.
    meta_groups: Option<u64>,
    sparse_super: bool,
    checksum_seed: Option<u32>,
    uuid: Uuid,
    label: Vec<u8>,
    limits: Limits,
}

/// A name in a directory, and the number of its inode.
pub type NamedInode = (Box<[u8]>, u32);

impl<D: BlockRead> Reader<D> {
    /// Reads the superblock.
    ///
    /// # Errors
    /// [`crate::Error::Ext4`] if this is not ext4, uses unsupported features, or
    /// was not unmounted cleanly.
    pub fn open(disk: D) -> Result<Self, crate::Error> {
        let mut sb = [0; 1024];
        if disk.size() < 2048 {
            return Err(Error::NotExt4.into());
        }
        disk.read_exact_at(&mut sb, 1024)?;
        if le::u16_at(&sb, 0x38) != MAGIC {
            return Err(Error::NotExt4.into());
        }
        let damaged = |what| crate::Error::from(Error::Damaged { inode: 0, what });
        let revision = le::u32_at(&sb, 0x4c);
        let incompat = if revision > 0 {
            le::u32_at(&sb, 0x60)
        } else {
            0
        };
        let ro_compat = if revision > 0 {
            le::u32_at(&sb, 0x64)
        } else {
            0
        };
        check_features(incompat)?;
        let log_block_size = le::u32_at(&sb, 0x18);
        if log_block_size > 6 {
            return Err(damaged("block size"));
        }
        let block_size = 1024u64 << log_block_size;
        let is_64bit = incompat & 0x80 != 0;
        let high = if is_64bit {
            u64::from(le::u32_at(&sb, 0x150))
        } else {
            0
        };
        let blocks = u64::from(le::u32_at(&sb, 0x04)) | high << 32;
        let descriptor_size = if is_64bit {
            le::u16_at(&sb, 0xfe) as usize
        } else {
            32
        };
        let inode_size = if revision > 0 {
            le::u16_at(&sb, 0x58) as usize
        } else {
            128
        };
        let is_size = |size: usize, least: usize, most: u64| {
            size.is_power_of_two() && size >= least && size as u64 <= most
        };
        if !is_size(inode_size, 128, block_size)
            || !is_size(descriptor_size, 32, block_size.min(1024))
        {
            return Err(damaged("superblock"));
        }
        let inodes_per_group = le::u32_at(&sb, 0x28);
        let blocks_per_group = u64::from(le::u32_at(&sb, 0x20));
        if inodes_per_group == 0
            || blocks_per_group == 0
            || blocks
                .checked_mul(block_size)
                .is_none_or(|size| size > disk.size())
        {
            return Err(damaged("superblock"));
        }
        let uuid = Uuid::from_slice(&sb[0x68..0x78]).unwrap_or_default();
        let checksum_seed = (ro_compat & 0x400 != 0).then(|| match incompat & 0x2000 {
            0 => crc32c(!0, uuid.as_bytes()),
            _ => le::u32_at(&sb, 0x270),
        });
        if checksum_seed.is_some() && crc32c(!0, &sb[..0x3fc]) != le::u32_at(&sb, 0x3fc) {
            return Err(damaged("superblock checksum"));
        }
        let label = sb[0x78..0x88]
            .split(|&byte| byte == 0)
            .next()
            .unwrap_or_default()
            .to_vec();
        Ok(Self {
            disk,
            block_size,
            blocks,
            inodes: le::u32_at(&sb, 0x00),
            inodes_per_group,
            inode_size,
            descriptor_size,
            first_data_block: u64::from(le::u32_at(&sb, 0x14)),
            blocks_per_group,
            meta_groups: (incompat & 0x10 != 0).then(|| u64::from(le::u32_at(&sb, 0x104))),
            sparse_super: ro_compat & 1 != 0,
            checksum_seed,
            uuid,
            label,
            limits: Limits::default(),
        })
    }

    /// Sets the limits that protect against hostile file systems. Only three of them apply:
    /// `entries` and `depth` limit directories, and `metadata` limits the memory for names of
    /// hard-linked files and for changes.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Checks a value that depends on the input against a limit.
    pub(super) fn limit(
        &self,
        value: u64,
        limit: impl FnOnce(&Limits) -> u64,
        kind: LimitKind,
    ) -> Result<(), crate::Error> {
        let limit = limit(&self.limits);
        if value > limit {
            return Err(Error::Limit { kind, limit }.into());
        }
        Ok(())
    }

    /// Returns the UUID of the file system.
    pub fn uuid(&self) -> Uuid {
        self.uuid
    }

    /// Returns the volume label.
    pub fn label(&self) -> &[u8] {
        &self.label
    }

    /// Returns the root directory.
    ///
    /// # Errors
    /// As [`Reader::inode`].
    pub fn root(&self) -> Result<Inode, crate::Error> {
        let root = self.inode(ROOT_INODE)?;
        match root.kind {
            FileKind::Directory => Ok(root),
            _ => Err(Error::Damaged {
                inode: ROOT_INODE,
                what: "kind",
            }
            .into()),
        }
    }

    /// Reads an inode.
    ///
    /// # Errors
    /// [`crate::Error::Ext4`] if there is no inode with this number, or it is damaged.
    pub fn inode(&self, number: u32) -> Result<Inode, crate::Error> {
        let damaged = |what| {
            crate::Error::from(Error::Damaged {
                inode: number,
                what,
            })
        };
        if number == 0 || number > self.inodes {
            return Err(damaged("number"));
        }
        let group = u64::from((number - 1) / self.inodes_per_group);
        let index = u64::from((number - 1) % self.inodes_per_group);
        let mut descriptor = vec![0; self.descriptor_size];
        let offset = self.descriptor_offset(group);
        self.read(&mut descriptor, offset.ok_or_else(|| damaged("group"))?)?;
        let mut table = u64::from(le::u32_at(&descriptor, 0x08));
        if self.descriptor_size >= 64 {
            table |= u64::from(le::u32_at(&descriptor, 0x28)) << 32;
        }
        if !self.is_inside(table, 1) {
            return Err(damaged("table"));
        }
        let mut raw = vec![0; self.inode_size];
        self.read(
            &mut raw,
            table * self.block_size + index * self.inode_size as u64,
        )?;
        Ok(Inode::decode(&mut raw, number, self.checksum_seed)?)
    }

    /// Returns the entries of a directory in byte order, without `.` and `..`.
    ///
    /// # Errors
    /// [`crate::Error::Ext4`] if it is not a directory, or damaged.
    pub fn read_dir(&self, directory: &Inode) -> Result<Vec<NamedInode>, crate::Error> {
        let damaged = || Error::Damaged {
            inode: directory.number,
            what: "directory",
        };
        if directory.kind != FileKind::Directory {
            return Err(damaged().into());
        }
        let mut names = Vec::new();
        if directory.flags & FLAG_INLINE != 0 {
            let data = self.inline_data(directory)?;
            // The first four bytes are the number of the parent. The rest of the inode's inline
            // data and the attribute each have the format of a directory block.
            let (first, second) = data.split_at(data.len().min(60));
            parse_entries(first.get(4..).unwrap_or_default(), &mut names).ok_or_else(damaged)?;
            parse_entries(second, &mut names).ok_or_else(damaged)?;
        } else {
            let mut runs = Runs::new(directory, self.block_size)?;
            while let Some(run) = runs.next(self)? {
                for index in 0..run.len {
                    let block = self.block(run.physical + index)?;
                    parse_entries(&block, &mut names).ok_or_else(damaged)?;
                    let most = |limits: &Limits| limits.entries;
                    self.limit(names.len() as u64, most, LimitKind::Entries)?;
                }
            }
        }
        names.sort_unstable();
        if names.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return Err(damaged().into());
        }
        Ok(names)
    }

    /// Returns the file at a path. Symbolic links are not followed.
    ///
    /// # Errors
    /// [`Error::NotFound`], or the error of reading the directories.
    pub fn lookup(&self, path: &[u8]) -> Result<Inode, crate::Error> {
        let mut at = self.root()?;
        for part in path
            .split(|&byte| byte == b'/')
            .filter(|part| !part.is_empty())
        {
            let missing = || Error::NotFound(String::from_utf8_lossy(path).into_owned());
            if at.kind != FileKind::Directory {
                return Err(missing().into());
            }
            let names = self.read_dir(&at)?;
            let found = names.binary_search_by(|(name, _)| (**name).cmp(part));
            at = self.inode(names[found.map_err(|_| missing())?].1)?;
        }
        Ok(at)
    }

    /// Returns the target of a symbolic link.
    ///
    /// # Errors
    /// [`crate::Error::Ext4`] if it is not a symbolic link, or damaged.
    pub fn read_link(&self, link: &Inode) -> Result<Vec<u8>, crate::Error> {
        let damaged = || Error::Damaged {
            inode: link.number,
            what: "symbolic link",
        };
        self.refuse_encrypted(link)?;
        if link.kind != FileKind::Symlink || link.size == 0 || link.size > 65_536 {
            return Err(damaged().into());
        }
        let size = link.size as usize;
        let target = if link.flags & (FLAG_INLINE | FLAG_EXTENTS) == 0 && size < 60 {
            link.block[..size].to_vec()
        } else {
            let mut target = Vec::new();
            self.file(link)?
                .take(link.size)
                .read_to_end(&mut target)
                .map_err(from_io)?;
            target
        };
        if target.len() != size || target.contains(&0) {
            return Err(damaged().into());
        }
        Ok(target)
    }

    /// Opens a regular file for reading, or the target of a symbolic link.
    ///
    /// # Errors
    /// [`crate::Error::Ext4`] if it is another kind of file, encrypted or damaged.
    pub fn file(&self, inode: &Inode) -> Result<FileReader<'_, D>, crate::Error> {
        self.refuse_encrypted(inode)?;
        if !matches!(inode.kind, FileKind::File | FileKind::Symlink) {
            return Err(Error::NotAFile(inode.number).into());
        }
        let content = if inode.flags & FLAG_INLINE != 0 {
            FileContent::Inline(self.inline_data(inode)?)
        } else {
            FileContent::Runs(Runs::new(inode, self.block_size)?)
        };
        Ok(FileReader {
            reader: self,
            content,
            run: None,
            asked: false,
            position: 0,
            size: inode.size,
        })
    }

    /// Returns the extended attributes of a file: full names and values, in name order.
    ///
    /// # Errors
    /// [`crate::Error::Ext4`] if they are damaged.
    pub fn xattrs(&self, inode: &Inode) -> Result<Vec<Xattr>, crate::Error> {
        read_xattr::read(self, inode)
    }

    pub(super) fn block_size(&self) -> u64 {
        self.block_size
    }

    pub(super) fn blocks(&self) -> u64 {
        self.blocks
    }

    pub(super) fn is_inside(&self, block: u64, count: u64) -> bool {
        block > 0
            && block
                .checked_add(count)
                .is_some_and(|end| end <= self.blocks)
    }

    pub(super) fn block(&self, number: u64) -> Result<Vec<u8>, crate::Error> {
        if !self.is_inside(number, 1) {
            return Err(Error::Damaged {
                inode: 0,
                what: "number of a block",
            }
            .into());
        }
        let mut block = vec![0; self.block_size as usize];
        self.read(&mut block, number * self.block_size)?;
        Ok(block)
    }

    fn read(&self, buf: &mut [u8], offset: u64) -> Result<(), crate::Error> {
        self.disk.read_exact_at(buf, offset)
    }

    /// Returns the offset of a group's descriptor; `None` if the superblock is inconsistent.
    fn descriptor_offset(&self, group: u64) -> Option<u64> {
        let per_block = self.block_size / self.descriptor_size as u64;
        let (index, within) = (
            group / per_block,
            group % per_block * self.descriptor_size as u64,
        );
        let block = match self.meta_groups {
            Some(first) if index >= first => {
                let first_group = index * per_block;
                let has_super =
                    !self.sparse_super || geometry::Geometry::has_superblock(first_group);
                let start = first_group.checked_mul(self.blocks_per_group)?;
                start.checked_add(self.first_data_block + u64::from(has_super))?
            }
            _ => self.first_data_block + 1 + index,
        };
        block.checked_mul(self.block_size)?.checked_add(within)
    }

    fn refuse_encrypted(&self, inode: &Inode) -> Result<(), crate::Error> {
        match inode.flags & FLAG_ENCRYPTED {
            0 => Ok(()),
            _ => Err(Error::Feature("encryption").into()),
        }
    }

    fn inline_data(&self, inode: &Inode) -> Result<Vec<u8>, crate::Error> {
        let mut data = inode.block.to_vec();
        if let Some(rest) = read_xattr::inline_rest(self, inode)? {
            data.extend_from_slice(&rest);
        }
        let size = usize::try_from(inode.size).unwrap_or(usize::MAX);
        if inode.kind != FileKind::Directory && size > data.len() {
            return Err(Error::Damaged {
                inode: inode.number,
                what: "inline data",
            }
            .into());
        }
        data.truncate(size.max(60));
        Ok(data)
    }
}

impl<D> fmt::Debug for Reader<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("uuid", &self.uuid)
            .field("blocks", &self.blocks)
            .field("block_size", &self.block_size)
            .finish_non_exhaustive()
    }
}

/// Reads a regular file sequentially; holes are read as zeros.
pub struct FileReader<'a, D> {
    reader: &'a Reader<D>,
    content: FileContent,
    /// The run at or after the position.
    run: Option<Run>,
    asked: bool,
    position: u64,
    size: u64,
}

enum FileContent {
    Runs(Runs),
    Inline(Vec<u8>),
}

impl<D: BlockRead> FileReader<'_, D> {
    /// Skips holes to the next data at or after the position, and returns its offset;
    /// `None` if only zeros follow.
    ///
    /// # Errors
    /// [`crate::Error::Ext4`] if the map of the file is damaged.
    pub fn seek_data(&mut self) -> Result<Option<u64>, crate::Error> {
        if self.position >= self.size {
            return Ok(None);
        }
        let block_size = self.reader.block_size;
        let runs = match &mut self.content {
            FileContent::Inline(_) => return Ok(Some(self.position)),
            FileContent::Runs(runs) => runs,
        };
        let passed = |run: Run, position: u64| (run.logical + run.len) * block_size <= position;
        while !self.asked || self.run.is_some_and(|run| passed(run, self.position)) {
            self.run = runs.next(self.reader)?;
            self.asked = true;
        }
        let Some(run) = self.run else { return Ok(None) };
        self.position = self.position.max(run.logical * block_size);
        Ok(Some(self.position).filter(|&position| position < self.size))
    }

    /// Returns the offset of the next data at or after the position, which stays; the size if only
    /// zeros follow.
    pub(super) fn next_data(&mut self) -> Result<u64, crate::Error> {
        let start = self.position;
        let next = self.seek_data()?;
        self.position = start;
        Ok(next.unwrap_or(self.size))
    }

    /// Moves the position forward, at most to the offset that [`FileReader::next_data`] returned.
    pub(super) fn skip_to(&mut self, position: u64) {
        self.position = position;
    }

    /// Reads from the current run or hole, at most up to its end. Returns 0 at the end of the file.
    fn read_run(&mut self, buf: &mut [u8]) -> Result<usize, crate::Error> {
        let start = self.position;
        let left = (self.size - start).min(buf.len() as u64);
        if left == 0 {
            return Ok(0);
        }
        let next = self.seek_data()?;
        self.position = start;
        if next != Some(start) {
            let zeros = next.unwrap_or(self.size).min(start + left) - start;
            buf[..zeros as usize].fill(0);
            self.position = start + zeros;
            return Ok(zeros as usize);
        }
        if let FileContent::Inline(data) = &self.content {
            let buf = &mut buf[..left as usize];
            buf.copy_from_slice(&data[start as usize..][..left as usize]);
            self.position += left;
            return Ok(left as usize);
        }
        let Some(run) = self.run else { return Ok(0) };
        let block_size = self.reader.block_size;
        let within = start - run.logical * block_size;
        let now = left.min(run.len * block_size - within) as usize;
        self.reader
            .read(&mut buf[..now], run.physical * block_size + within)?;
        self.position += now as u64;
        Ok(now)
    }

    /// Returns the position of the next byte to read.
    pub fn position(&self) -> u64 {
        self.position
    }
}

impl<D: BlockRead> Read for FileReader<'_, D> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.read_run(buf).map_err(io::Error::other)
    }
}

impl<D> fmt::Debug for FileReader<'_, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileReader")
            .field("position", &self.position)
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

/// Extracts the error that [`FileReader`] wrapped in an [`io::Error`].
pub(crate) fn from_io(error: io::Error) -> crate::Error {
    match error.downcast::<crate::Error>() {
        Ok(error) => error,
        Err(source) => Error::Read { offset: 0, source }.into(),
    }
}

fn check_features(incompat: u32) -> Result<(), Error> {
    const READ: u32 = 0x2
        | 0x10
        | 0x40
        | 0x80
        | 0x100
        | 0x200
        | 0x400
        | 0x2000
        | 0x4000
        | 0x8000
        | 0x1_0000
        | 0x2_0000;
    if incompat & 0x4 != 0 {
        return Err(Error::NeedsRecovery);
    }
    for (bit, name) in [
        (0x1, "compression"),
        (0x8, "journal_dev"),
        (0x1000, "dirdata"),
    ] {
        if incompat & bit != 0 {
            return Err(Error::Feature(name));
        }
    }
    if incompat & !READ != 0 {
        Err(Error::Feature("unknown"))
    } else {
        Ok(())
    }
}

/// Adds the names in a directory block to `names`; returns `None` if the block is invalid.
fn parse_entries(block: &[u8], names: &mut Vec<(Box<[u8]>, u32)>) -> Option<()> {
    let mut at = 0;
    while at < block.len() {
        let head = block.get(at..at + 8)?;
        let inode = le::u32_at(head, 0);
        let length = match le::u16_at(head, 4) {
            // A length of 64 KiB does not fit into 16 bits; both values stand for the rest of the
            // block.
            0 | 0xffff => block.len() - at,
            length => length as usize,
        };
        if length < 8 || !length.is_multiple_of(4) || at + length > block.len() {
            return None;
        }
        let name = block.get(at + 8..at + 8 + head[6] as usize)?;
        if inode != 0 && name != b"." && name != b".." {
            if 8 + name.len() > length
                || name.is_empty()
                || name.iter().any(|b| matches!(b, 0 | b'/'))
            {
                return None;
            }
            names.push((name.into(), inode));
        }
        at += length;
    }
    Some(())
}
