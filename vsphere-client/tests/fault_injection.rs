//! Injects a fault into every call of a set of flows, one at a time, and checks what the
//! caller sees: success, or an error that says what happened. Nothing may be reported that is
//! not so, and nothing may be left on the server.
//!
//! The kinds of faults alternate from call to call; every kind in every call takes longer:
//!
//! ```console
//! $ cargo test -p vsphere-client --test fault_injection -- --ignored
//! ```
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use futures_util::StreamExt;
use simulator::{Reaction, Simulator};
use vim25::types::{
    FileFault, VirtualMachineConfigSpec, VirtualMachineFileInfo, VirtualMachinePowerState,
};
use vim25::{Fault, Property, Ref, mo};
use vsphere_client::{Change, Client, Error, Result, RetryPolicy};

mod connected;

const POWER: Property<mo::VirtualMachine, VirtualMachinePowerState> =
    Property::new("runtime.powerState");

const ANNOTATION: Property<mo::VirtualMachine, String> = Property::new("config.annotation");

/// The most calls of one method into which a fault is injected, so that polls do not make
/// the test long.
const DEEPEST: u64 = 2;

/// A flow, which gets a name that no other run has.
#[derive(Clone, Copy, Debug)]
enum Flow {
    Machine,
    Files,
    Finder,
    Watch,
}

impl Flow {
    async fn run(self, client: &Client, name: &str) -> Result<()> {
        match self {
            Self::Machine => Box::pin(machine(client, name)).await,
            Self::Files => Box::pin(files(client, name)).await,
            Self::Finder => Box::pin(finder(client)).await,
            Self::Watch => Box::pin(watch(client, name)).await,
        }
    }
}

/// Creates, starts, stops and destroys a machine.
async fn machine(client: &Client, name: &str) -> Result<()> {
    let vm = create(client, name).await?;
    client.run(vm.power_on_vm(None)).await?;
    let on = client.wait_for(&vm, POWER, |state| {
        *state == Some(VirtualMachinePowerState::PoweredOn)
    });
    on.await?;
    client.machine(&vm).power_off().await?;
    client.run(vm.destroy()).await
}

async fn create(client: &Client, name: &str) -> Result<Ref<mo::VirtualMachine>> {
    let place = client.defaults().await?;
    let spec = VirtualMachineConfigSpec {
        name: Some(name.to_owned()),
        files: Some(Box::new(VirtualMachineFileInfo {
            vm_path_name: Some(format!("[{}]", place.datastore.name())),
            ..Default::default()
        })),
        ..Default::default()
    };
    let folder = place.datacenter.vm_folder();
    client
        .run(folder.create_vm(&spec, &place.resource_pool, None))
        .await
}

/// Writes, reads and deletes a file.
async fn files(client: &Client, name: &str) -> Result<()> {
    let place = client.defaults().await?;
    let files = client.files(&place.datastore);
    files.make_directory(name, true).await?;
    let path = format!("{name}/a.txt");
    files.upload_bytes(&path, "content").await?;
    let read = files.download(&path).await?.read_to_end(100).await?;
    assert_eq!(read, "content");
    assert_eq!(files.list(name).await?.len(), 1);
    files.delete(name).await
}

/// Finds machines by path and by pattern.
async fn finder(client: &Client) -> Result<()> {
    let inventory = client.inventory();
    let all = inventory
        .find_all::<mo::VirtualMachine>("/.../seed*")
        .await?;
    assert_eq!(all.len(), 2);
    let path = inventory.path_of(&all[0].object).await?;
    let found = inventory.find_as::<mo::VirtualMachine>(&path).await?;
    assert_eq!(found, all[0].object);
    Ok(())
}

/// Watches all machines until a change of one is reported.
async fn watch(client: &Client, name: &str) -> Result<()> {
    let mut changes = client
        .retrieve::<mo::VirtualMachine>()
        .property(ANNOTATION)
        .within(&client.service_content().root_folder)
        .watch();
    let spec = VirtualMachineConfigSpec {
        annotation: Some(name.to_owned()),
        ..Default::default()
    };
    let mut entered: HashSet<Ref<mo::VirtualMachine>> = HashSet::new();
    let mut is_changed = false;
    while let Some(change) = changes.next().await {
        match change? {
            Change::Complete if !is_changed => {
                assert_eq!(entered.len(), 2, "there are two machines");
                is_changed = true;
                let vm = entered.iter().next().unwrap();
                client.run(vm.reconfig_vm(&spec)).await?;
            }
            Change::Entered(object) | Change::Changed { object, .. } => {
                if object.value(ANNOTATION).as_deref() == Some(name) {
                    return Ok(());
                }
                entered.insert(object.object().clone());
            }
            Change::Left(_) => panic!("a machine that exists left"),
            _ => {}
        }
    }
    panic!("the watch ended");
}

