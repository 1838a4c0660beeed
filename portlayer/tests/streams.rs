//! Streams on vSphere, on the simulator with a guest that implements the guest's side of them.
#![cfg(feature = "attach")]
#![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

mod copied_machine;
mod flapping_line;
mod followers;
mod late_input;
mod log_rotation;
mod lying_line;
mod moved_logs;
mod relay;
mod restarted_server;
mod transfer;
mod unknown_key;
mod unread_input;
mod without_runblock;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use guest_io::Stream;
use guest_io::ssh::server::{Attachment, GuestSessions, Refused, Request, Server, StdinEvent};
use guest_io::ssh::{Exit, PrivateKey};
use guestinfo::rpc::GuestStore;
use guestinfo::vic::ExecutorConfig;
use portlayer::exec::{Command, ContainerSpec, StartOptions};
use portlayer::stream::{AttachOptions, LogOptions, StdStream, WindowSize};
use portlayer::vsphere::{Dialect, HostSpec, Hosts, InstallProgress, Iso, LineServer, Options};
use portlayer::{Capability, ContainerId, ErrorKind, ExitStatus, PortLayer};
use simulator::{Datastore, Guest, GuestMachine, Simulator};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use vsphere_client::{Client, Credentials};

const LIMIT: Duration = Duration::from_secs(60);

/// An agent whose process writes `ready`, echoes its input to both outputs and to the log, and
/// exits with 7 when its input is closed.
#[derive(Debug)]
struct Agent;

#[derive(Debug)]
enum Order {
    Attach(Attachment),
    Request(Request),
}

#[derive(Debug)]
struct Sessions {
    id: String,
    orders: mpsc::UnboundedSender<Order>,
}

impl GuestSessions for Sessions {
    fn ids(&self) -> Vec<String> {
        vec![self.id.clone()]
    }

    fn attach(&self, id: &str, attachment: Attachment) -> Result<(), Refused> {
        if id != self.id {
            return Err(Refused);
        }
        self.orders
            .send(Order::Attach(attachment))
            .map_err(|_| Refused)
    }

    fn request(&self, _id: &str, request: Request) -> bool {
        self.orders.send(Order::Request(request)).is_ok()
    }
}

/// Reads the configuration of a machine as its agent does.
fn configuration(machine: &GuestMachine) -> ExecutorConfig {
    let mut store = GuestStore::new(machine.clone());
    store.read().unwrap().value
}

/// Returns a server of the streams of a machine's session, and what its clients order.
fn serve_sessions(config: &ExecutorConfig, id: &str) -> (Server, mpsc::UnboundedReceiver<Order>) {
    let (orders, received) = mpsc::unbounded_channel();
    let id = id.to_owned();
    let host_key = PrivateKey::from_openssh(&config.key.0).unwrap();
    let client_key = config.client_key.as_ref().unwrap().parse().unwrap();
    let sessions = Arc::new(Sessions { id, orders });
    (Server::new(host_key, client_key, sessions), received)
}

#[async_trait]
impl Guest for Agent {
    async fn run(&self, machine: GuestMachine) {
        let config = configuration(&machine);
        let Some((id, session)) = config.sessions.first_key_value() else {
            machine.shutdown_requested().await;
            return;
        };
        let (server, mut received) = serve_sessions(&config, id);
        let line = machine.serial(0).unwrap();
        let running = run(&machine, id, session.run_block, &mut received);
        tokio::select! {
            _ = server.serve(line) => {}
            () = running => {}
        }
        machine.power_off();
    }
}

struct Process {
    log: simulator::SerialPort,
    attachment: Option<Attachment>,
}

impl Process {
    async fn write(&mut self, stream: Stream, text: &[u8]) {
        let mut record = Vec::new();
        guest_io::log::encode(stream, 1_467_000_000_000_000_000, text, &mut record);
        self.log.write_all(&record).await.unwrap();
        if let Some(attachment) = &self.attachment {
            let text = Bytes::copy_from_slice(text);
            let _ = attachment.output.send(stream, text).await;
        }
    }
}

