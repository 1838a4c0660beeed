//! Attaches the host to a session of a guest.

use std::fmt;
use std::io;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use russh::client::{Handle, Handler, Msg};
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf};
use tokio::io::AsyncWrite;
use tokio::sync::mpsc::{self, OwnedPermit, error::SendError};
use tokio::sync::oneshot;

use super::SessionError;
use super::requests::{self, NotQueued, Queue, Request, Requests, WeakRequests};
use crate::Stream;
use crate::ssh::credit::{Arrived, Credit, PIECE, cost};
use crate::ssh::{
    CONTROL_TYPE, ControlDecoder, ControlFrame, Exit, STDERR, Subsystem, Window, signals,
};

/// An attachment to a session of a guest. Dropping all of its parts detaches.
#[derive(Debug)]
#[non_exhaustive]
pub struct Attach {
    /// Standard input.
    pub input: Input,
    /// Standard output and standard error.
    pub output: Output,
    /// Requests, such as signals.
    pub control: Control,
}

/// Standard input of a session, as [`AsyncWrite`]: `shutdown` closes the session's
/// standard input, dropping does not.
pub struct Input {
    commands: mpsc::Sender<InputCommand>,
    credit: Arc<Credit>,
    /// Keeps the attachment alive.
    _requests: Requests,
    reserving: Option<Reserving>,
}

type Reserving =
    Pin<Box<dyn Future<Output = Result<OwnedPermit<InputCommand>, SendError<()>>> + Send + Sync>>;

#[derive(Debug)]
enum InputCommand {
    Data(Bytes),
    /// Dropped if not everything was consumed.
    Confirm(oneshot::Sender<()>),
    /// Dropped if the end could not be sent.
    Close(oneshot::Sender<()>),
}

/// The output of a session, and how it ended.
#[derive(Debug)]
pub struct Output {
    /// Bounded by the window: the guest may only send what was granted.
    events: mpsc::UnboundedReceiver<Event>,
    arrived: Arc<Arrived>,
    requests: Requests,
}

/// An event of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Output, never empty.
    Data(Stream, Bytes),
    /// The session's process ended; no output follows.
    Exit(Exit),
}

/// Requests for a session. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Control {
    requests: Requests,
}

impl Input {
    /// Writes a chunk without copying it; waits if the session does not keep up.
    ///
    /// Cancel safe: either the whole chunk is written or nothing.
    ///
    /// # Errors
    ///
    /// [`SessionError::Lost`] when the session has ended or the line was lost.
    pub async fn send(&mut self, data: Bytes) -> Result<(), SessionError> {
        self.commands
            .send(InputCommand::Data(data))
            .await
            .map_err(|_| SessionError::Lost)
    }

    /// Waits until the session has consumed everything that was written. Input that is still in
    /// flight when all parts of the attachment are dropped may be lost.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    ///
    /// [`SessionError::Lost`] when the session has ended or the line was lost.
    pub async fn consumed(&mut self) -> Result<(), SessionError> {
        let (confirm, confirmed) = oneshot::channel();
        self.commands
            .send(InputCommand::Confirm(confirm))
            .await
            .map_err(|_| SessionError::Lost)?;
        confirmed.await.map_err(|_| SessionError::Lost)
    }

    /// Closes the session's standard input. Waits until everything that was written before, and
    /// the end, have been sent.
    ///
    /// # Errors
    ///
    /// [`SessionError::Lost`] when the session has ended or the line was lost.
    pub async fn close(mut self) -> Result<(), SessionError> {
        self.end().await
    }

    /// Does the same as [`send`](Self::send), but only waits while the session consumes input.
    ///
    /// # Errors
    ///
    /// [`SessionError::NoAnswer`] if the session has consumed nothing for this long.
    pub(super) async fn send_unless_stalled(
        &mut self,
        data: Bytes,
        after: Duration,
    ) -> Result<(), SessionError> {
        let credit = Arc::clone(&self.credit);
        tokio::select! {
            biased;
            sent = self.send(data) => sent,
            () = credit.stalled(after) => Err(SessionError::NoAnswer { after }),
        }
    }

    /// Does the same as [`close`](Self::close), but keeps the attachment alive, and only waits while
    /// the session consumes input.
    ///
    /// # Errors
    ///
    /// [`SessionError::NoAnswer`] if the session has consumed nothing for this long.
    pub(super) async fn end_unless_stalled(&mut self, after: Duration) -> Result<(), SessionError> {
        let credit = Arc::clone(&self.credit);
        tokio::select! {
            biased;
            ended = self.end() => ended,
            () = credit.stalled(after) => Err(SessionError::NoAnswer { after }),
        }
    }

    async fn end(&mut self) -> Result<(), SessionError> {
        let (sent, is_sent) = oneshot::channel();
        self.commands
            .send(InputCommand::Close(sent))
            .await
            .map_err(|_| SessionError::Lost)?;
        is_sent.await.map_err(|_| SessionError::Lost)
    }

