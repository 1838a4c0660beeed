//! A container that is being powered on, as all callers see it.

use std::time::Duration;

use guest_io::log::{End, Outcome, RunMark};
use portlayer::exec::{Command, ContainerSpec, Exec, ExecExt, StartOptions, StopOptions};
use portlayer::vsphere::{Dialect, Hosts, Options, VsphereExec};
use portlayer::{ContainerId, Error, ErrorKind, ExitStatus, State, StateKind};
use simulator::{Guest, GuestMachine, Platform, Reaction};
use tokio::io::AsyncWriteExt as _;

use crate::{Endpoint, full};

/// The duration of a power-on in these tests.
const SLOW: Duration = Duration::from_millis(1500);

async fn open(endpoint: &Endpoint) -> VsphereExec {
    let options = Options {
        settle_timeout: Duration::from_millis(100),
        ..Options::default()
    };
    let hosts = Hosts::new(endpoint.client.clone(), options);
    hosts.exec("vch").await.unwrap()
}

async fn state(exec: &VsphereExec, id: &ContainerId) -> State {
    exec.inspect(id).await.unwrap().state
}

/// Waits until the container is starting, and fails if an incorrect state was seen before.
async fn starting(exec: &VsphereExec, id: &ContainerId) {
    let seen = async {
        loop {
            match state(exec, id).await {
                State::Starting => return,
                // The power-on has not been reported yet.
                State::Created
                | State::Stopped {
                    exit: ExitStatus::NeverOn | ExitStatus::Signal(_),
                } => {}
                other => panic!("{other}"),
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SLOW, seen).await.unwrap();
}

#[tokio::test]
async fn a_power_on_under_way_is_starting_for_everybody() {
    let endpoint = Endpoint::start(Dialect::Vic1, Platform::default()).await;
    let (exec, other) = (open(&endpoint).await, open(&endpoint).await);
    let spec = ContainerSpec::new("slow", Command::new("/run"));
    let id = exec.create(spec).await.unwrap();
    assert_eq!(state(&other, &id).await, State::Created);
    // The first start, which records nothing, and a later one, which does.
    for _ in 0..2 {
        let script = endpoint.simulator.script();
        script.next("PowerOnVM_Task", Reaction::SlowTask(SLOW));
        let start = exec.start(&id, StartOptions::new());
        let others = async {
            starting(&other, &id).await;
            let listed = other.list().await.unwrap().containers;
            assert_eq!(listed[0].state, State::Starting);
            let removed = other.remove(&id).await;
            assert!(
                matches!(
                    removed,
                    Err(Error {
                        kind: ErrorKind::InvalidState {
                            actual: StateKind::Starting,
                            ..
                        },
                        ..
                    })
                ),
                "{removed:?}"
            );
            let again = other.start(&id, StartOptions::new()).await;
            assert!(
                matches!(
                    again,
                    Err(Error {
                        kind: ErrorKind::InvalidState { .. } | ErrorKind::Conflict { .. },
                        ..
                    })
                ),
                "{again:?}"
            );
            // The container is stopped as soon as it is on.
            let exit = other.stop(&id, StopOptions::AT_ONCE).await.unwrap();
            assert_eq!(exit, ExitStatus::KILLED);
        };
        let (started, ()) = tokio::join!(start, others);
        // Whether `start` saw it running before it was stopped is a race.
        assert!(started.is_ok(), "{started:?}");
        let killed = State::Stopped {
            exit: ExitStatus::KILLED,
        };
        assert_eq!(state(&other, &id).await, killed);
    }
}

#[tokio::test]
async fn kill_and_wait_hold_out_for_a_power_on() {
    let endpoint = Endpoint::start(Dialect::Vic1, Platform::default()).await;
    let (exec, other) = (open(&endpoint).await, open(&endpoint).await);
    let spec = ContainerSpec::new("slow", Command::new("/run"));
    let id = exec.create(spec).await.unwrap();
    assert_eq!(state(&other, &id).await, State::Created);
    let script = endpoint.simulator.script();
    script.next("PowerOnVM_Task", Reaction::SlowTask(SLOW));
    let start = exec.start(&id, StartOptions::new());
    let killed = async {
        starting(&other, &id).await;
        other.kill(&id).await.unwrap();
    };
    let (started, (), exit) = tokio::join!(start, killed, other.wait(&id));
    assert!(started.is_ok(), "{started:?}");
    assert_eq!(exit.unwrap(), ExitStatus::KILLED);
}

#[tokio::test]
async fn a_power_on_that_fails_is_no_run() {
    let endpoint = Endpoint::start(Dialect::Vic1, Platform::default()).await;
    let exec = open(&endpoint).await;
    let spec = ContainerSpec::new("full", Command::new("/run"));
    let id = exec.create(spec).await.unwrap();
    let script = endpoint.simulator.script();
    script.next("PowerOnVM_Task", Reaction::TaskFault(full()));
    exec.start(&id, StartOptions::new()).await.unwrap_err();
    assert_eq!(state(&exec, &id).await, State::Created);
    assert_eq!(
        exec.start(&id, StartOptions::new()).await.unwrap(),
        State::Running
    );
    exec.stop(&id, StopOptions::AT_ONCE).await.unwrap();
    script.next("PowerOnVM_Task", Reaction::TaskFault(full()));
    exec.start(&id, StartOptions::new()).await.unwrap_err();
    // The start is recorded, but nothing else is known about the run.
    let exit = ExitStatus::NeverOn;
    assert_eq!(state(&exec, &id).await, State::Stopped { exit });
    let stopped = exec.stop(&id, StopOptions::AT_ONCE).await.unwrap();
    assert_eq!(stopped, exit);
    assert_eq!(exec.wait(&id).await.unwrap(), exit);
}

#[tokio::test]
async fn only_one_first_start_even_if_its_answer_is_lost() {
    let endpoint = Endpoint::start(Dialect::Vic1, Platform::default()).await;
    let exec = open(&endpoint).await;
    let spec = ContainerSpec::new("once", Command::new("/exit").arg("3"));
    let id = exec.create(spec).await.unwrap();
    let first = StartOptions::new().only_if_never_started();
    let script = endpoint.simulator.script();
    script.next("PowerOnVM_Task", Reaction::LoseAnswer);
    exec.start(&id, first).await.unwrap_err();
    let again = open(&endpoint).await.start(&id, first).await;
    assert!(
        matches!(
            again,
            Err(Error {
                kind: ErrorKind::InvalidState { .. },
                ..
            })
        ),
        "{again:?}"
    );
    assert_eq!(exec.wait(&id).await.unwrap(), ExitStatus::Code(3));
}

/// A guest whose boot hangs, or fails so that the machine goes off.
#[derive(Clone, Copy, Debug)]
enum Boot {
    Hangs,
    Fails,
    /// The agent cannot prepare the machine, and its report is lost: only the log has the reason.
    CannotPrepare,
}

#[async_trait::async_trait]
impl Guest for Boot {
    async fn run(&self, machine: GuestMachine) {
        let is_container = machine
            .get("guestinfo.vice./sessions")
            .is_ok_and(|keys| keys.is_some());
        if matches!(self, Self::CannotPrepare) && is_container {
            let number = machine.get("guestinfo.vice./run").unwrap().unwrap();
            let end = End::new(1_467_000_000_000_000_000, Outcome::NotStarted)
                .run(RunMark::of(number.parse().unwrap()))
                .reason(format!("run {number} has no disk"));
            let mut record = Vec::new();
            end.encode(&mut record);
            machine.serial(1).unwrap().write_all(&record).await.unwrap();
        }
        if !matches!(self, Self::Hangs) && is_container {
            machine.power_off();
        }
        std::future::pending::<()>().await;
    }
}

#[tokio::test]
async fn a_start_whose_boot_hangs_ends_with_the_reason_after_its_timeout() {
    let endpoint = Endpoint::with(Dialect::Vic1, Platform::default(), Boot::Hangs).await;
    let options = Options {
        start_timeout: Duration::from_millis(300),
        ..Options::default()
    };
    let hosts = Hosts::new(endpoint.client.clone(), options);
    let exec = hosts.exec("vch").await.unwrap();
    let id = exec
        .create(ContainerSpec::new("job", Command::new("/run")))
        .await
        .unwrap();
    for _ in 0..2 {
        let error = exec.start(&id, StartOptions::new()).await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Timeout { .. }), "{error}");
        let reason = std::error::Error::source(&error).unwrap().to_string();
        assert!(reason.contains("the boot hangs"), "{reason}");
        assert_eq!(state(&exec, &id).await, State::Starting);
        // The container can be stopped, and started again.
        exec.stop(&id, StopOptions::AT_ONCE).await.unwrap();
    }
    exec.remove(&id).await.unwrap();
}

