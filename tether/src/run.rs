//! Runs a session, from its start to the end of its output.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{BufMut as _, BytesMut};
use guest_io::Stream;
use tether_sys::{Exit, Launch};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;

use crate::log::Log;
use crate::platform::Platform;
use crate::process::{Process, ProcessInput, ProcessOutput};
use crate::session::{InputPiece, Session};

const KILL: i32 = 9;
/// The exit status that clients see if the process was not started, as in a shell.
const NOT_STARTED: Exit = Exit::Code(127);
/// The maximum number of bytes in one read of a process's output.
const PIECE: usize = 32 << 10;
/// How long to read the output after the process has ended: its child processes may keep the
/// streams open, and a reader may be slow.
const DRAIN: Duration = Duration::from_secs(10);
/// The same limit while other sessions run. It is shorter, because the process's children are not
/// killed in this case and may run forever.
const DRAIN_AMONG_OTHERS: Duration = Duration::from_secs(1);
/// The pause before a process is restarted.
const RESTART: Duration = Duration::from_secs(3);

/// An event of a session.
#[derive(Debug)]
pub(crate) enum Report {
    /// The client that it waited for has attached.
    Unblocked { id: String },
    /// The process was started.
    Started { id: String },
    /// The process could not be started.
    Failed { id: String, reason: String },
    /// The process ended, and its output is complete.
    Ended { id: String, exit: Exit },
}

/// A session to be run.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) session: Session,
    pub(crate) input: mpsc::Receiver<InputPiece>,
    pub(crate) launch: Launch,
    pub(crate) restart: bool,
    pub(crate) platform: Arc<dyn Platform>,
    pub(crate) log: Log,
    pub(crate) reports: mpsc::Sender<Report>,
    /// The number of sessions that have not ended, shared by all sessions.
    pub(crate) left: Arc<AtomicUsize>,
}

impl Run {
    /// Runs the session until it ends. If it is configured to restart, it ends only when it is
    /// stopped.
    pub(crate) async fn run(mut self) {
        if self.session.settings().run_block {
            tokio::select! {
                () = self.session.unblocked() => {
                    let id = self.id();
                    self.report(Report::Unblocked { id }).await;
                }
                () = self.session.stopping() => {
                    return self.fail("stopped while waiting for a client".to_owned()).await;
                }
            }
        }
        loop {
            let process = match self.start().await {
                Ok(process) => process,
                Err(reason) => return self.fail(reason).await,
            };
            let again = self.restart && !self.session.is_stopping();
            let exit = self.forward_streams(process, again).await;
            let id = self.id();
            if !again {
                // A client that does not read must not keep the machine on.
                drop(tokio::time::timeout(DRAIN, self.session.end(exit)).await);
                return self.report(Report::Ended { id, exit }).await;
            }
            self.report(Report::Ended { id, exit }).await;
            tokio::select! {
                () = tokio::time::sleep(RESTART) => {}
                () = self.session.stopping() => {
                    self.end_session().await;
                    return self.session.end(exit).await;
                }
            }
        }
    }

    fn id(&self) -> String {
        self.session.id().to_owned()
    }

    async fn report(&self, report: Report) {
        // Fails only if the agent has ended.
        drop(self.reports.send(report).await);
    }

    async fn fail(self, reason: String) {
        self.end_session().await;
        drop(tokio::time::timeout(DRAIN, self.session.end(NOT_STARTED)).await);
        let id = self.id();
        self.report(Report::Failed { id, reason }).await;
    }

    async fn start(&self) -> Result<Process, String> {
        let mut launch = self.launch.clone();
        launch.terminal = self.session.terminal_size();
        launch.open_stdin = self.session.settings().open_stdin;
        let process = self.platform.launch(launch).await;
        let process = process.map_err(|error| error.to_string())?;
        let terminal = process.stdin.as_ref().and_then(ProcessInput::terminal);
        self.session.begin(process.pid, terminal);
        let id = self.id();
        self.report(Report::Started { id }).await;
        Ok(process)
    }

    /// Forwards the streams of a process until it has ended and its output is complete.
    /// Returns how it ended.
    async fn forward_streams(&mut self, process: Process, again: bool) -> Exit {
        let (mut streams, exit) = process.split();
        let stdin = streams.stdin.take();
        let output = async {
            let stdout = pump(
                &self.session,
                &self.log,
                Stream::Stdout,
                Some(streams.stdout),
            );
            let stderr = pump(&self.session, &self.log, Stream::Stderr, streams.stderr);
            tokio::join!(stdout, stderr);
        };
        tokio::pin!(output, exit);
        let mut all_read = false;
        let exit = {
            let fed = feed(&mut self.input, stdin);
            tokio::pin!(fed);
            let mut all_fed = false;
            loop {
                tokio::select! {
                    exit = &mut exit => break exit,
                    () = &mut output, if !all_read => all_read = true,
                    () = &mut fed, if !all_fed => all_fed = true,
                }
            }
        };
        self.session.process_ended();
        let exit = exit.unwrap_or_else(|_| {
            tracing::warn!(
                session = self.session.id(),
                "the supervisor ended before the process"
            );
            Exit::Signal(KILL)
        });
        let limit = if !again && self.end_session().await {
            DRAIN
        } else {
            DRAIN_AMONG_OTHERS
        };
        if !all_read && tokio::time::timeout(limit, output).await.is_err() {
            tracing::debug!(
                session = self.session.id(),
                "the session's streams are still open: a child process is still running"
            );
        }
        exit
    }

    /// Counts this session as ended. If it is the last one, kills the remaining processes,
    /// because the machine is about to be switched off, and returns true.
    async fn end_session(&self) -> bool {
        if self.left.fetch_sub(1, Ordering::AcqRel) != 1 {
            return false;
        }
        if let Err(error) = self.platform.signal(0, KILL).await {
            tracing::debug!(%error, "the remaining processes were not killed");
        }
        true
    }
}

/// Writes the clients' input to a process, until the input or the process ends.
async fn feed(pieces: &mut mpsc::Receiver<InputPiece>, to: Option<ProcessInput>) {
    let Some(mut to) = to else { return };
    while let Some(piece) = pieces.recv().await {
        match piece {
            InputPiece::Data(data) => {
                if let Err(error) = to.write_all(&data).await {
                    tracing::debug!(%error, "the process no longer reads its input");
                    return;
                }
            }
            InputPiece::Close => return,
        }
    }
}

/// Copies the output of a process to the log and to the attached clients.
async fn pump(session: &Session, log: &Log, stream: Stream, from: Option<ProcessOutput>) {
    let Some(mut from) = from else { return };
    let mut buffer = BytesMut::new();
    loop {
        buffer.reserve(PIECE);
        let mut piece = (&mut buffer).limit(PIECE);
        match from.read_buf(&mut piece).await {
            Ok(0) => return,
            Ok(_) => {
                let data = buffer.split().freeze();
                log.write(stream, data.clone()).await;
                session.publish(stream, &data).await;
            }
            Err(error) => {
                tracing::debug!(%error, %stream, "cannot read the output of a process");
                return;
            }
        }
    }
}
