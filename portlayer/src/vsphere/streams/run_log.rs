//! Reads the output of one run from the container's log instead of the line.

use std::collections::VecDeque;

use guest_io::log::{Decoder, Item};

use super::log_source::LogSource;
use super::logs::std_stream;
use crate::Result;
use crate::stream::{Chunk, StdStream};

/// A log, read from the start of one run.
#[derive(Debug)]
pub(super) struct RunLog {
    source: LogSource,
    offset: u64,
    stdout: bool,
    stderr: bool,
    decoder: Option<Decoder>,
}

impl RunLog {
    /// Creates a log that is read from its current end on.
    pub(super) async fn from_now(source: LogSource, stdout: bool, stderr: bool) -> Result<Self> {
        let (_, offset) = source.format().await?;
        Ok(Self {
            source,
            offset,
            stdout,
            stderr,
            decoder: None,
        })
    }

    /// Reads the next part. Returns `false` at the current end of the log. Cancel-safe.
    pub(super) async fn read(&mut self, chunks: &mut VecDeque<Chunk>) -> Result<bool> {
        if self.decoder.is_none() {
            let (Some(format), _) = self.source.format().await? else {
                // The log is too short to determine its format.
                return Ok(false);
            };
            self.decoder = Some(Decoder::new(format));
        }
        let (bytes, _) = self.source.next(self.offset).await?;
        let Some(decoder) = &mut self.decoder else {
            return Ok(false);
        };
        self.offset += bytes.len() as u64;
        decoder.push(&bytes);
        while let Some(item) = decoder.next() {
            chunks.extend(chunk(item, self.stdout, self.stderr));
        }
        Ok(!bytes.is_empty())
    }

    /// Reads the remainder of a complete log. Must be called after [`read`](Self::read) has
    /// returned `false`.
    pub(super) async fn finish(&mut self, chunks: &mut VecDeque<Chunk>) -> Result<()> {
        if self.decoder.is_none() {
            // A log that is too short for one record is in the raw format.
            let mut decoder = Decoder::new(guest_io::log::Format::Raw);
            let (bytes, _) = self.source.next(self.offset).await?;
            decoder.push(&bytes);
            self.decoder = Some(decoder);
        }
        if let Some(decoder) = &mut self.decoder {
            while let Some(item) = decoder.finish() {
                chunks.extend(chunk(item, self.stdout, self.stderr));
            }
        }
        Ok(())
    }
}

fn chunk(item: Item, stdout: bool, stderr: bool) -> Option<Chunk> {
    let Item::Record(record) = item else {
        return None;
    };
    let stream = std_stream(record.stream);
    let wanted = match stream {
        StdStream::Stdout => stdout,
        StdStream::Stderr => stderr,
    };
    (wanted && !record.data.is_empty()).then_some(Chunk {
        stream,
        bytes: record.data,
    })
}
