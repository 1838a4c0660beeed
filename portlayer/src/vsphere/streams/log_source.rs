//! Reads the file of a container's log in parts.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use guest_io::log::{Decoder, Format, HEADER_LENGTH, Item, Seek, Start, Step, Tail, part_name};
use vsphere_client::Datastore;

use super::recent_blocks::{BLOCK, ReadAt, RecentBlocks};
use crate::vsphere::LogRotation;
use crate::vsphere::endpoint::Endpoint;
use crate::{Error, ErrorKind, Resource, Result};

/// The location of a container's log.
#[derive(Clone, Debug)]
pub(super) struct LogSource {
    pub(super) endpoint: Endpoint,
    pub(super) datastore: Datastore,
    /// The path of the log: `[datastore] path`.
    pub(super) path: String,
    /// The paths and lengths of its older parts, oldest first. They are read before the log itself,
    /// as if all were one file.
    pub(super) older: Vec<(String, u64)>,
    pub(super) container: Resource,
    /// What the followers of the log have read; `None` to always read from the file.
    pub(super) shared: Option<Arc<RecentBlocks>>,
}

impl LogSource {
    /// Looks for the older parts of a log that was rotated.
    pub(super) async fn find_older(&mut self) -> Result<()> {
        for part in 1..=LogRotation::MAX_KEEP {
            let Some(length) = self.part_length(part).await? else {
                break;
            };
            self.older.insert(0, (part_name(&self.path, part), length));
        }
        Ok(())
    }

    /// Returns the length of an older part; `None` if there is none.
    pub(super) async fn part_length(&self, part: u32) -> Result<Option<u64>> {
        let path = part_name(&self.path, part);
        let (datastore, container) = (&self.datastore, &self.container);
        self.endpoint.length(datastore, &path, container).await
    }

    /// Returns the length of the older parts. The endpoint reports the lengths, so they may be wrong.
    pub(super) fn base(&self) -> u64 {
        let lengths = self.older.iter().map(|(_, length)| *length);
        lengths.fold(0, u64::saturating_add)
    }

    /// Reads `length` bytes from an offset on, fewer at the end of the log. The log of a container
    /// that never ran is empty.
    pub(super) async fn read(&self, offset: u64, length: u64) -> Result<Bytes> {
        match &self.shared {
            Some(blocks) => blocks.read(self, offset, length).await,
            None => self.read_now(offset, length).await,
        }
    }

    async fn read_now(&self, offset: u64, length: u64) -> Result<Bytes> {
        let mut start: u64 = 0;
        let mut bytes = BytesMut::new();
        let at = |bytes: &BytesMut| offset.saturating_add(bytes.len() as u64);
        for (path, size) in &self.older {
            let from = at(&bytes);
            let left = length.saturating_sub(bytes.len() as u64);
            let end = start.saturating_add(*size);
            if left > 0 && from < end {
                let (from, left) = (from - start, left.min(end - from));
                let (piece, now) = self.read_file(path, from, left).await?;
                if now != *size || piece.is_empty() {
                    return Err(self.rotated());
                }
                bytes.extend_from_slice(&piece);
            }
            start = end;
        }
        let left = length.saturating_sub(bytes.len() as u64);
        // Without older parts, this is the only read, and nothing is copied.
        if left == 0 || at(&bytes) < start {
            return Ok(bytes.freeze());
        }
        let from = at(&bytes) - start;
        let (piece, now) = self.read_file(&self.path, from, left).await?;
        if from > now && now > 0 {
            return Err(self.rotated());
        }
        if bytes.is_empty() {
            return Ok(piece);
        }
        bytes.extend_from_slice(&piece);
        Ok(bytes.freeze())
    }

    async fn read_file(&self, path: &str, offset: u64, length: u64) -> Result<(Bytes, u64)> {
        let (datastore, container) = (&self.datastore, &self.container);
        let part = self
            .endpoint
            .read_part(datastore, path, (offset, length), container);
        match part.await {
            Err(Error {
                kind: ErrorKind::NotFound,
                ..
            }) => Ok((Bytes::new(), 0)),
            part => part,
        }
    }

    fn rotated(&self) -> Error {
        Error::conflict(self.container.clone(), [self.path.clone()])
            .with_source("its log was rotated while it was read: read it again")
    }

    /// Reads the next part from an offset on, at most to the end of a block.
    pub(super) async fn next(&self, offset: u64) -> Result<Bytes> {
        self.read(offset, BLOCK - offset % BLOCK).await
    }

    /// Reads the next part from an offset on, but nothing from `end` on, so that what other readers
    /// have read up to there suffices.
    pub(super) async fn next_before(&self, offset: u64, end: u64) -> Result<Bytes> {
        let length = (BLOCK - offset % BLOCK).min(end.saturating_sub(offset));
        self.read(offset, length).await
    }

    /// Returns the format and the length of the log. The format is `None` while the log is too
    /// short to tell.
    pub(super) async fn format(&self) -> Result<(Option<Format>, u64)> {
        let header = HEADER_LENGTH as u64;
        let (mut beginning, length) = self.read_file(&self.path, 0, header).await?;
        if !self.older.is_empty() {
            beginning = self.read_now(0, header).await?;
        }
        Ok((
            Format::recognize(&beginning),
            self.base().saturating_add(length),
        ))
    }

    /// Finds the start of the last lines before `end`.
    pub(super) async fn tail(&self, format: Format, end: u64, lines: u64) -> Result<Start> {
        let mut tail = Tail::new(format, end, lines);
        loop {
            match tail.step() {
                Step::Done(start) => return Ok(start),
                Step::Read(range) => {
                    let bytes = self.read(range.start, range.end - range.start).await?;
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
                    let bytes = self.read(range.start, range.end - range.start).await?;
                    seek.supply(&bytes);
                }
            }
        };
        let from = offset;
        let mut decoder = Decoder::new(Format::Records);
        let mut before = 0;
        while offset < end {
            let bytes = self.next(offset).await?;
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

impl ReadAt for LogSource {
    async fn read_at(&self, offset: u64, length: u64) -> Result<Bytes> {
        self.read_now(offset, length).await
    }
}
