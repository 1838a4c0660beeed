//! The clients that are attached to one container.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use guest_io::Stream;
use tokio::sync::mpsc;

use super::logs::std_stream;
use super::output::Piece;
use super::unread::UnreadInput;
use crate::stream::{Chunk, StdStream};
use crate::vsphere::exec::LogReaders;
use crate::vsphere::run_state::RunState;
use crate::{ContainerId, Error};

/// An attached client.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) stdout: bool,
    pub(super) stderr: bool,
    /// Receives output; `None` if the client does not read it.
    pub(super) output: Option<mpsc::Sender<Piece>>,
    /// Whether the client's output is read from the log instead of the line.
    pub(super) reads_log: bool,
    pub(super) input: Option<UnreadInput>,
    /// The previous run, if the machine was off. The client is then attached to the next run.
    pub(super) before: Option<RunState>,
    /// Closed when the client has dropped both input and output.
    pub(super) present: mpsc::Receiver<Infallible>,
}

impl Member {
    /// Returns whether the client has detached.
    pub(super) fn is_gone(&self) -> bool {
        self.present.is_closed()
    }

    #[cfg(test)]
    pub(super) fn without_streams(present: mpsc::Receiver<Infallible>) -> Self {
        Self {
            stdout: false,
            stderr: false,
            output: None,
            reads_log: false,
            input: None,
            before: None,
            present,
        }
    }
}

/// All clients that are attached to a container.
#[derive(Debug)]
pub(super) struct Members {
    id: ContainerId,
    readers: Arc<LogReaders>,
    members: Vec<Member>,
    /// The inputs of clients that have detached before a line could carry them, oldest first. Their
    /// number and length are limited.
    left: Vec<UnreadInput>,
    /// Whether the run has started.
    begun: bool,
    /// Whether any output came over the line.
    heard: bool,
}

impl Members {
    /// Creates an empty list. `left` is the input that earlier clients have left.
    pub(super) fn new(id: ContainerId, readers: Arc<LogReaders>, left: Vec<UnreadInput>) -> Self {
        Self {
            id,
            readers,
            members: Vec::new(),
            left,
            begun: false,
            heard: false,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Returns whether clients have left input that no line has carried yet.
    pub(super) fn have_left_input(&self) -> bool {
        !self.left.is_empty()
    }

    /// Keeps inputs for the next line.
    pub(super) fn keep(&mut self, left: Vec<UnreadInput>) {
        self.left.extend(left);
    }

    /// Returns the inputs that no line has carried.
    pub(super) fn take_left(&mut self) -> Vec<UnreadInput> {
        std::mem::take(&mut self.left)
    }

    /// Returns the run before the one that the clients are attached to; `None` if that run was
    /// already on.
    pub(super) fn before(&self) -> Option<RunState> {
        self.members.first()?.before.clone()
    }

    pub(super) fn add(&mut self, member: Member) {
        if self.begun {
            self.read_from_log(&member);
        }
        if self.members.is_empty() {
            // Usually, there is only one.
            self.members.reserve_exact(1);
        }
        self.members.push(member);
    }

    /// Records the start of the run.
    pub(super) fn begin(&mut self) {
        self.begun = true;
        for member in &self.members {
            self.read_from_log(member);
        }
    }

    fn read_from_log(&self, member: &Member) {
        if let (true, Some(output)) = (member.reads_log, &member.output) {
            // Nothing was sent before this, so the channel has capacity.
            let _ = output.try_send(Piece::Begun(self.readers.read(self.id)));
        }
    }

    /// Returns whether any client's output is read from the log instead of the line.
    pub(super) fn read_log(&self) -> bool {
        self.members
            .iter()
            .any(|member| member.reads_log && member.output.is_some())
    }

    /// Waits until a client has detached, and removes all detached clients. Keeps their input that
    /// no line has carried yet. Cancel-safe.
    pub(super) async fn gone(&mut self) {
        let Self { members, left, .. } = self;
        std::future::poll_fn(|cx| {
            let before = members.len();
            members.retain_mut(|member| {
                let is_present = member.present.poll_recv(cx).is_pending();
                if !is_present {
                    left.extend(member.input.take().and_then(UnreadInput::left));
                }
                is_present
            });
            if members.len() < before {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }

    /// Sends output to all clients, waiting for the slowest.
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

    /// Ends the output of clients that read the line with an error.
    pub(super) async fn fail(&mut self, error: impl Fn() -> Error) {
        for member in self.members.iter_mut().filter(|member| !member.reads_log) {
            if let Some(output) = member.output.take() {
                let _ = output.send(Piece::Line(Err(error()))).await;
            }
        }
    }

    /// Ends all output, because the run is over.
    pub(super) async fn end(&mut self) {
        self.end_line().await;
        for member in &mut self.members {
            member.output = None;
        }
    }

    /// Ends the output over the line. If no output came over the line, it is read from the log.
    pub(super) async fn end_line(&mut self) {
        for member in self.members.iter_mut().filter(|member| !member.reads_log) {
            if let (false, Some(output)) = (self.heard, member.output.take()) {
                let reading = self.readers.read(self.id);
                let _ = output.send(Piece::Missed(reading)).await;
            }
        }
    }

    /// Passes the inputs that clients have left, and those of new clients, to `inputs`, which has
    /// room for all that are counted.
    pub(super) fn feed(&mut self, inputs: &mpsc::Sender<UnreadInput>) {
        for input in self.left.drain(..) {
            let _ = inputs.try_send(input);
        }
        for member in &mut self.members {
            if let Some(input) = member.input.take() {
                let _ = inputs.try_send(input);
            }
        }
    }
}
