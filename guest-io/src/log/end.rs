//! The final record of a run.

use std::num::NonZeroU8;

use super::record::{HEADER_LENGTH, Header, LastBits, MAX_DATA};
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

/// Identifies a run in its final record: the number of the run, modulo 255. Together with the time
/// of the start, it is unambiguous.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RunMark(NonZeroU8);

impl RunMark {
    /// Returns the mark of the run with this number; `None` unless the number is positive.
    #[must_use]
    pub fn of(number: i64) -> Option<Self> {
        if number < 1 {
            return None;
        }
        let mark = u8::try_from((number - 1) % 255 + 1).ok()?;
        NonZeroU8::new(mark).map(Self)
    }
}

/// The final record of a run, which the agent writes after all output:
///
/// ```text
/// 8 bytes   little-endian: the time, except its last 3 bytes, which are
///           run << 16 | kind << 8 | value
/// 2 bytes   little-endian, length << 4 | 1
/// the reason why the process was not started
/// ```
///
/// The kinds are 0 for an exit code, 1 for a signal, 2 if memory ran out, and 3 if the process was
/// not started; only the last has a reason. A reader that only knows output, like VIC's, finds
/// nothing in the other kinds, and shows the reason as output. The run is a [`RunMark`], or 0. The
/// time is rounded up to the next 16,777,216 ns, so that it is not before that of the last output.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct End {
    /// The time of the end by the guest's clock, in nanoseconds since 1970.
    pub time: i64,
    /// How the process ended.
    pub outcome: Outcome,
    /// The run that ended, if its agent knew the number.
    pub run: Option<RunMark>,
    /// Why the process was not started; otherwise empty.
    pub reason: String,
}

impl End {
    /// Creates a final record. `time` is in nanoseconds since 1970; negative times count as 0.
    #[must_use]
    pub fn new(time: i64, outcome: Outcome) -> Self {
        Self {
            time,
            outcome,
            run: None,
            reason: String::new(),
        }
    }

    /// Sets the run that ended.
    #[must_use]
    pub fn run(mut self, run: Option<RunMark>) -> Self {
        self.run = run;
        self
    }

