//! Finding the first record of a time.

use super::record::{HEADER_LENGTH, Header, MAX_DATA};
use super::{BLOCK, Step};

/// A binary search for the first record of a time or later.
///
/// It assumes that the guest's clock was not set back. If it was, records of that time can
/// be missed, or earlier ones returned, so the reader should check each record's time as well.
/// Only for logs with records.
#[derive(Debug)]
pub struct Seek {
    time: i64,
    /// A record begins here, and is older (or the file begins).
    low: u64,
    /// Everything from here on is of that time or later.
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
        seek.aim();
        seek
    }

    /// Returns what the search needs next or, at its end, an offset at which a record starts. There
    /// are few records from there to the wanted one.
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
            // Too late, or damage without any record: continue before it.
            _ => self.high = at,
        }
        self.aim();
    }

    fn aim(&mut self) {
        let distance = self.high - self.low;
        self.probe = (distance > BLOCK).then(|| self.low + distance / 2);
    }
}

/// The first record in bytes that begin and end anywhere: a header that is followed by
/// headers up to the end.
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
