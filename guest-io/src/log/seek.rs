//! Finds the first record at a time or later.

use super::record::{HEADER_LENGTH, Header, MAX_DATA};
use super::{BLOCK, Step};

/// A binary search for the first record at a time or later.
///
/// It assumes that the guest's clock was not set back. If it was, records can be missed, and
/// earlier ones returned, so the reader should also check the time of each record. Only for
/// [`Format::Records`](super::Format::Records).
#[derive(Debug)]
pub struct Seek {
    time: i64,
    /// An older record starts at this offset, or it is 0.
    low: u64,
    /// All records from this offset on are at that time or later.
    high: u64,
    probe: Option<u64>,
}

/// Enough for the end of one record and the headers of two more.
const PROBE: u64 = 3 * (HEADER_LENGTH + MAX_DATA) as u64;

impl Seek {
    /// Creates a search before the offset `end`, usually the file's length, for the first record
    /// at `time` (nanoseconds since 1970) or later.
    pub fn new(end: u64, time: i64) -> Self {
        let mut seek = Self {
            time,
            low: 0,
            high: end,
            probe: None,
        };
        seek.choose_probe();
        seek
    }

    /// Returns the range that the search needs next or, at its end, an offset at which a record
    /// starts. The requested record follows within about [`BLOCK`] bytes.
    pub fn step(&self) -> Step<u64> {
        match self.probe {
            Some(at) => Step::Read(at..self.high.min(at + PROBE)),
            None => Step::Done(self.low),
        }
    }

    /// Supplies the bytes of the range that [`Seek::step`] requested.
    pub fn supply(&mut self, bytes: &[u8]) {
        let Some(at) = self.probe else {
            return;
        };
        match first_record(bytes) {
            Some((offset, header)) if header.time < self.time => self.low = at + offset as u64,
            // The record is too late, or the range contains none: continue before it.
            _ => self.high = at,
        }
        self.choose_probe();
    }

    fn choose_probe(&mut self) {
        let distance = self.high - self.low;
        self.probe = (distance > BLOCK).then(|| self.low + distance / 2);
    }
}

/// Finds the first record in bytes that start and end anywhere: a header from which the following
/// headers reach the end.
fn first_record(bytes: &[u8]) -> Option<(usize, Header)> {
    (0..bytes.len()).find_map(|start| {
        let header = Header::at(bytes, start)?;
        let mut at = start + header.record_length();
        while bytes.len().saturating_sub(at) >= HEADER_LENGTH {
            at += Header::at(bytes, at)?.record_length();
        }
        Some((start, header))
    })
}
