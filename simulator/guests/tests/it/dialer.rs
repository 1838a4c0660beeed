//! Connections to servers in containers, by their addresses.
#![cfg(target_arch = "x86_64")]

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use portlayer::exec::{Command, ContainerSpec, StartOptions};
use portlayer::vsphere::Dialect;
use portlayer::{ContainerId, Exec as _, ExecExt as _};
use simulator_guests::DialError;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{sleep, timeout};

use crate::machine::Endpoint;

/// Starts a container that runs a server; returns it with the server's address.
pub(crate) async fn serve(endpoint: &Endpoint, program: &str) -> (ContainerId, SocketAddr) {
    let exec = endpoint.hosts.exec("vch").await.expect("the host");
    let spec = ContainerSpec::new(program.trim_start_matches('/'), Command::new(program));
    let id = exec.create(spec).await.expect("a container");
    let started = exec.start(&id, StartOptions::default()).await;
    started.expect("a start");
    let info = exec.inspect(&id).await.expect("a description");
    let address = info.endpoints[0].address.expect("an address");
    (id, SocketAddr::new(address.addr(), 8080))
}

/// Retries until the server listens.
async fn until_it_listens<T, E, F>(attempt: impl Fn() -> F + Send + Sync) -> T
where
    F: Future<Output = Result<T, E>> + Send,
    E: Send,
{
    let listening = async {
        loop {
            if let Ok(done) = attempt().await {
                return done;
            }
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(20), listening)
        .await
        .expect("a server")
}

/// Sends a text to a server as soon as it listens, and returns its answer.
pub(crate) async fn echoes(endpoint: &Endpoint, at: SocketAddr) -> String {
    let dialer = endpoint.guest.dialer();
    let mut stream = until_it_listens(|| dialer.connect(at)).await;
    stream.write_all(b"to and fro").await.expect("a write");
    stream.shutdown().await.expect("an end");
    let mut back = String::new();
    stream.read_to_string(&mut back).await.expect("an answer");
    back
}

#[tokio::test]
async fn servers_in_containers_are_reached_by_their_addresses() {
    let Some(endpoint) = Endpoint::start(Dialect::Vic1).await else {
        return;
    };
    let dialer = endpoint.guest.dialer();
    let (tcp, at) = serve(&endpoint, "/tcp").await;
    assert_eq!(echoes(&endpoint, at).await, "to and fro");
    let closed = SocketAddr::new(at.ip(), 8081);
    let refused = dialer.connect(closed).await.expect_err("nobody listens");
    assert!(matches!(refused, DialError::Failed { .. }), "{refused:?}");

    let (_, to) = serve(&endpoint, "/udp").await;
    let length = until_it_listens(|| async {
        let socket = dialer.datagrams(to).await.map_err(io::Error::other)?;
        socket.send(b"query").await?;
        socket.recv(&mut [0; 16]).await
    });
    assert_eq!(length.await, 5);

    // A container that is off cannot be reached by its address.
    let exec = endpoint.hosts.exec("vch").await.expect("the host");
    exec.remove_forced(&tcp).await.expect("a removal");
    let gone = dialer.connect(at).await.expect_err("nobody is there");
    assert!(matches!(gone, DialError::NoContainer { .. }), "{gone:?}");
    endpoint.simulator.shutdown().await;
}
