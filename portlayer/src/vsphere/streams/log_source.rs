//! Reads the files of a container's log in parts, also after they were moved.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use guest_io::log::{Decoder, Format, HEADER_LENGTH, Item, Seek, Start, Step, Tail};
use tokio::time::{Instant, sleep};

use super::log_place::{LogFile, LogFiles, LogPlace};
use super::recent_blocks::{BLOCK, ReadAt, RecentBlocks};
use crate::vsphere::LogRotation;
use crate::vsphere::endpoint::Endpoint;
use crate::vsphere::exec::WeakExec;
use crate::vsphere::hardware::log_file;
use crate::{ContainerId, Error, ErrorKind, Resource, Result};

/// Interval at which a log is looked for whose file is missing.
const INTERVAL: Duration = Duration::from_millis(500);
/// Maximum time for which the file of a log may be missing while it is read.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// A container's log, and what is needed to find it again when its machine was moved.
#[derive(Clone, Debug)]
pub(super) struct LogSource {
    pub(super) endpoint: Endpoint,
    /// Does not keep the host open. Once the host is closed, a log that is moved is lost.
    pub(super) exec: WeakExec,
    pub(super) id: ContainerId,
    pub(super) container: Resource,
    pub(super) place: Arc<LogPlace>,
    /// What the followers of the log have read; `None` to always read from the file.
    pub(super) shared: Option<Arc<RecentBlocks>>,
}

/// The result of looking for a log that may have been moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lookup {
    /// It has not been moved.
    Same,
    /// It has been moved, and can be read again.
    Moved,
    /// It has been moved, but nothing of it is there yet.
    NotYet,
}

impl LogSource {
    /// Looks for the older parts of a log that was rotated.
    pub(super) async fn find_older(&self) -> Result<()> {
        let files = self.place.files();
        let mut older = Vec::new();
        for part in 1..=LogRotation::MAX_KEEP {
            let file = files.current.part(part);
            let Some(length) = self.length(&file).await? else {
                break;
            };
            older.insert(0, (file, length));
        }
        self.place.set_older(older);
        Ok(())
    }

    /// Returns the length of an older part; `None` if there is none.
    #[cfg(feature = "attach")]
    pub(super) async fn part_length(&self, part: u32) -> Result<Option<u64>> {
        self.length(&self.place.files().current.part(part)).await
    }

    async fn length(&self, file: &LogFile) -> Result<Option<u64>> {
        let length = self
            .endpoint
            .length(&file.datastore, &file.path, &self.container);
        length.await
    }

    /// Reads `length` bytes from an offset on, fewer at the end of the log. The log of a container
    /// that never ran is empty.
    async fn read(&self, offset: u64, length: u64) -> Result<Bytes> {
        match &self.shared {
            Some(blocks) => blocks.read(self, offset, length).await,
            None => self.read_now(offset, length).await,
        }
    }

    /// Reads `length` bytes from an offset on, which are known to exist. If the file is missing,
    /// looks for it. Cancel-safe.
    ///
    /// # Errors
    /// Fails if the container was removed, or if the file is missing for too long.
    async fn read_known(&self, offset: u64, length: u64) -> Result<Bytes> {
        let begun = Instant::now();
        let mut read = BytesMut::new();
        loop {
            let so_far = read.len() as u64;
            let left = length.saturating_sub(so_far);
            let piece = self.read(offset.saturating_add(so_far), left).await?;
            if read.is_empty() && piece.len() as u64 >= left {
                // Nothing is copied.
                return Ok(piece);
            }
            read.extend_from_slice(&piece);
            if piece.len() as u64 >= left {
                return Ok(read.freeze());
            }
            if !piece.is_empty() || self.look_again().await? == Lookup::Moved {
                continue;
            }
            if begun.elapsed() >= PATIENCE {
                return Err(self.lost());
            }
            sleep(INTERVAL).await;
        }
    }

