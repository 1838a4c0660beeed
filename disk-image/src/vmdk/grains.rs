//! Reads sparse extents, whose grains are found through a directory and tables.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use super::header::{AT_END, COMPRESSED, Header, MARKERS, marker};
use super::inflate::Inflater;
use super::{Error, SECTOR, TABLE_ENTRIES};
use crate::block::{BlockRead, RawDisk};

/// The maximum number of cached grain tables: 8 MiB.
const CACHED_TABLES: usize = 4096;
/// The maximum number of cached grains. A reader of a file system alternates between inodes,
/// directories and the data of files.
const CACHED_GRAINS: usize = 16;
/// The table entry of a grain that reads as zero, even if the parent has data there.
const ZERO_GRAIN: u32 = 1;

/// The location of a grain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Grain {
    /// Not stored in this extent; the parent may have it.
    Absent,
    Zero,
    /// Stored from this sector on.
    At(u32),
}

/// A sparse extent that is open for reading.
pub(super) struct Grains {
    file: RawDisk,
    header: Header,
    directory: Vec<u32>,
    tables: Mutex<BTreeMap<u64, Arc<[u32]>>>,
    /// Cache of decompressed grains, the one that was used last at the end.
    unpacked: Mutex<VecDeque<(u64, Arc<[u8]>)>>,
}

impl Grains {
    pub(super) fn open(file: RawDisk) -> Result<Self, crate::Error> {
        let header = read_header(&file)?;
        let tables = header.tables();
        let damaged = |what| Error::Damaged {
            what,
            offset: header.directory,
        };
        let at = header
            .directory
            .checked_mul(SECTOR)
            .ok_or(damaged("grain directory"))?;
        if at == 0 || at.saturating_add(tables * 4) > file.size() {
            return Err(damaged("truncated grain directory").into());
        }
        let directory = read_words(&file, at, tables)?;
        Ok(Self {
            file,
            header,
            directory,
            tables: Mutex::default(),
            unpacked: Mutex::default(),
        })
    }

    pub(super) fn header(&self) -> &Header {
        &self.header
    }

    pub(super) fn grain_bytes(&self) -> u64 {
        self.header.grain * SECTOR
    }

    pub(super) fn lookup(&self, grain: u64) -> Result<Grain, crate::Error> {
        let index = grain / TABLE_ENTRIES;
        let start = match self.directory.get(index as usize) {
            None | Some(0) => return Ok(Grain::Absent),
            Some(&start) => start,
        };
        let table = self.table(index, start)?;
        Ok(match table[(grain % TABLE_ENTRIES) as usize] {
            0 => Grain::Absent,
            ZERO_GRAIN => Grain::Zero,
            sector => Grain::At(sector),
        })
    }

    /// Returns whether no grain of this grain's table is stored, so that a reader can skip 32 MiB
    /// at once.
    pub(super) fn is_table_absent(&self, grain: u64) -> bool {
        matches!(
            self.directory.get((grain / TABLE_ENTRIES) as usize),
            None | Some(0)
        )
    }

    /// Reads part of the grain that [`Grains::lookup`] located at `sector`.
    pub(super) fn read(
        &self,
        grain: u64,
        sector: u32,
        buf: &mut [u8],
        within: u64,
    ) -> Result<(), crate::Error> {
        let at = u64::from(sector) * SECTOR;
        if self.header.flags & COMPRESSED == 0 {
            return self.file.read_exact_at(buf, at + within);
        }
        let plain = self.unpack(grain, at)?;
        let range = within as usize..within as usize + buf.len();
        buf.copy_from_slice(&plain[range]);
        Ok(())
    }

