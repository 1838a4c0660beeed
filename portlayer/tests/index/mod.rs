//! The index of a host: what it answers from its cache, and which calls it sends.

mod images;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use portlayer::exec::{
    Command, ContainerInfo, ContainerSpec, Edit, Exec, Listing, StartOptions, StopOptions,
};
use portlayer::vsphere::{Dialect, Hosts, Options, VsphereExec};
use portlayer::{Capability, ContainerId, State, StateKind};
use simulator::{Platform, Reaction, Simulator, Topology};

use crate::{Endpoint, guest, spec};

/// Calls of the poll that all watches of a client share.
const POLL: [&str; 2] = ["WaitForUpdatesEx", "CancelWaitForUpdates"];

type Calls = BTreeMap<String, u64>;

/// Returns the number of calls since `before`, except those of the shared poll.
fn calls_since(endpoint: &Endpoint, before: &Calls) -> Calls {
    let mut calls = endpoint.simulator.script().calls();
    calls.retain(|method, _| !POLL.contains(&method.as_str()));
    for (method, count) in &mut calls {
        *count -= before.get(method).copied().unwrap_or(0);
    }
    calls.retain(|_, count| *count > 0);
    calls
}

fn calls(of: &[(&str, u64)]) -> Calls {
    let calls = of.iter();
    calls.map(|(name, n)| ((*name).to_owned(), *n)).collect()
}

fn run(name: &str) -> ContainerSpec {
    ContainerSpec::new(name, Command::new("/run"))
}

/// Opens the host as another program would, with its own queues and index.
async fn other(endpoint: &Endpoint) -> VsphereExec {
    let options = Options {
        dialect: endpoint.dialect,
        ..Options::default()
    };
    let hosts = Hosts::new(endpoint.client.clone(), options);
    hosts.exec("vch").await.unwrap()
}

async fn ids(exec: &VsphereExec) -> Vec<ContainerId> {
    let containers = exec.list().await.unwrap().containers;
    containers.iter().map(|container| container.id).collect()
}

/// Returns the state of a container, which a list shows, too.
async fn state(exec: &VsphereExec, id: &ContainerId) -> State {
    let state = exec.inspect(id).await.unwrap().state;
    for _ in 0..2 {
        let containers = exec.list().await.unwrap().containers;
        let listed = containers.iter().find(|container| container.id == *id);
        assert_eq!(listed.map(|container| &container.state), Some(&state));
    }
    state
}

