//! Forwarding of TCP connections.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::copy_bidirectional_with_sizes;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::Shared;

/// The buffer size of a connection in each direction, in bytes.
const BUFFER: usize = 16 * 1024;
/// The pause after a failed accept, for example because no file descriptor is left.
const PAUSE: Duration = Duration::from_millis(100);

/// Forwards connections until the task is aborted; open connections are then closed.
pub(super) async fn forward(shared: Arc<Shared>, listener: TcpListener, to: SocketAddr) {
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((client, _)) => {
                    // If the limit is reached, this waits for a permit while further connections
                    // wait in the kernel's queue.
                    let place = Arc::clone(&shared.connections).acquire_owned().await;
                    // The semaphore is never closed.
                    let Ok(place) = place else { return };
                    let shared = Arc::clone(&shared);
                    open.spawn(async move {
                        if let Err(error) = serve(&shared, client, to).await {
                            tracing::debug!(%to, %error, "a forwarded connection ended");
                        }
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%to, %error, "a published port cannot accept a connection");
                    sleep(PAUSE).await;
                }
            },
            Some(_) = open.join_next() => {}
        }
    }
}

async fn serve(shared: &Shared, mut client: TcpStream, to: SocketAddr) -> io::Result<()> {
    client.set_nodelay(true)?;
    let dial = shared.dialer.connect(to);
    let mut container = timeout(shared.limits.dial_timeout, dial)
        .await
        .map_err(|_elapsed| io::Error::from(io::ErrorKind::TimedOut))??;
    copy_bidirectional_with_sizes(&mut client, &mut container, BUFFER, BUFFER).await?;
    Ok(())
}
