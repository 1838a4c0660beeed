//! The streams of scripted containers.

use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;
use portlayer::exec::Exec as _;
use portlayer::memory::MemoryExec;
use portlayer::stream::{
    AttachOptions, Attached, Chunk, LogOptions, LogRecord, LogStream, LogTail, StdStream, Streams,
    WindowSize,
};
use portlayer::{ContainerId, Error, Resource, Result};
use tokio::io::AsyncWrite;
use tokio::sync::watch;

use super::Script;

/// The output of one container's process.
#[derive(Debug)]
struct Tape {
    script: Script,
    /// Shared with the readers, which receive all of it even if the container is removed.
    records: Records,
    input_taken: bool,
    /// Counts changes; the value is how many runs have ended.
    changed: watch::Sender<u64>,
}

type Records = Arc<Mutex<Vec<LogRecord>>>;
type Tapes = Arc<Mutex<HashMap<ContainerId, Tape>>>;

#[derive(Debug)]
pub(super) struct ScriptedStreams {
    exec: MemoryExec,
    tapes: Tapes,
}

impl ScriptedStreams {
    pub(super) fn new(exec: MemoryExec) -> Self {
        Self {
            exec,
            tapes: Tapes::default(),
        }
    }

    fn tapes(&self) -> MutexGuard<'_, HashMap<ContainerId, Tape>> {
        lock(&self.tapes)
    }

    pub(super) fn created(&self, id: ContainerId, script: Script) {
        let tape = Tape {
            script,
            records: Records::default(),
            input_taken: false,
            changed: watch::Sender::new(0),
        };
        self.tapes().insert(id, tape);
    }

    /// Writes the script's output, and marks the end of the run when the container stops.
    pub(super) fn started(&self, id: ContainerId) {
        if let Some(tape) = self.tapes().get_mut(&id) {
            let script = tape.script.clone();
            write(tape, StdStream::Stdout, &script.output);
            write(tape, StdStream::Stderr, &script.error_output);
        }
        let (exec, tapes) = (self.exec.clone(), Arc::clone(&self.tapes));
        tokio::spawn(async move {
            let _ = exec.wait(&id).await;
            if let Some(tape) = lock(&tapes).get(&id) {
                tape.changed.send_modify(|ended| *ended += 1);
            }
        });
    }

    pub(super) fn removed(&self, id: &ContainerId) {
        self.tapes().remove(id);
    }

    /// Streams the records from this one on; with `follow`, until the current or next run has
    /// ended.
    fn records(&self, id: &ContainerId, from: usize, follow: bool) -> Result<LogStream> {
        let (records, changed) = match self.tapes().get(id) {
            Some(tape) => (Arc::clone(&tape.records), tape.changed.subscribe()),
            None => return Err(Error::not_found(Resource::container(id))),
        };
        let runs = *changed.borrow();
        let state = (from, changed);
        let records = stream::unfold(state, move |(mut next, mut changed)| {
            let records = Arc::clone(&records);
            async move {
                loop {
                    // Read before the records, which are written before the run ends. The
                    // sender is dropped when the container is removed.
                    let ended = changed.has_changed().is_err() || *changed.borrow() > runs;
                    changed.borrow_and_update();
                    let record = lock(&records).get(next).cloned();
                    if let Some(record) = record {
                        next += 1;
                        return Some((Ok(record), (next, changed)));
                    }
                    if !follow || ended {
                        return None;
                    }
                    // An error means that the container was removed: check once more.
                    let _ = changed.changed().await;
                }
            }
        });
        Ok(records.boxed())
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Appends output, as one record per line. A process may write a line in several parts, so a line
/// may consist of several records.
fn write(tape: &mut Tape, stream: StdStream, bytes: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    let lines = bytes.split_inclusive(|byte| *byte == b'\n');
    let records =
        lines.map(|line| LogRecord::new(stream, Timestamp::now(), Bytes::copy_from_slice(line)));
    lock(&tape.records).extend(records);
    tape.changed.send_modify(|_| {});
}

/// Returns the index of the record with which the last `count` lines of both outputs begin.
fn last_lines(records: &[LogRecord], count: usize) -> usize {
    let starts_line = |index: &usize| {
        let stream = records[*index].stream;
        let mut earlier = records[..*index].iter().rev();
        let previous = earlier.find(|record| record.stream == stream);
        previous.is_none_or(|record| record.bytes.ends_with(b"\n"))
    };
    let mut starts = (0..records.len()).rev().filter(starts_line);
    match count.checked_sub(1) {
        None => records.len(),
        Some(nth) => starts.nth(nth).unwrap_or(0),
    }
}

#[async_trait]
impl Streams for ScriptedStreams {
    async fn attach(&self, id: &ContainerId, options: AttachOptions) -> Result<Attached> {
        let from = {
            let mut tapes = self.tapes();
            let tape = tapes
                .get_mut(id)
                .ok_or_else(|| Error::not_found(Resource::container(id)))?;
            if options.stdin && std::mem::replace(&mut tape.input_taken, true) {
                return Err(Error::in_use(Resource::container(id), "another client"));
            }
            lock(&tape.records).len()
        };
        let records = self.records(id, from, true)?;
        let output = records.filter_map(move |record| {
            let chunk = record.map(|record| Chunk {
                stream: record.stream,
                bytes: record.bytes,
            });
            let wanted = chunk.as_ref().map_or(true, |chunk| match chunk.stream {
                StdStream::Stdout => options.stdout,
                StdStream::Stderr => options.stderr,
            });
            std::future::ready(wanted.then_some(chunk))
        });
        let input = options.stdin.then(|| {
            let echo = Echo {
                id: *id,
                tapes: Arc::clone(&self.tapes),
            };
            Box::pin(echo) as _
        });
        Ok(Attached::new(input, output.boxed()))
    }

    async fn resize(&self, id: &ContainerId, _: WindowSize) -> Result<()> {
        self.exec.inspect(id).await.map(drop)
    }

    async fn logs(&self, id: &ContainerId, options: LogOptions) -> Result<LogStream> {
        let from = {
            let tapes = self.tapes();
            let tape = tapes
                .get(id)
                .ok_or_else(|| Error::not_found(Resource::container(id)))?;
            match options.tail {
                LogTail::All => 0,
                LogTail::Lines(lines) => {
                    let lines = usize::try_from(lines).unwrap_or(usize::MAX);
                    last_lines(&lock(&tape.records), lines)
                }
            }
        };
        let running = self.exec.inspect(id).await?.state.exit().is_none();
        let records = self.records(id, from, options.follow && running)?;
        let wanted = records.filter(move |record| {
            let wanted = record.as_ref().map_or(true, |record| {
                (match record.stream {
                    StdStream::Stdout => options.stdout,
                    StdStream::Stderr => options.stderr,
                }) && options.since.is_none_or(|since| record.time >= since)
                    && options.until.is_none_or(|until| record.time < until)
            });
            std::future::ready(wanted)
        });
        Ok(wanted.boxed())
    }
}

/// The input of a process that prints what it reads.
struct Echo {
    id: ContainerId,
    tapes: Tapes,
}

impl Drop for Echo {
    fn drop(&mut self) {
        if let Some(tape) = lock(&self.tapes).get_mut(&self.id) {
            tape.input_taken = false;
        }
    }
}

impl AsyncWrite for Echo {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match lock(&self.tapes).get_mut(&self.id) {
            Some(tape) => {
                write(tape, StdStream::Stdout, bytes);
                Poll::Ready(Ok(bytes.len()))
            }
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

    use portlayer::memory::Behaviour;

    use super::*;

    #[tokio::test]
    async fn a_container_that_is_removed_at_once_loses_no_output() {
        let streams =
            ScriptedStreams::new(MemoryExec::new(|_: &portlayer::exec::ContainerSpec| {
                Behaviour::exits(0)
            }));
        let id = ContainerId::generate();
        let script = Script {
            output: b"hello".to_vec(),
            error_output: Vec::new(),
            behaviour: Behaviour::exits(0),
        };
        streams.created(id, script);
        let options = AttachOptions::output();
        let attached = streams.attach(&id, options).await.unwrap();
        streams.started(id);
        streams.removed(&id);
        let chunks: Vec<_> = attached.output.collect().await;
        let bytes: Vec<_> = chunks
            .into_iter()
            .map(|chunk| chunk.unwrap().bytes)
            .collect();
        assert_eq!(bytes.concat(), b"hello");
    }
    #[test]
    fn a_line_that_was_written_in_parts_is_one_line_of_the_tail() {
        let record = |stream, bytes| {
            LogRecord::new(stream, Timestamp::UNIX_EPOCH, Bytes::from_static(bytes))
        };
        let records = [
            record(StdStream::Stdout, b"first\n"),
            record(StdStream::Stdout, b"sec"),
            record(StdStream::Stderr, b"error\n"),
            record(StdStream::Stdout, b"ond"),
            record(StdStream::Stdout, b"\n"),
        ];
        let starts: Vec<usize> = (0..5).map(|count| last_lines(&records, count)).collect();
        assert_eq!(starts, [5, 2, 1, 0, 0]);
    }
}
