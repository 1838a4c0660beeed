//! Reads a streamOptimized disk sequentially, once.

use std::io::{self, Read};

use super::descriptor::Descriptor;
use super::grains::inflate;
use super::header::{AT_END, Header, MARKERS, marker};
use super::{Error, GRAIN, SECTOR};
use crate::le;
use crate::{Monitor, Sink};

/// Reads a streamOptimized disk that arrives as a stream, such as an upload.
///
/// ```no_run
/// # fn main() -> Result<(), disk_image::Error> {
/// use disk_image::{Monitor, vmdk};
///
/// let upload = std::io::stdin();
/// let stream = vmdk::StreamReader::new(upload)?;
/// let mut disk = vmdk::SparseDisk::create("disk.vmdk", stream.capacity(), 0x1234)?;
/// stream.copy_to(&mut disk, &Monitor::new())?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct StreamReader<R> {
    input: R,
    /// Number of bytes read so far.
    position: u64,
    header: Header,
    descriptor: Option<Descriptor>,
}

impl<R: Read> StreamReader<R> {
    /// Reads the header and the descriptor.
    ///
    /// # Errors
    /// [`crate::Error::Vmdk`] if the input is not a streamOptimized disk.
    pub fn new(input: R) -> Result<Self, crate::Error> {
        let header = Header::stream(0, 0);
        let mut reader = Self {
            input,
            position: 0,
            header,
            descriptor: None,
        };
        let mut block = [0; SECTOR as usize];
        reader.fill(&mut block)?;
        reader.header = Header::decode(&block, 0)?;
        if reader.header.flags & MARKERS == 0 {
            return Err(Error::Unsupported("it is not a streamOptimized disk").into());
        }
        let header = reader.header;
        if header.grain * SECTOR != GRAIN {
            return Err(Error::Unsupported("its grain size is not 64 KiB").into());
        }
        let damaged = Error::Damaged {
            what: "header",
            offset: 0,
        };
        if header.overhead > 1 << 20 {
            return Err(damaged.into());
        }
        let overhead = header.overhead * SECTOR;
        let (from, size) = (
            header.descriptor_offset * SECTOR,
            header.descriptor_size * SECTOR,
        );
        if size > 0 && (from < SECTOR || from + size > overhead) {
            return Err(damaged.into());
        }
        if size > 0 {
            reader.skip(from - SECTOR)?;
            let mut text = vec![0; size as usize];
            reader.fill(&mut text)?;
            let end = text
                .iter()
                .position(|&byte| byte == 0)
                .unwrap_or(text.len());
            reader.descriptor = Some(Descriptor::parse(&text[..end])?);
        }
        reader.skip(overhead.saturating_sub(reader.position))?;
        Ok(reader)
    }

    /// Returns the size of the disk in bytes.
    pub fn capacity(&self) -> u64 {
        self.header.capacity * SECTOR
    }

    /// Returns the descriptor, if the stream has one.
    pub fn descriptor(&self) -> Option<&Descriptor> {
        self.descriptor.as_ref()
    }

    /// Copies the whole disk into a sink, and verifies the markers, the order of the grains and the
    /// footer.
    ///
    /// # Errors
    /// [`crate::Error::Vmdk`] if the stream is damaged or ends early, the error of the sink, or
    /// [`crate::Error::Cancelled`]. After an error the sink contains an incomplete disk.
    pub fn copy_to(mut self, sink: &mut dyn Sink, monitor: &Monitor) -> Result<(), crate::Error> {
        let capacity = self.capacity();
        let mut next = 0;
        let mut had_footer = false;
        loop {
            monitor.check()?;
            let at = self.position;
            let damaged = |what| crate::Error::from(Error::Damaged { what, offset: at });
            let mut block = [0; SECTOR as usize];
            self.fill(&mut block)?;
            let value = le::u64_at(&block, 0);
            let size = le::u32_at(&block, 8);
            if size == 0 {
                match le::u32_at(&block, 12) {
                    marker::END if value == 0 => break,
                    // The offsets in a table can be verified only in a file.
                    marker::TABLE if value == 4 => self.skip(4 * SECTOR)?,
                    marker::DIRECTORY if value <= 1 << 15 => self.skip(value * SECTOR)?,
                    marker::FOOTER if value == 1 => {
                        let offset = self.position;
                        self.fill(&mut block)?;
                        let footer = Header::decode(&block, offset)?;
                        if footer.capacity != self.header.capacity || footer.directory == AT_END {
                            return Err(damaged("footer"));
                        }
                        had_footer = true;
                    }
                    _ => return Err(damaged("marker")),
                }
                continue;
            }
            let offset = value
                .checked_mul(SECTOR)
                .filter(|offset| offset % GRAIN == 0);
            let offset = offset.filter(|&offset| offset >= next && offset < capacity);
            let offset = offset.ok_or_else(|| damaged("grain out of order"))?;
            if u64::from(size) > 4 * GRAIN {
                return Err(damaged("grain size"));
            }
            let mut packed = vec![0; (12 + size as usize).next_multiple_of(SECTOR as usize)];
            packed[..SECTOR as usize].copy_from_slice(&block);
            self.fill(&mut packed[SECTOR as usize..])?;
            let plain = inflate(&packed[12..12 + size as usize], GRAIN as usize);
            let plain = plain.ok_or_else(|| damaged("compressed grain"))?;
            let len = GRAIN.min(capacity - offset);
            sink.put(offset, &plain[..len as usize])?;
            monitor.add_bytes(len);
            next = offset + GRAIN;
        }
        if !had_footer && self.header.directory == AT_END {
            return Err(Error::Damaged {
                what: "missing footer",
                offset: self.position,
            }
            .into());
        }
        Ok(())
    }

    fn fill(&mut self, buf: &mut [u8]) -> Result<(), crate::Error> {
        let offset = self.position;
        self.input
            .read_exact(buf)
            .map_err(|source| Error::Read { offset, source })?;
        self.position += buf.len() as u64;
        Ok(())
    }

    fn skip(&mut self, bytes: u64) -> Result<(), crate::Error> {
        let offset = self.position;
        let read = |source| crate::Error::from(Error::Read { offset, source });
        let skipped =
            io::copy(&mut (&mut self.input).take(bytes), &mut io::sink()).map_err(read)?;
        self.position += skipped;
        if skipped < bytes {
            return Err(read(io::ErrorKind::UnexpectedEof.into()));
        }
        Ok(())
    }
}
