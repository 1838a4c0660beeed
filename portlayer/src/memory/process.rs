//! The streams of an in-memory process, as the process sees them.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncReadExt;
use tokio::sync::watch;

use super::pipes::Pipes;
use crate::stream::{Source, StdStream, WindowSize};

/// The maximum number of bytes returned by one read.
const PIECE: usize = 16 * 1024;

/// An in-memory process, as passed to its [script](super::Behaviour::scripted).
#[derive(Debug)]
pub struct MemoryProcess {
    pipes: Arc<Pipes>,
    tty: bool,
    input: Input,
    window: watch::Receiver<Option<WindowSize>>,
}

#[derive(Debug)]
enum Input {
    Closed,
    /// The input is open; contains the input of the current holder, if any.
    Open(Option<Source>),
}

impl MemoryProcess {
    pub(super) fn new(pipes: Arc<Pipes>, tty: bool, open_stdin: bool) -> Self {
        let window = pipes.window.subscribe();
        let input = match open_stdin {
            true => Input::Open(None),
            false => Input::Closed,
        };
        Self {
            pipes,
            tty,
            input,
            window,
        }
    }

    /// Writes to an output stream and to the log; waits while a reader is slow. With a terminal,
    /// all output goes to standard output.
    pub async fn write(&self, stream: StdStream, bytes: impl Into<Bytes>) {
        let stream = match self.tty {
            true => StdStream::Stdout,
            false => stream,
        };
        self.pipes.write(stream, bytes.into()).await;
    }

    /// Reads from standard input. Returns `None` at its end, or if the input is not open.
    /// Cancel-safe.
    pub async fn read(&mut self) -> Option<Bytes> {
        loop {
            let Input::Open(holder) = &mut self.input else {
                return None;
            };
            let source = match holder {
                Some(source) => source,
                None => holder.insert(self.pipes.source().await),
            };
            let mut bytes = BytesMut::with_capacity(PIECE);
            match source.data.read_buf(&mut bytes).await {
                Ok(length) if length > 0 => return Some(bytes.freeze()),
                _ if source.closes() => self.input = Input::Closed,
                // The holder dropped the input, which stays open for the next holder.
                _ => *holder = None,
            }
        }
    }

    /// Returns the size of the terminal: 80 by 24 if no size was set, `None` without a terminal.
    #[must_use]
    pub fn window(&self) -> Option<WindowSize> {
        let usual = WindowSize {
            columns: 80,
            rows: 24,
        };
        self.tty.then(|| (*self.window.borrow()).unwrap_or(usual))
    }
}
