//! Where an image is written: a stream, a file, or a virtual disk.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};

use crate::Error;

/// Receives an image in ascending order of offsets. Gaps are zero.
pub trait Sink {
    /// Writes `bytes` at `offset`. Offsets ascend and ranges do not overlap.
    ///
    /// # Errors
    /// [`Error::Write`] if the bytes cannot be written; the image is then incomplete.
    fn put(&mut self, offset: u64, bytes: &[u8]) -> Result<(), Error>;
}

/// Writes a raw image into a stream, including zeros.
pub(crate) struct RawStream<W> {
    out: W,
    position: u64,
}

impl<W: Write> RawStream<W> {
    pub(crate) fn new(out: W) -> Self {
        Self { out, position: 0 }
    }

    /// Writes zeros up to `size` bytes and returns the stream.
    pub(crate) fn finish(mut self, size: u64) -> Result<W, Error> {
        self.fill(size).map_err(Error::Write)?;
        self.out.flush().map_err(Error::Write)?;
        Ok(self.out)
    }

    fn fill(&mut self, until: u64) -> io::Result<()> {
        static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
        while self.position < until {
            let now = (until - self.position).min(ZEROS.len() as u64);
            self.out.write_all(&ZEROS[..now as usize])?;
            self.position += now;
        }
        Ok(())
    }
}

impl<W: Write> Sink for RawStream<W> {
    fn put(&mut self, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        self.fill(offset).map_err(Error::Write)?;
        self.out.write_all(bytes).map_err(Error::Write)?;
        self.position += bytes.len() as u64;
        Ok(())
    }
}

/// Writes a raw image into an empty file, with holes.
#[derive(Debug)]
pub struct RawFile<'a> {
    file: io::BufWriter<&'a File>,
    position: u64,
}

impl<'a> RawFile<'a> {
    /// Creates a sink that writes to an empty file, from its beginning.
    pub fn new(file: &'a File) -> Self {
        Self {
            file: io::BufWriter::with_capacity(256 << 10, file),
            position: 0,
        }
    }

    /// Sets the file's length to the size of the image, in bytes.
    ///
    /// # Errors
    /// [`Error::Write`] if the length cannot be set.
    pub fn finish(mut self, size: u64) -> Result<(), Error> {
        self.file.flush().map_err(Error::Write)?;
        self.file.get_ref().set_len(size).map_err(Error::Write)
    }
}

impl Sink for RawFile<'_> {
    fn put(&mut self, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        if offset != self.position {
            self.file
                .seek(SeekFrom::Start(offset))
                .map_err(Error::Write)?;
        }
        self.file.write_all(bytes).map_err(Error::Write)?;
        self.position = offset + bytes.len() as u64;
        Ok(())
    }
}
