//! Writes the output of the processes to the log line.

use bytes::Bytes;
use guest_io::Stream;
use guest_io::log::{Format, HEADER_LENGTH, encode};
use jiff::Timestamp;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;

/// The maximum number of queued chunks. When the queue is full, the process waits.
const PIECES: usize = 16;

/// Queues output for the log line. Clones write to the same line.
#[derive(Clone, Debug)]
pub(crate) struct Log(mpsc::Sender<(Stream, Bytes)>);

/// Writes the queue of a [`Log`] to the line, until all of its clones have been dropped.
#[derive(Debug)]
pub(crate) struct LogWriter(mpsc::Receiver<(Stream, Bytes)>);

impl Log {
    pub(crate) fn new() -> (Self, LogWriter) {
        let (sender, receiver) = mpsc::channel(PIECES);
        (Self(sender), LogWriter(receiver))
    }

    /// Queues output; waits while the queue is full. After the line has failed, output is
    /// discarded.
    pub(crate) async fn write(&self, stream: Stream, data: Bytes) {
        drop(self.0.send((stream, data)).await);
    }
}

impl LogWriter {
    /// Writes to the line. Without a line, or after it has failed, output is discarded.
    pub(crate) async fn run(
        mut self,
        format: Format,
        line: Option<Box<dyn AsyncWrite + Send + Unpin>>,
    ) {
        let mut line = line;
        while let Some((stream, data)) = self.0.recv().await {
            let Some(to) = &mut line else { continue };
            let records = records(format, stream, &data);
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

/// Encodes a chunk of output as records.
fn records(format: Format, stream: Stream, data: &Bytes) -> Bytes {
    if format == Format::Raw {
        return data.clone();
    }
    let now = i64::try_from(Timestamp::now().as_nanosecond()).unwrap_or(0);
    let mut records = Vec::with_capacity(data.len() + 2 * HEADER_LENGTH);
    encode(stream, now, data, &mut records);
    records.into()
}
