//! The agent with real processes, keys in memory, and serial lines to the test.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use guest_io::Stream;
use guest_io::log::{Decoder, End, Format, Item, Outcome, RunMark};
use guestinfo::rpc::{GuestRpc, Memory, RpcError};
use guestinfo::vic::{Command, ExecutorConfig, NetworkEndpoint, SessionConfig, Started};
use guestinfo::{Dialect, decode, encode};
use tether::sys::{Archive, Exit, Launch};
use tether::{
    Agent, Line, Lines, NetworkChange, Output, Platform, PlatformError, Prepared, Process,
    ProcessOutput, Supervisor,
};
use tokio::io::{AsyncReadExt as _, AsyncWrite, DuplexStream};
use tokio::sync::{Notify, watch};

use crate::container::{Directories, Running, start};

/// Keys in memory, which the test shares with the agent.
#[derive(Clone, Debug)]
pub(crate) struct Keys(Arc<Mutex<Memory>>);

impl Keys {
    pub(crate) fn new(config: &ExecutorConfig, dialect: Dialect) -> Self {
        let keys = encode(config, dialect).expect("keys");
        Self(Arc::new(Mutex::new(Memory::from_iter(keys))))
    }

    /// Creates the keys of a run with this number, which the guest cannot write.
    fn of_run(config: &ExecutorConfig, number: i64) -> Self {
        let mut keys = encode(config, Dialect::Vic1).expect("keys");
        keys.insert("guestinfo.vice./run".to_owned(), number.to_string());
        Self(Arc::new(Mutex::new(Memory::from_iter(keys))))
    }

    pub(crate) fn session(&self, id: &str) -> SessionConfig {
        self.config().sessions[id].clone()
    }

    pub(crate) fn config(&self) -> ExecutorConfig {
        let keys = self.0.lock().expect("keys").keys().clone();
        decode(&keys).value
    }

    /// Changes keys, as the host does.
    pub(crate) fn change(&self, change: impl FnOnce(&mut ExecutorConfig)) {
        let mut config = self.config();
        change(&mut config);
        let keys = encode(&config, Dialect::Vic1).expect("keys");
        self.0.lock().expect("keys").keys_mut().extend(keys);
    }
}

impl GuestRpc for Keys {
    fn get(&mut self, key: &str) -> Result<Option<String>, RpcError> {
        self.0.lock().expect("keys").get(key)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), RpcError> {
        self.0.lock().expect("keys").set(key, value)
    }
}

/// The machine of a container that already exists.
#[derive(Debug)]
pub(crate) struct Machine {
    supervisor: Supervisor,
    shutdown: Notify,
    off: watch::Sender<bool>,
}

#[async_trait]
impl Platform for Machine {
    async fn prepare(&self, _: &ExecutorConfig) -> Result<Prepared, PlatformError> {
        Ok(Prepared::default())
    }

    async fn launch(&self, launch: Launch) -> Result<Process, PlatformError> {
        let process = self.supervisor.launch(launch).await;
        process.map_err(|error| PlatformError::new(error.to_string()))
    }

    async fn signal(&self, pid: i32, signal: i32) -> Result<(), PlatformError> {
        let sent = self.supervisor.signal(pid, signal).await;
        sent.map_err(|error| PlatformError::new(error.to_string()))
    }

    async fn archive(&self, archive: Archive) -> Result<Process, PlatformError> {
        let process = self.supervisor.archive(archive).await;
        process.map_err(|error| PlatformError::new(error.to_string()))
    }

    async fn shutdown_requested(&self) {
        self.shutdown.notified().await;
    }

    async fn power_off(&self) {
        self.off.send_replace(true);
    }
}

#[derive(Debug, Default)]
pub(crate) struct Wires {
    control: Mutex<Option<DuplexStream>>,
    log: Mutex<Option<DuplexStream>>,
}

#[cfg(feature = "ssh")]
impl Wires {
    pub(crate) fn with_control(line: DuplexStream) -> Self {
        let wires = Self::default();
        *wires.control.lock().expect("a line") = Some(line);
        wires
    }
}

