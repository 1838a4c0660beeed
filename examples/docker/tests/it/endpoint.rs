//! The program on an endpoint that exists, as with `VSPHERE_URL`.

use std::path::Path;
use std::process::Stdio;

use portlayer::vsphere::{HostSpec, Hosts, InstallProgress, Iso, Options};
use serde_json::{Value, json};
use simulator::Simulator;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use vsphere_client::{Client, Credentials};

use crate::client::Api;

/// Starts a simulator with the host `vch`, as an installer does.
async fn installed() -> Simulator {
    let simulator = Simulator::builder().start().await.unwrap();
    let client = Client::builder(simulator.url())
        .credentials(Credentials::password(
            simulator.user(),
            simulator.password(),
        ))
        .thumbprint(simulator.thumbprint().parse().unwrap())
        .connect()
        .await
        .unwrap();
    let iso = || Iso::bytes(&b"a stand-in for a boot image"[..]);
    Hosts::new(client.clone(), Options::default())
        .install(HostSpec::new("vch", iso(), iso()), &|_: InstallProgress| {})
        .await
        .unwrap();
    client.close().await.unwrap();
    simulator
}

/// The program, killed when it is dropped.
struct Program {
    child: Child,
    api: Api,
}

impl Program {
    /// Starts the program and waits until it serves.
    async fn start(simulator: &Simulator, directory: &Path, arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_docker"))
            .arg("--directory")
            .arg(directory)
            .args(arguments)
            .env("VSPHERE_URL", simulator.url())
            .env("GOVC_USERNAME", simulator.user())
            .env("GOVC_PASSWORD", simulator.password())
            .env("VSPHERE_THUMBPRINT", simulator.thumbprint())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = lines.next_line().await.unwrap().unwrap();
        assert!(line.starts_with("docker -H unix://"), "{line}");
        let api = Api::at(directory.join("docker.sock"));
        Self { child, api }
    }

    async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    async fn create(&self, name: &str, body: &Value) -> (u16, Value) {
        let path = format!("/containers/create?name={name}");
        self.api.post(&path, body).await
    }
}

#[tokio::test]
async fn a_host_of_an_endpoint_is_served_and_its_state_survives_the_program() {
    let simulator = installed().await;
    let directory = tempfile::tempdir().unwrap();
    let program = Program::start(&simulator, directory.path(), &[]).await;
    program.api.import().await;
    let body = json!({ "Image": "hello-world", "Labels": { "a": "b" } });
    assert_eq!(program.create("kept", &body).await.0, 201);
    let (_, before) = program.api.get("/containers/json?all=1").await;
    assert_eq!(before[0]["Names"], json!(["/kept"]));

    // A port that another program uses.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let binding = json!([{ "HostIp": "127.0.0.1", "HostPort": port }]);
    let published = json!({
        "Image": "hello-world",
        "HostConfig": { "PortBindings": { "80/tcp": binding } },
    });
    let (status, refusal) = program.create("web", &published).await;
    assert_eq!(status, 501, "{refusal}");
    program.kill().await;

    // The containers are on the endpoint; the names of images are in the directory.
    let program = Program::start(&simulator, directory.path(), &["--forward"]).await;
    let (_, after) = program.api.get("/containers/json?all=1").await;
    let shown = |list: &Value| {
        let container = &list[0];
        [
            "Id", "Names", "Image", "ImageID", "Created", "State", "Labels",
        ]
        .map(|field| container[field].clone())
    };
    assert_eq!(shown(&before), shown(&after));
    let (_, images) = program.api.get("/images/json").await;
    assert_eq!(images[0]["RepoTags"], json!(["hello-world:latest"]));

    assert_eq!(program.create("web", &published).await.0, 201);
    let start = "/containers/web/start";
    let (status, answer) = program.api.post(start, &Value::Null).await;
    let message = answer["message"].as_str().unwrap_or_default();
    assert!(
        status == 500 && message.contains(&port),
        "{status} {answer}"
    );
    drop(listener);
    let (status, answer) = program.api.post(start, &Value::Null).await;
    assert_eq!(status, 204, "{answer}");
    program.kill().await;
    simulator.shutdown().await;
}
