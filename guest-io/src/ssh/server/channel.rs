//! One channel of a connection.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use russh::server::{Handle, Msg};
use russh::{Channel, ChannelId, ChannelMsg, ChannelReadHalf, ChannelWriteHalf};
use tokio::sync::{Notify, mpsc, oneshot, watch};

use super::attachment::{Attachment, Item, Output, Stdin, StdinEvent};
use super::{GuestSessions, Request};
use crate::Stream;
use crate::ssh::credit::{Arrived, Credit, PIECE, cost};
use crate::ssh::{CONTROL_TYPE, ControlDecoder, ControlFrame, Exit, STDERR, Window, signals};

/// How long the host may take to confirm that it has received the end of a session.
const CONFIRMATION: Duration = Duration::from_secs(5);

/// The maximum number of input bytes that are queued per session, from a client without windows.
const PLAIN_LIMIT: usize = 16 * 1024 * 1024;

/// The number of queued input bytes at which a [patient](Mode::Patient) client has to wait.
const PATIENT_LIMIT: usize = 1024 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// A host that uses this crate, with windows per session.
    Windows,
    /// Any other SSH client, only with SSH's windows. It must not send much more than is consumed.
    Plain,
    /// Any other SSH client, whose whole connection waits while it sends more than is consumed.
    Patient,
}

/// The connection's end of an [`Attachment`].
pub(super) struct Attached {
    mode: Mode,
    /// The session that requests are for, if any.
    session: Option<(String, Arc<dyn GuestSessions>)>,
    stdin: mpsc::UnboundedSender<StdinEvent>,
    arrived: Arc<Arrived>,
    grants: mpsc::UnboundedReceiver<u32>,
    output: mpsc::Receiver<Item>,
    credit: Credit,
}

impl Attached {
    pub(super) fn new(mode: Mode) -> (Self, Attachment) {
        let (stdin, events) = mpsc::unbounded_channel();
        let (grant, grants) = mpsc::unbounded_channel();
        let (items, output) = mpsc::channel(4);
        let arrived = Arc::new(Arrived::default());
        let attachment = Attachment {
            stdin: Stdin {
                events,
                arrived: Arc::clone(&arrived),
                grants: grant,
            },
            output: Output { items },
        };
        let attached = Self {
            mode,
            session: None,
            stdin,
            arrived,
            grants,
            output,
            credit: Credit::new(),
        };
        (attached, attachment)
    }

    /// Sends the requests of the host to a session. Without one, they are ignored.
    pub(super) fn with_requests(mut self, id: String, sessions: Arc<dyn GuestSessions>) -> Self {
        self.session = Some((id, sessions));
        self
    }

    /// Forwards data until the channel is closed.
    /// `connected` changes, or its sender is dropped, when the connection ends.
    pub(super) async fn run(
        mut self,
        channel: Channel<Msg>,
        handle: Handle,
        mut connected: watch::Receiver<()>,
    ) {
        let id = channel.id();
        let (mut reader, writer) = channel.split();
        let credit = &self.credit;
        let consumed = Notify::new();
        let input = Input {
            mode: self.mode,
            session: self.session.as_ref(),
            stdin: self.stdin,
            arrived: &self.arrived,
            consumed: &consumed,
            credit,
        };
        let mut held = None;
        let outcome = {
            let write = async {
                let credit = (self.mode == Mode::Windows).then_some(credit);
                held = send_output(&mut self.output, &writer, credit, &handle, id).await;
                if self.mode == Mode::Windows {
                    // The host closes the channel when it has received everything.
                    tokio::time::sleep(CONFIRMATION).await;
                }
            };
            let grant = async {
                while let Some(bytes) = self.grants.recv().await {
                    consumed.notify_one();
                    let frame = Bytes::copy_from_slice(&ControlFrame::Grant(bytes).encode());
                    if self.mode == Mode::Windows
                        && writer
                            .extended_data_bytes(CONTROL_TYPE, frame)
                            .await
                            .is_err()
                    {
                        break;
                    }
                }
                std::future::pending::<()>().await;
            };
            tokio::select! {
                outcome = input.receive(&mut reader) => outcome,
                () = write => Ok(()),
                () = grant => Ok(()),
            }
        };
        if outcome.is_err() {
            tracing::warn!(
                session = self.session.as_ref().map(|(id, _)| id),
                "the host exceeded the flow-control window"
            );
        }
        let _ = handle.close(id).await;
        if held.is_some() && self.mode != Mode::Windows {
            // The client disconnects when it has received everything. If the line ended first, it
            // would report that instead of the exit.
            let unread = async { while reader.wait().await.is_some() {} };
            let disconnected = async {
                tokio::select! {
                    _ = connected.changed() => {}
                    () = async { unread.await; std::future::pending().await } => {}
                }
            };
            let _ = tokio::time::timeout(CONFIRMATION, disconnected).await;
        }
        drop(held);
    }
}

