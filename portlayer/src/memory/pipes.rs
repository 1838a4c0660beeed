//! The streams of one in-memory container.

use std::collections::VecDeque;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::AbortHandle;

use super::log::Log;
use crate::Result;
use crate::stream::{Chunk, Source, StdStream, WindowSize};

/// The maximum size of a piece of output in bytes.
const PIECE: usize = 16 * 1024;
/// The maximum number of pieces buffered for one reader.
const PIECES: usize = 8;

/// The streams of a container; they exist as long as the container.
#[derive(Debug, Default)]
pub(super) struct Pipes {
    attached: Mutex<Attached>,
    /// Notified when a caller takes the input.
    joined: Notify,
    pub(super) log: Log,
    pub(super) window: watch::Sender<Option<WindowSize>>,
    /// Whether a caller holds the input.
    pub(super) input_held: Arc<AtomicBool>,
}

/// The callers attached to the current run, or waiting for the next one.
#[derive(Debug, Default)]
pub(super) struct Attached {
    readers: Vec<Reader>,
    sources: VecDeque<Source>,
    process: Option<AbortHandle>,
    /// Whether the container was removed; callers can no longer attach.
    pub(super) removed: bool,
}

#[derive(Clone, Debug)]
struct Reader {
    stdout: bool,
    stderr: bool,
    output: mpsc::Sender<Result<Chunk>>,
}

impl Attached {
    /// Adds a reader of these streams.
    pub(super) fn add_reader(
        &mut self,
        stdout: bool,
        stderr: bool,
    ) -> mpsc::Receiver<Result<Chunk>> {
        let (output, received) = mpsc::channel(PIECES);
        self.readers.push(Reader {
            stdout,
            stderr,
            output,
        });
        received
    }

    /// Ends all output and input, because the run is over or will never start.
    pub(super) fn end(&mut self) {
        self.readers.clear();
        self.sources.clear();
        if let Some(process) = self.process.take() {
            process.abort();
        }
    }

    /// Sets the task that runs the process.
    pub(super) fn set_process(&mut self, process: AbortHandle) {
        self.process = Some(process);
    }
}

impl Pipes {
    /// Locks the attached callers. Lock order: before the container's state, so that a caller is
    /// attached either to the ending run or to the next one.
    pub(super) fn lock(&self) -> MutexGuard<'_, Attached> {
        self.attached.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers the input of its holder.
    pub(super) fn add_source(&self, attached: &mut Attached, source: Source) {
        attached.sources.push_back(source);
        self.joined.notify_one();
    }

    /// Waits for the next holder of the input.
    pub(super) async fn source(&self) -> Source {
        loop {
            if let Some(source) = self.lock().sources.pop_front() {
                return source;
            }
            self.joined.notified().await;
        }
    }

    /// Writes output to the log and to all readers, waiting for the slowest.
    pub(super) async fn write(&self, stream: StdStream, mut bytes: Bytes) {
        while !bytes.is_empty() {
            let piece = bytes.split_to(bytes.len().min(PIECE));
            self.log.write(stream, &piece);
            let readers = self.lock().readers.clone();
            let mut gone = false;
            for reader in readers {
                let wanted = match stream {
                    StdStream::Stdout => reader.stdout,
                    StdStream::Stderr => reader.stderr,
                };
                let bytes = piece.clone();
                gone |= wanted
                    && reader
                        .output
                        .send(Ok(Chunk { stream, bytes }))
                        .await
                        .is_err();
            }
            if gone {
                let mut attached = self.lock();
                attached.readers.retain(|reader| !reader.output.is_closed());
            }
        }
    }
}
