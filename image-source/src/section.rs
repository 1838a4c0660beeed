//! Part of a file, which can be read from several threads.

use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;

/// Bytes of an open file. Reading keeps no position in the file itself, so that many readers share
/// one handle and the file may be unlinked once it is open.
#[derive(Clone, Debug)]
pub(crate) struct Section {
    file: Arc<File>,
    offset: u64,
    length: u64,
    /// Keeps a temporary directory.
    spool: Option<crate::Spool>,
}

impl Section {
    pub(crate) fn new(file: Arc<File>, offset: u64, length: u64) -> Self {
        Self {
            file,
            offset,
            length,
            spool: None,
        }
    }

    /// The same bytes, which keep the spool they are in.
    pub(crate) fn kept_by(mut self, spool: &crate::Spool) -> Self {
        self.spool = Some(spool.clone());
        self
    }

    /// All of a file.
    pub(crate) fn whole(file: File) -> io::Result<Self> {
        let length = file.metadata()?.len();
        Ok(Self::new(Arc::new(file), 0, length))
    }

    pub(crate) fn len(&self) -> u64 {
        self.length
    }

    /// A part of this part, cut off at its end.
    pub(crate) fn slice(&self, offset: u64, length: u64) -> Self {
        let offset = offset.min(self.length);
        Self {
            file: Arc::clone(&self.file),
            offset: self.offset + offset,
            length: length.min(self.length - offset),
            spool: self.spool.clone(),
        }
    }

    /// A reader from the start. A file that turns out shorter is an error, not an early end.
    pub(crate) fn reader(&self) -> SectionReader {
        SectionReader {
            section: self.clone(),
            position: 0,
        }
    }

    /// All bytes, if they are at most `limit`.
    pub(crate) fn read_small(&self, what: &str, limit: u64) -> crate::Result<Vec<u8>> {
        if self.length > limit {
            return Err(crate::Error::TooLarge {
                what: what.to_owned(),
                limit,
            });
        }
        let mut bytes = Vec::with_capacity(self.length as usize);
        self.reader()
            .read_to_end(&mut bytes)
            .map_err(crate::Error::io("read", what))?;
        Ok(bytes)
    }
}

/// See [`Section::reader`].
#[derive(Debug)]
pub(crate) struct SectionReader {
    section: Section,
    position: u64,
}

impl Read for SectionReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.section.length - self.position;
        let wanted = buffer
            .len()
            .min(usize::try_from(left).unwrap_or(usize::MAX));
        if wanted == 0 {
            return Ok(0);
        }
        let at = self.section.offset + self.position;
        let count = read_at(&self.section.file, &mut buffer[..wanted], at)?;
        if count == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("the file ends {left} bytes early"),
            ));
        }
        self.position += count as u64;
        Ok(count)
    }
}

impl io::Seek for SectionReader {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        let position = match to {
            io::SeekFrom::Start(position) => Some(position),
            io::SeekFrom::End(delta) => self.section.length.checked_add_signed(delta),
            io::SeekFrom::Current(delta) => self.position.checked_add_signed(delta),
        };
        match position {
            Some(position) if position <= self.section.length => {
                self.position = position;
                Ok(position)
            }
            _ => Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "a position outside of the file",
            )),
        }
    }
}

#[cfg(unix)]
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, offset)
}

#[cfg(windows)]
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, offset)
}
