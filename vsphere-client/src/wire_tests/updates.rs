//! Waits, tasks and changes.

use std::sync::{Arc, Mutex};

use futures_util::StreamExt;
use vim25::types::{ManagedObjectNotFound, NoPermission, VirtualMachinePowerState};
use vim25::{Property, mo};

use super::{connect, vm};
use crate::transport::replay::{Replay, Reply, Seen, welcome};
use crate::{Change, Error};

const POWER: Property<mo::VirtualMachine, VirtualMachinePowerState> =
    Property::new("runtime.powerState");

/// A peer with one collector, whose polls are answered from a list.
fn collector(polls: Vec<Reply>) -> Arc<Replay> {
    Replay::new(collector_answers(polls))
}

fn collector_answers(polls: Vec<Reply>) -> impl FnMut(&Seen) -> Reply + Send + 'static {
    let mut polls = polls.into_iter();
    move |seen: &Seen| match seen.method() {
        "CreatePropertyCollector" => Reply::Body(
            "<CreatePropertyCollectorResponse xmlns=\"urn:vim25\"><returnval type=\"PropertyCollector\">session[52]1</returnval></CreatePropertyCollectorResponse>",
        ),
        "CreateFilter" => Reply::Body(
            "<CreateFilterResponse xmlns=\"urn:vim25\"><returnval type=\"PropertyFilter\">session[52]2</returnval></CreateFilterResponse>",
        ),
        "DestroyPropertyCollector" => Reply::Body(
            "<DestroyPropertyCollectorResponse xmlns=\"urn:vim25\"></DestroyPropertyCollectorResponse>",
        ),
        "PowerOnVM_Task" => Reply::Body(
            "<PowerOnVM_TaskResponse xmlns=\"urn:vim25\"><returnval type=\"Task\">task-1</returnval></PowerOnVM_TaskResponse>",
        ),
        "WaitForUpdatesEx" => polls.next().unwrap(),
        _ => welcome(seen).unwrap(),
    }
}

macro_rules! updates {
    ($($objects:expr),* $(,)?) => {
        Reply::Body(concat!(
            "<WaitForUpdatesExResponse xmlns=\"urn:vim25\"><returnval><version>V</version><filterSet><filter type=\"PropertyFilter\">session[52]2</filter>",
            $($objects,)*
            "</filterSet></returnval></WaitForUpdatesExResponse>"
        ))
    };
}

macro_rules! power {
    ($kind:literal, $vm:literal, $state:literal) => {
        concat!(
            "<objectSet><kind>", $kind, "</kind><obj type=\"VirtualMachine\">", $vm, "</obj>",
            "<changeSet><name>runtime.powerState</name><op>assign</op><val xsi:type=\"VirtualMachinePowerState\">", $state, "</val></changeSet></objectSet>"
        )
    };
}

macro_rules! task {
    ($info:literal) => {
        concat!(
            "<objectSet><kind>modify</kind><obj type=\"Task\">task-1</obj><changeSet><name>info</name><op>assign</op><val xsi:type=\"TaskInfo\">",
            "<key>task-1</key><task type=\"Task\">task-1</task><descriptionId>VirtualMachine.powerOn</descriptionId>", $info,
            "<cancelled>false</cancelled><cancelable>false</cancelable><queueTime>2026-11-23T16:11:33Z</queueTime><eventChainId>1</eventChainId></val></changeSet></objectSet>"
        )
    };
}

const NOTHING: Reply =
    Reply::Body("<WaitForUpdatesExResponse xmlns=\"urn:vim25\"></WaitForUpdatesExResponse>");
const COLLECTOR_GONE: Reply = Reply::Body(
    "<soapenv:Fault><faultcode>ServerFaultCode</faultcode><faultstring>The object has already been deleted</faultstring><detail><ManagedObjectNotFoundFault xmlns=\"urn:vim25\" xsi:type=\"ManagedObjectNotFound\"><obj type=\"PropertyCollector\">session[52]1</obj></ManagedObjectNotFoundFault></detail></soapenv:Fault>",
);

