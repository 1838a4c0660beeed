//! Reads the logs of containers.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream;
use guest_io::Stream;
use guest_io::log::{Decoder, Format, Item, Record};
use jiff::Timestamp;

use super::VsphereStreams;
use super::log_place::{LogFile, LogPlace};
use super::log_source::{LogSource, Lookup};
use super::tailer::{Beginning, Following};
use crate::stream::{LogOptions, LogRecord, LogStream, LogTail, StdStream};
use crate::vsphere::derive_state::Power;
use crate::vsphere::endpoint::Machine;
use crate::vsphere::hardware;
use crate::{Capability, ContainerId, Error, Resource, Result};

impl VsphereStreams {
    pub(super) async fn read_logs(
        &self,
        id: &ContainerId,
        options: LogOptions,
    ) -> Result<LogStream> {
        let resource = Resource::container(id);
        let machine = self.exec.machine(id).await?;
        let mut source = self
            .log_source(&machine, id)
            .await?
            .ok_or_else(|| Error::unsupported(resource, Capability::Logs))?;
        let follow = options.follow && machine.power == Power::On;
        let following = if follow {
            Some(self.tailers.follow(&mut source, &machine).await?)
        } else {
            source.find_older().await?;
            None
        };
        let reader = Reader {
            source,
            options,
            following,
            decoder: None,
            offset: 0,
            end: 0,
            skip_lines: 0,
            records: VecDeque::new(),
            phase: Phase::Start,
        };
        let records = stream::unfold(reader, |mut reader| async move {
            let record = reader.next().await?;
            if record.is_err() {
                reader.phase = Phase::Done;
                reader.records.clear();
            }
            Some((record, reader))
        });
        Ok(records.boxed())
    }

    /// Returns the log of a machine, if it has one.
    pub(super) async fn log_source(
        &self,
        machine: &Machine,
        id: &ContainerId,
    ) -> Result<Option<LogSource>> {
        let endpoint = self.exec.endpoint();
        let container = Resource::container(id);
        // The path is read, not computed, because the machine may have been moved.
        let devices = endpoint.devices(&machine.vm, &container).await?;
        let Some(path) = hardware::log_file(&devices) else {
            return Ok(None);
        };
        let objects = self.exec.objects();
        let datastore = endpoint.datastore_of(objects, &path, &container).await?;
        Ok(Some(LogSource {
            endpoint: endpoint.clone(),
            exec: self.exec.downgrade(),
            id: *id,
            container,
            place: Arc::new(LogPlace::new(LogFile { datastore, path })),
            shared: None,
        }))
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The first offset has not been determined yet.
    Start,
    Reading,
    Done,
}

/// One caller's position in a log.
struct Reader {
    source: LogSource,
    options: LogOptions,
    /// The follower of the log, if the log is still growing.
    following: Option<Following>,
    decoder: Option<Decoder>,
    /// The offset of the next byte to read.
    offset: u64,
    /// The known length of the file.
    end: u64,
    /// The number of lines to skip in the first record.
    skip_lines: u64,
    records: VecDeque<LogRecord>,
    phase: Phase,
}

impl Reader {
    async fn next(&mut self) -> Option<Result<LogRecord>> {
        loop {
            if let Some(record) = self.records.pop_front() {
                return Some(Ok(record));
            }
            let step = match self.phase {
                Phase::Done => return None,
                Phase::Start => self.start().await,
                Phase::Reading => self.read().await,
            };
            if let Err(error) = step {
                return Some(Err(error));
            }
        }
    }

    async fn start(&mut self) -> Result<()> {
        let (mut format, mut end) = self.beginning().await?;
        while format.is_none() {
            let Some((_, now)) = self.grown(end).await? else {
                // A log that is too short for one record is in the raw format.
                format = Some(Format::Raw);
                break;
            };
            end = now;
            format = self.beginning().await?.0;
        }
        let format = format.unwrap_or(Format::Raw);
        self.end = end;
        if let (Format::Records, Some(until)) = (format, self.options.until) {
            self.following = None;
            self.end = self.source.first_at(end, nanoseconds(until)).await?;
        }
        if let (Format::Records, Some(since)) = (format, self.options.since) {
            self.offset = self.source.first_at(self.end, nanoseconds(since)).await?;
        }
        if let LogTail::Lines(lines) = self.options.tail {
            let start = self.source.tail(format, self.end, lines).await?;
            if start.offset >= self.offset {
                self.offset = start.offset;
                self.skip_lines = start.skip_lines;
            }
        }
        self.decoder = Some(Decoder::new(format));
        self.phase = Phase::Reading;
        Ok(())
    }

