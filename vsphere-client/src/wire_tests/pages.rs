//! Tests of reading properties in pages.

use futures_util::StreamExt;
use vim25::types::{GuestNicInfo, InvalidProperty, PropertyFilterSpec, VirtualMachinePowerState};
use vim25::{Property, mo, props};

use super::{connect, vm};
use crate::transport::replay::{Replay, Reply, welcome};
use crate::{Item, PropertyState, Query};

const POWER: Property<mo::VirtualMachine, VirtualMachinePowerState> =
    Property::new("runtime.powerState");
const NOSUCH: Property<mo::VirtualMachine, String> = Property::new("nosuch");

const FIRST: &str = "<RetrievePropertiesEx xmlns=\"urn:vim25\"><_this type=\"PropertyCollector\">propertyCollector</_this><specSet><propSet><type>VirtualMachine</type><all>false</all><pathSet>name</pathSet><pathSet>runtime.powerState</pathSet><pathSet>nosuch</pathSet></propSet><objectSet><obj type=\"ResourcePool\">resgroup-8</obj><skip>true</skip><selectSet xsi:type=\"TraversalSpec\"><type>ResourcePool</type><path>vm</path><skip>false</skip></selectSet></objectSet><reportMissingObjectsInResults>false</reportMissingObjectsInResults></specSet><options><maxObjects>1</maxObjects></options></RetrievePropertiesEx>";
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

const NOT_AUTHENTICATED: &str = include_str!("golden/not_authenticated.xml");

fn content(vm: &str) -> String {
    format!(
        "<objects><obj type=\"VirtualMachine\">{vm}</obj><propSet><name>name</name><val xsi:type=\"xsd:string\">{vm}</val></propSet></objects>"
    )
}

fn page(token: &str, vms: &[&str]) -> Reply {
    let objects: String = vms.iter().map(|vm| content(vm)).collect();
    Reply::Owned(format!(
        "<RetrievePropertiesExResponse xmlns=\"urn:vim25\"><returnval>{token}{objects}</returnval></RetrievePropertiesExResponse>"
    ))
}

#[tokio::test]
async fn a_session_lost_between_two_pages_costs_no_object() {
    let mut continued = 0;
    let mut started = 0;
    let replay = Replay::new(move |seen| match seen.method() {
        "RetrievePropertiesEx" => {
            started += 1;
            // The second response is from a server that has lost the session of the first.
            match started {
                1 => page("<token>T1</token>", &["vm-1", "vm-2"]),
                _ => page("", &["vm-1", "vm-2", "vm-3"]),
            }
        }
        "ContinueRetrievePropertiesEx" => {
            continued += 1;
            match continued {
                1 => Reply::Body(NOT_AUTHENTICATED),
                _ => Reply::Body(
                    "<soapenv:Fault><faultcode>ServerFaultCode</faultcode><faultstring></faultstring><detail><InvalidPropertyFault xmlns=\"urn:vim25\" xsi:type=\"InvalidProperty\"><name>token</name></InvalidPropertyFault></detail></soapenv:Fault>",
                ),
            }
        }
        _ => welcome(seen).unwrap(),
    });
    let client = connect(&replay).await;
    let found = of_a_pool(&client).collect().await.unwrap();
    let names: Vec<_> = found.iter().map(|vm| vm.object().value()).collect();
    assert_eq!(names, ["vm-1", "vm-2", "vm-3"]);
}

#[tokio::test]
async fn many_vanished_objects_do_not_cost_a_request_each() {
    let replay = Replay::new(move |seen| match seen.method() {
        "RetrievePropertiesEx" => {
            let specs: Vec<PropertyFilterSpec> = seen.soap.argument("specSet").unwrap();
            let named: Vec<_> = specs[0]
                .object_set
                .iter()
                .map(|spec| spec.obj.value())
                .collect();
            // All objects below 500 were deleted, and the server leaves them out of the
            // response.
            assert_eq!(specs[0].report_missing_objects_in_results, Some(true));
            let there: Vec<_> = named
                .into_iter()
                .filter(|vm| vm.trim_start_matches("vm-").parse::<u32>().unwrap() >= 500)
                .collect();
            page("", &there)
        }
        _ => welcome(seen).unwrap(),
    });
    let client = connect(&replay).await;
    let objects = (0..1000).map(|number| vim25::Ref::new(&format!("vm-{number}")));
    let items: Vec<_> = client
        .retrieve::<mo::VirtualMachine>()
        .property(props::virtual_machine::NAME)
        .objects(objects)
        .stream()
        .collect()
        .await;
    let vanished = |item: &&crate::Result<Item<_>>| matches!(item, Ok(Item::Vanished(_)));
    assert_eq!(items.iter().filter(vanished).count(), 500);
    assert_eq!(items.len(), 1000);
    assert_eq!(replay.methods(), ["Login", "RetrievePropertiesEx"]);
}

#[tokio::test]
async fn an_object_that_a_server_fails_for_is_found_by_halves() {
    let replay = Replay::new(move |seen| match seen.method() {
        "RetrievePropertiesEx" => {
            let specs: Vec<PropertyFilterSpec> = seen.soap.argument("specSet").unwrap();
            let named: Vec<_> = specs[0]
                .object_set
                .iter()
                .map(|spec| spec.obj.value())
                .collect();
            if named.contains(&"vm-700") {
                Reply::Body(
                    "<soapenv:Fault><faultcode>ServerFaultCode</faultcode><faultstring>gone</faultstring><detail><ManagedObjectNotFoundFault xmlns=\"urn:vim25\" xsi:type=\"ManagedObjectNotFound\"><obj type=\"VirtualMachine\">vm-700</obj></ManagedObjectNotFoundFault></detail></soapenv:Fault>",
                )
            } else {
                page("", &named)
            }
        }
        _ => welcome(seen).unwrap(),
    });
    let client = connect(&replay).await;
    let objects = (0..1000).map(|number| vim25::Ref::new(&format!("vm-{number}")));
    let found = client
        .retrieve::<mo::VirtualMachine>()
        .property(props::virtual_machine::NAME)
        .objects(objects)
        .collect()
        .await
        .unwrap();
    assert_eq!(found.len(), 999);
    assert!(replay.methods().len() < 30, "{}", replay.methods().len());
}

