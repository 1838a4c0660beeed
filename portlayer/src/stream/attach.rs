//! A connection to a process's streams.

use std::fmt;
use std::pin::Pin;

use bytes::Bytes;
use futures_core::stream::BoxStream;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWrite;

use crate::Result;

/// An output stream of a process. A process with a terminal writes everything to `Stdout`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StdStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// The size of a terminal in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct WindowSize {
    /// The number of characters per line.
    pub columns: u16,
    /// The number of lines.
    pub rows: u16,
}

/// Options of [`Streams::attach`](super::Streams::attach).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AttachOptions {
    /// Whether to attach to standard input. Only one caller can.
    pub stdin: bool,
    /// Whether to receive standard output.
    pub stdout: bool,
    /// Whether to receive standard error.
    pub stderr: bool,
}

impl AttachOptions {
    /// Creates options for both outputs without input.
    #[must_use]
    pub const fn output() -> Self {
        Self {
            stdin: false,
            stdout: true,
            stderr: true,
        }
    }

    /// Creates options for input and both outputs.
    #[must_use]
    pub const fn interactive() -> Self {
        Self {
            stdin: true,
            stdout: true,
            stderr: true,
        }
    }

    /// Sets whether to attach to standard input.
    #[must_use]
    pub const fn stdin(mut self, stdin: bool) -> Self {
        self.stdin = stdin;
        self
    }

    /// Sets whether to receive standard output.
    #[must_use]
    pub const fn stdout(mut self, stdout: bool) -> Self {
        self.stdout = stdout;
        self
    }

    /// Sets whether to receive standard error.
    #[must_use]
    pub const fn stderr(mut self, stderr: bool) -> Self {
        self.stderr = stderr;
        self
    }
}

/// A piece of output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// The stream that the process wrote to.
    pub stream: StdStream,
    /// The bytes, never empty.
    pub bytes: Bytes,
}

/// A process's input. Shutting it down closes the process's standard input; dropping it without
/// that leaves the input open for the next caller.
pub type Input = Pin<Box<dyn AsyncWrite + Send + Sync>>;

/// A process's output. It ends after the process's last byte; an error item means that bytes may
/// be missing, and is the last.
pub type Output = BoxStream<'static, Result<Chunk>>;

/// A connection to a process's streams. Its parts can be used from different tasks.
#[non_exhaustive]
pub struct Attached {
    /// The process's input, if it was requested and the process takes input.
    pub input: Option<Input>,
    /// The process's output; ends immediately if none was requested.
    pub output: Output,
}

impl Attached {
    /// Creates a connection from its parts.
    #[must_use]
    pub fn new(input: Option<Input>, output: Output) -> Self {
        Self { input, output }
    }
}

impl fmt::Debug for Attached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attached")
            .field("input", &self.input.is_some())
            .finish_non_exhaustive()
    }
}