    async fn read_now(&self, offset: u64, length: u64) -> Result<Bytes> {
        let files = self.place.files();
        let mut start: u64 = 0;
        let mut bytes = BytesMut::new();
        let at = |bytes: &BytesMut| offset.saturating_add(bytes.len() as u64);
        for (file, size) in &files.older {
            let from = at(&bytes);
            let left = length.saturating_sub(bytes.len() as u64);
            let end = start.saturating_add(*size);
            if left > 0 && from < end {
                let (from, left) = (from - start, left.min(end - from));
                let read = self.read_file(file, from, left).await?;
                match read {
                    Some((piece, now)) if now == *size && !piece.is_empty() => {
                        bytes.extend_from_slice(&piece);
                    }
                    // The older parts may be moved before the part that grows.
                    None if self.is_moved_from(&files).await? => return Ok(bytes.freeze()),
                    _ => return Err(self.rotated(file)),
                }
            }
            start = end;
        }
        let left = length.saturating_sub(bytes.len() as u64);
        // Without older parts, this is the only read, and nothing is copied.
        if left == 0 || at(&bytes) < start {
            return Ok(bytes.freeze());
        }
        let from = at(&bytes) - start;
        let (piece, now) = self.read_current(&files, (from, left)).await?;
        if from > now && now > 0 {
            return Err(self.rotated(&files.current));
        }
        if bytes.is_empty() {
            return Ok(piece);
        }
        bytes.extend_from_slice(&piece);
        Ok(bytes.freeze())
    }

    /// Returns whether these files have been moved, or are being moved.
    async fn is_moved_from(&self, files: &Arc<LogFiles>) -> Result<bool> {
        let is_known = !Arc::ptr_eq(files, &self.place.files());
        Ok(is_known || self.length(&files.current).await?.is_none())
    }

    /// Reads the file that grows. A missing file is empty.
    async fn read_current(
        &self,
        files: &Arc<LogFiles>,
        (offset, length): (u64, u64),
    ) -> Result<(Bytes, u64)> {
        let read = self.read_file(&files.current, offset, length).await?;
        let found = read.as_ref().map(|(bytes, length)| (bytes, *length));
        self.place.record(files, offset, found);
        Ok(read.unwrap_or_default())
    }

    /// Reads a part of a file, and returns the length of the file; `None` if it is missing.
    async fn read_file(
        &self,
        file: &LogFile,
        offset: u64,
        length: u64,
    ) -> Result<Option<(Bytes, u64)>> {
        let part = self.endpoint.read_part(
            &file.datastore,
            &file.path,
            (offset, length),
            &self.container,
        );
        match part.await {
            Err(Error {
                kind: ErrorKind::NotFound,
                ..
            }) => Ok(None),
            part => part.map(Some),
        }
    }

    /// Looks up the path of the log, and continues there if the log was moved. Cancel-safe.
    ///
    /// # Errors
    /// Fails if the container was removed.
    pub(super) async fn look_again(&self) -> Result<Lookup> {
        let (before, asked) = (self.place.files(), Instant::now());
        // Held during the look-up, so that a hundred readers do not make a hundred.
        let mut looked_up = self.place.looked_up.lock().await;
        if !Arc::ptr_eq(&before, &self.place.files()) {
            return Ok(Lookup::Moved);
        }
        if looked_up.is_some_and(|begun| begun > asked) {
            // Another reader looked in vain while this one waited.
            return Ok(Lookup::NotYet);
        }
        let begun = Instant::now();
        let found = self.look_up(&before).await?;
        *looked_up = Some(begun);
        Ok(found)
    }