#[async_trait]
impl Lines for Wires {
    async fn control(&self) -> io::Result<Option<Box<dyn Line>>> {
        let line = self.control.lock().expect("a line").take();
        Ok(line.map(|line| Box::new(line) as Box<dyn Line>))
    }

    async fn log(&self) -> io::Result<Option<Box<dyn AsyncWrite + Send + Unpin>>> {
        let line = self.log.lock().expect("a line").take();
        Ok(line.map(|line| Box::new(line) as Box<dyn AsyncWrite + Send + Unpin>))
    }
}

pub(crate) fn container(script: &str) -> ExecutorConfig {
    let session = SessionConfig {
        command: Command {
            path: "/bin/sh".to_owned(),
            args: ["sh", "-c", script].map(str::to_owned).to_vec(),
            ..Command::default()
        },
        attach: true,
        active: true,
        ..SessionConfig::default()
    };
    ExecutorConfig {
        sessions: [("main".to_owned(), session)].into(),
        ..ExecutorConfig::default()
    }
}

pub(crate) async fn machine() -> Option<(Directories, Arc<Machine>)> {
    let directories = Directories::new();
    let Running { supervisor, .. } = start(directories.setup_with_programs()).await?;
    let machine = Machine {
        supervisor,
        shutdown: Notify::new(),
        off: watch::Sender::new(false),
    };
    Some((directories, Arc::new(machine)))
}

#[tokio::test]
async fn a_session_is_started_logged_and_its_end_is_reported() {
    for dialect in Dialect::ALL {
        let Some((_place, machine)) = machine().await else {
            return;
        };
        let keys = Keys::new(&container("echo out; echo err >&2; exit 4"), dialect);
        let (log, mut written) = tokio::io::duplex(1 << 16);
        let wires = Wires::default();
        *wires.log.lock().expect("a line") = Some(log);
        let platform: Arc<dyn Platform> = machine.clone();
        let agent = Agent::new(platform, Arc::new(wires), keys.clone());
        agent.run().await.expect("the agent succeeds");
        assert!(*machine.off.borrow());
        let session = keys.session("main");
        assert_eq!(
            (session.started, session.exit_status),
            (Started::Yes, Some(4))
        );
        let mut bytes = Vec::new();
        written.read_to_end(&mut bytes).await.expect("the log");
        if dialect == Dialect::Vic04 {
            assert_eq!(bytes.len(), "out\nerr\n".len());
            continue;
        }
        assert_ne!(session.detail.stop_time, 0);
        let mut decoder = Decoder::new(Format::Records);
        decoder.push(&bytes);
        let (mut seen, mut end) = (Vec::new(), None);
        while let Some(item) = decoder.next() {
            assert_eq!(end, None, "the final record is the last one");
            match item {
                Item::Record(record) => seen.push((record.stream, record.data.to_vec())),
                Item::End(found) => end = Some(found.outcome),
                Item::Skipped(bytes) => panic!("{bytes} damaged bytes"),
            }
        }
        assert_eq!(end, Some(Outcome::Code(4)));
        seen.sort();
        assert_eq!(
            seen,
            [
                (Stream::Stdout, b"out\n".to_vec()),
                (Stream::Stderr, b"err\n".to_vec())
            ]
        );
    }
}

/// Runs a container whose log is written, and returns the final record.
async fn final_record(script: &str, change: impl FnOnce(&mut ExecutorConfig)) -> Option<End> {
    let (_place, machine) = machine().await?;
    let mut config = container(script);
    change(&mut config);
    Some(end_of_log(machine, Keys::of_run(&config, 300)).await)
}

/// Runs an agent, and returns the final record of its log.
async fn end_of_log(platform: Arc<dyn Platform>, keys: Keys) -> End {
    let (log, mut written) = tokio::io::duplex(1 << 16);
    let wires = Wires::default();
    *wires.log.lock().expect("a line") = Some(log);
    let agent = Agent::new(platform, Arc::new(wires), keys);
    agent.run().await.expect("the agent succeeds");
    let mut bytes = Vec::new();
    written.read_to_end(&mut bytes).await.expect("the log");
    End::at_end(&bytes, true).expect("a final record")
}

