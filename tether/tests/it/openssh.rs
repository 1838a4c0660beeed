//! OpenSSH's client on the control line. The test is ignored, because it requires that client.

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use guest_io::handshake;
use guest_io::ssh::PrivateKey;
use guestinfo::Dialect;
use guestinfo::vic::{Redacted, Started};
use tempfile::TempDir;
use tether::Agent;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::agent::{Keys, Wires, container, machine};
use crate::archive::{archive_of, listed};

/// How long a step may take. On an idle processor, it is less than a second.
const PATIENCE: Duration = Duration::from_secs(60);
/// The numbers that the program prints, one per line.
const NUMBERS: u32 = 100_000;

/// Completes the handshake of a serial line, and returns what followed it.
async fn shake(line: &mut DuplexStream) -> Vec<u8> {
    let mut host = handshake::Client::new(7);
    let mut buffer = [0; 1 << 12];
    loop {
        line.write_all(&host.take_output()).await.expect("a line");
        match timeout(Duration::from_secs(1), line.read(&mut buffer)).await {
            Err(_no_response) => host.restart(),
            Ok(length) => {
                let read = &buffer[..length.expect("a line")];
                let used = host.receive(read).expect("a handshake");
                if host.is_done() {
                    return read[used..].to_vec();
                }
            }
        }
    }
}

/// Connects the clients of a port to a line, one after the other.
async fn relay(port: TcpListener, mut line: DuplexStream) {
    loop {
        let (client, _) = port.accept().await.expect("a client");
        let (mut from_client, mut to_client) = client.into_split();
        let rest = shake(&mut line).await;
        to_client.write_all(&rest).await.expect("a client");
        let (mut from_guest, mut to_guest) = tokio::io::split(&mut line);
        // Ends with the client; the line continues.
        tokio::select! {
            _ = tokio::io::copy(&mut from_client, &mut to_guest) => {}
            _ = tokio::io::copy(&mut from_guest, &mut to_client) => {}
        }
    }
}

struct Client {
    folder: TempDir,
    address: SocketAddr,
}

impl Client {
    /// Runs OpenSSH's client, which trusts only a host with the key `host`, with a subsystem.
    async fn run(
        &self,
        (host, own): (&PrivateKey, &PrivateKey),
        subsystem: &str,
        input: &[u8],
    ) -> Output {
        let file = |name: &str, content: String| {
            let path = self.folder.path().join(name);
            fs::write(&path, content).expect("a file");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("a mode");
            path
        };
        let known = file("known", format!("line {}\n", host.public()));
        let identity = file("identity", own.to_openssh().expect("a key"));
        let option = |name: &str, path: &Path| format!("{name}={}", path.display());
        let mut ssh = Command::new("ssh");
        ssh.args(["-F", "none", "-p", &self.address.port().to_string()]);
        for option in [
            "BatchMode=yes",
            "StrictHostKeyChecking=yes",
            "HostKeyAlias=line",
            "GlobalKnownHostsFile=none",
            "IdentitiesOnly=yes",
            // So that the client ends when the guest does not answer.
            "ConnectTimeout=10",
            "ServerAliveInterval=10",
            &option("UserKnownHostsFile", &known),
            &option("IdentityFile", &identity),
        ] {
            ssh.args(["-o", option]);
        }
        let target = format!("daemon@{}", self.address.ip());
        ssh.args(["-s", &target, subsystem]);
        ssh.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = ssh.stderr(Stdio::piped()).spawn().expect("ssh");
        let input = input.to_vec();
        let ended = tokio::task::spawn_blocking(move || {
            let mut stdin = child.stdin.take().expect("a pipe");
            // Fails if the client has already ended.
            let _ = stdin.write_all(&input);
            drop(stdin);
            child.wait_with_output()
        });
        let ended = timeout(PATIENCE, ended).await.expect("an end");
        ended.expect("a task").expect("output")
    }
}

