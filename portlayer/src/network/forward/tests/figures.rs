//! Measures the speed of the forwarder. Run with optimization: `cargo test --release -p portlayer
//! --lib figures -- --ignored --nocapture --test-threads 1`
#![allow(clippy::print_stdout, reason = "figures are printed")]

use std::time::Instant;

use super::*;

const CONNECTIONS: usize = 1000;
const PER_CONNECTION: usize = 1 << 20;

/// Client, forwarder and container are in one process, on loopback: every byte is written to three
/// sockets and read from three.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a figure; needs 4,096 file descriptors"]
async fn a_thousand_connections_at_once() {
    let container = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let inner = container.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = container.accept().await.unwrap();
            tokio::spawn(async move {
                let mut buffer = vec![0; 64 * 1024];
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
    });
    let forwarder = Forwarder::new(KernelDialer);
    let (id, address) = (ContainerId::generate(), Ipv4Addr::LOCALHOST.into());
    let ports = forwarder
        .publish(id, address, &[local(inner)])
        .await
        .unwrap();
    let to = at(&ports[0]);
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        clients.push(TcpStream::connect(to).await.unwrap());
    }
    let content: Arc<[u8]> = vec![7; 64 * 1024].into();
    let begun = Instant::now();
    let sent: Vec<_> = clients
        .into_iter()
        .map(|mut client| {
            let content = Arc::clone(&content);
            tokio::spawn(async move {
                for _ in 0..PER_CONNECTION / content.len() {
                    client.write_all(&content).await.unwrap();
                }
                client.shutdown().await.unwrap();
                assert_eq!(client.read_u64().await.unwrap(), PER_CONNECTION as u64);
            })
        })
        .collect();
    for sent in sent {
        sent.await.unwrap();
    }
    let took = begun.elapsed().as_secs_f64();
    let bits = (CONNECTIONS * PER_CONNECTION * 8) as f64;
    println!(
        "{CONNECTIONS} connections at once through the forwarder: {:.2} Gbit/s",
        bits / took / 1e9
    );
}
