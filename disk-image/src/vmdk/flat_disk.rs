//! Disks with a descriptor and one flat file.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

use super::descriptor::{CreateType, Descriptor};
use super::sparse_disk::name_of;
use super::{Error, SECTOR};
use crate::block::{file_error, write_all_at};
use crate::ranges::is_zero;
use crate::sink::Sink;

/// A new disk that is open for writing: a descriptor `NAME.vmdk` and a flat file `NAME-flat.vmdk`.
/// Ranges that were not written are holes in the flat file.
#[derive(Debug)]
pub struct FlatDisk {
    file: File,
    path: PathBuf,
    capacity: u64,
}

impl FlatDisk {
    /// Creates an empty disk of `capacity` bytes, rounded up to 512. `create_type` is
    /// [`CreateType::Vmfs`] for a datastore of ESXi, or [`CreateType::MonolithicFlat`].
    ///
    /// # Errors
    /// [`crate::Error::Vmdk`] if a file already exists or cannot be created, or for any other type.
    pub fn create(
        path: impl AsRef<Path>,
        create_type: CreateType,
        capacity: u64,
        cid: u32,
    ) -> Result<Self, crate::Error> {
        let path = path.as_ref();
        if !matches!(create_type, CreateType::Vmfs | CreateType::MonolithicFlat) {
            return Err(Error::Options("its type has no flat extent").into());
        }
        if capacity == 0 || capacity > 62 << 40 {
            return Err(Error::Options("its size must be 512 bytes to 62 TiB").into());
        }
        let capacity = capacity.next_multiple_of(SECTOR);
        let mut name = path.file_stem().unwrap_or_default().to_owned();
        name.push("-flat.vmdk");
        let flat = path.with_file_name(name);
        let mut descriptor = Descriptor::new(create_type, capacity / SECTOR, &name_of(&flat)?);
        descriptor.set_cid(cid);
        let create = |path: &Path| {
            OpenOptions::new()
                .read(true)
                .write(true)
                .create_new(true)
                .open(path)
                .map_err(|source| file_error("create", path, source))
        };
        let file = create(&flat)?;
        let finish = || {
            file.set_len(capacity)
                .map_err(|source| file_error("write", &flat, source))?;
            let text = create(path)?;
            write_all_at(&text, &descriptor.to_bytes(), 0).map_err(|source| {
                _ = std::fs::remove_file(path);
                file_error("write", path, source)
            })
        };
        // Do not leave an incomplete disk behind.
        finish().inspect_err(|_| _ = std::fs::remove_file(&flat))?;
        Ok(Self {
            file,
            path: flat,
            capacity,
        })
    }

    /// Returns the size in bytes.
    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Returns the path of the flat file.
    pub fn flat_path(&self) -> &Path {
        &self.path
    }

    /// Writes `bytes` at `offset`.
    ///
    /// # Errors
    /// [`crate::Error::Vmdk`] if the range is not within the disk, or the file cannot be
    /// written.
    pub fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), crate::Error> {
        let len = bytes.len() as u64;
        if offset
            .checked_add(len)
            .is_none_or(|end| end > self.capacity)
        {
            return Err(Error::OutOfRange { offset, len }.into());
        }
        write_all_at(&self.file, bytes, offset)
            .map_err(|source| file_error("write", &self.path, source))
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
}

impl Sink for FlatDisk {
    fn put(&mut self, offset: u64, bytes: &[u8]) -> Result<(), crate::Error> {
        // Unwritten ranges of the new file already read as zero.
        if is_zero(bytes) {
            return Ok(());
        }
        self.write_at(offset, bytes)
    }
}
