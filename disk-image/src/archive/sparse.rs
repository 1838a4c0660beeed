//! Maps of sparse files, which list the parts of a file that the archive stores.

use tar::{GnuExtSparseHeader, GnuSparseHeader};

use super::BLOCK;
use crate::error::LayerProblem;

/// A range of a sparse file whose data is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) offset: u64,
    pub(crate) len: u64,
}

const BAD: LayerProblem = LayerProblem::Malformed("sparse map");

/// Checks that the segments ascend, lie within the file, and add up to the stored size.
pub(super) fn check(segments: &[Segment], size: u64, stored: u64) -> Result<(), LayerProblem> {
    let mut end = 0u64;
    let mut total = 0u64;
    for segment in segments {
        if segment.offset < end {
            return Err(BAD);
        }
        end = segment.offset.checked_add(segment.len).ok_or(BAD)?;
        total = total.checked_add(segment.len).ok_or(BAD)?;
    }
    if end > size || total != stored {
        return Err(BAD);
    }
    Ok(())
}

/// Parses the map of old GNU archives (type `S`), stored in the header and in blocks after it.
pub(super) struct GnuMap {
    pub(super) segments: Vec<Segment>,
    pub(super) size: u64,
    pub(super) more: bool,
}

impl GnuMap {
    pub(super) fn add(&mut self, headers: &[GnuSparseHeader]) -> Result<(), LayerProblem> {
        for header in headers.iter().filter(|header| !header.is_empty()) {
            let offset = header.offset().map_err(|_| BAD)?;
            let len = header.length().map_err(|_| BAD)?;
            self.segments.push(Segment { offset, len });
        }
        Ok(())
    }

    pub(super) fn extend(&mut self, block: &[u8; BLOCK]) -> Result<(), LayerProblem> {
        let mut ext = GnuExtSparseHeader::new();
        ext.as_mut_bytes().copy_from_slice(block);
        self.more = ext.is_extended();
        self.add(&ext.sparse)
    }
}

/// Parses the map of PAX sparse version 1.0, which precedes the data. It consists of decimal
/// numbers, one per line: the number of segments, then the offset and length of each.
#[derive(Default)]
pub(super) struct TextMap {
    numbers: Vec<u64>,
    current: Option<u64>,
}

impl TextMap {
    pub(super) fn len(&self) -> usize {
        self.numbers.len() / 2
    }

    pub(super) fn is_complete(&self) -> bool {
        match self.numbers.first() {
            Some(&count) => (self.numbers.len() as u64 - 1) / 2 >= count,
            None => false,
        }
    }

    pub(super) fn extend(&mut self, block: &[u8; BLOCK]) -> Result<(), LayerProblem> {
        for &byte in block {
            if self.is_complete() {
                break;
            }
            match byte {
                b'0'..=b'9' => {
                    let digit = u64::from(byte - b'0');
                    let value = self.current.unwrap_or(0).checked_mul(10);
                    self.current = Some(value.and_then(|v| v.checked_add(digit)).ok_or(BAD)?);
                }
                b'\n' => self.numbers.push(self.current.take().ok_or(BAD)?),
                _ => return Err(BAD),
            }
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Result<Vec<Segment>, LayerProblem> {
        let pairs = self.numbers.get(1..).ok_or(BAD)?.chunks_exact(2);
        Ok(pairs
            .map(|pair| Segment {
                offset: pair[0],
                len: pair[1],
            })
            .collect())
    }
}
