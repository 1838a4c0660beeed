//! Unpacks a tar archive into a directory of the container.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::{AsFd as _, OwnedFd};

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, Uid, XattrFlags,
    chownat, fchmod, fchown, fsetxattr, futimens, linkat, makedev, mkdirat, mknodat, openat2,
    renameat, statat, symlinkat, unlinkat, utimensat,
};
use rustix::io::Errno;

use super::entry::{Entry, Kind};
use super::notes::Notes;
use super::reader::TarReader;
use super::{failed, open_in_root, quoted};
use crate::error::reason;

/// The maximum number of bytes of names and attributes of directories that are set at the end.
const MAX_PENDING: usize = 16 << 20;

/// Unpacks an archive into the directory `path`. Returns the notes.
pub(super) fn unpack(path: &str, input: File) -> Result<String, String> {
    let path = path.as_bytes();
    let directory = OFlags::RDONLY | OFlags::DIRECTORY;
    let mut unpacker = Unpacker {
        base: open_in_root(path, path, directory)?,
        notes: Notes::default(),
        directories: Vec::new(),
        pending: 0,
    };
    let mut reader = TarReader::new(input);
    while let Some(entry) = reader.next()? {
        unpacker.entry(entry, &mut reader)?;
    }
    unpacker.finish_directories();
    Ok(unpacker.notes.text())
}

struct Unpacker {
    /// The directory into which the archive is unpacked.
    base: OwnedFd,
    notes: Notes,
    /// The directories whose attributes are set after their content, with the entries.
    directories: Vec<Entry>,
    /// The memory that they take.
    pending: usize,
}

impl Unpacker {
    fn entry(&mut self, entry: Entry, reader: &mut TarReader<File>) -> Result<(), String> {
        let parts = parts(&entry.name)?;
        let Some((last, parents)) = parts.split_last() else {
            // The destination itself, which belongs to the container.
            return match entry.kind {
                Kind::Directory => Ok(()),
                _ => Err(refused(&entry.name, "it has no name")),
            };
        };
        let parent = self.make_parents(parents, &entry.name)?;
        if entry.kind == Kind::Directory {
            let last = last.to_vec();
            return self.directory(&parent, &last, entry);
        }
        // Created under another name, so that an existing file is either kept or replaced.
        let temporary = format!(".archive-{}", std::process::id()).into_bytes();
        let made = self.make(&parent, &temporary, &entry, reader);
        let done = made.and_then(|made| {
            if !made {
                return Ok(());
            }
            let moved = renameat(&parent, &*temporary, &parent, *last);
            moved.map_err(|error| match error {
                Errno::ISDIR | Errno::NOTEMPTY | Errno::EXIST => {
                    refused(&entry.name, "it would replace a directory of the container")
                }
                error => failed(&entry.name, &error.into()),
            })
        });
        // It still exists after a failure, and after a link to a file that has this name already.
        let _ = unlinkat(&parent, &*temporary, AtFlags::empty());
        done
    }

    /// Creates a file of any kind but a directory, with its attributes. Returns false if the system
    /// does not allow such a file.
    fn make(
        &mut self,
        parent: &OwnedFd,
        file: &[u8],
        entry: &Entry,
        reader: &mut TarReader<File>,
    ) -> Result<bool, String> {
        let os_error = |error: Errno| failed(&entry.name, &error.into());
        match &entry.kind {
            Kind::File(_) => {
                let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
                let made = self.open(parent, file, flags, 0o600).map_err(os_error)?;
                let mut content = File::from(made);
                reader.copy_to(|part| {
                    let written = content.write_all(part);
                    written.map_err(|error| failed(&entry.name, &error))
                })?;
                self.set_attributes(&content.into(), entry)?;
                return Ok(true);
            }
            Kind::HardLink(target) => {
                let target_parts = parts(target)?;
                let Some((last, parents)) = target_parts.split_last() else {
                    return Err(refused(&entry.name, "it is a link without a target"));
                };
                let target_parent = self.walk(parents).map_err(|error| {
                    format!(
                        "{}: link to {}: {error}",
                        quoted(&entry.name),
                        quoted(target)
                    )
                })?;
                let linked = linkat(&target_parent, *last, parent, file, AtFlags::empty());
                linked.map_err(|error| {
                    let reason = reason(&error.into());
                    format!(
                        "{}: link to {}: {reason}",
                        quoted(&entry.name),
                        quoted(target)
                    )
                })?;
                return Ok(true);
            }
            Kind::Symlink(target) => symlinkat(&**target, parent, file).map_err(os_error)?,
            Kind::Fifo => {
                let mode = Mode::from_raw_mode(entry.mode);
                mknodat(parent, file, FileType::Fifo, mode, 0).map_err(os_error)?;
            }
            Kind::Device(is_block, major, minor) => {
                let kind = if *is_block {
                    FileType::BlockDevice
                } else {
                    FileType::CharacterDevice
                };
                let mode = Mode::from_raw_mode(entry.mode);
                match mknodat(parent, file, kind, mode, makedev(*major, *minor)) {
                    Ok(()) => {}
                    Err(Errno::PERM) => {
                        self.notes.add("device nodes", &entry.name);
                        return Ok(false);
                    }
                    Err(error) => return Err(os_error(error)),
                }
            }
            Kind::Directory => return Ok(false),
        }
        let (uid, gid) = owner(entry);
        match chownat(parent, file, uid, gid, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(()) => {}
            Err(Errno::PERM | Errno::INVAL) => self.notes.add("owners", &entry.name),
            Err(error) => return Err(os_error(error)),
        }
        let times = times(entry);
        utimensat(parent, file, &times, AtFlags::SYMLINK_NOFOLLOW).map_err(os_error)?;
        Ok(true)
    }

