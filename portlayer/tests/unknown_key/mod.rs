//! Guests whose host key belongs to no container when their line connects.

use guest_io::ssh::ClientPublicKey;
use tokio::io::{AsyncReadExt, DuplexStream, copy, duplex, split};
use tokio::sync::watch;
use tokio::time::Instant;
use vim25::Poly;
use vim25::types::{OptionValue, VirtualMachineConfigSpec};

use super::*;

/// The key with the fingerprint by which the host identifies a machine.
const FINGERPRINT: &str = "portlayer/hostkey";
/// The beginning of an Ed25519 host key in SSH's key exchange.
const HOST_KEY: &[u8] = b"\0\0\0\x0bssh-ed25519\0\0\0\x20";

/// An agent that does not use its line, and reports the client key of its host.
#[derive(Clone, Debug)]
struct Mute {
    client_key: mpsc::Sender<ClientPublicKey>,
}

#[async_trait]
impl Guest for Mute {
    async fn run(&self, machine: GuestMachine) {
        let config = configuration(&machine);
        if let Some(id) = config.sessions.keys().next() {
            let key = config.client_key.as_ref().unwrap().parse().unwrap();
            self.client_key.send(key).await.unwrap();
            let started = format!("guestinfo.vice..sessions|{id}.started");
            machine.set(&started, "true").unwrap();
        }
        machine.shutdown_requested().await;
        machine.power_off();
    }
}

/// Carries a line to the server, and reports when the guest has sent its host key.
async fn carry(guest: DuplexStream, server: TcpStream, shown: watch::Sender<bool>) {
    let (mut from_guest, mut to_guest) = split(guest);
    let (mut from_server, mut to_server) = server.into_split();
    let output = async {
        let mut sent = Vec::new();
        loop {
            let start = sent.len();
            if from_guest.read_buf(&mut sent).await.unwrap() == 0 {
                return;
            }
            let piece = sent[start..].to_vec();
            to_server.write_all(&piece).await.unwrap();
            if sent.windows(HOST_KEY.len()).any(|part| part == HOST_KEY) {
                shown.send_replace(true);
            }
        }
    };
    tokio::select! {
        () = output => {}
        _ = copy(&mut from_server, &mut to_guest) => {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_whose_key_stays_unknown_is_closed_after_the_timeout() {
    let patience = Duration::from_millis(700);
    let lines = LineServer::bind("127.0.0.1:0").await.unwrap();
    let lines = lines.unknown_key_timeout(patience);
    let address = lines.local_addr().unwrap();
    let endpoint = Endpoint::with_lines(Agent, Options::default(), lines, address).await;
    let (orders, mut stolen) = mpsc::unbounded_channel();
    let id = endpoint.container("other").await.to_string();
    let stranger = PrivateKey::generate().unwrap();
    let sessions = Arc::new(Sessions { id, orders });
    let stranger = Server::new(stranger.clone(), stranger.public(), sessions);
    let begun = Instant::now();
    let line = TcpStream::connect(endpoint.lines).await.unwrap();
    timeout(LIMIT, stranger.serve(line)).await.unwrap().unwrap();
    let waited = begun.elapsed();
    assert!(waited >= patience, "{waited:?}");
    // The default would be longer.
    assert!(waited < Duration::from_secs(10), "{waited:?}");
    assert!(stolen.try_recv().is_err());
    endpoint.simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_whose_key_becomes_known_in_time_is_accepted() {
    let (client_key, mut client_keys) = mpsc::channel(16);
    let lines = LineServer::bind("127.0.0.1:0").await.unwrap();
    let lines = lines.unknown_key_timeout(LIMIT);
    let address = lines.local_addr().unwrap();
    let guest = Mute { client_key };
    let endpoint = Endpoint::with_lines(guest, Options::default(), lines, address).await;
    let id = endpoint.container("late").await;
    let start = endpoint.layer.exec().start(&id, StartOptions::default());
    start.await.unwrap();
    let client_key = client_keys.recv().await.unwrap();

    // An agent with a key that the container does not have yet.
    let host_key = PrivateKey::generate().unwrap();
    let fingerprint = host_key.fingerprint().to_string();
    let (orders, mut received) = mpsc::unbounded_channel();
    let sessions = Arc::new(Sessions {
        id: id.to_string(),
        orders,
    });
    let agent = Server::new(host_key, client_key, sessions);
    let (line, far) = duplex(4096);
    let server = TcpStream::connect(endpoint.lines).await.unwrap();
    let shown = watch::Sender::new(false);
    let carrying = tokio::spawn(carry(far, server, shown.clone()));
    let serving = tokio::spawn(async move { agent.serve(line).await });
    let mut shown = shown.subscribe();
    let is_shown = shown.wait_for(|shown| *shown);
    timeout(LIMIT, is_shown).await.unwrap().unwrap();

    let change = VirtualMachineConfigSpec {
        extra_config: vec![Poly::new(OptionValue::new(FINGERPRINT, fingerprint))],
        ..Default::default()
    };
    let machine = endpoint.machine(&id).await;
    let change = machine.reconfig_vm(&change);
    endpoint.client.run(change).await.unwrap();
    let streams = endpoint.layer.streams();
    let attach = streams.attach(&id, AttachOptions::output());
    let mut attached = timeout(LIMIT, attach).await.unwrap().unwrap();
    let order = timeout(LIMIT, received.recv()).await.unwrap();
    let Some(Order::Attach(attachment)) = order else {
        panic!("{order:?}");
    };
    let text = Bytes::from_static(b"known\n");
    attachment.output.send(Stream::Stdout, text).await.unwrap();
    read(&mut attached.output, "known\n").await;
    serving.abort();
    carrying.abort();
    endpoint.simulator.shutdown().await;
}