    async fn look_up(&self, before: &LogFiles) -> Result<Lookup> {
        let Some(exec) = self.exec.upgrade() else {
            return Ok(Lookup::Same);
        };
        // Its reference may have changed, too, if it was registered again.
        let machine = exec.machine(&self.id).await?;
        let devices = self.endpoint.devices(&machine.vm, &self.container).await?;
        let Some(path) = log_file(&devices).filter(|path| *path != before.current.path) else {
            return Ok(Lookup::Same);
        };
        let datastore = self
            .endpoint
            .datastore_of(exec.objects(), &path, &self.container)
            .await?;
        let current = LogFile { datastore, path };
        let known = self.place.known();
        let wanted = (known.sample.len() as u64).max(1);
        let found = self.read_file(&current, known.sample_at, wanted).await?;
        let (from, to, container) = (&before.current.path, &current.path, &self.container);
        match found {
            _ if known.sample.is_empty() => {}
            None | Some((_, 0)) => return Ok(Lookup::NotYet),
            Some((bytes, _)) if bytes == known.sample => {}
            // The port writes to a new file. The previous one is not written any more.
            Some(_) => {
                let length = self.length(&before.current).await?;
                tracing::debug!(%container, from, to, "a log continues in another file");
                self.place
                    .continue_in(current, length.unwrap_or(known.length));
                return Ok(Lookup::Moved);
            }
        }
        tracing::debug!(%container, from, to, "a log was moved");
        let older = self.moved_parts(before, &current).await?;
        self.place.move_to(LogFiles { older, current });
        Ok(Lookup::Moved)
    }

    /// Returns the older parts of a log that was moved. Those that were not moved remain.
    async fn moved_parts(
        &self,
        before: &LogFiles,
        current: &LogFile,
    ) -> Result<Vec<(LogFile, u64)>> {
        let mut older = before.older.clone();
        for (part, (file, length)) in (1..).zip(older.iter_mut().rev()) {
            if file.path != before.current.part(part).path {
                continue;
            }
            let moved = current.part(part);
            if self.length(&moved).await? == Some(*length) {
                *file = moved;
            }
        }
        Ok(older)
    }

    fn rotated(&self, file: &LogFile) -> Error {
        Error::conflict(self.container.clone(), [file.path.clone()])
            .with_source("its log was rotated while it was read: read it again")
    }

    /// The error if the file is missing for too long.
    pub(super) fn lost(&self) -> Error {
        let path = &self.place.files().current.path;
        Error::unavailable(self.container.clone(), None).with_source(format!(
            "its log {path} was deleted or shortened while it was read"
        ))
    }

    /// Reads the next part from an offset on, at most to the end of a block.
    pub(super) async fn next(&self, offset: u64) -> Result<Bytes> {
        self.read(offset, BLOCK - offset % BLOCK).await
    }

    /// Reads the next part from an offset on, but nothing from `end` on, so that what other readers
    /// have read up to there suffices.
    pub(super) async fn next_before(&self, offset: u64, end: u64) -> Result<Bytes> {
        let length = (BLOCK - offset % BLOCK).min(end.saturating_sub(offset));
        self.read_known(offset, length).await
    }

    /// Returns the format and the length of the log. The format is `None` while the log is too
    /// short to tell.
    pub(super) async fn format(&self) -> Result<(Option<Format>, u64)> {
        let header = HEADER_LENGTH as u64;
        let files = self.place.files();
        let (mut beginning, length) = self.read_current(&files, (0, header)).await?;
        if !files.older.is_empty() {
            beginning = self.read_now(0, header).await?;
        }
        Ok((
            Format::recognize(&beginning),
            files.base().saturating_add(length),
        ))
    }

    /// Finds the start of the last lines before `end`.
    pub(super) async fn tail(&self, format: Format, end: u64, lines: u64) -> Result<Start> {
        let mut tail = Tail::new(format, end, lines);
        loop {
            match tail.step() {
                Step::Done(start) => return Ok(start),
                Step::Read(range) => {
                    let bytes = self
                        .read_known(range.start, range.end - range.start)
                        .await?;
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
                    let bytes = self
                        .read_known(range.start, range.end - range.start)
                        .await?;
                    seek.supply(&bytes);
                }
            }
        };
        let from = offset;
        let mut decoder = Decoder::new(Format::Records);
        let mut before = 0;
        while offset < end {
            let bytes = self.next_before(offset, end).await?;
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
