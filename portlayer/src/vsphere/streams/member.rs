//! Those who are attached to one container.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::Poll;

use bytes::Bytes;
use guest_io::Stream;
use tokio::io::DuplexStream;
use tokio::sync::mpsc;

use super::logs::std_stream;
use super::output::Piece;
use crate::stream::{Chunk, StdStream};
use crate::vsphere::exec::LogReaders;
use crate::vsphere::run_state::RunState;
use crate::{ContainerId, Error};

/// One who is attached.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) stdout: bool,
    pub(super) stderr: bool,
    /// Where output goes; `None` when nobody reads it.
    pub(super) output: Option<mpsc::Sender<Piece>>,
    /// Its output is taken from the log, not from the line.
    pub(super) reads_log: bool,
    pub(super) input: Option<Source>,
    /// What the container's machine showed of its last run, if it was off: then the run that this
    /// member is attached to is the next one.
    pub(super) before: Option<RunState>,
    /// Ends when all of the member's ends are dropped.
    pub(super) present: mpsc::Receiver<Infallible>,
}

/// Where a member's input comes from.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) data: DuplexStream,
    /// Its end is the end of the process's input.
    pub(super) closes: Arc<AtomicBool>,
}

/// All who are attached to a container.
#[derive(Debug)]
pub(super) struct Members {
    id: ContainerId,
    readers: Arc<LogReaders>,
    members: Vec<Member>,
    /// The run has begun.
    begun: bool,
    /// Something came over the line.
    heard: bool,
}

impl Members {
    pub(super) fn new(id: ContainerId, readers: Arc<LogReaders>) -> Self {
        Self {
            id,
            readers,
            members: Vec::new(),
            begun: false,
            heard: false,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// What the machine showed before the run that they are attached to; `None` if that was on.
    pub(super) fn before(&self) -> Option<RunState> {
        self.members.first()?.before.clone()
    }

    pub(super) fn add(&mut self, member: Member) {
        if self.begun {
            self.read_from_log(&member);
        }
        self.members.push(member);
    }

    /// The run has begun.
    pub(super) fn begin(&mut self) {
        self.begun = true;
        for member in &self.members {
            self.read_from_log(member);
        }
    }

    fn read_from_log(&self, member: &Member) {
        if let (true, Some(output)) = (member.reads_log, &member.output) {
            // Nothing else was sent before: there is room.
            let _ = output.try_send(Piece::Begun(self.readers.read(self.id)));
        }
    }

    /// Whether anybody reads the log in place of the line.
    pub(super) fn read_log(&self) -> bool {
        self.members
            .iter()
            .any(|member| member.reads_log && member.output.is_some())
    }

    /// Waits until one has gone, and forgets all who have. Cancel safe.
    pub(super) async fn gone(&mut self) {
        std::future::poll_fn(|cx| {
            let before = self.members.len();
            self.members
                .retain_mut(|member| member.present.poll_recv(cx).is_pending());
            if self.members.len() < before {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }

    /// Waits for each: the slowest reader sets the pace.
    pub(super) async fn deliver(&mut self, stream: Stream, bytes: &Bytes) {
        self.heard = true;
        let stream = std_stream(stream);
        for member in self.members.iter_mut().filter(|member| !member.reads_log) {
            let wanted = match stream {
                StdStream::Stdout => member.stdout,
                StdStream::Stderr => member.stderr,
            };
            if let (true, Some(output)) = (wanted, &member.output) {
                let bytes = bytes.clone();
                let piece = Piece::Line(Ok(Chunk { stream, bytes }));
                if output.send(piece).await.is_err() {
                    member.output = None;
                }
            }
        }
    }

    /// Ends the output of those who read the line with an error.
    pub(super) async fn fail(&mut self, error: impl Fn() -> Error) {
        for member in self.members.iter_mut().filter(|member| !member.reads_log) {
            if let Some(output) = member.output.take() {
                let _ = output.send(Piece::Line(Err(error()))).await;
            }
        }
    }

    /// The run is over, or nothing is to be expected of it any more.
    pub(super) async fn end(&mut self) {
        self.end_line().await;
        for member in &mut self.members {
            member.output = None;
        }
    }

    /// Nothing is to be expected of the line any more. If nothing came over it at all, the log has
    /// what was missed.
    pub(super) async fn end_line(&mut self) {
        for member in self.members.iter_mut().filter(|member| !member.reads_log) {
            if let (false, Some(output)) = (self.heard, member.output.take()) {
                let reading = self.readers.read(self.id);
                let _ = output.send(Piece::Missed(reading)).await;
            }
        }
    }

    /// Hands over the inputs of those who came.
    pub(super) fn feed(&mut self, sources: &mpsc::UnboundedSender<Source>) {
        for member in &mut self.members {
            if let Some(source) = member.input.take() {
                let _ = sources.send(source);
            }
        }
    }
}
