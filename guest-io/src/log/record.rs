//! Records and their headers.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use crate::Stream;

/// The length of a record's header, in characters.
pub const HEADER_LENGTH: usize = 16;

/// The maximum number of output bytes in a record.
pub const MAX_DATA: usize = 4095;

const STREAM: u16 = 1 << 3;
/// Marks the final record of a run, which VIC does not have.
const LAST: u16 = 1;
const UNUSED: u16 = STREAM - 1 - LAST;
/// The bits of a final record's time that contain how the run ended, and which one it was.
const LAST_BITS: i64 = 0xff_ffff;

/// A record: a chunk of a container's output.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Record {
    /// The stream that the process wrote to.
    pub stream: Stream,
    /// The time at which the guest wrote it, by the guest's clock, in nanoseconds since 1970;
    /// `None` in a raw log.
    pub time: Option<i64>,
    /// The output.
    pub data: Bytes,
}

/// The header of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) time: i64,
    pub(super) stream: Stream,
    pub(super) length: usize,
    /// How the run ended, in a final record.
    pub(super) last: Option<LastBits>,
}

/// The part of a final record's time that describes the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LastBits {
    pub(super) value: u8,
    pub(super) kind: u8,
    /// The mark of the run; 0 for none.
    pub(super) run: u8,
}

impl Header {
    /// Creates the header of a final record with this many bytes of data. Its time is rounded up.
    pub(super) fn end(time: i64, bits: LastBits, length: usize) -> Self {
        let time = time.max(0) & !LAST_BITS;
        Self {
            time: time.saturating_add(LAST_BITS + 1) & !LAST_BITS,
            stream: Stream::Stdout,
            length,
            last: Some(bits),
        }
    }

    pub(super) fn encode(self) -> [u8; HEADER_LENGTH] {
        let mut bytes = [0; 10];
        bytes[..8].copy_from_slice(&self.time.to_le_bytes());
        if let Some(LastBits { value, kind, run }) = self.last {
            bytes[..3].copy_from_slice(&[value, kind, run]);
        }
        // A length is at most 12 bits.
        let length = (self.length.min(MAX_DATA) as u16) << 4;
        let stream = match self.stream {
            Stream::Stdout => 0,
            Stream::Stderr => STREAM,
        };
        let last = if self.last.is_some() { LAST } else { 0 };
        bytes[8..].copy_from_slice(&(length | stream | last).to_le_bytes());
        let mut text = [0; HEADER_LENGTH];
        let written = STANDARD.encode_slice(bytes, &mut text);
        debug_assert_eq!(written.ok(), Some(HEADER_LENGTH));
        text
    }

    /// Decodes a header; `None` if the text is not a valid one.
    pub(super) fn decode(text: &[u8; HEADER_LENGTH]) -> Option<Self> {
        if text[14..] != *b"==" {
            return None;
        }
        let mut bytes = [0; 12];
        let length = STANDARD.decode_slice(text, &mut bytes).ok()?;
        if length != 10 {
            return None;
        }
        let [a, b, c, d, e, f, g, h, low, high, ..] = bytes;
        let word = u16::from_le_bytes([low, high]);
        if word & UNUSED != 0 {
            return None;
        }
        let time = i64::from_le_bytes([a, b, c, d, e, f, g, h]);
        if time < 0 {
            return None;
        }
        let is_last = word & LAST != 0;
        if is_last && word & STREAM != 0 {
            return None;
        }
        let bits = LastBits {
            value: a,
            kind: b,
            run: c,
        };
        Some(Self {
            time: if is_last { time & !LAST_BITS } else { time },
            last: is_last.then_some(bits),
            stream: if word & STREAM == 0 {
                Stream::Stdout
            } else {
                Stream::Stderr
            },
            length: usize::from(word >> 4),
        })
    }

    /// Decodes the header at an offset; `None` if it is invalid or incomplete.
    pub(super) fn at(bytes: &[u8], offset: usize) -> Option<Self> {
        Self::decode(bytes.get(offset..)?.first_chunk()?)
    }

    /// Returns the length of the whole record, with its header.
    pub(super) fn record_length(&self) -> usize {
        HEADER_LENGTH + self.length
    }
}

/// Appends output to `log` as records: one per line, and one per [`MAX_DATA`] bytes of
/// a longer line. `time` is in nanoseconds since 1970; negative times count as 0.
///
/// The bytes appended by one call must be written to the file contiguously.
pub fn encode(stream: Stream, time: i64, data: &[u8], log: &mut Vec<u8>) {
    for line in data.split_inclusive(|byte| *byte == b'\n') {
        for piece in line.chunks(MAX_DATA) {
            let header = Header {
                time: time.max(0),
                stream,
                length: piece.len(),
                last: None,
            };
            log.extend_from_slice(&header.encode());
            log.extend_from_slice(piece);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_has_the_layout_of_vic() {
        // 2016-06-27T04:00:00Z, 5 bytes of stderr.
        let header = Header {
            time: 1_467_000_000_000_000_000,
            stream: Stream::Stderr,
            length: 5,
            last: None,
        };
        let raw = STANDARD.decode(header.encode()).unwrap();
        assert_eq!(raw[..8], 1_467_000_000_000_000_000_i64.to_le_bytes());
        assert_eq!(raw[8..], [0x58, 0x00]);
        assert_eq!(Header::decode(&header.encode()), Some(header));
    }

    #[test]
    fn each_line_is_one_record_and_a_long_one_is_split() {
        let mut log = Vec::new();
        encode(Stream::Stdout, 1, b"a\n\nrest", &mut log);
        encode(Stream::Stdout, 1, &[b'x'; 5000], &mut log);
        let mut lengths = Vec::new();
        let mut at = 0;
        while let Some(header) = Header::at(&log, at) {
            lengths.push(header.length);
            at += header.record_length();
        }
        assert_eq!(lengths, [2, 1, 4, 4095, 905]);
        assert_eq!(at, log.len());
    }
}
