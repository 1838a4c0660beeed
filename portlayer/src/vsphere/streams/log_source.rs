//! The file of a container's log, read in parts.

use bytes::Bytes;
use guest_io::log::{Decoder, Format, HEADER_LENGTH, Item, Seek, Start, Step, Tail};
use vsphere_client::Datastore;

use crate::vsphere::endpoint::Endpoint;
use crate::{Error, ErrorKind, Resource, Result};

/// How much is read at a time.
const PART: u64 = 256 * 1024;

/// Where a container's log is.
#[derive(Clone, Debug)]
pub(super) struct LogSource {
    pub(super) endpoint: Endpoint,
    pub(super) datastore: Datastore,
    /// `[datastore] path`
    pub(super) path: String,
    pub(super) container: Resource,
}

impl LogSource {
    /// Bytes from an offset on, and the length of the file. The log of a container that never ran
    /// is empty.
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

    /// The next bytes from an offset on.
    pub(super) async fn next(&self, offset: u64) -> Result<(Bytes, u64)> {
        self.read(offset, PART).await
    }

    /// How the log is written, and its length; `None` while it is too short to tell.
    pub(super) async fn format(&self) -> Result<(Option<Format>, u64)> {
        let (beginning, length) = self.read(0, HEADER_LENGTH as u64).await?;
        Ok((Format::recognize(&beginning), length))
    }

    /// Where the last lines before `end` begin.
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

    /// Where the first record of this time or later begins; times in nanoseconds since 1970.
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
