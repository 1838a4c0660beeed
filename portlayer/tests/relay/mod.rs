//! A relay between the serial lines of guests and the line server, which can cut lines.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Relays serial lines, and cuts them when the test says so.
pub(super) struct Relay {
    pub(super) address: SocketAddr,
    /// Cuts all lines when it changes.
    pub(super) cut: watch::Sender<()>,
}

impl Relay {
    pub(super) async fn start(to: SocketAddr) -> Self {
        Self::flapping(to, []).await
    }

    /// Cuts each of the first lines after the guest has sent as many bytes over it as `budgets`
    /// says. All later lines stay.
    pub(super) async fn flapping<I>(to: SocketAddr, budgets: I) -> Self
    where
        I: IntoIterator<Item = u64>,
        I::IntoIter: Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (cut, cuts) = watch::channel(());
        let mut budgets = budgets.into_iter();
        tokio::spawn(async move {
            loop {
                let (line, _) = listener.accept().await.unwrap();
                let budget = budgets.next().unwrap_or(u64::MAX);
                let mut cuts = cuts.clone();
                cuts.mark_unchanged();
                tokio::spawn(async move {
                    tokio::select! {
                        () = carry(line, to, budget) => {}
                        _ = cuts.changed() => {}
                    }
                });
            }
        });
        Self { address, cut }
    }
}

/// Carries a line until the server closes it, or until the guest has sent `budget` bytes.
async fn carry(mut line: TcpStream, to: SocketAddr, budget: u64) {
    let Ok(mut server) = TcpStream::connect(to).await else {
        return;
    };
    let (from_guest, mut to_guest) = line.split();
    let (mut from_server, mut to_server) = server.split();
    let mut from_guest = from_guest.take(budget);
    let output = async {
        let _ = copy(&mut from_guest, &mut to_server).await;
        if from_guest.limit() > 0 {
            // The guest has closed its end; the server may still send.
            let _ = to_server.shutdown().await;
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = output => {}
        _ = copy(&mut from_server, &mut to_guest) => {}
    }
}
