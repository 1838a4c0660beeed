#![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

use super::*;
use crate::ErrorKind;
use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

/// A dialer to a container whose ports echo what they receive, entirely in memory.
#[derive(Debug)]
struct Echo;

#[async_trait]
impl Dialer for Echo {
    async fn connect(&self, _: SocketAddr) -> io::Result<Box<dyn Connection>> {
        let (near, far) = tokio::io::duplex(4096);
        tokio::spawn(async move {
            let (mut reader, mut writer) = tokio::io::split(far);
            let _ended = tokio::io::copy(&mut reader, &mut writer).await;
            let _ended = writer.shutdown().await;
        });
        Ok(Box::new(near))
    }

    async fn datagrams(&self, to: SocketAddr) -> io::Result<Box<dyn Datagrams>> {
        KernelDialer.datagrams(to).await
    }
}

fn local(port: u16) -> PortMapping {
    PortMapping::new(port).host_address(Ipv4Addr::LOCALHOST.into())
}

fn at(port: &PortMapping) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port.host_port.unwrap()).into()
}

async fn echoes(to: SocketAddr, content: &[u8]) -> bool {
    let mut stream = TcpStream::connect(to).await.unwrap();
    stream.write_all(content).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut back = Vec::new();
    stream.read_to_end(&mut back).await.unwrap();
    back == content
}

#[tokio::test]
async fn a_thousand_connections_are_forwarded() {
    let forwarder = Forwarder::new(Echo);
    let address = Ipv4Addr::new(172, 16, 0, 2).into();
    let id = ContainerId::generate();
    let ports = forwarder.publish(id, address, &[local(80)]).await.unwrap();
    let content = vec![7; 5000];
    // Open only as many connections at a time as the limit on file descriptors certainly allows.
    for _ in 0..5 {
        let clients = (0..200).map(|_| echoes(at(&ports[0]), &content));
        assert!(join_all(clients).await.into_iter().all(|same| same));
    }
    assert_eq!(
        forwarder.shared.connections.available_permits(),
        Limits::default().connections
    );
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_a_place() {
    let forwarder = Forwarder::with_limits(Echo, Limits::default().connections(1));
    let address = Ipv4Addr::new(172, 16, 0, 2).into();
    let id = ContainerId::generate();
    let ports = forwarder.publish(id, address, &[local(80)]).await.unwrap();
    let mut first = TcpStream::connect(at(&ports[0])).await.unwrap();
    first.write_all(b"a").await.unwrap();
    first.read_u8().await.unwrap();
    let second = tokio::spawn(echoes(
        (Ipv4Addr::LOCALHOST, ports[0].host_port.unwrap()).into(),
        b"b",
    ));
    // The first connection still works, and the second has to wait until the first ends.
    first.write_all(b"c").await.unwrap();
    assert_eq!(first.read_u8().await.unwrap(), b'c');
    assert!(!second.is_finished());
    drop(first);
    assert!(second.await.unwrap());
}

#[tokio::test]
async fn the_kernel_reaches_what_listens_on_it() {
    let container = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let inner = container.local_addr().unwrap().port();
    let forwarder = Forwarder::new(KernelDialer);
    let (id, address) = (ContainerId::generate(), Ipv4Addr::LOCALHOST.into());
    let ports = forwarder
        .publish(id, address, &[local(inner)])
        .await
        .unwrap();
    let client = tokio::spawn(echoes(at(&ports[0]), b"hello"));
    let (mut stream, _) = container.accept().await.unwrap();
    let mut content = Vec::new();
    stream.read_to_end(&mut content).await.unwrap();
    stream.write_all(&content).await.unwrap();
    drop(stream);
    assert!(client.await.unwrap());
}

#[tokio::test]
async fn answers_of_udp_find_their_client() {
    let container = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let inner = container.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut buffer = [0; 64];
        loop {
            let (length, from) = container.recv_from(&mut buffer).await.unwrap();
            container.send_to(&buffer[..length], from).await.unwrap();
        }
    });
    let limits = Limits::default().udp_clients(3);
    let forwarder = Forwarder::with_limits(KernelDialer, limits);
    let (id, address) = (ContainerId::generate(), Ipv4Addr::LOCALHOST.into());
    let port = local(inner).protocol(Protocol::Udp);
    let ports = forwarder.publish(id, address, &[port]).await.unwrap();
    let mut clients = Vec::new();
    for n in 0..3_u8 {
        let client = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        client.connect(at(&ports[0])).await.unwrap();
        client.send(&[n; 3]).await.unwrap();
        clients.push(client);
    }
    for (n, client) in (0..).zip(&clients) {
        let mut buffer = [0; 64];
        let length = client.recv(&mut buffer).await.unwrap();
        assert_eq!(buffer[..length], [n; 3]);
    }
    // The limit leaves no room for a fourth client; the others continue to work.
    let fourth = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    fourth.send_to(b"x", at(&ports[0])).await.unwrap();
    clients[0].send(b"again").await.unwrap();
    let mut buffer = [0; 64];
    assert_eq!(clients[0].recv(&mut buffer).await.unwrap(), 5);
    assert!(fourth.try_recv(&mut buffer).is_err());
}

#[tokio::test]
async fn a_port_in_use_is_refused_and_nothing_is_published() {
    let forwarder = Forwarder::new(Echo);
    let address = Ipv4Addr::new(172, 16, 0, 2).into();
    let (one, other) = (ContainerId::generate(), ContainerId::generate());
    let ports = forwarder.publish(one, address, &[local(80)]).await.unwrap();
    let both = [local(81), ports[0]];
    let error = forwarder.publish(other, address, &both).await.unwrap_err();
    let ErrorKind::InUse { by } = error.kind() else {
        panic!("{error:?}");
    };
    assert!(by.contains(&one.short()), "{by}");
    assert!(!forwarder.published().contains_key(&other));

    // Withdrawing closes an open connection and frees the port.
    let mut open = TcpStream::connect(at(&ports[0])).await.unwrap();
    open.write_all(b"a").await.unwrap();
    open.read_u8().await.unwrap();
    forwarder.withdraw(&one).await;
    assert!(matches!(open.read(&mut [0; 1]).await, Ok(0) | Err(_)));
    let again = forwarder.publish(other, address, &ports).await.unwrap();
    assert_eq!(again, ports);
    forwarder.withdraw(&one).await;
    let away = PortMapping::new(80).host_address([192, 0, 2, 1].into());
    let error = forwarder
        .publish(other, address, &[away])
        .await
        .unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::InvalidArgument { .. }),
        "{error:?}"
    );
}
