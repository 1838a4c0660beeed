//! Unpacks a tree into a directory of the local file system.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, Timestamps, XattrFlags};
use rustix::io::Errno;

use crate::Error;
use crate::archive::writer::{Attributes, Item};
use crate::time::Timestamp;

/// Options for unpacking a tree.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct UnpackOptions {
    /// Whether to set owners; otherwise they are only recorded. Default: yes.
    pub owners: bool,
    /// Whether to create device nodes; otherwise they are only recorded. Default: yes.
    pub devices: bool,
    /// Whether to set extended attributes; otherwise they are only recorded. Default: yes.
    pub xattrs: bool,
}

impl Default for UnpackOptions {
    fn default() -> Self {
        Self {
            owners: true,
            devices: true,
            xattrs: true,
        }
    }
}

impl UnpackOptions {
    /// Creates options with everything enabled.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets whether to set owners.
    #[must_use]
    pub fn owners(mut self, owners: bool) -> Self {
        self.owners = owners;
        self
    }

    /// Sets whether to create device nodes.
    #[must_use]
    pub fn devices(mut self, devices: bool) -> Self {
        self.devices = devices;
        self
    }

    /// Sets whether to set extended attributes.
    #[must_use]
    pub fn xattrs(mut self, xattrs: bool) -> Self {
        self.xattrs = xattrs;
        self
    }
}

/// The result of unpacking, including what could not be created as specified.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unpacked {
    /// The number of files, directories and links created.
    pub entries: u64,
    /// The bytes of data written.
    pub bytes: u64,
    /// Properties and files that were not created because of the options or missing permissions.
    pub refused: Vec<Refused>,
}

/// A property that a file should have but does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refused {
    /// The path in the tree, without a leading slash.
    pub path: Box<[u8]>,
    /// The property.
    pub what: RefusedKind,
}

/// The kind of a missing property.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RefusedKind {
    /// The owner and group.
    Owner {
        /// The user id.
        uid: u32,
        /// The group id.
        gid: u32,
    },
    /// The set-id bits, which are dropped if the owner differs.
    Mode(u32),
    /// A device node, which was not created at all.
    Device {
        /// Whether it is a block device; otherwise it is a character device.
        is_block: bool,
        /// The major number.
        major: u32,
        /// The minor number.
        minor: u32,
        /// Permissions.
        mode: u32,
        /// The user id.
        uid: u32,
        /// The group id.
        gid: u32,
    },
    /// An extended attribute.
    Xattr {
        /// The full name.
        name: Box<[u8]>,
        /// The value.
        value: Box<[u8]>,
    },
}

/// Creates files in an empty directory, parents first. It never follows a symbolic link: it created
/// every parent itself, as a directory.
pub(crate) struct Unpacker {
    root: PathBuf,
    options: UnpackOptions,
    report: Unpacked,
    /// Attributes of directories, which are set after their contents were created.
    directories: Vec<(PathBuf, Box<[u8]>, Kept)>,
}

/// The owned attributes of a directory.
struct Kept {
    mode: u32,
    uid: u32,
    gid: u32,
    mtime: Timestamp,
    xattrs: Vec<crate::tree::Xattr>,
}

/// A regular file that is being written.
pub(crate) struct OpenFile {
    file: File,
    path: PathBuf,
}

impl OpenFile {
    pub(crate) fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        crate::block::write_all_at(&self.file, bytes, offset).map_err(|source| Error::Unpack {
            path: self.path.clone(),
            source,
        })
    }
}

impl Unpacker {
    /// Creates the directory if it does not exist; otherwise it must be empty.
    pub(crate) fn new(root: &Path, options: &UnpackOptions) -> Result<Self, Error> {
        let open = || {
            fs::create_dir_all(root)?;
            match fs::read_dir(root)?.next() {
                None => Ok(()),
                Some(_) => Err(io::Error::from(io::ErrorKind::DirectoryNotEmpty)),
            }
        };
        open().map_err(|source| Error::Unpack {
            path: root.to_owned(),
            source,
        })?;
        Ok(Self {
            root: root.to_owned(),
            options: options.clone(),
            report: Unpacked::default(),
            directories: Vec::new(),
        })
    }

