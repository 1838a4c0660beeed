//! Copies a path of the container to a tar archive.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::buffer::spare_capacity;
use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags, Stat, fgetxattr, flistxattr, fstat,
    major, minor, openat2, readlinkat, statat,
};
use rustix::io::Errno;
use tar::{Builder, EntryType, Header};

use super::notes::Notes;
use super::{failed, open_in_root};
use crate::owners::{MissingDevice, Owners};

/// The maximum depth of directories, each of which takes two open files.
const MAX_DEPTH: usize = 256;
/// The maximum number of bytes of the names of files with several hard links. Further links are
/// copied as files of their own.
const MAX_LINKS: usize = 16 << 20;
/// The maximum size of an attribute, and of all names of a file's attributes, in the kernel.
const MAX_ATTRIBUTE: usize = 64 << 10;

/// Copies a path, with everything below it, to `out`. Files that have not got their owners
/// have those in `owners`, and device nodes in it that do not exist are added. Returns the notes.
pub(super) fn pack(path: &str, out: File, owners: Option<&File>) -> Result<String, String> {
    let mut notes = Notes::default();
    let owners = owners.map_or_else(|| Ok(Owners::default()), Owners::read);
    let owners = owners.unwrap_or_else(|_| {
        notes.add("owners", path.as_bytes());
        Owners::default()
    });
    let mut packer = Packer {
        tar: Builder::new(BufWriter::with_capacity(64 << 10, out)),
        notes,
        owners,
        start: Vec::new(),
        start_name: 0,
        links: HashMap::new(),
        link_bytes: 0,
        device: 0,
        root_device: None,
    };
    let done = packer.start(path.as_bytes());
    let Packer { tar, notes, .. } = packer;
    if let Err(reason) = done {
        // Dropping the builder would write the end of a complete archive.
        std::mem::forget(tar);
        return Err(reason);
    }
    let finished = tar.into_inner().and_then(|mut out| out.flush());
    finished.map_err(|error| lost(&error))?;
    Ok(notes.text())
}

/// Returns a path without the slashes at its end.
fn trim_slashes(path: &[u8]) -> &[u8] {
    let end = path.iter().rposition(|byte| *byte != b'/');
    &path[..end.map_or(0, |end| end + 1)]
}

struct Packer {
    tar: Builder<BufWriter<File>>,
    notes: Notes,
    owners: Owners,
    /// The path of the start in the container, without symbolic links.
    start: Vec<u8>,
    /// The length of the name of the start in the archive.
    start_name: usize,
    /// The first name of each file with several hard links, by device and inode.
    links: HashMap<(u64, u64), Vec<u8>>,
    link_bytes: usize,
    /// The file system at the start; others are not entered.
    device: u64,
    /// The file system of the container's root, which is that of the image; `None` if no file of it
    /// was refused.
    root_device: Option<u64>,
}

impl Packer {
    fn start(&mut self, path: &[u8]) -> Result<(), String> {
        let trimmed = trim_slashes(path);
        let slash = trimmed.iter().rposition(|byte| *byte == b'/');
        let Some(slash) = slash.filter(|slash| !matches!(&trimmed[slash + 1..], b"." | b".."))
        else {
            return self.start_directory(path, b".");
        };
        let name = &trimmed[slash + 1..];
        if trimmed.len() < path.len() {
            // A path that ends with a slash is a directory, also through a symbolic link.
            return self.start_directory(path, name);
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let parent = open_in_root(path, &path[..=slash], flags)?;
        self.start_at(&parent, Some(name), name);
        match statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(found) => self.device = found.st_dev,
            Err(Errno::NOENT) => {
                let data = fstat(&parent).map_err(|error| failed(path, &error.into()))?;
                let directory = trim_slashes(&self.start);
                let slash = directory.iter().rposition(|byte| *byte == b'/');
                let directory = directory[..slash.unwrap_or(0)].to_vec();
                let missing = self.missing_devices(&directory, &data);
                let found = missing.into_iter().find(|(other, _)| other == name);
                let (_, device) = found.ok_or_else(|| failed(path, &Errno::NOENT.into()))?;
                return self.missing_device(name, &device);
            }
            Err(error) => return Err(failed(path, &error.into())),
        }
        self.file(&parent, name, name, MAX_DEPTH)
    }

