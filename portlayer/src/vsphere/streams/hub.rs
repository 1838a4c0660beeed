//! One container's streams, shared by all who are attached to them.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use guest_io::Stream;
use guest_io::ssh::Window;
use guest_io::ssh::client::{Attach, Event, Input, Session, SessionError};
use tokio::io::{AsyncReadExt, DuplexStream};
use tokio::sync::{mpsc, watch};

use super::lines::{Line, LineWatch};
use crate::stream::{Chunk, StdStream};
use crate::vsphere::exec::Blocking;
use crate::{ContainerId, Error, Resource, Result};

/// The streams of a container.
#[derive(Debug)]
pub(super) struct Hub {
    id: ContainerId,
    line: LineWatch,
    blocking: Arc<Blocking>,
    /// The task that moves data, while there is one.
    joins: Mutex<Option<mpsc::UnboundedSender<Member>>>,
    window: watch::Sender<Option<Window>>,
    /// Somebody holds the input.
    pub(super) input_held: Arc<AtomicBool>,
}

/// One who is attached.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) stdout: bool,
    pub(super) stderr: bool,
    /// The destination of output; `None` when nobody reads it.
    pub(super) output: Option<mpsc::Sender<Result<Chunk>>>,
    pub(super) input: Option<Source>,
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

/// How the connection to a session ended.
enum End {
    /// The process has ended, or nobody is attached any more.
    Done,
    /// The line was lost.
    Lost,
}

impl Hub {
    pub(super) fn new(id: ContainerId, blocking: Arc<Blocking>) -> Self {
        Self {
            id,
            line: watch::Sender::new(Line::Absent),
            blocking,
            joins: Mutex::default(),
            window: watch::Sender::new(None),
            input_held: Arc::default(),
        }
    }

    pub(super) fn line(&self) -> watch::Receiver<Line> {
        self.line.subscribe()
    }

    pub(super) fn set_line(&self, line: Line) {
        self.line.send_replace(line);
    }

    /// A line has ended; there may be a newer one.
    pub(super) fn line_closed(&self, session: &Session) {
        self.line.send_if_modified(|line| {
            let is_ours = matches!(line, Line::Connected(now) if now.is_same_connection(session));
            if is_ours {
                *line = Line::Absent;
            }
            is_ours
        });
    }

    pub(super) fn is_connected(&self) -> bool {
        matches!(&*self.line.borrow(), Line::Connected(session) if !session.is_closed())
    }

    /// Whether anybody is attached.
    pub(super) fn is_attached(&self) -> bool {
        self.lock().is_some()
    }

    /// Remembers the size of the terminal, and tells the guest while anybody is attached.
    pub(super) fn resize(&self, window: Window) {
        self.window.send_replace(Some(window));
    }

    pub(super) fn is_in_use(&self) -> bool {
        self.is_connected() || self.lock().is_some()
    }

