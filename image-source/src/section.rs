//! Sections of files that several threads can read concurrently.

use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;

/// A range of bytes of an open file. Readers do not use the position of the file handle, so
/// many of them can share it. The file may be unlinked once it is open.
#[derive(Clone, Debug)]
pub(crate) struct Section {
    file: Arc<File>,
    offset: u64,
    length: u64,
    /// Keeps the temporary directory of a spool alive.
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

    /// Makes the section keep its spool alive.
    pub(crate) fn kept_by(mut self, spool: &crate::Spool) -> Self {
        self.spool = Some(spool.clone());
        self
    }

    /// Creates a section of a whole file.
    pub(crate) fn whole(file: File) -> io::Result<Self> {
        let length = file.metadata()?.len();
        Ok(Self::new(Arc::new(file), 0, length))
    }

    pub(crate) fn len(&self) -> u64 {
        self.length
    }

    /// Returns a part of this section, truncated at the end of the section.
    pub(crate) fn slice(&self, offset: u64, length: u64) -> Self {
        let offset = offset.min(self.length);
        Self {
            file: Arc::clone(&self.file),
            offset: self.offset + offset,
            length: length.min(self.length - offset),
            spool: self.spool.clone(),
        }
    }

    /// Returns a reader from the start. If the file is shorter than the section, reading fails
    /// instead of ending early.
    pub(crate) fn reader(&self) -> SectionReader {
        SectionReader {
            section: self.clone(),
            position: 0,
        }
    }

    /// Reads all bytes; fails if there are more than `limit`.
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

/// A reader of a [`Section`], returned by [`Section::reader`].
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
