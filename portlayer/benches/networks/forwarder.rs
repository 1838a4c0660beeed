//! Sends bytes through the forwarder, on many connections at once.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use portlayer::ContainerId;
use portlayer::network::PortMapping;
use portlayer::network::forward::{Forwarder, KernelDialer, Publisher};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::median;
use super::table::{line, setting};

const RUNS: usize = 5;
/// The size of one write, in bytes.
const BLOCK: usize = 64 * 1024;

/// Client, forwarder and container are in one process, on loopback: every byte is written to two
/// sockets and read from two.
pub(super) async fn measure() {
    let (connections, mebibytes) = (setting("CONNECTIONS", 1000), setting("MEBIBYTES", 1000));
    let container = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let inner = container.local_addr().unwrap().port();
    tokio::spawn(serve(container));
    let forwarder = Forwarder::new(KernelDialer);
    let local = [PortMapping::new(inner).host_address(Ipv4Addr::LOCALHOST.into())];
    let id = ContainerId::generate();
    let published = forwarder.publish(id, Ipv4Addr::LOCALHOST.into(), &local);
    let port = published.await.unwrap()[0].host_port.unwrap();
    let to = SocketAddr::from((Ipv4Addr::LOCALHOST, port));

    let blocks = (mebibytes << 20).div_ceil(connections * BLOCK);
    let mut seconds = Vec::new();
    for _ in 0..RUNS {
        seconds.push(send(to, connections, blocks).await);
    }
    forwarder.withdraw(&id).await;
    let bits = (connections * blocks * BLOCK * 8) as f64;
    let rate = bits / median(seconds) / 1e9;
    line(
        &format!("forwarder on loopback with {connections} connections"),
        "1 Gbit/s",
        &format!("{rate:.2} Gbit/s"),
        rate >= 1.0,
    );
}

/// Opens all connections, then sends the same number of blocks on each. Returns the seconds from
/// the first block until the container has received all.
async fn send(to: SocketAddr, connections: usize, blocks: usize) -> f64 {
    let mut clients = Vec::with_capacity(connections);
    for _ in 0..connections {
        clients.push(TcpStream::connect(to).await.unwrap());
    }
    let content: Arc<[u8]> = vec![7; BLOCK].into();
    let begun = Instant::now();
    let sending: Vec<_> = clients
        .into_iter()
        .map(|mut client| {
            let content = Arc::clone(&content);
            tokio::spawn(async move {
                for _ in 0..blocks {
                    client.write_all(&content).await.unwrap();
                }
                client.shutdown().await.unwrap();
                let received = client.read_u64().await.unwrap();
                assert_eq!(received, (blocks * BLOCK) as u64);
            })
        })
        .collect();
    for sent in sending {
        sent.await.unwrap();
    }
    begun.elapsed().as_secs_f64()
}

/// Counts the bytes of each connection, and answers with their number.
async fn serve(container: TcpListener) {
    loop {
        let (mut stream, _) = container.accept().await.unwrap();
        tokio::spawn(async move {
            let mut buffer = vec![0; BLOCK];
            let mut total = 0_u64;
            loop {
                match stream.read(&mut buffer).await.unwrap() {
                    0 => break,
                    read => total += read as u64,
                }
            }
            stream.write_u64(total).await.unwrap();
        });
    }
}
