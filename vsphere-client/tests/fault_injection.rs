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
use simulator::{Reaction, Simulator, Topology};
use vim25::types::{
    FileFault, ResourceConfigSpec, VAppConfigSpec, VirtualMachineConfigSpec,
    VirtualMachineFileInfo, VirtualMachinePowerState, VirtualMachineRelocateSpec,
};
use vim25::{Fault, Property, Ref, mo};
use vsphere_client::{Change, Client, Error, Result, RetryPolicy, TransportProblem};

mod connected;

const POWER: Property<mo::VirtualMachine, VirtualMachinePowerState> =
    Property::new("runtime.powerState");

const ANNOTATION: Property<mo::VirtualMachine, String> = Property::new("config.annotation");

/// The most calls of one method into which a fault is injected, so that polls do not make
/// the test long.
const DEEPEST: u64 = 2;

/// The status with which a proxy or front end refuses a request.
const REFUSED: u16 = 403;

/// A flow, which gets a name that no other run has.
#[derive(Clone, Copy, Debug)]
enum Flow {
    Machine,
    Files,
    Finder,
    Watch,
    /// A vApp of a vCenter.
    App,
    /// A move to another datacenter of a vCenter.
    Move,
}

impl Flow {
    /// Returns the inventory in which the flow runs.
    fn topology(self) -> Topology {
        match self {
            Self::App | Self::Move => Topology::vcenter().datacenters(2).clusters(1).machines(0),
            _ => Topology::esx(),
        }
    }

    async fn run(self, client: &Client, name: &str) -> Result<()> {
        match self {
            Self::Machine => Box::pin(machine(client, name)).await,
            Self::Files => Box::pin(files(client, name)).await,
            Self::Finder => Box::pin(finder(client)).await,
            Self::Watch => Box::pin(watch(client, name)).await,
            Self::App => Box::pin(app(client, name)).await,
            Self::Move => Box::pin(moved(client, name)).await,
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
    let spec = bare(name, place.datastore.name());
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

/// Creates, starts, stops and destroys a vApp with a machine.
async fn app(client: &Client, name: &str) -> Result<()> {
    let inventory = client.inventory();
    let path = "/DC0/host/DC0_C0/Resources";
    let pool = inventory.find_as::<mo::ResourcePool>(path).await?;
    let (resources, config) = (ResourceConfigSpec::default(), VAppConfigSpec::default());
    let app = client
        .call(pool.create_vapp(name, &resources, &config, None))
        .await?;
    let datacenter = inventory.datacenter(Some("DC0")).await?;
    let datastore = inventory.datastore(&datacenter, None).await?;
    let spec = bare(&format!("{name} child"), datastore.name());
    let vm = client.run(app.create_child_vm(&spec, None)).await?;
    client.run(app.power_on_vapp()).await?;
    let on = client.wait_for(&vm, POWER, |state| {
        *state == Some(VirtualMachinePowerState::PoweredOn)
    });
    on.await?;
    client.run(app.power_off_vapp(true)).await?;
    client.run(app.destroy()).await
}

/// Creates a machine in one datacenter, moves it to another one, and destroys it there.
async fn moved(client: &Client, name: &str) -> Result<()> {
    let inventory = client.inventory();
    let (from, to) = (
        inventory.datacenter(Some("DC0")).await?,
        inventory.datacenter(Some("DC1")).await?,
    );
    let pool = |number: u32| format!("/DC{number}/host/DC{number}_C0/Resources");
    let source = inventory.find_as::<mo::ResourcePool>(&pool(0)).await?;
    let datastore = inventory.datastore(&from, None).await?;
    let spec = bare(name, datastore.name());
    let vm = from.vm_folder().create_vm(&spec, &source, None);
    let vm = client.run(vm).await?;
    let datastore = inventory.datastore(&to, None).await?;
    let location = VirtualMachineRelocateSpec {
        folder: Some(to.vm_folder().clone()),
        pool: Some(inventory.find_as::<mo::ResourcePool>(&pool(1)).await?),
        datastore: Some(datastore.reference().clone()),
        ..Default::default()
    };
    client.machine(&vm).relocate(&location).await?;
    let path = inventory.path_of(&vm).await?;
    assert_eq!(path, format!("/DC1/vm/{name}"));
    client.run(vm.destroy()).await
}

/// Returns the specification of a machine without devices.
fn bare(name: &str, datastore: &str) -> VirtualMachineConfigSpec {
    VirtualMachineConfigSpec {
        name: Some(name.to_owned()),
        files: Some(Box::new(VirtualMachineFileInfo {
            vm_path_name: Some(format!("[{datastore}]")),
            ..Default::default()
        })),
        ..Default::default()
    }
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
        // Nothing was carried out. If a call was refused that observes a task, the task is known, but not
        // its end.
        Reaction::HttpStatus(REFUSED) => matches!(
            error,
            Error::NotAuthenticated { .. }
                | Error::OutcomeUnknown { task: Some(_), .. }
                | Error::Transport {
                    problem: TransportProblem::Status(REFUSED),
                    ..
                }
        ),
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
    let builder = Simulator::builder().topology(flow.topology());
    let simulator = builder.session_limit(4).start().await.unwrap();
    if matches!(flow, Flow::Finder | Flow::Watch) {
        let seeding = client(&simulator).await;
        for name in ["seed one", "seed two"] {
            create(&seeding, name).await.unwrap();
        }
        seeding.close().await.unwrap();
    }
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
                Reaction::HttpStatus(REFUSED),
            ];
            let is_task = method.ends_with("_Task");
            if is_task || method == "CreateVApp" {
                reactions.push(Reaction::Fault(full()));
            }
            if is_task {
                reactions.push(Reaction::TaskFault(full()));
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
async fn every_call_of_a_vapps_life_may_fail() {
    Box::pin(inject(Flow::App, Kinds::Alternating)).await;
}

#[tokio::test]
async fn every_call_of_a_move_between_datacenters_may_fail() {
    Box::pin(inject(Flow::Move, Kinds::Alternating)).await;
}

#[tokio::test]
#[ignore = "takes half a minute"]
async fn every_call_may_fail_in_every_way() {
    for flow in [
        Flow::Machine,
        Flow::Files,
        Flow::Finder,
        Flow::Watch,
        Flow::App,
        Flow::Move,
    ] {
        Box::pin(inject(flow, Kinds::All)).await;
    }
}
