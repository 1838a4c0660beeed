//! Writable disks in one sparse file, standalone or as children.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

use super::descriptor::{CreateType, Descriptor, Extent, ExtentKind};
use super::disk::Disk;
use super::grains::{read_descriptor, read_header, read_words};
use super::header::{COMPRESSED, Header};
use super::{Error, GRAIN, SECTOR, TABLE_ENTRIES};
use crate::block::{BlockRead, RawDisk, file_error, read_exact_at, write_all_at};
use crate::ranges::is_zero;
use crate::sink::Sink;

const DESCRIPTOR_SECTORS: u64 = 20;
const TABLE_SECTORS: u64 = TABLE_ENTRIES * 4 / SECTOR;

/// The file layout of a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ChildForm {
    /// One file: monolithicSparse.
    #[default]
    Monolithic,
    /// A descriptor and an extent `NAME-delta.vmdk`, named as on a datastore of ESXi. The extent
    /// has the hosted sparse format, because QEMU loses writes to extents in ESXi's own format
    /// whose tables are not allocated.
    Delta,
}

/// A disk in one sparse file, or in a descriptor and a sparse file, that is open for writing.
///
/// Writes go to the file immediately: first the data, then the tables that refer to it. The
/// content id changes with the first write after the disk was opened.
#[derive(Debug)]
pub struct SparseDisk {
    file: File,
    path: PathBuf,
    header: Header,
    directory: Vec<u32>,
    redundant: Vec<u32>,
    /// The grain table that was used last.
    table: Option<(u64, Vec<u32>)>,
    /// The first sector after the last grain.
    end: u64,
    descriptor: Descriptor,
    /// The path of the descriptor; `None` if it is embedded in the sparse file.
    descriptor_path: Option<PathBuf>,
    parent: Option<Disk>,
    is_marked: bool,
}

impl SparseDisk {
    /// Creates an empty disk of `capacity` bytes, rounded up to 64 KiB, in one file that must
    /// not exist yet.
    ///
    /// # Errors
    /// [`crate::Error::Vmdk`] if the file exists or cannot be created.
    pub fn create(path: impl AsRef<Path>, capacity: u64, cid: u32) -> Result<Self, crate::Error> {
        let path = path.as_ref();
        let sectors = check_capacity(capacity)?;
        let mut descriptor =
            Descriptor::new(CreateType::MonolithicSparse, sectors, &name_of(path)?);
        descriptor.set_cid(cid);
        Self::create_files(path, descriptor, sectors, None, ChildForm::Monolithic)
    }

    /// Creates an empty child of the disk `parent`. `hint` is the parent's path that the child's
    /// descriptor records; a relative path is relative to the child.
    ///
    /// # Errors
    /// [`crate::Error::Vmdk`] if the files already exist or cannot be created, or the parent has no
    /// content id.
    pub fn create_child(
        path: impl AsRef<Path>,
        parent: Disk,
        hint: &str,
        cid: u32,
        form: ChildForm,
    ) -> Result<Self, crate::Error> {
        let path = path.as_ref();
        let sectors = check_capacity(parent.capacity())?;
        let (create_type, extent) = match form {
            ChildForm::Monolithic => (CreateType::MonolithicSparse, name_of(path)?),
            ChildForm::Delta => (CreateType::VmfsSparse, name_of(&delta_path(path))?),
        };
        let mut descriptor = Descriptor::new(create_type, sectors, &extent);
        descriptor.set_extents([Extent::new(ExtentKind::Sparse, sectors, extent)]);
        descriptor.set_cid(cid);
        descriptor.set_parent(parent.descriptor().cid()?, hint);
        if let Some(adapter) = parent.descriptor().get("ddb.adapterType") {
            descriptor.set("ddb.adapterType", adapter);
        }
        Self::create_files(path, descriptor, sectors, Some(parent), form)
    }

