//! Accepts connections, with limits on their number and on slow clients.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, Sleep};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::connection_limit::{Activity, ConnectionLimit, ConnectionPermit, QUEUE};
use crate::builder::Settings;
use crate::shared::Shared;

/// Timeout of a TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Timeout of one write to a client.
const STALLED: Duration = Duration::from_secs(120);
/// Maximum number of connections over the limit that wait at a time.
const WAITING: usize = 1_024;

/// Connections whose handshake is done.
pub(super) struct Connections {
    ready: mpsc::Receiver<(Connection, Peer)>,
    address: SocketAddr,
}

/// The client of a connection, with a token that closes the connection.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    pub(crate) hang_up: CancellationToken,
    pub(crate) activity: Option<Arc<Activity>>,
}

/// One connection. It ends when its token is cancelled, when it is idle for too long, or
/// when a request is not complete in time.
pub(crate) struct Connection<S = TlsStream<TcpStream>> {
    stream: Box<S>,
    ended: Pin<Box<WaitForCancellationFutureOwned>>,
    permit: ConnectionPermit,
    limits: Limits,
    /// The number of requests before the current one, and the time when the current one's
    /// first byte arrived.
    started: Option<(u64, Instant)>,
    reading: Option<(Instant, Pin<Box<Sleep>>)>,
    writing: Option<Pin<Box<Sleep>>>,
}

/// Time limits of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The time between requests.
    idle: Duration,
    /// The time from the first byte of a request to the end of its header.
    header: Duration,
}

impl Limits {
    pub(crate) const fn of(settings: &Settings) -> Self {
        Self {
            idle: settings.idle,
            header: settings.read,
        }
    }
}

impl Connections {
    pub(super) fn accept(
        shared: &Arc<Shared>,
        listener: TcpListener,
        acceptor: TlsAcceptor,
    ) -> Self {
        let address = listener
            .local_addr()
            .unwrap_or_else(|_| SocketAddr::from(([127, 0, 0, 1], 0)));
        let (sender, ready) = mpsc::channel(16);
        let accepting = Arc::clone(shared);
        shared.spawn(async move {
            let queue = accepting.settings.read.min(QUEUE);
            let limit = ConnectionLimit::new(accepting.settings.connections, queue);
            let waiting = Arc::new(Semaphore::new(WAITING));
            loop {
                let (stream, address) = match listener.accept().await {
                    Ok(accepted) => accepted,
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a connection");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                        continue;
                    }
                };
                // Spawn a task, so that accepting other connections does not wait for the
                // handshake or for the limit of connections.
                let Ok(queued) = Arc::clone(&waiting).try_acquire_owned() else {
                    tracing::warn!(%address, "too many connections are waiting");
                    continue;
                };
                let _ = stream.set_nodelay(true);
                let arrival = Arrival {
                    acceptor: acceptor.clone(),
                    limit: Arc::clone(&limit),
                    address,
                    hang_up: accepting.stop.child_token(),
                    limits: Limits::of(&accepting.settings),
                };
                let sender = sender.clone();
                accepting.spawn(async move {
                    let connection = arrival.admit(stream).await;
                    drop(queued);
                    if let Some(connection) = connection {
                        let _ = sender.send(connection).await;
                    }
                });
            }
        });
        Self { ready, address }
    }
}

/// A client that has just connected, with the data that is needed to admit it.
struct Arrival {
    acceptor: TlsAcceptor,
    limit: Arc<ConnectionLimit>,
    address: SocketAddr,
    hang_up: CancellationToken,
    limits: Limits,
}

