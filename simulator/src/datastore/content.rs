//! What is in a disk, read from front to end.

use std::fs::File;
use std::io::{self, Read};

use super::path::DatastorePath;
use super::{Store, disk};

/// The bytes of a disk.
#[derive(Debug)]
pub(crate) struct Content {
    file: File,
    length: u64,
}

impl Content {
    pub(crate) fn open(store: &Store, path: &DatastorePath) -> io::Result<Self> {
        let found = disk::read(store, path).map_err(io::Error::other)?;
        if found.parent.is_some() {
            return Err(io::ErrorKind::Unsupported.into());
        }
        Ok(Self {
            file: File::open(store.file(&disk::extent(path, false)))?,
            length: found.bytes,
        })
    }

    /// Bytes of the disk.
    pub(crate) const fn length(&self) -> u64 {
        self.length
    }
}

impl Read for Content {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read(buffer)
    }
}
