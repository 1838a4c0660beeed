//! Tests of the cache: what it holds, how current it is, and how it recovers.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::time::Duration;

use simulator::{Reaction, Simulator, SimulatorBuilder, Topology};
use vim25::types::{SystemError, VirtualMachineConfigSpec, VirtualMachinePowerState as State};
use vim25::{Property, Ref, mo, props};
use vsphere_client::{Cache, CacheState, Client, Error, Properties};

mod connected;

#[derive(Clone, Debug, PartialEq, Properties)]
#[properties(VirtualMachine)]
struct Machine {
    name: String,
    #[property(runtime.powerState)]
    power: State,
    #[property(config.annotation)]
    annotation: Option<String>,
}

const LIMIT: Duration = Duration::from_secs(30);

async fn start(machines: usize) -> (Simulator, Client) {
    let topology = Topology::esx().machines(machines);
    let simulator = Simulator::builder().topology(topology);
    let simulator = simulator.start().await.unwrap();
    let client = connected::client(&simulator).await;
    (simulator, client)
}

async fn cache(client: &Client) -> Cache<Machine> {
    let root = &client.service_content().root_folder;
    let cache: Cache<Machine> = client.retrieve().within(root).cache();
    ready(&cache).await.unwrap();
    cache
}

async fn ready(cache: &Cache<Machine>) -> Result<(), Error> {
    tokio::time::timeout(LIMIT, cache.ready()).await.unwrap()
}

/// Waits until the cache satisfies a condition.
async fn until(cache: &Cache<Machine>, condition: impl Fn(&Cache<Machine>) -> bool + Send + Sync) {
    let wait = async {
        let mut seen = cache.generation();
        while !condition(cache) {
            seen = cache.changed(seen).await.unwrap();
        }
    };
    tokio::time::timeout(LIMIT, wait).await.unwrap();
}

fn calls(simulator: &Simulator) -> u64 {
    let calls = simulator.script().calls();
    let own = |(name, _): &(&String, &u64)| *name != "WaitForUpdatesEx";
    calls.iter().filter(own).map(|(_, count)| count).sum()
}

fn annotated(text: &str) -> VirtualMachineConfigSpec {
    VirtualMachineConfigSpec {
        annotation: Some(text.into()),
        ..Default::default()
    }
}

#[tokio::test]
async fn reads_and_lookups_of_a_cache_send_nothing() {
    let (simulator, client) = start(20).await;
    let cache = cache(&client).await;
    assert_eq!(cache.state(), CacheState::Current);
    let by_power = cache.lookup_by(|machine| machine.power.clone());
    let by_name = cache.lookup_by(|machine| machine.name.clone());
    let before = calls(&simulator);
    assert_eq!(cache.len(), 20);
    assert_eq!(cache.iter().len(), 20);
    for (vm, machine) in cache.iter() {
        assert_eq!(cache.get(&vm), Some(machine.clone()));
        assert_eq!(by_name.get_only(&machine.name), Some((vm, machine)));
    }
    let off = by_power.get(&State::PoweredOff).len();
    assert_eq!(off + by_power.get(&State::PoweredOn).len(), 20);
    assert!(cache.find(|machine| machine.name == "none").is_none());
    assert_eq!(calls(&simulator), before);
    client.close().await.unwrap();
    simulator.shutdown().await;
}

