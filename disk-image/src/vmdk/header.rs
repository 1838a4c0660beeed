//! The header of sparse extents.

use super::{Error, GRAIN, SECTOR, TABLE_ENTRIES};
use crate::le;

pub(crate) const MAGIC: &[u8; 4] = b"KDMV";
/// The offset of the grain directory in the header of a stream: the actual offset is in the footer.
pub(crate) const AT_END: u64 = u64::MAX;

/// The maximum capacity, 64 TiB. No disk is larger, and the tables of a hostile one still fit into
/// memory.
const MAX_SECTORS: u64 = 1 << 37;
const VALID_NEWLINES: u32 = 1;
const REDUNDANT_TABLE: u32 = 2;
pub(crate) const COMPRESSED: u32 = 1 << 16;
pub(crate) const MARKERS: u32 = 1 << 17;

/// A decoded header. All sizes and offsets are in sectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) version: u32,
    pub(crate) flags: u32,
    pub(crate) capacity: u64,
    pub(crate) grain: u64,
    pub(crate) descriptor_offset: u64,
    pub(crate) descriptor_size: u64,
    pub(crate) table_entries: u32,
    pub(crate) redundant_directory: u64,
    pub(crate) directory: u64,
    pub(crate) overhead: u64,
    pub(crate) compression: u16,
}

impl Header {
    /// Returns the header of a streamOptimized disk.
    pub(crate) fn stream(capacity: u64, descriptor_size: u64) -> Self {
        Self {
            version: 3,
            flags: VALID_NEWLINES | COMPRESSED | MARKERS,
            capacity,
            grain: GRAIN / SECTOR,
            descriptor_offset: 1,
            descriptor_size,
            table_entries: TABLE_ENTRIES as u32,
            redundant_directory: 0,
            directory: AT_END,
            overhead: 128,
            compression: 1,
        }
    }

    /// Returns the header of a monolithicSparse disk.
    pub(crate) fn sparse(
        capacity: u64,
        descriptor_size: u64,
        redundant_directory: u64,
        directory: u64,
        overhead: u64,
    ) -> Self {
        Self {
            version: 1,
            flags: VALID_NEWLINES | REDUNDANT_TABLE,
            descriptor_size,
            redundant_directory,
            directory,
            overhead,
            compression: 0,
            ..Self::stream(capacity, descriptor_size)
        }
    }

    pub(crate) fn encode(&self) -> [u8; 512] {
        let mut to = [0; 512];
        to[..4].copy_from_slice(MAGIC);
        le::put_u32(&mut to, 0x04, self.version);
        le::put_u32(&mut to, 0x08, self.flags);
        le::put_u64(&mut to, 0x0c, self.capacity);
        le::put_u64(&mut to, 0x14, self.grain);
        le::put_u64(&mut to, 0x1c, self.descriptor_offset);
        le::put_u64(&mut to, 0x24, self.descriptor_size);
        le::put_u32(&mut to, 0x2c, self.table_entries);
        le::put_u64(&mut to, 0x30, self.redundant_directory);
        le::put_u64(&mut to, 0x38, self.directory);
        le::put_u64(&mut to, 0x40, self.overhead);
        to[0x49..0x4d].copy_from_slice(b"\n \r\n");
        le::put_u16(&mut to, 0x4d, self.compression);
        to
    }

    /// Decodes and validates a header; `offset` is its position in the file, for errors.
    pub(crate) fn decode(from: &[u8; 512], offset: u64) -> Result<Self, Error> {
        let damaged = |what| Error::Damaged { what, offset };
        if &from[..4] != MAGIC {
            return Err(damaged("header"));
        }
        let header = Self {
            version: le::u32_at(from, 0x04),
            flags: le::u32_at(from, 0x08),
            capacity: le::u64_at(from, 0x0c),
            grain: le::u64_at(from, 0x14),
            descriptor_offset: le::u64_at(from, 0x1c),
            descriptor_size: le::u64_at(from, 0x24),
            table_entries: le::u32_at(from, 0x2c),
            redundant_directory: le::u64_at(from, 0x30),
            directory: le::u64_at(from, 0x38),
            overhead: le::u64_at(from, 0x40),
            compression: le::u16_at(from, 0x4d),
        };
        if !(1..=3).contains(&header.version) {
            return Err(Error::Unsupported("its version is not 1 to 3"));
        }
        if header.flags & VALID_NEWLINES != 0 && from[0x49..0x4d] != *b"\n \r\n" {
            return Err(damaged("header corrupted by a text-mode transfer"));
        }
        if header.capacity > MAX_SECTORS {
            return Err(damaged("capacity"));
        }
        if !header.grain.is_power_of_two() || !(8..=2048).contains(&header.grain) {
            return Err(damaged("grain size"));
        }
        if header.table_entries != TABLE_ENTRIES as u32 {
            return Err(Error::Unsupported(
                "its grain tables do not have 512 entries",
            ));
        }
        if header.descriptor_size > 2048 || header.descriptor_offset > 1 << 40 {
            return Err(damaged("descriptor size"));
        }
        if header.flags & COMPRESSED != 0 && header.compression != 1 {
            return Err(Error::Unsupported("its compression is not deflate"));
        }
        Ok(header)
    }

    /// Returns the number of sectors that one grain table covers.
    pub(crate) fn table_span(&self) -> u64 {
        self.grain * TABLE_ENTRIES
    }

    /// Returns the number of grain tables of the disk.
    pub(crate) fn tables(&self) -> u64 {
        self.capacity.div_ceil(self.table_span())
    }
}

/// Types of the markers in a stream. The marker of a grain has a size instead of a type.
pub(crate) mod marker {
    pub(crate) const END: u32 = 0;
    pub(crate) const TABLE: u32 = 1;
    pub(crate) const DIRECTORY: u32 = 2;
    pub(crate) const FOOTER: u32 = 3;

    /// Length in bytes of the marker before the compressed data of a grain.
    pub(crate) const GRAIN_HEAD: usize = 12;

    /// Returns the compressed data of a grain from its record: a marker, the data, and padding.
    pub(crate) fn grain_data(record: &[u8]) -> Option<&[u8]> {
        let (head, data) = record.split_at_checked(GRAIN_HEAD)?;
        data.get(..crate::le::u32_at(head, 8) as usize)
    }

    /// Encodes the marker of a grain that starts at `sector` of the disk, before `size` bytes of
    /// compressed data.
    pub(crate) fn encode_grain(sector: u64, size: u32) -> [u8; GRAIN_HEAD] {
        let mut to = [0; GRAIN_HEAD];
        crate::le::put_u64(&mut to, 0, sector);
        crate::le::put_u32(&mut to, 8, size);
        to
    }

    /// Encodes the marker that precedes `sectors` of metadata.
    pub(crate) fn encode(kind: u32, sectors: u64) -> [u8; 512] {
        let mut to = [0; 512];
        crate::le::put_u64(&mut to, 0, sectors);
        crate::le::put_u32(&mut to, 12, kind);
        to
    }
}
