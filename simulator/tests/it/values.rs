//! Tests of property values on the wire: their types, and paths without a value.

use crate::client::Client;
use crate::client::container::spec;
use simulator::Simulator;
use vim25::types::{InvalidProperty, ObjectSpec, PropertyFilterSpec, PropertySpec};
use vim25::{Ref, mo};

const XML: &str = "text/xml; charset=utf-8";

async fn machine(simulator: &Simulator, client: &Client) -> Ref<mo::VirtualMachine> {
    std::fs::create_dir(simulator.datastore_directory().join("vch")).unwrap();
    let iso = simulator.datastore_directory().join("vch/bootstrap.iso");
    std::fs::write(iso, b"").unwrap();
    let folder: Ref<mo::Folder> = Ref::new("ha-folder-vm");
    let pool: Ref<mo::ResourcePool> = Ref::new("ha-root-pool");
    let spec = spec("a", &[].into());
    client
        .run(folder.create_vm(&spec, &pool, None))
        .await
        .unwrap()
}

fn one(vm: &Ref<mo::VirtualMachine>, path: &str) -> PropertyFilterSpec {
    PropertyFilterSpec {
        prop_set: vec![PropertySpec {
            type_: "VirtualMachine".into(),
            path_set: vec![path.into()],
            ..Default::default()
        }],
        object_set: vec![ObjectSpec {
            obj: vm.upcast(),
            ..Default::default()
        }],
        ..Default::default()
    }
}

#[tokio::test]
async fn a_nested_value_names_its_type() {
    let simulator = Simulator::builder().start().await.unwrap();
    let client = Client::login(&simulator).await;
    let vm = machine(&simulator, &client).await;
    for (path, value) in [
        (
            "runtime.powerState",
            "xsi:type=\"VirtualMachinePowerState\">poweredOff<",
        ),
        (
            "runtime.connectionState",
            "xsi:type=\"VirtualMachineConnectionState\">connected<",
        ),
        (
            "guest.toolsStatus",
            "xsi:type=\"VirtualMachineToolsStatus\">toolsNotInstalled<",
        ),
        (
            "summary.overallStatus",
            "xsi:type=\"ManagedEntityStatus\">green<",
        ),
        (
            "config.hardware.device[1000].sharedBus",
            "xsi:type=\"VirtualSCSISharing\">noSharing<",
        ),
        ("config.hardware.numCPU", "xsi:type=\"xsd:int\">"),
        ("runtime.host", "xsi:type=\"ManagedObjectReference\">"),
        ("config.modified", "xsi:type=\"xsd:dateTime\">"),
    ] {
        let path = format!(
            "<Fetch xmlns=\"urn:vim25\"><_this type=\"VirtualMachine\">{}</_this>\
             <prop>{path}</prop></Fetch>",
            vm.value()
        );
        let (status, answer) = client.raw(XML, &path).await;
        assert_eq!(status, 200, "{answer}");
        assert!(answer.contains(value), "{answer}");
    }
    simulator.shutdown().await;
}

#[tokio::test]
async fn a_path_to_nothing_is_a_fault_of_the_whole_call() {
    let simulator = Simulator::builder().start().await.unwrap();
    let client = Client::login(&simulator).await;
    let vm = machine(&simulator, &client).await;
    let collector = client.content.property_collector.clone();
    for path in [
        "lifecycleManaged",
        "config..name",
        "config.hardware.device.key",
        "config.hardware.device[\"1000\"]",
        "name.first",
    ] {
        let read = client.call(collector.retrieve_properties(&[one(&vm, path)]));
        let watched = client.call(collector.create_filter(&one(&vm, path), false));
        for fault in [
            read.await.unwrap_err().fault(),
            watched.await.unwrap_err().fault(),
        ] {
            let detail = fault.get::<InvalidProperty>().unwrap();
            assert_eq!(detail.unwrap().name, path);
        }
    }
    // A valid path to an unset value is not a fault.
    let unset = client.try_get::<String>(&vm, "config.hardware.device[9999].backing");
    assert_eq!(unset.await, None);
    simulator.shutdown().await;
}

#[tokio::test]
async fn no_manager_that_every_host_has_is_missing() {
    let simulator = Simulator::builder().start().await.unwrap();
    let client = Client::login(&simulator).await;
    let host: Ref<mo::HostSystem> = Ref::new("ha-host");
    let systems: vim25::Any = client.get(&host, "configManager").await;
    let content = vim25::Any::new(&client.content);
    let mut count = 0;
    for managers in [&systems, &content] {
        for child in managers.node().children() {
            let Some((ty, value)) = child.as_reference() else {
                continue;
            };
            let spec = PropertyFilterSpec {
                prop_set: vec![PropertySpec {
                    type_: ty.into(),
                    all: Some(true),
                    ..Default::default()
                }],
                object_set: vec![ObjectSpec {
                    obj: vim25::AnyRef::from_wire(ty, value),
                    ..Default::default()
                }],
                ..Default::default()
            };
            let collector = &client.content.property_collector;
            let found = client.call(collector.retrieve_properties(&[spec])).await;
            let found = found.unwrap_or_else(|error| panic!("{ty}:{value}: {error:?}"));
            let kind = vim25::schema::find(vim25::schema::TypeKind::Managed, ty).unwrap();
            for field in kind.fields().filter(|field| field.is_required()) {
                let has = found[0].prop_set.iter().any(|p| p.name == field.name());
                assert!(has, "{ty}:{value} has no {}", field.name());
            }
            count += 1;
        }
    }
    assert!(count >= 34 + 24, "{count}");
    simulator.shutdown().await;
}
