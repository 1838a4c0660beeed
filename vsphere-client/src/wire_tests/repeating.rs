//! Tests of which requests are retried.

use std::time::Duration;

use vim25::Limits;
use vim25::props::virtual_machine::NAME;
use vim25::types::{InvalidPowerState, InvalidState, VirtualMachinePowerState};

use super::{connect, vm};
use crate::transport::FailureKind;
use crate::transport::replay::{Replay, Reply, welcome};
use crate::{Client, Error, RequestPhase, TransportProblem};

const TASK: &str = "<PowerOnVM_TaskResponse xmlns=\"urn:vim25\"><returnval type=\"Task\">task-1</returnval></PowerOnVM_TaskResponse>";
const POWER_ON: &str = "<PowerOnVM_Task xmlns=\"urn:vim25\"><_this type=\"VirtualMachine\">vm-62</_this></PowerOnVM_Task>";
const READ: &str = "<RetrievePropertiesEx xmlns=\"urn:vim25\"><_this type=\"PropertyCollector\">propertyCollector</_this><specSet><propSet><type>VirtualMachine</type><all>false</all><pathSet>name</pathSet></propSet><objectSet><obj type=\"VirtualMachine\">vm-62</obj></objectSet></specSet><options></options></RetrievePropertiesEx>";
const NAME_IS_A: &str = "<RetrievePropertiesExResponse xmlns=\"urn:vim25\"><returnval><objects><obj type=\"VirtualMachine\">vm-62</obj><propSet><name>name</name><val xsi:type=\"xsd:string\">a</val></propSet></objects></returnval></RetrievePropertiesExResponse>";

