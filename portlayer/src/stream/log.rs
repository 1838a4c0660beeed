//! What a container's processes have written.

use bytes::Bytes;
use futures_core::stream::BoxStream;
use jiff::Timestamp;

use super::StdStream;
use crate::Result;

/// Which records [`Streams::logs`](super::Streams::logs) returns.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogOptions {
    /// Whether to return standard output.
    pub stdout: bool,
    /// Whether to return standard error.
    pub stderr: bool,
    /// Only records written at this time or later.
    pub since: Option<Timestamp>,
    /// Only records written before this time.
    pub until: Option<Timestamp>,
    /// How many lines from the end.
    pub tail: LogTail,
    /// Whether to go on with what is written from now on, until the container is stopped.
    pub follow: bool,
}

/// How many lines [`Streams::logs`](super::Streams::logs) begins with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogTail {
    /// All of them.
    #[default]
    All,
    /// The last ones.
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
    /// Everything that was written until now.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether to return standard output.
    #[must_use]
    pub fn stdout(mut self, stdout: bool) -> Self {
        self.stdout = stdout;
        self
    }

    /// Whether to return standard error.
    #[must_use]
    pub fn stderr(mut self, stderr: bool) -> Self {
        self.stderr = stderr;
        self
    }

    /// Only records written at this time or later.
    #[must_use]
    pub fn since(mut self, time: Timestamp) -> Self {
        self.since = Some(time);
        self
    }

    /// Only records written before this time.
    #[must_use]
    pub fn until(mut self, time: Timestamp) -> Self {
        self.until = Some(time);
        self
    }

    /// Only the last lines.
    #[must_use]
    pub fn tail(mut self, lines: u64) -> Self {
        self.tail = LogTail::Lines(lines);
        self
    }

    /// Goes on with what is written from now on.
    #[must_use]
    pub fn follow(mut self) -> Self {
        self.follow = true;
        self
    }
}

/// A piece of a container's log: a line with its line feed, or a part of a long or unfinished one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogRecord {
    /// Where the process wrote it.
    pub stream: StdStream,
    /// When, by the guest's clock.
    pub time: Timestamp,
    /// The bytes, never empty.
    pub bytes: Bytes,
}

impl LogRecord {
    /// A record of these bytes.
    #[must_use]
    pub fn new(stream: StdStream, time: Timestamp, bytes: Bytes) -> Self {
        Self {
            stream,
            time,
            bytes,
        }
    }
}

/// The records of a container's log. An error item is the last.
pub type LogStream = BoxStream<'static, Result<LogRecord>>;
