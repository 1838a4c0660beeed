//! Compresses grains.

use std::io;

use flate2::{Compress, Compression, FlushCompress, Status};

use super::GRAIN;
use super::pool::Pool;

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
}

/// A compressed grain, and the buffer of its uncompressed data for reuse.
pub(super) struct Packed {
    pub(super) grain: u64,
    pub(super) data: Vec<u8>,
    pub(super) spare: Vec<u8>,
}

/// Starts threads that compress grains.
pub(super) fn pool(level: CompressionLevel, threads: usize) -> io::Result<Pool<Plain, Packed>> {
    Pool::new("deflate", threads, || {
        let mut packer = Packer::new(level);
        move |Plain { grain, data }| Packed {
            grain,
            data: packer.pack(&data),
            spare: data,
        }
    })
}

/// Compresses one grain at a time.
struct Packer {
    compress: Compress,
    stored: Compress,
    buffer: Vec<u8>,
}

impl Packer {
    fn new(level: CompressionLevel) -> Self {
        Self {
            compress: Compress::new(level.compression(), true),
            stored: Compress::new(Compression::none(), true),
            buffer: vec![0; GRAIN as usize * 9 / 8 + 1024],
        }
    }

    /// Returns an RFC 1950 stream. Data that does not shrink is stored uncompressed.
    fn pack(&mut self, plain: &[u8]) -> Vec<u8> {
        if let Some(length) = run(&mut self.compress, plain, &mut self.buffer)
            && length < plain.len()
        {
            return self.buffer[..length].to_vec();
        }
        let length = run(&mut self.stored, plain, &mut self.buffer).unwrap_or(0);
        self.buffer[..length].to_vec()
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
    fn a_grain_that_does_not_shrink_is_stored() {
        for level in [CompressionLevel::Fast, CompressionLevel::Small] {
            let mut packer = Packer::new(level);
            let packed = packer.pack(&noise());
            assert!(packed.len() > GRAIN as usize);
            assert!(packed.len() < GRAIN as usize + 64, "{}", packed.len());
            assert!(packer.pack(&grain(|n| n as u8 / 16)).len() < 4096);
        }
    }
}
