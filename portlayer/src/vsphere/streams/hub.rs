//! The streams of one container, shared by all attached clients.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use guest_io::ssh::Window;
use guest_io::ssh::client::{Attach, ConnectError, Event, Session, SessionError};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::joins::Joins;
use super::lines::{Line, LineWatch, chain};
use super::member::{Member, Members};
use super::run_events::{Event as RunEvent, RunEvents};
use super::unread::{self, Unread};
use crate::vsphere::exec::{Blocking, VsphereExec};
use crate::{ContainerId, Error, Resource};

/// Time limit for delivering the remaining output after the machine has powered off.
const REST: Duration = Duration::from_secs(5);

/// The streams of a container.
#[derive(Debug)]
pub(super) struct Hub {
    id: ContainerId,
    exec: VsphereExec,
    line: LineWatch,
    blocking: Arc<Blocking>,
    /// The number of runs, or of attempts to attach to a run, that are over.
    over: watch::Sender<u64>,
    /// The new clients, for the task that copies data.
    joins: Joins,
    window: watch::Sender<Option<Window>>,
    /// Whether a client owns the input.
    pub(super) input_held: Arc<AtomicBool>,
    /// The clients whose input the process has not consumed yet.
    pub(super) unread: Unread,
}

/// The reason why the connection to a session ended.
enum End {
    /// The process has ended, or no client is attached any more.
    Done,
    /// The line was disconnected.
    Lost,
}

/// The event that ends a wait for the line.
enum News {
    Joined(Member),
    Line(Line),
    Run(RunEvent),
    /// A client has detached.
    Gone,
}

/// The error after the line server was closed.
pub(super) fn closed(resource: Resource) -> Error {
    Error::unavailable(resource, None).with_source("the line server was closed")
}

impl Hub {
    pub(super) fn new(id: ContainerId, exec: VsphereExec) -> Self {
        Self {
            id,
            line: watch::Sender::new(Line::Absent),
            blocking: exec.blocking(),
            exec,
            over: watch::Sender::new(0),
            joins: Joins::default(),
            window: watch::Sender::new(None),
            input_held: Arc::default(),
            unread: Unread::default(),
        }
    }

    pub(super) fn id(&self) -> &ContainerId {
        &self.id
    }

    pub(super) fn line(&self) -> watch::Receiver<Line> {
        self.line.subscribe()
    }

    /// Returns a receiver that changes when attached clients have nothing more to wait for.
    pub(super) fn over(&self) -> watch::Receiver<u64> {
        self.over.subscribe()
    }

    /// Sets the line, unless the line server was closed.
    pub(super) fn set_line(&self, line: Line) {
        self.line.send_if_modified(|current| {
            let is_open = !matches!(current, Line::Closed);
            if is_open {
                *current = line;
            }
            is_open
        });
    }

    /// Records that a line was closed, unless a newer line has replaced it.
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

    /// Returns whether any client is attached.
    pub(super) fn is_attached(&self) -> bool {
        self.joins.is_running()
    }

    /// Stores the size of the terminal, and sends it to the guest while a client is attached.
    pub(super) fn resize(&self, window: Window) {
        self.window.send_replace(Some(window));
    }

    pub(super) fn is_in_use(&self) -> bool {
        self.is_connected() || self.is_attached()
    }

    /// Adds a client. If `before_start` is set, the next run waits until the client is connected.
    pub(super) fn join(self: &Arc<Self>, member: Member, before_start: bool) {
        if before_start {
            self.blocking.request(self.id);
        }
        if self.joins.add(member) {
            let hub = Arc::clone(self);
            tokio::spawn(async move { hub.run().await });
        }
    }

    fn resource(&self) -> Resource {
        Resource::container(self.id)
    }

    fn line_lost(&self, session: &Session) -> Error {
        let reason = session.close_reason().map(|error| chain(&*error));
        let reason = reason.map(|reason| format!(" ({reason})"));
        let reason = reason.unwrap_or_default();
        Error::unavailable(self.resource(), None).with_source(format!(
            "the line to the guest was lost{reason}: output may be missing, and input that the \
             process has not read may be lost; attach again",
        ))
    }

    /// Copies data as long as any client is attached, or has left input.
    async fn run(&self) {
        let mut left = Vec::new();
        loop {
            let readers = Arc::clone(self.exec.log_readers());
            let mut members = Members::new(self.id, readers, left);
            while let Some(member) = self.joins.try_next() {
                members.add(member);
            }
            self.run_once(&mut members).await;
            self.over.send_modify(|runs| *runs += 1);
            left = members.take_left();
            drop(members);
            // A client may have joined concurrently.
            if left.is_empty() && self.joins.end() {
                return;
            }
        }
    }

    async fn run_once(&self, members: &mut Members) {
        let before = members.before();
        if before.is_none() {
            members.begin();
        }
        let mut run_events = RunEvents::new(self.exec.clone(), self.id, before);
        // Futures that are large and end soon are boxed, because there can be many attached clients.
        let connected = Box::pin(self.connect(members, &mut run_events)).await;
        if let Some((session, attach)) = connected {
            while let Some(member) = self.joins.try_next() {
                members.add(member);
            }
            let window = *self.window.borrow();
            if let Some(window) = window {
                let _ = attach.control.resize(window);
            }
            self.blocking.release(&self.id);
            let _ = attach.control.unblock();
            match self.carry(attach, members, &mut run_events).await {
                End::Done => members.end_line().await,
                End::Lost => {
                    tracing::debug!(container = %self.id, "its line was lost while attached");
                    let lost = || self.line_lost(&session);
                    members.fail(lost).await;
                }
            }
            drop(session);
        } else if !members.take_left().is_empty() {
            tracing::debug!(container = %self.id, "input was discarded: its run is over, or it has no line");
        }
        // The log may grow until the machine is off.
        while members.read_log() {
            tokio::select! {
                event = run_events.next() => match event {
                    RunEvent::Begun => members.begin(),
                    RunEvent::Ended | RunEvent::Failed(_) => return,
                },
                () = members.gone(), if !members.is_empty() => {}
            }
        }
    }

