//! Disks that can be read at any offset.

use std::fs::File;
use std::io::{self, Seek as _, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::ranges::is_zero;
use crate::{Error, Monitor, Sink, vmdk};

/// A disk that can be read at any offset, from several threads.
pub trait BlockRead: Send + Sync {
    /// Returns the size in bytes.
    fn size(&self) -> u64;

    /// Fills `buf` with the bytes at `offset`.
    ///
    /// # Errors
    /// An error if the range is not within the disk, or cannot be read.
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> Result<(), Error>;

    /// Returns the next range at or after `offset` that may contain nonzero bytes; `None` if there
    /// is none. Bytes between `offset` and the start of the range are zero. The default
    /// implementation returns the rest of the disk.
    ///
    /// # Errors
    /// An error if the tables of the disk cannot be read.
    fn next_data(&self, offset: u64) -> Result<Option<Range<u64>>, Error> {
        let size = self.size();
        Ok((offset < size).then_some(offset..size))
    }
}

/// A disk in memory.
impl BlockRead for Vec<u8> {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> Result<(), Error> {
        let len = buf.len() as u64;
        let from = usize::try_from(offset).ok();
        let range = from.and_then(|from| self.get(from..from.checked_add(buf.len())?));
        buf.copy_from_slice(range.ok_or(vmdk::Error::OutOfRange { offset, len })?);
        Ok(())
    }
}

impl<T: BlockRead + ?Sized> BlockRead for Box<T> {
    fn size(&self) -> u64 {
        (**self).size()
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> Result<(), Error> {
        (**self).read_exact_at(buf, offset)
    }

    fn next_data(&self, offset: u64) -> Result<Option<Range<u64>>, Error> {
        (**self).next_data(offset)
    }
}

impl<T: BlockRead + ?Sized> BlockRead for &T {
    fn size(&self) -> u64 {
        (**self).size()
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> Result<(), Error> {
        (**self).read_exact_at(buf, offset)
    }

    fn next_data(&self, offset: u64) -> Result<Option<Range<u64>>, Error> {
        (**self).next_data(offset)
    }
}

/// A raw disk in a file, or in part of a file.
#[derive(Debug)]
pub struct RawDisk {
    file: File,
    path: PathBuf,
    start: u64,
    size: u64,
}

impl RawDisk {
    /// Opens a file or a block device for reading.
    ///
    /// # Errors
    /// [`Error::Vmdk`] with the path if it cannot be opened, or is a pipe or a directory.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, Error> {
        let path = path.into();
        let open = || {
            let file = File::open(&path)?;
            let size = size_of(&file)?;
            Ok((file, size))
        };
        let (file, size) = open().map_err(|source| file_error("open", &path, source))?;
        Ok(Self {
            file,
            path,
            start: 0,
            size,
        })
    }

    /// Uses a file that is open for reading. It has no path, so errors do not name it.
    pub(crate) fn from_file(file: File) -> Result<Self, Error> {
        let path = PathBuf::new();
        let size = size_of(&file).map_err(|source| file_error("open", &path, source))?;
        Ok(Self {
            file,
            path,
            start: 0,
            size,
        })
    }

    /// Restricts the disk to a part of the file.
    pub(crate) fn part(mut self, start: u64, size: u64) -> Result<Self, vmdk::Error> {
        if start.checked_add(size).is_none_or(|end| end > self.size) {
            return Err(vmdk::Error::Damaged {
                what: "truncated flat extent",
                offset: self.size,
            });
        }
        (self.start, self.size) = (start, size);
        Ok(self)
    }
}

impl BlockRead for RawDisk {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> Result<(), Error> {
        let len = buf.len() as u64;
        if offset.checked_add(len).is_none_or(|end| end > self.size) {
            return Err(vmdk::Error::OutOfRange { offset, len }.into());
        }
        read_exact_at(&self.file, buf, self.start + offset)
            .map_err(|source| file_error("read", &self.path, source))
    }

    fn next_data(&self, offset: u64) -> Result<Option<Range<u64>>, Error> {
        if offset >= self.size {
            return Ok(None);
        }
        let end = self.start + self.size;
        let Some(data) = holes::next_data(&self.file, self.start + offset) else {
            return Ok(None);
        };
        let until = holes::next_hole(&self.file, data).unwrap_or(end).min(end);
        Ok((data < until).then(|| data - self.start..until - self.start))
    }
}

/// Copies a disk into a sink, skipping zeros.
///
/// # Errors
/// The error of reading or of the sink; [`Error::Cancelled`].
pub fn copy(disk: &dyn BlockRead, sink: &mut dyn Sink, monitor: &Monitor) -> Result<(), Error> {
    const CHUNK: u64 = vmdk::GRAIN;
    let mut buf = vec![0; CHUNK as usize];
    let mut at = 0;
    while let Some(range) = disk.next_data(at)? {
        at = range.start;
        while at < range.end {
            monitor.check()?;
            let until = range.end.min((at / CHUNK + 1) * CHUNK);
            let buf = &mut buf[..(until - at) as usize];
            disk.read_exact_at(buf, at)?;
            if !is_zero(buf) {
                sink.put(at, buf)?;
            }
            monitor.add_bytes(until - at);
            at = until;
        }
    }
    Ok(())
}

/// Returns the size of a file or block device. Fails for pipes, which have no size, and for
/// directories.
fn size_of(mut file: &File) -> io::Result<u64> {
    if file.metadata()?.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    file.seek(SeekFrom::End(0))
}

pub(crate) fn file_error(action: &'static str, path: &Path, source: io::Error) -> Error {
    vmdk::Error::File {
        action,
        path: path.to_owned(),
        source,
    }
    .into()
}

#[cfg(unix)]
pub(crate) fn read_exact_at(file: &File, buf: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buf, offset)
}

#[cfg(unix)]
pub(crate) fn write_all_at(file: &File, buf: &[u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, buf, offset)
}

#[cfg(windows)]
pub(crate) fn read_exact_at(file: &File, mut buf: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !buf.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, buf, offset)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => {
                buf = &mut buf[n..];
                offset += n as u64;
            }
        }
    }
    Ok(())
}

#[cfg(windows)]
pub(crate) fn write_all_at(file: &File, mut buf: &[u8], mut offset: u64) -> io::Result<()> {
    while !buf.is_empty() {
        match std::os::windows::fs::FileExt::seek_write(file, buf, offset)? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            n => {
                buf = &buf[n..];
                offset += n as u64;
            }
        }
    }
    Ok(())
}

/// Finds holes in files. On systems other than Linux, files are treated as having no holes.
mod holes {
    use std::fs::File;

    #[cfg(target_os = "linux")]
    pub(super) fn next_data(file: &File, offset: u64) -> Option<u64> {
        match rustix::fs::seek(file, rustix::fs::SeekFrom::Data(offset)) {
            Ok(data) => Some(data),
            Err(rustix::io::Errno::NXIO) => None,
            Err(_) => Some(offset),
        }
    }

    #[cfg(target_os = "linux")]
    pub(super) fn next_hole(file: &File, offset: u64) -> Option<u64> {
        rustix::fs::seek(file, rustix::fs::SeekFrom::Hole(offset)).ok()
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn next_data(_: &File, offset: u64) -> Option<u64> {
        Some(offset)
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn next_hole(_: &File, _: u64) -> Option<u64> {
        None
    }
}
