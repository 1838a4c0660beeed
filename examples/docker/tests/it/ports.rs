//! Published ports, over sockets of the host.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

use crate::client::Server;

/// Creates a container that runs `words` and publishes `port`, such as `80/tcp`, at this port of
/// the loopback address.
async fn create(server: &Server, name: &str, words: &[&str], port: &str, host_port: &str) {
    let binding = json!([{ "HostIp": "127.0.0.1", "HostPort": host_port }]);
    let body = json!({
        "Image": "hello-world",
        "Cmd": words,
        "ExposedPorts": { port: {}, "81/tcp": {} },
        "HostConfig": { "PortBindings": { port: binding } },
    });
    let path = format!("/containers/create?name={name}");
    let (status, answer) = server.post(&path, &body).await;
    assert_eq!(status, 201, "{answer}");
}

async fn act(server: &Server, name: &str, action: &str) -> (u16, String) {
    let path = format!("/containers/{name}/{action}");
    let (status, answer) = server.post(&path, &Value::Null).await;
    let message = answer["message"].as_str().unwrap_or_default().to_owned();
    (status, message)
}

async fn ports(server: &Server, name: &str) -> Value {
    let (_, seen) = server.get(&format!("/containers/{name}/json")).await;
    seen["NetworkSettings"]["Ports"].clone()
}

/// Where a port of a container is published.
async fn at(server: &Server, name: &str, port: &str) -> SocketAddr {
    let ports = ports(server, name).await;
    let binding = &ports[port][0];
    let (ip, port) = (&binding["HostIp"], &binding["HostPort"]);
    let text = format!("{}:{}", ip.as_str().unwrap(), port.as_str().unwrap());
    text.parse().unwrap()
}

async fn echoes(at: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect(at).await else {
        return false;
    };
    stream.write_all(b"to and fro").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut back = String::new();
    stream.read_to_string(&mut back).await.unwrap();
    back == "to and fro"
}

#[tokio::test]
async fn a_port_is_open_while_its_container_runs() {
    let server = Server::start().await;
    create(&server, "web", &["sleep"], "80/tcp", "").await;
    assert_eq!(ports(&server, "web").await, json!({}));
    assert_eq!(act(&server, "web", "start").await.0, 204);
    let first = at(&server, "web", "80/tcp").await;
    assert!(echoes(first).await);
    assert_eq!(ports(&server, "web").await["81/tcp"], Value::Null);
    let (_, listed) = server.get("/containers/json").await;
    let published = json!({
        "IP": "127.0.0.1", "PrivatePort": 80, "PublicPort": first.port(), "Type": "tcp",
    });
    let exposed = json!({ "PrivatePort": 81, "Type": "tcp" });
    assert_eq!(listed[0]["Ports"], json!([published, exposed]));

    assert_eq!(act(&server, "web", "restart").await.0, 204);
    let again = at(&server, "web", "80/tcp").await;
    assert!(echoes(again).await);
    assert_eq!(act(&server, "web", "stop").await.0, 204);
    assert!(!echoes(again).await);
    assert_eq!(ports(&server, "web").await, json!({}));
    assert_eq!(act(&server, "web", "start").await.0, 204);
    let last = at(&server, "web", "80/tcp").await;
    let (status, _) = server.send("DELETE", "/containers/web?force=1", b"").await;
    assert_eq!(status, 204);
    assert!(!echoes(last).await);
}

#[tokio::test]
async fn a_port_is_closed_when_the_process_ends_by_itself() {
    let server = Server::start().await;
    create(&server, "short", &["cat"], "80/tcp", "").await;
    assert_eq!(act(&server, "short", "start").await.0, 204);
    let at = at(&server, "short", "80/tcp").await;
    let mut open = TcpStream::connect(at).await.unwrap();
    assert_eq!(act(&server, "short", "kill").await.0, 204);
    // The connection ends with the port.
    assert!(matches!(open.read(&mut [0; 1]).await, Ok(0) | Err(_)));
    assert!(!echoes(at).await);
}

#[tokio::test]
async fn datagrams_are_published() {
    let server = Server::start().await;
    create(&server, "dns", &["sleep"], "53/udp", "0").await;
    assert_eq!(act(&server, "dns", "start").await.0, 204);
    let at = at(&server, "dns", "53/udp").await;
    let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    client.send_to(b"query", at).await.unwrap();
    let mut answer = [0; 16];
    assert_eq!(client.recv(&mut answer).await.unwrap(), 5);
    assert_eq!(&answer[..5], b"query");
}

