//! What the client makes of lost connections, answers and sessions.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::time::Duration;

use futures_util::StreamExt;
use simulator::{Reaction, Simulator};
use vim25::types::VirtualMachinePowerState;
use vim25::{Property, Ref, mo, props};
use vsphere_client::{Change, Client, Credentials, Error};

mod flows;

const POWER: Property<mo::VirtualMachine, VirtualMachinePowerState> =
    Property::new("runtime.powerState");

/// A simulator with machines, and a client of it.
async fn start() -> (Simulator, Client, Ref<mo::VirtualMachine>) {
    let builder = Simulator::builder().user("root").password("secret");
    let simulator = builder.start().await.unwrap();
    flows::seed(&simulator.url().replace("://", "://root:secret@")).await;
    let client = Client::builder(simulator.url())
        .tls_roots(simulator.certificate_pem())
        .credentials(Credentials::password(
            simulator.user(),
            simulator.password(),
        ))
        .connect()
        .await
        .unwrap();
    let machines = client
        .retrieve::<mo::VirtualMachine>()
        .property(props::virtual_machine::NAME)
        .within(&client.service_content().root_folder)
        .collect();
    let vm = machines.await.unwrap().first().unwrap().object().clone();
    (simulator, client, vm)
}

#[tokio::test]
async fn reads_survive_what_passes() {
    let (simulator, client, vm) = start().await;
    for reaction in [
        Reaction::Disconnect,
        Reaction::LoseAnswer,
        Reaction::HttpStatus(503),
        Reaction::LoseSession,
    ] {
        simulator.script().next("RetrievePropertiesEx", reaction);
        client.get(&vm, props::virtual_machine::NAME).await.unwrap();
        assert_eq!(simulator.script().pending(), 0);
    }
    client.close().await.unwrap();
    simulator.shutdown().await;
}

#[tokio::test]
async fn a_change_whose_answer_is_lost_is_not_repeated() {
    let (simulator, client, vm) = start().await;
    simulator
        .script()
        .next("PowerOnVM_Task", Reaction::LoseAnswer);
    let error = client.run(vm.power_on_vm(None)).await.unwrap_err();
    assert!(matches!(error, Error::OutcomeUnknown { .. }), "{error}");
    // It was carried out: looking shows it, and repeating would have failed.
    let on = |state: &Option<VirtualMachinePowerState>| {
        *state == Some(VirtualMachinePowerState::PoweredOn)
    };
    let wait = client.wait_for(&vm, POWER, on);
    tokio::time::timeout(Duration::from_secs(30), wait)
        .await
        .unwrap()
        .unwrap();
    client.close().await.unwrap();
    simulator.shutdown().await;
}

#[tokio::test]
async fn a_refused_change_is_sent_again_after_a_login() {
    let (simulator, client, vm) = start().await;
    simulator
        .script()
        .next("PowerOnVM_Task", Reaction::LoseSession);
    client.run(vm.power_on_vm(None)).await.unwrap();
    assert_eq!(
        client.get(&vm, POWER).await.unwrap(),
        VirtualMachinePowerState::PoweredOn
    );
    client.close().await.unwrap();
    simulator.shutdown().await;
}

#[tokio::test]
async fn a_stream_of_changes_resyncs_after_its_session_was_lost() {
    let (simulator, client, vm) = start().await;
    let mut changes = client
        .retrieve()
        .property(POWER)
        .objects([vm.clone()])
        .watch();
    assert!(matches!(changes.next().await, Some(Ok(Change::Entered(_)))));
    assert!(matches!(changes.next().await, Some(Ok(Change::Complete))));
    simulator.drop_sessions();
    client.run(vm.power_on_vm(None)).await.unwrap();
    assert!(matches!(changes.next().await, Some(Ok(Change::Resync))));
    let Some(Ok(Change::Entered(entered))) = changes.next().await else {
        panic!("the machine did not enter again");
    };
    assert_eq!(
        entered.value(POWER),
        Some(VirtualMachinePowerState::PoweredOn)
    );
    client.close().await.unwrap();
    simulator.shutdown().await;
}

#[tokio::test]
async fn a_task_is_waited_for_through_a_lost_session() {
    let (simulator, client, vm) = start().await;
    simulator.script().next(
        "PowerOnVM_Task",
        Reaction::SlowTask(Duration::from_millis(300)),
    );
    let task = client.call(vm.power_on_vm(None)).await.unwrap();
    simulator.drop_sessions();
    client.wait_task(&task).await.unwrap();
    assert_eq!(
        client.get(&vm, POWER).await.unwrap(),
        VirtualMachinePowerState::PoweredOn
    );
    client.close().await.unwrap();
    simulator.shutdown().await;
}
