//! Tests of waiting for updates: versions, truncation, cancelling, and pushed changes.

use std::sync::Arc;
use std::time::Duration;

use crate::client::Client;
use crate::vcenter::typed;
use simulator::{Simulator, Topology};
use vim25::types::{
    ObjectSpec, ObjectUpdateKind, PropertyChangeOp, PropertyFilterSpec, PropertySpec,
    RequestCanceled, ResourceConfigSpec, SelectionSpec, TraversalSpec, UpdateSet,
    VirtualMachineConfigSpec, VirtualMachineFileInfo, VirtualMachineRelocateSpec, WaitOptions,
};
use vim25::{Poly, Ref, mo};

/// Returns a filter for the names of all pools below the root pool.
fn pools() -> PropertyFilterSpec {
    PropertyFilterSpec {
        prop_set: vec![PropertySpec {
            type_: "ResourcePool".into(),
            path_set: vec!["name".into()],
            ..Default::default()
        }],
        object_set: vec![ObjectSpec {
            obj: Ref::<mo::ResourcePool>::new("ha-root-pool").upcast(),
            skip: Some(true),
            select_set: vec![Poly::new(TraversalSpec {
                base: SelectionSpec {
                    name: Some("below".into()),
                },
                type_: "ResourcePool".into(),
                path: "resourcePool".into(),
                select_set: vec![Poly::new(SelectionSpec {
                    name: Some("below".into()),
                })],
                ..Default::default()
            })],
        }],
        ..Default::default()
    }
}

fn wait(seconds: i32, objects: Option<i32>) -> WaitOptions {
    WaitOptions {
        max_wait_seconds: Some(seconds),
        max_object_updates: objects,
    }
}

fn spec() -> ResourceConfigSpec {
    ResourceConfigSpec::default()
}

fn kinds(set: &UpdateSet) -> Vec<ObjectUpdateKind> {
    set.filter_set
        .iter()
        .flat_map(|filter| &filter.object_set)
        .map(|update| update.kind.clone())
        .collect()
}

#[tokio::test]
async fn changes_are_pushed_and_versions_can_be_resumed() {
    let simulator = Simulator::builder().start().await.unwrap();
    let client = Arc::new(Client::login(&simulator).await);
    let root: Ref<mo::ResourcePool> = Ref::new("ha-root-pool");
    let mut made = Vec::new();
    for name in ["a", "b", "c"] {
        made.push(
            client
                .call(root.create_resource_pool(name, &spec()))
                .await
                .unwrap(),
        );
    }
    let collector = client
        .call(
            client
                .content
                .property_collector
                .create_property_collector(),
        )
        .await
        .unwrap();
    client
        .call(collector.create_filter(&pools(), true))
        .await
        .unwrap();
    let look = async |version: &str, seconds, objects| {
        let options = wait(seconds, objects);
        client
            .call(collector.wait_for_updates_ex(Some(version), Some(&options)))
            .await
            .unwrap()
    };

    // The replies contain two of the three pools, then the rest, then nothing.
    let first = look("", 5, Some(2)).await.unwrap();
    assert_eq!(
        kinds(&first),
        [ObjectUpdateKind::Enter, ObjectUpdateKind::Enter]
    );
    assert_eq!(first.truncated, Some(true));
    let update = &first.filter_set[0].object_set[0];
    assert!(update.missing_set.is_empty());
    let second = look(&first.version, 5, Some(2)).await.unwrap();
    assert_eq!(kinds(&second), [ObjectUpdateKind::Enter]);
    assert_eq!(second.truncated, None);
    // After a lost reply, a request with the same version returns the same updates.
    let again = look(&first.version, 5, Some(2)).await.unwrap();
    assert_eq!(again.filter_set, second.filter_set);
    assert!(look(&again.version, 0, None).await.is_none());

    // A wait that began before a change returns the change.
    let waiting = {
        let (client, collector, version) = (Arc::clone(&client), collector.clone(), again.version);
        tokio::spawn(async move {
            client
                .call(collector.wait_for_updates_ex(Some(&version), None))
                .await
                .unwrap()
                .unwrap()
        })
    };
    client
        .call(made[0].update_config(Some("renamed"), None))
        .await
        .unwrap();
    let pushed = waiting.await.unwrap();
    let update = &pushed.filter_set[0].object_set[0];
    assert_eq!(update.kind, ObjectUpdateKind::Modify);
    assert_eq!(update.change_set[0].name, "name");
    assert_eq!(update.change_set[0].op, PropertyChangeOp::Assign);
    assert_eq!(update.change_set[0].val, Some("renamed".into()));

    client.run(made[1].destroy()).await.unwrap();
    let left = look(&pushed.version, 5, None).await.unwrap();
    assert_eq!(kinds(&left), [ObjectUpdateKind::Leave]);
    let fault = client
        .call(collector.wait_for_updates_ex(Some("99"), None))
        .await
        .unwrap_err()
        .fault();
    assert_eq!(fault.type_name(), "InvalidCollectorVersion");
    simulator.shutdown().await;
}