    fn poll_command(
        &mut self,
        cx: &mut Context<'_>,
        command: impl FnOnce() -> InputCommand,
    ) -> Poll<io::Result<()>> {
        let commands = &self.commands;
        let reserving = self
            .reserving
            .get_or_insert_with(|| Box::pin(commands.clone().reserve_owned()));
        let permit = ready!(reserving.as_mut().poll(cx));
        self.reserving = None;
        match permit {
            Ok(permit) => {
                permit.send(command());
                Poll::Ready(Ok(()))
            }
            Err(_) => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }
}

impl AsyncWrite for Input {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        let n = buffer.len().min(PIECE);
        if n == 0 {
            return Poll::Ready(Ok(0));
        }
        let data = || InputCommand::Data(Bytes::copy_from_slice(&buffer[..n]));
        ready!(self.poll_command(cx, data))?;
        Poll::Ready(Ok(n))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match ready!(self.poll_command(cx, || InputCommand::Close(oneshot::channel().0))) {
            // The input of a session that has ended is already closed.
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Poll::Ready(Ok(())),
            result => Poll::Ready(result),
        }
    }
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Input").finish_non_exhaustive()
    }
}

impl Output {
    /// Waits for the next event. Returns `None` after [`Event::Exit`], or, without such an event,
    /// when the line was lost.
    ///
    /// The guest pauses while [`WINDOW`](crate::ssh::WINDOW) bytes are buffered here.
    ///
    /// Cancel safe.
    pub async fn next(&mut self) -> Option<Event> {
        let event = self.events.recv().await?;
        if let Event::Data(_, data) = &event
            && let Some(bytes) = self.arrived.consume(data.len())
        {
            let _ = self.requests.add(Request::Grant(bytes));
        }
        Some(event)
    }
}

impl Control {
    /// Sets the size of the session's terminal. Of several sizes that could not be sent yet, only
    /// the last one is sent.
    ///
    /// # Errors
    ///
    /// [`SessionError::Lost`] when the session has ended or the line was lost.
    pub fn resize(&self, window: Window) -> Result<(), SessionError> {
        self.request(Request::Resize(window))
    }

    /// Sends a signal to the session's process, by name without `SIG` or by number.
    ///
    /// # Errors
    ///
    /// [`SessionError::Lost`] when the session has ended or the line was lost, and
    /// [`SessionError::Busy`] when the line is stalled and many signals wait already.
    pub fn signal(&self, signal: &str) -> Result<(), SessionError> {
        self.request(Request::Signal(signal.to_owned()))
    }

    /// Starts the session if it waits for an attachment.
    ///
    /// # Errors
    ///
    /// [`SessionError::Lost`] when the session has ended or the line was lost.
    pub fn unblock(&self) -> Result<(), SessionError> {
        self.request(Request::Unblock)
    }

    fn request(&self, request: Request) -> Result<(), SessionError> {
        self.requests.add(request).map_err(|error| match error {
            NotQueued::Ended => SessionError::Lost,
            NotQueued::Full => SessionError::Busy,
        })
    }
}

/// Opens a channel for a subsystem with windows, and starts the task that forwards its data.
pub(super) async fn open<H: Handler>(
    handle: &Handle<H>,
    subsystem: Subsystem<'_>,
) -> Result<Attach, SessionError> {
    let mut channel = handle.channel_open_session().await.map_err(|e| match e {
        russh::Error::ChannelOpenFailure(_) => SessionError::Refused,
        _ => SessionError::Lost,
    })?;
    channel
        .request_subsystem(true, subsystem.to_string())
        .await
        .map_err(|_| SessionError::Lost)?;
    let (events, receiver) = mpsc::unbounded_channel();
    let (requests, queue) = requests::queue();
    let mut incoming = Incoming {
        arrived: Arc::new(Arrived::default()),
        credit: Arc::new(Credit::new()),
        control: ControlDecoder::default(),
        requests: requests.downgrade(),
        events,
        exited: false,
    };
    loop {
        match channel.wait().await {
            Some(ChannelMsg::Success) => break,
            Some(ChannelMsg::Failure) => {
                let _ = channel.close().await;
                return Err(SessionError::Refused);
            }
            // Output may arrive before the response.
            Some(message) => {
                if incoming.receive(message).is_break() {
                    return Err(SessionError::Lost);
                }
            }
            None => return Err(SessionError::Lost),
        }
    }
    let arrived = Arc::clone(&incoming.arrived);
    let credit = Arc::clone(&incoming.credit);
    let (commands, input) = mpsc::channel(2);
    let (reader, writer) = channel.split();
    tokio::spawn(run(reader, writer, incoming, input, queue));
    Ok(Attach {
        input: Input {
            commands,
            credit,
            _requests: requests.clone(),
            reserving: None,
        },
        output: Output {
            events: receiver,
            arrived,
            requests: requests.clone(),
        },
        control: Control { requests },
    })
}

