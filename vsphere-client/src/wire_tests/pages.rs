//! Pages of properties.

use futures_util::StreamExt;
use vim25::types::{InvalidProperty, VirtualMachinePowerState};
use vim25::{Property, mo, props};

use super::connect;
use crate::transport::replay::{Replay, Reply};
use crate::{Item, PropertyState, Query};

const POWER: Property<mo::VirtualMachine, VirtualMachinePowerState> =
    Property::new("runtime.powerState");
const NOSUCH: Property<mo::VirtualMachine, String> = Property::new("nosuch");

const FIRST: &str = "<RetrievePropertiesEx xmlns=\"urn:vim25\"><_this type=\"PropertyCollector\">propertyCollector</_this><specSet><propSet><type>VirtualMachine</type><all>false</all><pathSet>name</pathSet><pathSet>runtime.powerState</pathSet><pathSet>nosuch</pathSet></propSet><objectSet><obj type=\"ResourcePool\">resgroup-8</obj><skip>true</skip><selectSet xsi:type=\"TraversalSpec\"><type>ResourcePool</type><path>vm</path><skip>false</skip></selectSet></objectSet><reportMissingObjectsInResults>true</reportMissingObjectsInResults></specSet><options><maxObjects>1</maxObjects></options></RetrievePropertiesEx>";
const SECOND: &str = "<ContinueRetrievePropertiesEx xmlns=\"urn:vim25\"><_this type=\"PropertyCollector\">propertyCollector</_this><token>T1</token></ContinueRetrievePropertiesEx>";
const CANCEL: &str = "<CancelRetrievePropertiesEx xmlns=\"urn:vim25\"><_this type=\"PropertyCollector\">propertyCollector</_this><token>T1</token></CancelRetrievePropertiesEx>";
const CANCELLED: &str =
    "<CancelRetrievePropertiesExResponse xmlns=\"urn:vim25\"></CancelRetrievePropertiesExResponse>";

fn of_a_pool(client: &crate::Client) -> Query<mo::VirtualMachine> {
    client
        .retrieve::<mo::VirtualMachine>()
        .property(props::virtual_machine::NAME)
        .property(POWER)
        .property(NOSUCH)
        .along(
            &vim25::Ref::<mo::ResourcePool>::new("resgroup-8"),
            props::resource_pool::VM,
        )
        .page_size(1)
}

#[tokio::test]
async fn pages_are_followed_and_each_property_stands_for_itself() {
    let replay = Replay::script(vec![
        (FIRST, Reply::Body(include_str!("golden/page_1.xml"))),
        (SECOND, Reply::Body(include_str!("golden/page_2.xml"))),
    ]);
    let client = connect(&replay).await;
    let found = of_a_pool(&client).collect().await.unwrap();
    let [first, second] = found.as_slice() else {
        panic!("{found:?}");
    };
    assert_eq!(
        first.value(props::virtual_machine::NAME).as_deref(),
        Some("a")
    );
    assert!(matches!(first.state(POWER), PropertyState::Invalid(_)));
    let PropertyState::Missing(fault) = first.state(NOSUCH) else {
        panic!("{first:?}");
    };
    assert!(fault.is::<InvalidProperty>());
    assert_eq!(fault.message(), "no such property");
    assert_eq!(second.object().value(), "vm-63");
    assert_eq!(second.state(POWER), PropertyState::Unset);
}

#[tokio::test]
async fn a_stream_that_is_dropped_frees_its_token() {
    let replay = Replay::script(vec![
        (FIRST, Reply::Body(include_str!("golden/page_1.xml"))),
        (CANCEL, Reply::Body(CANCELLED)),
    ]);
    let client = connect(&replay).await;
    let mut stream = of_a_pool(&client).stream();
    assert!(matches!(stream.next().await, Some(Ok(Item::Object(_)))));
    drop(stream);
    while replay.methods().len() < 3 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn nothing_is_asked_of_no_objects() {
    let replay = Replay::script(Vec::new());
    let client = connect(&replay).await;
    let none = client
        .retrieve::<mo::VirtualMachine>()
        .property(NOSUCH)
        .objects([]);
    assert!(none.collect().await.unwrap().is_empty());
}
