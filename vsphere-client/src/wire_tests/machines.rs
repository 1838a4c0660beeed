//! Tests of machine operations that our simulator does not support.

use std::time::Duration;

use secrecy::ExposeSecret as _;
use vim25::Ref;
use vim25::types::{OptionValue, VirtualMachineInstantCloneSpec, VirtualMachineRelocateSpec};

use super::updates::collector_answers;
use super::{connect, vm};
use crate::ConsoleKind;
use crate::transport::replay::{Replay, Reply, Seen, welcome};

const TICKET: &str = "<AcquireTicketResponse xmlns=\"urn:vim25\"><returnval><ticket>8d4a2f</ticket><cfgFile>/vmfs/volumes/52/web/web.vmx</cfgFile><host>esx.example.com</host><port>443</port><sslThumbprint>AB:CD</sslThumbprint></returnval></AcquireTicketResponse>";

#[tokio::test]
async fn a_console_ticket_is_a_secret_with_a_url() {
    let replay = Replay::new(|request: &Seen| {
        welcome(request).unwrap_or_else(|| {
            let kind: String = request.soap.argument("ticketType").unwrap();
            assert_eq!(kind, "webmks");
            Reply::Body(TICKET)
        })
    });
    let client = connect(&replay).await;
    let vm = vm();
    let machine = client.machine(&vm);
    let ticket = machine.console_ticket(ConsoleKind::WebMks).await.unwrap();
    assert_eq!(
        ticket.url.as_ref().unwrap().expose_secret(),
        "wss://esx.example.com:443/ticket/8d4a2f"
    );
    let printed = format!("{ticket:?}");
    assert!(printed.contains("esx.example.com"), "{printed}");
    assert!(!printed.contains("8d4a2f"), "{printed}");
}

const CLONING: &str = "<InstantClone_TaskResponse xmlns=\"urn:vim25\"><returnval type=\"Task\">task-1</returnval></InstantClone_TaskResponse>";
const CLONED: &str = "<WaitForUpdatesExResponse xmlns=\"urn:vim25\"><returnval><version>1</version><filterSet><filter type=\"PropertyFilter\">session[52]2</filter><objectSet><kind>enter</kind><obj type=\"Task\">task-1</obj><changeSet><name>info.state</name><op>assign</op><val xsi:type=\"TaskInfoState\">success</val></changeSet><changeSet><name>info.result</name><op>assign</op><val type=\"VirtualMachine\" xsi:type=\"ManagedObjectReference\">vm-63</val></changeSet></objectSet></filterSet></returnval></WaitForUpdatesExResponse>";

#[tokio::test(start_paused = true)]
async fn an_instant_clone_names_its_place_and_returns_the_new_machine() {
    let polls = vec![Reply::After(Duration::from_millis(10), CLONED)];
    let mut others = collector_answers(polls);
    let replay = Replay::new(move |request: &Seen| {
        if request.method() != "InstantClone_Task" {
            return others(request);
        }
        let spec: VirtualMachineInstantCloneSpec = request.soap.argument("spec").unwrap();
        assert_eq!(spec.name, "twin");
        assert_eq!(spec.location.pool.as_ref().unwrap().value(), "resgroup-8");
        assert_eq!(spec.config.len(), 1);
        Reply::Body(CLONING)
    });
    let client = connect(&replay).await;
    let spec = VirtualMachineInstantCloneSpec {
        name: "twin".into(),
        location: VirtualMachineRelocateSpec {
            pool: Some(Ref::new("resgroup-8")),
            ..Default::default()
        },
        config: vec![OptionValue::new("guestinfo.name", "twin").into()],
        ..Default::default()
    };
    let twin = client.machine(&vm()).instant_clone(&spec).await.unwrap();
    assert_eq!(twin.value(), "vm-63");
}