    /// Opens a disk for writing. Its parents are opened for reading.
    ///
    /// # Errors
    /// [`crate::Error::Vmdk`] if the disk cannot be opened, is compressed, or has several extents.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, crate::Error> {
        let path = path.as_ref();
        // This also validates the whole chain of parents.
        let disk = Disk::open(path)?;
        let descriptor = disk.descriptor().clone();
        let extents: Vec<Extent> = descriptor.extents().cloned().collect();
        let [extent] = &extents[..] else {
            return Err(Error::Unsupported("it has several extents").into());
        };
        if extent.kind != ExtentKind::Sparse {
            return Err(Error::Unsupported("its extent is not sparse").into());
        }
        let folder = path.parent().unwrap_or(Path::new(""));
        let is_embedded = descriptor.create_type() == CreateType::MonolithicSparse;
        let target = if is_embedded {
            path.to_owned()
        } else {
            folder.join(&extent.file)
        };
        let raw = RawDisk::open(&target)?;
        let header = read_header(&raw)?;
        if header.flags & COMPRESSED != 0 {
            return Err(Error::Unsupported("compressed disks cannot be written to").into());
        }
        if header.grain * SECTOR != GRAIN {
            return Err(Error::Unsupported("its grain size is not 64 KiB").into());
        }
        if is_embedded && read_descriptor(&raw, &header)?.is_none() {
            return Err(Error::Unsupported("it has no descriptor").into());
        }
        let tables = header.tables();
        let directory = read_words(&raw, header.directory * SECTOR, tables)?;
        let redundant = match header.redundant_directory {
            0 => Vec::new(),
            at => {
                let what = "redundant grain directory";
                let offset = at
                    .checked_mul(SECTOR)
                    .ok_or(Error::Damaged { what, offset: 0 })?;
                read_words(&raw, offset, tables)?
            }
        };
        if directory.contains(&0) || redundant.contains(&0) {
            return Err(Error::Unsupported("its grain tables are not allocated").into());
        }
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&target)
            .map_err(|source| file_error("open", &target, source))?;
        Ok(Self {
            file,
            path: target,
            header,
            directory,
            redundant,
            table: None,
            end: raw.size().div_ceil(SECTOR),
            descriptor,
            descriptor_path: (!is_embedded).then(|| path.to_owned()),
            parent: disk.into_parent(),
            is_marked: false,
        })
    }

    /// Returns the size in bytes.
    pub fn capacity(&self) -> u64 {
        self.header.capacity * SECTOR
    }

    /// Returns the current descriptor.
    pub fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    /// Returns how many bytes this disk stores itself, in whole grains of 64 KiB. All other bytes
    /// are read from its parents, or are zero.
    ///
    /// # Errors
    /// [`crate::Error::Vmdk`] if the tables cannot be read.
    pub fn stored_bytes(&mut self) -> Result<u64, crate::Error> {
        let mut grains = 0;
        for grain in 0..self.capacity().div_ceil(GRAIN) {
            grains += u64::from(self.lookup(grain)? > 1);
        }
        Ok(grains * GRAIN)
    }

    /// Writes `bytes` at `offset`. Zeros do not allocate grains.
    ///
    /// # Errors
    /// [`crate::Error::Vmdk`] if the range is not within the disk, or a file cannot be read or
    /// written.
    pub fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), crate::Error> {
        let len = bytes.len() as u64;
        if offset
            .checked_add(len)
            .is_none_or(|end| end > self.capacity())
        {
            return Err(Error::OutOfRange { offset, len }.into());
        }
        let mut at = offset;
        while at < offset + len {
            let within = at % GRAIN;
            let until = (offset + len).min(at - within + GRAIN);
            let piece = &bytes[(at - offset) as usize..(until - offset) as usize];
            self.write_grain(at / GRAIN, within, piece)?;
            at = until;
        }
        Ok(())
    }

    /// Reads at `offset` from this disk and its parents.
    ///
    /// # Errors
    /// [`crate::Error::Vmdk`] if the range is not within the disk, or a file cannot be read.
    pub fn read_at(&mut self, buf: &mut [u8], offset: u64) -> Result<(), crate::Error> {
        let len = buf.len() as u64;
        if offset
            .checked_add(len)
            .is_none_or(|end| end > self.capacity())
        {
            return Err(Error::OutOfRange { offset, len }.into());
        }
        let mut at = offset;
        while at < offset + len {
            let within = at % GRAIN;
            let until = (offset + len).min(at - within + GRAIN);
            let buf = &mut buf[(at - offset) as usize..(until - offset) as usize];
            match self.lookup(at / GRAIN)? {
                0 => self.read_parent(buf, at)?,
                1 => buf.fill(0),
                sector => {
                    read_exact_at(&self.file, buf, u64::from(sector) * SECTOR + within)
                        .map_err(|source| file_error("read", &self.path, source))?;
                }
            }
            at = until;
        }
        Ok(())
    }

    /// Returns a sink that makes this disk equal to the image written to it. Only grains that
    /// differ from the current content are written, and gaps in the image become zero.
    pub fn replace(&mut self) -> Replacement<'_> {
        Replacement {
            disk: self,
            grain: None,
            done: 0,
        }
    }

    /// Flushes all data to stable storage.
    ///
    /// # Errors
    /// [`crate::Error::Vmdk`] if the data cannot be flushed.
    pub fn sync(&self) -> Result<(), crate::Error> {
        self.file
            .sync_all()
            .map_err(|source| file_error("sync", &self.path, source))
    }

    fn create_files(
        path: &Path,
        descriptor: Descriptor,
        sectors: u64,
        parent: Option<Disk>,
        form: ChildForm,
    ) -> Result<Self, crate::Error> {
        let embedded = form == ChildForm::Monolithic;
        let target = if embedded {
            path.to_owned()
        } else {
            delta_path(path)
        };
        let tables = sectors.div_ceil(GRAIN / SECTOR * TABLE_ENTRIES);
        let directory_sectors = (tables * 4).div_ceil(SECTOR);
        let redundant_at = 1 + DESCRIPTOR_SECTORS;
        let redundant_tables = redundant_at + directory_sectors;
        let directory_at = redundant_tables + tables * TABLE_SECTORS;
        let first_table = directory_at + directory_sectors;
        let end = (first_table + tables * TABLE_SECTORS).next_multiple_of(GRAIN / SECTOR);
        if end > u64::from(u32::MAX) {
            return Err(Error::Options("its tables are too large").into());
        }
        let numbers = |first: u64| -> Vec<u32> {
            (0..tables)
                .map(|table| (first + table * TABLE_SECTORS) as u32)
                .collect()
        };
        let mut header =
            Header::sparse(sectors, DESCRIPTOR_SECTORS, redundant_at, directory_at, end);
        if !embedded {
            (header.descriptor_offset, header.descriptor_size) = (0, 0);
        }
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&target)
            .map_err(|source| file_error("create", &target, source))?;
        let disk = Self {
            file,
            path: target.clone(),
            header,
            directory: numbers(first_table),
            redundant: numbers(redundant_tables),
            table: None,
            end,
            descriptor,
            descriptor_path: (!embedded).then(|| path.to_owned()),
            parent,
            is_marked: true,
        };
        // Do not leave an incomplete disk behind.
        disk.write_new()
            .inspect_err(|_| _ = std::fs::remove_file(&target))?;
        Ok(disk)
    }

    fn write_new(&self) -> Result<(), crate::Error> {
        let write = |words: &[u32], at: u64| {
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            write_all_at(&self.file, &bytes, at * SECTOR)
        };
        self.file
            .set_len(self.end * SECTOR)
            .and_then(|()| write_all_at(&self.file, &self.header.encode(), 0))
            .and_then(|()| write(&self.redundant, self.header.redundant_directory))
            .and_then(|()| write(&self.directory, self.header.directory))
            .map_err(|source| file_error("write", &self.path, source))?;
        if let Some(path) = &self.descriptor_path {
            let created = OpenOptions::new().write(true).create_new(true).open(path);
            drop(created.map_err(|source| file_error("create", path, source))?);
        }
        self.write_descriptor()
    }

    fn write_descriptor(&self) -> Result<(), crate::Error> {
        let mut text = self.descriptor.to_bytes();
        if let Some(path) = &self.descriptor_path {
            return std::fs::write(path, text).map_err(|source| file_error("write", path, source));
        }
        let room = (self.header.descriptor_size * SECTOR) as usize;
        if text.len() > room {
            return Err(Error::Options("its descriptor is too long").into());
        }
        text.resize(room, 0);
        write_all_at(&self.file, &text, self.header.descriptor_offset * SECTOR)
            .map_err(|source| file_error("write", &self.path, source))
    }

    /// Lets later writes keep the content id.
    pub(super) fn keep_cid(&mut self) {
        self.is_marked = true;
    }

    pub(super) fn set_cid(&mut self, cid: u32) -> Result<(), crate::Error> {
        self.descriptor.set_cid(cid);
        self.write_descriptor()
    }

    /// Changes the content id with the first write after opening.
    fn mark(&mut self) -> Result<(), crate::Error> {
        if self.is_marked {
            return Ok(());
        }
        let next = self.descriptor.cid()?.wrapping_add(1);
        self.descriptor
            .set_cid(if next >= 0xffff_fffe { 1 } else { next });
        self.write_descriptor()?;
        self.is_marked = true;
        Ok(())
    }

    fn lookup(&mut self, grain: u64) -> Result<u32, crate::Error> {
        let index = grain / TABLE_ENTRIES;
        if self
            .table
            .as_ref()
            .is_none_or(|(loaded, _)| *loaded != index)
        {
            let mut bytes = [0; TABLE_ENTRIES as usize * 4];
            let at = u64::from(self.directory[index as usize]) * SECTOR;
            read_exact_at(&self.file, &mut bytes, at)
                .map_err(|source| file_error("read", &self.path, source))?;
            let (words, _) = bytes.as_chunks::<4>();
            let words = words.iter().map(|word| u32::from_le_bytes(*word)).collect();
            self.table = Some((index, words));
        }
        let entry = (grain % TABLE_ENTRIES) as usize;
        Ok(self.table.as_ref().map_or(0, |(_, words)| words[entry]))
    }

    fn write_grain(&mut self, grain: u64, within: u64, piece: &[u8]) -> Result<(), crate::Error> {
        let found = self.lookup(grain)?;
        if found > 1 {
            self.mark()?;
            return write_all_at(&self.file, piece, u64::from(found) * SECTOR + within)
                .map_err(|source| file_error("write", &self.path, source));
        }
        let is_empty = found == 1 || self.parent.is_none();
        if is_empty && is_zero(piece) {
            return Ok(());
        }
        let mut whole = vec![0; GRAIN as usize];
        if !is_empty && piece.len() < whole.len() {
            let offset = grain * GRAIN;
            let there = (self.capacity() - offset).min(GRAIN) as usize;
            self.read_parent(&mut whole[..there], offset)?;
        }
        whole[within as usize..within as usize + piece.len()].copy_from_slice(piece);
        self.mark()?;
        let sector = self.end.next_multiple_of(GRAIN / SECTOR);
        let entry =
            u32::try_from(sector).map_err(|_| Error::Options("a sparse file has at most 2 TiB"))?;
        let slot = (grain % TABLE_ENTRIES) * 4;
        let index = (grain / TABLE_ENTRIES) as usize;
        let tables = [
            Some(&self.directory),
            Some(&self.redundant).filter(|r| !r.is_empty()),
        ];
        write_all_at(&self.file, &whole, sector * SECTOR)
            .and_then(|()| {
                tables.into_iter().flatten().try_for_each(|directory| {
                    let at = u64::from(directory[index]) * SECTOR + slot;
                    write_all_at(&self.file, &entry.to_le_bytes(), at)
                })
            })
            .map_err(|source| file_error("write", &self.path, source))?;
        self.end = sector + GRAIN / SECTOR;
        if let Some((_, words)) = &mut self.table {
            words[(grain % TABLE_ENTRIES) as usize] = entry;
        }
        Ok(())
    }

    fn read_parent(&self, buf: &mut [u8], offset: u64) -> Result<(), crate::Error> {
        let Some(parent) = &self.parent else {
            buf.fill(0);
            return Ok(());
        };
        let there = parent
            .capacity()
            .saturating_sub(offset)
            .min(buf.len() as u64);
        let (there, beyond) = buf.split_at_mut(there as usize);
        beyond.fill(0);
        parent.read_exact_at(there, offset)
    }
}

