//! Writes the output of the processes to the log line.

use bytes::Bytes;
use guest_io::Stream;
use guest_io::log::{End, Format, HEADER_LENGTH, RunMark, encode};
use jiff::Timestamp;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;

use crate::ended::Ended;

/// The maximum number of queued chunks. When the queue is full, the process waits.
const PIECES: usize = 16;

/// Queues output for the log line. Clones write to the same line.
#[derive(Clone, Debug)]
pub(crate) struct Log(mpsc::Sender<Entry>);

/// An entry of the log.
#[derive(Debug)]
enum Entry {
    Output(Stream, Bytes),
    End(Ended),
}

/// Writes the queue of a [`Log`] to the line, until all of its clones have been dropped.
#[derive(Debug)]
pub(crate) struct LogWriter(mpsc::Receiver<Entry>);

impl Log {
    pub(crate) fn new() -> (Self, LogWriter) {
        let (sender, receiver) = mpsc::channel(PIECES);
        (Self(sender), LogWriter(receiver))
    }

    /// Queues output; waits while the queue is full. After the line has failed, output is
    /// discarded.
    pub(crate) async fn write(&self, stream: Stream, data: Bytes) {
        drop(self.0.send(Entry::Output(stream, data)).await);
    }

    /// Queues the final record, which must follow all output.
    pub(crate) async fn end(self, ended: Ended) {
        drop(self.0.send(Entry::End(ended)).await);
    }
}

impl LogWriter {
    /// Writes to the line. Without a line, or after it has failed, output is discarded. `run` is
    /// noted in the final record.
    pub(crate) async fn run(
        mut self,
        format: Format,
        run: Option<RunMark>,
        line: Option<Box<dyn AsyncWrite + Send + Unpin>>,
    ) {
        let mut line = line;
        while let Some(entry) = self.0.recv().await {
            let Some(to) = &mut line else { continue };
            let records = records(format, run, &entry);
            let written = async {
                to.write_all(&records).await?;
                to.flush().await
            };
            if let Err(error) = written.await {
                tracing::warn!(%error, "the log line failed: further output is not logged");
                line = None;
            }
        }
    }
}

/// Encodes an entry as records. The raw format has no final record.
fn records(format: Format, run: Option<RunMark>, entry: &Entry) -> Bytes {
    let now = i64::try_from(Timestamp::now().as_nanosecond()).unwrap_or(0);
    match entry {
        Entry::Output(_, data) if format == Format::Raw => data.clone(),
        Entry::Output(stream, data) => {
            let mut records = Vec::with_capacity(data.len() + 2 * HEADER_LENGTH);
            encode(*stream, now, data, &mut records);
            records.into()
        }
        Entry::End(_) if format == Format::Raw => Bytes::new(),
        Entry::End(Ended { outcome, reason }) => {
            let mut record = Vec::with_capacity(HEADER_LENGTH + reason.len());
            let end = End::new(now, *outcome).run(run).reason(reason);
            end.encode(&mut record);
            record.into()
        }
    }
}
