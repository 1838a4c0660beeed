//! Reads the file of a container's log in parts.

use bytes::Bytes;
use guest_io::log::{Decoder, Format, HEADER_LENGTH, Item, Seek, Start, Step, Tail};
use vsphere_client::Datastore;

use crate::vsphere::endpoint::Endpoint;
use crate::{Error, ErrorKind, Resource, Result};

/// Size of one read, in bytes.
const PART: u64 = 256 * 1024;

/// The location of a container's log.
#[derive(Clone, Debug)]
pub(super) struct LogSource {
    pub(super) endpoint: Endpoint,
    pub(super) datastore: Datastore,
    /// The path of the log: `[datastore] path`.
    pub(super) path: String,
    pub(super) container: Resource,
}

impl LogSource {
    /// Reads `length` bytes from an offset on. Also returns the length of the file. The log of a
    /// container that never ran is empty.
    pub(super) async fn read(&self, offset: u64, length: u64) -> Result<(Bytes, u64)> {
        let part = self
            .endpoint
            .read_part(
                &self.datastore,
                &self.path,
                (offset, length),
                &self.container,
            )
            .await;
        match part {
            Err(Error {
                kind: ErrorKind::NotFound,
                ..
            }) => Ok((Bytes::new(), 0)),
            part => part,
        }
    }

    /// Reads the next part from an offset on.
    pub(super) async fn next(&self, offset: u64) -> Result<(Bytes, u64)> {
        self.read(offset, PART).await
    }

    /// Returns the format and the length of the log. The format is `None` while the log is too
    /// short to tell.
    pub(super) async fn format(&self) -> Result<(Option<Format>, u64)> {
        let (beginning, length) = self.read(0, HEADER_LENGTH as u64).await?;
        Ok((Format::recognize(&beginning), length))
    }

    /// Finds the start of the last lines before `end`.
    pub(super) async fn tail(&self, format: Format, end: u64, lines: u64) -> Result<Start> {
        let mut tail = Tail::new(format, end, lines);
        loop {
            match tail.step() {
                Step::Done(start) => return Ok(start),
                Step::Read(range) => {
                    let (bytes, _) = self.read(range.start, range.end - range.start).await?;
                    tail.supply(&bytes);
                }
            }
        }
    }

    /// Finds the first record at this time or later, in nanoseconds since 1970.
    pub(super) async fn first_at(&self, end: u64, time: i64) -> Result<u64> {
        let mut seek = Seek::new(end, time);
        let mut offset = loop {
            match seek.step() {
                Step::Done(offset) => break offset,
                Step::Read(range) => {
                    let (bytes, _) = self.read(range.start, range.end - range.start).await?;
                    seek.supply(&bytes);
                }
            }
        };
        let from = offset;
        let mut decoder = Decoder::new(Format::Records);
        let mut before = 0;
        while offset < end {
            let (bytes, _) = self.next(offset).await?;
            if bytes.is_empty() {
                break;
            }
            offset += bytes.len() as u64;
            decoder.push(&bytes);
            while let Some(item) = decoder.next() {
                match item {
                    Item::Record(record) if record.time >= Some(time) => return Ok(from + before),
                    _ => before = decoder.consumed(),
                }
            }
        }
        Ok(end)
    }
}
