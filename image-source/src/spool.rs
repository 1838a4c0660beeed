//! Storage for the blobs of an image between a registry and its import.

use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use portlayer::image::Digest;
use sha2::{Digest as _, Sha256};

use crate::section::Section;
use crate::{Error, Result};

/// A directory of blobs, each a file named by the hexadecimal digits of its digest. Cheap to
/// clone.
///
/// A complete blob is not fetched again, but verified each time it is used. An interrupted
/// fetch is resumed, also by another process. Processes can share a directory.
#[derive(Clone, Debug)]
pub struct Spool {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    directory: PathBuf,
    /// Removes a temporary directory when dropped.
    _temporary: Option<tempfile::TempDir>,
    /// Locks by digest, so that only one fetch of a blob runs at a time in this process.
    turns: Mutex<HashMap<Digest, Weak<tokio::sync::Mutex<()>>>>,
}

impl Spool {
    /// Creates a directory for temporary files. It is removed when the last clone and the last
    /// image fetched to it have been dropped.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be created.
    pub fn temporary() -> Result<Self> {
        let temporary = tempfile::Builder::new()
            .prefix("image-spool-")
            .tempdir()
            .map_err(Error::io("create a directory in", std::env::temp_dir()))?;
        Ok(Self::new(temporary.path().to_owned(), Some(temporary)))
    }

    /// Uses this directory, which is created if necessary and is not removed.
    /// [`clear`](Self::clear) empties it.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be created.
    pub fn at(directory: impl Into<PathBuf>) -> Result<Self> {
        let directory = directory.into();
        std::fs::create_dir_all(&directory).map_err(Error::io("create", &directory))?;
        Ok(Self::new(directory, None))
    }

    fn new(directory: PathBuf, temporary: Option<tempfile::TempDir>) -> Self {
        Self {
            inner: Arc::new(Inner {
                directory,
                _temporary: temporary,
                turns: Mutex::default(),
            }),
        }
    }

    /// Returns the path of the directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.inner.directory
    }

    /// Removes the blobs in the directory. Images that still need these blobs can no longer
    /// read their layers, except on systems where a removed file stays readable while it is
    /// open.
    ///
    /// # Errors
    /// [`Error::Io`] for the first file that cannot be removed.
    pub fn clear(&self) -> Result<()> {
        let directory = self.directory();
        let entries = std::fs::read_dir(directory).map_err(Error::io("read", directory))?;
        for entry in entries {
            let entry = entry.map_err(Error::io("read", directory))?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            let digits = name.strip_suffix(".part").unwrap_or(name);
            if format!("sha256:{digits}").parse::<Digest>().is_ok() {
                let path = entry.path();
                match std::fs::remove_file(&path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        return Err(Error::io("remove", path)(error));
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// Removes a blob that an image no longer needs. A missing blob counts as removed; a blob
    /// that is being fetched is kept.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be removed.
    pub fn remove(&self, digest: &Digest) -> Result<()> {
        let path = self.path(digest);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::io("remove", path)(error))
            }
            _ => Ok(()),
        }
    }

    /// Locks a blob; the guard is held while the blob is fetched.
    pub(crate) async fn turn(&self, digest: &Digest) -> tokio::sync::OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self
                .inner
                .turns
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            turns.retain(|_, turn| turn.strong_count() > 0);
            match turns.get(digest).and_then(Weak::upgrade) {
                Some(turn) => turn,
                None => {
                    let turn = Arc::default();
                    turns.insert(*digest, Arc::downgrade(&turn));
                    turn
                }
            }
        };
        turn.lock_owned().await
    }

    /// Returns the blob if it is complete and its digest matches. Blocks while reading it.
    pub(crate) fn complete(&self, digest: &Digest, size: u64) -> Result<Option<Section>> {
        let path = self.path(digest);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("open", path)(error)),
        };
        let section = Section::whole(file).map_err(Error::io("open", &path))?;
        let mut hasher = Sha256::new();
        if section.len() == size {
            copy_into(&mut section.reader(), &mut hasher).map_err(Error::io("read", &path))?;
            if Digest::from_bytes(hasher.finalize().into()) == *digest {
                return Ok(Some(section));
            }
        }
        // Damaged: fetch it again.
        std::fs::remove_file(&path).map_err(Error::io("remove", &path))?;
        Ok(None)
    }

    /// Opens the file of a partial blob for writing, and hashes its existing content. Blocks
    /// the thread.
    pub(crate) fn part(&self, digest: &Digest, size: u64) -> Result<Part> {
        let path = self.path(digest).with_extension("part");
        let open = || -> io::Result<Part> {
            let shared = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(&path)?;
            match shared.try_lock() {
                Ok(()) => {
                    let mut part = Part::new(shared, Some(path.clone()));
                    part.resume(size)?;
                    Ok(part)
                }
                // Another process is fetching the blob. Fetch it to a file of our own: the process that
                // finishes last replaces the blob with the same bytes.
                Err(TryLockError::WouldBlock) => {
                    let own = tempfile::NamedTempFile::new_in(self.directory())?;
                    let (file, temporary) = own.into_parts();
                    Ok(Part {
                        temporary: Some(temporary),
                        ..Part::new(file, None)
                    })
                }
                Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
                    Ok(Part::new(shared, Some(path.clone())))
                }
                Err(TryLockError::Error(error)) => Err(error),
            }
        };
        open().map_err(Error::io("open", &path))
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.directory().join(digest.hex())
    }
}

