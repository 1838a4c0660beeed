//! A process of a container, and its streams.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tether_sys::{Exit, TerminalSize, set_terminal_size};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;

use crate::pollable::Pollable;

/// A started process.
#[derive(Debug)]
#[non_exhaustive]
pub struct Process {
    /// The process id, for [`Platform::signal`](crate::Platform::signal).
    pub pid: i32,
    /// Standard input, or the terminal; `None` if there is neither.
    pub stdin: Option<ProcessInput>,
    /// Standard output, or the terminal.
    pub stdout: ProcessOutput,
    /// Standard error; `None` with a terminal.
    pub stderr: Option<ProcessOutput>,
    exit: oneshot::Receiver<Exit>,
}

impl Process {
    /// Creates a process with these streams, whose end is reported through `exit`.
    #[must_use]
    pub const fn new(
        pid: i32,
        stdin: Option<ProcessInput>,
        stdout: ProcessOutput,
        stderr: Option<ProcessOutput>,
        exit: oneshot::Receiver<Exit>,
    ) -> Self {
        Self {
            pid,
            stdin,
            stdout,
            stderr,
            exit,
        }
    }

    /// Waits until the process ends; `None` if its supervisor ended first, so that the
    /// result is unknown. Cancel-safe; must not be called again after it has returned.
    pub async fn exit(&mut self) -> Option<Exit> {
        (&mut self.exit).await.ok()
    }

    /// Splits the process into its streams and the future of its end.
    pub(crate) fn split(self) -> (Streams, oneshot::Receiver<Exit>) {
        let streams = Streams {
            stdin: self.stdin,
            stdout: self.stdout,
            stderr: self.stderr,
        };
        (streams, self.exit)
    }

    /// Creates the process from the files in a supervisor's report: a terminal, or pipes of
    /// standard input (if it is open), output and error.
    pub(crate) fn from_files(
        pid: i32,
        mut files: Vec<OwnedFd>,
        exit: oneshot::Receiver<Exit>,
    ) -> io::Result<Self> {
        let stderr = match files.len() {
            1 => {
                let terminal = Arc::new(Pollable::new(files.remove(0))?);
                let input = ProcessInput(Arc::clone(&terminal), true);
                return Ok(Self::new(
                    pid,
                    Some(input),
                    ProcessOutput(terminal),
                    None,
                    exit,
                ));
            }
            2 | 3 => files.pop(),
            _ => None,
        };
        let stdout = files.pop();
        let (Some(stdout), Some(stderr)) = (stdout, stderr) else {
            let text = "the supervisor reported a process without streams";
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        };
        let stdin = files.pop().map(Pollable::new).transpose()?;
        Ok(Self::new(
            pid,
            stdin.map(|file| ProcessInput(Arc::new(file), false)),
            ProcessOutput::new(stdout)?,
            Some(ProcessOutput::new(stderr)?),
            exit,
        ))
    }
}

/// The streams of a [`Process`].
#[derive(Debug)]
pub(crate) struct Streams {
    pub(crate) stdin: Option<ProcessInput>,
    pub(crate) stdout: ProcessOutput,
    pub(crate) stderr: Option<ProcessOutput>,
}

/// The input of a process: a pipe, or its terminal. Dropping it closes a pipe.
#[derive(Debug)]
pub struct ProcessInput(Arc<Pollable>, bool);

impl ProcessInput {
    /// Returns whether it is a terminal.
    #[must_use]
    pub const fn is_terminal(&self) -> bool {
        self.1
    }

    /// Returns a handle that can resize the terminal; `None` for a pipe.
    pub(crate) fn terminal(&self) -> Option<Terminal> {
        self.1.then(|| Terminal(Arc::clone(&self.0)))
    }
}

/// A terminal that can be resized.
#[derive(Clone, Debug)]
pub(crate) struct Terminal(Arc<Pollable>);

impl Terminal {
    pub(crate) fn resize(&self, size: TerminalSize) -> io::Result<()> {
        set_terminal_size(self.0.as_fd(), size)
    }
}

/// The output of a process: a pipe, or its terminal.
#[derive(Debug)]
pub struct ProcessOutput(Arc<Pollable>);

impl ProcessOutput {
    /// Creates the output of a process from the read end of a pipe, or from the master of its
    /// terminal.
    ///
    /// # Errors
    /// Fails when the file cannot be registered with the runtime.
    pub fn new(file: OwnedFd) -> io::Result<Self> {
        Pollable::new(file).map(|file| Self(Arc::new(file)))
    }
}

impl AsyncRead for ProcessOutput {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // Linux reports the end of a terminal's output with this error.
        const EIO: i32 = 5;
        match ready!(self.0.poll_read(cx, buffer)) {
            Err(error) if error.raw_os_error() == Some(EIO) => Poll::Ready(Ok(())),
            done => Poll::Ready(done),
        }
    }
}

impl AsyncWrite for ProcessInput {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
