//! VMware's lock next to a file: while it exists, a process has the machine open.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use crate::file;

/// Returns an error if VMware's lock exists next to a file: a file or folder of the same
/// name with `.lck` appended.
pub(crate) fn refuse(path: &Path) -> Result<()> {
    if file::is_standard_input(path) {
        return Ok(());
    }
    let behind_links = path.canonicalize().ok();
    for path in [Some(path.to_path_buf()), behind_links]
        .into_iter()
        .flatten()
    {
        let lock = lock_of(&path);
        ensure!(
            lock.symlink_metadata().is_err(),
            "{} is locked by {}: VMware has the machine open and would write over the edit; \
             power it off and close it, or use --force if the lock is stale",
            path.display(),
            lock.display()
        );
    }
    Ok(())
}

fn lock_of(path: &Path) -> PathBuf {
    let mut name = OsString::from(path.file_name().unwrap_or_default());
    name.push(".lck");
    path.with_file_name(name)
}
