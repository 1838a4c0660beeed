//! Boots under QEMU that fail, as the port layer reports them: the machine of each container is
//! booted with options that make the boot fail.

use async_trait::async_trait;
use portlayer::exec::{ContainerSpec, StartOptions, StopOptions};
use portlayer::vsphere::{HostSpec, Hosts, InstallProgress, Iso, Options};
use portlayer::{ErrorKind, Exec, ExitStatus, State};
use simulator::{Guest, GuestMachine, Simulator};
use vsphere_client::{Client, Credentials};

use super::*;

/// A guest whose containers boot this machine.
#[derive(Clone, Debug)]
struct Booted(Arc<Machine>);

#[async_trait]
impl Guest for Booted {
    async fn run(&self, machine: GuestMachine) {
        let sessions = machine.get("guestinfo.vice./sessions").expect("keys");
        if sessions.is_none() {
            // The appliance.
            return machine.shutdown_requested().await;
        }
        // QEMU ends when this future is dropped, which is how the simulator switches a machine off.
        let mut qemu = self.0.start(false);
        qemu.wait().await.expect("an end");
        machine.power_off();
    }
}

/// Starts a container whose machine boots with these options, and returns it with the error.
async fn failed_start(
    kernel_options: &'static str,
    start_timeout: Duration,
) -> (
    Arc<Machine>,
    impl Exec,
    portlayer::ContainerId,
    portlayer::Error,
    Simulator,
) {
    let mut machine = Machine::running("/echo", |_| {});
    machine.kernel_options = kernel_options;
    let machine = Arc::new(machine);
    // QEMU requires listeners. The agent that would use them never runs.
    for name in ["control", "keys"] {
        let listener = UnixListener::bind(machine.path(name)).expect("a socket");
        tokio::spawn(async move {
            let mut connections = Vec::new();
            while let Ok(connection) = listener.accept().await {
                connections.push(connection);
            }
        });
    }
    let simulator = Simulator::builder().guest(Booted(Arc::clone(&machine)));
    let simulator = simulator.start().await.expect("a simulator");
    let client = Client::builder(simulator.url().to_string())
        .credentials(Credentials::password("root", "vmware"))
        .thumbprint(simulator.thumbprint().parse().expect("a thumbprint"))
        .connect()
        .await
        .expect("a client");
    let options = Options {
        start_timeout,
        settle_timeout: Duration::from_millis(100),
        ..Options::default()
    };
    let hosts = Hosts::new(client, options);
    let spec = HostSpec::new("vch", Iso::bytes("appliance"), Iso::bytes("bootstrap"));
    let progress = |_: InstallProgress| {};
    hosts.install(spec, &progress).await.expect("a host");
    let exec = hosts.exec("vch").await.expect("containers");
    let command = portlayer::exec::Command::new("/echo");
    let id = exec.create(ContainerSpec::new("job", command)).await;
    let id = id.expect("a container");
    let started = timeout(PATIENCE, exec.start(&id, StartOptions::new())).await;
    let error = started.expect("an answer").expect_err("the boot fails");
    (machine, exec, id, error, simulator)
}

#[tokio::test]
#[ignore = "needs QEMU and a kernel"]
async fn a_boot_that_hangs_under_qemu_ends_the_start_with_the_reason() {
    let limit = Duration::from_secs(5);
    // The kernel panics and then halts, so the machine stays on.
    let (machine, exec, id, error, simulator) =
        failed_start("panic=0 rdinit=/missing", limit).await;
    assert!(matches!(error.kind(), ErrorKind::Timeout { .. }), "{error}");
    let reason = std::error::Error::source(&error)
        .expect("a reason")
        .to_string();
    assert!(reason.contains("the boot hangs"), "{reason}");
    let panicked = async {
        while !machine.console().contains("Kernel panic") {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let panicked = timeout(PATIENCE, panicked).await;
    assert!(panicked.is_ok(), "{}", machine.console());
    let state = exec.inspect(&id).await.expect("a container").state;
    assert_eq!(state, State::Starting);
    // The machine can be switched off, and the container removed.
    let stopped = exec.stop(&id, StopOptions::AT_ONCE).await;
    assert_eq!(stopped.expect("a stop"), ExitStatus::KILLED);
    exec.remove(&id).await.expect("a removal");
    simulator.shutdown().await;
}

#[tokio::test]
#[ignore = "needs QEMU and a kernel"]
async fn a_boot_that_panics_under_qemu_ends_the_start_with_the_reason() {
    let (machine, exec, id, error, simulator) = failed_start("rdinit=/missing", PATIENCE).await;
    let ErrorKind::GuestFailed { reason } = error.kind() else {
        panic!("{error}: {}", machine.console());
    };
    assert!(reason.contains("kernel panic"), "{reason}");
    let exit = ExitStatus::NeverOn;
    let state = exec.inspect(&id).await.expect("a container").state;
    assert_eq!(state, State::Stopped { exit });
    assert!(
        machine.console().contains("Kernel panic"),
        "{}",
        machine.console()
    );
    simulator.shutdown().await;
}
