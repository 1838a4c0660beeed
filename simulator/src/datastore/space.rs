//! The space of a datastore with a capacity.

use std::io;
use std::path::Path;

use crate::saved;

/// The space that one writer may still use.
#[derive(Debug)]
pub(crate) struct Allowance {
    /// Bytes; `None` without a limit.
    left: Option<u64>,
}

impl Allowance {
    pub(super) const fn new(left: Option<u64>) -> Self {
        Self { left }
    }

    /// Uses some of the space.
    ///
    /// # Errors
    /// [`StorageFull`](io::ErrorKind::StorageFull) if less is left.
    pub(crate) fn take(&mut self, bytes: u64) -> io::Result<()> {
        if let Some(left) = &mut self.left {
            *left = left.checked_sub(bytes).ok_or(io::ErrorKind::StorageFull)?;
        }
        Ok(())
    }
}

/// Returns the number of bytes that the files below a directory occupy. Files that are deleted
/// concurrently do not count, nor does what clients cannot access.
pub(super) fn occupied(directory: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return 0;
    };
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(_) if entry.file_name() == saved::DIRECTORY => 0,
        Ok(metadata) if metadata.is_dir() => occupied(&entry.path()),
        Ok(metadata) => allocated(&metadata),
        Err(_) => 0,
    };
    entries.flatten().map(size).sum()
}

/// Returns the number of bytes that a file, or a directory with its content, occupies.
pub(super) fn occupied_by(file: &Path) -> u64 {
    match std::fs::metadata(file) {
        Ok(metadata) if metadata.is_dir() => occupied(file),
        Ok(metadata) => allocated(&metadata),
        Err(_) => 0,
    }
}

/// Returns the size of a file without its holes.
#[cfg(unix)]
fn allocated(metadata: &std::fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::blocks(metadata) * 512
}

#[cfg(not(unix))]
fn allocated(metadata: &std::fs::Metadata) -> u64 {
    metadata.len()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn holes_of_files_occupy_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let inner = directory.path().join("inner");
        std::fs::create_dir(&inner).unwrap();
        let hole = std::fs::File::create(inner.join("hole")).unwrap();
        hole.set_len(1 << 30).unwrap();
        assert!(occupied(directory.path()) < 1 << 20);
        std::fs::write(inner.join("content"), vec![7; 1 << 20]).unwrap();
        assert!(occupied(directory.path()) >= 1 << 20);
    }

    #[test]
    fn an_allowance_ends() {
        let mut limited = Allowance::new(Some(10));
        limited.take(10).unwrap();
        let full = limited.take(1).unwrap_err();
        assert_eq!(full.kind(), io::ErrorKind::StorageFull);
        Allowance::new(None).take(u64::MAX).unwrap();
    }
}
