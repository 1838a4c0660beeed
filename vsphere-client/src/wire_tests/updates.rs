//! Tests of waits, tasks and streams of changes.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join_all;
use tokio::sync::oneshot;
use vim25::types::{ManagedObjectNotFound, NoPermission, VirtualMachinePowerState};
use vim25::{AnyRef, Property, Ref, mo};

use super::{connect, vm};
use crate::transport::FailureKind;
use crate::transport::replay::{Replay, Reply, Seen, welcome};
use crate::{Change, Error};

const POWER: Property<mo::VirtualMachine, VirtualMachinePowerState> =
    Property::new("runtime.powerState");

/// Returns a peer with one collector, whose polls are answered from a list.
fn collector(polls: Vec<Reply>) -> Arc<Replay> {
    Replay::new(collector_answers(polls))
}

pub(super) fn collector_answers(polls: Vec<Reply>) -> impl FnMut(&Seen) -> Reply + Send + 'static {
    let mut polls = polls.into_iter();
    move |seen: &Seen| match seen.method() {
        "CreatePropertyCollector" => Reply::Body(
            "<CreatePropertyCollectorResponse xmlns=\"urn:vim25\"><returnval type=\"PropertyCollector\">session[52]1</returnval></CreatePropertyCollectorResponse>",
        ),
        "CreateListView" => Reply::Body(
            "<CreateListViewResponse xmlns=\"urn:vim25\"><returnval type=\"ListView\">session[52]3</returnval></CreateListViewResponse>",
        ),
        "ModifyListView" => {
            Reply::Body("<ModifyListViewResponse xmlns=\"urn:vim25\"></ModifyListViewResponse>")
        }
        "CreateFilter" => Reply::Body(
            "<CreateFilterResponse xmlns=\"urn:vim25\"><returnval type=\"PropertyFilter\">session[52]2</returnval></CreateFilterResponse>",
        ),
        "DestroyPropertyCollector" => Reply::Body(
            "<DestroyPropertyCollectorResponse xmlns=\"urn:vim25\"></DestroyPropertyCollectorResponse>",
        ),
        "DestroyView" => {
            Reply::Body("<DestroyViewResponse xmlns=\"urn:vim25\"></DestroyViewResponse>")
        }
        "PowerOnVM_Task" => Reply::Body(
            "<PowerOnVM_TaskResponse xmlns=\"urn:vim25\"><returnval type=\"Task\">task-1</returnval></PowerOnVM_TaskResponse>",
        ),
        "WaitForUpdatesEx" => polls.next().unwrap_or(Reply::Hang),
        _ => welcome(seen).unwrap(),
    }
}

macro_rules! update_set {
    ($($objects:expr),* $(,)?) => {
        concat!(
            "<WaitForUpdatesExResponse xmlns=\"urn:vim25\"><returnval><version>V</version><filterSet><filter type=\"PropertyFilter\">session[52]2</filter>",
            $($objects,)*
            "</filterSet></returnval></WaitForUpdatesExResponse>"
        )
    };
}

macro_rules! updates {
    ($($objects:expr),* $(,)?) => { Reply::After(MOMENT, update_set!($($objects),*)) };
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
    ($kind:literal, $state:literal $(, $more:literal)*) => {
        concat!(
            "<objectSet><kind>", $kind, "</kind><obj type=\"Task\">task-1</obj><changeSet><name>info.state</name><op>assign</op><val xsi:type=\"TaskInfoState\">",
            $state, "</val></changeSet>", $($more,)* "</objectSet>"
        )
    };
}

/// The delay of the peer's response to a poll, long enough for subscribers to read their
/// slots.
const MOMENT: Duration = Duration::from_millis(10);
const NOTHING: Reply =
    Reply::Body("<WaitForUpdatesExResponse xmlns=\"urn:vim25\"></WaitForUpdatesExResponse>");
const COLLECTOR_GONE: Reply = Reply::After(
    MOMENT,
    "<soapenv:Fault><faultcode>ServerFaultCode</faultcode><faultstring>The object has already been deleted</faultstring><detail><ManagedObjectNotFoundFault xmlns=\"urn:vim25\" xsi:type=\"ManagedObjectNotFound\"><obj type=\"PropertyCollector\">session[52]1</obj></ManagedObjectNotFoundFault></detail></soapenv:Fault>",
);
const NO_OBJECTS: &str =
    "<RetrievePropertiesExResponse xmlns=\"urn:vim25\"></RetrievePropertiesExResponse>";

fn is_on(state: &Option<VirtualMachinePowerState>) -> bool {
    *state == Some(VirtualMachinePowerState::PoweredOn)
}

fn count(replay: &Replay, method: &str) -> usize {
    let methods = replay.methods();
    methods.iter().filter(|called| *called == method).count()
}

