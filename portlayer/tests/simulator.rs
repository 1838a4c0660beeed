//! Runs the vSphere implementation on the simulator: an ESXi host with guests, in both dialects,
//! and with every variant of the platform's undocumented behaviour.
#![cfg(all(feature = "conformance", feature = "vsphere"))]
#![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

mod appliance;
mod checks;
mod flows;
mod folders;
mod host_keys;
mod host_outage;
mod images;
mod index;
mod installing;
mod interrupted;
mod lying_guest;
mod networks;
mod random_networks;
mod recovery;
mod renaming;
mod signals;
mod sole_writer;
mod starting;
mod vsan;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use flows::Flow;
use portlayer::conformance::{self, Fixture, Process};
use portlayer::exec::{Command, ContainerSpec, Exec, Signal, StartOptions, StopOptions};
use portlayer::vsphere::{
    ContainerPolicy, Dialect, HostSpec, Hosts, InstallProgress, InstallStep, Iso, Options, kind,
};
use portlayer::{Capabilities, Capability, Error, ErrorKind, ExitStatus, PortLayer, Result, State};
use simulator::{Guest, GuestMachine, Platform, Program, Reaction, Simulator, Tether};
use tokio::sync::Notify;
use vim25::Fault;
use vim25::types::InsufficientResourcesFault;
use vsphere_client::{Client, Credentials};

struct Endpoint {
    dialect: Dialect,
    simulator: Simulator,
    client: Client,
    hosts: Hosts,
    /// The specification of the host called `vch`.
    spec: HostSpec,
}

fn spec(name: &str) -> HostSpec {
    HostSpec::new(name, Iso::bytes("appliance"), Iso::bytes("bootstrap"))
}

/// Returns a guest with a program that exits, and one that does not.
fn guest() -> Tether {
    let exit = Program::new(|process| async move {
        process
            .args()
            .last()
            .and_then(|code| code.parse().ok())
            .unwrap_or(0)
    });
    Tether::new()
        .program("/exit", exit)
        .program("/run", Program::forever())
}

impl Endpoint {
    /// Starts a simulator with a host called `vch`.
    async fn start(dialect: Dialect, platform: Platform) -> Self {
        Self::with(dialect, platform, guest()).await
    }

    async fn with(dialect: Dialect, platform: Platform, guest: impl Guest) -> Self {
        let simulator = Simulator::builder()
            .platform(platform)
            .guest(guest)
            .start()
            .await
            .unwrap();
        Self::install(simulator, dialect, spec("vch")).await
    }

    /// Installs this host on a simulator.
    async fn install(simulator: Simulator, dialect: Dialect, spec: HostSpec) -> Self {
        let client = Client::builder(simulator.url())
            .credentials(Credentials::password(
                simulator.user(),
                simulator.password(),
            ))
            .thumbprint(simulator.thumbprint().parse().unwrap())
            .connect()
            .await
            .unwrap();
        let hosts = Hosts::new(
            client.clone(),
            Options {
                dialect,
                ..Options::default()
            },
        );
        let quiet = |_: InstallProgress| {};
        hosts.install(spec.clone(), &quiet).await.unwrap();
        Self {
            dialect,
            simulator,
            client,
            hosts,
            spec,
        }
    }

    /// Returns the specification of another host on the endpoint.
    fn spec(&self, name: &str) -> HostSpec {
        let mut spec = self.spec.clone();
        name.clone_into(&mut spec.name);
        spec
    }

    async fn conform(self) {
        self.conform_without(&[InstallStep::Folder]).await;
    }

    /// Runs the suites on an endpoint whose installations do not have these steps.
    async fn conform_without(self, skipped: &[InstallStep]) {
        let exec = self.hosts.exec("vch").await.unwrap();
        for needed in [
            Capability::GuestKeys,
            Capability::VmxContents,
            Capability::StaleChangeVersionRefused,
            Capability::KeyCaseFolding,
        ] {
            assert!(exec.capabilities().contains(needed), "{needed}");
        }
        drop(exec);
        let report = conformance::run(&self).await;
        assert!(report.is_success(), "{report}");
        assert!(
            report.skipped().all(|(_, missing)| matches!(
                missing,
                Capability::Signals
                    | Capability::Store
                    | Capability::Events
                    | Capability::Attach
                    | Capability::Logs
            )),
            "{report}"
        );
        let flow = Flow {
            client: &self.client,
            hosts: &self.hosts,
            spec: &|name| self.spec(name),
            skipped,
        };
        flows::hosts::all(&flow).await;
        self.simulator.shutdown().await;
    }
}

#[async_trait]
impl Fixture for Endpoint {
    async fn open(&self) -> Result<PortLayer> {
        // As another program would: only the endpoint is shared.
        let options = Options {
            dialect: self.dialect,
            settle_timeout: Duration::from_millis(200),
            ..Options::default()
        };
        Hosts::new(self.client.clone(), options).open("vch").await
    }

    fn command(&self, process: Process) -> Command {
        conformance::memory::command(process)
    }