/// Lists containers until the condition holds, because changes by other programs appear only when
/// the endpoint reports them.
async fn eventually(exec: &VsphereExec, condition: impl Fn(&[ContainerId]) -> bool + Send + Sync) {
    let seen = async {
        while !condition(&ids(exec).await) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let seen = tokio::time::timeout(Duration::from_secs(10), seen).await;
    assert!(seen.is_ok(), "the list does not show it");
}

#[tokio::test]
async fn a_first_start_writes_nothing() {
    for dialect in Dialect::ALL {
        let endpoint = Endpoint::start(dialect, Platform::default()).await;
        let exec = endpoint.hosts.exec("vch").await.unwrap();
        // Warm up: these reads happen only once.
        let warm = exec.create(run("warm")).await.unwrap();
        exec.start(&warm, StartOptions::new()).await.unwrap();

        let before = endpoint.simulator.script().calls();
        let id = exec.create(run("counted")).await.unwrap();
        assert_eq!(
            exec.start(&id, StartOptions::new()).await.unwrap(),
            State::Running
        );
        // Each of the two tasks is added to the view of tasks, and the previous one is removed.
        let expected = calls(&[
            ("CreateVM_Task", 1),
            ("PowerOnVM_Task", 1),
            ("ModifyListView", 2),
        ]);
        assert_eq!(calls_since(&endpoint, &before), expected);

        exec.stop(&id, StopOptions::AT_ONCE).await.unwrap();
        let before = endpoint.simulator.script().calls();
        exec.start(&id, StartOptions::new()).await.unwrap();
        let calls = calls_since(&endpoint, &before);
        assert_eq!(calls.get("ReconfigVM_Task"), Some(&1), "{calls:?}");
    }
}

/// The calls of the only writer, without those of the shared poll.
#[tokio::test]
async fn a_life_costs_few_calls() {
    let endpoint = Endpoint::start(Dialect::Vic1, Platform::default()).await;
    let options = Options {
        sole_writer: true,
        ..Options::default()
    };
    let hosts = Hosts::new(endpoint.client.clone(), options);
    let exec = hosts.exec("vch").await.unwrap();
    let ends = || ContainerSpec::new("ends", Command::new("/exit").arg("3"));
    for is_warm in [false, true] {
        let before = endpoint.simulator.script().calls();
        let id = exec.create(run("killed")).await.unwrap();
        exec.start(&id, StartOptions::new()).await.unwrap();
        let (wait, stop) = (exec.wait(&id), exec.stop(&id, StopOptions::AT_ONCE));
        let (waited, stopped) = tokio::try_join!(wait, stop).unwrap();
        assert_eq!(waited, stopped);
        exec.inspect(&id).await.unwrap();
        exec.remove(&id).await.unwrap();
        let killed = calls_since(&endpoint, &before);

        let before = endpoint.simulator.script().calls();
        let id = exec.create(ends()).await.unwrap();
        exec.start(&id, StartOptions::new()).await.unwrap();
        let waited = exec.wait(&id).await.unwrap();
        assert_eq!(waited.code(), Some(3));
        let stopped = exec.stop(&id, StopOptions::AT_ONCE).await.unwrap();
        assert_eq!(waited, stopped);
        exec.inspect(&id).await.unwrap();
        exec.remove(&id).await.unwrap();
        if !is_warm {
            continue;
        }
        let of_both = |tasks| {
            [
                ("CreateVM_Task", 1),
                ("PowerOnVM_Task", 1),
                // The devices are read, to find the disks that other containers use.
                ("RetrievePropertiesEx", 1),
                ("Destroy_Task", 1),
                ("DeleteDatastoreFile_Task", 1),
                ("ModifyListView", tasks),
            ]
        };
        assert_eq!(calls_since(&endpoint, &before), calls(&of_both(4)));
        let mut expected = calls(&of_both(6));
        expected.extend(calls(&[
            ("PowerOffVM_Task", 1),
            // The exit status of a killed process is known to its killer only.
            ("ReconfigVM_Task", 1),
        ]));
        assert_eq!(killed, expected);
    }
}

#[tokio::test]
async fn on_a_vcenter_one_call_protects_a_new_container() {
    let simulator = Simulator::builder()
        .topology(Topology::vcenter().standalone_hosts(0).cluster_hosts(1))
        .guest(guest())
        .start()
        .await
        .unwrap();
    let spec = spec("vch").compute("DC0_C0").bridge_network("DC0_DVPG0");
    let endpoint = Endpoint::install(simulator, Dialect::Vic1, spec).await;
    let exec = endpoint.hosts.exec("vch").await.unwrap();
    let warm = exec.create(run("warm")).await.unwrap();
    exec.start(&warm, StartOptions::new()).await.unwrap();

    let before = endpoint.simulator.script().calls();
    let id = exec.create(run("counted")).await.unwrap();
    exec.start(&id, StartOptions::new()).await.unwrap();
    let expected = calls(&[
        ("CreateVM_Task", 1),
        ("DisableMethods", 1),
        ("PowerOnVM_Task", 1),
        ("ModifyListView", 2),
    ]);
    assert_eq!(calls_since(&endpoint, &before), expected);
}

#[tokio::test]
async fn a_warm_index_answers_without_the_endpoint() {
    let endpoint = Endpoint::start(Dialect::Vic1, Platform::default()).await;
    let exec = endpoint.hosts.exec("vch").await.unwrap();
    for name in ["a", "b", "c"] {
        exec.create(run(name)).await.unwrap();
    }
    let listed = ids(&exec).await;
    let before = endpoint.simulator.script().calls();
    for _ in 0..3 {
        assert_eq!(ids(&exec).await, listed);
        for id in &listed {
            assert_eq!(state(&exec, id).await, State::Created);
        }
    }
    assert_eq!(calls_since(&endpoint, &before), calls(&[]));
}

#[tokio::test]
async fn the_first_list_of_a_program_costs_as_many_calls_for_ten_edited_containers_as_for_two() {
    let endpoint = Endpoint::start(Dialect::Vic1, Platform::default()).await;
    let exec = endpoint.hosts.exec("vch").await.unwrap();
    let mut calls = Vec::new();
    for range in [0..2, 2..12] {
        for n in range {
            let spec = run(&format!("c{n}"));
            let id = exec.create(spec).await.unwrap();
            let edit = Edit::new().label("number", n.to_string());
            exec.update(&id, edit).await.unwrap();
        }
        let other = other(&endpoint).await;
        let before = endpoint.simulator.script().calls();
        let listed = other.list().await.unwrap().containers;
        calls.push(calls_since(&endpoint, &before));
        // The tasks of the edits have just ended, so the machines still report them.
        assert!(listed.iter().all(|c| c.state == State::Created));
    }
    assert_eq!(calls[0], calls[1]);
}

#[tokio::test]
async fn lists_share_the_descriptions_of_unchanged_containers() {
    let endpoint = Endpoint::start(Dialect::Vic1, Platform::default()).await;
    let exec = endpoint.hosts.exec("vch").await.unwrap();
    let started = exec.create(run("started")).await.unwrap();
    exec.create(run("idle")).await.unwrap();
    let by_name = |listing: Listing| -> BTreeMap<String, Arc<ContainerInfo>> {
        let containers = listing.containers.into_iter();
        containers.map(|info| (info.name.clone(), info)).collect()
    };
    let before = by_name(exec.list().await.unwrap());
    exec.start(&started, StartOptions::new()).await.unwrap();
    let after = by_name(exec.list().await.unwrap());
    assert!(Arc::ptr_eq(&before["idle"], &after["idle"]));
    // The keys that the first description was decoded from have changed, and so has the state.
    assert_eq!(before["started"].state, State::Created);
    assert_eq!(after["started"].state, State::Running);
    exec.stop(&started, StopOptions::AT_ONCE).await.unwrap();
    let stopped = by_name(exec.list().await.unwrap());
    assert!(matches!(stopped["started"].state, State::Stopped { .. }));
    assert_eq!(after["started"].state, State::Running);
}

#[tokio::test]
async fn what_this_program_did_shows_at_once() {
    let endpoint = Endpoint::start(Dialect::Vic1, Platform::default()).await;
    let exec = endpoint.hosts.exec("vch").await.unwrap();
    for round in 0..5 {
        let id = exec.create(run(&format!("n{round}"))).await.unwrap();
        assert_eq!(ids(&exec).await, [id]);
        let name = format!("renamed{round}");
        exec.update(&id, Edit::new().name(&name)).await.unwrap();
        assert_eq!(exec.inspect(&id).await.unwrap().name, name);
        let started = exec.start(&id, StartOptions::new()).await.unwrap();
        assert_eq!(state(&exec, &id).await, started);
        if exec.capabilities().contains(Capability::Suspend) {
            exec.pause(&id).await.unwrap();
            assert_eq!(state(&exec, &id).await, State::Suspended);
            exec.resume(&id).await.unwrap();
            assert_eq!(state(&exec, &id).await.kind(), StateKind::Running);
        }
        let exit = exec.stop(&id, StopOptions::AT_ONCE).await.unwrap();
        assert_eq!(state(&exec, &id).await, State::Stopped { exit });
        exec.remove(&id).await.unwrap();
        assert_eq!(ids(&exec).await, []);
    }
}

/// What is in progress is known to this program only, and no machine changes with it.
#[tokio::test]
async fn a_repeated_list_shows_what_is_in_progress() {
    let endpoint = Endpoint::start(Dialect::Vic1, Platform::default()).await;
    let exec = endpoint.hosts.exec("vch").await.unwrap();
    let id = exec.create(run("slow")).await.unwrap();
    exec.start(&id, StartOptions::new()).await.unwrap();
    assert_eq!(state(&exec, &id).await, State::Running);
    let delay = Reaction::Delay(Duration::from_millis(300));
    endpoint.simulator.script().next("PowerOffVM_Task", delay);
    let stop = exec.stop(&id, StopOptions::AT_ONCE);
    let seen = async {
        loop {
            match exec.list().await.unwrap().containers[0].state.clone() {
                State::Running => tokio::task::yield_now().await,
                other => return other,
            }
        }
    };
    let (stopped, seen) = tokio::join!(stop, seen);
    assert_eq!(seen, State::Stopping);
    let exit = stopped.unwrap();
    assert_eq!(state(&exec, &id).await, State::Stopped { exit });
}

#[tokio::test]
async fn what_others_do_is_reported() {
    let endpoint = Endpoint::start(Dialect::Vic1, Platform::default()).await;
    let exec = endpoint.hosts.exec("vch").await.unwrap();
    assert_eq!(ids(&exec).await, []);
    let other = other(&endpoint).await;
    let id = other.create(run("theirs")).await.unwrap();
    // A container that is looked up is found, whether or not it was reported.
    assert_eq!(state(&exec, &id).await, State::Created);
    eventually(&exec, |ids| ids == [id]).await;
    other.remove(&id).await.unwrap();
    eventually(&exec, <[_]>::is_empty).await;
}

#[tokio::test]
async fn a_lost_session_is_made_up_for() {
    let endpoint = Endpoint::start(Dialect::Vic1, Platform::default()).await;
    let exec = endpoint.hosts.exec("vch").await.unwrap();
    let gone = exec.create(run("gone")).await.unwrap();
    let kept = exec.create(run("kept")).await.unwrap();
    assert_eq!(ids(&exec).await.len(), 2);
    let other = other(&endpoint).await;
    endpoint.simulator.drop_sessions();
    other.remove(&gone).await.unwrap();
    let new = other.create(run("new")).await.unwrap();
    eventually(&exec, |ids| {
        ids.len() == 2 && ids.contains(&kept) && ids.contains(&new)
    })
    .await;
}

#[tokio::test]
async fn handles_of_a_host_share_one_watch_that_ends_with_them() {
    let endpoint = Endpoint::start(Dialect::Vic1, Platform::default()).await;
    let filters = |endpoint: &Endpoint| {
        let calls = endpoint.simulator.script().calls();
        let count = |method: &str| calls.get(method).copied().unwrap_or(0);
        (count("CreateFilter"), count("DestroyPropertyFilter"))
    };
    let before = filters(&endpoint);
    let exec = endpoint.hosts.exec("vch").await.unwrap();
    let again = endpoint.hosts.exec("vch").await.unwrap();
    let clone = exec.clone();
    for exec in [&exec, &again, &clone] {
        ids(exec).await;
    }
    assert_eq!(filters(&endpoint).0 - before.0, 1);
    drop((exec, again, clone));
    for _ in 0..3 {
        let exec = endpoint.hosts.exec("vch").await.unwrap();
        ids(&exec).await;
    }
    let ended = async {
        loop {
            let now = filters(&endpoint);
            if now.0 - before.0 == now.1 - before.1 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let ended = tokio::time::timeout(Duration::from_secs(10), ended).await;
    assert!(ended.is_ok(), "{:?}", filters(&endpoint));
}