#[tokio::test]
async fn a_start_whose_boot_panics_says_so() {
    let endpoint = Endpoint::with(Dialect::Vic1, Platform::default(), Boot::Fails).await;
    let exec = open(&endpoint).await;
    let id = exec
        .create(ContainerSpec::new("job", Command::new("/run")))
        .await
        .unwrap();
    let stopped = State::Stopped {
        exit: ExitStatus::NeverOn,
    };
    for _ in 0..2 {
        let error = exec.start(&id, StartOptions::new()).await.unwrap_err();
        let ErrorKind::GuestFailed { reason } = error.kind() else {
            panic!("{error}");
        };
        assert!(reason.contains("kernel panic"), "{reason}");
        assert_eq!(state(&exec, &id).await, stopped);
    }
    exec.remove(&id).await.unwrap();
}

#[tokio::test]
async fn a_failed_start_whose_report_was_lost_has_the_reason_from_the_log() {
    let guest = Boot::CannotPrepare;
    let endpoint = Endpoint::with(Dialect::Vic1, Platform::default(), guest).await;
    let exec = open(&endpoint).await;
    let id = exec
        .create(ContainerSpec::new("job", Command::new("/run")))
        .await
        .unwrap();
    for run in 1..=2 {
        let error = exec.start(&id, StartOptions::new()).await.unwrap_err();
        let ErrorKind::GuestFailed { reason } = error.kind() else {
            panic!("{error}");
        };
        assert_eq!(**reason, *format!("run {run} has no disk"));
        // The log and the exit agree, for other programs, too.
        let stopped = State::Stopped {
            exit: ExitStatus::NotLaunched,
        };
        assert_eq!(state(&exec, &id).await, stopped);
        assert_eq!(state(&open(&endpoint).await, &id).await, stopped);
        assert_eq!(exec.wait(&id).await.unwrap(), ExitStatus::NotLaunched);
    }
}
