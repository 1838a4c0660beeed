//! The owners that the files of an image should have, and its device nodes, where the system refused
//! them.

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
const BLOCK_DEVICE: u32 = 0o060_000;
const CHARACTER_DEVICE: u32 = 0o020_000;
/// The set-user-id and set-group-id bits.
const SET_ID: u32 = 0o6000;

/// A file of an image that has not got its owner, or a device node that does not exist, because the
/// system refused it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedFile {
    /// The path in the image, without a leading slash.
    pub path: Vec<u8>,
    /// The user id in the image.
    pub uid: u32,
    /// The group id in the image.
    pub gid: u32,
    /// The mode in the image, with the kind of the file.
    pub mode: u32,
    /// The major and minor number of a device node; (0, 0) for other files.
    pub device: (u32, u32),
}

impl RefusedFile {
    /// Encodes a list for a file, [`ContainerSetup::owners`](crate::ContainerSetup::owners).
    #[must_use]
    pub fn encode(list: &[Self]) -> Vec<u8> {
        let mut to = Writer::default();
        to.list(list, |to, file| {
            to.bytes(&file.path)
                .u32(file.uid)
                .u32(file.gid)
                .u32(file.mode)
                .u32(file.device.0)
                .u32(file.device.1);
        });
        to.0
    }
}

/// A device node that does not exist.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MissingDevice {
    pub(crate) is_block: bool,
    /// The major and minor number.
    pub(crate) number: (u32, u32),
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) permissions: u32,
}

/// The files of an image that have not got their owners, and the device nodes that do not exist.
#[derive(Debug, Default)]
pub(crate) struct Owners {
    /// The user id, group id and mode of each file, by path.
    files: HashMap<Vec<u8>, (u32, u32, u32)>,
    /// The names of the device nodes, by the path of their directory.
    devices: HashMap<Vec<u8>, Vec<(Vec<u8>, MissingDevice)>>,
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
            Some(RefusedFile {
                path: from.bytes()?,
                uid: from.u32()?,
                gid: from.u32()?,
                mode: from.u32()?,
                device: (from.u32()?, from.u32()?),
            })
        });
        let mut owners = Self {
            root: (Uid::effective().as_raw(), Gid::effective().as_raw()),
            ..Self::default()
        };
        for file in files.ok_or(io::ErrorKind::InvalidData)? {
            owners.add(file);
        }
        Ok(owners)
    }

    fn add(&mut self, file: RefusedFile) {
        let RefusedFile { uid, gid, mode, .. } = file;
        let is_block = mode & KIND == BLOCK_DEVICE;
        if !is_block && mode & KIND != CHARACTER_DEVICE {
            self.files.insert(file.path, (uid, gid, mode));
            return;
        }
        let slash = file.path.iter().rposition(|byte| *byte == b'/');
        let (directory, name) = match slash {
            Some(slash) => (&file.path[..slash], &file.path[slash + 1..]),
            None => (&[][..], &file.path[..]),
        };
        let device = MissingDevice {
            is_block,
            number: file.device,
            uid,
            gid,
            permissions: mode & 0o7777,
        };
        let devices = self.devices.entry(directory.to_vec()).or_default();
        devices.push((name.to_vec(), device));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.files.is_empty() && self.devices.is_empty()
    }

    /// Returns the device nodes that do not exist in a directory, with their names.
    pub(crate) fn devices(&self, directory: &[u8]) -> Vec<(Vec<u8>, MissingDevice)> {
        self.devices.get(directory).cloned().unwrap_or_default()
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
