//! Container machines of the simulator, driven by the port layer.
#![cfg(target_arch = "x86_64")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use guest_programs::{Machine, x86_64};
use portlayer::conformance::{self, Case, Fixture, Process, Verdict};
use portlayer::exec::{Command, ContainerSpec, Exec as _, Signal, StartOptions, StopOptions};
use portlayer::vsphere::{Dialect, HostSpec, Hosts, InstallProgress, Iso, LineServer, Options};
use portlayer::{Capabilities, Capability, ErrorKind, ExitStatus, PortLayer, Result, State};
use simulator::Simulator;
use simulator_guests::ProcessGuest;
use tempfile::TempDir;
use vsphere_client::{Client, Credentials};

use crate::line_relay::LineRelay;

/// A simulator whose containers are processes, with a host called `vch`.
pub(crate) struct Endpoint {
    pub(crate) simulator: Simulator,
    pub(crate) client: Client,
    pub(crate) hosts: Hosts,
    pub(crate) guest: ProcessGuest,
    /// Connects the machines' serial lines to the port layer that was opened last.
    lines: LineRelay,
    _image: Option<TempDir>,
}

fn image() -> TempDir {
    let image = TempDir::new().expect("a directory");
    let program = |name: &str, content: Vec<u8>| {
        let path = image.path().join(name);
        fs::write(&path, content).expect("a program");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a mode");
    };
    let machine = Machine::here().expect("programs for this processor");
    let hello = guest_programs::prints(machine, "Hello from a container\n", 0);
    let hello = hello.expect("a short text");
    program("root-only", hello.clone());
    let mode = fs::Permissions::from_mode(0o700);
    fs::set_permissions(image.path().join("root-only"), mode).expect("a mode");
    program("hello", hello);
    program("exit", x86_64::exits_with_argument());
    program("run", x86_64::waits());
    program("echo", x86_64::echoes());
    program("flood", x86_64::floods(conformance::FLOOD));
    program("size", x86_64::shows_size());
    program("tcp", x86_64::echoes_tcp());
    program("udp", x86_64::echoes_udp());
    program("connect", x86_64::connects_tcp());
    image
}

/// Starts a guest; without a directory, its containers have the images on their disks.
async fn guest(image: Option<&Path>, ignore_users: bool) -> Option<ProcessGuest> {
    let mut guest = ProcessGuest::builder()
        .helper(env!("CARGO_BIN_EXE_simulator-guest"))
        .ignore_users(ignore_users);
    if let Some(image) = image {
        guest = guest.image_directory(image);
    }
    match guest.start().await {
        Ok(guest) => Some(guest),
        Err(error) => {
            eprintln!("SKIPPED: {error}");
            None
        }
    }
}

impl Endpoint {
    pub(crate) async fn start(dialect: Dialect) -> Option<Self> {
        Self::start_with(dialect, false).await
    }

    pub(crate) async fn start_with(dialect: Dialect, ignore_users: bool) -> Option<Self> {
        let image = image();
        let guest = guest(Some(image.path()), ignore_users).await?;
        Some(Self::of(guest, Some(image), dialect).await)
    }

    /// Starts an endpoint whose containers have the images on their disks.
    #[cfg(feature = "ssh")]
    pub(crate) async fn with_disks(dialect: Dialect) -> Option<Self> {
        let guest = guest(None, false).await?;
        Some(Self::of(guest, None, dialect).await)
    }

    /// Connects the machines' serial lines to this address, until a port layer is opened.
    #[cfg(feature = "ssh")]
    pub(crate) fn lines_to(&self, address: std::net::SocketAddr) {
        self.lines.connect_to(address);
    }

    async fn of(guest: ProcessGuest, image: Option<TempDir>, dialect: Dialect) -> Self {
        let simulator = Simulator::builder().guest(guest.clone()).start().await;
        let simulator = simulator.expect("a simulator");
        let credentials = Credentials::password(simulator.user(), simulator.password());
        let client = Client::builder(simulator.url())
            .credentials(credentials)
            .thumbprint(simulator.thumbprint().parse().expect("a thumbprint"))
            .connect()
            .await
            .expect("a client");
        let options = Options {
            dialect,
            ..Options::default()
        };
        let hosts = Hosts::new(client.clone(), options);
        let lines = LineRelay::start().await;
        let spec = HostSpec::new("vch", Iso::bytes("appliance"), Iso::bytes("bootstrap"));
        hosts
            .install(spec.address(lines.address()), &|_: InstallProgress| {})
            .await
            .expect("a host");
        Self {
            simulator,
            client,
            hosts,
            guest,
            lines,
            _image: image,
        }
    }