    // The built-in guest has no streams and writes no log; `streams.rs` tests guests that do.
    fn guests_lack(&self) -> Capabilities {
        [Capability::Logs].into_iter().collect()
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(20)
    }
}

#[tokio::test]
async fn vic_0_4_conforms() {
    Endpoint::start(Dialect::Vic04, Platform::default())
        .await
        .conform()
        .await;
}

#[tokio::test]
async fn vic_1_conforms() {
    Endpoint::start(Dialect::Vic1, Platform::default())
        .await
        .conform()
        .await;
}

#[tokio::test]
async fn it_conforms_on_an_opposite_platform() {
    let usual = Platform::default();
    let platform = Platform {
        api_keys_written_while_on_survive: !usual.api_keys_written_while_on_survive,
        guest_write_bumps_change_version: !usual.guest_write_bumps_change_version,
        power_change_bumps_change_version: !usual.power_change_bumps_change_version,
        destroy_deletes_parent_disks: !usual.destroy_deletes_parent_disks,
        ..usual
    };
    Endpoint::start(Dialect::Vic1, platform)
        .await
        .conform()
        .await;
}

/// Each switch by itself: whatever the platform does with keys and versions, no acknowledged change
/// is lost, and the capability says whether changes are possible while a container is on.
#[tokio::test]
async fn changes_made_while_on_are_kept_or_refused_with_each_switch() {
    let usual = Platform::default();
    let switches: [fn(&mut Platform); 8] = [
        |platform| platform.api_keys_written_while_on_survive ^= true,
        |platform| platform.guest_keys_survive_power_off ^= true,
        |platform| platform.guest_write_bumps_change_version ^= true,
        |platform| platform.power_change_bumps_change_version ^= true,
        |platform| platform.destroy_deletes_parent_disks ^= true,
        |platform| platform.destroy_honours_ddb_deletable ^= true,
        |platform| platform.nonpersistent_disks_are_shared ^= true,
        |platform| platform.new_filters_wait_for_a_change ^= true,
    ];
    for switch in switches {
        let mut platform = usual.clone();
        switch(&mut platform);
        let endpoint = Endpoint::start(Dialect::Vic1, platform.clone()).await;
        let exec = endpoint.hosts.exec("vch").await.unwrap();
        let has = exec.capabilities().contains(Capability::LiveEdits);
        assert_eq!(has, platform.api_keys_written_while_on_survive);
        let report = conformance::run_where(&endpoint, |case| {
            case.name == "a_change_made_while_on_is_kept_or_refused"
        })
        .await;
        assert!(report.is_success(), "{platform:?}: {report}");
        assert_eq!(report.outcomes().len(), 1);
        endpoint.simulator.shutdown().await;
    }
}

#[tokio::test]
async fn what_is_left_on_the_endpoint() {
    for dialect in Dialect::ALL {
        let endpoint = Endpoint::start(dialect, Platform::default()).await;
        let flow = Flow {
            client: &endpoint.client,
            hosts: &endpoint.hosts,
            spec: &spec,
            skipped: &[InstallStep::Folder],
        };
        flows::a_container_has_what_vic_gave_it(&flow).await;
        flows::removing_keeps_what_is_shared(&flow).await;
        flows::a_failed_installation_leaves_nothing(&flow).await;
        flows::a_broken_container_is_quarantined(&flow).await;
        flows::the_configuration_file_is_readable(&flow).await;
    }
}

#[tokio::test]
async fn a_graceful_stop_asks_the_guest() {
    for dialect in Dialect::ALL {
        let endpoint = Endpoint::start(dialect, Platform::default()).await;
        let exec = endpoint.hosts.exec("vch").await.unwrap();
        let spec = ContainerSpec::new("graceful", Command::new("/run"));
        let id = exec.create(spec).await.unwrap();
        exec.start(&id, StartOptions::new()).await.unwrap();
        let exit = exec.stop(&id, StopOptions::default()).await.unwrap();
        // The guest ended the process with `TERM` and reported that.
        assert_eq!(exit, ExitStatus::Signal(Some(Signal::TERM)));
        exec.start(&id, StartOptions::new()).await.unwrap();
        let exit = exec.stop(&id, StopOptions::AT_ONCE).await.unwrap();
        assert_eq!(exit, ExitStatus::KILLED);
    }
}

/// A guest that writes its exit status and powers off only when requested.
#[derive(Clone, Debug, Default)]
struct Unhurried {
    finish: Arc<Notify>,
    finished: Arc<Notify>,
    leave: Arc<Notify>,
}

#[async_trait]
impl Guest for Unhurried {
    async fn run(&self, machine: GuestMachine) {
        let Ok(Some(id)) = machine.get("guestinfo.vice./sessions") else {
            return;
        };
        let say = |leaf: &str, text: &str| {
            machine
                .set(&format!("guestinfo.vice..sessions|{id}.{leaf}"), text)
                .unwrap();
        };
        say("started", "true");
        self.finish.notified().await;
        say("status", "7");
        say("detail.stoptime", "1467000001");
        self.finished.notify_one();
        self.leave.notified().await;
        machine.power_off();
    }
}

