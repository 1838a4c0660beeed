//! A client that sees every byte.

use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use docker_front_end::{FrontEnd, PortLayer, Settings, scripted};
use portlayer::network::forward::Forwarder;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};

/// Nothing here takes long; what does has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// A front end of scripted containers.
pub(crate) struct Server {
    directory: tempfile::TempDir,
    api: Api,
    pub(crate) layer: PortLayer,
    serving: tokio::task::JoinHandle<()>,
}

impl Deref for Server {
    type Target = Api;

    fn deref(&self) -> &Api {
        &self.api
    }
}

/// The API of a front end at a Unix socket.
pub(crate) struct Api {
    socket: PathBuf,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Server {
    /// With the image `hello-world`.
    pub(crate) async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let server = Self::on(scripted::port_layer(), directory).await;
        server.import().await;
        server
    }

    /// On containers that are there already.
    pub(crate) async fn on(layer: PortLayer, directory: tempfile::TempDir) -> Self {
        let mut settings = Settings::new("test");
        settings.publisher = Some(Arc::new(Forwarder::new(scripted::EchoDialer)));
        settings.directory = Some(directory.path().to_owned());
        let front_end = FrontEnd::new(layer.clone(), settings).await.unwrap();
        let path = directory.path().join("docker.sock");
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path).unwrap();
        let serving = tokio::spawn(async move {
            let _ = front_end.serve_unix(listener).await;
        });
        Self {
            directory,
            api: Api::at(path),
            layer,
            serving,
        }
    }

    /// Ends the front end, and starts another one on what is left.
    pub(crate) async fn restart(mut self) -> Self {
        self.serving.abort();
        let _aborted = (&mut self.serving).await;
        let directory = std::mem::replace(&mut self.directory, tempfile::tempdir().unwrap());
        Self::on(self.layer.clone(), directory).await
    }
}

impl Api {
    pub(crate) fn at(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// Imports the image `hello-world`.
    pub(crate) async fn import(&self) {
        let path =
            "/images/create?fromSrc=-&repo=hello-world&tag=latest&changes=CMD%20%5B%22/hello%22%5D";
        let (status, answer) = self.post_bytes(path, &tar()).await;
        let answer = String::from_utf8_lossy(&answer);
        assert_eq!((status, answer.contains("error")), (200, false), "{answer}");
    }

    /// Sends a request and leaves the connection open.
    pub(crate) async fn open(&self, head: &str, body: &[u8]) -> UnixStream {
        let mut stream = UnixStream::connect(&self.socket).await.unwrap();
        let length = body.len();
        let text = format!("{head}\r\nHost: docker\r\nContent-Length: {length}\r\n\r\n");
        stream.write_all(text.as_bytes()).await.unwrap();
        let _ = stream.write_all(body).await;
        stream
    }

    /// Sends a request; returns the status and the decoded body.
    pub(crate) async fn send(&self, method: &str, path: &str, body: &[u8]) -> (u16, Vec<u8>) {
        let head = format!("{method} {path} HTTP/1.1\r\nConnection: close");
        let mut stream = self.open(&head, body).await;
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer);
        tokio::time::timeout(PATIENCE, read).await.unwrap().unwrap();
        parse(&answer)
    }

    pub(crate) async fn post_bytes(&self, path: &str, body: &[u8]) -> (u16, Vec<u8>) {
        self.send("POST", path, body).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let (status, body) = self.send("POST", path, body.to_string().as_bytes()).await;
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        let (status, body) = self.send("GET", path, b"").await;
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    /// Creates a container of `hello-world` that runs these words; returns its id.
    pub(crate) async fn create(&self, name: &str, words: &[&str]) -> String {
        let body = json!({ "Image": "hello-world", "Cmd": words, "OpenStdin": true });
        let path = format!("/containers/create?name={name}");
        let (status, answer) = self.post(&path, &body).await;
        assert_eq!(status, 201, "{answer}");
        answer["Id"].as_str().unwrap().to_owned()
    }

    /// Attaches to a container; the connection is past the answer's head.
    pub(crate) async fn attach(&self, id: &str) -> UnixStream {
        let head = format!(
            "POST /containers/{id}/attach?stream=1&stdout=1&stderr=1 HTTP/1.1\r\nConnection: \
             Upgrade\r\nUpgrade: tcp"
        );
        let mut stream = self.open(&head, b"").await;
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(stream.read_u8().await.unwrap());
        }
        assert!(answer.starts_with(b"HTTP/1.1 101"), "{answer:?}");
        stream
    }
}

/// Splits an answer, and joins its chunks.
fn parse(answer: &[u8]) -> (u16, Vec<u8>) {
    let end = answer
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap();
    let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let mut rest = &answer[end + 4..];
    if !head.contains("transfer-encoding: chunked") {
        return (status, rest.to_vec());
    }
    let mut body = Vec::new();
    while let Some(line) = rest.windows(2).position(|two| two == b"\r\n") {
        let size = std::str::from_utf8(&rest[..line]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        body.extend_from_slice(&rest[line + 2..line + 2 + size]);
        rest = &rest[(line + 4 + size).min(rest.len())..];
        if size == 0 {
            break;
        }
    }
    (status, body)
}

/// An empty tar.
pub(crate) fn tar() -> Vec<u8> {
    vec![0; 1024]
}

/// The entry of a file of the root user in a tar, without the end of the tar.
pub(crate) fn tar_with(name: &str, content: &[u8]) -> Vec<u8> {
    let mut header = [0; 512];
    let mut put =
        |at: usize, text: &str| header[at..][..text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, "0000755");
    put(108, "0000000");
    put(116, "0000000");
    put(124, &format!("{:011o}", content.len()));
    put(136, "00000000000");
    put(148, "        ");
    put(156, "0");
    put(257, "ustar");
    put(263, "00");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..][..7].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    let mut tar = header.to_vec();
    tar.extend_from_slice(content);
    tar.resize(tar.len().next_multiple_of(512), 0);
    tar
}
