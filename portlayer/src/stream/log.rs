//! The log of a container.

use bytes::Bytes;
use futures_core::stream::BoxStream;
use jiff::Timestamp;

use super::StdStream;
use crate::Result;

/// Options of [`Streams::logs`](super::Streams::logs).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogOptions {
    /// Whether to return standard output.
    pub stdout: bool,
    /// Whether to return standard error.
    pub stderr: bool,
    /// The time from which on to return records.
    pub since: Option<Timestamp>,
    /// The time before which to return records.
    pub until: Option<Timestamp>,
    /// How many lines to return from the end.
    pub tail: LogTail,
    /// Whether to continue with new records until the container is stopped.
    pub follow: bool,
}

/// How many lines [`Streams::logs`](super::Streams::logs) starts with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogTail {
    /// All lines.
    #[default]
    All,
    /// This many lines from the end.
    Lines(u64),
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            stdout: true,
            stderr: true,
            since: None,
            until: None,
            tail: LogTail::All,
            follow: false,
        }
    }
}

impl LogOptions {
    /// Creates options for everything written so far.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets whether to return standard output.
    #[must_use]
    pub fn stdout(mut self, stdout: bool) -> Self {
        self.stdout = stdout;
        self
    }

    /// Sets whether to return standard error.
    #[must_use]
    pub fn stderr(mut self, stderr: bool) -> Self {
        self.stderr = stderr;
        self
    }

    /// Returns only records from this time on.
    #[must_use]
    pub fn since(mut self, time: Timestamp) -> Self {
        self.since = Some(time);
        self
    }

    /// Returns only records before this time.
    #[must_use]
    pub fn until(mut self, time: Timestamp) -> Self {
        self.until = Some(time);
        self
    }

    /// Returns only this many lines from the end.
    #[must_use]
    pub fn tail(mut self, lines: u64) -> Self {
        self.tail = LogTail::Lines(lines);
        self
    }

    /// Continues with new records.
    #[must_use]
    pub fn follow(mut self) -> Self {
        self.follow = true;
        self
    }
}

/// A piece of a container's log: a line with its line feed, or part of a long or unfinished line.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogRecord {
    /// The stream that the process wrote to.
    pub stream: StdStream,
    /// The time, by the guest's clock.
    pub time: Timestamp,
    /// The bytes, never empty.
    pub bytes: Bytes,
}

impl LogRecord {
    /// Creates a record from its parts.
    #[must_use]
    pub fn new(stream: StdStream, time: Timestamp, bytes: Bytes) -> Self {
        Self {
            stream,
            time,
            bytes,
        }
    }
}

/// The records of a container's log. After an error item it ends.
pub type LogStream = BoxStream<'static, Result<LogRecord>>;
