//! Finds the last lines of a log.

use super::record::{HEADER_LENGTH, Header};
use super::{BLOCK, Format, Step};

/// The position to start reading from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Start {
    /// The offset in the file, at which a record starts.
    pub offset: u64,
    /// The number of lines to skip from there. It is 0 unless the log has records of several
    /// lines, which only other writers create.
    pub skip_lines: u64,
}

/// A search for the last lines of a log, from its end.
///
/// Lines of both streams are counted together, in the order in which they were written. A last
/// line without a line feed counts.
///
/// ```
/// use guest_io::log::{Format, Step, Tail};
///
/// let file = b"one\ntwo\nthree\n";
/// let mut tail = Tail::new(Format::Raw, file.len() as u64, 2);
/// let start = loop {
///     match tail.step() {
///         Step::Read(range) => tail.supply(&file[range.start as usize..range.end as usize]),
///         Step::Done(start) => break start,
///     }
/// };
/// assert_eq!(start.offset, 4);
/// ```
#[derive(Debug)]
pub struct Tail {
    format: Format,
    /// The lines after this offset have been counted.
    counted_from: u64,
    /// The start of the next block, which ends at `counted_from`.
    block: u64,
    lines: u64,
    counted: u64,
    /// Whether the next block is the last one of the file.
    at_end: bool,
    done: Option<Start>,
}

impl Tail {
    /// Creates a search for the last `lines` lines before the offset `end`, usually the file's
    /// length.
    pub fn new(format: Format, end: u64, lines: u64) -> Self {
        let mut tail = Self {
            format,
            counted_from: end,
            block: end.saturating_sub(BLOCK),
            lines,
            counted: 0,
            at_end: true,
            done: None,
        };
        if lines == 0 || end == 0 {
            tail.finish(end, 0);
        }
        tail
    }

    /// Returns the range that the search needs next, or its result.
    pub fn step(&self) -> Step<Start> {
        match self.done {
            Some(start) => Step::Done(start),
            None => Step::Read(self.block..self.counted_from),
        }
    }

    /// Supplies the bytes of the range that [`Tail::step`] requested. Missing bytes at the
    /// end of the range count as damage.
    pub fn supply(&mut self, bytes: &[u8]) {
        if self.done.is_some() {
            return;
        }
        match self.format {
            Format::Raw => self.supply_raw(bytes),
            Format::Records => self.supply_records(bytes),
        }
        self.at_end = false;
        if self.done.is_none() {
            if self.counted_from == 0 {
                self.finish(0, 0);
            }
            self.block = self.counted_from.saturating_sub(BLOCK);
        }
    }

    fn finish(&mut self, offset: u64, skip_lines: u64) {
        self.done = Some(Start { offset, skip_lines });
    }

    fn supply_raw(&mut self, bytes: &[u8]) {
        let mut end = bytes.len();
        if self.at_end && bytes.last() == Some(&b'\n') {
            // The last line feed ends the last line and does not start another one.
            end -= 1;
        }
        for at in (0..end).rev() {
            if bytes[at] == b'\n' {
                self.counted += 1;
                if self.counted == self.lines {
                    return self.finish(self.block + at as u64 + 1, 0);
                }
            }
        }
        self.counted_from = self.block;
    }

    fn supply_records(&mut self, bytes: &[u8]) {
        let records = records_before_end(bytes, self.block == 0, self.at_end);
        let Some(&first) = records.first() else {
            // The block is damaged: continue before it.
            self.counted_from = self.block;
            return;
        };
        for &at in records.iter().rev() {
            // The reason in a final record is not output.
            let Some(header) = Header::at(bytes, at).filter(|header| header.last.is_none()) else {
                continue;
            };
            let from = at + HEADER_LENGTH;
            let to = (from + header.length).min(bytes.len());
            let data = &bytes[from.min(to)..to];
            let mut lines = data.iter().filter(|byte| **byte == b'\n').count() as u64;
            if self.at_end && self.counted == 0 && data.last().is_some_and(|byte| *byte != b'\n') {
                // The last line has no line feed; its earlier parts are not counted again.
                lines += 1;
            }
            let left = self.lines - self.counted;
            if lines > left {
                let offset = self.block + at as u64;
                if left == 0 {
                    return self.finish(offset + header.record_length() as u64, 0);
                }
                return self.finish(offset, lines - left);
            }
            self.counted += lines;
            if self.counted > 0 {
                self.at_end = false;
            }
        }
        self.counted_from = self.block + first as u64;
    }
}

/// Returns the offsets of the records in a block, which must end at the start of a record or at
/// the end of the file. The first block of the file starts with a record.
pub(super) fn records_before_end(bytes: &[u8], from_start: bool, end_of_file: bool) -> Vec<usize> {
    // From the end backwards: whether a record starts at an offset, and it and the records after
    // it reach the end.
    let mut reaches = vec![false; bytes.len() + 1];
    reaches[bytes.len()] = true;
    for at in (0..bytes.len()).rev() {
        reaches[at] = match Header::at(bytes, at) {
            Some(header) => match reaches.get(at + header.record_length()) {
                Some(reached) => *reached,
                None => end_of_file,
            },
            // The start of a header that was not written completely.
            None => end_of_file && bytes.len() - at < HEADER_LENGTH && is_header_text(&bytes[at..]),
        };
    }
    let first = if from_start && reaches[0] {
        Some(0)
    } else {
        (0..bytes.len()).find(|&at| reaches[at] && Header::at(bytes, at).is_some())
    };
    let mut records = Vec::new();
    let mut next = first;
    while let Some(at) = next {
        let Some(header) = Header::at(bytes, at) else {
            break;
        };
        records.push(at);
        next = Some(at + header.record_length());
    }
    records
}

fn is_header_text(bytes: &[u8]) -> bool {
    bytes
        .iter()
        .all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(byte))
}