#[tokio::test]
async fn a_wait_ends_when_it_is_cancelled_or_the_server_stops() {
    let simulator = Simulator::builder().start().await.unwrap();
    let client = Arc::new(Client::login(&simulator).await);
    let collector = client.content.property_collector.clone();
    let waits = |client: &Arc<Client>| {
        let (client, collector) = (Arc::clone(client), collector.clone());
        tokio::spawn(async move { client.call(collector.wait_for_updates_ex(None, None)).await })
    };
    let waiting = waits(&client);
    // Cancelling only affects a call that is already waiting, so repeat it until the wait has
    // ended.
    let fault = loop {
        client
            .call(collector.cancel_wait_for_updates())
            .await
            .unwrap();
        tokio::task::yield_now().await;
        if waiting.is_finished() {
            break waiting.await.unwrap().unwrap_err().fault();
        }
    };
    assert!(fault.is::<RequestCanceled>(), "{fault}");
    let waiting = waits(&client);
    tokio::task::yield_now().await;
    simulator.shutdown().await;
    assert!(waiting.await.unwrap().is_err());
}

#[tokio::test]
async fn a_filter_that_is_created_during_a_wait_is_reported_by_it() {
    let simulator = Simulator::builder().start().await.unwrap();
    let client = Arc::new(Client::login(&simulator).await);
    let root: Ref<mo::ResourcePool> = Ref::new("ha-root-pool");
    client
        .call(root.create_resource_pool("a", &spec()))
        .await
        .unwrap();
    let collector = client.content.property_collector.clone();
    let waiting = {
        let (client, collector) = (Arc::clone(&client), collector.clone());
        let call = async move { client.call(collector.wait_for_updates_ex(None, None)).await };
        tokio::spawn(call)
    };
    client
        .call(collector.create_filter(&pools(), true))
        .await
        .unwrap();
    let reported = tokio::time::timeout(Duration::from_secs(30), waiting);
    let reported = reported.await.unwrap().unwrap().unwrap().unwrap();
    assert_eq!(kinds(&reported), [ObjectUpdateKind::Enter]);
    simulator.shutdown().await;
}

#[tokio::test]
async fn a_change_inside_a_property_names_the_type_of_an_enum() {
    let topology = Topology::esx().machines(1).autostart(false);
    let simulator = Simulator::builder().topology(topology);
    let simulator = simulator.start().await.unwrap();
    let client = Client::login(&simulator).await;
    let root: Ref<mo::ResourcePool> = Ref::new("ha-root-pool");
    let machines: Vec<Ref<mo::VirtualMachine>> = client.get(&root, "vm").await;
    let vm = &machines[0];
    let spec = PropertyFilterSpec {
        prop_set: vec![PropertySpec {
            type_: "VirtualMachine".into(),
            path_set: vec!["runtime".into()],
            ..Default::default()
        }],
        object_set: vec![ObjectSpec {
            obj: vm.upcast(),
            ..Default::default()
        }],
        ..Default::default()
    };
    let collector = &client.content.property_collector;
    client
        .call(collector.create_filter(&spec, true))
        .await
        .unwrap();
    let first = collector.wait_for_updates_ex(None, Some(&wait(60, None)));
    let first = client.call(first).await.unwrap().unwrap();
    client.run(vm.power_on_vm(None)).await.unwrap();
    let second = collector.wait_for_updates_ex(Some(&first.version), Some(&wait(60, None)));
    let second = client.call(second).await.unwrap().unwrap();
    let changes = second.filter_set[0].object_set[0].change_set.iter();
    let mut state = changes.filter(|change| change.name == "runtime.powerState");
    let state = state.next().unwrap().val.as_ref().unwrap();
    assert_eq!(state.type_name(), "VirtualMachinePowerState");
    simulator.shutdown().await;
}

