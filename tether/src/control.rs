//! Serves clients on the control line over SSH.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use guest_io::handshake;
use guest_io::ssh::server::{
    Archive, Attachment, GuestSessions, Refused, ReloadReply, Request, Server, Stdin, StdinEvent,
};
use guest_io::ssh::{ClientPublicKey, KeyError, PrivateKey, ReloadFailed, ReloadReport, server};
use guestinfo::Dialect;
use tether_sys::{Exit, TerminalSize};
use tokio::task::AbortHandle;

use crate::archive::transfer;
use crate::lines::Lines;
use crate::platform::Platform;
use crate::reload::Reloader;
use crate::session::{self, Session, SessionError, Sessions};
use crate::signal::{signal_name, signal_number};

/// The pause before the control line is opened again.
const PAUSE: Duration = Duration::from_millis(200);

/// Creates a server with the keys of the machine.
pub(crate) fn server(
    host_key: &[u8],
    client_key: &str,
    dialect: Dialect,
    guest: Guest,
) -> Result<Server, KeyError> {
    let host_key = PrivateKey::from_openssh(host_key)?;
    let client_key: ClientPublicKey = client_key.parse()?;
    let server = Server::new(host_key, client_key, Arc::new(guest));
    Ok(server.handshake(match dialect {
        Dialect::Vic04 => handshake::Dialect::Vic04,
        Dialect::Vic1 => handshake::Dialect::Vic1,
    }))
}

/// Serves the control line, and opens it again after each connection. Returns if the machine has
/// no control line.
pub(crate) async fn serve(server: Server, lines: Arc<dyn Lines>) {
    loop {
        let ended = match lines.control().await {
            Ok(Some(line)) => server.serve(line).await,
            Ok(None) => return,
            Err(error) => Err(error),
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "the control line failed");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// The maximum number of attachments that have ended, but whose input the processes have not read
/// yet. The input of each is at most [`WINDOW`](guest_io::ssh::WINDOW) bytes. Beyond that, the oldest
/// is discarded.
const MAX_UNREAD: usize = 16;

/// Adapts the sessions to the SSH server.
#[derive(Debug)]
pub(crate) struct Guest {
    sessions: Sessions,
    platform: Arc<dyn Platform>,
    reloader: Reloader,
    attachments: Mutex<Vec<Copying>>,
}

/// The tasks of an attachment.
#[derive(Debug)]
struct Copying {
    session: String,
    output: AbortHandle,
    input: AbortHandle,
}

impl Guest {
    pub(crate) fn new(sessions: Sessions, platform: Arc<dyn Platform>, reloader: Reloader) -> Self {
        Self {
            sessions,
            platform,
            reloader,
            attachments: Mutex::default(),
        }
    }

    /// Adds an attachment, and discards the oldest input that its process does not read if there is
    /// too much.
    fn add(&self, copying: Copying) {
        let attachments = self.attachments.lock();
        let mut attachments = attachments.unwrap_or_else(PoisonError::into_inner);
        attachments.retain(|copying| !copying.input.is_finished());
        let is_unread = |copying: &Copying| copying.output.is_finished();
        let unread = attachments.iter().filter(|copying| is_unread(copying));
        if unread.count() >= MAX_UNREAD
            && let Some(oldest) = attachments.iter().position(is_unread)
        {
            let oldest = attachments.remove(oldest);
            tracing::warn!(
                session = oldest.session,
                "input of a client that has detached is discarded: the process does not read"
            );
            oldest.input.abort();
        }
        attachments.push(copying);
    }
}

impl GuestSessions for Guest {
    fn ids(&self) -> Vec<String> {
        self.sessions.ids()
    }

    fn attach(&self, id: &str, attachment: Attachment) -> Result<(), Refused> {
        let session = self
            .sessions
            .get(id)
            .filter(Session::is_attachable)
            .ok_or(Refused)?;
        // Attach before unblocking, so that no output is lost.
        let from = session.attach();
        self.add(Copying {
            session: id.to_owned(),
            output: tokio::spawn(forward(from, attachment.output)).abort_handle(),
            input: tokio::spawn(feed(session, attachment.stdin)).abort_handle(),
        });
        Ok(())
    }

    fn request(&self, id: &str, request: Request) -> bool {
        let Some(session) = self.sessions.get(id).filter(Session::is_attachable) else {
            return false;
        };
        match request {
            Request::Resize(window) => session.resize(TerminalSize {
                columns: u16::try_from(window.columns).unwrap_or(u16::MAX),
                rows: u16::try_from(window.rows).unwrap_or(u16::MAX),
            }),
            Request::Signal(name) => {
                let Some(signal) = signal_number(&name) else {
                    return false;
                };
                tokio::spawn(async move {
                    if let Err(error) = session.signal(signal).await {
                        tracing::debug!(%error, signal, "a signal was not delivered");
                    }
                });
            }
            Request::Unblock => session.unblock(),
            _ => return false,
        }
        true
    }

    fn reload(&self, reply: ReloadReply) -> Result<(), Refused> {
        let reloader = self.reloader.clone();
        tokio::spawn(async move {
            let reloaded = reloader.reload().await;
            reply.send(match reloaded {
                Ok(reloaded) => {
                    let mut report = ReloadReport::default();
                    for id in &reloaded.started {
                        report.add_started(id);
                    }
                    for (id, reason) in &reloaded.refused {
                        report.add_refused(id, reason);
                    }
                    Ok(report)
                }
                Err(error) => Err(ReloadFailed::new(&error.to_string())),
            });
        });
        Ok(())
    }

    fn archive(&self, archive: Archive, attachment: Attachment) -> Result<(), Refused> {
        tokio::spawn(transfer(Arc::clone(&self.platform), archive, attachment));
        Ok(())
    }
}

/// Forwards output to a client until the output ends or the client detaches.
async fn forward(mut from: session::Attachment, to: server::Output) {
    loop {
        let piece = tokio::select! {
            piece = from.next() => piece,
            () = to.detached() => return,
        };
        let sent = match piece {
            Some(session::Output::Data(stream, data)) => to.send(stream, data).await,
            Some(session::Output::Ended(exit)) => {
                // Ignore a client that has disconnected.
                let _ = to.finish(exit_of(exit)).await;
                return;
            }
            None => return,
        };
        if sent.is_err() {
            return;
        }
    }
}

/// Forwards a client's input to the process until the client detaches or the session's input ends.
async fn feed(session: Session, mut from: Stdin) {
    while let Some(event) = from.next().await {
        let done: Result<(), SessionError> = match event {
            StdinEvent::Data(data) => session.write(data).await,
            StdinEvent::Close => session.close_stdin().await,
        };
        // If the process no longer reads, its input is discarded, so that it does not block
        // the line.
        if let Err(error) = done {
            tracing::trace!(%error, "input was discarded");
        }
    }
}

pub(crate) fn exit_of(exit: Exit) -> guest_io::ssh::Exit {
    match exit.signal() {
        None => guest_io::ssh::Exit::Code(exit.status().unsigned_abs()),
        Some(signal) => guest_io::ssh::Exit::Signal {
            name: signal_name(signal),
            core_dumped: false,
        },
    }
}
