//! Tests that the state which a client builds from updates always equals the state that it
//! reads.

use std::collections::BTreeMap;

use crate::client::Client;
use proptest::prelude::{Strategy, any, prop, prop_oneof, proptest};
use proptest::test_runner::Config;
use simulator::Simulator;
use vim25::types::{
    ObjectSpec, ObjectUpdateKind, PropertyFilterSpec, PropertySpec, ResourceConfigSpec,
    TraversalSpec, WaitOptions,
};
use vim25::{Any, AnyRef, Poly, Ref, mo};

/// A change of the pools of a host, or a look at them.
#[derive(Clone, Debug)]
enum Step {
    Create,
    Rename(usize),
    Destroy(usize),
    /// The client requests updates, with this many objects per reply.
    Look(i32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => proptest::strategy::Just(Step::Create),
        2 => any::<usize>().prop_map(Step::Rename),
        1 => any::<usize>().prop_map(Step::Destroy),
        2 => (1..4i32).prop_map(Step::Look),
    ];
    prop::collection::vec(step, 1..30)
}

type State = BTreeMap<AnyRef, BTreeMap<String, Any>>;

/// A client that builds its state from updates.
struct Follower<'c> {
    client: &'c Client,
    collector: Ref<mo::PropertyCollector>,
    version: String,
    state: State,
}

impl Follower<'_> {
    /// Requests one reply and applies it; returns `false` if there were no updates.
    async fn look(&mut self, objects: i32) -> bool {
        let options = WaitOptions {
            max_wait_seconds: Some(0),
            max_object_updates: Some(objects),
        };
        let call = self
            .collector
            .wait_for_updates_ex(Some(&self.version), Some(&options));
        let Some(set) = self.client.call(call).await.unwrap() else {
            return false;
        };
        self.version = set.version;
        let updates: Vec<_> = set
            .filter_set
            .into_iter()
            .flat_map(|f| f.object_set)
            .collect();
        assert!(updates.len() <= usize::try_from(objects).unwrap());
        for update in updates {
            if update.kind == ObjectUpdateKind::Leave {
                assert!(self.state.remove(&update.obj).is_some());
                continue;
            }
            let known = self.state.contains_key(&update.obj);
            assert_eq!(known, update.kind == ObjectUpdateKind::Modify);
            let object = self.state.entry(update.obj).or_default();
            for change in update.change_set {
                object.insert(change.name, change.val.unwrap());
            }
        }
        true
    }
}

fn spec() -> PropertyFilterSpec {
    PropertyFilterSpec {
        prop_set: vec![PropertySpec {
            type_: "ResourcePool".into(),
            path_set: vec!["name".into(), "config.changeVersion".into()],
            ..Default::default()
        }],
        object_set: vec![ObjectSpec {
            obj: Ref::<mo::ResourcePool>::new("ha-root-pool").upcast(),
            skip: Some(true),
            select_set: vec![Poly::new(TraversalSpec {
                type_: "ResourcePool".into(),
                path: "resourcePool".into(),
                ..Default::default()
            })],
        }],
        ..Default::default()
    }
}

async fn check(steps: Vec<Step>) {
    let simulator = Simulator::builder().start().await.unwrap();
    let client = Client::login(&simulator).await;
    let shared = client.content.property_collector.clone();
    let collector = client
        .call(shared.create_property_collector())
        .await
        .unwrap();
    client
        .call(collector.create_filter(&spec(), false))
        .await
        .unwrap();
    let mut follower = Follower {
        client: &client,
        collector,
        version: String::new(),
        state: State::new(),
    };
    let root: Ref<mo::ResourcePool> = Ref::new("ha-root-pool");
    let mut pools = Vec::new();
    for (number, step) in steps.into_iter().enumerate() {
        match step {
            Step::Create => {
                let name = format!("pool {number}");
                let spec = ResourceConfigSpec::default();
                let call = root.create_resource_pool(&name, &spec);
                pools.push(client.call(call).await.unwrap());
            }
            Step::Rename(at) if !pools.is_empty() => {
                let pool = &pools[at % pools.len()];
                let name = format!("renamed {number}");
                client
                    .call(pool.update_config(Some(&name), None))
                    .await
                    .unwrap();
            }
            Step::Destroy(at) if !pools.is_empty() => {
                let pool = pools.swap_remove(at % pools.len());
                client.run(pool.destroy()).await.unwrap();
            }
            Step::Look(objects) => {
                follower.look(objects).await;
            }
            Step::Rename(_) | Step::Destroy(_) => {}
        }
    }
    while follower.look(2).await {}
    let read: State = client
        .call(shared.retrieve_properties(&[spec()]))
        .await
        .unwrap()
        .into_iter()
        .map(|object| {
            let values = object
                .prop_set
                .into_iter()
                .map(|p| (p.name, p.val))
                .collect();
            (object.obj, values)
        })
        .collect();
    assert_eq!(follower.state, read);
    simulator.shutdown().await;
}

proptest! {
    #![proptest_config(Config { cases: 12, failure_persistence: None, ..Config::default() })]

    #[test]
    fn updates_add_up_to_the_truth(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(check(steps));
    }
}
