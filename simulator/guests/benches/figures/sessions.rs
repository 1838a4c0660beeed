//! Many attached clients.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdin, Command as Program, Stdio};

use futures_util::StreamExt as _;
use portlayer::exec::{Command, ContainerSpec, StartOptions};
use portlayer::stream::AttachOptions;
use portlayer::vsphere::LineServer;
use tokio::io::AsyncWriteExt as _;

use super::endpoint::{Endpoint, open};
use super::process::resident;
use super::{line, setting};

const TARGET: u64 = 100_000_000;

/// A simulator in a process of its own. It ends when this value is dropped.
struct Server {
    program: Child,
    stdin: Option<ChildStdin>,
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.program.wait();
    }
}

/// Measures what the port layer's memory gains by its clients and the lines of their containers.
pub(super) async fn measure() {
    let sessions = setting("SESSIONS", 1_000);
    let lines = LineServer::bind("127.0.0.1:0").await.unwrap();
    let address = lines.local_addr().unwrap().to_string();
    let mut program = Program::new(std::env::current_exe().unwrap())
        .args(["serve", &address])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let stdin = program.stdin.take();
    let mut text = String::new();
    let mut stdout = BufReader::new(program.stdout.take().unwrap());
    let _server = Server { program, stdin };
    stdout.read_line(&mut text).unwrap();
    let (url, thumbprint) = text.trim().split_once(' ').expect("the server starts");
    let layer = open(url, thumbprint, lines).await;
    let mut ids = Vec::new();
    for n in 0..sessions {
        let command = Command::new("/echo").open_stdin(true);
        let spec = ContainerSpec::new(format!("c{n}"), command);
        ids.push(layer.exec().create(spec).await.unwrap());
    }
    layer.exec().list().await.unwrap();
    let before = resident();
    let mut attached = Vec::new();
    for id in &ids {
        layer.exec().start(id, StartOptions::new()).await.unwrap();
        let options = AttachOptions::interactive();
        let mut client = layer.streams().attach(id, options).await.unwrap();
        client
            .input
            .as_mut()
            .unwrap()
            .write_all(b"here\n")
            .await
            .unwrap();
        // Output from before the client has attached is only in the log.
        let mut heard = Vec::new();
        while !heard.ends_with(b"here\n") {
            heard.extend_from_slice(&client.output.next().await.unwrap().unwrap().bytes);
        }
        attached.push(client);
    }
    let gained = resident().saturating_sub(before);
    line(
        &format!("memory that {sessions} running containers add, each with a line and a client"),
        "100 MB",
        &format!("{:.0} MB", gained as f64 / 1e6),
        gained < TARGET,
    );
}

/// Runs in the child: serves until the standard input is closed.
#[tokio::main]
pub(super) async fn serve(lines: &str) {
    let endpoint = Endpoint::start(lines).await;
    println!("{} {}", endpoint.url, endpoint.thumbprint);
    tokio::task::block_in_place(|| std::io::stdin().lines().for_each(drop));
    endpoint.simulator.shutdown().await;
}
