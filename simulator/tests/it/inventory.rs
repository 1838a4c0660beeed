//! Tests that the inventory is complete: required properties are set, with the right types.

use crate::client::Client;
use crate::client::container::spec;
use simulator::Simulator;
use vim25::schema::{self, TypeKind};
use vim25::types::{
    ObjectContent, ObjectSpec, PropertyFilterSpec, PropertySpec, RetrieveOptions, TraversalSpec,
};
use vim25::{AnyRef, Poly, Ref, mo};

pub(crate) async fn everything(client: &Client, page: Option<i32>) -> Vec<ObjectContent> {
    let manager = client.content.view_manager.clone().unwrap();
    let root = client.content.root_folder.upcast::<mo::ManagedEntity>();
    let view = client
        .call(manager.create_container_view(&root, &[], true))
        .await
        .unwrap();
    let spec = PropertyFilterSpec {
        prop_set: vec![PropertySpec {
            type_: "ManagedEntity".into(),
            all: Some(true),
            ..Default::default()
        }],
        object_set: vec![ObjectSpec {
            obj: view.upcast(),
            skip: Some(true),
            select_set: vec![Poly::new(TraversalSpec {
                type_: "ContainerView".into(),
                path: "view".into(),
                ..Default::default()
            })],
        }],
        ..Default::default()
    };
    let options = RetrieveOptions { max_objects: page };
    let collector = &client.content.property_collector;
    let mut result = client
        .call(collector.retrieve_properties_ex(&[spec], &options))
        .await
        .unwrap()
        .unwrap();
    let mut all = result.objects;
    while let Some(token) = result.token {
        result = client
            .call(collector.continue_retrieve_properties_ex(&token))
            .await
            .unwrap();
        all.append(&mut result.objects);
    }
    all
}

#[tokio::test]
async fn every_object_has_what_the_api_requires() {
    let simulator = Simulator::builder().start().await.unwrap();
    std::fs::create_dir(simulator.datastore_directory().join("vch")).unwrap();
    std::fs::write(
        simulator.datastore_directory().join("vch/bootstrap.iso"),
        b"",
    )
    .unwrap();
    let client = Client::login(&simulator).await;
    let folder: Ref<mo::Folder> = Ref::new("ha-folder-vm");
    let pool: Ref<mo::ResourcePool> = Ref::new("ha-root-pool");
    let spec = spec("a", &[].into());
    client
        .run(folder.create_vm(&spec, &pool, None))
        .await
        .unwrap();

    let mut all = everything(&client, None).await;
    assert_eq!(
        all.len(),
        11,
        "{:?}",
        all.iter().map(|o| &o.obj).collect::<Vec<_>>()
    );
    let managers = PropertyFilterSpec {
        prop_set: vec![PropertySpec {
            type_: "ManagedObject".into(),
            all: Some(true),
            ..Default::default()
        }],
        object_set: [
            ("ServiceInstance", "ServiceInstance"),
            ("SessionManager", "ha-sessionmgr"),
            ("TaskManager", "ha-taskmgr"),
            ("EventManager", "ha-eventmgr"),
            ("HostNetworkSystem", "networkSystem"),
            ("HostDatastoreBrowser", "ha-host-datastorebrowser"),
        ]
        .map(|(ty, value)| ObjectSpec {
            obj: AnyRef::from_wire(ty, value),
            ..Default::default()
        })
        .to_vec(),
        ..Default::default()
    };
    let collector = &client.content.property_collector;
    all.extend(
        client
            .call(collector.retrieve_properties(&[managers]))
            .await
            .unwrap(),
    );
    check(&all);
    simulator.shutdown().await;
}

/// Checks that every object has all required properties of its type, and no properties that
/// the type does not define.
pub(crate) fn check(all: &[ObjectContent]) {
    for object in all {
        let ty = schema::find(TypeKind::Managed, object.obj.type_name()).unwrap();
        for field in ty.fields().filter(|field| field.is_required()) {
            let found = object.prop_set.iter().find(|p| p.name == field.name());
            assert!(found.is_some(), "{} has no {}", object.obj, field.name());
        }
        for property in &object.prop_set {
            assert!(
                ty.fields().any(|f| f.name() == property.name),
                "{}",
                property.name
            );
        }
        assert!(object.missing_set.is_empty(), "{:?}", object.missing_set);
    }
}

#[tokio::test]
async fn pages_hold_what_one_reply_would() {
    let simulator = Simulator::builder().start().await.unwrap();
    let client = Client::login(&simulator).await;
    let names = |all: Vec<ObjectContent>| all.into_iter().map(|o| o.obj).collect::<Vec<_>>();
    let whole = names(everything(&client, None).await);
    assert_eq!(whole.len(), 10);
    for page in [1, 2] {
        assert_eq!(names(everything(&client, Some(page)).await), whole);
    }
    let collector = client.content.property_collector.clone();
    let used = client
        .call(collector.continue_retrieve_properties_ex("nothing"))
        .await;
    assert_eq!(used.unwrap_err().fault().type_name(), "InvalidProperty");
    simulator.shutdown().await;
}
