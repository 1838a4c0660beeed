//! Accepts and serves connections on Unix and TCP sockets.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, header::HeaderValue};
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
#[cfg(unix)]
use tokio::net::UnixListener;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

use crate::request::{API_VERSION, Call};
use crate::{FrontEnd, reply, router};

/// The number of concurrent connections per socket; further ones wait.
const CONNECTIONS_MAX: usize = 2048;
/// Keepalive probes detect a client that is gone after about a minute and a half: its system still
/// answers for a minute.
const KEEPALIVE: TcpKeepalive = TcpKeepalive::new()
    .with_time(Duration::from_secs(30))
    .with_interval(Duration::from_secs(15));
/// The time limit for a request's headers, and for a TLS handshake.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

impl FrontEnd {
    /// Serves clients on a Unix socket until the future is dropped.
    ///
    /// # Errors
    /// Fails when the socket cannot accept connections any more.
    #[cfg(unix)]
    pub async fn serve_unix(&self, listener: UnixListener) -> io::Result<()> {
        let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            let permit = Arc::clone(&room).acquire_owned().await;
            let client = match listener.accept().await {
                Ok((client, _)) => client,
                Err(error) => {
                    pause(error).await?;
                    continue;
                }
            };
            let front_end = self.clone();
            tokio::spawn(async move {
                serve(front_end, client).await;
                drop(permit);
            });
        }
    }

    /// Serves clients on a TCP socket, by TLS if there is an acceptor, until the future is
    /// dropped.
    ///
    /// # Errors
    /// Fails when the socket cannot accept connections any more.
    pub async fn serve_tcp(
        &self,
        listener: TcpListener,
        tls: Option<TlsAcceptor>,
    ) -> io::Result<()> {
        let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            let permit = Arc::clone(&room).acquire_owned().await;
            let client = match listener.accept().await {
                Ok((client, _)) => client,
                Err(error) => {
                    pause(error).await?;
                    continue;
                }
            };
            let _ = client.set_nodelay(true);
            let _ = SockRef::from(&client).set_tcp_keepalive(&KEEPALIVE);
            let (front_end, tls) = (self.clone(), tls.clone());
            tokio::spawn(async move {
                match tls {
                    None => serve(front_end, client).await,
                    Some(tls) => {
                        match tokio::time::timeout(HEADER_TIMEOUT, tls.accept(client)).await {
                            Ok(Ok(client)) => serve(front_end, client).await,
                            Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
                            Err(_) => tracing::debug!("a TLS handshake took too long"),
                        }
                    }
                }
                drop(permit);
            });
        }
    }
}

/// Waits when the process has no file descriptors left; ignores errors of a single client.
async fn pause(error: io::Error) -> io::Result<()> {
    match error.kind() {
        io::ErrorKind::ConnectionAborted
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::Interrupted => Ok(()),
        io::ErrorKind::InvalidInput => Err(error),
        _ => {
            tracing::warn!(%error, "cannot accept a connection");
            tokio::time::sleep(Duration::from_millis(200)).await;
            Ok(())
        }
    }
}

async fn serve<C>(front_end: FrontEnd, client: C)
where
    C: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request| {
        let front_end = front_end.clone();
        async move { Ok::<_, Infallible>(answer(&front_end, request).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(client), service)
        .with_upgrades()
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection ended early");
    }
}

async fn answer(front_end: &FrontEnd, request: Request<Incoming>) -> reply::Reply {
    let what = format!("{} {}", request.method(), request.uri().path());
    let outcome = match Call::new(request) {
        Ok(call) => router::route(front_end, call).await,
        Err(error) => Err(error),
    };
    let mut reply = match outcome {
        Ok(reply) => {
            tracing::debug!(%what, status = reply.status().as_u16());
            reply
        }
        Err(error) => {
            tracing::debug!(%what, status = error.status.as_u16(), error = error.message);
            reply::error_reply(&error)
        }
    };
    let headers = reply.headers_mut();
    if let Ok(version) = HeaderValue::from_str(&format!("1.{API_VERSION}")) {
        headers.insert("Api-Version", version);
    }
    headers.insert("Docker-Experimental", HeaderValue::from_static("false"));
    headers.insert("Ostype", HeaderValue::from_static("linux"));
    headers.insert(
        "Server",
        HeaderValue::from_static(concat!("portlayer-docker/", env!("CARGO_PKG_VERSION"))),
    );
    reply
}