/// The error when the peer violates the protocol.
struct Violation;

/// Handles the messages from the host.
struct Input<'a> {
    mode: Mode,
    session: Option<&'a (String, Arc<dyn GuestSessions>)>,
    stdin: mpsc::UnboundedSender<StdinEvent>,
    arrived: &'a Arrived,
    /// Notified when input was consumed.
    consumed: &'a Notify,
    credit: &'a Credit,
}

impl Input<'_> {
    /// Handles all messages. Waits only for `reader`, so that it never blocks the connection, unless
    /// the client is [patient](Mode::Patient).
    async fn receive(self, reader: &mut ChannelReadHalf) -> Result<(), Violation> {
        let mut control = ControlDecoder::default();
        while let Some(message) = reader.wait().await {
            match message {
                ChannelMsg::Data { data } if !data.is_empty() => {
                    let arrived = self.arrived.arrive(data.len());
                    let fits = match self.mode {
                        Mode::Windows => arrived.is_ok(),
                        Mode::Plain => self.arrived.used() < PLAIN_LIMIT,
                        Mode::Patient => {
                            while self.arrived.used() >= PATIENT_LIMIT && !self.stdin.is_closed() {
                                tokio::select! {
                                    () = self.consumed.notified() => {}
                                    () = self.stdin.closed() => {}
                                }
                            }
                            true
                        }
                    };
                    if !fits {
                        return Err(Violation);
                    }
                    let _ = self.stdin.send(StdinEvent::Data(data));
                }
                ChannelMsg::ExtendedData { data, ext } if ext == CONTROL_TYPE => {
                    control.receive(&data, |frame| match frame {
                        ControlFrame::Grant(bytes) => self.credit.grant(bytes),
                        ControlFrame::Unblock => {
                            self.request(Request::Unblock);
                        }
                    });
                }
                ChannelMsg::Eof => {
                    let _ = self.stdin.send(StdinEvent::Close);
                }
                ChannelMsg::WindowChange {
                    col_width,
                    row_height,
                    ..
                } => {
                    let window = Window::new(col_width, row_height);
                    self.request(Request::Resize(window));
                }
                ChannelMsg::Signal { signal } => {
                    let name = signals::name(&signal).to_owned();
                    self.request(Request::Signal(name));
                }
                ChannelMsg::Close => break,
                _ => {}
            }
        }
        Ok(())
    }

    fn request(&self, request: Request) {
        if let Some((id, sessions)) = self.session {
            sessions.request(id, request);
        }
    }
}

/// Sends output until its end; returns the sender that the session waits for.
async fn send_output(
    output: &mut mpsc::Receiver<Item>,
    writer: &ChannelWriteHalf<Msg>,
    credit: Option<&Credit>,
    handle: &Handle,
    id: ChannelId,
) -> Option<oneshot::Sender<()>> {
    let mut held = None;
    while let Some(item) = output.recv().await {
        let sent = match item {
            Item::Data(stream, data) => send_data(writer, credit, stream, data).await,
            Item::Exit(exit, waiting) => {
                held = Some(waiting);
                let sent = match exit {
                    Exit::Code(code) => handle.exit_status_request(id, code).await,
                    Exit::Signal { name, core_dumped } => {
                        handle
                            .exit_signal_request(
                                id,
                                signals::from_name(&name),
                                core_dumped,
                                String::new(),
                                String::new(),
                            )
                            .await
                    }
                };
                if sent.is_err() {
                    return held;
                }
                break;
            }
        };
        if sent.is_err() {
            return held;
        }
    }
    let _ = writer.eof().await;
    held
}

async fn send_data(
    writer: &ChannelWriteHalf<Msg>,
    credit: Option<&Credit>,
    stream: Stream,
    mut data: Bytes,
) -> Result<(), russh::Error> {
    while !data.is_empty() {
        let piece = data.split_to(data.len().min(PIECE));
        if let Some(credit) = credit {
            credit.take(cost(piece.len())).await;
        }
        match stream {
            Stream::Stdout => writer.data_bytes(piece).await?,
            Stream::Stderr => writer.extended_data_bytes(STDERR, piece).await?,
        }
    }
    Ok(())
}

/// Sends a text, as soon as there is one, as the output of the channel, and closes the channel.
pub(super) async fn answer(
    channel: Channel<Msg>,
    handle: Handle,
    text: impl Future<Output = String>,
) {
    let id = channel.id();
    let (mut reader, writer) = channel.split();
    let send = async {
        writer.data_bytes(text.await).await.ok()?;
        handle.exit_status_request(id, 0).await.ok()?;
        writer.eof().await.ok()
    };
    let closed = async { while reader.wait().await.is_some() {} };
    tokio::select! {
        _ = send => {}
        () = closed => {}
    }
    let _ = handle.close(id).await;
}
