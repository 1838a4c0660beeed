//! Compresses grains.

use std::io;

use flate2::{Compress, Compression, FlushCompress, Status};

use super::header::marker;
use super::pool::Pool;
use super::{GRAIN, SECTOR};

/// The compression level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum CompressionLevel {
    /// zlib's level 1: three times as fast as [`CompressionLevel::Small`], output a fifth larger.
    #[default]
    Fast,
    /// zlib's level 6, as used by qemu-img.
    Small,
}

impl CompressionLevel {
    fn compression(self) -> Compression {
        Compression::new(match self {
            Self::Fast => 1,
            Self::Small => 6,
        })
    }
}

/// A grain to be compressed.
pub(super) struct Plain {
    pub(super) grain: u64,
    pub(super) data: Vec<u8>,
    /// A buffer for the record, with any content.
    pub(super) record: Vec<u8>,
}

/// A compressed grain, and the buffer of its uncompressed data for reuse.
pub(super) struct Packed {
    pub(super) grain: u64,
    /// The record is at the start of this buffer: the marker, the compressed data, and padding up
    /// to the next sector.
    pub(super) record: Vec<u8>,
    /// Length of the record in bytes.
    pub(super) length: usize,
    pub(super) spare: Vec<u8>,
}

/// Starts threads that compress grains.
pub(super) fn pool(level: CompressionLevel, threads: usize) -> io::Result<Pool<Plain, Packed>> {
    Pool::new("deflate", threads, || {
        let mut packer = Packer::new(level);
        move |plain: Plain| {
            let mut record = plain.record;
            let length = packer.record(plain.grain, &plain.data, &mut record);
            Packed {
                grain: plain.grain,
                record,
                length,
                spare: plain.data,
            }
        }
    })
}

/// Compresses one grain at a time.
struct Packer {
    compress: Compress,
    stored: Compress,
}

impl Packer {
    /// Enough for a grain that zlib makes longer, for its marker and for the padding.
    const RECORD: usize = (GRAIN * 9 / 8 + 2 * SECTOR) as usize;

    fn new(level: CompressionLevel) -> Self {
        Self {
            compress: Compress::new(level.compression(), true),
            stored: Compress::new(Compression::none(), true),
        }
    }

    /// Writes the record of a grain to the start of `record`, and returns its length.
    fn record(&mut self, grain: u64, plain: &[u8], record: &mut Vec<u8>) -> usize {
        record.resize(Self::RECORD, 0);
        let (head, data) = record.split_at_mut(marker::GRAIN_HEAD);
        let length = self.pack(plain, data);
        head.copy_from_slice(&marker::encode_grain(grain * GRAIN / SECTOR, length as u32));
        let end = marker::GRAIN_HEAD + length;
        let padded = end.next_multiple_of(SECTOR as usize);
        record[end..padded].fill(0);
        padded
    }

    /// Writes an RFC 1950 stream, and returns its length. Data that does not shrink is stored
    /// uncompressed.
    fn pack(&mut self, plain: &[u8], to: &mut [u8]) -> usize {
        match run(&mut self.compress, plain, to) {
            Some(length) if length < plain.len() => length,
            _ => run(&mut self.stored, plain, to).unwrap_or(0),
        }
    }
}

fn run(compress: &mut Compress, plain: &[u8], to: &mut [u8]) -> Option<usize> {
    compress.reset();
    match compress.compress(plain, to, FlushCompress::Finish) {
        Ok(Status::StreamEnd) => usize::try_from(compress.total_out()).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grain(fill: impl FnMut(u64) -> u8) -> Vec<u8> {
        (0..GRAIN).map(fill).collect()
    }

    /// Returns bytes that do not shrink.
    fn noise() -> Vec<u8> {
        let mut state = 1u64;
        grain(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 56) as u8
        })
    }

    #[test]
    fn a_record_is_padded_with_zeros_whatever_was_in_its_buffer() {
        let mut packer = Packer::new(CompressionLevel::Fast);
        let mut record = vec![0xff; Packer::RECORD];
        let length = packer.record(3, &grain(|n| n as u8 / 16), &mut record);
        assert!(length.is_multiple_of(SECTOR as usize));
        let size = u32::from_le_bytes([record[8], record[9], record[10], record[11]]) as usize;
        assert_eq!(record[..8], (3 * GRAIN / SECTOR).to_le_bytes());
        assert!(record[12 + size..length].iter().all(|&byte| byte == 0));
    }

    #[test]
    fn a_grain_that_does_not_shrink_is_stored() {
        for level in [CompressionLevel::Fast, CompressionLevel::Small] {
            let mut packer = Packer::new(level);
            let mut to = vec![0; Packer::RECORD];
            let packed = packer.pack(&noise(), &mut to);
            assert!(packed > GRAIN as usize);
            assert!(packed < GRAIN as usize + 64, "{packed}");
            assert!(packer.pack(&grain(|n| n as u8 / 16), &mut to) < 4096);
        }
    }
}