/// No sleep and no wait between the end of the call and the read.
#[tokio::test]
async fn own_changes_are_in_the_cache_when_the_call_returns() {
    let (simulator, client) = start(8).await;
    let cache = cache(&client).await;
    let by_note = cache.lookup_by(|machine| machine.annotation.clone());
    let machines: Vec<_> = cache.iter().map(|(vm, _)| vm).collect();
    for (number, vm) in machines.iter().enumerate() {
        let note = format!("note {number}");
        client.run(vm.reconfig_vm(&annotated(&note))).await.unwrap();
        let machine = cache.get(vm).unwrap();
        assert_eq!(machine.annotation.as_deref(), Some(note.as_str()));
        assert_eq!(by_note.get(&Some(note)).len(), 1);
    }
    let vm = &machines[0];
    if cache.get(vm).unwrap().power == State::PoweredOn {
        client.run(vm.power_off_vm()).await.unwrap();
    }
    client.run(vm.power_on_vm(None)).await.unwrap();
    assert_eq!(cache.get(vm).unwrap().power, State::PoweredOn);
    client.run(vm.power_off_vm()).await.unwrap();
    assert_eq!(cache.get(vm).unwrap().power, State::PoweredOff);
    // A call that starts no task.
    let start = tokio::time::Instant::now();
    client.call(vm.unregister_vm()).await.unwrap();
    assert_eq!(cache.get(vm), None);
    assert_eq!(cache.len(), 7);
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "it waited too long"
    );
    client.close().await.unwrap();
    simulator.shutdown().await;
}

#[tokio::test]
async fn the_changes_of_others_arrive_and_can_be_waited_for() {
    let (simulator, client) = start(3).await;
    let other = connected::client(&simulator).await;
    let cache = cache(&client).await;
    let (vm, _) = cache.iter().next().unwrap();
    other
        .run(vm.reconfig_vm(&annotated("theirs")))
        .await
        .unwrap();
    tokio::time::timeout(LIMIT, cache.sync())
        .await
        .unwrap()
        .unwrap();
    let machine = cache.get(&vm).unwrap();
    assert_eq!(machine.annotation.as_deref(), Some("theirs"));
    // A sync without any change ends too, without waiting for the end of the poll.
    for _ in 0..3 {
        let start = tokio::time::Instant::now();
        tokio::time::timeout(LIMIT, cache.sync())
            .await
            .unwrap()
            .unwrap();
        assert!(start.elapsed() < Duration::from_secs(10));
    }
    let seen = cache.generation();
    other.call(vm.unregister_vm()).await.unwrap();
    let changed = tokio::time::timeout(LIMIT, cache.changed(seen)).await;
    assert!(changed.unwrap().unwrap() > seen);
    until(&cache, |cache| cache.get(&vm).is_none()).await;
    other.close().await.unwrap();
    client.close().await.unwrap();
    // The client is closed: the last state can still be read, but no longer waited for.
    assert!(cache.changed(cache.generation()).await.is_err());
    assert!(cache.ready().await.is_err());
    assert_eq!((cache.state(), cache.len()), (CacheState::Ended, 2));
    simulator.shutdown().await;
}

#[tokio::test]
async fn a_cache_resyncs_after_its_session_was_lost() {
    let (simulator, client) = start(5).await;
    let other = connected::client(&simulator).await;
    let cache = cache(&client).await;
    let machines: Vec<_> = cache.iter().map(|(vm, _)| vm).collect();
    for round in 0..3 {
        simulator.drop_sessions();
        let note = format!("round {round}");
        other.call(machines[round].unregister_vm()).await.unwrap();
        other
            .run(machines[4].reconfig_vm(&annotated(&note)))
            .await
            .unwrap();
        // Objects can be read all the time.
        assert!(cache.get(&machines[4]).is_some());
        until(&cache, |cache| {
            cache.state() == CacheState::Current
                && cache.len() == 4 - round
                && cache.get(&machines[4]).unwrap().annotation.as_deref() == Some(note.as_str())
        })
        .await;
    }
    other.close().await.unwrap();
    client.close().await.unwrap();
    simulator.shutdown().await;
}