    fn start_directory(&mut self, path: &[u8], name: &[u8]) -> Result<(), String> {
        let file = open_in_root(path, path, OFlags::RDONLY | OFlags::DIRECTORY)?;
        self.start_at(&file, None, name);
        let data = fstat(&file).map_err(|error| failed(path, &error.into()))?;
        self.device = data.st_dev;
        self.directory(&file, name, &data, MAX_DEPTH)
    }

    /// Remembers where the start is: in the directory `opened` if it is a `file`, otherwise the directory
    /// itself. Best effort: what the container does to `/proc` changes only the owners in its archive.
    fn start_at(&mut self, opened: &OwnedFd, file: Option<&[u8]>, name: &[u8]) {
        if self.owners.is_empty() {
            return;
        }
        let link = format!("/proc/self/fd/{}", opened.as_raw_fd());
        match std::fs::read_link(link) {
            Ok(path) => {
                let path = file.map_or_else(|| path.clone(), |file| path.join(as_path(file)));
                self.start = trim_slashes(path.as_os_str().as_bytes()).to_vec();
                self.start_name = name.len();
                let root = statat(CWD, c"/", AtFlags::empty());
                self.root_device = root.ok().map(|root| root.st_dev);
            }
            Err(_) => {
                self.owners = Owners::default();
                self.notes.add("owners", name);
            }
        }
    }

    /// Returns the user id, group id and permissions of an entry.
    fn owner(&self, name: &[u8], data: &Stat) -> (u32, u32, u32) {
        let path = self.path_of(name);
        self.owners
            .of(path.strip_prefix(b"/").unwrap_or(&path), data)
    }

    /// Returns the path of an entry in the container, if [`start`](Self::start) is known.
    fn path_of(&self, name: &[u8]) -> Vec<u8> {
        let below = name.get(self.start_name..).unwrap_or_default();
        [&self.start, below].concat()
    }

    /// Returns the device nodes of the image that are missing in a directory. What is mounted in the
    /// container is not part of the image.
    fn missing_devices(&self, path: &[u8], data: &Stat) -> Vec<(Vec<u8>, MissingDevice)> {
        if self.root_device != Some(data.st_dev) {
            return Vec::new();
        }
        self.owners.devices(path.strip_prefix(b"/").unwrap_or(path))
    }

    /// Copies a file of any kind. `depth` is that left for directories.
    fn file(
        &mut self,
        parent: &OwnedFd,
        file: &[u8],
        name: &[u8],
        depth: usize,
    ) -> Result<(), String> {
        let os_error = |error: Errno| failed(name, &error.into());
        let data = match statat(parent, file, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(data) => data,
            // The container has deleted it since its directory was read.
            Err(Errno::NOENT) => return Ok(()),
            Err(error) => return Err(os_error(error)),
        };
        let kind = FileType::from_raw_mode(data.st_mode);
        if kind == FileType::Directory {
            let Some(opened) = self.open(parent, file, name, OFlags::DIRECTORY)? else {
                return Ok(());
            };
            let data = fstat(&opened).map_err(os_error)?;
            return self.directory(&opened, name, &data, depth);
        }
        if data.st_nlink > 1 && kind != FileType::Socket && self.link(&data, name)? {
            return Ok(());
        }
        match kind {
            FileType::RegularFile => {
                let Some(opened) = self.open(parent, file, name, OFlags::NONBLOCK)? else {
                    return Ok(());
                };
                let data = fstat(&opened).map_err(os_error)?;
                if FileType::from_raw_mode(data.st_mode) != FileType::RegularFile {
                    // The container has replaced it since.
                    return Ok(());
                }
                self.regular(opened, name, &data)
            }
            FileType::Symlink => {
                let target = match readlinkat(parent, file, Vec::new()) {
                    Ok(target) => target,
                    Err(Errno::NOENT | Errno::INVAL) => return Ok(()),
                    Err(error) => return Err(os_error(error)),
                };
                let target = Path::new(OsStr::from_bytes(target.as_bytes())).to_owned();
                let mut header = self.header(EntryType::Symlink, name, &data, 0, &[])?;
                let added = self.tar.append_link(&mut header, as_path(name), target);
                added.map_err(|error| lost(&error))
            }
            FileType::Fifo => self.special(EntryType::Fifo, name, &data),
            FileType::CharacterDevice => self.special(EntryType::Char, name, &data),
            FileType::BlockDevice => self.special(EntryType::Block, name, &data),
            _ => {
                self.notes.add("sockets", name);
                Ok(())
            }
        }
    }

