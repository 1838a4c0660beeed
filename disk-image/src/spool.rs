//! Keeps the unpacked bytes of a layer in a temporary file.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

/// A temporary file without a name, which is deleted when the last clone is dropped.
#[derive(Clone)]
pub(crate) struct Spool {
    file: Arc<File>,
    length: u64,
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
            file: Arc::new(file),
            length: 0,
        })
    }

    /// Appends bytes.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        (&*self.file).write_all(bytes).map_err(failed)?;
        self.length += bytes.len() as u64;
        Ok(())
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
        crate::block::read_exact_at(&self.spool.file, &mut buf[..count], self.at)
            .map_err(failed)?;
        self.at += count as u64;
        Ok(count)
    }
}
