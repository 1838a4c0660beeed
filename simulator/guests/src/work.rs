//! The directory of the guests' files.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

/// `trees/<name>` are the unpacked trees of base disks, read-only and shared;
/// `containers/<name>` belong to one disk each.
#[derive(Debug)]
pub(crate) struct WorkDir {
    path: PathBuf,
    /// Deleted with the guest, unless the caller gave a directory.
    temporary: Option<TempDir>,
}

/// Where the files of trees are.
pub(crate) const TREES: &str = "trees";
/// Where the files of containers are.
pub(crate) const CONTAINERS: &str = "containers";

impl WorkDir {
    /// Opens a directory, made if it is not there, or makes a temporary one.
    pub(crate) fn open(path: Option<&Path>) -> io::Result<Self> {
        let (path, temporary) = match path {
            Some(path) => {
                fs::create_dir_all(path)?;
                (path.canonicalize()?, None)
            }
            None => {
                let directory = TempDir::with_prefix("simulator-guests-")?;
                (directory.path().canonicalize()?, Some(directory))
            }
        };
        // It will contain files of images with any owner and mode.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700))?;
        for name in [TREES, CONTAINERS] {
            fs::create_dir_all(path.join(name))?;
        }
        Ok(Self { path, temporary })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The name of the directory of a container, by the disk that it belongs to.
    pub(crate) fn container_name(disk: &Path) -> String {
        name_of([disk.as_os_str().as_bytes()])
    }
}

impl Drop for WorkDir {
    fn drop(&mut self) {
        if let Some(directory) = self.temporary.take() {
            let path = directory.keep();
            if let Err(error) = remove(&path) {
                tracing::warn!(%error, path = %path.display(), "files of guests were left behind");
            }
        }
    }
}

/// A name for a directory out of what identifies its content.
pub(crate) fn name_of<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
        hash.update(part);
    }
    hash.finalize()
        .iter()
        .take(16)
        .fold(String::new(), |mut name, byte| {
            let _ = write!(name, "{byte:02x}");
            name
        })
}

/// Deletes a directory with all that is in it, whatever its modes are; one that is
/// not there counts as deleted.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(data) if !data.is_dir() => return fs::remove_file(path),
        Ok(data) if data.permissions().mode() & 0o700 != 0o700 => {
            fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
        }
        Ok(_) => {}
    }
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove(&entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    fs::remove_dir(path)
}
