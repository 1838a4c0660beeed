//! What the image says about a container's files, where the system refused it.
//!
//! A simulator that does not run as root and has no subordinate ids cannot create files of other owners, device nodes and some
//! extended attributes, and does not get set-id bits of other owners. They are missing in the tree
//! of the image, and so in the container. The container's disk still has them: it serves as the
//! table of what was refused. When the container's changes are written back, they are taken from it:
//!
//! | the container's file | owner, refused attributes | set-id bits |
//! | --- | --- | --- |
//! | unchanged | those of the image | those of the image |
//! | changed, or replaced by one of the same kind | those of the image | those of the image, unless the container has set another mode |
//! | new, or of another kind | root, no attributes | its own |
//!
//! With subordinate ids, this applies to files whose owners are not among them, to device nodes, and to
//! attributes other than capabilities.
//!
//! A file's capabilities are dropped when its content changes, as the kernel does.

use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};

use disk_image::ext4::{FileKind, Inode, Reader};
use disk_image::vmdk::Disk;

use crate::rights::Rights;

/// The prefixes of the extended attributes that only root may set.
const REFUSED: [&[u8]; 2] = [b"security.", b"trusted."];
/// The attribute with the capabilities of a program.
const CAPABILITIES: &[u8] = b"security.capability";
/// The set-user-id and set-group-id bits.
const SET_ID: u32 = 0o6000;

/// A directory of the image.
pub(crate) struct OriginalDirectory<'a> {
    reader: &'a Reader<Disk>,
    /// The names in it, sorted.
    names: Vec<(Box<[u8]>, u32)>,
}

/// A file of the image.
pub(crate) struct Original<'a> {
    reader: &'a Reader<Disk>,
    inode: Inode,
}

impl<'a> OriginalDirectory<'a> {
    fn of(reader: &'a Reader<Disk>, inode: &Inode) -> io::Result<Self> {
        let names = reader.read_dir(inode).map_err(io::Error::other)?;
        Ok(Self { reader, names })
    }

    /// Returns the file with a name; `None` if there is none.
    pub(crate) fn find(&self, name: &[u8]) -> io::Result<Option<Original<'a>>> {
        let found = self
            .names
            .binary_search_by(|(other, _)| (**other).cmp(name));
        let Ok(index) = found else {
            return Ok(None);
        };
        let inode = self.reader.inode(self.names[index].1);
        Ok(Some(Original {
            reader: self.reader,
            inode: inode.map_err(io::Error::other)?,
        }))
    }

    /// Returns the device nodes in the directory, with their names.
    pub(crate) fn devices(&self) -> io::Result<Vec<(&[u8], Original<'a>)>> {
        let mut devices = Vec::new();
        for (name, _) in &self.names {
            if let Some(original) = self.find(name)?
                && original.device().is_some()
            {
                devices.push((&**name, original));
            }
        }
        Ok(devices)
    }
}

impl<'a> Original<'a> {
    /// Returns the root directory of an image.
    pub(crate) fn root(reader: &'a Reader<Disk>) -> io::Result<Self> {
        let inode = reader.root().map_err(io::Error::other)?;
        Ok(Self { reader, inode })
    }

    /// Returns the names in it, if it is a directory.
    pub(crate) fn directory(&self) -> io::Result<Option<OriginalDirectory<'a>>> {
        if self.inode.kind() != FileKind::Directory {
            return Ok(None);
        }
        OriginalDirectory::of(self.reader, &self.inode).map(Some)
    }

    /// Returns whether a file of the container is of the same kind.
    pub(crate) fn is_like(&self, data: &std::fs::Metadata) -> bool {
        let kind = data.file_type();
        match self.inode.kind() {
            FileKind::File => kind.is_file(),
            FileKind::Directory => kind.is_dir(),
            FileKind::Symlink => kind.is_symlink(),
            FileKind::Fifo => kind.is_fifo(),
            FileKind::Char(..) => kind.is_char_device(),
            FileKind::Block(..) => kind.is_block_device(),
            _ => false,
        }
    }

    /// Returns whether it is a block device, and its number; `None` if it is not a device node.
    pub(crate) fn device(&self) -> Option<(bool, u32, u32)> {
        match self.inode.kind() {
            FileKind::Char(major, minor) => Some((false, major, minor)),
            FileKind::Block(major, minor) => Some((true, major, minor)),
            _ => None,
        }
    }

    pub(crate) fn owner(&self) -> (u32, u32) {
        (self.inode.uid(), self.inode.gid())
    }

    pub(crate) fn mode(&self) -> u32 {
        self.inode.permissions()
    }

    /// Returns the time of the last change of its content, in seconds.
    pub(crate) fn modified(&self) -> i64 {
        self.inode.modified().seconds
    }

    /// Returns the mode of a file of the container that was made from this one with `mode`.
    pub(crate) fn mode_of(&self, mode: u32) -> u32 {
        if mode == self.mode() & !SET_ID {
            self.mode()
        } else {
            mode
        }
    }

    /// Returns the extended attributes that a file of the container cannot have, because it was made
    /// with `rights`. `data` are those of the file.
    pub(crate) fn refused_attributes(
        &self,
        data: &std::fs::Metadata,
        rights: Rights,
    ) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        if rights == Rights::Root {
            return Ok(Vec::new());
        }
        // Root of a namespace with subordinate ids may set capabilities.
        let refuses_capabilities = rights == Rights::Caller;
        let time = self.inode.modified();
        let is_unchanged = data.is_dir()
            || (data.len() == self.inode.size()
                && data.mtime() == time.seconds
                && data.mtime_nsec() == i64::from(time.nanos));
        let attributes = self.reader.xattrs(&self.inode).map_err(io::Error::other)?;
        let refused = attributes.into_iter().filter(|(name, _)| {
            REFUSED.iter().any(|prefix| name.starts_with(prefix))
                && (**name != *CAPABILITIES || (is_unchanged && refuses_capabilities))
        });
        Ok(refused
            .map(|(name, value)| (name.into_vec(), value.into_vec()))
            .collect())
    }
}
