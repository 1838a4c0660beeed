//! Forwarding of UDP datagrams.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

use super::Shared;

/// The maximum size of a datagram, in bytes.
const DATAGRAM: usize = 65_536;
/// The maximum number of queued datagrams per client; further ones are dropped, as in any network.
const WAITING: usize = 64;

/// Forwards datagrams until the task is aborted. Each client has its own socket to the
/// container, so that responses can be assigned to it.
pub(super) async fn forward(shared: Arc<Shared>, socket: UdpSocket, to: SocketAddr) {
    let socket = Arc::new(socket);
    let mut clients: HashMap<SocketAddr, (mpsc::Sender<Vec<u8>>, AbortHandle)> = HashMap::new();
    let mut open = JoinSet::new();
    let mut buffer = vec![0; DATAGRAM];
    loop {
        tokio::select! {
            received = socket.recv_from(&mut buffer) => {
                let Ok((length, client)) = received else {
                    // The response is for an earlier client, which is gone.
                    continue;
                };
                let is_full = clients.len() >= shared.limits.udp_clients;
                if !clients.contains_key(&client) && is_full {
                    continue;
                }
                let (sender, _) = clients.entry(client).or_insert_with(|| {
                    let (sender, receiver) = mpsc::channel(WAITING);
                    let (shared, socket) = (Arc::clone(&shared), Arc::clone(&socket));
                    let handle = open.spawn(async move {
                        if let Err(error) = serve(&shared, &socket, client, to, receiver).await {
                            tracing::debug!(%to, %error, "a forwarded UDP client ended");
                        }
                        client
                    });
                    (sender, handle)
                });
                let datagram = buffer.get(..length).unwrap_or_default().to_vec();
                // If the queue is full, the datagram is dropped.
                let _sent = sender.try_send(datagram);
            }
            Some(ended) = open.join_next() => match ended {
                Ok(client) => {
                    clients.remove(&client);
                }
                Err(_panicked) => clients.retain(|_, (_, handle)| !handle.is_finished()),
            },
        }
    }
}

/// Exchanges datagrams between a client and the container until the client's idle timeout.
async fn serve(
    shared: &Shared,
    socket: &UdpSocket,
    client: SocketAddr,
    to: SocketAddr,
    mut from_client: mpsc::Receiver<Vec<u8>>,
) -> io::Result<()> {
    let container = shared.dialer.datagrams(to).await?;
    let mut buffer = vec![0; DATAGRAM];
    loop {
        let next = async {
            tokio::select! {
                datagram = from_client.recv() => match datagram {
                    Some(datagram) => {
                        container.send(&datagram).await?;
                        Ok(true)
                    }
                    None => Ok(false),
                },
                length = container.receive(&mut buffer) => {
                    let datagram = buffer.get(..length?).unwrap_or_default();
                    socket.send_to(datagram, client).await?;
                    io::Result::Ok(true)
                }
            }
        };
        match timeout(shared.limits.udp_idle, next).await {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) | Err(_) => return Ok(()),
            Ok(Err(error)) => return Err(error),
        }
    }
}
