//! An SSH connection of a host.

use std::collections::HashMap;
use std::sync::Arc;

use russh::keys::{Algorithm, PublicKey};
use russh::server::{
    Auth, ChannelOpenHandle, Handle, Handler, Msg, PublicKeyOffer, Session, VerifiedPublicKey,
};
use russh::{Channel, ChannelId, ChannelOpenFailure};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{oneshot, watch};

use super::{Archive, Attachment, ReloadReply, Request, Shared, channel};
use crate::ssh::transport::Lease;
use crate::ssh::{
    ArchiveDirection, MAX_CHANNELS, ReloadFailed, ReloadReport, Subsystem, USER, VERSION, Window,
};

/// Serves a connection until it ends.
pub(super) async fn run<S>(shared: &Arc<Shared>, lease: Lease<S>) -> Result<(), russh::Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let connection = Connection {
        shared: Arc::clone(shared),
        idle: HashMap::new(),
        busy: Arc::new(()),
        connected: watch::Sender::new(()),
    };
    let session = russh::server::run_stream(Arc::clone(&shared.config), lease, connection).await?;
    session.await
}

struct Connection {
    shared: Arc<Shared>,
    /// Channels that have not requested a subsystem yet.
    idle: HashMap<ChannelId, Idle>,
    /// Counts the channels that have requested a subsystem: each has a reference.
    busy: Arc<()>,
    /// Dropped with the connection.
    connected: watch::Sender<()>,
}

struct Idle {
    channel: Channel<Msg>,
    window: Option<Window>,
}

impl Connection {
    fn authenticate(&self, user: &str, key: &PublicKey) -> Auth {
        if user == USER && self.shared.client.matches(key) {
            Auth::Accept
        } else {
            Auth::reject()
        }
    }

    /// Starts the subsystem `name` on a channel; returns false if it does not exist.
    fn start(&mut self, id: ChannelId, name: &str, session: &Session) -> bool {
        let Some(Idle { channel, window }) = self.idle.remove(&id) else {
            return false;
        };
        let handle = session.handle();
        let busy = Arc::clone(&self.busy);
        let sessions = &self.shared.sessions;
        match Subsystem::parse(name) {
            Some(Subsystem::VicAttach(id)) => {
                self.attach(Idle { channel, window }, handle, channel::Mode::Windows, id)
            }
            Some(Subsystem::Attach(id)) => {
                self.attach(Idle { channel, window }, handle, channel::Mode::Plain, id)
            }
            Some(Subsystem::VicArchive(direction, path)) => {
                self.archive(channel, handle, channel::Mode::Windows, (direction, path))
            }
            Some(Subsystem::Archive(direction, path)) => {
                self.archive(channel, handle, channel::Mode::Patient, (direction, path))
            }
            Some(Subsystem::Version) => {
                answer(channel, handle, async { format!("{VERSION}\n") }, busy);
                true
            }
            Some(Subsystem::ContainerIds) => {
                let mut ids = sessions.ids().join("\n");
                ids.push('\n');
                answer(channel, handle, async { ids }, busy);
                true
            }
            Some(Subsystem::Reload) => {
                let (reply, response) = oneshot::channel();
                if sessions.reload(ReloadReply(reply)).is_err() {
                    return false;
                }
                let response = async {
                    let ended = |_dropped| Err(ReloadFailed::new("the agent has ended"));
                    ReloadReport::encode(&response.await.unwrap_or_else(ended))
                };
                answer(channel, handle, response, busy);
                true
            }
            None => false,
        }
    }

    fn attach(&self, idle: Idle, handle: Handle, mode: channel::Mode, id: &str) -> bool {
        let Idle { channel, window } = idle;
        let sessions = &self.shared.sessions;
        let (attached, attachment) = channel::Attached::new(mode);
        let attached = attached.with_requests(id.to_owned(), Arc::clone(sessions));
        if sessions.attach(id, attachment).is_err() {
            return false;
        }
        if let Some(window) = window {
            sessions.request(id, Request::Resize(window));
        }
        if mode == channel::Mode::Plain {
            sessions.request(id, Request::Unblock);
        }
        self.run(attached, channel, handle);
        true
    }

    fn archive(
        &self,
        channel: Channel<Msg>,
        handle: Handle,
        mode: channel::Mode,
        (direction, path): (ArchiveDirection, &str),
    ) -> bool {
        let archive = Archive {
            direction,
            path: path.to_owned(),
        };
        let (attached, attachment): (_, Attachment) = channel::Attached::new(mode);
        if self.shared.sessions.archive(archive, attachment).is_err() {
            return false;
        }
        self.run(attached, channel, handle);
        true
    }

    /// Forwards the data of a channel, in a task that counts as busy.
    fn run(&self, attached: channel::Attached, channel: Channel<Msg>, handle: Handle) {
        let busy = Arc::clone(&self.busy);
        let connected = self.connected.subscribe();
        tokio::spawn(async move {
            attached.run(channel, handle, connected).await;
            drop(busy);
        });
    }
}

/// Sends a text over a channel, in a task that holds `busy` until the channel is closed.
fn answer(
    channel: Channel<Msg>,
    handle: Handle,
    text: impl Future<Output = String> + Send + 'static,
    busy: Arc<()>,
) {
    tokio::spawn(async move {
        channel::answer(channel, handle, text).await;
        drop(busy);
    });
}

impl Handler for Connection {
    type Error = russh::Error;

    async fn auth_publickey_offered(
        &mut self,
        user: &str,
        offer: PublicKeyOffer<'_>,
    ) -> Result<Auth, Self::Error> {
        if *offer.algorithm != Algorithm::Ed25519 {
            return Ok(Auth::reject());
        }
        Ok(self.authenticate(user, offer.public_key))
    }

    async fn auth_publickey(
        &mut self,
        user: &str,
        key: VerifiedPublicKey<'_>,
    ) -> Result<Auth, Self::Error> {
        Ok(self.authenticate(user, key.public_key))
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        if self.idle.len() + Arc::strong_count(&self.busy) > MAX_CHANNELS {
            reply.reject(ChannelOpenFailure::ResourceShortage).await;
            return Ok(());
        }
        self.idle.insert(
            channel.id(),
            Idle {
                channel,
                window: None,
            },
        );
        reply.accept().await;
        Ok(())
    }

    async fn channel_close(
        &mut self,
        channel: ChannelId,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.idle.remove(&channel);
        Ok(())
    }

    async fn pty_request(
        &mut self,
        channel: ChannelId,
        _term: &str,
        columns: u32,
        rows: u32,
        _width: u32,
        _height: u32,
        _modes: &[(russh::Pty, u32)],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        match self.idle.get_mut(&channel) {
            Some(idle) => {
                idle.window = Some(Window::new(columns, rows));
                session.channel_success(channel)
            }
            None => session.channel_failure(channel),
        }
    }

    async fn subsystem_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        if self.start(channel, name, session) {
            session.channel_success(channel)
        } else {
            session.channel_failure(channel)
        }
    }
}
