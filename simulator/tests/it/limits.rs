//! Tests of the limits on what one session makes the simulator keep.

use crate::client::Client;
use simulator::{Simulator, Topology};
use vim25::types::{
    ObjectSpec, PropertyFilterSpec, PropertySpec, ResourceConfigSpec, RuntimeFault, SelectionSpec,
    TraversalSpec, WaitOptions,
};
use vim25::{AnyRef, Poly, Ref, mo};

const MACHINES: usize = 20;

async fn simulator(selection: usize) -> Simulator {
    let builder = Simulator::builder().topology(Topology::esx().machines(MACHINES));
    let builder = builder.selection_limit(selection).filter_limit(3);
    builder.start().await.unwrap()
}

/// Returns a specification of some properties of what steps from the root pool find.
fn spec(ty: &str, paths: &[&str], steps: &[(&str, &str)]) -> PropertyFilterSpec {
    let step = |(ty, path): &(&str, &str)| -> Poly<SelectionSpec> {
        Poly::new(TraversalSpec {
            base: SelectionSpec::default(),
            type_: (*ty).into(),
            path: (*path).into(),
            ..TraversalSpec::default()
        })
    };
    PropertyFilterSpec {
        prop_set: vec![PropertySpec {
            type_: ty.into(),
            path_set: paths.iter().map(|path| (*path).into()).collect(),
            ..PropertySpec::default()
        }],
        object_set: vec![ObjectSpec {
            obj: Ref::<mo::ResourcePool>::new("ha-root-pool").upcast(),
            skip: Some(true),
            select_set: steps.iter().map(step).collect(),
        }],
        ..PropertyFilterSpec::default()
    }
}

fn refused(fault: &vim25::Fault, words: &str) {
    assert!(fault.is::<RuntimeFault>(), "{fault}");
    assert!(fault.to_string().contains(words), "{fault}");
}

#[tokio::test]
async fn a_call_that_selects_too_much_is_refused() {
    // Twenty machines with two properties each, the pool, and the step.
    let simulator = simulator(4 * MACHINES + 2).await;
    let client = Client::login(&simulator).await;
    let collector = &client.content.property_collector;
    let machines = |paths: &[&str], steps: usize| {
        spec(
            "VirtualMachine",
            paths,
            &vec![("ResourcePool", "vm"); steps],
        )
    };
    let fits = machines(&["name", "runtime.powerState"], 1);
    let found = client.call(collector.retrieve_properties(std::slice::from_ref(&fits)));
    assert_eq!(found.await.unwrap().len(), MACHINES);
    let too_large = [
        vec![machines(&["name", "runtime.powerState", "config"], 1)],
        vec![machines(&["name", "runtime.powerState"], 2)],
        vec![fits.clone(), machines(&["name"], 1)],
    ];
    for specs in &too_large {
        let call = client.call(collector.retrieve_properties(specs));
        refused(&call.await.unwrap_err().fault(), "selects more than");
    }
    for specs in &too_large[..2] {
        let call = client.call(collector.create_filter(&specs[0], false));
        refused(&call.await.unwrap_err().fault(), "selects more than");
    }
    // Nothing of it was kept.
    client
        .call(collector.create_filter(&fits, false))
        .await
        .unwrap();
    simulator.shutdown().await;
}

#[tokio::test]
async fn a_filter_that_outgrows_the_limit_fails_until_it_fits_again() {
    // The root pool and the step, and up to four pools: found, visited, and reported with their names.
    let simulator = simulator(3 + 4 * 4).await;
    let client = Client::login(&simulator).await;
    let other = Client::login(&simulator).await;
    let root: Ref<mo::ResourcePool> = Ref::new("ha-root-pool");
    let pools = spec(
        "ResourcePool",
        &["name"],
        &[("ResourcePool", "resourcePool")],
    );
    let made = async |name: &str| {
        let config = ResourceConfigSpec::default();
        let call = other.call(root.create_resource_pool(name, &config));
        call.await.unwrap()
    };
    let collector = &client.content.property_collector;
    client
        .call(collector.create_filter(&pools, false))
        .await
        .unwrap();
    let look = async |version: &str| {
        let options = WaitOptions {
            max_wait_seconds: Some(0),
            ..WaitOptions::default()
        };
        let call = collector.wait_for_updates_ex(Some(version), Some(&options));
        client.call(call).await
    };
    let (first, _) = (made("a").await, made("b").await);
    let set = look("").await.unwrap().unwrap();
    assert_eq!(set.filter_set[0].object_set.len(), 2);
    let mut more = Vec::new();
    for name in ["c", "d", "e", "f"] {
        more.push(made(name).await);
    }
    for _ in 0..2 {
        let fault = look(&set.version).await.unwrap_err().fault();
        refused(&fault, "selects more than");
    }
    // The limit is that of one session.
    let others = &other.content.property_collector;
    let few = spec("ResourcePool", &["name"], &[]);
    other.call(others.create_filter(&few, false)).await.unwrap();
    other.run(more[3].destroy()).await.unwrap();
    other.run(more[2].destroy()).await.unwrap();
    other.run(first.destroy()).await.unwrap();
    let set = look(&set.version).await.unwrap().unwrap();
    let mut changes: Vec<(String, AnyRef)> = set.filter_set[0]
        .object_set
        .iter()
        .map(|update| (update.kind.to_string(), update.obj.clone()))
        .collect();
    changes.sort();
    let mut expected = vec![
        ("enter".to_owned(), more[0].clone().upcast()),
        ("enter".to_owned(), more[1].clone().upcast()),
        ("leave".to_owned(), first.upcast()),
    ];
    expected.sort();
    assert_eq!(changes, expected);
    simulator.shutdown().await;
}

#[tokio::test]
async fn views_and_their_members_are_limited() {
    let simulator = simulator(MACHINES).await;
    let client = Client::login(&simulator).await;
    let manager = client.content.view_manager.clone().unwrap();
    let root = client.content.root_folder.clone();
    let many: Vec<AnyRef> = vec![root.clone().upcast(); MACHINES + 1];
    let call = client.call(manager.create_list_view(&many));
    refused(&call.await.unwrap_err().fault(), "members");
    let list = client
        .call(manager.create_list_view(&many[..MACHINES]))
        .await
        .unwrap();
    let call = client.call(manager.create_list_view(&many[..1]));
    refused(&call.await.unwrap_err().fault(), "members");
    let call = client.call(list.modify_list_view(&many[..1], &[]));
    refused(&call.await.unwrap_err().fault(), "members");
    client.call(list.destroy_view()).await.unwrap();
    for _ in 0..3 {
        let call = manager.create_container_view(&root, &[], true);
        client.call(call).await.unwrap();
    }
    let call = client.call(manager.create_list_view(&[]));
    refused(&call.await.unwrap_err().fault(), "3 views");
    simulator.shutdown().await;
}
