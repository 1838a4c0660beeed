//! Relays a host's serial lines to the current port layer.

use std::net::SocketAddr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Accepts serial lines at a constant address, and connects each to the current port layer. A line
/// is closed when another port layer becomes the current one.
#[derive(Debug)]
pub(crate) struct LineRelay {
    address: SocketAddr,
    to: watch::Sender<Option<SocketAddr>>,
}

impl LineRelay {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (to, current) = watch::channel(None);
        tokio::spawn(async move {
            while let Ok((line, _)) = listener.accept().await {
                tokio::spawn(relay(line, current.clone()));
            }
        });
        Self { address, to }
    }

    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    pub(crate) fn connect_to(&self, address: SocketAddr) {
        self.to.send_replace(Some(address));
    }
}

async fn relay(mut line: TcpStream, mut current: watch::Receiver<Option<SocketAddr>>) {
    let to = *current.borrow_and_update();
    if let Some(to) = to
        && let Ok(mut server) = TcpStream::connect(to).await
    {
        tokio::select! {
            _ = copy_bidirectional(&mut line, &mut server) => {}
            _ = current.changed() => {}
        }
    }
}