/// A host that restarts has ended all sessions, filters and views.
#[tokio::test]
async fn a_cache_survives_a_restart_of_the_server() {
    let directory = tempfile::tempdir().unwrap();
    let host = |machines| -> SimulatorBuilder {
        Simulator::builder()
            .topology(Topology::esx().machines(machines))
            .datastore_directory(directory.path())
    };
    let simulator = host(4).start().await.unwrap();
    let port = simulator.url().trim_end_matches("/sdk");
    let port: u16 = port.rsplit_once(':').unwrap().1.parse().unwrap();
    let client = connected::client(&simulator).await;
    let cache = cache(&client).await;
    let by_note = cache.lookup_by(|machine| machine.annotation.clone());
    let machines: Vec<_> = cache.iter().map(|(vm, _)| vm).collect();
    assert_eq!(machines.len(), 4);
    simulator.shutdown().await;
    for round in 0..2 {
        // Without a server, the last state can be read.
        assert_eq!(cache.len(), 4 - round);
        // What another client changes on the restarted host, before this one is back on it.
        let elsewhere = host(0).start().await.unwrap();
        let other = connected::client(&elsewhere).await;
        let note = format!("round {round}");
        other.call(machines[round].unregister_vm()).await.unwrap();
        other
            .run(machines[3].reconfig_vm(&annotated(&note)))
            .await
            .unwrap();
        other.close().await.unwrap();
        elsewhere.shutdown().await;

        let again = host(0).port(port).start().await.unwrap();
        until(&cache, |cache| {
            cache.state() == CacheState::Current
                && cache.len() == 3 - round
                && cache.get(&machines[3]).unwrap().annotation.as_deref() == Some(note.as_str())
        })
        .await;
        assert!(cache.get(&machines[round]).is_none());
        assert!(cache.get(&machines[2]).is_some());
        assert!(cache.quarantined().is_empty());
        assert_eq!(by_note.get(&Some(note)).len(), 1);
        // The cache works as before.
        let own = format!("own {round}");
        client
            .run(machines[2].reconfig_vm(&annotated(&own)))
            .await
            .unwrap();
        assert_eq!(by_note.get_only(&Some(own)).unwrap().0, machines[2]);
        again.shutdown().await;
    }
    drop(cache);
    // The server is gone, so the session cannot be closed.
    drop(client);
}

#[tokio::test]
async fn no_fault_of_a_helper_call_damages_the_cache() {
    let (simulator, other) = start(4).await;
    let vm = {
        let cache = cache(&other).await;
        cache.iter().next().unwrap().0
    };
    let methods = [
        "CreatePropertyCollector",
        "CreateContainerView",
        "CreateFilter",
        "WaitForUpdatesEx",
    ];
    connected::in_trouble(&simulator, &methods, async |client, what| {
        let cache = cache(client).await;
        assert_eq!(cache.len(), 4, "{what}");
        let run = client.run(vm.reconfig_vm(&annotated(what))).into_future();
        tokio::time::timeout(LIMIT, run).await.unwrap().unwrap();
        tokio::time::timeout(LIMIT, cache.sync())
            .await
            .unwrap()
            .unwrap();
        let machine = cache.get(&vm).unwrap();
        assert_eq!(machine.annotation.as_deref(), Some(what));
    })
    .await;
    other.close().await.unwrap();
    simulator.shutdown().await;
}

/// The value of a property has the wrong type, and then the right one.
#[tokio::test]
async fn a_bad_object_is_quarantined_and_heals() {
    const NUMBER: Property<mo::VirtualMachine, i32> = Property::new("name");
    const NOTE: Property<mo::VirtualMachine, String> = Property::new("config.annotation");
    let (simulator, client) = start(4).await;
    let cache = cache(&client).await;
    let by_name = cache.lookup_by(|machine| machine.name.clone());
    let (vm, machine) = cache.iter().next().unwrap();
    simulator.set_property(&vm, NUMBER, &7).unwrap();
    until(&cache, |cache| !cache.quarantined().is_empty()).await;
    let (bad, error) = cache.quarantined().remove(0);
    assert_eq!(bad, vm);
    assert!(error.to_string().contains("name"), "{error}");
    assert_eq!((cache.len(), cache.get(&vm)), (3, None));
    assert!(by_name.get(&machine.name).is_empty());

    // Another property changes, while the object is bad.
    let note = "hidden".to_owned();
    simulator.set_property(&vm, NOTE, &note).unwrap();
    tokio::time::timeout(LIMIT, cache.sync())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(cache.quarantined().len(), 1);
    simulator
        .set_property(&vm, props::virtual_machine::NAME, &"healed".to_owned())
        .unwrap();
    until(&cache, |cache| cache.quarantined().is_empty()).await;
    let healed = cache.get(&vm).unwrap();
    assert_eq!(healed.name, "healed");
    assert_eq!(healed.annotation.as_deref(), Some("hidden"));
    assert_eq!(healed.power, machine.power);
    assert_eq!(by_name.get_only("healed"), Some((vm.clone(), healed)));

    // An object that is bad from the beginning.
    simulator.set_property(&vm, NUMBER, &7).unwrap();
    let second: Cache<Machine> = client
        .retrieve()
        .within(&client.service_content().root_folder)
        .cache();
    ready(&second).await.unwrap();
    assert_eq!((second.len(), second.quarantined().len()), (3, 1));
    simulator
        .set_property(&vm, props::virtual_machine::NAME, &"again".to_owned())
        .unwrap();
    until(&second, |cache| cache.len() == 4).await;
    assert_eq!(second.get(&vm).unwrap().name, "again");
    client.close().await.unwrap();
    simulator.shutdown().await;
}

