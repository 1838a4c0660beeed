//! Decompresses grains.

use std::io;

use flate2::{Decompress, FlushDecompress, Status};

use super::GRAIN;
use super::header::marker;
use super::pool::Pool;

/// A compressed grain of a stream.
pub(super) struct Packed {
    /// The offset of the grain in the disk.
    pub(super) offset: u64,
    /// The offset of the grain's marker in the stream.
    pub(super) at: u64,
    /// The marker, the compressed data, and padding.
    pub(super) record: Vec<u8>,
    /// A buffer for the decompressed data, with any content.
    pub(super) buffer: Vec<u8>,
}

/// A decompressed grain.
pub(super) struct Plain {
    pub(super) offset: u64,
    pub(super) at: u64,
    /// Whether the compressed data was valid.
    pub(super) is_valid: bool,
    pub(super) data: Vec<u8>,
    /// The record, for reuse.
    pub(super) spare: Vec<u8>,
}

/// Starts threads that decompress grains.
pub(super) fn pool(threads: usize) -> io::Result<Pool<Packed, Plain>> {
    Pool::new("inflate", threads, || {
        let mut inflater = Inflater::new();
        move |packed: Packed| {
            let mut data = packed.buffer;
            data.resize(GRAIN as usize, 0);
            let inflated = marker::grain_data(&packed.record)
                .and_then(|compressed| inflater.inflate(compressed, &mut data));
            Plain {
                offset: packed.offset,
                at: packed.at,
                is_valid: inflated.is_some(),
                data,
                spare: packed.record,
            }
        }
    })
}

/// Decompresses one grain at a time.
pub(super) struct Inflater(Decompress);

impl Inflater {
    pub(super) fn new() -> Self {
        Self(Decompress::new(true))
    }

    /// Decompresses exactly one grain. The last grain of a disk may be shorter and is padded with
    /// zeros. Returns `None` if the compressed data is damaged.
    pub(super) fn inflate(&mut self, packed: &[u8], plain: &mut [u8]) -> Option<()> {
        self.0.reset(true);
        let status = self.0.decompress(packed, plain, FlushDecompress::Finish);
        if !matches!(status, Ok(Status::StreamEnd)) {
            return None;
        }
        let length = usize::try_from(self.0.total_out()).ok()?;
        plain.get_mut(length..)?.fill(0);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::ZlibEncoder;

    use super::*;

    #[test]
    fn nothing_of_an_earlier_grain_remains_in_a_buffer() {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(b"short").unwrap();
        let short = encoder.finish().unwrap();
        let mut plain = vec![0xff; 64];
        let mut inflater = Inflater::new();
        inflater.inflate(&short, &mut plain).unwrap();
        assert_eq!(plain[..5], *b"short");
        assert_eq!(plain[5..], [0; 59]);
        // A damaged grain does not affect the next one.
        assert_eq!(inflater.inflate(&short[..4], &mut plain), None);
        inflater.inflate(&short, &mut plain).unwrap();
        assert_eq!(plain[..6], *b"short\0");
    }
}
