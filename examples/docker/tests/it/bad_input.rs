//! What clients should not send.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::client::Server;

async fn refused(server: &Server, method: &str, path: &str, body: &[u8]) -> (u16, String) {
    let (status, body) = server.send(method, path, body).await;
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    (
        status,
        body["message"].as_str().unwrap_or_default().to_owned(),
    )
}

#[tokio::test]
async fn malformed_and_oversized_bodies_are_refused() {
    let server = Server::start().await;
    let create = "/containers/create?name=bad";
    let (status, message) = refused(&server, "POST", create, b"{\"Image\":").await;
    assert_eq!(status, 400);
    assert!(message.starts_with("invalid JSON"), "{message}");
    let (status, _) = refused(&server, "POST", create, b"[1,2]").await;
    assert_eq!(status, 400);
    let huge = vec![b' '; (4 << 20) + 1];
    let (status, message) = refused(&server, "POST", create, &huge).await;
    assert_eq!((status, message.contains("larger than")), (413, true));
    let deep = [vec![b'['; 100_000], vec![b']'; 100_000]].concat();
    let (status, _) = refused(&server, "POST", create, &deep).await;
    assert_eq!(status, 400);
    let (_, listed) = server.get("/containers/json?all=1").await;
    assert_eq!(listed, json!([]));
}

#[tokio::test]
async fn paths_and_parameters_that_make_no_sense_are_answered() {
    let server = Server::start().await;
    for (method, path, status) in [
        ("GET", "/nothing/here", 404),
        ("GET", "/", 404),
        ("GET", "/v1.99/info", 400),
        ("GET", "/v1.12/info", 400),
        ("GET", "/v1.x/info", 400),
        ("GET", "/containers/json?filters=%7B", 400),
        (
            "GET",
            "/containers/json?filters=%7B%22nosuch%22%3A%5B%22a%22%5D%7D",
            400,
        ),
        ("GET", "/containers/json?limit=many", 400),
        ("GET", "/containers/..%2f..%2fetc/json", 404),
        ("GET", "/images/UPPER/json", 400),
        ("POST", "/images/create", 400),
        ("POST", "/images/create?fromImage=UPPER", 400),
        ("POST", "/images/create?fromImage=127.0.0.1%3A1/a%3A1", 500),
        ("POST", "/containers/nosuch/start", 404),
        ("POST", "/containers/nosuch/wait?condition=never", 404),
        ("POST", "/swarm/init", 501),
    ] {
        let (got, message) = refused(&server, method, path, b"").await;
        assert_eq!(got, status, "{method} {path}: {message}");
        assert!(!message.is_empty(), "{method} {path}");
    }
}

#[tokio::test]
async fn what_is_no_image_is_refused_and_leaves_nothing() {
    let server = Server::start().await;
    let (_, before) = server.get("/images/json").await;
    let garbage = b"this is not a tar".repeat(100);
    for path in ["/images/load", "/images/create?fromSrc=-&repo=bad"] {
        let (status, message) = refused(&server, "POST", path, &garbage).await;
        assert_eq!(status, 400, "{path}: {message}");
    }
    let (_, after) = server.get("/images/json").await;
    assert_eq!(before, after);
}

#[tokio::test]
async fn a_client_that_sends_half_a_request_holds_nothing_up() {
    let server = Server::start().await;
    let head = "POST /images/load HTTP/1.1\r\nContent-Type: application/x-tar";
    let half = server.open(head, b"").await;
    drop(half);
    let mut silent = server.open("GET /_ping HTTP/1.1", b"").await;
    let mut answer = [0; 12];
    silent.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    let (status, _) = server.get("/version").await;
    assert_eq!(status, 200);
}

/// The tasks of the front end and of everything else in this test.
pub(crate) fn tasks() -> usize {
    tokio::runtime::Handle::current()
        .metrics()
        .num_alive_tasks()
}

/// Waits until no more tasks are left than before.
pub(crate) async fn nothing_is_left(before: usize) {
    let over = async {
        while tasks() > before {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(30), over).await;
    assert!(waited.is_ok(), "{} tasks, and {before} before", tasks());
}

#[tokio::test]
async fn clients_that_leave_a_silent_container_leave_nothing_behind() {
    let server = Server::start().await;
    let id = server.create("silent", &["sleep"]).await;
    let start = format!("/containers/{id}/start");
    assert_eq!(server.post(&start, &Value::Null).await.0, 204);
    let before = tasks();
    let mut clients = Vec::new();
    for _ in 0..100 {
        clients.push(server.attach(&id).await);
        let logs = format!("GET /containers/{id}/logs?stdout=1&follow=1 HTTP/1.1");
        clients.push(server.open(&logs, b"").await);
        clients.push(server.open("GET /events HTTP/1.1", b"").await);
        let wait = format!("POST /containers/{id}/wait HTTP/1.1");
        clients.push(server.open(&wait, b"").await);
    }
    assert!(tasks() >= before + 100, "they are served");
    // A client that only ended its input stays.
    clients[0].shutdown().await.unwrap();
    let stays = clients.swap_remove(0);
    drop(clients);
    nothing_is_left(before + 2).await;
    let (_, state) = server.get(&format!("/containers/{id}/json")).await;
    assert_eq!(state["State"]["Running"], true);
    let kill = format!("/containers/{id}/kill");
    assert_eq!(server.post(&kill, &Value::Null).await.0, 204);
    let mut stays = stays;
    assert_eq!(stays.read_to_end(&mut Vec::new()).await.unwrap(), 0);
}

#[tokio::test]
async fn the_input_belongs_to_one_client_until_it_leaves() {
    let server = Server::start().await;
    let id = server.create("shared", &["cat"]).await;
    let start = format!("/containers/{id}/start");
    assert_eq!(server.post(&start, &Value::Null).await.0, 204);
    let head = format!(
        "POST /containers/{id}/attach?stream=1&stdin=1&stdout=1 HTTP/1.1\r\nConnection: \
         Upgrade\r\nUpgrade: tcp"
    );
    let mut first = server.open(&head, b"").await;
    let mut watching = server.attach(&id).await;
    first.write_all(b"words").await.unwrap();
    for client in [&mut first, &mut watching] {
        let mut seen = Vec::new();
        while !seen.ends_with(b"words") {
            seen.push(client.read_u8().await.unwrap());
        }
    }
    let mut second = server.open(&head, b"").await;
    let mut status = [0; 12];
    second.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 409");
    drop((first, second));
    // The first one's leaving is noticed, and the input is free.
    let free = async {
        loop {
            let mut third = server.open(&head, b"").await;
            third.read_exact(&mut status).await.unwrap();
            if &status == b"HTTP/1.1 101" {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(30), free).await;
    assert!(waited.is_ok(), "the input is still held");
}