#[tokio::test]
async fn filters_find_published_and_exposed_ports() {
    let server = Server::start().await;
    create(&server, "web", &["sleep"], "80/tcp", "").await;
    assert_eq!(act(&server, "web", "start").await.0, 204);
    let host_port = at(&server, "web", "80/tcp").await.port();
    for (filter, value, found) in [
        ("publish", host_port.to_string(), 1),
        ("publish", format!("{host_port}/udp"), 0),
        ("publish", "81".to_owned(), 0),
        ("expose", "80-90/tcp".to_owned(), 1),
        ("expose", "82".to_owned(), 0),
    ] {
        let path = format!("/containers/json?filters={{%22{filter}%22:[%22{value}%22]}}");
        let (status, listed) = server.get(&path).await;
        assert_eq!(status, 200, "{listed}");
        let count = listed.as_array().unwrap().len();
        assert_eq!(count, found, "{filter}={value}");
    }
}

#[tokio::test]
async fn a_port_that_is_taken_is_refused_in_dockers_words() {
    let server = Server::start().await;
    create(&server, "first", &["sleep"], "80/tcp", "").await;
    assert_eq!(act(&server, "first", "start").await.0, 204);
    let taken = at(&server, "first", "80/tcp").await;
    let host_port = taken.port().to_string();
    create(&server, "second", &["sleep"], "8080/tcp", &host_port).await;
    let (status, message) = act(&server, "second", "start").await;
    assert_eq!(status, 500, "{message}");
    let words = format!("Bind for {taken} failed: port is already allocated");
    assert!(message.ends_with(&words), "{message}");
    let (_, seen) = server.get("/containers/second/json").await;
    assert_eq!(seen["State"]["Status"], "created");
    assert!(echoes(taken).await, "the first one keeps its port");

    assert_eq!(act(&server, "first", "stop").await.0, 204);
    assert_eq!(act(&server, "second", "start").await.0, 204);
    assert!(echoes(at(&server, "second", "8080/tcp").await).await);

    let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let taken = other.local_addr().unwrap();
    create(
        &server,
        "third",
        &["sleep"],
        "80/tcp",
        &taken.port().to_string(),
    )
    .await;
    let (status, message) = act(&server, "third", "start").await;
    assert_eq!(status, 500, "{message}");
    let words = format!("failed to bind host port for {taken}: address already in use");
    assert!(message.ends_with(&words), "{message}");
}

#[tokio::test]
async fn a_front_end_that_is_started_again_opens_the_same_ports() {
    let server = Server::start().await;
    create(&server, "kept", &["sleep"], "80/tcp", "").await;
    assert_eq!(act(&server, "kept", "start").await.0, 204);
    let before = at(&server, "kept", "80/tcp").await;
    let server = server.restart().await;
    assert_eq!(at(&server, "kept", "80/tcp").await, before);
    assert!(echoes(before).await);
    assert_eq!(act(&server, "kept", "stop").await.0, 204);
    assert!(!echoes(before).await);
}

#[tokio::test]
async fn two_starts_at_once_leave_the_port_open() {
    let server = Server::start().await;
    create(&server, "web", &["sleep"], "80/tcp", "").await;
    let starts = [act(&server, "web", "start"), act(&server, "web", "start")];
    for (status, message) in futures_util::future::join_all(starts).await {
        assert!(matches!(status, 204 | 304), "{status} {message}");
    }
    assert!(echoes(at(&server, "web", "80/tcp").await).await);
}

#[tokio::test]
async fn a_port_is_chosen_from_a_range() {
    let server = Server::start().await;
    // Two ports in a row that nobody uses.
    let (taken, next) = loop {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = taken.local_addr().unwrap().port();
        if port < u16::MAX && TcpListener::bind(("127.0.0.1", port + 1)).await.is_ok() {
            break (taken, port + 1);
        }
    };
    let range = format!("{}-{next}", next - 1);
    create(&server, "first", &["sleep"], "80/tcp", &range).await;
    assert_eq!(act(&server, "first", "start").await, (204, String::new()));
    let first = at(&server, "first", "80/tcp").await;
    assert_eq!(
        first.port(),
        next,
        "the first one is taken by another program"
    );
    assert!(echoes(first).await);
    create(&server, "second", &["sleep"], "80/tcp", &range).await;
    let (status, message) = act(&server, "second", "start").await;
    assert_eq!(status, 500, "{message}");
    assert!(message.contains("port is already allocated"), "{message}");
    drop(taken);
    assert_eq!(act(&server, "second", "start").await, (204, String::new()));
    assert_eq!(at(&server, "second", "80/tcp").await.port(), next - 1);
}
