//! Connects an attached client with a container's process.

use std::io::{self, Cursor};
use std::os::fd::AsFd as _;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use portlayer::stream::{Attached, Input, Output};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, Interest};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::server::TlsStream;

use crate::detach::DetachKeys;
use crate::multiplex::frame;

/// The size of the blocks that are read from a client.
const BLOCK: usize = 32 * 1024;

/// The settings of an attached client.
pub(crate) struct Manner {
    /// The container's log, to be sent before the output, if the client requested it.
    pub(crate) first: Option<Output>,
    /// Whether the process has a terminal.
    pub(crate) tty: bool,
    /// The detach keys.
    pub(crate) keys: Option<DetachKeys>,
    /// Whether the process's input is closed at the end of the client's input.
    pub(crate) stdin_once: bool,
}

/// A connection whose end can be detected without writing to it.
trait Connection: AsyncRead + AsyncWrite + Unpin {
    /// Duplicates the socket to watch it.
    fn watch(&self) -> io::Result<Socket>;
}

/// A duplicated socket, which is only watched.
enum Socket {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl Connection for UnixStream {
    fn watch(&self) -> io::Result<Socket> {
        let socket = self.as_fd().try_clone_to_owned()?;
        Self::from_std(socket.into()).map(Socket::Unix)
    }
}

impl Connection for TcpStream {
    fn watch(&self) -> io::Result<Socket> {
        let socket = self.as_fd().try_clone_to_owned()?;
        Self::from_std(socket.into()).map(Socket::Tcp)
    }
}

impl Connection for TlsStream<TcpStream> {
    fn watch(&self) -> io::Result<Socket> {
        self.get_ref().0.watch()
    }
}

impl Socket {
    /// Waits until both directions are closed: a client that only ended its input still receives
    /// the output. On TCP this is detected by keepalive probes.
    async fn closed(&self) {
        /// The polling period: a closed socket does not wake the task.
        const PERIOD: Duration = Duration::from_millis(500);
        loop {
            let ready = match self {
                Self::Unix(socket) => socket.ready(Interest::WRITABLE).await,
                Self::Tcp(socket) => socket.ready(Interest::WRITABLE).await,
            };
            match ready {
                Ok(ready) if !ready.is_write_closed() => tokio::time::sleep(PERIOD).await,
                _ => return,
            }
        }
    }
}

/// Copies bytes between a client's connection, once it has switched protocols, and a process, until
/// the process's output ends, the client disconnects, or the user types the detach keys.
pub(crate) async fn serve(connection: OnUpgrade, attached: Attached, manner: Manner) {
    let connection = match connection.await {
        Ok(connection) => connection,
        Err(error) => {
            tracing::debug!(%error, "a client left before it was attached");
            return;
        }
    };
    let connection = match connection.downcast::<TokioIo<UnixStream>>() {
        Ok(parts) => return carry(parts.io.into_inner(), parts.read_buf, attached, manner).await,
        Err(connection) => connection,
    };
    let connection = match connection.downcast::<TokioIo<TcpStream>>() {
        Ok(parts) => return carry(parts.io.into_inner(), parts.read_buf, attached, manner).await,
        Err(connection) => connection,
    };
    match connection.downcast::<TokioIo<TlsStream<TcpStream>>>() {
        Ok(parts) => carry(parts.io.into_inner(), parts.read_buf, attached, manner).await,
        Err(_) => tracing::warn!("a client's connection is of no known kind"),
    }
}

/// Copies bytes in both directions. `before` was read from the connection together with the
/// request.
async fn carry(connection: impl Connection, before: Bytes, attached: Attached, manner: Manner) {
    let Manner {
        first,
        tty,
        keys,
        stdin_once,
    } = manner;
    let socket = connection.watch();
    let (reader, to_client) = tokio::io::split(connection);
    let mut client = Cursor::new(before).chain(reader);
    let output = send(to_client, first, attached.output, tty);
    tokio::pin!(output);
    let over = tokio::select! {
        () = &mut output => true,
        over = async {
            match attached.input {
                Some(input) => receive(&mut client, input, keys, stdin_once).await,
                None => ignore(&mut client).await,
            }
        } => over,
    };
    if over {
        return;
    }
    // The connection continues after the end of the input: `echo x | docker run -i`.
    let closed = async {
        match &socket {
            Ok(socket) => socket.closed().await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = &mut output => {}
        () = closed => tracing::debug!("an attached client left"),
    }
}

async fn send(
    mut client: impl AsyncWrite + Unpin,
    first: Option<Output>,
    mut output: Output,
    tty: bool,
) {
    if let Some(mut first) = first
        && !send_all(&mut client, &mut first, tty).await
    {
        return;
    }
    if send_all(&mut client, &mut output, tty).await {
        let _ = client.shutdown().await;
    }
}

/// Returns whether the client is still connected.
async fn send_all(client: &mut (impl AsyncWrite + Unpin), output: &mut Output, tty: bool) -> bool {
    while let Some(chunk) = output.next().await {
        let chunk = match chunk {
            Ok(chunk) => chunk,
            Err(error) => {
                tracing::warn!(%error, "the output of a container ended early");
                return true;
            }
        };
        let bytes = frame(tty, chunk.stream, chunk.bytes);
        if client.write_all(&bytes).await.is_err() || client.flush().await.is_err() {
            return false;
        }
    }
    true
}

/// Discards the client's input. Returns whether the connection broke; otherwise the input has
/// ended.
async fn ignore(client: &mut (impl AsyncRead + Unpin)) -> bool {
    tokio::io::copy(client, &mut tokio::io::sink())
        .await
        .is_err()
}

/// Copies the client's input to the process. Returns whether the user typed the detach keys or the
/// connection broke; otherwise the input has ended. With `stdin_once`, that closes the process's
/// input.
async fn receive(
    client: &mut (impl AsyncRead + Unpin),
    mut input: Input,
    mut keys: Option<DetachKeys>,
    stdin_once: bool,
) -> bool {
    let mut block = vec![0; BLOCK];
    let mut filtered = Vec::new();
    loop {
        let read = match client.read(&mut block).await {
            Ok(0) => {
                if stdin_once {
                    let _ = input.shutdown().await;
                }
                return false;
            }
            Ok(count) => &block[..count],
            // The connection broke: leave the input open for the next client.
            Err(_) => return true,
        };
        let (bytes, detached) = match &mut keys {
            None => (read, false),
            Some(keys) => {
                filtered.clear();
                let detached = keys.filter(read, &mut filtered);
                (filtered.as_slice(), detached)
            }
        };
        if input.write_all(bytes).await.is_err() || input.flush().await.is_err() {
            // The process closed its input; its output may continue.
            return false;
        }
        if detached {
            return true;
        }
    }
}
