//! Attaching by WebSocket is refused, and the container does not notice.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::client::Server;

#[tokio::test]
async fn an_attach_by_websocket_is_refused_by_name() {
    let server = Server::start().await;
    let id = server.create("cat", &["cat"]).await;
    let start = format!("/containers/{id}/start");
    assert_eq!(server.post(&start, &Value::Null).await.0, 204);
    let message = "Attaching by WebSocket is not supported by this host";
    for prefix in ["", "/v1.50"] {
        let path = format!("{prefix}/containers/{id}/attach/ws?stream=1&stdin=1&stdout=1");
        let head = format!(
            "GET {path} HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
        );
        let mut client = server.open(&head, b"").await;
        let mut seen = String::new();
        while !seen.ends_with("}\n") {
            let mut piece = [0; 512];
            let count = client.read(&mut piece).await.unwrap();
            assert_ne!(count, 0, "{seen}");
            seen.push_str(std::str::from_utf8(&piece[..count]).unwrap());
        }
        assert!(seen.starts_with("HTTP/1.1 501 "), "{seen}");
        let (_, body) = seen.split_once("\r\n\r\n").unwrap();
        let body: Value = serde_json::from_str(body).unwrap();
        assert_eq!(body, json!({ "message": message }));
        // The connection still speaks HTTP.
        let next = b"GET /_ping HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n";
        client.write_all(next).await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("OK"),
            "{answer}"
        );
    }
    let (_, seen) = server.get(&format!("/containers/{id}/json")).await;
    assert_eq!(seen["State"]["Status"], "running");
}