async fn client(simulator: &Simulator) -> Client {
    let mut retry = RetryPolicy::default();
    retry.pause = Duration::from_millis(1);
    retry.longest_pause = Duration::from_millis(10);
    connected::builder(simulator)
        .retry(retry)
        .connect()
        .await
        .unwrap()
}

/// Returns the calls that a flow makes without faults.
async fn calls_of(simulator: &Simulator, flow: Flow) -> BTreeMap<String, u64> {
    let client = client(simulator).await;
    let before = simulator.script().calls();
    let name = format!("clean {flow:?}");
    Box::pin(flow.run(&client, &name)).await.unwrap();
    let mut calls = simulator.script().calls();
    for (method, count) in before {
        *calls.entry(method).or_default() -= count;
    }
    calls.retain(|_, count| *count > 0);
    client.close().await.unwrap();
    calls
}

/// Returns whether an error says what this reaction does.
fn is_true(reaction: &Reaction, error: &Error) -> bool {
    match reaction {
        // Reads are repeated. A change is repeated only if it was certainly not carried out.
        Reaction::Disconnect | Reaction::LoseAnswer | Reaction::HttpStatus(_) => {
            matches!(error, Error::OutcomeUnknown { .. })
        }
        Reaction::TaskFault(_) | Reaction::Fault(_) => error.is_fault::<FileFault>(),
        _ => false,
    }
}

/// Which kinds of faults a call gets.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kinds {
    /// One, another than the call before.
    Alternating,
    All,
}

async fn inject(flow: Flow, kinds: Kinds) {
    // More sessions than this at once would be refused, so sessions cannot pile up.
    let builder = Simulator::builder().session_limit(4);
    let simulator = builder.start().await.unwrap();
    let seeding = client(&simulator).await;
    for name in ["seed one", "seed two"] {
        create(&seeding, name).await.unwrap();
    }
    seeding.close().await.unwrap();
    let calls = calls_of(&simulator, flow).await;
    let mut runs = 0_usize;
    for (method, count) in calls {
        for n in 1..=count.min(DEEPEST) {
            let full = || Fault::new("injected", FileFault::default());
            let mut reactions = vec![
                Reaction::Disconnect,
                Reaction::LoseAnswer,
                Reaction::LoseSession,
                Reaction::HttpStatus(503),
            ];
            if method.ends_with("_Task") {
                reactions.extend([Reaction::Fault(full()), Reaction::TaskFault(full())]);
            }
            if kinds == Kinds::Alternating {
                reactions = vec![reactions.swap_remove(runs % reactions.len())];
            }
            for reaction in reactions {
                runs += 1;
                let what = format!("{flow:?}: call {n} of {method}, {reaction:?}");
                let client = client(&simulator).await;
                let n = usize::try_from(n).unwrap();
                simulator.script().nth(&method, n, reaction.clone());
                let name = format!("run {runs}");
                let run = Box::pin(flow.run(&client, &name));
                let run = tokio::time::timeout(Duration::from_secs(20), run).await;
                match run.unwrap_or_else(|_| panic!("{what} hangs")) {
                    Ok(()) => {}
                    Err(error) => assert!(is_true(&reaction, &error), "{what}: {error:?}"),
                }
                simulator.script().clear();
                client.close().await.unwrap();
            }
        }
    }
    assert!(runs >= 4, "{runs}");
    simulator.shutdown().await;
}

#[tokio::test]
async fn every_call_of_a_machines_life_may_fail() {
    Box::pin(inject(Flow::Machine, Kinds::Alternating)).await;
}

#[tokio::test]
async fn every_call_of_a_transfer_may_fail() {
    Box::pin(inject(Flow::Files, Kinds::Alternating)).await;
}

#[tokio::test]
async fn every_call_of_the_finder_may_fail() {
    // It makes few calls, so each can fail in every way.
    Box::pin(inject(Flow::Finder, Kinds::All)).await;
}

#[tokio::test]
async fn every_call_of_a_watch_may_fail() {
    Box::pin(inject(Flow::Watch, Kinds::Alternating)).await;
}

#[tokio::test]
#[ignore = "takes half a minute"]
async fn every_call_may_fail_in_every_way() {
    for flow in [Flow::Machine, Flow::Files, Flow::Finder, Flow::Watch] {
        Box::pin(inject(flow, Kinds::All)).await;
    }
}
