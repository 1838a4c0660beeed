//! An SSH server that logs the host in and then lies.

use std::sync::atomic::{AtomicBool, Ordering};

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use russh::server::{Auth, ChannelOpenHandle, Config, Handle, Handler, Msg, Session};
use russh::server::{PublicKeyOffer, VerifiedPublicKey};
use russh::{Channel, ChannelId, Sig};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::guest::{Counted, Lie};
use super::*;

pub(super) async fn serve(lie: Lie, line: Counted, host_key: &str) -> io::Result<()> {
    let key = russh::keys::PrivateKey::from_openssh(host_key).map_err(io::Error::other)?;
    let config = Config {
        keys: vec![key],
        auth_rejection_time: Duration::ZERO,
        ..Config::default()
    };
    let huge = Arc::new(AtomicBool::new(false));
    let line = Injected {
        line,
        huge: Arc::clone(&huge),
    };
    let server = Server {
        lie,
        huge,
        kept: Vec::new(),
        channels: Vec::new(),
    };
    let session = russh::server::run_stream(Arc::new(config), line, server).await;
    let session = session.map_err(io::Error::other)?;
    session.await.map_err(io::Error::other)
}

struct Server {
    lie: Lie,
    /// Makes the line send a packet of 4 GiB.
    huge: Arc<AtomicBool>,
    /// The requests that are never answered.
    kept: Vec<ChannelOpenHandle>,
    channels: Vec<Channel<Msg>>,
}

impl Handler for Server {
    type Error = russh::Error;

    async fn auth_publickey_offered(
        &mut self,
        _user: &str,
        _offer: PublicKeyOffer<'_>,
    ) -> Result<Auth, Self::Error> {
        Ok(Auth::Accept)
    }

    async fn auth_publickey(
        &mut self,
        _user: &str,
        _key: VerifiedPublicKey<'_>,
    ) -> Result<Auth, Self::Error> {
        Ok(Auth::Accept)
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.channels.push(channel);
        if self.lie == Lie::NoChannel {
            self.kept.push(reply);
        } else {
            reply.accept().await;
        }
        Ok(())
    }

    async fn subsystem_request(
        &mut self,
        id: ChannelId,
        _name: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        if self.lie == Lie::NoSubsystem {
            return Ok(());
        }
        session.channel_success(id)?;
        session.data(id, Bytes::from_static(b"ready\n"))?;
        let handle = session.handle();
        match self.lie {
            Lie::PacketInSession => self.huge.store(true, Ordering::Release),
            Lie::Flood => drop(tokio::spawn(flood(handle, id))),
            // The limit of a packet is 256 KiB.
            Lie::HugeRequest => exit_signal(session, id, 1 << 20)?,
            _ => exit_signal(session, id, 200_000)?,
        }
        Ok(())
    }
}

fn exit_signal(session: &mut Session, id: ChannelId, bytes: usize) -> Result<(), russh::Error> {
    let name = Sig::Custom("X".repeat(bytes));
    session.exit_signal_request(id, name, false, "", "")?;
    session.close(id)
}

/// Sends data without waiting for the grants of the host.
async fn flood(handle: Handle, id: ChannelId) {
    let data = Bytes::from(vec![b'x'; 16 * 1024]);
    while handle.data(id, data.clone()).await.is_ok() {}
}

/// A line on which a length of 4 GiB can be sent instead of the next packet, and then endless data.
struct Injected {
    line: Counted,
    huge: Arc<AtomicBool>,
}

impl AsyncRead for Injected {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.huge.load(Ordering::Acquire) {
            // The length of a packet is not encrypted. The server polls this whenever it is idle.
            while let Poll::Ready(sent) =
                Pin::new(&mut self.line).poll_write(cx, &[0xff; 64 * 1024])
            {
                sent?;
            }
        }
        Pin::new(&mut self.line).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Injected {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.line).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.line).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.line).poll_shutdown(cx)
    }
}
