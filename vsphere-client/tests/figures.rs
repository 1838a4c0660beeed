//! Numbers of calls that the client promises. They do not depend on the machine, so they are
//! tests; figures of time and memory are in the bench of the same name.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::time::Duration;

use futures_util::future::{join_all, try_join_all};
use simulator::{Simulator, Topology};
use vim25::types::{VirtualMachineConfigSpec, VirtualMachinePowerState};
use vim25::{Property, Ref, mo, props};
use vsphere_client::Client;

mod connected;

const POWER: Property<mo::VirtualMachine, VirtualMachinePowerState> =
    Property::new("runtime.powerState");

async fn machines(client: &Client) -> Vec<Ref<mo::VirtualMachine>> {
    let found = client
        .retrieve::<mo::VirtualMachine>()
        .property(props::virtual_machine::NAME)
        .within(&client.service_content().root_folder)
        .collect();
    let found = found.await.unwrap();
    found.iter().map(|item| item.object().clone()).collect()
}

/// Returns the number of calls that the simulator has answered.
fn calls(simulator: &Simulator) -> u64 {
    simulator.script().calls().values().sum()
}

#[tokio::test]
async fn tasks_that_start_together_cost_few_calls_beyond_their_own() {
    const TASKS: u64 = 1_000;
    let topology = Topology::esx().machines(usize::try_from(TASKS).unwrap());
    let simulator = Simulator::builder().topology(topology);
    let simulator = simulator.start().await.unwrap();
    let client = connected::client(&simulator).await;
    let machines = machines(&client).await;
    let before = calls(&simulator);
    let spec = VirtualMachineConfigSpec {
        annotation: Some("changed".into()),
        ..Default::default()
    };
    let tasks = machines
        .iter()
        .map(|vm| client.run(vm.reconfig_vm(&spec)).into_future());
    try_join_all(tasks).await.unwrap();
    let beyond = calls(&simulator) - before - TASKS;
    assert!(beyond <= 20, "{beyond}: {:?}", simulator.script().calls());

    // One task alone, with the engine at work: its own call, one that adds it to the view,
    // and the polls that report it.
    let counted = || {
        let calls = simulator.script().calls();
        calls
            .iter()
            .filter(|(name, _)| *name != "WaitForUpdatesEx")
            .map(|(_, count)| count)
            .sum::<u64>()
    };
    let before = counted();
    client.run(machines[0].reconfig_vm(&spec)).await.unwrap();
    let own = counted() - before;
    assert!(own <= 2, "{own}");
    client.close().await.unwrap();
    simulator.shutdown().await;
}

/// The simulator accepts four connections: one for polls, the others for calls.
#[tokio::test]
async fn a_thousand_waits_share_one_connection() {
    let topology = Topology::esx().machines(1);
    let builder = Simulator::builder().topology(topology).connection_limit(4);
    let simulator = builder.start().await.unwrap();
    let client = connected::client(&simulator).await;
    let vm = machines(&client).await.remove(0);
    let goal = match client.get(&vm, POWER).await.unwrap() {
        VirtualMachinePowerState::PoweredOn => VirtualMachinePowerState::PoweredOff,
        _ => VirtualMachinePowerState::PoweredOn,
    };
    let waits = join_all((0..1_000).map(|_| {
        let goal = goal.clone();
        client.wait_for(&vm, POWER, move |state| state.as_ref() == Some(&goal))
    }));
    let change = async {
        let machine = client.machine(&vm);
        match goal {
            VirtualMachinePowerState::PoweredOn => machine.power_on().await,
            _ => machine.power_off().await,
        }
    };
    let both = async { tokio::join!(waits, change) };
    let (waits, changed) = tokio::time::timeout(Duration::from_secs(20), both)
        .await
        .unwrap();
    changed.unwrap();
    for waited in waits {
        waited.unwrap();
    }
    client.close().await.unwrap();
    simulator.shutdown().await;
}

#[tokio::test]
async fn a_login_a_path_and_a_pattern_cost_few_calls() {
    let topology = Topology::esx().machines(20);
    let builder = Simulator::builder().topology(topology);
    let simulator = builder.start().await.unwrap();
    let start = calls(&simulator);
    let client = connected::client(&simulator).await;
    let root = client.service_content().root_folder.clone();
    client.get(&root, props::folder::NAME).await.unwrap();
    let login = calls(&simulator) - start;
    assert!(login <= 4, "{login}: {:?}", simulator.script().calls());

    let inventory = client.inventory();
    let vm = machines(&client).await.remove(0);
    let path = inventory.path_of(&vm).await.unwrap();
    let before = calls(&simulator);
    let found = inventory.find_as::<mo::VirtualMachine>(&path).await;
    assert_eq!(found.unwrap(), vm);
    let literal = calls(&simulator) - before;
    assert!(literal <= 2, "{literal}: {:?}", simulator.script().calls());

    let before = calls(&simulator);
    let pattern = format!("{}*", &path[..path.len() - 1]);
    let found = inventory.find_all::<mo::VirtualMachine>(&pattern).await;
    assert!(found.unwrap().len() > 1);
    let glob = calls(&simulator) - before;
    assert!(glob <= 2, "{glob}: {:?}", simulator.script().calls());
    client.close().await.unwrap();
    simulator.shutdown().await;
}