    /// Sets the reason of [`Outcome::NotStarted`]. At most [`MAX_DATA`] bytes of it are written.
    #[must_use]
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = reason.into();
        self
    }

    /// Appends the record to a log.
    pub fn encode(&self, log: &mut Vec<u8>) {
        let (kind, value) = match self.outcome {
            Outcome::Code(code) => (0, code),
            Outcome::Signal(number) => (1, number),
            Outcome::OutOfMemory => (2, 0),
            Outcome::NotStarted => (3, 0),
        };
        let reason = match self.outcome {
            Outcome::NotStarted => &self.reason[..self.reason.floor_char_boundary(MAX_DATA)],
            _ => "",
        };
        let run = self.run.map_or(0, |RunMark(mark)| mark.get());
        let bits = LastBits { value, kind, run };
        log.extend_from_slice(&Header::end(self.time, bits, reason.len()).encode());
        log.extend_from_slice(reason.as_bytes());
    }

    /// Returns the end that a record describes; `None` if it is not a final record, or of an unknown
    /// kind.
    pub(super) fn of(header: &Header, data: &[u8]) -> Option<Self> {
        let bits = header.last?;
        let outcome = match bits.kind {
            0 => Outcome::Code(bits.value),
            1 => Outcome::Signal(bits.value),
            2 => Outcome::OutOfMemory,
            3 => Outcome::NotStarted,
            _ => return None,
        };
        let reason = match outcome {
            Outcome::NotStarted => String::from_utf8_lossy(data).into_owned(),
            _ => String::new(),
        };
        Some(Self {
            time: header.time,
            outcome,
            run: NonZeroU8::new(bits.run).map(RunMark),
            reason,
        })
    }

    /// Returns the final record at the end of a log, if it is the last record. `bytes` are the last
    /// bytes of the file, [`BLOCK`](super::BLOCK) of them or the whole file.
    #[must_use]
    pub fn at_end(bytes: &[u8], is_whole_file: bool) -> Option<Self> {
        let last = *records_before_end(bytes, is_whole_file, true).last()?;
        let header = Header::at(bytes, last)?;
        let data = bytes.get(last + HEADER_LENGTH..)?;
        (data.len() == header.length).then_some(())?;
        Self::of(&header, data)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Decoder, Format, Item, Step, Tail, encode};
    use super::*;
    use crate::Stream;

    const TIME: i64 = 1_467_000_000_123_456_789;

    fn ended(end: &End) -> Vec<u8> {
        let mut log = Vec::new();
        encode(Stream::Stdout, TIME, b"some output\n", &mut log);
        end.encode(&mut log);
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
            for run in [None, RunMark::of(1), RunMark::of(255), RunMark::of(1 << 40)] {
                let log = ended(&End::new(TIME, outcome).run(run));
                let end = End::at_end(&log, true).unwrap();
                assert_eq!((end.outcome, end.run), (outcome, run));
                assert_eq!(end.reason, "");
                assert!(
                    end.time >= TIME && end.time - TIME <= 1 << 24,
                    "{}",
                    end.time
                );
                // Also when only the end of the file is read.
                assert_eq!(End::at_end(&log[5..], false), Some(end));
            }
        }
    }

    #[test]
    fn following_runs_have_different_marks() {
        assert_eq!(RunMark::of(0), None);
        assert_eq!(RunMark::of(i64::MIN), None);
        let mut seen = Vec::new();
        for number in 1..=255 {
            let mark = RunMark::of(number).unwrap();
            assert!(!seen.contains(&mark), "{number}");
            seen.push(mark);
        }
        assert_eq!(RunMark::of(256), RunMark::of(1));
        assert!(RunMark::of(i64::MAX).is_some());
    }

    #[test]
    fn the_reason_of_a_failed_start_is_read_and_is_not_output() {
        let reason = "no such file: /h\u{e9}llo\n";
        let failed = End::new(TIME, Outcome::NotStarted).reason(reason);
        let log = ended(&failed);
        let end = End::at_end(&log, true).unwrap();
        assert_eq!((end.outcome, &*end.reason), (Outcome::NotStarted, reason));
        assert_eq!(End::at_end(&log[5..], false), Some(end.clone()));
        // A record that was not written completely.
        for length in 0..log.len() {
            assert_eq!(End::at_end(&log[..length], true), None, "{length}");
        }

        let mut decoder = Decoder::new(Format::Records);
        let mut items = Vec::new();
        for byte in &log {
            decoder.push(&[*byte]);
            items.extend(decoder.next());
        }
        assert_eq!(decoder.finish(), None);
        assert_eq!(decoder.consumed(), log.len() as u64);
        assert_eq!(items.len(), 2, "{items:?}");
        assert_eq!(items[1], Item::End(end));

        // Its lines are not counted.
        let mut tail = Tail::new(Format::Records, log.len() as u64, 1);
        while let Step::Read(range) = tail.step() {
            tail.supply(&log[range.start as usize..range.end as usize]);
        }
        let Step::Done(start) = tail.step() else {
            panic!("{:?}", tail.step());
        };
        assert_eq!((start.offset, start.skip_lines), (0, 0));
    }

    #[test]
    fn a_long_reason_is_shortened_and_other_ends_have_none() {
        let long = "\u{e9}".repeat(MAX_DATA);
        let log = ended(&End::new(TIME, Outcome::NotStarted).reason(long));
        let reason = End::at_end(&log, true).unwrap().reason;
        assert_eq!(reason, "\u{e9}".repeat(MAX_DATA / 2));
        let log = ended(&End::new(TIME, Outcome::Code(1)).reason("unused"));
        assert_eq!(End::at_end(&log, true).unwrap().reason, "");
    }

    #[test]
    fn only_the_last_record_counts() {
        let mut log = ended(&End::new(TIME, Outcome::Code(3)));
        let length = log.len();
        encode(Stream::Stdout, TIME, b"next run\n", &mut log);
        assert_eq!(End::at_end(&log, true), None);
        assert_eq!(End::at_end(&log[..length - 1], true), None);
        assert_eq!(End::at_end(b"", true), None);
    }

    #[test]
    fn output_that_looks_like_a_final_record_is_output() {
        let mut forged = Vec::new();
        End::new(TIME, Outcome::Code(0)).encode(&mut forged);
        let mut log = Vec::new();
        encode(Stream::Stdout, TIME, &forged, &mut log);
        assert_eq!(End::at_end(&log, true), None);
    }
}
