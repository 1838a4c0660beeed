//! The owners that the files of an image should have, where the system refused them.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use nix::unistd::{Gid, Uid};
use rustix::fs::Stat;

use crate::wire::{Reader, Writer};

/// The maximum size of an encoded table that is read, in bytes.
const MAX_TABLE: u64 = 64 << 20;
/// The bits of a mode that are the kind of a file.
const KIND: u32 = 0o170_000;
/// The set-user-id and set-group-id bits.
const SET_ID: u32 = 0o6000;

/// A file of an image that has not got its owner, because the system refused it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedOwner {
    /// The path in the image, without a leading slash.
    pub path: Vec<u8>,
    /// The user id in the image.
    pub uid: u32,
    /// The group id in the image.
    pub gid: u32,
    /// The mode in the image, with the kind of the file.
    pub mode: u32,
}

impl RefusedOwner {
    /// Encodes a list for a file, [`ContainerSetup::owners`](crate::ContainerSetup::owners).
    #[must_use]
    pub fn encode(list: &[Self]) -> Vec<u8> {
        let mut to = Writer::default();
        to.list(list, |to, file| {
            to.bytes(&file.path)
                .u32(file.uid)
                .u32(file.gid)
                .u32(file.mode);
        });
        to.0
    }
}

/// The files of an image that have not got their owners, by path.
#[derive(Debug, Default)]
pub(crate) struct Owners {
    /// The user id, group id and mode of each.
    files: HashMap<Vec<u8>, (u32, u32, u32)>,
    /// The user and group of the files that have not got their owners: root of the container.
    root: (u32, u32),
}

impl Owners {
    /// Reads an encoded list.
    pub(crate) fn read(file: &File) -> io::Result<Self> {
        let mut bytes = Vec::new();
        // The position of the file is shared by several processes.
        let length = file.metadata()?.len().min(MAX_TABLE);
        bytes.resize(usize::try_from(length).map_err(io::Error::other)?, 0);
        file.read_exact_at(&mut bytes, 0)?;
        let files = Reader(&bytes).list(|from| {
            let path = from.bytes()?;
            Some((path, (from.u32()?, from.u32()?, from.u32()?)))
        });
        let files = files.ok_or(io::ErrorKind::InvalidData)?;
        Ok(Self {
            files: files.into_iter().collect(),
            root: (Uid::effective().as_raw(), Gid::effective().as_raw()),
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Returns the user id, group id and permissions that a file at this path should have. They are
    /// those of the image if the file is of the same kind as that of the image and belongs to root, and
    /// its set-id bits are those of the image unless the container has set another mode.
    pub(crate) fn of(&self, path: &[u8], data: &Stat) -> (u32, u32, u32) {
        let permissions = data.st_mode & 0o7777;
        match self.files.get(path) {
            Some((uid, gid, mode))
                if (data.st_uid, data.st_gid) == self.root
                    && mode & KIND == data.st_mode & KIND =>
            {
                let image = mode & 0o7777;
                let is_kept = permissions == image & !SET_ID;
                (*uid, *gid, if is_kept { image } else { permissions })
            }
            _ => (data.st_uid, data.st_gid, permissions),
        }
    }
}
