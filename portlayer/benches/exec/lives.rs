//! Lives of containers: one after the other, and many at a time.

use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};
use portlayer::exec::{Command, ContainerSpec, Exec, StartOptions, StopOptions};
use portlayer::vsphere::VsphereExec;
use portlayer::{ContainerId, State};

use super::server::{Calls, ENDS, Server};
use super::table::{line, processor_time, setting};

/// Number of containers that are created and started concurrently.
const IN_FLIGHT: usize = 64;

/// Calls of the poll that all watches of a client share.
const POLL: [&str; 2] = ["WaitForUpdatesEx", "CancelWaitForUpdates"];

fn calls_since(server: &mut Server, before: &Calls) -> Calls {
    let mut calls = server.calls();
    for (method, count) in &mut calls {
        *count -= before.get(method).copied().unwrap_or(0);
    }
    calls.retain(|_, count| *count > 0);
    calls
}

async fn create(exec: &VsphereExec, name: String) -> ContainerId {
    let spec = ContainerSpec::new(name, Command::new("/run"));
    let id = exec.create(spec).await.unwrap();
    let state = exec.start(&id, StartOptions::new()).await.unwrap();
    assert_eq!(state, State::Running);
    id
}

/// Counts the calls of creating and starting a container.
pub(super) async fn calls(kind: &str, target: u64) {
    let mut server = Server::start(kind);
    let exec = server.open().await;
    create(&exec, "warm".into()).await;
    let before = server.calls();
    create(&exec, "counted".into()).await;
    let mut calls = calls_since(&mut server, &before);
    calls.retain(|method, _| !POLL.contains(&method.as_str()));
    let found: u64 = calls.values().sum();
    line(
        &format!("calls of create and start beyond the shared poll, {kind}"),
        &target.to_string(),
        &format!("{found}"),
        found <= target,
    );
}

/// Counts the calls of a life by the only writer of a host: create, start, wait, stop, inspect and
/// remove.
pub(super) async fn life(kind: &str) {
    let mut server = Server::start(kind);
    let exec = server.open_alone().await;
    Life::Killed.live(&exec, "warm".into()).await;
    let before = server.calls();
    Life::Killed.live(&exec, "counted".into()).await;
    let mut calls = calls_since(&mut server, &before);
    let polls: u64 = POLL.iter().filter_map(|method| calls.remove(*method)).sum();
    let found: u64 = calls.values().sum();
    line(
        &format!("calls of create, start, wait, stop, inspect and remove, {kind}"),
        "14",
        &format!("{found}, and {polls} of the shared poll"),
        found <= 14,
    );
    if std::env::var_os("CALLS").is_some() {
        println!("{calls:?}");
    }
}

/// A life: create, start, wait, stop, inspect, remove.
#[derive(Clone, Copy)]
enum Life {
    /// The process ends by itself, while a caller waits for it.
    Ends,
    /// The process is killed, while a caller waits for it.
    Killed,
}

impl Life {
    async fn live(self, exec: &VsphereExec, name: String) {
        let program = match self {
            Self::Ends => ENDS,
            Self::Killed => "/run",
        };
        let spec = ContainerSpec::new(name, Command::new(program));
        let id = exec.create(spec).await.unwrap();
        exec.start(&id, StartOptions::new()).await.unwrap();
        let (wait, stop) = (exec.wait(&id), exec.stop(&id, StopOptions::AT_ONCE));
        let (waited, stopped) = match self {
            Self::Ends => (wait.await.unwrap(), stop.await.unwrap()),
            Self::Killed => tokio::try_join!(wait, stop).unwrap(),
        };
        assert_eq!(waited, stopped);
        let info = exec.inspect(&id).await.unwrap();
        assert_eq!(info.state, State::Stopped { exit: waited });
        exec.remove(&id).await.unwrap();
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Ends => "of a process that ends",
            Self::Killed => "of a process that is killed",
        }
    }
}

/// Measures the requests and the processor time of lives one after the other.
pub(super) async fn one_after_the_other() {
    let lives = setting("LIVES", 500);
    let mut server = Server::start("esx");
    let exec = server.open_alone().await;
    for life in [Life::Killed, Life::Ends] {
        life.live(&exec, "warm".into()).await;
        let calls = server.calls();
        let (before, begun) = (processor_time(), Instant::now());
        for n in 0..lives {
            life.live(&exec, format!("c{n}")).await;
        }
        let count = u32::try_from(lives).unwrap();
        let (own, whole) = ((processor_time() - before) / count, begun.elapsed() / count);
        let calls = calls_since(&mut server, &calls);
        let requests = calls.values().sum::<u64>() as f64 / lives as f64;
        let name = life.name();
        line(
            &format!("requests of a life {name}, the polls included"),
            "14",
            &format!("{requests:.1}"),
            requests <= 14.0,
        );
        line(
            &format!("own processor time of a life {name}"),
            "5 ms",
            &format!("{own:.1?}, of {whole:.1?} that pass"),
            own < Duration::from_millis(5),
        );
        if std::env::var_os("CALLS").is_some() {
            for (method, count) in calls {
                println!("{:.2} {method}", count as f64 / lives as f64);
            }
        }
    }
}

/// Creates and starts many containers at a time.
pub(super) async fn at_once() {
    let containers = setting("AT_ONCE", 1_000);
    let mut server = Server::start("esx");
    let exec = server.open().await;
    create(&exec, "warm".into()).await;
    let before = server.calls();
    let mut took: Vec<Duration> = stream::iter(0..containers)
        .map(|n| {
            let exec = &exec;
            async move {
                let begun = Instant::now();
                create(exec, format!("c{n}")).await;
                begun.elapsed()
            }
        })
        .buffer_unordered(IN_FLIGHT)
        .collect()
        .await;
    took.sort_unstable();
    let calls: u64 = calls_since(&mut server, &before).values().sum();
    let (median, longest) = (took[took.len() / 2], took[took.len() - 1]);
    line(
        &format!("{containers} containers created and started, {IN_FLIGHT} in flight"),
        "none over 2 times the median",
        &format!("median {median:.0?}, longest {longest:.0?}"),
        longest <= median * 2,
    );
    let each = calls as f64 / containers as f64;
    line(
        "requests for each of them, the poll included",
        "6",
        &format!("{each:.1}"),
        each <= 6.0,
    );
}