    /// Creates anything but a regular file. The empty path is the root.
    pub(crate) fn make(
        &mut self,
        path: &[u8],
        item: &Item<'_>,
        attributes: &Attributes<'_>,
    ) -> Result<(), Error> {
        let target = self.target(path);
        let fail = |source| Error::Unpack {
            path: target.clone(),
            source,
        };
        match item {
            Item::Directory => {
                if !path.is_empty() {
                    fs::DirBuilder::new()
                        .mode(0o700)
                        .create(&target)
                        .map_err(fail)?;
                    self.report.entries += 1;
                }
                let kept = Kept {
                    mode: attributes.mode,
                    uid: attributes.uid,
                    gid: attributes.gid,
                    mtime: attributes.mtime,
                    xattrs: attributes.xattrs.to_vec(),
                };
                self.directories.push((target, path.into(), kept));
                return Ok(());
            }
            Item::HardLink(to) => {
                let to = self.target(to);
                // `linkat` does not follow a symbolic link.
                rustix::fs::linkat(CWD, &to, CWD, &target, AtFlags::empty())
                    .map_err(|errno| fail(errno.into()))?;
                self.report.entries += 1;
                return Ok(());
            }
            Item::Symlink(to) => {
                std::os::unix::fs::symlink(OsStr::from_bytes(to), &target).map_err(fail)?;
            }
            Item::Char(major, minor) | Item::Block(major, minor) => {
                let is_block = matches!(item, Item::Block(..));
                if !self
                    .make_device(&target, is_block, (*major, *minor))
                    .map_err(fail)?
                {
                    let &Attributes { mode, uid, gid, .. } = attributes;
                    let (major, minor) = (*major, *minor);
                    let what = RefusedKind::Device {
                        is_block,
                        major,
                        minor,
                        mode,
                        uid,
                        gid,
                    };
                    self.refuse(path, what);
                    return Ok(());
                }
            }
            Item::Fifo => {
                let mode = Mode::from_raw_mode(0o600);
                rustix::fs::mknodat(CWD, &target, FileType::Fifo, mode, 0)
                    .map_err(|errno| fail(errno.into()))?;
            }
            Item::File(size) => {
                let file = self.create(path)?;
                return self.close(path, file, *size, attributes);
            }
        }
        self.report.entries += 1;
        self.set_attributes(&target, path, attributes, matches!(item, Item::Symlink(_)))
    }