    pub(crate) async fn run(&self, command: Command) -> Result<State> {
        let exec = self.hosts.exec("vch").await?;
        let id = exec.create(ContainerSpec::new("job", command)).await?;
        let started = exec.start(&id, StartOptions::default()).await;
        let ended = exec.wait(&id).await;
        let done = started.and(ended).map(|exit| State::Stopped { exit });
        exec.remove(&id).await?;
        done
    }
}

#[async_trait]
impl Fixture for Endpoint {
    async fn open(&self) -> Result<PortLayer> {
        let server = LineServer::bind("127.0.0.1:0").await.expect("a port");
        self.lines
            .connect_to(server.local_addr().expect("an address"));
        self.hosts.open_with_lines("vch", server).await
    }

    // Images do not depend on the guest, so their cases run elsewhere. Clients cannot attach to an
    // agent without SSH.
    fn guests_lack(&self) -> Capabilities {
        let ssh = (!cfg!(feature = "ssh")).then_some(Capability::Attach);
        std::iter::once(Capability::Images).chain(ssh).collect()
    }

    fn command(&self, process: Process) -> Command {
        conformance::memory::command(process)
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(30)
    }
}

/// Returns whether a case is about streams or logs. These cases run on a separate endpoint,
/// concurrently with the others.
fn is_about_streams(case: &Case) -> bool {
    let streams = [Capability::Attach, Capability::Logs];
    case.needs.iter().any(|needed| streams.contains(needed))
}

/// Runs the conformance cases with real processes.
async fn conform(dialect: Dialect, wanted: fn(&Case) -> bool) {
    let Some(endpoint) = Endpoint::start(dialect).await else {
        return;
    };
    let mut elsewhere = vec![Capability::Store, Capability::Events];
    elsewhere.extend(endpoint.guests_lack().iter());
    for case in conformance::cases().iter().filter(|case| wanted(case)) {
        let begun = Instant::now();
        let verdict = case.run_alone(&endpoint).await;
        eprintln!("{}: {:?}", case.name, begun.elapsed());
        let fine = match &verdict {
            Verdict::Passed => true,
            Verdict::Skipped(missing) => elsewhere.contains(missing),
            Verdict::Failed(_) => false,
        };
        assert!(fine, "{}: {verdict:?}", case.name);
    }
    endpoint.simulator.shutdown().await;
}

#[tokio::test]
async fn real_processes_conform_in_1_x() {
    conform(Dialect::Vic1, |case| !is_about_streams(case)).await;
}

#[tokio::test]
async fn streams_of_real_processes_conform_in_1_x() {
    conform(Dialect::Vic1, is_about_streams).await;
}

#[tokio::test]
async fn real_processes_conform_in_0_4() {
    conform(Dialect::Vic04, |case| !is_about_streams(case)).await;
}

#[tokio::test]
async fn a_process_ends_with_its_status_or_fails_to_start_with_a_reason() {
    let Some(endpoint) = Endpoint::start(Dialect::Vic1).await else {
        return;
    };
    let begun = Instant::now();
    let exit = |code| State::Stopped {
        exit: ExitStatus::Code(code),
    };
    assert_eq!(
        endpoint.run(Command::new("/hello")).await.expect("a run"),
        exit(0)
    );
    eprintln!("create to exit, with the port layer: {:?}", begun.elapsed());
    let five = endpoint.run(Command::new("/exit").arg("5")).await;
    assert_eq!(five.expect("a run"), exit(5));
    // An exit with 143 is not reported as an end by the signal TERM.
    let term = endpoint.run(Command::new("/exit").arg("143")).await;
    assert_eq!(term.expect("a run"), exit(143));
    let error = endpoint
        .run(Command::new("/nothing"))
        .await
        .expect_err("no program");
    let ErrorKind::GuestFailed { reason } = error.kind() else {
        panic!("{error:?}");
    };
    assert!(reason.contains("no such file or directory"), "{reason}");
    endpoint.simulator.shutdown().await;
}

#[tokio::test]
async fn a_stop_sends_the_signal_and_no_process_is_left() {
    let Some(endpoint) = Endpoint::start(Dialect::Vic1).await else {
        return;
    };
    let exec = endpoint.hosts.exec("vch").await.expect("the host");
    let spec = ContainerSpec::new("job", Command::new("/run"));
    let id = exec.create(spec).await.expect("a container");
    assert_eq!(
        exec.start(&id, StartOptions::default())
            .await
            .expect("a start"),
        State::Running
    );
    let exit = exec
        .stop(&id, StopOptions::default())
        .await
        .expect("a stop");
    assert_eq!(exit, ExitStatus::Signal(Some(Signal::TERM)));
    exec.remove(&id).await.expect("a removal");
    endpoint.simulator.shutdown().await;
    drop(endpoint.guest);
}