#[tokio::test(start_paused = true)]
async fn a_read_is_sent_again_after_what_passes() {
    let replay = Replay::script(vec![
        (READ, Reply::Fail(FailureKind::Connect)),
        (READ, Reply::Fail(FailureKind::NoAnswer)),
        (READ, Reply::Status(503, "Service Unavailable".into())),
        (READ, Reply::Body(NAME_IS_A)),
    ]);
    let client = connect(&replay).await;
    assert_eq!(client.get(&vm(), NAME).await.unwrap(), "a");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_when_to_come_again_is_not_asked_before() {
    let replay = Replay::script(vec![
        (READ, Reply::Busy(7)),
        (READ, Reply::Busy(0)),
        (READ, Reply::Body(NAME_IS_A)),
    ]);
    let client = connect(&replay).await;
    let start = tokio::time::Instant::now();
    assert_eq!(client.get(&vm(), NAME).await.unwrap(), "a");
    let waited = start.elapsed();
    assert!((7..9).contains(&waited.as_secs()), "{waited:?}");

    // The client does not wait longer than the budget.
    let replay = Replay::new(|seen| welcome(seen).unwrap_or(Reply::Busy(3_600)));
    let client = connect(&replay).await;
    let start = tokio::time::Instant::now();
    let error = client.get(&vm(), NAME).await.unwrap_err();
    assert!(matches!(error, Error::Transport { .. }), "{error}");
    assert_eq!(start.elapsed().as_secs(), 30);
}

#[tokio::test(start_paused = true)]
async fn a_read_is_given_up_in_the_end() {
    let replay = Replay::new(|seen| welcome(seen).unwrap_or(Reply::Fail(FailureKind::Connect)));
    let client = connect(&replay).await;
    let error = client.get(&vm(), NAME).await.unwrap_err();
    let Error::Transport {
        problem: TransportProblem::Unreachable,
        ..
    } = &error
    else {
        panic!("{error}");
    };
    assert_eq!(
        error.to_string(),
        "RetrievePropertiesEx of PropertyCollector:propertyCollector on vc.example.com:443: \
         the server cannot be reached; check its name and port, and that it is running"
    );
    // The attempts used the whole budget.
    assert!(replay.methods().len() > 1 + 5);
}

#[tokio::test(start_paused = true)]
async fn a_change_is_sent_again_only_when_it_was_never_sent() {
    let replay = Replay::script(vec![
        (POWER_ON, Reply::Fail(FailureKind::Connect)),
        (
            POWER_ON,
            Reply::Fail(FailureKind::Timeout(RequestPhase::Connect)),
        ),
        (POWER_ON, Reply::Body(TASK)),
    ]);
    let client = connect(&replay).await;
    let task = client.call(vm().power_on_vm(None)).await.unwrap();
    assert_eq!(task.value(), "task-1");
}

#[tokio::test(start_paused = true)]
async fn a_change_without_an_answer_is_an_unknown_outcome() {
    for reply in [
        || Reply::Fail(FailureKind::NoAnswer),
        || Reply::Fail(FailureKind::Broken),
        || Reply::Status(502, String::new()),
        || Reply::Status(503, String::new()),
        || Reply::Hang,
    ] {
        let replay = Replay::script(vec![(POWER_ON, reply())]);
        let client = connect(&replay).await;
        let error = client.call(vm().power_on_vm(None)).await.unwrap_err();
        assert!(
            matches!(error, Error::OutcomeUnknown { task: None, .. }),
            "{error}"
        );
        assert!(
            error
                .to_string()
                .starts_with("PowerOnVM_Task of VirtualMachine:vm-62 on vc")
        );
    }
}

/// A proxy in front of the server refused the change, so the outcome is known.
#[tokio::test(start_paused = true)]
async fn a_change_that_is_refused_without_a_fault_was_not_carried_out() {
    for status in [400, 401, 403, 404, 413, 429] {
        let refusal = Reply::Status(status, "<html>no</html>".into());
        let replay = Replay::script(vec![(POWER_ON, refusal)]);
        let client = connect(&replay).await;
        let error = client.call(vm().power_on_vm(None)).await.unwrap_err();
        let Error::Transport { problem, .. } = &error else {
            panic!("{error}");
        };
        assert_eq!(*problem, TransportProblem::Status(status));
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_read_is_a_timeout() {
    let replay = Replay::script(vec![(READ, Reply::Hang)]);
    let client = connect(&replay).await;
    let error = client.get(&vm(), NAME).await.unwrap_err();
    let Error::Timeout {
        phase: RequestPhase::Request,
        limit,
        ..
    } = error
    else {
        panic!("{error}");
    };
    assert_eq!(limit, Duration::from_secs(120));
}

/// The timeout of a request is for the whole response, so a server that keeps sending a little
/// cannot hold a call for ever.
#[tokio::test(start_paused = true)]
async fn a_response_that_trickles_is_a_timeout() {
    let slow = Duration::from_secs(1);
    let replay = Replay::script(vec![(READ, Reply::Trickle(slow, NAME_IS_A))]);
    let client = connect(&replay).await;
    assert_eq!(client.get(&vm(), NAME).await.unwrap(), "a");

    let slow = Duration::from_secs(60);
    let replay = Replay::script(vec![(READ, Reply::Trickle(slow, NAME_IS_A))]);
    let client = connect(&replay).await;
    let start = tokio::time::Instant::now();
    let error = client.get(&vm(), NAME).await.unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error}");
    assert_eq!(start.elapsed().as_secs(), 120);

    let replay = Replay::script(vec![(POWER_ON, Reply::Trickle(slow, TASK))]);
    let client = connect(&replay).await;
    let error = client.call(vm().power_on_vm(None)).await.unwrap_err();
    assert!(matches!(error, Error::OutcomeUnknown { .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_response_that_breaks_off_is_never_half_a_result() {
    for length in [0, 1, 200, 300] {
        let broken = move || Reply::BreakOff(length, FailureKind::Broken, NAME_IS_A);
        let replay = Replay::new(move |seen| welcome(seen).unwrap_or_else(broken));
        let client = connect(&replay).await;
        let error = client.get(&vm(), NAME).await.unwrap_err();
        let is_broken = |error: &Error| {
            let problem = TransportProblem::Broken;
            matches!(error, Error::Transport { problem: found, .. } if *found == problem)
        };
        assert!(is_broken(&error), "{length}: {error}");

        let broken = || Reply::BreakOff(length, FailureKind::Broken, TASK);
        let replay = Replay::script(vec![(POWER_ON, broken())]);
        let client = connect(&replay).await;
        let error = client.call(vm().power_on_vm(None)).await.unwrap_err();
        assert!(matches!(error, Error::OutcomeUnknown { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_fault_keeps_its_type() {
    let replay = Replay::script(vec![(
        POWER_ON,
        Reply::Body(
            "<soapenv:Fault><faultcode>ServerFaultCode</faultcode><faultstring>The attempted operation cannot be performed in the current state (Powered on).</faultstring><detail><InvalidPowerStateFault xmlns=\"urn:vim25\" xsi:type=\"InvalidPowerState\"><requestedState>poweredOn</requestedState><existingState>poweredOn</existingState></InvalidPowerStateFault></detail></soapenv:Fault>",
        ),
    )]);
    let client = connect(&replay).await;
    let error = client.call(vm().power_on_vm(None)).await.unwrap_err();
    assert!(error.is_fault::<InvalidState>());
    let fault = error.fault::<InvalidPowerState>().unwrap();
    assert_eq!(fault.existing_state, VirtualMachinePowerState::PoweredOn);
    assert_eq!(
        error.to_string(),
        "PowerOnVM_Task of VirtualMachine:vm-62 on vc.example.com:443 failed"
    );
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(
        source.contains("Powered on") && source.contains("InvalidPowerState"),
        "{source}"
    );
}

#[tokio::test]
async fn an_error_page_is_not_an_answer() {
    let replay = Replay::script(vec![(READ, Reply::Status(500, "<html>oops</html>".into()))]);
    let client = connect(&replay).await;
    let error = client.get(&vm(), NAME).await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::Transport {
                problem: TransportProblem::Status(500),
                ..
            }
        ),
        "{error}"
    );
    let replay = Replay::script(vec![(READ, Reply::Status(200, "<html>oops</html>".into()))]);
    let client = connect(&replay).await;
    let error = client.get(&vm(), NAME).await.unwrap_err();
    assert!(matches!(error, Error::Decode { .. }), "{error}");
}

#[tokio::test]
async fn an_answer_without_an_end_is_not_kept() {
    let replay = Replay::new(|seen| {
        welcome(seen).unwrap_or_else(|| Reply::Status(200, "x".repeat(100_000)))
    });
    let mut limits = Limits::default();
    limits.bytes = 10_000;
    let client = Client::builder("https://root:x@vc.example.com")
        .transport(replay)
        .limits(limits);
    let client = client.connect().await.unwrap();
    let error = client.get(&vm(), NAME).await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::Transport {
                problem: TransportProblem::TooLong { limit: 10_000 },
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test]
async fn a_compressed_answer_is_read_within_the_limits() {
    let replay = Replay::new(|seen| welcome(seen).unwrap_or(Reply::Gzip(NAME_IS_A.into())));
    let client = connect(&replay).await;
    assert_eq!(client.get(&vm(), NAME).await.unwrap(), "a");

    let bomb = || Reply::Gzip("x".repeat(1 << 20));
    let replay = Replay::new(move |seen| welcome(seen).unwrap_or_else(bomb));
    let mut limits = Limits::default();
    limits.bytes = 100_000;
    let client = Client::builder("https://root:x@vc.example.com")
        .transport(replay)
        .limits(limits);
    let client = client.connect().await.unwrap();
    let error = client.get(&vm(), NAME).await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::Transport {
                problem: TransportProblem::TooLong { limit: 100_000 },
                ..
            }
        ),
        "{error}"
    );
}