#[tokio::test]
async fn objects_can_be_named_one_by_one() {
    let (simulator, client) = start(5).await;
    let all = cache(&client).await;
    let mut machines: Vec<_> = all.iter().map(|(vm, _)| vm).collect();
    let few: Cache<Machine> = client.retrieve().objects(machines.drain(..2)).cache();
    ready(&few).await.unwrap();
    assert_eq!(few.len(), 2);
    let (vm, _) = few.iter().next().unwrap();
    client.run(vm.reconfig_vm(&annotated("one"))).await.unwrap();
    for cache in [&all, &few] {
        until(cache, |cache| {
            cache.get(&vm).unwrap().annotation.as_deref() == Some("one")
        })
        .await;
    }
    let none: Cache<Machine> = client.retrieve().objects([Ref::new("vm-none")]).cache();
    ready(&none).await.unwrap();
    assert!(none.is_empty());
    client.close().await.unwrap();
    simulator.shutdown().await;
}

/// The simulator allows 40 filters per session.
#[tokio::test]
async fn a_dropped_cache_frees_its_filter() {
    let (simulator, client) = start(2).await;
    for _ in 0..60 {
        let cache = cache(&client).await;
        let _clone = cache.clone();
    }
    let calls = simulator.script().calls();
    assert!(calls["DestroyPropertyFilter"] >= 20, "{calls:?}");
    assert!(calls["DestroyView"] >= 20, "{calls:?}");
    client.close().await.unwrap();
    simulator.shutdown().await;
}

#[tokio::test]
async fn a_panic_of_a_key_ends_one_cache_only() {
    let (simulator, client) = start(2).await;
    let cache = cache(&client).await;
    let broken = self::cache(&client).await;
    let lookup = broken.lookup_by(|machine| {
        assert_ne!(machine.annotation.as_deref(), Some("panic"), "on purpose");
        machine.name.clone()
    });
    let (vm, _) = cache.iter().next().unwrap();
    client
        .run(vm.reconfig_vm(&annotated("panic")))
        .await
        .unwrap();
    assert_eq!(broken.state(), CacheState::Ended);
    assert!(broken.ready().await.is_err());
    drop(lookup);
    client
        .run(vm.reconfig_vm(&annotated("fine")))
        .await
        .unwrap();
    let machine = cache.get(&vm).unwrap();
    assert_eq!(machine.annotation.as_deref(), Some("fine"));
    client.close().await.unwrap();
    simulator.shutdown().await;
}

#[tokio::test]
async fn a_refused_selection_ends_the_cache_with_the_reason() {
    let (simulator, client) = start(1).await;
    let fault = vim25::Fault::new("out of order", SystemError::default());
    let script = simulator.script();
    script.always("CreateContainerView", Reaction::Fault(fault));
    let root = &client.service_content().root_folder;
    let cache: Cache<Machine> = client.retrieve().within(root).cache();
    let error = ready(&cache).await.unwrap_err();
    assert!(error.is_fault::<SystemError>(), "{error}");
    assert_eq!(cache.state(), CacheState::Ended);
    client.close().await.unwrap();
    simulator.shutdown().await;
}