#[tokio::test(start_paused = true)]
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
        is_on(state)
    });
    assert_eq!(on.await.unwrap(), Some(VirtualMachinePowerState::PoweredOn));
    assert_eq!(*looked.lock().unwrap(), 3);
    assert_eq!(count(&replay, "CreatePropertyCollector"), 2);
}

/// Returns a peer that reports every machine of its view once, as powered on.
fn reporting() -> impl FnMut(&Seen) -> Reply + Send + 'static {
    let mut answers = collector_answers(Vec::new());
    let mut unreported: Vec<AnyRef> = Vec::new();
    let mut poll: Option<oneshot::Sender<String>> = None;
    move |seen: &Seen| {
        let added = match seen.method() {
            "CreateListView" => seen.soap.argument("obj"),
            "ModifyListView" => seen.soap.argument("add"),
            _ => Ok(Vec::new()),
        };
        unreported.extend(added.unwrap());
        let reply = if seen.method() == "WaitForUpdatesEx" {
            let (sender, receiver) = oneshot::channel();
            poll = Some(sender);
            Reply::When(receiver)
        } else {
            answers(seen)
        };
        if !unreported.is_empty()
            && let Some(poll) = poll.take().filter(|poll| !poll.is_closed())
        {
            let objects: String = unreported
                .drain(..)
                .map(|object| power!("enter", "vm-N", "poweredOn").replace("vm-N", object.value()))
                .collect();
            let _ = poll.send(update_set!("OBJECTS").replace("OBJECTS", &objects));
        }
        reply
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_lost_while_its_collector_is_set_up_says_nothing_of_the_object() {
    for lost in ["CreateListView", "CreateFilter", "ModifyListView"] {
        let mut answers = reporting();
        let mut first = true;
        let replay = Replay::new(move |seen: &Seen| {
            if seen.method() == lost && std::mem::take(&mut first) {
                return COLLECTOR_GONE;
            }
            answers(seen)
        });
        let client = connect(&replay).await;
        for name in ["vm-62", "vm-63"] {
            let vm: Ref<mo::VirtualMachine> = Ref::new(name);
            assert!(
                is_on(&client.wait_for(&vm, POWER, is_on).await.unwrap()),
                "{lost}"
            );
        }
        assert_eq!(count(&replay, "RetrievePropertiesEx"), 0, "{lost}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_lost_answer_of_a_helper_call_leaves_a_task_known() {
    for lost in ["CreatePropertyCollector", "CreateListView", "CreateFilter"] {
        let mut answers = collector_answers(vec![updates!(task!("enter", "success"))]);
        let mut first = true;
        let replay = Replay::new(move |seen: &Seen| {
            if seen.method() == lost && std::mem::take(&mut first) {
                return Reply::Fail(FailureKind::NoAnswer);
            }
            answers(seen)
        });
        let client = connect(&replay).await;
        client.run(vm().power_on_vm(None)).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn waits_that_are_dropped_leak_nothing() {
    let replay = collector(Vec::new());
    let client = connect(&replay).await;
    for turns in 0..100 {
        let vm = vm();
        let wait = client.wait_for(&vm, POWER, is_on);
        let mut wait = std::pin::pin!(wait);
        for _ in 0..turns % 10 {
            assert!(futures_util::poll!(wait.as_mut()).is_pending());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    tokio::time::sleep(Duration::from_millis(1)).await;
    for made in ["CreatePropertyCollector", "CreateListView", "CreateFilter"] {
        assert!(count(&replay, made) <= 1, "{:?}", replay.methods());
    }
    assert!(count(&replay, "WaitForUpdatesEx") <= 10);
}

#[tokio::test(start_paused = true)]
async fn many_waits_share_one_poll() {
    let mut answers = collector_answers(Vec::new());
    let mut entered = false;
    let replay = Replay::new(move |seen: &Seen| match seen.method() {
        "WaitForUpdatesEx" if !std::mem::replace(&mut entered, true) => {
            let objects: String = (0..300)
                .map(|n| power!("enter", "vm-N", "poweredOn").replace("vm-N", &format!("vm-{n}")))
                .collect();
            Reply::Owned(update_set!("OBJECTS").replace("OBJECTS", &objects))
        }
        _ => answers(seen),
    });
    let client = connect(&replay).await;
    let machines: Vec<Ref<mo::VirtualMachine>> =
        (0..300).map(|n| Ref::new(&format!("vm-{n}"))).collect();
    let waits = machines.iter().map(|vm| client.wait_for(vm, POWER, is_on));
    for state in join_all(waits).await {
        assert!(is_on(&state.unwrap()));
    }
    assert!(replay.methods().len() < 12, "{:?}", replay.methods());
}

#[tokio::test(start_paused = true)]
async fn a_wait_is_not_told_what_an_earlier_one_knew() {
    let (wake, waiting) = oneshot::channel();
    let mut wake = Some(wake);
    let mut answers = collector_answers(vec![
        updates!(power!("enter", "vm-62", "poweredOn")),
        Reply::When(waiting),
    ]);
    let replay = Replay::new(move |seen: &Seen| {
        // This call is from the second wait: it changes the view, so that the open poll is
        // answered.
        if seen.method() == "ModifyListView" {
            let answer = update_set!(
                "<objectSet><kind>enter</kind><obj type=\"Folder\">group-d1</obj></objectSet>",
                power!("modify", "vm-62", "poweredOff")
            );
            let _ = wake.take().unwrap().send(answer.to_owned());
        }
        answers(seen)
    });
    let client = connect(&replay).await;
    let vm = vm();
    let mut first = std::pin::pin!(client.wait_for(&vm, POWER, |state| !is_on(state)));
    while count(&replay, "WaitForUpdatesEx") < 2 {
        assert!(futures_util::poll!(first.as_mut()).is_pending());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let mut seen = Vec::new();
    let second = client.wait_for(&vm, POWER, |state| {
        seen.push(state.clone());
        true
    });
    second.await.unwrap();
    assert_eq!(seen, [Some(VirtualMachinePowerState::PoweredOff)]);
    first.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_the_server_does_not_report_is_read() {
    // ESXi does not report tasks that ended before they were added.
    let mut answers = collector_answers(Vec::new());
    let replay = Replay::new(move |seen: &Seen| match seen.method() {
        "RetrievePropertiesEx" => Reply::Body(
            "<RetrievePropertiesExResponse xmlns=\"urn:vim25\"><returnval><objects><obj type=\"Task\">task-1</obj><propSet><name>info.state</name><val xsi:type=\"TaskInfoState\">success</val></propSet></objects></returnval></RetrievePropertiesExResponse>",
        ),
        _ => answers(seen),
    });
    let client = connect(&replay).await;
    let start = tokio::time::Instant::now();
    client.run(vm().power_on_vm(None)).await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn an_object_that_leaves_ends_the_wait() {
    let mut answers = collector_answers(vec![
        updates!(power!("enter", "vm-62", "poweredOff")),
        updates!(
            "<objectSet><kind>leave</kind><obj type=\"VirtualMachine\">vm-62</obj></objectSet>"
        ),
    ]);
    let replay = Replay::new(move |seen: &Seen| match seen.method() {
        "RetrievePropertiesEx" => Reply::Body(NO_OBJECTS),
        _ => answers(seen),
    });
    let client = connect(&replay).await;
    let error = client.wait_for(&vm(), POWER, |_| false).await.unwrap_err();
    assert!(error.is_gone());
    assert_eq!(
        error.fault::<ManagedObjectNotFound>().unwrap().obj.value(),
        "vm-62"
    );
}

#[tokio::test(start_paused = true)]
async fn a_property_that_may_not_be_read_ends_the_wait() {
    let replay = collector(vec![updates!(
        "<objectSet><kind>enter</kind><obj type=\"VirtualMachine\">vm-62</obj><missingSet><path>runtime.powerState</path><fault><fault xsi:type=\"NoPermission\"><object type=\"VirtualMachine\">vm-62</object><privilegeId>System.Read</privilegeId></fault><localizedMessage>no</localizedMessage></fault></missingSet></objectSet>"
    )]);
    let client = connect(&replay).await;
    let error = client.wait_for(&vm(), POWER, |_| false).await.unwrap_err();
    assert!(error.is_fault::<NoPermission>(), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_task_tells_its_progress_and_its_end() {
    let replay = collector(vec![
        updates!(task!("enter", "queued")),
        updates!(task!(
            "modify",
            "running",
            "<changeSet><name>info.progress</name><op>assign</op><val xsi:type=\"xsd:int\">40</val></changeSet>"
        )),
        updates!(task!("modify", "running")),
        updates!(task!("modify", "success")),
    ]);
    let client = connect(&replay).await;
    // A callback may borrow local variables.
    let mut told = Vec::new();
    client
        .run(vm().power_on_vm(None))
        .on_progress(|progress| told.push((progress.queued, progress.percent)))
        .await
        .unwrap();
    assert_eq!(told, [(true, None), (false, Some(40))]);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_fails_gives_its_typed_fault() {
    let replay = collector(vec![updates!(task!(
        "enter",
        "error",
        "<changeSet><name>info.error</name><op>assign</op><val xsi:type=\"LocalizedMethodFault\"><fault xsi:type=\"NoPermission\"><object type=\"VirtualMachine\">vm-62</object><privilegeId>VirtualMachine.Interact.PowerOn</privilegeId></fault><localizedMessage>Permission was denied.</localizedMessage></val></changeSet>"
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

#[tokio::test(start_paused = true)]
async fn a_task_whose_end_cannot_be_learnt_is_an_unknown_outcome() {
    let mut answers = collector_answers(vec![updates!(task!("enter", "running"))]);
    let mut polls = 0;
    let replay = Replay::new(move |seen: &Seen| match seen.method() {
        "WaitForUpdatesEx" => {
            polls += 1;
            match polls {
                1 => answers(seen),
                2 => updates!(
                    "<objectSet><kind>leave</kind><obj type=\"Task\">task-1</obj></objectSet>"
                ),
                _ => Reply::Hang,
            }
        }
        "RetrievePropertiesEx" => Reply::Body(NO_OBJECTS),
        _ => answers(seen),
    });
    let client = connect(&replay).await;
    let error = client.run(vm().power_on_vm(None)).await.unwrap_err();
    assert!(matches!(error, Error::OutcomeUnknown { .. }), "{error}");
    assert_eq!(error.task().unwrap().value(), "task-1");
}

#[tokio::test(start_paused = true)]
async fn after_a_resync_what_is_left_is_told() {
    let mut answers = collector_answers(vec![
        updates!(
            power!("enter", "vm-62", "poweredOff"),
            power!("enter", "vm-63", "poweredOff")
        ),
        COLLECTOR_GONE,
        updates!(power!("enter", "vm-63", "poweredOn")),
    ]);
    let mut views = 0;
    let replay = Replay::new(move |seen: &Seen| match seen.method() {
        "CreateListView" => {
            views += 1;
            match views {
                2 => Reply::Body(VM_GONE),
                _ => answers(seen),
            }
        }
        "RetrievePropertiesEx" => Reply::Body(NO_OBJECTS),
        _ => answers(seen),
    });
    let client = connect(&replay).await;
    let objects = [vm(), Ref::new("vm-63")];
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
        told[..4],
        [
            "entered vm-62 PoweredOff",
            "entered vm-63 PoweredOff",
            "Complete",
            "Resync"
        ]
    );
    let mut again = told[4..6].to_vec();
    again.sort();
    assert_eq!(again, ["entered vm-63 PoweredOn", "left vm-62"]);
    assert_eq!(told[6], "Complete");
}

#[tokio::test(start_paused = true)]
async fn an_object_that_the_server_does_not_report_is_asked_for() {
    let mut answers = collector_answers(vec![NOTHING]);
    let replay = Replay::new(move |seen: &Seen| match seen.method() {
        "RetrievePropertiesEx" => Reply::Body(VM_GONE),
        _ => answers(seen),
    });
    let client = connect(&replay).await;
    let error = client.wait_for(&vm(), POWER, |_| false).await.unwrap_err();
    assert!(error.is_gone(), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_watch_survives_a_server_that_restarts() {
    let mut answers = collector_answers(vec![
        updates!(power!("enter", "vm-62", "poweredOff")),
        updates!(power!("enter", "vm-62", "poweredOn")),
    ]);
    let start = tokio::time::Instant::now();
    let mut polls = 0;
    let replay = Replay::new(move |seen: &Seen| {
        let down = Duration::from_secs(1)..Duration::from_secs(120);
        if down.contains(&start.elapsed()) {
            return Reply::Fail(FailureKind::Connect);
        }
        if seen.method() == "WaitForUpdatesEx" {
            polls += 1;
            match polls {
                2 => return Reply::FailAfter(Duration::from_secs(2), FailureKind::NoAnswer),
                // The restarted server has lost the collector.
                3 => return COLLECTOR_GONE,
                _ => {}
            }
        }
        answers(seen)
    });
    let client = connect(&replay).await;
    let vm = vm();
    let on = client.wait_for(&vm, POWER, is_on);
    on.await.unwrap();
    assert!(start.elapsed() >= Duration::from_secs(120));
}

#[tokio::test(start_paused = true)]
async fn closing_the_client_ends_what_waits() {
    let replay = collector(vec![updates!(power!("enter", "vm-62", "poweredOff"))]);
    let client = connect(&replay).await;
    let vm = vm();
    let (waited, closed) = tokio::join!(client.wait_for(&vm, POWER, is_on), async {
        while count(&replay, "WaitForUpdatesEx") < 2 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        client.close().await
    });
    closed.unwrap();
    assert!(matches!(
        waited.unwrap_err(),
        Error::NotAuthenticated { .. }
    ));
}

const VM_GONE: &str = "<soapenv:Fault><faultcode>ServerFaultCode</faultcode><faultstring>gone</faultstring><detail><ManagedObjectNotFoundFault xmlns=\"urn:vim25\" xsi:type=\"ManagedObjectNotFound\"><obj type=\"VirtualMachine\">vm-62</obj></ManagedObjectNotFoundFault></detail></soapenv:Fault>";
