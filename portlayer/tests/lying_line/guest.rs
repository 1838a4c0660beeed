//! The guests that lie over their lines.

use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use guest_io::handshake;
use simulator::SerialPort;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use super::*;

/// What a guest sends over its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Lie {
    /// Endless data instead of a handshake.
    Noise,
    /// Refuses each step of the handshake.
    Refusals,
    /// Completes the handshake again and again, but SSH never follows.
    Promises,
    /// The first line of SSH never ends.
    EndlessBanner,
    /// The first packet of SSH claims to have 4 GiB.
    HugePacket,
    /// Logs in, but does not answer the request for a channel.
    NoChannel,
    /// Opens a channel, but does not answer the request to attach.
    NoSubsystem,
    /// Claims in the middle of a session that the next packet has 4 GiB.
    PacketInSession,
    /// Ignores the windows.
    Flood,
    /// Sends a request with a payload that no packet may have.
    HugeRequest,
    /// Sends a request with a payload that just fits into a packet.
    LargeRequest,
    /// Writes nonsense into the log.
    Log,
}

impl Lie {
    pub(super) const ALL: [Self; 12] = [
        Self::Noise,
        Self::Refusals,
        Self::Promises,
        Self::EndlessBanner,
        Self::HugePacket,
        Self::NoChannel,
        Self::NoSubsystem,
        Self::PacketInSession,
        Self::Flood,
        Self::HugeRequest,
        Self::LargeRequest,
        Self::Log,
    ];

    /// All that break the session to which a client is attached.
    pub(super) const AFTER_LOGIN: [Self; 5] = [
        Self::NoChannel,
        Self::NoSubsystem,
        Self::PacketInSession,
        Self::Flood,
        Self::HugeRequest,
    ];

    /// Returns the path of the program of a container that lies in this way.
    pub(super) fn path(self) -> String {
        format!("/lie-{self:?}").to_lowercase()
    }
}

/// A guest that lies if its container has the path of a lie, and is an [`Agent`] otherwise.
#[derive(Clone, Debug, Default)]
pub(super) struct Liar {
    /// The largest number of bytes that was sent over one line, by lie.
    taken: Arc<Mutex<HashMap<Lie, u64>>>,
}

impl Liar {
    pub(super) fn most_taken(&self, lie: Lie) -> u64 {
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.get(&lie).copied().unwrap_or_default()
    }
}

#[async_trait]
impl Guest for Liar {
    async fn run(&self, machine: GuestMachine) {
        let config = configuration(&machine);
        let session = config.sessions.first_key_value();
        let lie = session.and_then(|(id, session)| {
            let lie = Lie::ALL.into_iter();
            let mut lie = lie.filter(|lie| lie.path() == session.command.path);
            Some((id, lie.next()?))
        });
        let Some((id, lie)) = lie else {
            return Agent.run(machine).await;
        };
        let key = format!("guestinfo.vice..sessions|{id}.started");
        machine.set(&key, "true").unwrap();
        if lie == Lie::Log {
            let mut log = machine.serial(1).unwrap();
            log.write_all(&logs::nonsense()).await.unwrap();
            return machine.power_off();
        }
        let host_key = String::from_utf8(config.key.0.clone()).unwrap();
        loop {
            let watched = machine.serial(0).unwrap();
            watched.carrier_is(true).await;
            let line = Counted {
                line: machine.serial(0).unwrap(),
                sent: 0,
                lie,
                guest: self.clone(),
            };
            tokio::select! {
                _ = tell(lie, line, &host_key) => watched.carrier_is(false).await,
                () = watched.carrier_is(false) => {}
            }
        }
    }
}

async fn tell(lie: Lie, mut line: Counted, host_key: &str) -> io::Result<()> {
    let endless = [b'x'; 64 * 1024];
    match lie {
        Lie::Noise => {}
        Lie::Refusals => {
            let mut byte = [0; 64];
            while line.read(&mut byte).await? > 0 {
                line.write_all(&[handshake::NAK]).await?;
            }
            return Ok(());
        }
        Lie::Promises => loop {
            shake_hands(&mut line).await?;
            line.write_all(b"not ssh").await?;
        },
        Lie::EndlessBanner => {
            shake_hands(&mut line).await?;
            line.write_all(b"SSH-").await?;
        }
        Lie::HugePacket => {
            shake_hands(&mut line).await?;
            line.write_all(b"SSH-2.0-liar\r\n\xff\xff\xff\xff").await?;
        }
        _ => {
            shake_hands(&mut line).await?;
            return ssh::serve(lie, line, host_key).await;
        }
    }
    loop {
        line.write_all(&endless).await?;
    }
}

async fn shake_hands(line: &mut Counted) -> io::Result<()> {
    let mut server = handshake::Server::new(handshake::Dialect::Vic1, 9);
    while !server.is_done() {
        let mut buffer = [0; 256];
        let read = line.read(&mut buffer).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        server.receive(&buffer[..read]).map_err(io::Error::other)?;
        line.write_all(&server.take_output()).await?;
    }
    Ok(())
}

/// A line that counts what the host takes.
pub(super) struct Counted {
    line: SerialPort,
    sent: u64,
    lie: Lie,
    guest: Liar,
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.line).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if !self.line.carrier() {
            // A port without a connection would discard them.
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let written = std::task::ready!(Pin::new(&mut self.line).poll_write(cx, bytes))?;
        self.sent += u64::try_from(written).unwrap();
        let (lie, sent) = (self.lie, self.sent);
        let mut taken = self
            .guest
            .taken
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let most = taken.entry(lie).or_default();
        *most = sent.max(*most);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.line).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.line).poll_shutdown(cx)
    }
}