fn not_found(type_name: &str, value: &str) -> Reply {
    Reply::Owned(format!(
        "<soapenv:Fault><faultcode>ServerFaultCode</faultcode><faultstring>gone</faultstring><detail><ManagedObjectNotFoundFault xmlns=\"urn:vim25\" xsi:type=\"ManagedObjectNotFound\"><obj type=\"{type_name}\">{value}</obj></ManagedObjectNotFoundFault></detail></soapenv:Fault>",
    ))
}

/// Regression test: vcsim fails a traversal if a selected object is deleted concurrently.
#[tokio::test]
async fn an_object_deleted_during_a_traversal_costs_a_repetition() {
    let mut asked = 0;
    let replay = Replay::new(move |seen| match seen.method() {
        "RetrievePropertiesEx" => {
            asked += 1;
            match asked {
                1 => not_found("VirtualMachine", "vm-2"),
                2 => page("<token>T1</token>", &["vm-1"]),
                _ => page("", &["vm-1", "vm-3"]),
            }
        }
        "ContinueRetrievePropertiesEx" => not_found("VirtualMachine", "vm-4"),
        _ => welcome(seen).unwrap(),
    });
    let client = connect(&replay).await;
    let found = of_a_pool(&client).collect().await.unwrap();
    let names: Vec<_> = found.iter().map(|vm| vm.object().value()).collect();
    assert_eq!(names, ["vm-1", "vm-3"]);
}

#[tokio::test]
async fn a_traversal_is_repeated_a_bounded_number_of_times() {
    let replay = Replay::new(move |seen| match seen.method() {
        "RetrievePropertiesEx" => not_found("VirtualMachine", "vm-2"),
        _ => welcome(seen).unwrap(),
    });
    let client = connect(&replay).await;
    let error = of_a_pool(&client).collect().await.unwrap_err();
    assert!(error.is_gone(), "{error}");
    assert_eq!(replay.methods().len(), 1 + 1 + 10);
}

#[tokio::test]
async fn a_deleted_start_of_a_traversal_is_an_error() {
    let replay = Replay::new(move |seen| match seen.method() {
        "RetrievePropertiesEx" => not_found("ResourcePool", "resgroup-8"),
        _ => welcome(seen).unwrap(),
    });
    let client = connect(&replay).await;
    let error = of_a_pool(&client).collect().await.unwrap_err();
    assert!(error.is_gone(), "{error}");
    assert_eq!(replay.methods(), ["Login", "RetrievePropertiesEx"]);
}

/// Regression test: one incomplete value inside a property made the whole property unreadable.
#[tokio::test]
async fn an_incomplete_value_inside_a_property_is_left_out_of_it() {
    let replay = Replay::new(|seen| match seen.method() {
        "RetrievePropertiesEx" => Reply::Body(
            "<RetrievePropertiesExResponse xmlns=\"urn:vim25\"><returnval><objects><obj type=\"VirtualMachine\">vm-62</obj>\
             <propSet><name>guest.net</name><val xsi:type=\"ArrayOfGuestNicInfo\">\
             <GuestNicInfo><connected>true</connected><deviceConfigId>4000</deviceConfigId></GuestNicInfo>\
             <GuestNicInfo><connected>true</connected></GuestNicInfo></val></propSet>\
             </objects></returnval></RetrievePropertiesExResponse>",
        ),
        _ => welcome(seen).unwrap(),
    });
    let client = connect(&replay).await;
    let cards: Property<mo::VirtualMachine, Vec<GuestNicInfo>> =
        vim25::path!(VirtualMachine, guest.net);
    let read = client.get(&vm(), cards).await.unwrap();
    let keys: Vec<_> = read.iter().map(|card| card.device_config_id).collect();
    assert_eq!(keys, [4000]);
    // With `Any::get`, the conversion is strict.
    let all = client
        .retrieve::<mo::VirtualMachine>()
        .property(cards)
        .objects([vm()])
        .collect()
        .await
        .unwrap();
    let (_, value) = all[0].values().next().unwrap();
    let error = value.get::<Vec<GuestNicInfo>>().unwrap_err();
    assert!(error.to_string().contains("deviceConfigId"), "{error}");
}

#[tokio::test]
async fn an_unknown_property_is_named() {
    let replay = Replay::new(move |seen| match seen.method() {
        "RetrievePropertiesEx" => Reply::Body(
            "<soapenv:Fault><faultcode>ServerFaultCode</faultcode><faultstring></faultstring><detail><InvalidPropertyFault xmlns=\"urn:vim25\" xsi:type=\"InvalidProperty\"><name>runtime.nosuch</name></InvalidPropertyFault></detail></soapenv:Fault>",
        ),
        _ => welcome(seen).unwrap(),
    });
    let client = connect(&replay).await;
    let error = client.get(&vm(), NOSUCH).await.unwrap_err();
    assert!(error.to_string().contains("\"runtime.nosuch\""), "{error}");
}
