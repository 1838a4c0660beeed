//! Keeps the unpacked bytes of a layer in a temporary file.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

/// A temporary file without a name, which is deleted when the last clone is dropped.
#[derive(Clone)]
pub(crate) struct Spool {
    file: Arc<Owned>,
    length: u64,
}

/// A file that is closed on a thread of its own, because freeing gigabytes takes long, and the last
/// owner may be a task on an async runtime.
struct Owned(Option<File>);

impl Owned {
    fn file(&self) -> io::Result<&File> {
        self.0
            .as_ref()
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        let file = self.0.take();
        let thread = std::thread::Builder::new().name("remove spool".to_owned());
        // If there is no thread, the file was dropped with the closure.
        _ = thread.spawn(move || drop(file));
    }
}

/// An error of a temporary file, carried in an [`io::Error`] through the readers of a layer.
#[derive(Debug, thiserror::Error)]
#[error("the temporary file failed")]
pub(crate) struct SpoolError(#[source] pub(crate) io::Error);

fn failed(error: io::Error) -> io::Error {
    io::Error::other(SpoolError(error))
}

impl Spool {
    /// Creates an empty file in a directory.
    pub(crate) fn create(directory: &Path) -> io::Result<Self> {
        let file = tempfile::tempfile_in(directory).map_err(failed)?;
        Ok(Self {
            file: Arc::new(Owned(Some(file))),
            length: 0,
        })
    }

    /// Returns how many bytes it has.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Appends bytes. Returns whether there was space for them; if not, the file is of no use any
    /// more.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> io::Result<bool> {
        use io::ErrorKind::{QuotaExceeded, StorageFull};
        let written = self.file.file().and_then(|mut file| file.write_all(bytes));
        match written {
            Ok(()) => {
                self.length += bytes.len() as u64;
                Ok(true)
            }
            Err(error) if matches!(error.kind(), StorageFull | QuotaExceeded) => Ok(false),
            Err(error) => Err(failed(error)),
        }
    }

    /// Returns a reader of everything, independent of other readers.
    pub(crate) fn reader(&self) -> impl Read + Send + use<> {
        Reader {
            spool: self.clone(),
            at: 0,
        }
    }
}

struct Reader {
    spool: Spool,
    at: u64,
}

impl Read for Reader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = (self.spool.length - self.at).min(buf.len() as u64) as usize;
        let file = self.spool.file.file();
        file.and_then(|file| crate::block::read_exact_at(file, &mut buf[..count], self.at))
            .map_err(failed)?;
        self.at += count as u64;
        Ok(count)
    }
}

#[cfg(all(test, target_os = "linux"))]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_not_an_error() {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let mut spool = Spool {
            file: Arc::new(Owned(Some(full))),
            length: 0,
        };
        assert!(!spool.append(b"x").unwrap());
        let read_only = File::open("/dev/null").unwrap();
        spool.file = Arc::new(Owned(Some(read_only)));
        spool.append(b"x").unwrap_err();
    }
}