/// Returns a filter for the machines of the first two pools, and for the first pool itself. If `deep`, its traversals lead further, to objects of which nothing is asked.
fn machines_of(pools: [&Ref<mo::ResourcePool>; 3], deep: bool) -> PropertyFilterSpec {
    let property = |type_: &str, path: &str| PropertySpec {
        type_: type_.into(),
        path_set: vec![path.into()],
        ..Default::default()
    };
    let further = Poly::new(TraversalSpec {
        type_: "VirtualMachine".into(),
        path: "datastore".into(),
        ..Default::default()
    });
    let along = |type_: &str, path: &str, skip: bool| {
        Poly::new(TraversalSpec {
            type_: type_.into(),
            path: path.into(),
            skip: Some(skip),
            select_set: deep.then(|| further.clone()).into_iter().collect(),
            ..Default::default()
        })
    };
    PropertyFilterSpec {
        prop_set: vec![
            property("VirtualMachine", "name"),
            property("ResourcePool", "vm"),
        ],
        object_set: vec![
            ObjectSpec {
                obj: pools[0].upcast(),
                skip: Some(false),
                select_set: vec![along("ResourcePool", "vm", false)],
            },
            ObjectSpec {
                obj: pools[1].upcast(),
                skip: Some(true),
                select_set: vec![along("ResourcePool", "vm", false)],
            },
            ObjectSpec {
                obj: pools[2].upcast(),
                skip: Some(true),
                select_set: vec![along("ResourcePool", "vm", true)],
            },
        ],
        ..Default::default()
    }
}

#[tokio::test]
async fn members_that_come_and_go_are_told_as_if_everything_was_looked_at() {
    let simulator = Simulator::vcenter().start().await.unwrap();
    let client = Client::login(&simulator).await;
    let folder: Ref<mo::Folder> = typed(&client, "DC0/vm").await;
    let root: Ref<mo::ResourcePool> = typed(&client, "DC0/host/DC0_C0/Resources").await;
    let pool = client
        .call(root.create_resource_pool("pool", &spec()))
        .await
        .unwrap();
    let second = client
        .call(root.create_resource_pool("second", &spec()))
        .await
        .unwrap();
    let collector = client
        .call(
            client
                .content
                .property_collector
                .create_property_collector(),
        )
        .await
        .unwrap();
    let flat = client
        .call(collector.create_filter(&machines_of([&pool, &second, &root], false), false))
        .await
        .unwrap();
    client
        .call(collector.create_filter(&machines_of([&pool, &second, &root], true), false))
        .await
        .unwrap();
    let mut version = String::new();
    // Returns what the flat filter tells, after comparing it with the deep one.
    let mut told = async || {
        let options = wait(0, None);
        let set = client
            .call(collector.wait_for_updates_ex(Some(&version), Some(&options)))
            .await
            .unwrap();
        let Some(set) = set else { return Vec::new() };
        version.clone_from(&set.version);
        let (mut shallow, mut deep) = (Vec::new(), Vec::new());
        for update in &set.filter_set {
            let told = if update.filter == flat {
                &mut shallow
            } else {
                &mut deep
            };
            told.extend(update.object_set.clone());
        }
        assert_eq!(shallow, deep);
        let told = shallow.iter();
        told.map(|update| (update.obj.type_name().to_owned(), update.kind.clone()))
            .collect::<Vec<_>>()
    };
    let (enter, modify, leave) = (
        ObjectUpdateKind::Enter,
        ObjectUpdateKind::Modify,
        ObjectUpdateKind::Leave,
    );
    let of = |machine: &ObjectUpdateKind| {
        vec![
            ("ResourcePool".to_owned(), modify.clone()),
            ("VirtualMachine".to_owned(), machine.clone()),
        ]
    };
    let sorted = |mut told: Vec<(String, ObjectUpdateKind)>| {
        told.sort_by(|one, other| one.0.cmp(&other.0));
        told
    };
    assert_eq!(told().await.len(), 1);

    let machine = VirtualMachineConfigSpec {
        name: Some("made".into()),
        files: Some(Box::new(VirtualMachineFileInfo {
            vm_path_name: Some("[LocalDS_0]".into()),
            ..Default::default()
        })),
        ..Default::default()
    };
    let vm: Ref<mo::VirtualMachine> = client
        .run(folder.create_vm(&machine, &pool, None))
        .await
        .unwrap();
    assert_eq!(sorted(told().await), of(&enter));
    client.run(vm.rename("other")).await.unwrap();
    let renamed = ("VirtualMachine".to_owned(), modify.clone());
    assert_eq!(told().await, [renamed]);
    let move_to = async |pool: &Ref<mo::ResourcePool>| {
        let place = VirtualMachineRelocateSpec {
            pool: Some(pool.clone()),
            ..Default::default()
        };
        client.run(vm.relocate_vm(&place, None)).await.unwrap();
    };
    move_to(&root).await;
    assert_eq!(sorted(told().await), of(&leave));
    client.run(vm.rename("unseen")).await.unwrap();
    assert_eq!(told().await, []);
    move_to(&pool).await;
    assert_eq!(sorted(told().await), of(&enter));
    // In the second pool it is selected as before.
    move_to(&second).await;
    let told_of_pool = sorted(told().await);
    assert_eq!(told_of_pool, of(&modify)[..1]);
    client.run(vm.destroy()).await.unwrap();
    let gone = ("VirtualMachine".to_owned(), leave.clone());
    assert_eq!(told().await, [gone]);
    simulator.shutdown().await;
}