    pub(crate) fn create(&mut self, path: &[u8]) -> Result<OpenFile, Error> {
        let target = self.target(path);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&target);
        match file {
            Ok(file) => Ok(OpenFile { file, path: target }),
            Err(source) => Err(Error::Unpack {
                path: target,
                source,
            }),
        }
    }

    pub(crate) fn close(
        &mut self,
        path: &[u8],
        file: OpenFile,
        size: u64,
        attributes: &Attributes<'_>,
    ) -> Result<(), Error> {
        let OpenFile { file, path: target } = file;
        file.set_len(size).map_err(|source| Error::Unpack {
            path: target.clone(),
            source,
        })?;
        drop(file);
        self.report.entries += 1;
        self.set_attributes(&target, path, attributes, false)
    }

    pub(crate) fn add_bytes(&mut self, bytes: u64) {
        self.report.bytes += bytes;
    }

    /// Sets the attributes of directories, the deepest first.
    pub(crate) fn finish(mut self) -> Result<Unpacked, Error> {
        while let Some((target, path, kept)) = self.directories.pop() {
            let Kept {
                mode,
                uid,
                gid,
                mtime,
                xattrs,
            } = &kept;
            let attributes = Attributes {
                mode: *mode,
                uid: *uid,
                gid: *gid,
                mtime: *mtime,
                xattrs,
            };
            self.set_attributes(&target, &path, &attributes, false)?;
        }
        Ok(self.report)
    }

    pub(crate) fn exists(&self, path: &[u8]) -> bool {
        self.target(path).symlink_metadata().is_ok()
    }

    fn target(&self, path: &[u8]) -> PathBuf {
        if path.is_empty() {
            self.root.clone()
        } else {
            self.root.join(OsStr::from_bytes(path))
        }
    }

    fn refuse(&mut self, path: &[u8], what: RefusedKind) {
        self.report.refused.push(Refused {
            path: path.into(),
            what,
        });
    }

    /// Creates a device node; returns `false` if the caller may not.
    fn make_device(&self, target: &Path, is_block: bool, number: (u32, u32)) -> io::Result<bool> {
        if !self.options.devices {
            return Ok(false);
        }
        let kind = if is_block {
            FileType::BlockDevice
        } else {
            FileType::CharacterDevice
        };
        let device = rustix::fs::makedev(number.0, number.1);
        match rustix::fs::mknodat(CWD, target, kind, Mode::from_raw_mode(0o600), device) {
            Ok(()) => Ok(true),
            Err(errno) if is_refusal(errno) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }

    /// The owner is set first, because a change of owner clears set-id bits and capabilities.
    fn set_attributes(
        &mut self,
        target: &Path,
        path: &[u8],
        attributes: &Attributes<'_>,
        is_symlink: bool,
    ) -> Result<(), Error> {
        let fail = |errno: Errno| Error::Unpack {
            path: target.to_owned(),
            source: errno.into(),
        };
        let (uid, gid) = (attributes.uid, attributes.gid);
        let stat = rustix::fs::lstat(target).map_err(fail)?;
        let mut owned = (stat.st_uid, stat.st_gid) == (uid, gid);
        if !owned && self.options.owners {
            owned = match std::os::unix::fs::lchown(target, Some(uid), Some(gid)) {
                Ok(()) => true,
                Err(error) if refusal_of(&error) => false,
                Err(source) => {
                    return Err(Error::Unpack {
                        path: target.to_owned(),
                        source,
                    });
                }
            };
        }
        if !owned {
            self.refuse(path, RefusedKind::Owner { uid, gid });
        }
        for (name, value) in attributes.xattrs {
            let set = || {
                let name = OsStr::from_bytes(name);
                rustix::fs::lsetxattr(target, name, value, XattrFlags::empty())
            };
            let made = self.options.xattrs
                && match set() {
                    Ok(()) => true,
                    Err(errno) if is_refusal(errno) => false,
                    Err(errno) => return Err(fail(errno)),
                };
            if !made {
                let (name, value) = (name.clone(), value.clone());
                self.refuse(path, RefusedKind::Xattr { name, value });
            }
        }
        if !is_symlink {
            let mut mode = attributes.mode & 0o7777;
            if !owned && mode & 0o6000 != 0 {
                self.refuse(path, RefusedKind::Mode(mode));
                mode &= 0o1777;
            }
            fs::set_permissions(target, fs::Permissions::from_mode(mode)).map_err(|source| {
                Error::Unpack {
                    path: target.to_owned(),
                    source,
                }
            })?;
        }
        let time = rustix::fs::Timespec {
            tv_sec: attributes.mtime.seconds,
            tv_nsec: attributes.mtime.nanos.into(),
        };
        let times = Timestamps {
            last_access: time,
            last_modification: time,
        };
        rustix::fs::utimensat(CWD, target, &times, AtFlags::SYMLINK_NOFOLLOW).map_err(fail)
    }
}

/// Returns whether the caller lacks the permission, or the file system lacks the feature.
fn is_refusal(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::PERM | Errno::ACCESS | Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSPC
    )
}

fn refusal_of(error: &io::Error) -> bool {
    error
        .raw_os_error()
        .is_some_and(|code| is_refusal(Errno::from_raw_os_error(code)))
}
