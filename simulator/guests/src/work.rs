//! The directory of the guests' files.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tether::sys::SubIds;

use crate::file_job::FileJob;
use crate::helper::Helper;
use crate::rights::Rights;

/// The directory of the guests' files. `trees/<name>` are the unpacked trees of base disks, which
/// are read-only and shared; each `containers/<name>` belongs to one disk.
#[derive(Debug)]
pub(crate) struct WorkDir {
    path: PathBuf,
    /// The directory if it is temporary: it is deleted with the guest.
    temporary: Option<TempDir>,
    /// The subordinate ids that files may belong to, and the program that accesses them.
    sub_ids: Option<(Helper, SubIds)>,
}

/// The directory of the trees.
pub(crate) const TREES: &str = "trees";
/// The directory of the containers.
pub(crate) const CONTAINERS: &str = "containers";

impl WorkDir {
    /// Opens a directory, which is created if necessary, or creates a temporary one.
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
        // Only the owner may enter it, because it will contain files with any owner and mode.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700))?;
        for name in [TREES, CONTAINERS] {
            fs::create_dir_all(path.join(name))?;
        }
        Ok(Self {
            path,
            temporary,
            sub_ids: None,
        })
    }

    /// Allows files to belong to these ids; the helper accesses them.
    pub(crate) fn with_sub_ids(mut self, helper: Helper, ids: SubIds) -> Self {
        self.sub_ids = Some((helper, ids));
        self
    }

    /// Returns the subordinate ids that files may belong to.
    pub(crate) fn sub_ids(&self) -> Option<&SubIds> {
        self.sub_ids.as_ref().map(|(_, ids)| ids)
    }

    /// Does work on files: with the subordinate ids, if there are any.
    pub(crate) fn run(&self, job: &FileJob) -> io::Result<()> {
        match &self.sub_ids {
            Some((helper, ids)) => helper.run(ids, job),
            None => job.run(Rights::of_this_process()),
        }
    }

    /// Deletes a directory and its content. Succeeds if it does not exist.
    pub(crate) fn remove(&self, path: &Path) -> io::Result<()> {
        match (remove(path), &self.sub_ids) {
            // The rest belongs to subordinate ids. Most directories do not, so no process is started for
            // them.
            (Err(error), Some((helper, ids)))
                if error.kind() == io::ErrorKind::PermissionDenied =>
            {
                helper.run(ids, &FileJob::Remove(path.to_owned()))
            }
            (done, _) => done,
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the name of the directory of the container with this disk.
    pub(crate) fn container_name(disk: &Path) -> String {
        name_of([disk.as_os_str().as_bytes()])
    }
}

impl Drop for WorkDir {
    fn drop(&mut self) {
        if let Some(directory) = self.temporary.take() {
            let path = directory.keep();
            if let Err(error) = self.remove(&path) {
                tracing::warn!(%error, path = %path.display(), "the files of guests were not deleted");
            }
        }
    }
}

/// Returns the name of a directory, a hash of the parts that identify its content.
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

/// Deletes a directory and its content, even without the permissions to do so. Succeeds if it does
/// not exist.
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