    /// Waits for a line, and attaches through it. Returns `None` if all clients have detached or
    /// cannot be served, or if the run is over.
    async fn connect(
        &self,
        members: &mut Members,
        run_events: &mut RunEvents,
    ) -> Option<(Session, Attach)> {
        let mut line = self.line();
        // A process that waits for a client must be unblocked even if all clients have detached.
        let mut must_unblock = false;
        loop {
            let news = tokio::select! {
                // A client may have written its input and detached already. While a line is there,
                // the input has to be sent before the client is forgotten.
                biased;
                member = self.joins.next() => News::Joined(member),
                now = line.wait_for(|line| !matches!(line, Line::Absent)) => {
                    News::Line(now.ok()?.clone())
                }
                event = run_events.next() => News::Run(event),
                () = members.gone(), if !members.is_empty() => News::Gone,
            };
            let session = match news {
                News::Line(Line::Connected(session)) => session,
                News::Line(Line::Absent) => continue,
                News::Line(Line::Barred) => {
                    self.blocking.release(&self.id);
                    let barred = || {
                        Error::permission_denied(self.resource())
                            .with_source("another machine has the key of its line")
                    };
                    members.fail(barred).await;
                    return None;
                }
                News::Line(Line::Closed) => {
                    self.blocking.release(&self.id);
                    members.fail(|| closed(self.resource())).await;
                    return None;
                }
                News::Joined(member) => {
                    members.add(member);
                    continue;
                }
                News::Run(RunEvent::Begun) => {
                    members.begin();
                    continue;
                }
                News::Run(RunEvent::Ended) => {
                    self.blocking.release(&self.id);
                    members.end().await;
                    return None;
                }
                News::Run(RunEvent::Failed(error)) => {
                    self.blocking.release(&self.id);
                    let failed = || {
                        Error::new(error.kind.clone(), self.resource())
                            .with_source(error.to_string())
                    };
                    members.fail(failed).await;
                    return None;
                }
                News::Gone => {
                    if members.is_empty() && !members.have_left_input() {
                        must_unblock |= self.blocking.release(&self.id);
                        if !must_unblock {
                            return None;
                        }
                    }
                    continue;
                }
            };
            match Box::pin(session.attach(&self.id.to_string())).await {
                Ok(attach) => return Some((session, attach)),
                Err(SessionError::Lost) => {
                    self.line_closed(&session);
                    if let Some(error) = session.close_reason()
                        && matches!(*error, ConnectError::Ssh(_))
                    {
                        // The guest could break every line in this way.
                        self.blocking.release(&self.id);
                        members.fail(|| self.line_lost(&session)).await;
                        return None;
                    }
                    // Wait for a new line.
                }
                Err(error) => {
                    self.blocking.release(&self.id);
                    let reason = match error {
                        SessionError::NoAnswer { .. } => {
                            // The next line may be that of an agent that answers.
                            session.abort();
                            "it does not answer the request to attach"
                        }
                        _ => "it refused the attachment",
                    };
                    let failed =
                        || Error::guest_failed(self.resource(), reason).with_source(error.clone());
                    members.fail(failed).await;
                    return None;
                }
            }
        }
    }

    async fn carry(
        &self,
        attach: Attach,
        members: &mut Members,
        run_events: &mut RunEvents,
    ) -> End {
        let (inputs, queue) = unread::inputs();
        members.feed(&inputs);
        // A task of its own, so that input does not wait for a slow reader of the output.
        let mut feeding = JoinSet::new();
        feeding.spawn(unread::feed(queue.clone(), attach.input));
        let mut output = attach.output;
        let control = attach.control;
        let mut window = self.window.subscribe();
        // Set when the machine is off, because its line should end soon after that.
        let mut deadline: Option<Instant> = None;
        let end = loop {
            let expired = async {
                match deadline {
                    Some(deadline) => sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                Ok(()) = window.changed() => {
                    if let Some(window) = *window.borrow_and_update() {
                        let _ = control.resize(window);
                    }
                }
                event = output.next() => match event {
                    Some(Event::Data(stream, bytes)) => members.deliver(stream, &bytes).await,
                    Some(Event::Exit(_)) => break End::Done,
                    Some(_) => {}
                    None => break End::Lost,
                },
                event = run_events.next() => match event {
                    RunEvent::Begun => members.begin(),
                    RunEvent::Ended => deadline = Some(Instant::now() + REST),
                    RunEvent::Failed(error) => {
                        tracing::debug!(container = %self.id, %error, "cannot determine its end");
                    }
                },
                member = self.joins.next() => {
                    members.add(member);
                    members.feed(&inputs);
                }
                () = members.gone(), if !members.is_empty() => {}
                // The line carries what the clients have left behind.
                () = self.unread.consumed(), if members.is_empty() => break End::Done,
                () = expired => break End::Lost,
            }
        };
        if let End::Lost = end
            && deadline.is_none()
        {
            // The next line carries the input that clients have left. What was sent already may have
            // reached the guest, so it is not sent again.
            feeding.shutdown().await;
            members.keep(queue.left().await);
        }
        end
    }
}