#[tokio::test]
#[ignore = "needs OpenSSH's client"]
async fn openssh_attaches_to_a_pinned_machine_and_receives_all_output_and_the_exit() {
    let (_place, machine) = machine().await.expect("a host that can create containers");
    let (host_key, client_key, other_key) = (key(), key(), key());
    let script = format!("read line; echo \"got $line\" >&2; seq {NUMBERS}; cat; exit 9");
    let mut config = container(&script);
    config.key = Redacted(host_key.to_openssh().expect("text").into_bytes());
    config.client_key = Some(client_key.public().to_string());
    let session = config.sessions.get_mut("main").expect("it");
    (session.open_stdin, session.run_block) = (true, true);
    let keys = Keys::new(&config, Dialect::Vic1);
    let (line, ours) = tokio::io::duplex(1 << 12);
    let agent = Agent::new(machine, Arc::new(Wires::with_control(line)), keys.clone());
    let agent = tokio::spawn(agent.run());
    let port = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let client = Client {
        folder: TempDir::new().expect("a directory"),
        address: port.local_addr().expect("an address"),
    };
    let relay = tokio::spawn(relay(port, ours));

    for (host, own, reason) in [
        (&other_key, &client_key, "Host key verification failed"),
        (&host_key, &other_key, "Permission denied"),
    ] {
        let refused = client.run((host, own), "attach main", b"").await;
        let text = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(255), "{text}");
        assert!(text.contains(reason) && refused.stdout.is_empty(), "{text}");
        assert_eq!(keys.session("main").started, Started::No);
    }

    let input = b"words\nand the rest";
    let ran = client.run((&host_key, &client_key), "attach main", input);
    let ran = ran.await;
    let text = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(text, "got words\n");
    let mut expected: String = (1..=NUMBERS).map(|number| format!("{number}\n")).collect();
    expected.push_str("and the rest");
    assert!(
        ran.stdout == expected.as_bytes(),
        "{} bytes",
        ran.stdout.len()
    );
    assert_eq!(ran.status.code(), Some(9));
    let ended = timeout(PATIENCE, agent).await.expect("an end");
    ended.expect("a task").expect("the agent succeeds");
    assert_eq!(keys.session("main").exit_status, Some(9));
    relay.abort();
}

#[tokio::test]
#[ignore = "needs OpenSSH's client"]
async fn openssh_copies_archives_out_of_a_container_and_into_it() {
    /// More than the server queues for a client that attaches.
    const LARGE: usize = 20 << 20;

    let (_place, machine) = machine().await.expect("a host that can create containers");
    let (host_key, client_key) = (key(), key());
    let mut config = container("while [ ! -e /done ]; do sleep 0.01; done");
    config.key = Redacted(host_key.to_openssh().expect("text").into_bytes());
    config.client_key = Some(client_key.public().to_string());
    let keys = Keys::new(&config, Dialect::Vic1);
    let (line, ours) = tokio::io::duplex(1 << 16);
    let agent = Agent::new(machine, Arc::new(Wires::with_control(line)), keys);
    let agent = tokio::spawn(agent.run());
    let port = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let client = Client {
        folder: TempDir::new().expect("a directory"),
        address: port.local_addr().expect("an address"),
    };
    let relay = tokio::spawn(relay(port, ours));
    let both = (&host_key, &client_key);

    let large: Vec<u8> = (0..LARGE).map(|n| (n % 251) as u8).collect();
    let tar = archive_of([("a/large", &*large), ("a/small", b"x")]);
    let ran = client.run(both, "archive-in /", &tar).await;
    let text = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert_eq!((ran.status.code(), &*text), (Some(0), ""));
    let ran = client.run(both, "archive-out /a", b"").await;
    let text = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert_eq!((ran.status.code(), &*text), (Some(0), ""));
    assert_eq!(listed(&ran.stdout)["a/small"], "x");
    let is_large = ran.stdout.windows(LARGE).any(|window| window == large);
    assert!(is_large, "{} bytes", ran.stdout.len());

    let ran = client.run(both, "archive-out /none", b"").await;
    let text = String::from_utf8_lossy(&ran.stderr).into_owned();
    let reason = "\"/none\": no such file or directory\n";
    assert_eq!((ran.status.code(), &*text), (Some(1), reason));
    assert!(ran.stdout.is_empty());
    let ran = client.run(both, "reload", b"").await;
    assert_eq!(String::from_utf8_lossy(&ran.stdout), "reloaded\n");
    let done = archive_of([("done", &b""[..])]);
    client.run(both, "archive-in /", &done).await;
    let ended = timeout(PATIENCE, agent).await.expect("an end");
    ended.expect("a task").expect("the agent succeeds");
    relay.abort();
}

fn key() -> PrivateKey {
    PrivateKey::generate().expect("a key")
}