fn copy_into(reader: &mut impl Read, hasher: &mut Sha256) -> io::Result<u64> {
    let mut block = vec![0; 128 * 1024];
    let mut total = 0;
    loop {
        match reader.read(&mut block) {
            Ok(0) => return Ok(total),
            Ok(count) => {
                hasher.update(&block[..count]);
                total += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// A blob that is being written.
#[derive(Debug)]
pub(crate) struct Part {
    file: File,
    path: Option<PathBuf>,
    temporary: Option<tempfile::TempPath>,
    hasher: Sha256,
    length: u64,
}

impl Part {
    fn new(file: File, path: Option<PathBuf>) -> Self {
        Self {
            file,
            path,
            temporary: None,
            hasher: Sha256::new(),
            length: 0,
        }
    }

    /// Hashes the bytes that an earlier fetch wrote, and continues after them.
    fn resume(&mut self, size: u64) -> io::Result<()> {
        if self.file.metadata()?.len() > size {
            return self.restart();
        }
        self.length = copy_into(&mut self.file, &mut self.hasher)?;
        Ok(())
    }

    pub(crate) fn len(&self) -> u64 {
        self.length
    }

    pub(crate) fn restart(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.hasher = Sha256::new();
        self.length = 0;
        Ok(())
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.hasher.update(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Verifies the blob and renames the file to its final name. A blob with the wrong digest
    /// is deleted.
    pub(crate) fn finish(
        mut self,
        spool: &Spool,
        what: &str,
        expected: &Digest,
    ) -> Result<Section> {
        let actual = Digest::from_bytes(self.hasher.clone().finalize().into());
        if actual != *expected {
            let _ = self.restart();
            if let Some(path) = &self.path {
                let _ = std::fs::remove_file(path);
            }
            return Err(Error::DigestMismatch {
                what: what.to_owned(),
                expected: *expected,
                actual,
            });
        }
        let path = spool.path(expected);
        let named = match (self.temporary.take(), &self.path) {
            (Some(temporary), _) => temporary.persist(&path).map_err(|error| error.error),
            (None, Some(part)) => std::fs::rename(part, &path),
            (None, None) => Ok(()),
        };
        named.map_err(Error::io("rename", &path))?;
        Section::whole(self.file).map_err(Error::io("read", &path))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

    use super::*;

    #[test]
    fn an_interrupted_blob_is_continued_and_a_damaged_one_is_not_used() {
        let spool = Spool::temporary().unwrap();
        let content = b"0123456789";
        let digest = Digest::of(content);
        let mut part = spool.part(&digest, 10).unwrap();
        part.write(&content[..4]).unwrap();
        drop(part);
        let mut part = spool.part(&digest, 10).unwrap();
        assert_eq!(part.len(), 4);
        part.write(&content[4..]).unwrap();
        part.finish(&spool, "it", &digest).unwrap();
        assert!(spool.complete(&digest, 10).unwrap().is_some());

        std::fs::write(spool.path(&digest), b"012345678x").unwrap();
        assert!(spool.complete(&digest, 10).unwrap().is_none());
        assert!(!spool.path(&digest).exists());
    }

    #[test]
    fn two_writers_of_one_blob_do_not_mix_their_bytes() {
        let spool = Spool::temporary().unwrap();
        let digest = Digest::of(b"ab");
        let mut first = spool.part(&digest, 2).unwrap();
        let mut second = spool.part(&digest, 2).unwrap();
        first.write(b"a").unwrap();
        second.write(b"ab").unwrap();
        first.write(b"b").unwrap();
        second.finish(&spool, "it", &digest).unwrap();
        first.finish(&spool, "it", &digest).unwrap();
        assert!(spool.complete(&digest, 2).unwrap().is_some());
    }

    #[test]
    fn a_wrong_digest_leaves_nothing() {
        let spool = Spool::temporary().unwrap();
        let digest = Digest::of(b"right");
        let mut part = spool.part(&digest, 5).unwrap();
        part.write(b"wrong").unwrap();
        let error = part.finish(&spool, "it", &digest).unwrap_err();
        assert!(matches!(error, Error::DigestMismatch { .. }), "{error}");
        assert_eq!(std::fs::read_dir(spool.directory()).unwrap().count(), 0);
        spool.clear().unwrap();
    }
}