impl Arrival {
    /// Waits for a permit and the handshake. Returns `None`, and closes the connection, if one of
    /// them takes too long or fails.
    async fn admit(self, stream: TcpStream) -> Option<(Connection, Peer)> {
        let permit = self.limit.take(&self.hang_up).await;
        let handshake = tokio::time::timeout(HANDSHAKE, self.acceptor.accept(stream));
        let stream = match self.hang_up.run_until_cancelled(handshake).await? {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                tracing::debug!(address = %self.address, %error, "no TLS connection");
                return None;
            }
            Err(_) => {
                tracing::debug!(address = %self.address, "TLS handshake took too long");
                return None;
            }
        };
        let Some(permit) = permit else {
            refuse(stream).await;
            return None;
        };
        let peer = Peer {
            address: self.address,
            hang_up: self.hang_up.clone(),
            activity: Some(Arc::clone(&permit.activity)),
        };
        let connection = Connection::new(stream, self.hang_up, permit, self.limits);
        Some((connection, peer))
    }
}

/// Responds to a client over the limit with status 503.
async fn refuse(mut stream: TlsStream<TcpStream>) {
    const ANSWER: &str = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n\
        Connection: close\r\nContent-Type: text/plain\r\nContent-Length: 45\r\n\r\n\
        The server has too many connections in use.\r\n";
    let sent = async {
        stream.write_all(ANSWER.as_bytes()).await?;
        stream.shutdown().await?;
        // Read what the client sent: closing with unread data could discard the response.
        let mut request = (&mut stream).take(1 << 20);
        tokio::io::copy(&mut request, &mut tokio::io::sink()).await
    };
    let _ = tokio::time::timeout(Duration::from_secs(1), sent).await;
}

impl Listener for Connections {
    type Io = Connection;
    type Addr = Peer;

    async fn accept(&mut self) -> (Connection, Peer) {
        match self.ready.recv().await {
            Some(connection) => connection,
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<Peer> {
        Ok(Peer {
            address: self.address,
            hang_up: CancellationToken::new(),
            activity: None,
        })
    }
}

impl Connected<IncomingStream<'_, Connections>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Connections>) -> Self {
        stream.remote_addr().clone()
    }
}

impl<S> Connection<S> {
    /// Creates a connection that ends when `hang_up` is cancelled.
    pub(crate) fn new(
        stream: S,
        hang_up: CancellationToken,
        permit: ConnectionPermit,
        limits: Limits,
    ) -> Self {
        Self {
            stream: Box::new(stream),
            ended: Box::pin(hang_up.cancelled_owned()),
            permit,
            limits,
            started: None,
            reading: None,
            writing: None,
        }
    }

    /// Fails if the connection has to be closed.
    fn poll_alive(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.ended.as_mut().poll(cx) {
            Poll::Ready(()) => Err(io::ErrorKind::ConnectionAborted.into()),
            Poll::Pending => Ok(()),
        }
    }

    /// Fails once the next request is overdue.
    fn poll_overdue(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let Some(idle) = self.permit.activity.idle_since() else {
            // A request is in progress: bytes belong to its body, which has its own timeouts.
            (self.started, self.reading) = (None, None);
            return Ok(());
        };
        let total = self.permit.activity.total();
        let until = match self.started {
            Some((before, first)) if before == total => first + self.limits.header,
            _ => idle + self.limits.idle,
        };
        let timer = match &mut self.reading {
            Some((set, timer)) if *set == until => timer,
            other => {
                &mut other
                    .insert((until, Box::pin(tokio::time::sleep_until(until))))
                    .1
            }
        };
        match timer.as_mut().poll(cx) {
            Poll::Ready(()) => Err(io::ErrorKind::TimedOut.into()),
            Poll::Pending => Ok(()),
        }
    }

    /// Fails if the client does not read written data for too long.
    fn poll_written<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.writing = None;
            return written;
        }
        let timer = self
            .writing
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(STALLED)));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Connection<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll_alive(cx)?;
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if read.is_pending() {
            self.poll_overdue(cx)?;
        } else if buffer.filled().len() > before {
            let total = self.permit.activity.total();
            if self.started.is_none_or(|(before, _)| before != total) {
                self.started = Some((total, Instant::now()));
            }
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Connection<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_alive(cx)?;
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.poll_written(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_alive(cx)?;
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.poll_written(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_alive(cx)?;
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.poll_written(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.ended.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
        Poll::Ready(Ok(()))
    }
}
