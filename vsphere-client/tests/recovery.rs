//! Tests of how the client recovers from lost connections, responses and sessions.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::time::Duration;

use futures_util::StreamExt;
use simulator::{Platform, Reaction, Simulator};
use vim25::types::VirtualMachinePowerState;
use vim25::{Property, Ref, mo, props};
use vsphere_client::{Change, Client, Error};

mod connected;
mod flows;

const NAME: Property<mo::VirtualMachine, String> = props::virtual_machine::NAME;
const POWER: Property<mo::VirtualMachine, VirtualMachinePowerState> =
    Property::new("runtime.powerState");

/// Starts a simulator with machines, and connects a client.
async fn start() -> (Simulator, Client, Ref<mo::VirtualMachine>) {
    start_on(Platform::default()).await
}

async fn start_on(platform: Platform) -> (Simulator, Client, Ref<mo::VirtualMachine>) {
    let builder = Simulator::builder().user("root").password("secret");
    let builder = builder.platform(platform);
    let simulator = builder.start().await.unwrap();
    flows::seed(&simulator.url().replace("://", "://root:secret@")).await;
    let client = connected::client(&simulator).await;
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

/// The view of a query is lost with the session, so the server finds nothing in it.
#[tokio::test]
async fn a_view_lost_with_its_session_is_no_empty_inventory() {
    let (simulator, client, _) = start().await;
    let machines = || {
        client
            .retrieve::<mo::VirtualMachine>()
            .property(props::virtual_machine::NAME)
            .within(&client.service_content().root_folder)
            .collect()
    };
    let expected = machines().await.unwrap().len();
    assert!(expected > 0);
    let script = simulator.script();
    script.next("RetrievePropertiesEx", Reaction::LoseSession);
    assert_eq!(machines().await.unwrap().len(), expected);
    client.close().await.unwrap();
    simulator.shutdown().await;
}

#[tokio::test]
async fn a_download_is_asked_for_again_until_it_begins() {
    let (simulator, client, _) = start().await;
    let place = client.defaults().await.unwrap();
    let files = client.files(&place.datastore);
    files.upload_bytes("again.txt", "content").await.unwrap();
    for reaction in [
        Reaction::Disconnect,
        Reaction::LoseAnswer,
        Reaction::HttpStatus(503),
        Reaction::LoseSession,
    ] {
        simulator.script().next("GET /folder", reaction);
        let download = files.download("again.txt").await.unwrap();
        assert_eq!(download.read_to_end(100).await.unwrap(), "content");
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
    // The change was carried out once: the state shows it, and a second attempt would have
    // failed.
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
async fn a_stream_of_changed_properties_contains_only_these_and_resyncs() {
    let (simulator, client, vm) = start().await;
    let mut changes = client
        .retrieve::<mo::VirtualMachine>()
        .property(NAME)
        .property(POWER)
        .within(&client.service_content().root_folder)
        .watch_changed();
    let off = Some(VirtualMachinePowerState::PoweredOff);
    let on = Some(VirtualMachinePowerState::PoweredOn);
    let mut entered = None;
    loop {
        match changes.next().await.unwrap().unwrap() {
            Change::Entered(object) if *object.object() == vm => entered = Some(object),
            Change::Entered(_) => {}
            Change::Complete => break,
            other => panic!("{other:?}"),
        }
    }
    let entered = entered.unwrap();
    assert_eq!(entered.value(POWER), off);
    let name = entered.value(NAME);
    assert!(name.is_some());

    client.run(vm.power_on_vm(None)).await.unwrap();
    let Some(Ok(Change::Changed { object, paths })) = changes.next().await else {
        panic!("no change");
    };
    assert_eq!((object.object(), object.value(POWER)), (&vm, on));
    assert_eq!(paths, [POWER.path()]);
    assert_eq!(object.value(NAME), None);

    simulator.drop_sessions();
    client.run(vm.power_off_vm()).await.unwrap();
    assert!(matches!(changes.next().await, Some(Ok(Change::Resync))));
    let mut again = None;
    loop {
        match changes.next().await.unwrap().unwrap() {
            Change::Entered(object) if *object.object() == vm => again = Some(object),
            Change::Entered(_) => {}
            Change::Complete => break,
            other => panic!("{other:?}"),
        }
    }
    let again = again.unwrap();
    assert_eq!((again.value(POWER), again.value(NAME)), (off, name));
    client.close().await.unwrap();
    simulator.shutdown().await;
}

#[tokio::test]
async fn objects_that_the_server_has_not_reported_yet_are_not_missing() {
    let platform = Platform {
        new_filters_wait_for_a_change: true,
        ..Platform::default()
    };
    let (simulator, client, vm) = start_on(platform).await;
    // Start a first watch, so that the collector is in use when the next watch is added.
    let first = client
        .retrieve()
        .property(POWER)
        .objects([vm.clone()])
        .watch();
    let mut first = std::pin::pin!(first);
    assert!(matches!(first.next().await, Some(Ok(Change::Entered(_)))));
    assert!(matches!(first.next().await, Some(Ok(Change::Complete))));

    let root = &client.service_content().root_folder;
    let expected = client
        .retrieve::<mo::VirtualMachine>()
        .property(POWER)
        .within(root)
        .collect()
        .await
        .unwrap()
        .len();
    assert!(expected > 1);
    // The first attempt of the request that reads the objects fails.
    let script = simulator.script();
    script.next("RetrievePropertiesEx", Reaction::HttpStatus(503));
    let mut all = client
        .retrieve::<mo::VirtualMachine>()
        .property(POWER)
        .within(root)
        .watch();
    let mut entered = Vec::new();
    loop {
        match all.next().await.unwrap().unwrap() {
            Change::Entered(item) => entered.push(item.object().clone()),
            Change::Complete => break,
            other => panic!("{other:?} before the selection was complete"),
        }
    }
    assert_eq!(entered.len(), expected);
    assert_eq!(script.pending(), 0);

    // When the server reports the objects later, they do not enter again; changes are
    // reported.
    client.run(vm.power_on_vm(None)).await.unwrap();
    let Change::Changed { object, .. } = all.next().await.unwrap().unwrap() else {
        panic!("an object that was known entered again");
    };
    assert_eq!(*object.object(), vm);

    // An empty selection also becomes complete.
    let mut none = client
        .retrieve::<mo::VirtualApp>()
        .property(props::virtual_app::NAME)
        .within(root)
        .watch();
    assert!(matches!(none.next().await, Some(Ok(Change::Complete))));
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

#[tokio::test]
async fn an_upload_whose_answer_is_lost_is_an_unknown_outcome() {
    let (simulator, client, _) = start().await;
    let inventory = client.inventory();
    let datacenter = inventory.datacenter(None).await.unwrap();
    let datastore = inventory.datastore(&datacenter, None).await.unwrap();
    let files = client.files(&datastore);
    simulator.script().next("PUT /folder", Reaction::LoseAnswer);
    let error = files
        .upload_bytes("lost.iso", vec![7; 1000])
        .await
        .unwrap_err();
    assert!(matches!(error, Error::OutcomeUnknown { .. }), "{error}");
    client.close().await.unwrap();
    simulator.shutdown().await;
}

#[tokio::test]
async fn hundreds_of_short_waits_leave_nothing_on_the_server() {
    let (simulator, client, vm) = start().await;
    for _ in 0..300 {
        let never = client.wait_for(&vm, POWER, |_| false);
        let _ = tokio::time::timeout(Duration::from_millis(1), never).await;
    }
    // The simulator allows 40 filters per session.
    let off = |state: &Option<VirtualMachinePowerState>| {
        *state == Some(VirtualMachinePowerState::PoweredOff)
    };
    let waits = (0..100).map(|_| client.wait_for(&vm, POWER, off));
    for state in futures_util::future::join_all(waits).await {
        state.unwrap();
    }
    client.close().await.unwrap();
    simulator.shutdown().await;
}

/// The view of a query is destroyed also if the query is dropped while the view is being created.
#[tokio::test]
async fn queries_that_are_dropped_leave_no_view() {
    let (simulator, client, _) = start().await;
    let script = simulator.script();
    let slow = Reaction::Delay(Duration::from_millis(20));
    script.always("CreateContainerView", slow);
    for patience in 0..30 {
        let query = client.retrieve::<mo::VirtualMachine>();
        let query = query.property(POWER);
        let read = query
            .within(&client.service_content().root_folder)
            .collect();
        let _ = tokio::time::timeout(Duration::from_millis(patience), read).await;
    }
    let count = |method| script.calls().get(method).copied().unwrap_or(0);
    let freed = async {
        while count("CreateContainerView") < 30
            || count("DestroyView") < count("CreateContainerView")
        {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let freed = tokio::time::timeout(Duration::from_secs(10), freed).await;
    assert!(freed.is_ok(), "{:?}", script.calls());
    client.close().await.unwrap();
    simulator.shutdown().await;
}

#[tokio::test]
async fn changes_are_told_by_their_fine_path() {
    let (simulator, client, vm) = start().await;
    let mut changes = client
        .retrieve()
        .path("config.extraConfig")
        .objects([vm.clone()])
        .watch();
    assert!(matches!(changes.next().await, Some(Ok(Change::Entered(_)))));
    assert!(matches!(changes.next().await, Some(Ok(Change::Complete))));
    let change = vim25::types::VirtualMachineConfigSpec {
        extra_config: vec![vim25::types::OptionValue::new("guestinfo.x", "1").into()],
        ..Default::default()
    };
    client.run(vm.reconfig_vm(&change)).await.unwrap();
    let Some(Ok(Change::Changed { paths, .. })) = changes.next().await else {
        panic!("no change");
    };
    assert!(
        paths
            .iter()
            .all(|path| path.starts_with("config.extraConfig[\"guestinfo.x\"]")),
        "{paths:?}"
    );
    client.close().await.unwrap();
    simulator.shutdown().await;
}

/// Faults of the calls that a wait needs internally are not reported as faults of the watched
/// object.
#[tokio::test]
async fn no_fault_of_a_helper_call_becomes_news() {
    let (simulator, client, vm) = start().await;
    client.close().await.unwrap();
    let methods = [
        "CreatePropertyCollector",
        "CreateListView",
        "CreateFilter",
        "ModifyListView",
        "WaitForUpdatesEx",
    ];
    connected::in_trouble(&simulator, &methods, async |client, what| {
        let life = async {
            client.run(vm.power_on_vm(None)).await?;
            client
                .wait_for(&vm, POWER, |state| {
                    *state == Some(VirtualMachinePowerState::PoweredOn)
                })
                .await?;
            client.run(vm.power_off_vm()).await?;
            client
                .wait_for(&vm, POWER, |state| {
                    *state == Some(VirtualMachinePowerState::PoweredOff)
                })
                .await
        };
        let life = tokio::time::timeout(Duration::from_secs(20), life).await;
        life.expect(what).expect(what);
    })
    .await;
    simulator.shutdown().await;
}
