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
}

/// A decompressed grain.
pub(super) struct Plain {
    pub(super) offset: u64,
    pub(super) at: u64,
    /// `None` if the compressed data is damaged.
    pub(super) data: Option<Vec<u8>>,
}

/// Starts threads that decompress grains.
pub(super) fn pool(threads: usize) -> io::Result<Pool<Packed, Plain>> {
    Pool::new("inflate", threads, || {
        let mut inflater = Inflater::new();
        move |Packed { offset, at, record }| Plain {
            offset,
            at,
            data: marker::grain_data(&record)
                .and_then(|packed| inflater.inflate(packed, GRAIN as usize)),
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
    /// zeros.
    pub(super) fn inflate(&mut self, packed: &[u8], size: usize) -> Option<Vec<u8>> {
        self.0.reset(true);
        let mut plain = vec![0; size];
        let status = self
            .0
            .decompress(packed, &mut plain, FlushDecompress::Finish);
        matches!(status, Ok(Status::StreamEnd)).then_some(plain)
    }
}