    /// Opens a file that the container may replace at any time; `None` if it has.
    fn open(
        &self,
        parent: &OwnedFd,
        file: &[u8],
        name: &[u8],
        flags: OFlags,
    ) -> Result<Option<OwnedFd>, String> {
        let flags = flags | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        match openat2(parent, file, flags, Mode::empty(), resolve) {
            Ok(file) => Ok(Some(file)),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NXIO) => Ok(None),
            Err(error) => Err(failed(name, &error.into())),
        }
    }

    fn directory(
        &mut self,
        opened: &OwnedFd,
        name: &[u8],
        data: &Stat,
        depth: usize,
    ) -> Result<(), String> {
        let attributes = self.attributes(opened, name);
        let mut header = self.header(EntryType::Directory, name, data, 0, &attributes)?;
        let added = self
            .tar
            .append_data(&mut header, as_path(name), io::empty());
        added.map_err(|error| lost(&error))?;
        if data.st_dev != self.device {
            return Ok(());
        }
        let Some(depth) = depth.checked_sub(1) else {
            let text = format!("directories are nested deeper than {MAX_DEPTH}");
            return Err(failed(name, &io::Error::other(text)));
        };
        let os_error = |error: Errno| failed(name, &error.into());
        for entry in Dir::read_from(opened).map_err(os_error)? {
            let entry = entry.map_err(os_error)?;
            let file = entry.file_name().to_bytes();
            if file == b"." || file == b".." {
                continue;
            }
            let inner = [name, b"/", file].concat();
            self.file(opened, file, &inner, depth)?;
        }
        for (file, device) in self.missing_devices(&self.path_of(name), data) {
            // The container may have created another file with this name.
            if statat(opened, &*file, AtFlags::SYMLINK_NOFOLLOW).is_err() {
                self.missing_device(&[name, b"/", &file].concat(), &device)?;
            }
        }
        Ok(())
    }

    /// Adds a device node of the image that the system refused.
    fn missing_device(&mut self, name: &[u8], device: &MissingDevice) -> Result<(), String> {
        let mut header = Header::new_gnu();
        header.set_entry_type(if device.is_block {
            EntryType::Block
        } else {
            EntryType::Char
        });
        header.set_mode(device.permissions);
        header.set_uid(device.uid.into());
        header.set_gid(device.gid.into());
        header.set_mtime(0);
        header.set_size(0);
        let (major, minor) = device.number;
        let set = header.set_device_major(major);
        let set = set.and_then(|()| header.set_device_minor(minor));
        set.map_err(|error| failed(name, &error))?;
        self.notes.add("times of device nodes", name);
        let added = self
            .tar
            .append_data(&mut header, as_path(name), io::empty());
        added.map_err(|error| lost(&error))
    }

    fn regular(&mut self, opened: OwnedFd, name: &[u8], data: &Stat) -> Result<(), String> {
        let attributes = self.attributes(&opened, name);
        let size = u64::try_from(data.st_size).unwrap_or(0);
        let mut header = self.header(EntryType::Regular, name, data, size, &attributes)?;
        let mut content = Exactly {
            file: File::from(opened),
            left: size,
            is_short: false,
            error: None,
        };
        let added = self
            .tar
            .append_data(&mut header, as_path(name), &mut content);
        if let Some(error) = content.error {
            return Err(failed(name, &error));
        }
        if content.is_short {
            self.notes.add(
                "the end, which was cut off during the copy and is zeros,",
                name,
            );
        }
        added.map_err(|error| lost(&error))
    }

    fn special(&mut self, kind: EntryType, name: &[u8], data: &Stat) -> Result<(), String> {
        let mut header = self.header(kind, name, data, 0, &[])?;
        if kind != EntryType::Fifo {
            let set = header.set_device_major(major(data.st_rdev));
            let set = set.and_then(|()| header.set_device_minor(minor(data.st_rdev)));
            set.map_err(|error| failed(name, &error))?;
        }
        let added = self
            .tar
            .append_data(&mut header, as_path(name), io::empty());
        added.map_err(|error| lost(&error))
    }

    /// Copies a file as a link to an earlier name of it. Returns false if there is none.
    fn link(&mut self, data: &Stat, name: &[u8]) -> Result<bool, String> {
        let key = (data.st_dev, data.st_ino);
        let Some(first) = self.links.get(&key) else {
            if self.link_bytes < MAX_LINKS {
                self.link_bytes += name.len();
                self.links.insert(key, name.to_vec());
            }
            return Ok(false);
        };
        let first = as_path(first).to_owned();
        let mut header = self.header(EntryType::Link, name, data, 0, &[])?;
        let added = self.tar.append_link(&mut header, as_path(name), first);
        added.map_err(|error| lost(&error))?;
        Ok(true)
    }

    /// Returns the header of an entry, after writing the extended header before it.
    fn header(
        &mut self,
        kind: EntryType,
        name: &[u8],
        data: &Stat,
        size: u64,
        attributes: &[(String, Vec<u8>)],
    ) -> Result<Header, String> {
        let mut records = attributes.to_vec();
        if data.st_mtime_nsec != 0 || data.st_mtime < 0 {
            let nanos = i128::from(data.st_mtime) * 1_000_000_000 + i128::from(data.st_mtime_nsec);
            let sign = if nanos < 0 { "-" } else { "" };
            let nanos = nanos.unsigned_abs();
            let (seconds, rest) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
            let time = format!("{sign}{seconds}.{rest:09}");
            records.push(("mtime".to_owned(), time.into_bytes()));
        }
        let records = records
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_slice()));
        let added = self.tar.append_pax_extensions(records);
        added.map_err(|error| lost(&error))?;
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        let (uid, gid, mode) = self.owner(name, data);
        header.set_mode(mode);
        header.set_uid(uid.into());
        header.set_gid(gid.into());
        header.set_mtime(u64::try_from(data.st_mtime).unwrap_or(0));
        header.set_size(size);
        Ok(header)
    }

    /// Reads the extended attributes of a file, as records of an extended header.
    fn attributes(&mut self, opened: &OwnedFd, name: &[u8]) -> Vec<(String, Vec<u8>)> {
        let mut records = Vec::new();
        let mut names = Vec::with_capacity(MAX_ATTRIBUTE);
        match flistxattr(opened, spare_capacity(&mut names)) {
            Ok(_) => {}
            Err(Errno::NOTSUP) => return records,
            Err(_) => self.notes.add("extended attributes", name),
        }
        for key in names.split(|byte| *byte == 0).filter(|key| !key.is_empty()) {
            let mut value = Vec::with_capacity(MAX_ATTRIBUTE);
            let read = fgetxattr(opened, key, spare_capacity(&mut value));
            match (std::str::from_utf8(key), read) {
                (Ok(key), Ok(_)) => {
                    value.shrink_to_fit();
                    records.push((format!("SCHILY.xattr.{key}"), value));
                }
                _ => self.notes.add("extended attributes", name),
            }
        }
        records
    }
}

fn as_path(name: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(name))
}

/// An archive that cannot be written: usually because the agent no longer reads.
fn lost(error: &io::Error) -> String {
    format!(
        "the archive cannot be written: {}",
        crate::error::reason(error)
    )
}

/// The content of a file, of exactly the size in its header, although the container may change it.
struct Exactly {
    file: File,
    left: u64,
    is_short: bool,
    error: Option<io::Error>,
}

impl Read for Exactly {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = usize::try_from(self.left).unwrap_or(usize::MAX);
        let length = length.min(buffer.len());
        if length == 0 {
            return Ok(0);
        }
        let mut read = 0;
        if !self.is_short {
            loop {
                match self.file.read(&mut buffer[..length]) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => {
                        let kind = error.kind();
                        self.error = Some(error);
                        return Err(kind.into());
                    }
                    Ok(length) => {
                        read = length;
                        break;
                    }
                }
            }
        }
        if read == 0 {
            self.is_short = true;
            buffer[..length].fill(0);
            read = length;
        }
        self.left -= read as u64;
        Ok(read)
    }
}
