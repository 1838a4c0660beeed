//! The program on an endpoint that exists, as with `VSPHERE_URL`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Stdio;

use portlayer::vsphere::{HostSpec, Hosts, InstallProgress, Iso, Options};
use serde_json::{Value, json};
use simulator::{Simulator, Tether};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::process::{Child, Command};
use vsphere_client::{Client, Credentials};

use crate::client::Api;

/// Starts a simulator with the host `vch`, as an installer does. The process `/hello` runs until it
/// is killed.
async fn installed() -> Simulator {
    let guest = Tether::new().program("/hello", simulator::Program::forever());
    let simulator = Simulator::builder().guest(guest).start().await.unwrap();
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

/// Returns an address of this system that is not loopback. The kernel has a route to it, as it would
/// have to the network of the containers.
async fn own_address() -> Option<Ipv4Addr> {
    let socket = UdpSocket::bind("0.0.0.0:0").await.ok()?;
    // Nothing is sent: this only selects the address (RFC 5737, a network for documentation).
    socket.connect("192.0.2.1:9").await.ok()?;
    match socket.local_addr().ok()?.ip() {
        IpAddr::V4(address) if !address.is_loopback() => Some(address),
        _ => None,
    }
}

/// The container has an address of this system, so that a server of this test can stand in for one
/// in the container's machine.
#[tokio::test]
async fn ports_are_published_through_the_kernel() {
    let Some(address) = own_address().await else {
        #[expect(clippy::print_stderr, reason = "the test says why it checks nothing")]
        {
            eprintln!("NOT RUN: this system has only loopback addresses");
        }
        return;
    };
    let simulator = installed().await;
    let directory = tempfile::tempdir().unwrap();
    let program = Program::start(&simulator, directory.path(), &["--forward"]).await;
    program.api.import().await;
    let [a, b, c, last] = address.octets();
    let gateway = if last == 1 { 2 } else { 1 };
    let subnet = json!([{
        "Subnet": format!("{a}.{b}.{c}.0/24"),
        "Gateway": format!("{a}.{b}.{c}.{gateway}"),
    }]);
    let network = json!({ "Name": "near", "IPAM": { "Config": subnet } });
    let (status, answer) = program.api.post("/networks/create", &network).await;
    assert_eq!(status, 201, "{answer}");

    let server = TcpListener::bind((address, 0)).await.unwrap();
    let tcp = server.local_addr().unwrap().port();
    let datagrams = UdpSocket::bind((address, 0)).await.unwrap();
    let udp = datagrams.local_addr().unwrap().port();
    let anywhere = json!([{ "HostIp": "127.0.0.1", "HostPort": "0" }]);
    let endpoint = json!({ "IPAMConfig": { "IPv4Address": address } });
    let body = json!({
        "Image": "hello-world",
        "HostConfig": {
            "NetworkMode": "near",
            "PortBindings": { format!("{tcp}/tcp"): anywhere, format!("{udp}/udp"): anywhere },
        },
        "NetworkingConfig": { "EndpointsConfig": { "near": endpoint } },
    });
    let (status, answer) = program.create("web", &body).await;
    assert_eq!(status, 201, "{answer}");
    let start = "/containers/web/start";
    let (status, answer) = program.api.post(start, &Value::Null).await;
    assert_eq!(status, 204, "{answer}");
    let (_, seen) = program.api.get("/containers/web/json").await;
    let at = |port: String| -> SocketAddr {
        let binding = &seen["NetworkSettings"]["Ports"][&port][0];
        let (ip, port) = (&binding["HostIp"], &binding["HostPort"]);
        let text = format!("{}:{}", ip.as_str().unwrap(), port.as_str().unwrap());
        text.parse().unwrap()
    };

    let mut client = TcpStream::connect(at(format!("{tcp}/tcp"))).await.unwrap();
    client.write_all(b"to").await.unwrap();
    let (mut connection, from) = server.accept().await.unwrap();
    assert_eq!(from.ip(), address);
    let mut piece = [0; 2];
    connection.read_exact(&mut piece).await.unwrap();
    connection.write_all(b"fro").await.unwrap();
    connection.shutdown().await.unwrap();
    let mut back = String::new();
    client.read_to_string(&mut back).await.unwrap();
    assert_eq!((&piece, back.as_str()), (b"to", "fro"));

    let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let to = at(format!("{udp}/udp"));
    client.send_to(b"query", to).await.unwrap();
    let mut datagram = [0; 16];
    let (count, from) = datagrams.recv_from(&mut datagram).await.unwrap();
    assert_eq!(&datagram[..count], b"query");
    datagrams.send_to(b"answer", from).await.unwrap();
    let count = client.recv(&mut datagram).await.unwrap();
    assert_eq!(&datagram[..count], b"answer");

    // Nothing listens in the container any more: the client sees the end of the connection.
    drop(server);
    let mut client = TcpStream::connect(at(format!("{tcp}/tcp"))).await.unwrap();
    assert!(matches!(client.read(&mut [0; 1]).await, Ok(0) | Err(_)));
    program.kill().await;
    simulator.shutdown().await;
}