/// Handles the messages from the guest.
struct Incoming {
    arrived: Arc<Arrived>,
    credit: Arc<Credit>,
    control: ControlDecoder,
    requests: WeakRequests,
    events: mpsc::UnboundedSender<Event>,
    exited: bool,
}

impl Incoming {
    /// Handles a message. Breaks at the end of the session.
    fn receive(&mut self, message: ChannelMsg) -> ControlFlow<()> {
        let exit = match message {
            ChannelMsg::Data { data } => return self.data(Stream::Stdout, data),
            ChannelMsg::ExtendedData { data, ext: STDERR } => {
                return self.data(Stream::Stderr, data);
            }
            ChannelMsg::ExtendedData {
                data,
                ext: CONTROL_TYPE,
            } => {
                let credit = &self.credit;
                self.control.receive(&data, |frame| {
                    if let ControlFrame::Grant(bytes) = frame {
                        credit.grant(bytes);
                    }
                });
                return ControlFlow::Continue(());
            }
            ChannelMsg::ExitStatus { exit_status } => Exit::Code(exit_status),
            ChannelMsg::ExitSignal {
                signal_name,
                core_dumped,
                ..
            } => Exit::Signal {
                name: signals::name(&signal_name).to_owned(),
                core_dumped,
            },
            ChannelMsg::Eof | ChannelMsg::Close => return ControlFlow::Break(()),
            _ => return ControlFlow::Continue(()),
        };
        if self.exited {
            return ControlFlow::Break(());
        }
        self.exited = true;
        let _ = self.events.send(Event::Exit(exit));
        ControlFlow::Continue(())
    }

    fn data(&self, stream: Stream, data: Bytes) -> ControlFlow<()> {
        if data.is_empty() {
            return ControlFlow::Continue(());
        }
        let bytes = data.len();
        if self.exited || self.arrived.arrive(bytes).is_err() {
            tracing::warn!("a guest exceeded the flow-control window; detached from it");
            return ControlFlow::Break(());
        }
        if self.events.send(Event::Data(stream, data)).is_err() {
            // Without a reader, output is discarded, so that the session continues.
            if let Some(grant) = self.arrived.consume(bytes) {
                let _ = self.requests.add(Request::Grant(grant));
            }
        }
        ControlFlow::Continue(())
    }
}

/// Forwards data until the session ends or all handles are dropped.
///
/// What is sent is boxed: the futures of `russh` are large, and an idle session has none.
async fn run(
    mut reader: ChannelReadHalf,
    writer: ChannelWriteHalf<Msg>,
    mut incoming: Incoming,
    mut input: mpsc::Receiver<InputCommand>,
    mut requests: Queue,
) {
    let credit = Arc::clone(&incoming.credit);
    let receive = async {
        // Never waits for the consumer of the output, which would block the line.
        while let Some(message) = reader.wait().await {
            if incoming.receive(message).is_break() {
                break;
            }
        }
    };
    let write = async {
        while let Some(command) = input.recv().await {
            match command {
                InputCommand::Data(mut data) => {
                    while !data.is_empty() {
                        let piece = data.split_to(data.len().min(PIECE));
                        credit.take(cost(piece.len())).await;
                        Box::pin(writer.data_bytes(piece)).await?;
                    }
                }
                InputCommand::Confirm(confirm) => {
                    credit.all_consumed().await;
                    let _ = confirm.send(());
                }
                InputCommand::Close(sent) => {
                    Box::pin(writer.eof()).await?;
                    let _ = sent.send(());
                }
            }
        }
        std::future::pending::<Result<(), russh::Error>>().await
    };
    let request = async {
        while let Some(request) = requests.next().await {
            Box::pin(send(&writer, request)).await?;
        }
        Ok::<(), russh::Error>(())
    };
    tokio::select! {
        () = receive => {}
        _ = write => {}
        _ = request => {}
    }
    let _ = Box::pin(writer.close()).await;
}

async fn send(writer: &ChannelWriteHalf<Msg>, request: Request) -> Result<(), russh::Error> {
    let frame = match request {
        Request::Resize(window) => {
            let (columns, rows) = (window.columns, window.rows);
            return writer.window_change(columns, rows, 0, 0).await;
        }
        Request::Signal(name) => return writer.signal(signals::from_name(&name)).await,
        Request::Unblock => ControlFrame::Unblock,
        Request::Grant(bytes) => ControlFrame::Grant(bytes),
    };
    let frame = Bytes::copy_from_slice(&frame.encode());
    writer.extended_data_bytes(CONTROL_TYPE, frame).await
}
