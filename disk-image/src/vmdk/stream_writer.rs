//! Writes streamOptimized disks: compressed grains in ascending order, tables between them, and the
//! directory at the end.

use std::fmt;
use std::io::Write;

use super::deflate::{self, CompressionLevel, Packed, Plain};
use super::descriptor::{CreateType, Descriptor};
use super::header::{Header, marker};
use super::pool::{Pool, default_threads};
use super::{GRAIN, SECTOR, TABLE_ENTRIES};
use crate::ranges::is_zero;
use crate::sink::Sink;
use crate::{Error, Monitor};

/// Number of sectors reserved for the descriptor.
const DESCRIPTOR_SECTORS: u64 = 20;
/// Number of sectors before the first grain.
const OVERHEAD: u64 = 128;

/// Options for writing a streamOptimized disk. The output depends on all of them except the number
/// of threads.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct StreamOptions {
    /// The compression level. Default: [`CompressionLevel::Fast`].
    pub level: CompressionLevel,
    /// The number of compression threads; 0 compresses on the caller's thread. Default: one per
    /// processor, at most 8.
    pub threads: usize,
    /// The content id of the disk. Default: `fffffffe`, because the header is written before the
    /// content is known.
    pub cid: u32,
    /// The adapter type in the descriptor. Default: `lsilogic`.
    pub adapter: String,
    /// Additional entries of the descriptor's disk database, as pairs of a key that begins with
    /// `ddb.` and a value. An entry replaces the default entry with the same key. Default: none.
    pub database: Vec<(String, String)>,
}

impl StreamOptions {
    /// Creates the default options.
    pub fn new() -> Self {
        Self {
            level: CompressionLevel::default(),
            threads: default_threads(),
            cid: 0xffff_fffe,
            adapter: "lsilogic".to_owned(),
            database: Vec::new(),
        }
    }

    /// Sets the compression level.
    #[must_use]
    pub fn level(mut self, level: CompressionLevel) -> Self {
        self.level = level;
        self
    }

    /// Sets the number of threads, at most 64.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads.min(64);
        self
    }

    /// Sets the content id.
    #[must_use]
    pub fn cid(mut self, cid: u32) -> Self {
        self.cid = cid;
        self
    }

    /// Adds an entry of the descriptor's disk database, such as `ddb.deletable`. Values cannot
    /// contain quotes or line breaks; such characters are left out.
    #[must_use]
    pub fn database(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.database.push((key.into(), value.into()));
        self
    }
}

fn is_database_key(key: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let name = key.strip_prefix("ddb.");
    name.is_some_and(|name| !name.is_empty() && name.bytes().all(is_allowed))
}

impl Default for StreamOptions {
    fn default() -> Self {
        Self::new()
    }
}

/// Writes a streamOptimized disk to any output that can be appended to.
///
/// Memory use is a few grains of 64 KiB per thread, and 4 bytes per 32 MiB of disk.
pub struct StreamWriter<W> {
    out: W,
    /// Number of sectors written so far.
    sector: u64,
    capacity: u64,
    pool: Pool<Plain, Packed>,
    grain: Option<Filling>,
    /// The lowest grain that may still be written.
    next: u64,
    /// Buffers for reuse: of grains, and of records.
    spare: Vec<(Vec<u8>, Vec<u8>)>,
    table: Vec<u32>,
    /// Number of the table that is being filled.
    table_index: u64,
    directory: Vec<u32>,
}

/// The grain that is being filled.
struct Filling {
    number: u64,
    data: Vec<u8>,
    /// Number of bytes that were filled. Those after them have any content.
    filled: usize,
    /// A buffer for the compressed grain.
    record: Vec<u8>,
}

impl Filling {
    /// Writes at an offset that is not before [`Filling::filled`].
    fn put(&mut self, offset: usize, bytes: &[u8]) {
        self.fill_to(offset);
        self.filled = offset + bytes.len();
        self.data[offset..self.filled].copy_from_slice(bytes);
    }

    /// Writes zeros up to an offset.
    fn fill_to(&mut self, offset: usize) {
        self.data[self.filled..offset].fill(0);
        self.filled = offset;
    }
}

impl<W: Write> StreamWriter<W> {
    /// Writes the header of a disk of `capacity` bytes, rounded up to 64 KiB.
    ///
    /// # Errors
    /// [`Error::Write`] if the output fails or the threads cannot be started; [`Error::Vmdk`] if
    /// the capacity is more than 62 TiB, or an entry of the disk database has an invalid key.
    pub fn new(mut out: W, capacity: u64, options: &StreamOptions) -> Result<Self, Error> {
        if capacity > 62 << 40 {
            return Err(super::Error::Options("its size must be at most 62 TiB").into());
        }
        let capacity = capacity.next_multiple_of(GRAIN);
        let sectors = capacity / SECTOR;
        let mut descriptor = Descriptor::new(CreateType::StreamOptimized, sectors, "disk.vmdk");
        descriptor.set_cid(options.cid);
        descriptor.set("ddb.adapterType", &options.adapter);
        for (key, value) in &options.database {
            if !is_database_key(key) {
                let what = "a key of the disk database must be `ddb.` and a name";
                return Err(super::Error::Options(what).into());
            }
            descriptor.set(key, value);
        }
        let text = descriptor.to_bytes();
        if text.len() as u64 > DESCRIPTOR_SECTORS * SECTOR {
            return Err(super::Error::Options("its descriptor is too long").into());
        }
        let mut head = Header::stream(sectors, DESCRIPTOR_SECTORS)
            .encode()
            .to_vec();
        head.extend_from_slice(&text);
        head.resize((OVERHEAD * SECTOR) as usize, 0);
        out.write_all(&head).map_err(Error::Write)?;
        let tables = sectors.div_ceil(GRAIN / SECTOR * TABLE_ENTRIES);
        Ok(Self {
            out,
            sector: OVERHEAD,
            capacity,
            pool: deflate::pool(options.level, options.threads).map_err(Error::Write)?,
            grain: None,
            next: 0,
            spare: Vec::new(),
            table: Vec::new(),
            table_index: 0,
            directory: vec![0; tables as usize],
        })
    }

