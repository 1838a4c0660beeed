//! Copies a tree, on hosts where it cannot be shared by an overlay.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, chown, lchown, symlink};
use std::path::Path;

/// Copies a tree with modes and, as root, owners. Pipes, sockets and devices are
/// left out, as are extended attributes.
pub(crate) fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let data = fs::symlink_metadata(from)?;
    if data.is_symlink() {
        symlink(fs::read_link(from)?, to)?;
        return owner(lchown(to, Some(data.uid()), Some(data.gid())));
    }
    if data.is_dir() {
        fs::create_dir(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            copy(&entry.path(), &to.join(entry.file_name()))?;
        }
    } else if data.is_file() {
        fs::copy(from, to)?;
    } else {
        tracing::debug!(path = %from.display(), "a special file was not copied");
        return Ok(());
    }
    owner(chown(to, Some(data.uid()), Some(data.gid())))?;
    // Sets the mode after the owner, because a change of the owner clears the set-id bits.
    fs::set_permissions(to, data.permissions())
}

fn owner(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        done => done,
    }
}
