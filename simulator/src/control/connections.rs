//! The connections of the control interface, with the limits of those of the server.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::server::connection::{Connection, Limits, Peer};
use crate::server::connection_limit::{ConnectionLimit, QUEUE};
use crate::shared::Shared;

/// Maximum number of connections. At the limit, the one that has been idle for the longest is closed
/// for a new one.
pub(super) const CONNECTIONS: usize = 64;

/// Accepts connections.
pub(super) struct Connections {
    listener: TcpListener,
    limit: Arc<ConnectionLimit>,
    limits: Limits,
    stop: CancellationToken,
}

impl Connections {
    pub(super) fn new(shared: &Shared, listener: TcpListener) -> Self {
        Self {
            listener,
            limit: ConnectionLimit::new(CONNECTIONS, shared.settings.read.min(QUEUE)),
            limits: Limits::of(&shared.settings),
            stop: shared.stop.clone(),
        }
    }
}

impl Listener for Connections {
    type Io = Connection<TcpStream>;
    type Addr = Peer;

    async fn accept(&mut self) -> (Self::Io, Peer) {
        loop {
            let (stream, address) = match self.listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection to the control interface");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            // Not a child of the token: the answer to a request to stop is still sent.
            let hang_up = CancellationToken::new();
            let permit = tokio::select! {
                permit = self.limit.take(&hang_up) => permit,
                () = self.stop.cancelled() => None,
            };
            let Some(permit) = permit else {
                tracing::warn!(%address, "the control interface has too many connections");
                continue;
            };
            let peer = Peer {
                address,
                hang_up: hang_up.clone(),
                activity: Some(Arc::clone(&permit.activity)),
            };
            return (Connection::new(stream, hang_up, permit, self.limits), peer);
        }
    }

    fn local_addr(&self) -> io::Result<Peer> {
        let address: SocketAddr = self.listener.local_addr()?;
        Ok(Peer {
            address,
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