    /// Writes the remaining data, the directory and the footer, and returns the output.
    ///
    /// # Errors
    /// [`Error::Write`] if the output fails.
    pub fn finish(self) -> Result<W, Error> {
        self.finish_unless_cancelled(&Monitor::new())
    }

    /// The same as [`StreamWriter::finish`], but stops when `monitor` is cancelled.
    pub(crate) fn finish_unless_cancelled(mut self, monitor: &Monitor) -> Result<W, Error> {
        self.end_grain()?;
        while let Some(packed) = self.pool.pop().map_err(Error::Write)? {
            monitor.check()?;
            self.write_grain(packed)?;
        }
        self.end_table()?;
        let directory = std::mem::take(&mut self.directory);
        let at = self.metadata(marker::DIRECTORY, &directory)?;
        let sectors = self.capacity / SECTOR;
        let footer = Header {
            directory: at,
            ..Header::stream(sectors, DESCRIPTOR_SECTORS)
        };
        self.write(&marker::encode(marker::FOOTER, 1))?;
        self.write(&footer.encode())?;
        self.write(&marker::encode(marker::END, 0))?;
        self.out.flush().map_err(Error::Write)?;
        Ok(self.out)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.out.write_all(bytes).map_err(Error::Write)?;
        self.sector += bytes.len() as u64 / SECTOR;
        Ok(())
    }

    /// Writes a marker and sector numbers after it, and returns the sector of the first number.
    fn metadata(&mut self, kind: u32, entries: &[u32]) -> Result<u64, Error> {
        let mut bytes: Vec<u8> = entries
            .iter()
            .flat_map(|entry| entry.to_le_bytes())
            .collect();
        bytes.resize(bytes.len().next_multiple_of(SECTOR as usize), 0);
        self.write(&marker::encode(kind, bytes.len() as u64 / SECTOR))?;
        let at = self.sector;
        self.write(&bytes)?;
        Ok(at)
    }

    /// Ends the current grain, and starts to fill one after it.
    fn start_grain(&mut self, number: u64) -> Result<&mut Filling, Error> {
        self.end_grain()?;
        if number < self.next {
            let what = "grains must be written in ascending order";
            return Err(super::Error::Options(what).into());
        }
        self.next = number + 1;
        let (mut data, record) = self.spare.pop().unwrap_or_default();
        data.resize(GRAIN as usize, 0);
        Ok(self.grain.insert(Filling {
            number,
            data,
            filled: 0,
            record,
        }))
    }

    fn end_grain(&mut self) -> Result<(), Error> {
        let Some(mut grain) = self.grain.take() else {
            return Ok(());
        };
        grain.fill_to(GRAIN as usize);
        if is_zero(&grain.data) {
            self.spare.push((grain.data, grain.record));
            return Ok(());
        }
        let plain = Plain {
            grain: grain.number,
            data: grain.data,
            record: grain.record,
        };
        match self.pool.push(plain).map_err(Error::Write)? {
            Some(packed) => self.write_grain(packed),
            None => Ok(()),
        }
    }

    fn write_grain(&mut self, packed: Packed) -> Result<(), Error> {
        let Packed {
            grain,
            record,
            length,
            spare,
        } = packed;
        if grain / TABLE_ENTRIES != self.table_index {
            self.end_table()?;
            self.table_index = grain / TABLE_ENTRIES;
        }
        let sector = u32::try_from(self.sector).map_err(|_| too_long())?;
        self.table.resize(TABLE_ENTRIES as usize, 0);
        self.table[(grain % TABLE_ENTRIES) as usize] = sector;
        self.write(&record[..length])?;
        self.spare.push((spare, record));
        Ok(())
    }

    fn end_table(&mut self) -> Result<(), Error> {
        if self.table.is_empty() {
            return Ok(());
        }
        let table = std::mem::take(&mut self.table);
        let at = self.metadata(marker::TABLE, &table)?;
        let at = u32::try_from(at).map_err(|_| too_long())?;
        self.directory[self.table_index as usize] = at;
        Ok(())
    }
}

fn too_long() -> Error {
    Error::Write(std::io::Error::other(
        "a streamOptimized disk has at most 2 TiB",
    ))
}

impl<W: Write> Sink for StreamWriter<W> {
    fn put(&mut self, mut offset: u64, mut bytes: &[u8]) -> Result<(), Error> {
        let len = bytes.len() as u64;
        let end = offset.checked_add(len);
        if end.is_none_or(|end| end > self.capacity) {
            return Err(super::Error::OutOfRange { offset, len }.into());
        }
        while !bytes.is_empty() {
            let number = offset / GRAIN;
            let within = (offset % GRAIN) as usize;
            let grain = match &mut self.grain {
                Some(grain) if grain.number == number && grain.filled <= within => grain,
                _ => self.start_grain(number)?,
            };
            let len = bytes.len().min(GRAIN as usize - within);
            grain.put(within, &bytes[..len]);
            bytes = &bytes[len..];
            offset += len as u64;
        }
        Ok(())
    }
}

impl<W> fmt::Debug for StreamWriter<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamWriter")
            .field("capacity", &self.capacity)
            .field("sector", &self.sector)
            .finish_non_exhaustive()
    }
}
