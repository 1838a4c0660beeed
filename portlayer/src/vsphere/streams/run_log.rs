//! Reads the output of one run from the container's log instead of the line.

use std::collections::VecDeque;
use std::sync::Arc;

use guest_io::log::{Decoder, Item};

use super::log_source::{LogSource, Lookup};
use super::logs::std_stream;
use crate::stream::{Chunk, StdStream};
use crate::vsphere::exec::Rotations;
use crate::{ContainerId, Result};

/// A log, read from the start of one run.
#[derive(Debug)]
pub(super) struct RunLog {
    source: LogSource,
    offset: u64,
    /// The state of the rotation before the run, until it is known whether the log was rotated at
    /// the start of the run.
    before: Option<Before>,
    stdout: bool,
    stderr: bool,
    decoder: Option<Decoder>,
}

/// What a rotation changes.
#[derive(Debug)]
struct Before {
    rotations: Arc<Rotations>,
    id: ContainerId,
    /// The number of rotations by this process.
    count: u64,
    /// The length of the newest older part, which another process may have rotated.
    part: Option<u64>,
}

impl RunLog {
    /// Creates a log that is read from its current end on.
    pub(super) async fn from_now(
        source: LogSource,
        rotations: &Arc<Rotations>,
        id: ContainerId,
        (stdout, stderr): (bool, bool),
    ) -> Result<Self> {
        let count = rotations.count(&id);
        let (_, offset) = source.format().await?;
        let before = match offset {
            0 => None,
            _ => Some(Before {
                rotations: Arc::clone(rotations),
                id,
                count,
                part: source.part_length(1).await?,
            }),
        };
        Ok(Self {
            source,
            offset,
            before,
            stdout,
            stderr,
            decoder: None,
        })
    }

    /// Reads the next part. Returns `false` at the current end of the log. Cancel-safe.
    pub(super) async fn read(&mut self, chunks: &mut VecDeque<Chunk>) -> Result<bool> {
        self.find_run().await?;
        if self.decoder.is_none() {
            let (Some(format), _) = self.source.format().await? else {
                // The log is too short to determine its format.
                return Ok(false);
            };
            self.decoder = Some(Decoder::new(format));
        }
        let mut bytes = self.source.next(self.offset).await?;
        // A log that is gone together with its container has simply ended.
        if bytes.is_empty()
            && self.source.place.is_missing()
            && matches!(self.source.look_again().await, Ok(Lookup::Moved))
        {
            bytes = self.source.next(self.offset).await?;
        }
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

    /// Continues at the start of the file if the log was rotated before the run. Then what was the
    /// log has become an older part. Cancel-safe.
    async fn find_run(&mut self) -> Result<()> {
        if let Some(before) = &self.before {
            let is_rotated = before.rotations.count(&before.id) != before.count || {
                let part = self.source.part_length(1).await?;
                let is_older = part != before.part && part == Some(self.offset);
                is_older || self.source.format().await?.1 < self.offset
            };
            if is_rotated {
                self.offset = 0;
            }
            self.before = None;
        }
        Ok(())
    }

    /// Reads the remainder of a complete log. Must be called after [`read`](Self::read) has
    /// returned `false`.
    pub(super) async fn finish(&mut self, chunks: &mut VecDeque<Chunk>) -> Result<()> {
        if self.decoder.is_none() {
            // A log that is too short for one record is in the raw format.
            let mut decoder = Decoder::new(guest_io::log::Format::Raw);
            let bytes = self.source.next(self.offset).await?;
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
