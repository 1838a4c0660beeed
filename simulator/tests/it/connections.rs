//! Tests that clients which connect and send nothing, or an incomplete request, do not block
//! other clients.

use std::sync::Arc;
use std::time::Duration;

use crate::client::Client;
use simulator::Simulator;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use vim25::{Ref, mo};

type Tls = tokio_rustls::client::TlsStream<TcpStream>;

async fn connect(simulator: &Simulator) -> Tls {
    use tokio_rustls::rustls::pki_types::pem::PemObject as _;
    use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
    use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};
    let pem = simulator.certificate_pem();
    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
    roots.add(certificate).unwrap();
    let provider = Arc::new(crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(simulator.address()).await.unwrap();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    tokio_rustls::TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .unwrap()
}

/// Returns whether the server closes the connection.
async fn ends(stream: &mut Tls) -> bool {
    let mut rest = Vec::new();
    let read = stream.read_to_end(&mut rest);
    tokio::time::timeout(Duration::from_secs(5), read)
        .await
        .is_ok()
}

#[tokio::test]
async fn silent_connections_give_way_to_those_that_ask() {
    let simulator = Simulator::builder()
        .connection_limit(4)
        .start()
        .await
        .unwrap();
    let mut held = Vec::new();
    for half in ["", "", "POST /sdk HTTP/1.1\r\nHost: a\r\n", "POST"] {
        let mut stream = connect(&simulator).await;
        stream.write_all(half.as_bytes()).await.unwrap();
        held.push(stream);
    }
    let client = Client::login(&simulator).await;
    let instance: Ref<mo::ServiceInstance> = Ref::new("ServiceInstance");
    client.call(instance.current_time()).await.unwrap();
    simulator.shutdown().await;
}

#[tokio::test]
async fn requests_that_do_not_come_are_given_up() {
    let simulator = Simulator::builder()
        .read_timeout(Duration::from_millis(50))
        .idle_timeout(Duration::from_millis(50))
        .start()
        .await
        .unwrap();
    for half in [
        "",
        "POST /sdk HTTP/1.1\r\nHost: a\r\n",
        "POST /sdk HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf",
        "PUT /folder/a?dcPath=ha-datacenter&dsName=datastore1 HTTP/1.1\r\nHost: a\r\n\
         Authorization: Basic cm9vdDp2bXdhcmU=\r\nContent-Length: 100\r\n\r\nhalf",
    ] {
        let mut stream = connect(&simulator).await;
        stream.write_all(half.as_bytes()).await.unwrap();
        assert!(ends(&mut stream).await, "{half}");
    }
    let left = std::fs::read_dir(simulator.datastore_directory()).unwrap();
    assert_eq!(left.count(), 0);
    simulator.shutdown().await;
}

#[tokio::test]
async fn the_one_over_the_limit_is_told_so() {
    let simulator = Simulator::builder()
        .connection_limit(1)
        .read_timeout(Duration::from_millis(500))
        .start()
        .await
        .unwrap();
    let client = Client::login(&simulator).await;
    let collector = client.content.property_collector.clone();
    let waiting = tokio::spawn(async move {
        // The unanswered call keeps its connection in use.
        let _ = client.call(collector.wait_for_updates_ex(None, None)).await;
    });
    while !waiting.is_finished() {
        let mut stream = connect(&simulator).await;
        let mut answer = String::new();
        stream
            .write_all(
                b"GET /sdk/vimServiceVersions.xml HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
            )
            .await
            .unwrap();
        let _ = stream.read_to_string(&mut answer).await;
        if answer.starts_with("HTTP/1.1 503") {
            assert!(answer.contains("too many connections"), "{answer}");
            break;
        }
    }
    waiting.abort();
    simulator.shutdown().await;
}