#[tokio::test]
async fn an_exit_that_the_endpoint_forgets_is_kept_for_others() {
    let platform = Platform {
        guest_keys_survive_power_off: false,
        ..Platform::default()
    };
    let guest = Unhurried::default();
    let endpoint = Endpoint::with(Dialect::Vic1, platform, guest.clone()).await;
    let exec = endpoint.hosts.exec("vch").await.unwrap();
    let id = exec
        .create(ContainerSpec::new("kept", Command::new("/any")))
        .await
        .unwrap();
    assert_eq!(
        exec.start(&id, StartOptions::new()).await.unwrap(),
        State::Running
    );
    guest.finish.notify_one();
    guest.finished.notified().await;
    // Reading the machine persists how the process ended.
    exec.inspect(&id).await.unwrap();
    guest.leave.notify_one();
    assert_eq!(exec.wait(&id).await.unwrap(), ExitStatus::Code(7));
    let others = Hosts::new(endpoint.client.clone(), Options::default());
    let state = others
        .exec("vch")
        .await
        .unwrap()
        .inspect(&id)
        .await
        .unwrap()
        .state;
    assert_eq!(
        state,
        State::Stopped {
            exit: ExitStatus::Code(7)
        }
    );
}

fn full() -> Fault {
    Fault::new("the host is full", InsufficientResourcesFault::default())
}

#[tokio::test]
async fn what_an_installation_cannot_remove_is_named() {
    let endpoint = Endpoint::start(Dialect::Vic1, Platform::default()).await;
    let script = endpoint.simulator.script();

    script.next("PowerOnVM_Task", Reaction::TaskFault(full()));
    let failed = endpoint
        .hosts
        .install(spec("full"), &|_: InstallProgress| {})
        .await
        .unwrap_err();
    assert_eq!(failed.step(), InstallStep::PowerOn);
    assert!(
        matches!(
            failed.error(),
            Error {
                kind: ErrorKind::Exhausted { .. },
                ..
            }
        ),
        "{failed:?}"
    );
    assert_eq!(failed.left_behind(), []);
    assert!(matches!(
        endpoint.hosts.find("full").await,
        Err(Error {
            kind: ErrorKind::NotFound,
            ..
        })
    ));

    script.next("PowerOnVM_Task", Reaction::TaskFault(full()));
    script.next("Destroy_Task", Reaction::TaskFault(full()));
    let failed = endpoint
        .hosts
        .install(spec("stuck"), &|_: InstallProgress| {})
        .await
        .unwrap_err();
    let kinds: Vec<_> = failed.left_behind().iter().map(|left| left.kind).collect();
    assert!(kinds.contains(&kind::VIRTUAL_MACHINE), "{failed}");
    assert!(
        failed.to_string().contains("left behind and to be removed"),
        "{failed}"
    );
    // The leftovers can be found, including files, and deleted like any host.
    let configuration = endpoint
        .simulator
        .datastore_directory()
        .join("stuck/stuck.vmx");
    assert!(configuration.exists());
    assert_eq!(endpoint.hosts.find("stuck").await.unwrap().name, "stuck");
    endpoint
        .hosts
        .delete("stuck", ContainerPolicy::Remove)
        .await
        .unwrap();
    assert!(matches!(
        endpoint.hosts.find("stuck").await,
        Err(Error {
            kind: ErrorKind::NotFound,
            ..
        })
    ));

    script.next("CreateVM_Task", Reaction::LoseAnswer);
    let failed = endpoint
        .hosts
        .install(spec("unknown"), &|_: InstallProgress| {})
        .await
        .unwrap_err();
    assert!(
        matches!(
            failed.error(),
            Error {
                kind: ErrorKind::OutcomeUnknown { .. },
                ..
            }
        ),
        "{failed:?}"
    );
    assert_eq!(failed.left_behind()[0].kind, kind::VIRTUAL_MACHINE);
}

#[tokio::test]
async fn a_create_whose_answer_was_lost_can_be_asked_for_again() {
    let endpoint = Endpoint::start(Dialect::Vic1, Platform::default()).await;
    let exec = endpoint.hosts.exec("vch").await.unwrap();
    let spec = ContainerSpec::new("twice", Command::new("/hello"));
    endpoint
        .simulator
        .script()
        .next("CreateVM_Task", Reaction::LoseAnswer);
    let lost = exec.create(spec.clone()).await;
    assert!(
        matches!(
            lost,
            Err(Error {
                kind: ErrorKind::OutcomeUnknown { .. },
                ..
            })
        ),
        "{lost:?}"
    );
    let again = exec.create(spec.clone()).await;
    assert!(
        matches!(
            again,
            Err(Error {
                kind: ErrorKind::AlreadyExists,
                ..
            })
        ),
        "{again:?}"
    );
    let listed: Vec<_> = exec
        .list()
        .await
        .unwrap()
        .containers
        .iter()
        .map(|c| c.id)
        .collect();
    assert_eq!(listed, [spec.id]);
}