impl Sink for SparseDisk {
    fn put(&mut self, offset: u64, bytes: &[u8]) -> Result<(), crate::Error> {
        self.write_at(offset, bytes)
    }
}

/// The sink of [`SparseDisk::replace`].
#[derive(Debug)]
pub struct Replacement<'a> {
    disk: &'a mut SparseDisk,
    /// The number and content of the grain that is being filled.
    grain: Option<(u64, Vec<u8>)>,
    /// The number of completed grains.
    done: u64,
}

impl Replacement<'_> {
    /// Sets the rest of the disk to zero.
    ///
    /// # Errors
    /// [`crate::Error::Vmdk`] if the disk cannot be written.
    pub fn finish(mut self) -> Result<(), crate::Error> {
        self.end_grain()?;
        let grains = self.disk.capacity().div_ceil(GRAIN);
        self.clear_until(grains)
    }

    fn end_grain(&mut self) -> Result<(), crate::Error> {
        let Some((number, new)) = self.grain.take() else {
            return Ok(());
        };
        self.clear_until(number)?;
        self.store(number, &new)?;
        self.done = number + 1;
        Ok(())
    }

    fn clear_until(&mut self, grain: u64) -> Result<(), crate::Error> {
        let zeros = vec![0; GRAIN as usize];
        while self.done < grain {
            let at = self.done * GRAIN;
            if self.disk.lookup(self.done)? == 0
                && let Some(parent) = &self.disk.parent
            {
                // Nothing is stored here: continue where the parent stores data.
                let next = parent
                    .next_data(at)?
                    .map_or(grain, |range| range.start / GRAIN);
                let table_end = (self.done / TABLE_ENTRIES + 1) * TABLE_ENTRIES;
                let skip = next.min(grain).min(table_end);
                let mut to = self.done;
                while to < skip && self.disk.lookup(to)? == 0 {
                    to += 1;
                }
                if to > self.done {
                    self.done = to;
                    continue;
                }
            }
            self.store(self.done, &zeros)?;
            self.done += 1;
        }
        Ok(())
    }

    fn store(&mut self, number: u64, new: &[u8]) -> Result<(), crate::Error> {
        let at = number * GRAIN;
        let len = (self.disk.capacity() - at).min(GRAIN) as usize;
        let mut old = vec![0; len];
        self.disk.read_at(&mut old, at)?;
        if old == new[..len] {
            return Ok(());
        }
        self.disk.write_at(at, &new[..len])
    }
}

