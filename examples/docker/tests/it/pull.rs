//! Pulls that do not come to an end.

use std::sync::Arc;
use std::time::Duration;

use portlayer::image::Digest;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use crate::bad_input::{nothing_is_left, tasks};
use crate::client::Server;

/// What a registry does when it is asked for the layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layer {
    /// It sends the layer.
    Complete,
    /// It sends the beginning, and nothing more.
    Hangs,
    /// It sends the beginning, and is down from then on.
    Down,
    /// It sends other bytes than those that the manifest names.
    Wrong,
}

struct Registry {
    layer: Layer,
    manifest: Vec<u8>,
    config: Vec<u8>,
    content: Vec<u8>,
    down: Notify,
}

/// Starts a registry with the image `slow`; returns its address.
async fn registry(layer: Layer) -> String {
    registry_of(layer, vec![b'x'; 1000]).await
}

/// Starts a registry with the image `slow`, whose layer has this content; returns its address.
pub(crate) async fn registry_of(layer: Layer, content: Vec<u8>) -> String {
    let config = json!({
        "os": "linux", "architecture": "amd64", "config": { "Cmd": ["/hello"] },
        "rootfs": { "type": "layers", "diff_ids": [Digest::of(&content)] },
    });
    let config = config.to_string().into_bytes();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": Digest::of(&config), "size": config.len(),
        },
        "layers": [{
            "mediaType": "application/vnd.oci.image.layer.v1.tar",
            "digest": Digest::of(&content), "size": content.len(),
        }],
    });
    let registry = Arc::new(Registry {
        layer,
        manifest: manifest.to_string().into_bytes(),
        config,
        content,
        down: Notify::new(),
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = registry.down.notified() => break,
            };
            let registry = Arc::clone(&registry);
            tokio::spawn(async move { registry.answer(accepted.unwrap().0).await });
        }
    });
    address
}

impl Registry {
    async fn answer(&self, client: TcpStream) {
        let mut client = BufReader::new(client);
        let mut first = String::new();
        client.read_line(&mut first).await.unwrap();
        let mut line = String::new();
        while client.read_line(&mut line).await.unwrap() > 2 {
            line.clear();
        }
        let config = Digest::of(&self.config).to_string();
        let (body, sent) = if first.contains("/manifests/") {
            (&self.manifest[..], self.manifest.len())
        } else if first.contains(&config) {
            (&self.config[..], self.config.len())
        } else {
            let content = &self.content[..];
            match self.layer {
                Layer::Complete => (content, content.len()),
                Layer::Hangs | Layer::Down => (content, content.len() / 10),
                Layer::Wrong => (&[b'y'; 1000][..], 1000),
            }
        };
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.oci.image.manifest.v1+json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        client.write_all(head.as_bytes()).await.unwrap();
        client.write_all(&body[..sent]).await.unwrap();
        client.flush().await.unwrap();
        if sent < body.len() && self.layer == Layer::Down {
            self.down.notify_one();
        } else if sent < body.len() {
            // Until the other end closes.
            let _ended = client.read(&mut [0; 1]).await;
        }
    }
}

#[tokio::test]
async fn a_client_that_leaves_during_a_pull_ends_it() {
    let server = Server::start().await;
    let address = registry(Layer::Hangs).await;
    let (_, images) = server.get("/images/json").await;
    let before = tasks();
    let head = format!("POST /images/create?fromImage={address}/slow&tag=latest HTTP/1.1");
    let mut client = server.open(&head, b"").await;
    let mut seen = String::new();
    while !seen.contains("Downloading") {
        let mut piece = [0; 512];
        let read = client.read(&mut piece);
        let length = tokio::time::timeout(Duration::from_secs(30), read).await;
        let length = length.unwrap_or_else(|_| panic!("{seen}")).unwrap();
        assert!(length > 0, "{seen}");
        seen.push_str(&String::from_utf8_lossy(&piece[..length]));
    }
    drop(client);
    nothing_is_left(before).await;
    let (_, after) = server.get("/images/json").await;
    assert_eq!(images, after);
}

/// Pulls the image of a registry like this; returns the error in the last line.
async fn failed_pull(layer: Layer) -> String {
    let server = Server::start().await;
    let address = registry(layer).await;
    let (_, images) = server.get("/images/json").await;
    let before = tasks();
    let path = format!("/images/create?fromImage={address}/slow&tag=latest");
    let (status, lines) = server.post_bytes(&path, b"").await;
    assert_eq!(status, 200, "the error is the last line");
    let lines = String::from_utf8(lines).unwrap();
    let last: Value = serde_json::from_str(lines.trim_end().lines().last().unwrap()).unwrap();
    let message = last["error"].as_str();
    let message = message.unwrap_or_else(|| panic!("{lines}")).to_owned();
    let (_, after) = server.get("/images/json").await;
    assert_eq!(images, after);
    nothing_is_left(before).await;
    message
}

#[tokio::test]
async fn a_layer_that_is_not_what_its_digest_says_is_refused() {
    let message = failed_pull(Layer::Wrong).await;
    assert!(message.contains("sha256:"), "{message}");
}

/// The transfer is retried for three seconds.
#[tokio::test]
async fn a_registry_that_goes_down_in_the_middle_of_a_layer_ends_the_pull() {
    let message = failed_pull(Layer::Down).await;
    assert!(message.contains("127.0.0.1"), "{message}");
}