#[tokio::test]
async fn the_final_record_of_the_log_says_how_the_run_ended() {
    let unchanged = |_: &mut ExecutorConfig| {};
    let Some(end) = final_record("kill -TERM $$; while :; do :; done", unchanged).await else {
        return;
    };
    assert_eq!(end.outcome, Outcome::Signal(15));
    assert_eq!((end.run, &*end.reason), (RunMark::of(300), ""));
    let end = final_record("", |config| {
        let session = config.sessions.get_mut("main").expect("a session");
        session.command.path = "/missing".to_owned();
    });
    let end = end.await.expect("a machine");
    assert_eq!(end.outcome, Outcome::NotStarted);
    assert!(end.reason.contains("/missing"), "{end:?}");
    // Another session that ends later does not count.
    let end = final_record("exit 3", |config| {
        config.common.id = "main".to_owned();
        let mut second = config.sessions["main"].clone();
        second.command.args[2] = "sleep 0.2; exit 5".to_owned();
        config.sessions.insert("second".to_owned(), second);
    });
    assert_eq!(end.await.expect("a machine").outcome, Outcome::Code(3));
}

/// A machine that cannot be prepared.
#[derive(Debug)]
struct Broken(&'static str);

#[async_trait]
impl Platform for Broken {
    async fn prepare(&self, _: &ExecutorConfig) -> Result<Prepared, PlatformError> {
        Err(PlatformError::new(self.0))
    }

    async fn launch(&self, _: Launch) -> Result<Process, PlatformError> {
        panic!("the machine is not prepared");
    }

    async fn signal(&self, _: i32, _: i32) -> Result<(), PlatformError> {
        panic!("no process was started");
    }

    async fn shutdown_requested(&self) {
        std::future::pending::<()>().await;
    }

    async fn power_off(&self) {}
}

#[tokio::test]
async fn the_reason_why_a_machine_could_not_be_prepared_is_in_the_keys_and_in_the_log() {
    let reason = "no disk has the label \"containerfs\"";
    let keys = Keys::of_run(&container("exit 0"), 2);
    let end = end_of_log(Arc::new(Broken(reason)), keys.clone()).await;
    assert_eq!(keys.session("main").started, Started::failed(reason));
    assert_eq!((end.outcome, &*end.reason), (Outcome::NotStarted, reason));
    assert_eq!(end.run, RunMark::of(2));
}

#[tokio::test]
async fn a_signal_is_distinguished_from_an_exit_code() {
    for dialect in Dialect::ALL {
        for (script, status, signal) in [
            ("exit 143", 143, "0"),
            ("kill -TERM $$; while :; do :; done", 143, "15"),
            ("kill -KILL $$", 137, "9"),
        ] {
            let Some((_place, machine)) = machine().await else {
                return;
            };
            let keys = Keys::new(&container(script), dialect);
            let agent = Agent::new(machine.clone(), Arc::new(Wires::default()), keys.clone());
            agent.run().await.expect("the agent succeeds");
            assert_eq!(keys.session("main").exit_status, Some(status), "{script}");
            let key = format!("{}.sessions|main.signal", dialect.base());
            let written = keys.0.lock().expect("keys").keys().get(&key).cloned();
            assert_eq!(written.as_deref(), Some(signal), "{script}");
        }
    }
}

/// A machine whose process ends at once.
#[derive(Debug)]
struct Ends(Exit);

#[async_trait]
impl Platform for Ends {
    async fn prepare(&self, _: &ExecutorConfig) -> Result<Prepared, PlatformError> {
        Ok(Prepared::default())
    }

    async fn launch(&self, _: Launch) -> Result<Process, PlatformError> {
        let (output, _) = io::pipe().expect("a pipe");
        let output = ProcessOutput::new(output.into()).expect("a pipe");
        let (ended, exit) = tokio::sync::oneshot::channel();
        ended.send(self.0).expect("a process");
        Ok(Process::new(1, None, output, None, exit))
    }

    async fn signal(&self, _: i32, _: i32) -> Result<(), PlatformError> {
        Ok(())
    }

    async fn shutdown_requested(&self) {
        std::future::pending::<()>().await;
    }

    async fn power_off(&self) {}
}

/// A machine whose process ends when an address has changed. Its files cannot be written.
#[derive(Debug)]
struct Renewed {
    changes: tokio::sync::Mutex<tokio::sync::mpsc::Receiver<NetworkChange>>,
    exit: Mutex<Option<tokio::sync::oneshot::Sender<Exit>>>,
}

#[async_trait]
impl Platform for Renewed {
    async fn prepare(&self, _: &ExecutorConfig) -> Result<Prepared, PlatformError> {
        Ok(Prepared::default())
    }

    async fn launch(&self, _: Launch) -> Result<Process, PlatformError> {
        let (output, _) = io::pipe().expect("a pipe");
        let output = ProcessOutput::new(output.into()).expect("a pipe");
        let (ended, exit) = tokio::sync::oneshot::channel();
        *self.exit.lock().expect("an exit") = Some(ended);
        Ok(Process::new(1, None, output, None, exit))
    }

    async fn signal(&self, _: i32, _: i32) -> Result<(), PlatformError> {
        Ok(())
    }

    async fn network_changed(&self) -> NetworkChange {
        match self.changes.lock().await.recv().await {
            Some(change) => change,
            None => std::future::pending().await,
        }
    }

    async fn apply_network_change(&self, change: &NetworkChange) -> Result<(), PlatformError> {
        assert_eq!(change.network, "lan");
        let exit = self.exit.lock().expect("an exit").take();
        exit.expect("a process")
            .send(Exit::Code(0))
            .expect("a process");
        Err(PlatformError::new(
            "write /etc/resolv.conf: the disk is full",
        ))
    }

    async fn shutdown_requested(&self) {
        std::future::pending::<()>().await;
    }

    async fn power_off(&self) {}
}

#[tokio::test]
async fn a_changed_address_is_applied_and_a_failure_is_noted() {
    let mut config = container("");
    config
        .networks
        .insert("lan".to_owned(), NetworkEndpoint::default());
    let keys = Keys::new(&config, Dialect::Vic1);
    let (changes, changed) = tokio::sync::mpsc::channel(1);
    let machine = Arc::new(Renewed {
        changes: changed.into(),
        exit: Mutex::default(),
    });
    let wires = Arc::new(Wires::default());
    let agent = tokio::spawn(Agent::new(machine.clone(), wires, keys.clone()).run());
    while keys.session("main").started != Started::Yes {
        tokio::task::yield_now().await;
    }
    let address: ipnet::IpNet = "10.0.0.9/24".parse().expect("an address");
    let change = NetworkChange {
        network: "lan".to_owned(),
        address: Some(address),
        ..NetworkChange::default()
    };
    changes.send(change).await.expect("an agent");
    agent.await.expect("a task").expect("the agent succeeds");
    let keys = keys.0.lock().expect("keys").keys().clone();
    let reported = decode::<ExecutorConfig>(&keys).value;
    assert_eq!(reported.networks["lan"].assigned, Some(address.into()));
    let notes = &reported.diagnostics.exit_logs;
    assert!(
        notes
            .iter()
            .any(|note| note.message.contains("the disk is full")),
        "{notes:?}"
    );
}

#[tokio::test]
async fn a_process_that_ran_out_of_memory_is_distinguished_from_a_killed_one() {
    for dialect in Dialect::ALL {
        for (exit, oom) in [(Exit::OutOfMemory, "true"), (Exit::Signal(9), "false")] {
            let keys = Keys::new(&container(""), dialect);
            let wires = Arc::new(Wires::default());
            let agent = Agent::new(Arc::new(Ends(exit)), wires, keys.clone());
            agent.run().await.expect("the agent succeeds");
            assert_eq!(keys.session("main").exit_status, Some(137));
            for (name, expected) in [("signal", "9"), ("oom", oom)] {
                let key = format!("{}.sessions|main.{name}", dialect.base());
                let written = keys.0.lock().expect("keys").keys().get(&key).cloned();
                assert_eq!(written.as_deref(), Some(expected), "{key}");
            }
        }
    }
}

#[tokio::test]
async fn the_limits_in_the_keys_reach_the_process() {
    let Some((_place, machine)) = machine().await else {
        return;
    };
    for (limits, status) in [(None, 0), (Some("nofile=20:30"), 20)] {
        let mut config = container("test $(ulimit -n) != 20 || exit 20");
        let session = config.sessions.get_mut("main").expect("it");
        session.limits = limits.map(|limits| limits.parse().expect("limits"));
        let keys = Keys::new(&config, Dialect::Vic1);
        let agent = Agent::new(machine.clone(), Arc::new(Wires::default()), keys.clone());
        agent.run().await.expect("the agent succeeds");
        assert_eq!(keys.session("main").exit_status, Some(status));
    }
}

#[tokio::test]
async fn a_missing_program_is_reported() {
    let Some((_place, machine)) = machine().await else {
        return;
    };
    let mut config = container("");
    config.sessions.get_mut("main").expect("it").command.path = "/nothing".to_owned();
    let keys = Keys::new(&config, Dialect::Vic1);
    let agent = Agent::new(machine.clone(), Arc::new(Wires::default()), keys.clone());
    agent.run().await.expect("the agent succeeds");
    assert!(*machine.off.borrow());
    let reason = "exec \"/nothing\": no such file or directory".to_owned();
    assert_eq!(keys.session("main").started, Started::Failed(reason));
}

#[tokio::test]
async fn a_shutdown_sends_the_configured_stop_signal() {
    let Some((_place, machine)) = machine().await else {
        return;
    };
    let script = "trap 'exit 5' USR1; echo ready; while :; do sleep 0.01; done";
    let mut config = container(script);
    config.sessions.get_mut("main").expect("it").stop_signal = "USR1".to_owned();
    let keys = Keys::new(&config, Dialect::Vic1);
    let (log, mut written) = tokio::io::duplex(1 << 16);
    let wires = Wires::default();
    *wires.log.lock().expect("a line") = Some(log);
    let agent = Agent::new(machine.clone(), Arc::new(wires), keys.clone());
    let agent = tokio::spawn(agent.run());
    let mut ready = [0; 16];
    written.read_exact(&mut ready).await.expect("a record");
    machine.shutdown.notify_one();
    agent.await.expect("a task").expect("the agent succeeds");
    assert_eq!(keys.session("main").exit_status, Some(5));
}

#[tokio::test]
async fn attached_clients_receive_all_output_and_send_input() {
    let Some((_place, machine)) = machine().await else {
        return;
    };
    let mut config = container("read a; read b; echo $b $a; sleep 0.05; echo end");
    config.sessions.get_mut("main").expect("it").open_stdin = true;
    let keys = Keys::new(&config, Dialect::Vic1);
    let agent = Agent::new(machine.clone(), Arc::new(Wires::default()), keys.clone());
    let sessions = agent.sessions();
    let agent = tokio::spawn(agent.run());
    let session = loop {
        if let Some(session) = sessions.get("main") {
            break session;
        }
        tokio::task::yield_now().await;
    };
    let (mut one, mut two) = (session.attach(), session.attach());
    drop(session.attach());
    session.write("x\n".into()).await.expect("input");
    session.write("y\n".into()).await.expect("input");
    for reader in [&mut one, &mut two] {
        let mut text = Vec::new();
        let end = loop {
            match reader.next().await {
                Some(Output::Data(Stream::Stdout, data)) => text.extend(data),
                other => break other,
            }
        };
        assert_eq!(text, b"y x\nend\n");
        assert!(matches!(end, Some(Output::Ended(exit)) if exit.status() == 0));
    }
    drop((one, two));
    let agent = tokio::time::timeout(Duration::from_secs(20), agent).await;
    agent
        .expect("in time")
        .expect("a task")
        .expect("the agent succeeds");
}

#[cfg(feature = "ssh")]
#[tokio::test]
async fn a_client_on_the_control_line_receives_all_output_and_the_exit() {
    use guest_io::ssh::client::{Connector, Event};
    use guest_io::ssh::{Exit, PrivateKey};

    let Some((_place, machine)) = machine().await else {
        return;
    };
    let (host_key, client_key) = (PrivateKey::generate(), PrivateKey::generate());
    let (host_key, client_key) = (host_key.expect("a key"), client_key.expect("a key"));
    let mut config = container("echo first; read line; echo got $line; exit 9");
    config.key = guestinfo::vic::Redacted(host_key.to_openssh().expect("text").into_bytes());
    let session = config.sessions.get_mut("main").expect("it");
    (session.open_stdin, session.run_block) = (true, true);
    let keys = Keys::new(&config, Dialect::Vic1);
    let text = client_key.public().to_string();
    {
        let mut memory = keys.0.lock().expect("keys");
        let keys = memory.keys_mut();
        keys.insert("guestinfo.vice./clientkey".to_owned(), text);
    }
    let (line, ours) = tokio::io::duplex(1 << 12);
    let wires = Wires::with_control(line);
    let agent = Agent::new(machine.clone(), Arc::new(wires), keys.clone());
    let agent = tokio::spawn(agent.run());
    let expected = host_key.fingerprint();
    let connector = Connector::new(client_key);
    let known = move |fingerprint| async move { fingerprint == expected };
    let client = connector.connect(ours, known).await.expect("a connection");
    assert_eq!(client.container_ids().await, Ok(vec!["main".to_owned()]));
    assert_eq!(keys.session("main").started, Started::No);
    let mut attached = client.attach("main").await.expect("an attachment");
    attached.control.unblock().expect("an order");
    attached.input.send("words\n".into()).await.expect("input");
    let mut text = Vec::new();
    let end = loop {
        match attached.output.next().await {
            Some(Event::Data(Stream::Stdout, data)) => text.extend(data),
            other => break other,
        }
    };
    assert_eq!(text, b"first\ngot words\n");
    assert_eq!(end, Some(Event::Exit(Exit::Code(9))));
    drop(attached);
    agent.await.expect("a task").expect("the agent succeeds");
    assert!(!keys.session("main").run_block);
    assert_eq!(keys.session("main").exit_status, Some(9));
}

#[cfg(feature = "ssh")]
#[tokio::test]
async fn detached_clients_whose_input_is_not_read_leave_a_bounded_number_of_tasks() {
    use guest_io::ssh::PrivateKey;
    use guest_io::ssh::client::Connector;

    const CLIENTS: usize = 60;
    let Some((_place, machine)) = machine().await else {
        return;
    };
    let (host_key, client_key) = (PrivateKey::generate(), PrivateKey::generate());
    let (host_key, client_key) = (host_key.expect("a key"), client_key.expect("a key"));
    let mut config = container("trap 'exit 3' TERM; while :; do sleep 0.01; done");
    config.key = guestinfo::vic::Redacted(host_key.to_openssh().expect("text").into_bytes());
    config.client_key = Some(client_key.public().to_string());
    config.sessions.get_mut("main").expect("it").open_stdin = true;
    let keys = Keys::new(&config, Dialect::Vic1);
    let (line, ours) = tokio::io::duplex(1 << 16);
    let wires = Wires::with_control(line);
    let agent = Agent::new(machine.clone(), Arc::new(wires), keys.clone());
    let sessions = agent.sessions();
    let agent = tokio::spawn(agent.run());
    let connector = Connector::new(client_key);
    let client = connector.connect(ours, |_| std::future::ready(true));
    let client = client.await.expect("a connection");
    let alive = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };
    let before = alive();
    for _ in 0..CLIENTS {
        let mut attached = client.attach("main").await.expect("an attachment");
        // Half of what may be in flight: sending does not wait for the process.
        for _ in 0..4 {
            let piece = vec![b'x'; 32 << 10].into();
            attached.input.send(piece).await.expect("input");
        }
    }
    // The session still has a reader, and a client can still attach.
    let last = client.attach("main").await.expect("an attachment");
    let bounded = async {
        while alive() > before + CLIENTS / 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let bounded = tokio::time::timeout(Duration::from_secs(20), bounded).await;
    bounded.expect("a bounded number of tasks");
    drop(last);
    let session = sessions.get("main").expect("it");
    session.signal(15).await.expect("a signal");
    drop(client);
    agent.await.expect("a task").expect("the agent succeeds");
    assert_eq!(keys.session("main").exit_status, Some(3));
}
