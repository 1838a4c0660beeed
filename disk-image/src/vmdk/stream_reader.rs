//! Reads a streamOptimized disk sequentially, once.

use std::io::{self, Read};

use super::descriptor::Descriptor;
use super::header::{AT_END, Header, MARKERS, marker};
use super::inflate::{self, Packed, Plain};
use super::pool::{Pool, default_threads};
use super::{Error, GRAIN, SECTOR};
use crate::le;
use crate::{Monitor, Sink};

/// Reads a streamOptimized disk that arrives as a stream, such as an upload.
///
/// Grains are decompressed on several threads. Memory use is a few grains of 64 KiB per thread.
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
    threads: usize,
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
            threads: default_threads(),
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

    /// Sets the number of threads that decompress, at most 64; 0 decompresses on the caller's
    /// thread. Default: one per processor, at most 8.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads.min(64);
        self
    }

    /// Copies the whole disk into a sink, and verifies the markers, the order of the grains and the
    /// footer.
    ///
    /// # Errors
    /// [`crate::Error::Vmdk`] if the stream is damaged or ends early, the error of the sink,
    /// [`crate::Error::Write`] if the threads cannot be started, or [`crate::Error::Cancelled`].
    /// Of several errors, the first in the stream is returned. After an error the sink contains an
    /// incomplete disk.
    pub fn copy_to(mut self, sink: &mut dyn Sink, monitor: &Monitor) -> Result<(), crate::Error> {
        let mut grains = Grains {
            pool: inflate::pool(self.threads).map_err(crate::Error::Write)?,
            capacity: self.capacity(),
            sink,
            monitor,
            spare: Vec::new(),
            has_failed: false,
        };
        let read = self.read(&mut grains);
        // The grains before an error are copied: one of them may be damaged.
        grains.finish()?;
        read
    }

    /// Reads the stream to its end.
    fn read(&mut self, grains: &mut Grains<'_>) -> Result<(), crate::Error> {
        let capacity = self.capacity();
        let mut next = 0;
        let mut had_footer = false;
        loop {
            grains.monitor.check()?;
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
            let (mut record, buffer) = grains.spare.pop().unwrap_or_default();
            record.resize((12 + size as usize).next_multiple_of(SECTOR as usize), 0);
            record[..SECTOR as usize].copy_from_slice(&block);
            self.fill(&mut record[SECTOR as usize..])?;
            grains.push(Packed {
                offset,
                at,
                record,
                buffer,
            })?;
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

/// Decompresses grains and puts them into a sink, in order.
struct Grains<'a> {
    pool: Pool<Packed, Plain>,
    capacity: u64,
    sink: &'a mut dyn Sink,
    monitor: &'a Monitor,
    /// Buffers of grains that were put: of the record and of the decompressed data.
    spare: Vec<(Vec<u8>, Vec<u8>)>,
    has_failed: bool,
}

impl Grains<'_> {
    fn push(&mut self, packed: Packed) -> Result<(), crate::Error> {
        let done = self.pool.push(packed).map_err(crate::Error::Write);
        let put = done.and_then(|plain| plain.map_or(Ok(()), |plain| self.put(plain)));
        self.has_failed = put.is_err();
        put
    }

    /// Puts the remaining grains, unless an earlier one failed.
    fn finish(mut self) -> Result<(), crate::Error> {
        while !self.has_failed
            && let Some(plain) = self.pool.pop().map_err(crate::Error::Write)?
        {
            self.put(plain)?;
        }
        Ok(())
    }

    fn put(&mut self, plain: Plain) -> Result<(), crate::Error> {
        let Plain {
            offset,
            at,
            is_valid,
            data,
            spare,
        } = plain;
        self.monitor.check()?;
        if !is_valid {
            return Err(Error::Damaged {
                what: "compressed grain",
                offset: at,
            }
            .into());
        }
        let len = GRAIN.min(self.capacity - offset);
        self.sink.put(offset, &data[..len as usize])?;
        self.spare.push((spare, data));
        self.monitor.add_bytes(len);
        Ok(())
    }
}