    /// Adds one who is attached. The next run waits until it is connected, if it has not begun.
    pub(super) fn join(self: &Arc<Self>, member: Member, before_start: bool) {
        if before_start {
            self.blocking.request(self.id);
        }
        let mut joins = self.lock();
        let member = match &*joins {
            Some(running) => match running.send(member) {
                Ok(()) => return,
                Err(mpsc::error::SendError(member)) => member,
            },
            None => member,
        };
        let (sender, receiver) = mpsc::unbounded_channel();
        let _ = sender.send(member);
        *joins = Some(sender);
        let hub = Arc::clone(self);
        tokio::spawn(async move { hub.run(receiver).await });
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<mpsc::UnboundedSender<Member>>> {
        self.joins.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn resource(&self) -> Resource {
        Resource::container(self.id)
    }

    /// Moves data as long as anybody is attached.
    async fn run(&self, mut joins: mpsc::UnboundedReceiver<Member>) {
        let mut members = Members::default();
        loop {
            self.run_once(&mut joins, &mut members).await;
            members = Members::default();
            let mut current = self.lock();
            match joins.try_recv() {
                // Somebody came at the last moment.
                Ok(member) => members.add(member),
                Err(_) => {
                    *current = None;
                    return;
                }
            }
        }
    }

    async fn run_once(&self, joins: &mut mpsc::UnboundedReceiver<Member>, members: &mut Members) {
        let Some((session, attach)) = self.connect(joins, members).await else {
            return;
        };
        while let Ok(member) = joins.try_recv() {
            members.add(member);
        }
        let window = *self.window.borrow();
        if let Some(window) = window {
            let _ = attach.control.resize(window);
        }
        self.blocking.release(&self.id);
        let _ = attach.control.unblock();
        match self.carry(attach, joins, members).await {
            End::Done => {}
            End::Lost => {
                tracing::debug!(container = %self.id, "its line was lost while attached");
                let lost = || {
                    Error::unavailable(self.resource(), None)
                        .with_source("the line to the guest was lost: output may be missing")
                };
                members.fail(lost).await;
            }
        }
        drop(session);
    }

    /// Waits for a line, and attaches over it. `None` when nobody is there any more, or nobody can
    /// be served.
    async fn connect(
        &self,
        joins: &mut mpsc::UnboundedReceiver<Member>,
        members: &mut Members,
    ) -> Option<(Session, Attach)> {
        let mut line = self.line();
        // A run that was begun to wait must be let go, even if nobody is left.
        let mut must_unblock = false;
        loop {
            let now = tokio::select! {
                Some(member) = joins.recv() => {
                    members.add(member);
                    continue;
                }
                now = line.wait_for(|line| !matches!(line, Line::Absent)) => now.ok()?.clone(),
                () = members.gone(), if !members.is_empty() => {
                    if members.is_empty() {
                        must_unblock |= self.blocking.release(&self.id);
                        if !must_unblock {
                            return None;
                        }
                    }
                    continue;
                }
            };
            let session = match now {
                Line::Connected(session) => session,
                Line::Absent => continue,
                Line::Barred => {
                    self.blocking.release(&self.id);
                    let barred = || {
                        Error::permission_denied(self.resource())
                            .with_source("another machine has the key of its line")
                    };
                    members.fail(barred).await;
                    return None;
                }
            };
            match session.attach(&self.id.to_string()).await {
                Ok(attach) => return Some((session, attach)),
                Err(SessionError::Lost) => {
                    // There will be another one.
                    self.line_closed(&session);
                }
                Err(error) => {
                    self.blocking.release(&self.id);
                    let failed = || {
                        Error::guest_failed(self.resource(), "it refuses to be attached to")
                            .with_source(error.clone())
                    };
                    members.fail(failed).await;
                    return None;
                }
            }
        }
    }

    async fn carry(
        &self,
        attach: Attach,
        joins: &mut mpsc::UnboundedReceiver<Member>,
        members: &mut Members,
    ) -> End {
        let (sources, inputs) = mpsc::unbounded_channel();
        members.feed(&sources);
        // Ends with the sender.
        tokio::spawn(feed(inputs, attach.input));
        let mut output = attach.output;
        let control = attach.control;
        let mut window = self.window.subscribe();
        if members.is_empty() {
            return End::Done;
        }
        loop {
            tokio::select! {
                Ok(()) = window.changed() => {
                    if let Some(window) = *window.borrow_and_update() {
                        let _ = control.resize(window);
                    }
                }
                event = output.next() => match event {
                    Some(Event::Data(stream, bytes)) => members.deliver(stream, &bytes).await,
                    Some(Event::Exit(_)) => return End::Done,
                    Some(_) => {}
                    None => return End::Lost,
                },
                Some(member) = joins.recv() => {
                    members.add(member);
                    members.feed(&sources);
                }
                () = members.gone(), if !members.is_empty() => {
                    if members.is_empty() {
                        return End::Done;
                    }
                }
            }
            if members.is_empty() {
                return End::Done;
            }
        }
    }
}

/// All who are attached to a container.
#[derive(Debug, Default)]
struct Members(Vec<Member>);

impl Members {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn add(&mut self, member: Member) {
        self.0.push(member);
    }

    /// Waits until one has gone, and forgets all who have. Cancel safe.
    async fn gone(&mut self) {
        std::future::poll_fn(|cx| {
            let before = self.0.len();
            self.0
                .retain_mut(|member| member.present.poll_recv(cx).is_pending());
            if self.0.len() < before {
                std::task::Poll::Ready(())
            } else {
                std::task::Poll::Pending
            }
        })
        .await;
    }

    /// Waits for each: the slowest reader sets the pace.
    async fn deliver(&mut self, stream: Stream, bytes: &Bytes) {
        for member in &mut self.0 {
            let (wanted, stream) = match stream {
                Stream::Stdout => (member.stdout, StdStream::Stdout),
                Stream::Stderr => (member.stderr, StdStream::Stderr),
            };
            if let (true, Some(output)) = (wanted, &member.output) {
                let chunk = Chunk {
                    stream,
                    bytes: bytes.clone(),
                };
                if output.send(Ok(chunk)).await.is_err() {
                    member.output = None;
                }
            }
        }
    }

    async fn fail(&mut self, error: impl Fn() -> Error) {
        for member in &mut self.0 {
            if let Some(output) = member.output.take() {
                let _ = output.send(Err(error())).await;
            }
        }
    }

    /// Hands over the inputs of those who came.
    fn feed(&mut self, sources: &mpsc::UnboundedSender<Source>) {
        for member in &mut self.0 {
            if let Some(source) = member.input.take() {
                let _ = sources.send(source);
            }
        }
    }
}

/// Moves the inputs of members to a session, one after the other.
async fn feed(mut sources: mpsc::UnboundedReceiver<Source>, mut input: Input) {
    while let Some(mut source) = sources.recv().await {
        let mut buffer = BytesMut::new();
        loop {
            buffer.reserve(16 * 1024);
            match source.data.read_buf(&mut buffer).await {
                Ok(0) | Err(_) => break,
                Ok(_) => {
                    if input.send(buffer.split().freeze()).await.is_err() {
                        return;
                    }
                }
            }
        }
        if source.closes.load(Ordering::Acquire) {
            let _ = input.close().await;
            return;
        }
    }
}