    /// Returns the format, if the log is long enough to tell, and the length of the log.
    async fn beginning(&self) -> Result<(Option<Format>, u64)> {
        // What the followers know is up to one interval old, so the last lines would be others.
        let must_be_current =
            self.options.until.is_some() || matches!(self.options.tail, LogTail::Lines(_));
        let known = self.following.as_ref().map(Following::beginning);
        if let Some(Beginning { format, end }) = known.filter(|_| !must_be_current) {
            return Ok((format, end));
        }
        let mut beginning = self.source.format().await?;
        // Without its file, a log is empty, unless it was just moved.
        if self.source.place.known().is_absent && self.source.look_again().await? == Lookup::Moved {
            beginning = self.source.format().await?;
        }
        let (format, end) = beginning;
        Ok(match known {
            // The file may be missing for a moment while the machine is moved.
            Some(known) => (format.or(known.format), end.max(known.end)),
            None => (format, end),
        })
    }

    /// Waits until the log is longer than `end`; see [`Following::grown`]. `None` if it does not
    /// grow.
    async fn grown(&mut self, end: u64) -> Result<Option<(Bytes, u64)>> {
        let Some(following) = &mut self.following else {
            return Ok(None);
        };
        following.grown(end).await
    }

    async fn read(&mut self) -> Result<()> {
        let mut bytes = Bytes::new();
        if self.offset < self.end {
            bytes = self.source.next_before(self.offset, self.end).await?;
        } else if let Some((news, end)) = self.grown(self.offset).await? {
            self.end = end;
            bytes = news;
            if bytes.is_empty() {
                // The log has grown by more than is buffered, so it is read from the file.
                return Ok(());
            }
        }
        self.offset += bytes.len() as u64;
        let at_end = bytes.is_empty();
        let Some(mut decoder) = self.decoder.take() else {
            self.phase = Phase::Done;
            return Ok(());
        };
        decoder.push(&bytes);
        while let Some(item) = decoder.next() {
            self.take(item);
        }
        if at_end {
            while let Some(item) = decoder.finish() {
                self.take(item);
            }
            self.phase = Phase::Done;
        }
        self.decoder = Some(decoder);
        Ok(())
    }

    fn take(&mut self, item: Item) {
        let record = match item {
            Item::Record(record) => record,
            Item::End(_) => return,
            Item::Skipped(bytes) => {
                tracing::debug!(container = %self.source.container, bytes, "skipped damaged bytes in a log");
                return;
            }
        };
        let Some(record) = self.record(record) else {
            return;
        };
        let (since, until) = (self.options.since, self.options.until);
        let raw = record.time == Timestamp::UNIX_EPOCH;
        let in_time = raw
            || (since.is_none_or(|since| record.time >= since)
                && until.is_none_or(|until| record.time < until));
        let wanted = match record.stream {
            StdStream::Stdout => self.options.stdout,
            StdStream::Stderr => self.options.stderr,
        };
        if in_time && wanted {
            self.records.push_back(record);
        }
    }

    fn record(&mut self, record: Record) -> Option<LogRecord> {
        let mut bytes = record.data;
        while self.skip_lines > 0 {
            match bytes.iter().position(|byte| *byte == b'\n') {
                Some(end) => {
                    bytes = bytes.slice(end + 1..);
                    self.skip_lines -= 1;
                }
                None => return None,
            }
        }
        if bytes.is_empty() {
            return None;
        }
        let stream = std_stream(record.stream);
        let time = record
            .time
            .and_then(|time| Timestamp::from_nanosecond(time.into()).ok())
            .unwrap_or(Timestamp::UNIX_EPOCH);
        Some(LogRecord::new(stream, time, bytes))
    }
}

pub(super) fn std_stream(stream: Stream) -> StdStream {
    match stream {
        Stream::Stdout => StdStream::Stdout,
        Stream::Stderr => StdStream::Stderr,
    }
}

fn nanoseconds(time: Timestamp) -> i64 {
    i64::try_from(time.as_nanosecond()).unwrap_or(if time < Timestamp::UNIX_EPOCH {
        0
    } else {
        i64::MAX
    })
}