async fn run(
    machine: &GuestMachine,
    id: &str,
    blocked: bool,
    orders: &mut mpsc::UnboundedReceiver<Order>,
) {
    let key = |leaf: &str| format!("guestinfo.vice..sessions|{id}.{leaf}");
    let mut process = Process {
        log: machine.serial(1).unwrap(),
        attachment: None,
    };
    let mut unblocked = false;
    while blocked && !unblocked {
        match orders.recv().await.unwrap() {
            Order::Attach(attachment) => process.attachment = Some(attachment),
            Order::Request(Request::Unblock) => unblocked = true,
            Order::Request(_) => {}
        }
    }
    machine.set(&key("started"), "true").unwrap();
    process.write(Stream::Stdout, b"ready\n").await;
    loop {
        let stdin = async {
            match &mut process.attachment {
                Some(attachment) => attachment.stdin.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            event = stdin => match event {
                Some(StdinEvent::Data(data)) => {
                    process.write(Stream::Stdout, &data).await;
                    process.write(Stream::Stderr, &data).await;
                }
                Some(StdinEvent::Close) => break,
                None => process.attachment = None,
            },
            order = orders.recv() => match order.unwrap() {
                Order::Attach(attachment) => process.attachment = Some(attachment),
                Order::Request(Request::Resize(window)) => {
                    let text = format!("{}x{}\n", window.columns, window.rows);
                    process.write(Stream::Stdout, text.as_bytes()).await;
                }
                Order::Request(_) => {}
            },
        }
    }
    process.write(Stream::Stdout, b"bye\n").await;
    if let Some(attachment) = process.attachment.take() {
        let _ = attachment.output.finish(Exit::Code(7)).await;
    }
    machine.set(&key("status"), "7").unwrap();
    machine.set(&key("detail.stoptime"), "1467000001").unwrap();
}

struct Endpoint {
    simulator: Simulator,
    client: Client,
    lines: SocketAddr,
    layer: PortLayer,
}

impl Endpoint {
    async fn start() -> Self {
        Self::with(Agent, Dialect::Vic1).await
    }

    async fn with(guest: impl Guest, dialect: Dialect) -> Self {
        let options = Options {
            dialect,
            ..Options::default()
        };
        Self::with_options(guest, options).await
    }

    async fn with_options(guest: impl Guest, options: Options) -> Self {
        let lines = LineServer::bind("127.0.0.1:0").await.unwrap();
        let address = lines.local_addr().unwrap();
        Self::with_lines(guest, options, lines, address).await
    }

    /// Starts an endpoint whose serial lines connect to `address`.
    async fn with_lines(
        guest: impl Guest,
        options: Options,
        lines: LineServer,
        address: SocketAddr,
    ) -> Self {
        let datastore = Datastore::vmfs("datastore1");
        Self::on(datastore, guest, options, lines, address).await
    }

    /// Starts an endpoint with this datastore.
    async fn on(
        datastore: Datastore,
        guest: impl Guest,
        options: Options,
        lines: LineServer,
        address: SocketAddr,
    ) -> Self {
        let simulator = Simulator::builder().datastore(datastore).guest(guest);
        let simulator = simulator.start().await.unwrap();
        let spec = HostSpec::new("vch", Iso::bytes("appliance"), Iso::bytes("bootstrap"));
        Self::install(simulator, spec, options, lines, address).await
    }

    /// Installs a host on an endpoint.
    async fn install(
        simulator: Simulator,
        spec: HostSpec,
        options: Options,
        lines: LineServer,
        address: SocketAddr,
    ) -> Self {
        let credentials = Credentials::password(simulator.user(), simulator.password());
        let client = Client::builder(simulator.url())
            .credentials(credentials)
            .thumbprint(simulator.thumbprint().parse().unwrap())
            .connect()
            .await
            .unwrap();
        let hosts = Hosts::new(client.clone(), options);
        hosts
            .install(spec.address(address.to_string()), &|_: InstallProgress| {})
            .await
            .unwrap();
        let layer = hosts.open_with_lines("vch", lines).await.unwrap();
        Self {
            simulator,
            client,
            lines: address,
            layer,
        }
    }

    /// Creates a container with a terminal whose process reads input.
    async fn container(&self, name: &str) -> ContainerId {
        let spec = ContainerSpec::new(name, Command::new("/echo").tty(true).open_stdin(true));
        self.layer.exec().create(spec).await.unwrap()
    }

    async fn log(&self, id: &ContainerId, options: LogOptions) -> Vec<(StdStream, String)> {
        let log = self.layer.streams().logs(id, options).await.unwrap();
        timeout(LIMIT, log.map(|record| record.unwrap()).collect::<Vec<_>>())
            .await
            .unwrap()
            .into_iter()
            .map(|record| {
                (
                    record.stream,
                    String::from_utf8(record.bytes.to_vec()).unwrap(),
                )
            })
            .collect()
    }
}

async fn read(output: &mut portlayer::stream::Output, wanted: &str) {
    let mut text = String::new();
    while text != wanted {
        let chunk = timeout(LIMIT, output.next()).await.unwrap();
        let chunk = chunk
            .unwrap_or_else(|| panic!("it ends after {text:?}"))
            .unwrap();
        text.push_str(std::str::from_utf8(&chunk.bytes).unwrap());
        assert!(wanted.starts_with(&text), "{text:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_is_attached_to_from_its_first_byte_to_its_last() {
    let endpoint = Endpoint::start().await;
    let streams = endpoint.layer.streams();
    assert!(endpoint.layer.capabilities().contains(Capability::Attach));
    let id = endpoint.container("jovial_ride").await;
    // Other clients of the line server have no effect: random data, and a guest with an unknown
    // key.
    let mut noise = TcpStream::connect(endpoint.lines).await.unwrap();
    noise.write_all(&[0x16; 100_000]).await.unwrap();
    let (orders, mut stolen) = mpsc::unbounded_channel();
    let sessions = Sessions {
        id: id.to_string(),
        orders,
    };
    let stranger = PrivateKey::generate().unwrap();
    let stranger = Server::new(stranger.clone(), stranger.public(), Arc::new(sessions));
    let line = TcpStream::connect(endpoint.lines).await.unwrap();
    let stranger = tokio::spawn(async move { stranger.serve(line).await });

    let both = AttachOptions::interactive();
    let mut first = streams
        .attach(&id, both.clone().stderr(false))
        .await
        .unwrap();
    let mut second = streams.attach(&id, AttachOptions::output()).await.unwrap();
    let refused = streams.attach(&id, both.clone()).await.unwrap_err();
    assert!(matches!(refused.kind, ErrorKind::InUse { .. }), "{refused}");

    endpoint
        .layer
        .exec()
        .start(&id, StartOptions::default())
        .await
        .unwrap();
    read(&mut first.output, "ready\n").await;
    let mut input = first.input.take().unwrap();
    input.write_all(b"hello\n").await.unwrap();
    read(&mut first.output, "hello\n").await;
    read(&mut second.output, "ready\nhello\nhello\n").await;

    let size = WindowSize {
        columns: 100,
        rows: 30,
    };
    streams.resize(&id, size).await.unwrap();
    read(&mut first.output, "100x30\n").await;

    // The next holder takes over the input, and the first reader detaches.
    drop(input);
    drop(first);
    let third = streams.attach(&id, both).await.unwrap();
    let mut input = third.input.unwrap();
    input.write_all(b"again\n").await.unwrap();
    read(&mut second.output, "100x30\nagain\nagain\n").await;
    input.shutdown().await.unwrap();
    drop(third.output);
    read(&mut second.output, "bye\n").await;
    assert!(
        timeout(LIMIT, second.output.next())
            .await
            .unwrap()
            .is_none()
    );
    let exit = endpoint.layer.exec().wait(&id).await.unwrap();
    assert_eq!(exit, ExitStatus::Code(7));
    assert!(stolen.try_recv().is_err());
    stranger.abort();

    let log = endpoint.log(&id, LogOptions::new()).await;
    let text: String = log
        .iter()
        .filter(|(stream, _)| *stream == StdStream::Stdout)
        .map(|(_, line)| line.as_str())
        .collect();
    assert_eq!(text, "ready\nhello\n100x30\nagain\nbye\n");
    let errors = endpoint.log(&id, LogOptions::new().stdout(false)).await;
    assert_eq!(errors.len(), 2);
    let tail = endpoint.log(&id, LogOptions::new().tail(1)).await;
    assert_eq!(tail, [(StdStream::Stdout, "bye\n".to_owned())]);
    endpoint.simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_is_followed_until_the_container_is_stopped() {
    follow(Endpoint::start().await).await;
}

/// The endpoint chooses the directory of the machine, and thus of its log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_on_vsan_is_followed_until_the_container_is_stopped() {
    let lines = LineServer::bind("127.0.0.1:0").await.unwrap();
    let address = lines.local_addr().unwrap();
    let vsan = Datastore::vsan("vsan");
    follow(Endpoint::on(vsan, Agent, Options::default(), lines, address).await).await;
}

async fn follow(endpoint: Endpoint) {
    let streams = endpoint.layer.streams();
    let id = endpoint.container("quiet_ride").await;
    assert!(
        endpoint
            .log(&id, LogOptions::new().follow())
            .await
            .is_empty()
    );

    let never_ran = streams.attach(&id, AttachOptions::output()).await.unwrap();
    drop(never_ran);
    endpoint
        .layer
        .exec()
        .start(&id, StartOptions::default())
        .await
        .unwrap();
    let followed = endpoint.log(&id, LogOptions::new().follow());
    let closed = async {
        let attached = streams
            .attach(&id, AttachOptions::interactive())
            .await
            .unwrap();
        let mut input = attached.input.unwrap();
        input.write_all(b"news\n").await.unwrap();
        input.shutdown().await.unwrap();
        // Input is delivered even if the output is not read.
        endpoint.layer.exec().wait(&id).await.unwrap()
    };
    let (followed, exit) = tokio::join!(followed, closed);
    assert_eq!(exit, ExitStatus::Code(7));
    let lines: Vec<_> = followed.iter().map(|(_, line)| line.as_str()).collect();
    assert_eq!(lines, ["ready\n", "news\n", "news\n", "bye\n"]);
    endpoint.simulator.shutdown().await;
}
