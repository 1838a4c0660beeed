//! Line servers that are replaced while the lines carry output.

use std::io;

use portlayer::stream::Attached;
use tokio::runtime::{Builder, Runtime};

use super::transfer::{Transfer, numbered, read_all};
use super::*;

const CONTAINERS: usize = 3;
/// The number of bytes that each process writes with the first line server, without one, and with
/// the second one. More than is buffered between a process and a client that does not read.
const SHARE: usize = 600_000;
/// An address of this machine. On Linux, it is one that no other test uses, so that nobody else takes
/// its port while no line server listens.
const ADDRESS: &str = if cfg!(target_os = "linux") {
    "127.0.0.2:0"
} else {
    "127.0.0.1:0"
};
/// The number of bytes that each client reads from the first line server.
const FIRST: usize = 100_000;

/// A port layer with a runtime of its own, which ends with everything in it, as a program does.
struct Program {
    runtime: Runtime,
    layer: PortLayer,
}

impl Program {
    /// Opens the host of an endpoint.
    async fn start(endpoint: &Endpoint, address: SocketAddr) -> Self {
        let runtime = Builder::new_multi_thread().enable_all().build().unwrap();
        let simulator = &endpoint.simulator;
        let credentials = Credentials::password(simulator.user(), simulator.password());
        let client = Client::builder(simulator.url())
            .credentials(credentials)
            .thumbprint(simulator.thumbprint().parse().unwrap());
        let open = runtime.spawn(async move {
            let lines = bind_when_free(address).await;
            let hosts = Hosts::new(client.connect().await.unwrap(), Options::default());
            hosts.open_with_lines("vch", lines).await.unwrap()
        });
        let layer = timeout(LIMIT, open).await.unwrap().unwrap();
        Self { runtime, layer }
    }

    async fn attach(&self, id: ContainerId) -> Attached {
        let layer = self.layer.clone();
        let attach = self.runtime.spawn(async move {
            let attach = layer.streams().attach(&id, AttachOptions::interactive());
            timeout(LIMIT, attach).await.unwrap().unwrap()
        });
        attach.await.unwrap()
    }

    fn kill(self) {
        self.runtime.shutdown_background();
    }
}

/// Listens on an address that another line server may not have released yet.
async fn bind_when_free(address: SocketAddr) -> LineServer {
    loop {
        match LineServer::bind(address).await {
            Ok(lines) => return lines,
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::AddrInUse, "{error}"),
        }
        tokio::task::yield_now().await;
    }
}

/// Reads at least this number of bytes.
async fn read_some(output: &mut portlayer::stream::Output, bytes: usize) -> Vec<u8> {
    let mut read = Vec::new();
    while read.len() < bytes {
        let chunk = timeout(LIMIT, output.next()).await.unwrap();
        read.extend_from_slice(&chunk.unwrap().unwrap().bytes);
    }
    read
}

/// Returns an endpoint whose lines connect to an address at which nobody listens yet.
async fn endpoint(guest: Transfer) -> (Endpoint, SocketAddr) {
    let free = LineServer::bind(ADDRESS).await.unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let unused = LineServer::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Endpoint::with_lines(guest, Options::default(), unused, address).await;
    (endpoint, address)
}

/// Starts the containers, and attaches to them while they write their first share.
async fn start(
    endpoint: &Endpoint,
    program: &Program,
    guest: &Transfer,
    attachments: &mut mpsc::Receiver<String>,
) -> (Vec<ContainerId>, Vec<Attached>) {
    let (mut ids, mut clients) = (Vec::new(), Vec::new());
    for number in 0..CONTAINERS {
        let id = endpoint.start_transfer(&format!("writes{number}")).await;
        clients.push(program.attach(id).await);
        timeout(LIMIT, attachments.recv()).await.unwrap().unwrap();
        ids.push(id);
    }
    guest.allow(SHARE);
    for client in &mut clients {
        let output = read_some(&mut client.output, FIRST).await;
        assert!(numbered(0, SHARE).starts_with(&output));
    }
    (ids, clients)
}

/// Attaches to the containers again, and checks that nothing but the output over the lost lines is
/// missing.
async fn finish(
    endpoint: &Endpoint,
    program: &Program,
    guest: &Transfer,
    attachments: &mut mpsc::Receiver<String>,
    ids: &[ContainerId],
) {
    let text = numbered(0, 3 * SHARE);
    let mut clients = Vec::new();
    for id in ids {
        let (list, attached) = (program.layer.exec().inspect(id).await, program.attach(*id));
        assert_eq!(list.unwrap().state, portlayer::State::Running);
        clients.push(attached.await);
        timeout(LIMIT, attachments.recv()).await.unwrap().unwrap();
    }
    guest.allow(3 * SHARE);
    let reading = clients.into_iter().map(|client| async move {
        let mut input = client.input.unwrap();
        input.write_all(b"the last input\n").await.unwrap();
        input.shutdown().await.unwrap();
        read_all(client.output).await
    });
    for (output, error) in futures_util::future::join_all(reading).await {
        assert!(error.is_none(), "{error:?}");
        assert!(output == text[2 * SHARE..], "{} bytes", output.len());
    }
    for id in ids {
        let exit = program.layer.exec().wait(id).await.unwrap();
        assert_eq!(exit, ExitStatus::Code(7));
        assert_eq!(guest.received(id).last().unwrap(), b"the last input\n");
        assert!(endpoint.log_bytes(id).await == text, "the log of {id}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn containers_are_attached_to_again_after_their_line_server_was_killed() {
    let (guest, mut attachments) = Transfer::new(true, 3 * SHARE);
    let (endpoint, address) = endpoint(guest.clone()).await;
    let first = Program::start(&endpoint, address).await;
    let (ids, clients) = start(&endpoint, &first, &guest, &mut attachments).await;
    first.kill();
    drop(clients);
    // Without a line server, the processes go on.
    guest.allow(2 * SHARE);
    for id in &ids {
        guest.written(id, 2 * SHARE).await;
    }
    let second = Program::start(&endpoint, address).await;
    finish(&endpoint, &second, &guest, &mut attachments, &ids).await;
    second.kill();
    endpoint.simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_are_told_when_their_port_layer_is_dropped() {
    let (guest, mut attachments) = Transfer::new(true, 3 * SHARE);
    let (endpoint, address) = endpoint(guest.clone()).await;
    let mut program = Program::start(&endpoint, address).await;
    let (ids, clients) = start(&endpoint, &program, &guest, &mut attachments).await;
    // A client whose container is not on waits for a line.
    let waiting = program.attach(endpoint.container("waits").await).await;
    let Program { runtime, layer } = program;
    drop(layer);
    for client in clients.into_iter().chain([waiting]) {
        let (_, error) = read_all(client.output).await;
        let error = error.expect("output is missing");
        let is_lost = matches!(error.kind, ErrorKind::Unavailable { .. });
        assert!(is_lost, "{error:?}");
    }
    guest.allow(2 * SHARE);
    for id in &ids {
        guest.written(id, 2 * SHARE).await;
    }
    program = Program::start(&endpoint, address).await;
    finish(&endpoint, &program, &guest, &mut attachments, &ids).await;
    program.kill();
    runtime.shutdown_background();
    endpoint.simulator.shutdown().await;
}