impl Sink for Replacement<'_> {
    fn put(&mut self, mut offset: u64, mut bytes: &[u8]) -> Result<(), crate::Error> {
        let len = bytes.len() as u64;
        if offset
            .checked_add(len)
            .is_none_or(|end| end > self.disk.capacity())
        {
            return Err(Error::OutOfRange { offset, len }.into());
        }
        while !bytes.is_empty() {
            let number = offset / GRAIN;
            if self
                .grain
                .as_ref()
                .is_none_or(|(current, _)| *current != number)
            {
                self.end_grain()?;
                self.grain = Some((number, vec![0; GRAIN as usize]));
            }
            let within = (offset % GRAIN) as usize;
            let now = bytes.len().min(GRAIN as usize - within);
            if let Some((_, plain)) = &mut self.grain {
                plain[within..within + now].copy_from_slice(&bytes[..now]);
            }
            bytes = &bytes[now..];
            offset += now as u64;
        }
        Ok(())
    }
}

fn check_capacity(capacity: u64) -> Result<u64, Error> {
    if capacity == 0 || capacity > 62 << 40 {
        return Err(Error::Options("its size must be 64 KiB to 62 TiB"));
    }
    Ok(capacity.next_multiple_of(GRAIN) / SECTOR)
}

pub(super) fn name_of(path: &Path) -> Result<String, Error> {
    let name = path.file_name().and_then(|name| name.to_str());
    name.map(str::to_owned)
        .ok_or(Error::Options("its name is not valid UTF-8"))
}

fn delta_path(path: &Path) -> PathBuf {
    let mut name = path.file_stem().unwrap_or_default().to_owned();
    name.push("-delta.vmdk");
    path.with_file_name(name)
}
