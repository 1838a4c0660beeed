//! The final record of a run.

use super::record::{HEADER_LENGTH, Header, LastBits};
use super::tail::records_before_end;

/// How the process of a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It exited with this code.
    Code(u8),
    /// A signal ended it; the number is Linux's.
    Signal(u8),
    /// The kernel killed it because memory ran out.
    OutOfMemory,
    /// It could not be started.
    NotStarted,
}

/// The final record of a run, which the agent writes after all output. It is the header of an empty
/// record, so a reader that only knows output finds nothing in it:
///
/// ```text
/// 8 bytes   little-endian: the time, except its last 2 bytes, which are kind << 8 | value
/// 2 bytes   1
/// ```
///
/// The kinds are 0 for an exit code, 1 for a signal, 2 if memory ran out, and 3 if the process was
/// not started. The time is rounded up to the next 65,536 ns, so that it is not before that of the
/// last output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct End {
    /// The time of the end by the guest's clock, in nanoseconds since 1970.
    pub time: i64,
    /// How the process ended.
    pub outcome: Outcome,
}

/// Appends the final record of a run to `log`. `time` is in nanoseconds since 1970; negative times
/// count as 0.
pub fn encode_end(time: i64, outcome: Outcome, log: &mut Vec<u8>) {
    let (kind, value) = match outcome {
        Outcome::Code(code) => (0, code),
        Outcome::Signal(number) => (1, number),
        Outcome::OutOfMemory => (2, 0),
        Outcome::NotStarted => (3, 0),
    };
    let bits = LastBits::new(kind, value);
    log.extend_from_slice(&Header::end(time, bits).encode());
}

impl End {
    /// Returns the end that a header describes; `None` if it is not that of a final record, or of an
    /// unknown kind.
    pub(super) fn of(header: &Header) -> Option<Self> {
        let bits = header.last?;
        let outcome = match bits.kind() {
            0 => Outcome::Code(bits.value()),
            1 => Outcome::Signal(bits.value()),
            2 => Outcome::OutOfMemory,
            3 => Outcome::NotStarted,
            _ => return None,
        };
        Some(Self {
            time: header.time,
            outcome,
        })
    }

    /// Returns the final record at the end of a log, if it is the last record. `bytes` are the last
    /// bytes of the file, [`BLOCK`](super::BLOCK) of them or the whole file.
    #[must_use]
    pub fn at_end(bytes: &[u8], is_whole_file: bool) -> Option<Self> {
        let last = *records_before_end(bytes, is_whole_file, true).last()?;
        let header = Header::at(bytes, last)?;
        (last + HEADER_LENGTH == bytes.len()).then_some(())?;
        Self::of(&header)
    }
}

#[cfg(test)]
mod tests {
    use super::super::encode;
    use super::*;
    use crate::Stream;

    const TIME: i64 = 1_467_000_000_123_456_789;

    fn ended(outcome: Outcome) -> Vec<u8> {
        let mut log = Vec::new();
        encode(Stream::Stdout, TIME, b"some output\n", &mut log);
        encode_end(TIME, outcome, &mut log);
        log
    }

    #[test]
    fn every_outcome_is_read_as_it_was_written() {
        for outcome in [
            Outcome::Code(0),
            Outcome::Code(255),
            Outcome::Signal(9),
            Outcome::Signal(64),
            Outcome::OutOfMemory,
            Outcome::NotStarted,
        ] {
            let log = ended(outcome);
            let end = End::at_end(&log, true).unwrap();
            assert_eq!(end.outcome, outcome);
            assert!(
                end.time >= TIME && end.time - TIME <= 1 << 16,
                "{}",
                end.time
            );
            // Also when only the end of the file is read.
            assert_eq!(End::at_end(&log[5..], false), Some(end));
        }
    }

    #[test]
    fn only_the_last_record_counts() {
        let mut log = ended(Outcome::Code(3));
        let length = log.len();
        encode(Stream::Stdout, TIME, b"next run\n", &mut log);
        assert_eq!(End::at_end(&log, true), None);
        assert_eq!(End::at_end(&log[..length - 1], true), None);
        assert_eq!(End::at_end(b"", true), None);
    }

    #[test]
    fn output_that_looks_like_a_final_record_is_output() {
        let mut forged = Vec::new();
        encode_end(TIME, Outcome::Code(0), &mut forged);
        let mut log = Vec::new();
        encode(Stream::Stdout, TIME, &forged, &mut log);
        assert_eq!(End::at_end(&log, true), None);
    }
}
