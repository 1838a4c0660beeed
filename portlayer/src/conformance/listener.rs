//! Reads the output of a process for a case.

use futures_util::StreamExt;

use super::FLOOD;
use super::check::{Check, Failure};
use crate::stream::{Chunk, Output, StdStream};

/// A reader of output that remembers what it read.
pub(super) struct Listener {
    output: Output,
    stdout: String,
    stderr: String,
}

impl Listener {
    pub(super) fn new(output: Output) -> Self {
        let (stdout, stderr) = (String::new(), String::new());
        Self {
            output,
            stdout,
            stderr,
        }
    }

    /// Returns everything that was read from a stream.
    pub(super) fn text(&self, stream: StdStream) -> &str {
        match stream {
            StdStream::Stdout => &self.stdout,
            StdStream::Stderr => &self.stderr,
        }
    }

    pub(super) fn length(&self) -> usize {
        self.stdout.len() + self.stderr.len()
    }

    /// Reads one piece of output. Returns `false` at the end.
    async fn hear(&mut self) -> Result<bool, Failure> {
        let Some(chunk) = self.output.next().await else {
            return Ok(false);
        };
        let Chunk { stream, bytes } = chunk?;
        if bytes.is_empty() {
            return Err(Failure::new("a piece of output is empty"));
        }
        let text = match stream {
            StdStream::Stdout => &mut self.stdout,
            StdStream::Stderr => &mut self.stderr,
        };
        text.push_str(&String::from_utf8_lossy(&bytes));
        Ok(true)
    }

    /// Reads until the output of a stream, from its beginning, is exactly this text.
    pub(super) async fn until(&mut self, stream: StdStream, wanted: &str) -> Check {
        while self.text(stream) != wanted {
            let text = self.text(stream);
            if !wanted.starts_with(text) {
                let found = format_args!("{stream:?} is {text:?}, expected {wanted:?}").to_string();
                return Err(Failure::new(found));
            }
            if !self.hear().await? {
                let text = self.text(stream);
                let found = format!("{stream:?} ends after {text:?}, expected {wanted:?}");
                return Err(Failure::new(found));
            }
        }
        Ok(())
    }

    /// Reads until standard output contains this text.
    pub(super) async fn contains(&mut self, wanted: &str) -> Check {
        while !self.stdout.contains(wanted) {
            self.more().await?;
        }
        Ok(())
    }

    /// Reads until standard output is longer than this.
    pub(super) async fn longer_than(&mut self, length: usize) -> Check {
        while self.length() <= length {
            self.more().await?;
        }
        Ok(())
    }

    async fn more(&mut self) -> Check {
        if self.hear().await? {
            return Ok(());
        }
        let found = format!("the output ends after {:?}", self.stdout);
        Err(Failure::new(found))
    }

    /// Reads to the end.
    pub(super) async fn rest(&mut self) -> Check {
        while self.hear().await? {}
        Ok(())
    }

    /// Reads to the end, which may be an error if the process was killed.
    pub(super) async fn rest_or_lost(&mut self) {
        while matches!(self.hear().await, Ok(true)) {}
    }

    /// Reads the output of [`Process::Floods`](super::Process::Floods) to its end.
    pub(super) async fn flood(&mut self) -> Check {
        let mut length = 0;
        while let Some(chunk) = self.output.next().await {
            for byte in &chunk?.bytes {
                if *byte != FLOOD[length % FLOOD.len()] {
                    let found = format!("byte {length} of the output is {byte}");
                    return Err(Failure::new(found));
                }
                length += 1;
            }
        }
        if length != FLOOD.len() * super::FLOODS {
            let found = format!("the output ends after {length} bytes");
            return Err(Failure::new(found));
        }
        Ok(())
    }
}
