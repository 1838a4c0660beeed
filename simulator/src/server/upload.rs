//! Uploads, which become visible only when they are complete.

use std::io;
use std::path::{Path, PathBuf};

/// A temporary file that is deleted on drop unless [`finish`](Self::finish) succeeded.
#[derive(Debug)]
pub(super) struct Upload {
    file: PathBuf,
    finished: bool,
}

impl Upload {
    /// Creates an upload with a unique file name in the directory of the target.
    pub(super) fn next_to(target: &Path) -> Self {
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let unique = uuid::Uuid::new_v4().simple();
        Self {
            file: target.with_file_name(format!("{name}.{unique}.part")),
            finished: false,
        }
    }

    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// Replaces the target atomically.
    pub(super) fn finish(mut self, to: &Path) -> io::Result<()> {
        std::fs::rename(&self.file, to)?;
        self.finished = true;
        Ok(())
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if !self.finished {
            let _ = std::fs::remove_file(&self.file);
        }
    }
}
