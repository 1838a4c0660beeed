//! Copies a tree, on hosts where it cannot be shared by an overlay.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, chown, lchown, symlink};
use std::path::Path;

use rustix::buffer::spare_capacity;
use rustix::fs::{
    AtFlags, CWD, FileType, Mode, Timespec, Timestamps, XattrFlags, lgetxattr, llistxattr,
    lsetxattr, mknodat, utimensat,
};
use rustix::io::Errno;

/// The kernel's limit for the size of an attribute, and for that of all names of a file.
const ATTRIBUTES_MAX: usize = 64 << 10;

/// Copies a tree with modes, times and, as far as the system allows it, owners and extended attributes.
/// Sockets and devices are left out.
pub(crate) fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let data = fs::symlink_metadata(from)?;
    let kind = data.file_type();
    if kind.is_symlink() {
        symlink(fs::read_link(from)?, to)?;
        allowed(lchown(to, Some(data.uid()), Some(data.gid())))?;
        return times(&data, to);
    }
    if kind.is_dir() {
        fs::create_dir(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            copy(&entry.path(), &to.join(entry.file_name()))?;
        }
    } else if kind.is_file() {
        fs::copy(from, to)?;
    } else if kind.is_fifo() {
        let mode = Mode::from_raw_mode(0o600);
        mknodat(CWD, to, FileType::Fifo, mode, 0).map_err(io::Error::from)?;
    } else {
        tracing::debug!(path = %from.display(), "a special file was not copied");
        return Ok(());
    }
    allowed(chown(to, Some(data.uid()), Some(data.gid())))?;
    attributes(from, to)?;
    // Sets the mode after the owner, because a change of the owner clears the set-id bits.
    fs::set_permissions(to, data.permissions())?;
    times(&data, to)
}

/// Sets the time of the last change, by which changed files are recognized later.
fn times(data: &fs::Metadata, to: &Path) -> io::Result<()> {
    let time = |tv_sec, tv_nsec| Timespec { tv_sec, tv_nsec };
    let times = Timestamps {
        last_access: time(data.atime(), data.atime_nsec()),
        last_modification: time(data.mtime(), data.mtime_nsec()),
    };
    Ok(utimensat(CWD, to, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

/// Copies the extended attributes of a file that is not a symbolic link.
fn attributes(from: &Path, to: &Path) -> io::Result<()> {
    let mut names = Vec::with_capacity(ATTRIBUTES_MAX);
    match llistxattr(from, spare_capacity(&mut names)) {
        Ok(_) => {}
        Err(Errno::NOTSUP) => return Ok(()),
        Err(error) => return Err(error.into()),
    }
    for name in names
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
    {
        let mut value = Vec::with_capacity(ATTRIBUTES_MAX);
        lgetxattr(from, name, spare_capacity(&mut value))?;
        match lsetxattr(to, name, &value, XattrFlags::empty()) {
            Ok(()) | Err(Errno::PERM | Errno::NOTSUP | Errno::ACCESS) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Ignores that the caller may not do this.
fn allowed(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        done => done,
    }
}