    fn unpack(&self, grain: u64, at: u64) -> Result<Arc<[u8]>, crate::Error> {
        let lock = || self.unpacked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(plain) = use_cached(&mut lock(), grain) {
            return Ok(plain);
        }
        let mut packed_at = at;
        let mut head = [0; 12];
        if self.header.flags & MARKERS != 0 {
            self.file.read_exact_at(&mut head, at)?;
            packed_at += 12;
        } else {
            return Err(Error::Unsupported("its grains are compressed and have no markers").into());
        }
        let damaged = || {
            crate::Error::from(Error::Damaged {
                what: "compressed grain",
                offset: at,
            })
        };
        let size = u64::from(crate::le::u32_at(&head, 8));
        if crate::le::u64_at(&head, 0) != grain * self.header.grain || size > 4 * self.grain_bytes()
        {
            return Err(damaged());
        }
        let mut packed = vec![0; size as usize];
        self.file.read_exact_at(&mut packed, packed_at)?;
        let mut plain = vec![0; self.grain_bytes() as usize];
        let inflated = Inflater::new().inflate(&packed, &mut plain);
        inflated.ok_or_else(damaged)?;
        let plain: Arc<[u8]> = plain.into();
        let mut cache = lock();
        if cache.len() >= CACHED_GRAINS {
            cache.pop_front();
        }
        cache.push_back((grain, Arc::clone(&plain)));
        Ok(plain)
    }

    fn table(&self, index: u64, start: u32) -> Result<Arc<[u32]>, crate::Error> {
        let lock = || self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(table) = lock().get(&index) {
            return Ok(Arc::clone(table));
        }
        let table: Arc<[u32]> =
            read_words(&self.file, u64::from(start) * SECTOR, TABLE_ENTRIES)?.into();
        let mut tables = lock();
        if tables.len() >= CACHED_TABLES {
            tables.clear();
        }
        tables.insert(index, Arc::clone(&table));
        Ok(table)
    }
}

impl fmt::Debug for Grains {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grains")
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}

/// Returns a grain from the cache, in which it becomes the one that was used last.
fn use_cached(cache: &mut VecDeque<(u64, Arc<[u8]>)>, grain: u64) -> Option<Arc<[u8]>> {
    let at = cache.iter().rposition(|(cached, _)| *cached == grain)?;
    let entry = cache.remove(at)?;
    let plain = Arc::clone(&entry.1);
    cache.push_back(entry);
    Some(plain)
}

/// Reads the header, or the footer at the end of the file of a streamOptimized disk.
pub(super) fn read_header(file: &RawDisk) -> Result<Header, crate::Error> {
    let mut block = [0; SECTOR as usize];
    file.read_exact_at(&mut block, 0)?;
    let header = Header::decode(&block, 0)?;
    if header.directory != AT_END {
        return Ok(header);
    }
    // A stream ends with the footer's marker, the footer, and the end-of-stream marker.
    let offset = file.size().saturating_sub(3 * SECTOR);
    file.read_exact_at(&mut block, offset)?;
    if crate::le::u32_at(&block, 12) != marker::FOOTER {
        let what = "missing footer";
        return Err(Error::Damaged { what, offset }.into());
    }
    file.read_exact_at(&mut block, offset + SECTOR)?;
    let footer = Header::decode(&block, offset + SECTOR)?;
    if footer.capacity != header.capacity || footer.grain != header.grain {
        return Err(Error::Damaged {
            what: "footer",
            offset,
        }
        .into());
    }
    Ok(footer)
}

pub(super) fn read_descriptor(
    file: &RawDisk,
    header: &Header,
) -> Result<Option<Vec<u8>>, crate::Error> {
    if header.descriptor_offset == 0 || header.descriptor_size == 0 {
        return Ok(None);
    }
    let mut text = vec![0; (header.descriptor_size * SECTOR) as usize];
    file.read_exact_at(&mut text, header.descriptor_offset * SECTOR)?;
    let end = text
        .iter()
        .position(|&byte| byte == 0)
        .unwrap_or(text.len());
    text.truncate(end);
    Ok(Some(text))
}

pub(super) fn read_words(file: &RawDisk, at: u64, count: u64) -> Result<Vec<u32>, crate::Error> {
    let mut bytes = vec![0; count as usize * 4];
    file.read_exact_at(&mut bytes, at)?;
    let (words, _) = bytes.as_chunks::<4>();
    Ok(words.iter().map(|word| u32::from_le_bytes(*word)).collect())
}
