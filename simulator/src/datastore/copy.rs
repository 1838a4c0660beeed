//! Copies of files and directories, which keep the holes of files.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

/// Size of the buffer for the content of files.
const BUFFER: usize = 256 << 10;

/// A copy under a hidden name, which is deleted on drop unless it was finished.
#[derive(Debug)]
pub(crate) struct Copied {
    hidden: PathBuf,
    target: PathBuf,
    finished: bool,
}

impl Copied {
    /// Copies a file, or a directory with its content. The directory of the target must exist.
    pub(super) fn new(from: &Path, target: &Path) -> io::Result<Self> {
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let unique = uuid::Uuid::new_v4().simple();
        let copied = Self {
            hidden: target.with_file_name(format!("{name}.{unique}.part")),
            target: target.to_owned(),
            finished: false,
        };
        copy(from, &copied.hidden)?;
        Ok(copied)
    }

    /// Replaces the target atomically.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        if self.target.is_dir() {
            std::fs::remove_dir_all(&self.target)?;
        }
        std::fs::rename(&self.hidden, &self.target)?;
        self.finished = true;
        Ok(())
    }
}

impl Drop for Copied {
    fn drop(&mut self) {
        if !self.finished {
            let _ = match self.hidden.is_dir() {
                true => std::fs::remove_dir_all(&self.hidden),
                false => std::fs::remove_file(&self.hidden),
            };
        }
    }
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    if !std::fs::metadata(from)?.is_dir() {
        return copy_file(from, to);
    }
    std::fs::create_dir(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}

/// Copies a file. Zeros become holes.
fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    let (mut from, mut to) = (File::open(from)?, File::create_new(to)?);
    let mut buffer = vec![0; BUFFER];
    let mut length = 0;
    loop {
        let read = from.read(&mut buffer)?;
        let part = buffer.get(..read).unwrap_or_default();
        if part.is_empty() {
            break;
        }
        if part.iter().any(|byte| *byte != 0) {
            to.seek(SeekFrom::Start(length))?;
            to.write_all(part)?;
        }
        length += read as u64;
    }
    to.set_len(length)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_folder_is_copied_with_its_holes() {
        let directory = tempfile::tempdir().unwrap();
        let (from, to) = (directory.path().join("a"), directory.path().join("b"));
        std::fs::create_dir_all(from.join("inner")).unwrap();
        let mut file = File::create(from.join("inner/disk")).unwrap();
        file.set_len(8 << 20).unwrap();
        file.seek(SeekFrom::Start(5 << 20)).unwrap();
        file.write_all(b"content").unwrap();
        let copied = Copied::new(&from, &to).unwrap();
        assert!(!to.exists());
        copied.finish().unwrap();
        let read = |path: &Path| std::fs::read(path.join("inner/disk")).unwrap();
        assert!(read(&from) == read(&to));
        assert!(super::super::space::occupied(&to) < 2 << 20);
        drop(Copied::new(&from, &directory.path().join("c")).unwrap());
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 2);
    }
}