    fn directory(&mut self, parent: &OwnedFd, file: &[u8], entry: Entry) -> Result<(), String> {
        match mkdirat(parent, file, Mode::from_raw_mode(0o700)) {
            Ok(()) => {}
            Err(Errno::EXIST) => {
                let data = statat(parent, file, AtFlags::SYMLINK_NOFOLLOW);
                let data = data.map_err(|error| failed(&entry.name, &error.into()))?;
                if FileType::from_raw_mode(data.st_mode) != FileType::Directory {
                    let text = "it would replace a file of the container by a directory";
                    return Err(refused(&entry.name, text));
                }
            }
            Err(error) => return Err(failed(&entry.name, &error.into())),
        }
        let attributes = entry
            .xattrs
            .iter()
            .map(|(name, value)| name.len() + value.len());
        self.pending += entry.name.len() + attributes.sum::<usize>() + size_of::<Entry>();
        self.directories.push(entry);
        if self.pending > MAX_PENDING {
            // Their times may still change.
            self.finish_directories();
        }
        Ok(())
    }

    /// Sets the attributes of directories, the deepest first.
    fn finish_directories(&mut self) {
        self.pending = 0;
        while let Some(entry) = self.directories.pop() {
            let opened = parts(&entry.name).and_then(|parts| {
                let opened = self.walk(&parts);
                opened.map_err(|error| error.to_string())
            });
            // The container may have removed it since.
            let set = opened.and_then(|opened| self.set_attributes(&opened, &entry));
            if set.is_err() {
                self.notes.add("attributes", &entry.name);
            }
        }
    }

    /// The owner is set first, because a change of owner clears set-id bits and capabilities.
    fn set_attributes(&mut self, file: &OwnedFd, entry: &Entry) -> Result<(), String> {
        let os_error = |error: Errno| failed(&entry.name, &error.into());
        let (uid, gid) = owner(entry);
        match fchown(file, uid, gid) {
            Ok(()) => {}
            Err(Errno::PERM | Errno::INVAL) => self.notes.add("owners", &entry.name),
            Err(error) => return Err(os_error(error)),
        }
        for (name, value) in &entry.xattrs {
            match fsetxattr(file, &**name, value, XattrFlags::empty()) {
                Ok(()) => {}
                Err(Errno::PERM | Errno::NOTSUP | Errno::INVAL | Errno::ACCESS) => {
                    self.notes.add("extended attributes", &entry.name);
                }
                Err(error) => return Err(os_error(error)),
            }
        }
        fchmod(file, Mode::from_raw_mode(entry.mode)).map_err(os_error)?;
        futimens(file, &times(entry)).map_err(os_error)
    }

    /// Opens the directory of an entry, and creates what is missing.
    fn make_parents(&self, parts: &[&[u8]], name: &[u8]) -> Result<OwnedFd, String> {
        let mut at = self.walk(&[]).map_err(|error| refused(name, error))?;
        for part in parts {
            let mode = Mode::from_raw_mode(0o755);
            match mkdirat(&at, *part, mode) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(failed(name, &error.into())),
            }
            let flags = OFlags::RDONLY | OFlags::DIRECTORY;
            let opened = self.open(&at, part, flags, 0);
            at = opened.map_err(|error| refused(name, explain(error)))?;
        }
        Ok(at)
    }

    /// Opens a directory below the destination.
    fn walk(&self, parts: &[&[u8]]) -> Result<OwnedFd, String> {
        let mut path = b"./".to_vec();
        for part in parts {
            path.extend_from_slice(part);
            path.push(b'/');
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        self.open(&self.base, &path, flags, 0).map_err(explain)
    }

    fn open(&self, at: &OwnedFd, path: &[u8], flags: OFlags, mode: u32) -> Result<OwnedFd, Errno> {
        let resolve = ResolveFlags::BENEATH
            | ResolveFlags::NO_SYMLINKS
            | ResolveFlags::NO_MAGICLINKS
            | ResolveFlags::NO_XDEV;
        let mode = Mode::from_raw_mode(mode);
        openat2(at.as_fd(), path, flags | OFlags::CLOEXEC, mode, resolve)
    }
}

/// Returns the components of a name; fails if it leads out of the destination.
fn parts(name: &[u8]) -> Result<Vec<&[u8]>, String> {
    let parts = name.split(|byte| *byte == b'/');
    let parts: Vec<_> = parts
        .filter(|part| !part.is_empty() && *part != b".")
        .collect();
    if parts.contains(&&b".."[..]) {
        return Err(refused(name, "its name contains \"..\""));
    }
    if name.contains(&0) {
        return Err(refused(name, "its name contains a NUL"));
    }
    Ok(parts)
}

fn refused(name: &[u8], why: impl std::fmt::Display) -> String {
    format!("{} is refused: {why}", quoted(name))
}

/// Returns the reason why a directory below the destination was not opened.
fn explain(error: Errno) -> String {
    match error {
        Errno::LOOP => "it leads through a symbolic link".to_owned(),
        Errno::XDEV => "it leads to another file system".to_owned(),
        Errno::NOTDIR => "a part of its path is not a directory".to_owned(),
        error => reason(&error.into()),
    }
}

fn owner(entry: &Entry) -> (Option<Uid>, Option<Gid>) {
    let (uid, gid) = (Uid::from_raw(entry.uid), Gid::from_raw(entry.gid));
    (Some(uid), Some(gid))
}

fn times(entry: &Entry) -> Timestamps {
    let time = Timespec {
        tv_sec: entry.mtime.0,
        tv_nsec: entry.mtime.1.into(),
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}
