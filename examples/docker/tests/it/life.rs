//! A container's life by the API.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::client::Server;

#[tokio::test]
async fn a_container_is_created_started_waited_for_and_removed() {
    let server = Server::start().await;
    let id = server.create("first", &["both"]).await;
    let (_, listed) = server.get("/containers/json?all=1").await;
    assert_eq!(listed[0]["State"], "created");
    assert_eq!(listed[0]["Names"], json!(["/first"]));

    // As the docker command does: wait first, and start when the answer's head is there.
    let mut attached = server.attach(&id).await;
    let path = format!("/v1.50/containers/{id}/wait?condition=next-exit");
    let head = format!("POST {path} HTTP/1.1\r\nConnection: close");
    let mut waiting = server.open(&head, b"").await;
    let mut start = vec![0; 15];
    waiting.read_exact(&mut start).await.unwrap();
    assert_eq!(start, b"HTTP/1.1 200 OK");
    let (status, _) = server.post("/containers/first/start", &Value::Null).await;
    assert_eq!(status, 204);
    let mut answer = String::new();
    waiting.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains(r#"{"StatusCode":0}"#), "{answer}");

    let mut output = Vec::new();
    attached.read_to_end(&mut output).await.unwrap();
    let frames = b"\x01\0\0\0\0\0\0\x04out\n\x02\0\0\0\0\0\0\x04err\n";
    assert_eq!(output, frames);
    let (_, log) = server
        .send("GET", "/containers/first/logs?stdout=1&stderr=1", b"")
        .await;
    assert_eq!(log, frames);

    let (_, seen) = server.get(&format!("/containers/{}/json", &id[..12])).await;
    assert_eq!(seen["State"]["Status"], "exited");
    assert_eq!(seen["Config"]["Cmd"], json!(["both"]));
    let (status, _) = server.send("DELETE", "/containers/first", b"").await;
    assert_eq!(status, 204);
    let (status, error) = server.get("/containers/first/json").await;
    assert_eq!(
        (status, &error["message"]),
        (404, &json!("No such container: first"))
    );
}

#[tokio::test]
async fn a_client_that_leaves_does_not_end_the_container() {
    let server = Server::start().await;
    let id = server.create("stays", &["cat"]).await;
    let head = format!(
        "POST /containers/{id}/attach?stream=1&stdin=1&stdout=1 HTTP/1.1\r\nConnection: \
         Upgrade\r\nUpgrade: tcp"
    );
    let mut first = server.open(&head, b"").await;
    server
        .post(&format!("/containers/{id}/start"), &Value::Null)
        .await;
    first.write_all(b"typed").await.unwrap();
    let mut seen = Vec::new();
    while !seen.ends_with(b"typed") {
        seen.push(first.read_u8().await.unwrap());
    }
    drop(first);
    let (_, state) = server.get(&format!("/containers/{id}/json")).await;
    assert_eq!(state["State"]["Running"], true);
    // A second client reads what the first one missed nothing of.
    let (_, log) = server
        .send("GET", &format!("/containers/{id}/logs?stdout=1"), b"")
        .await;
    assert!(log.ends_with(b"typed"));
}

#[tokio::test]
async fn two_hundred_idle_clients_get_the_output() {
    let server = Server::start().await;
    let id = server.create("watched", &["echo", "seen"]).await;
    let mut clients = Vec::new();
    for _ in 0..200 {
        clients.push(server.attach(&id).await);
    }
    server
        .post(&format!("/containers/{id}/start"), &Value::Null)
        .await;
    for mut client in clients {
        let mut output = Vec::new();
        client.read_to_end(&mut output).await.unwrap();
        assert!(output.ends_with(b"seen\n"));
    }
}

#[tokio::test]
async fn the_limits_of_a_process_are_shown_as_they_were_requested() {
    let server = Server::start().await;
    let create =
        |ulimit: Value| json!({ "Image": "hello-world", "HostConfig": { "Ulimits": [ulimit] } });
    let limits = json!({ "Name": "nofile", "Soft": 1024, "Hard": -1 });
    let (status, created) = server
        .post("/containers/create", &create(limits.clone()))
        .await;
    assert_eq!(status, 201, "{created}");
    let path = format!("/containers/{}/json", created["Id"].as_str().unwrap());
    let (_, seen) = server.get(&path).await;
    assert_eq!(seen["HostConfig"]["Ulimits"], json!([limits]));
    assert_eq!(seen["State"]["OOMKilled"], false);
    for (name, soft, hard) in [("files", 1, 1), ("nofile", -2, 1), ("nofile", 2, 1)] {
        let limits = json!({ "Name": name, "Soft": soft, "Hard": hard });
        let (status, _) = server.post("/containers/create", &create(limits)).await;
        assert_eq!(status, 400, "{name} {soft} {hard}");
    }
}
