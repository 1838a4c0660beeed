//! The log of an in-memory container.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::watch;

use crate::stream::{LogOptions, LogRecord, LogTail, StdStream};

/// The maximum size of a log in bytes; beyond it, the oldest lines are dropped.
const MAX: usize = 16 << 20;
/// The bytes that a record uses in addition to its line.
const OVERHEAD: usize = size_of::<LogRecord>();

/// The output of all runs of a container, as a list of lines.
#[derive(Debug, Default)]
pub(super) struct Log {
    lines: Mutex<Lines>,
    /// The number of records ever written.
    written: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Lines {
    records: VecDeque<LogRecord>,
    /// The number of the oldest record that is kept.
    first: u64,
    bytes: usize,
}

impl Log {
    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write(&self, stream: StdStream, bytes: &Bytes) {
        let time = Timestamp::now();
        let mut lines = self.lock();
        let mut rest = bytes.clone();
        while !rest.is_empty() {
            let length = rest.iter().position(|byte| *byte == b'\n');
            let line = rest.split_to(length.map_or(rest.len(), |length| length + 1));
            lines.bytes += OVERHEAD + line.len();
            lines.records.push_back(LogRecord::new(stream, time, line));
        }
        while lines.bytes > MAX
            && let Some(dropped) = lines.records.pop_front()
        {
            lines.bytes -= OVERHEAD + dropped.bytes.len();
            lines.first += 1;
        }
        let written = lines.first + lines.records.len() as u64;
        drop(lines);
        self.written.send_replace(written);
    }

    /// Returns a receiver that is notified of each record.
    pub(super) fn written(&self) -> watch::Receiver<u64> {
        self.written.subscribe()
    }

    /// Returns the number of the first record to return.
    pub(super) fn start(&self, options: &LogOptions) -> u64 {
        let lines = self.lock();
        let LogTail::Lines(wanted) = options.tail else {
            return lines.first;
        };
        let until = options.until;
        let in_time = |record: &&LogRecord| until.is_none_or(|until| record.time < until);
        let count = lines.records.iter().take_while(in_time).count();
        let mut start = count;
        let mut found = 0;
        while start > 0 {
            let ends_line = lines.records[start - 1].bytes.ends_with(b"\n");
            // An unfinished last line counts as a line.
            if ends_line || start == count {
                if found == wanted {
                    break;
                }
                found += 1;
            }
            start -= 1;
        }
        lines.first + start as u64
    }

    /// Returns the first record at or after `number` that the options select, and the number after
    /// it. Returns `None` and the number of the next record to be written if there is none.
    pub(super) fn next(&self, mut number: u64, options: &LogOptions) -> (Option<LogRecord>, u64) {
        let lines = self.lock();
        number = number.max(lines.first);
        let skipped = usize::try_from(number - lines.first).unwrap_or(usize::MAX);
        for record in lines.records.iter().skip(skipped) {
            number += 1;
            let wanted = match record.stream {
                StdStream::Stdout => options.stdout,
                StdStream::Stderr => options.stderr,
            };
            let in_time = options.since.is_none_or(|since| record.time >= since)
                && options.until.is_none_or(|until| record.time < until);
            if wanted && in_time {
                return (Some(record.clone()), number);
            }
        }
        (None, number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(log: &Log, options: &LogOptions) -> Vec<String> {
        let mut number = log.start(options);
        let mut found = Vec::new();
        while let (Some(record), next) = log.next(number, options) {
            found.push(String::from_utf8_lossy(&record.bytes).into_owned());
            number = next;
        }
        found
    }

    #[test]
    fn an_unfinished_line_is_the_last() {
        let log = Log::default();
        log.write(StdStream::Stdout, &Bytes::from_static(b"one\ntwo\nthr"));
        let options = |lines| LogOptions::new().tail(lines);
        assert_eq!(all(&log, &options(0)), [""; 0]);
        assert_eq!(all(&log, &options(1)), ["thr"]);
        assert_eq!(all(&log, &options(2)), ["two\n", "thr"]);
        log.write(StdStream::Stdout, &Bytes::from_static(b"ee\n"));
        assert_eq!(all(&log, &options(1)), ["thr", "ee\n"]);
        assert_eq!(all(&log, &options(9)), ["one\n", "two\n", "thr", "ee\n"]);
    }

    #[test]
    fn the_oldest_lines_are_dropped() {
        let log = Log::default();
        let line = Bytes::from([b'a'; 1023].into_iter().chain([b'\n']).collect::<Vec<_>>());
        for _ in 0..20 << 10 {
            log.write(StdStream::Stderr, &line);
        }
        log.write(StdStream::Stdout, &Bytes::from_static(b"last\n"));
        assert!(log.lock().bytes <= MAX);
        assert_eq!(all(&log, &LogOptions::new().stderr(false)), ["last\n"]);
    }
}