#[tokio::test]
async fn a_wait_goes_on_through_empty_polls_and_a_lost_collector() {
    let replay = collector(vec![
        updates!(power!("enter", "vm-62", "poweredOff")),
        NOTHING,
        COLLECTOR_GONE,
        updates!(power!("enter", "vm-62", "poweredOff")),
        updates!(power!("modify", "vm-62", "poweredOn")),
    ]);
    let client = connect(&replay).await;
    let (vm, looked) = (vm(), Mutex::new(0));
    let on = client.wait_for(&vm, POWER, |state| {
        *looked.lock().unwrap() += 1;
        *state == Some(VirtualMachinePowerState::PoweredOn)
    });
    assert_eq!(on.await.unwrap(), Some(VirtualMachinePowerState::PoweredOn));
    assert_eq!(*looked.lock().unwrap(), 3);
    while replay.methods().last().unwrap() != "DestroyPropertyCollector" {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_object_that_leaves_ends_the_wait() {
    let replay = collector(vec![
        updates!(power!("enter", "vm-62", "poweredOff")),
        updates!(
            "<objectSet><kind>leave</kind><obj type=\"VirtualMachine\">vm-62</obj></objectSet>"
        ),
    ]);
    let client = connect(&replay).await;
    let error = client.wait_for(&vm(), POWER, |_| false).await.unwrap_err();
    assert!(error.is_gone());
    assert_eq!(
        error.fault::<ManagedObjectNotFound>().unwrap().obj.value(),
        "vm-62"
    );
}

#[tokio::test]
async fn a_property_that_may_not_be_read_ends_the_wait() {
    let replay = collector(vec![updates!(
        "<objectSet><kind>enter</kind><obj type=\"VirtualMachine\">vm-62</obj><missingSet><path>runtime.powerState</path><fault><fault xsi:type=\"NoPermission\"><object type=\"VirtualMachine\">vm-62</object><privilegeId>System.Read</privilegeId></fault><localizedMessage>no</localizedMessage></fault></missingSet></objectSet>"
    )]);
    let client = connect(&replay).await;
    let error = client.wait_for(&vm(), POWER, |_| false).await.unwrap_err();
    assert!(error.is_fault::<NoPermission>(), "{error}");
}

#[tokio::test]
async fn a_task_tells_its_progress_and_its_end() {
    let replay = collector(vec![
        updates!(task!("<state>queued</state>")),
        updates!(task!("<state>running</state><progress>40</progress>")),
        updates!(task!("<state>running</state><progress>40</progress>")),
        updates!(task!("<state>success</state>")),
    ]);
    let client = connect(&replay).await;
    let told = Arc::new(Mutex::new(Vec::new()));
    let listener = Arc::clone(&told);
    client
        .run(vm().power_on_vm(None))
        .on_progress(move |progress| {
            listener
                .lock()
                .unwrap()
                .push((progress.queued, progress.percent));
        })
        .await
        .unwrap();
    assert_eq!(*told.lock().unwrap(), [(true, None), (false, Some(40))]);
}

#[tokio::test]
async fn a_task_that_fails_gives_its_typed_fault() {
    let replay = collector(vec![updates!(task!(
        "<state>error</state><error><fault xsi:type=\"NoPermission\"><object type=\"VirtualMachine\">vm-62</object><privilegeId>VirtualMachine.Interact.PowerOn</privilegeId></fault><localizedMessage>Permission was denied.</localizedMessage></error>"
    ))]);
    let client = connect(&replay).await;
    let error = client.run(vm().power_on_vm(None)).await.unwrap_err();
    let fault = error.fault::<NoPermission>().unwrap();
    assert_eq!(
        fault.privilege_id.as_deref(),
        Some("VirtualMachine.Interact.PowerOn")
    );
    assert_eq!(error.task().unwrap().value(), "task-1");
    assert_eq!(
        error.server_fault().unwrap().message(),
        "Permission was denied."
    );
}

#[tokio::test]
async fn a_task_whose_end_cannot_be_learnt_is_an_unknown_outcome() {
    let gone = Reply::Body(
        "<soapenv:Fault><faultcode>ServerFaultCode</faultcode><faultstring>gone</faultstring><detail><ManagedObjectNotFoundFault xmlns=\"urn:vim25\" xsi:type=\"ManagedObjectNotFound\"><obj type=\"Task\">task-1</obj></ManagedObjectNotFoundFault></detail></soapenv:Fault>",
    );
    let replay = collector(vec![gone]);
    let client = connect(&replay).await;
    let error = client.run(vm().power_on_vm(None)).await.unwrap_err();
    assert!(matches!(error, Error::OutcomeUnknown { .. }), "{error}");
    assert_eq!(error.task().unwrap().value(), "task-1");
}

#[tokio::test]
async fn after_a_resync_what_is_left_is_told() {
    let replay = collector(vec![
        updates!(
            power!("enter", "vm-62", "poweredOff"),
            power!("enter", "vm-63", "poweredOff")
        ),
        COLLECTOR_GONE,
        updates!(power!("enter", "vm-63", "poweredOn")),
    ]);
    let client = connect(&replay).await;
    let objects = [vm(), vim25::Ref::new("vm-63")];
    let changes = client.retrieve().property(POWER).objects(objects).watch();
    let told: Vec<_> = changes
        .take(7)
        .map(|change| match change.unwrap() {
            Change::Entered(object) => format!(
                "entered {} {:?}",
                object.object().value(),
                object.value(POWER).unwrap()
            ),
            Change::Left(object) => format!("left {}", object.value()),
            other => format!("{other:?}"),
        })
        .collect()
        .await;
    assert_eq!(
        told,
        [
            "entered vm-62 PoweredOff",
            "entered vm-63 PoweredOff",
            "Complete",
            "Resync",
            "entered vm-63 PoweredOn",
            "left vm-62",
            "Complete",
        ]
    );
}

#[tokio::test]
async fn an_object_that_the_server_does_not_tell_of_is_asked_for() {
    let mut answers = collector_answers(vec![NOTHING]);
    let replay = Replay::new(move |seen: &Seen| match seen.method() {
        "RetrievePropertiesEx" => Reply::Body(VM_GONE),
        _ => answers(seen),
    });
    let client = connect(&replay).await;
    let error = client.wait_for(&vm(), POWER, |_| false).await.unwrap_err();
    assert!(error.is_gone(), "{error}");
}

const VM_GONE: &str = "<soapenv:Fault><faultcode>ServerFaultCode</faultcode><faultstring>gone</faultstring><detail><ManagedObjectNotFoundFault xmlns=\"urn:vim25\" xsi:type=\"ManagedObjectNotFound\"><obj type=\"VirtualMachine\">vm-62</obj></ManagedObjectNotFoundFault></detail></soapenv:Fault>";
