//! Compares selections that are kept up to date with selections that are evaluated again.

#![allow(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;
use tokio::sync::Notify;
use vim25::types::{ObjectSpec, PropertyFilterSpec, PropertySpec, SelectionSpec, TraversalSpec};
use vim25::{Poly, mo};

use super::*;
use crate::property::collector::Filter;
use crate::property::select::select;
use crate::property::update::ReportedState;
use crate::shared::Shared;
use crate::{Simulator, Topology};

const FOLDER: &str = "ha-folder-vm";
const POOL: &str = "ha-root-pool";
/// The number of the filter whose traversals lead down and up again.
const CIRCULAR: usize = 4;

fn session() -> SessionKey {
    "session".into()
}

fn step(
    ty: &str,
    path: &str,
    name: Option<&str>,
    then: Vec<Poly<SelectionSpec>>,
) -> Poly<SelectionSpec> {
    Poly::new(TraversalSpec {
        base: SelectionSpec {
            name: name.map(str::to_owned),
        },
        type_: ty.into(),
        path: path.into(),
        skip: Some(false),
        select_set: then,
    })
}

fn named(name: &str) -> Poly<SelectionSpec> {
    Poly::new(SelectionSpec {
        name: Some(name.into()),
    })
}

fn spec(root: AnyRef, steps: Vec<Poly<SelectionSpec>>) -> PropertyFilterSpec {
    let of = |ty: &str| PropertySpec {
        type_: ty.into(),
        path_set: vec!["name".into()],
        ..PropertySpec::default()
    };
    PropertyFilterSpec {
        prop_set: vec![of("ManagedEntity")],
        object_set: vec![ObjectSpec {
            obj: root,
            skip: Some(true),
            select_set: steps,
        }],
        report_missing_objects_in_results: Some(true),
    }
}

fn folder() -> AnyRef {
    AnyRef::from_wire("Folder", FOLDER)
}

/// Opens a view and returns a specification of its content.
fn viewed(tx: &mut Transaction<'_>, types: &[&str], recursive: bool) -> PropertyFilterSpec {
    let types: Vec<String> = types.iter().map(|ty| (*ty).to_owned()).collect();
    let id = format!("view-{}", tx.ids().number());
    let mut view = Object::new::<mo::ContainerView>(&id);
    view.hidden = Hidden::View(View::container(folder(), &types, recursive).unwrap());
    let reference = view.reference().clone();
    tx.insert(view);
    spec(
        reference,
        vec![step("ContainerView", "view", None, Vec::new())],
    )
}

fn filter(tx: &mut Transaction<'_>, spec: PropertyFilterSpec) -> Filter {
    let spec = Spec::new(spec).unwrap();
    let watch = tx.interest().open(Arc::new(Notify::new()), spec.names());
    Filter {
        spec: Arc::new(spec),
        partial: false,
        watch,
        reported: ReportedState::default(),
    }
}

/// Returns filters of different shapes.
fn filters(shared: &Arc<Shared>) -> Vec<Filter> {
    let mut tx = Transaction::begin(shared).unwrap();
    let down = || step("Folder", "childEntity", Some("down"), vec![named("down")]);
    let around = || {
        let back = step("ManagedEntity", "parent", Some("up"), vec![named("deep")]);
        vec![step(
            "Folder",
            "childEntity",
            Some("deep"),
            vec![named("deep"), back],
        )]
    };
    let pool = AnyRef::from_wire("ResourcePool", POOL);
    let further = || step("VirtualMachine", "datastore", None, Vec::new());
    let missing = AnyRef::from_wire("Folder", "later");
    let specs = [
        viewed(&mut tx, &["VirtualMachine"], true),
        viewed(&mut tx, &[], true),
        viewed(&mut tx, &["Folder", "VirtualMachine"], false),
        spec(folder(), vec![down()]),
        spec(folder(), around()),
        spec(
            folder(),
            vec![step("Folder", "childEntity", None, Vec::new())],
        ),
        spec(
            pool,
            vec![step("ResourcePool", "vm", None, vec![further()])],
        ),
        spec(missing, vec![down()]),
    ];
    let filters = specs
        .into_iter()
        .map(|spec| filter(&mut tx, spec))
        .collect();
    tx.commit();
    filters
}

/// Changes the inventory. The operands select among the folders and machines there are.
fn change(tx: &mut Transaction<'_>, (kind, a, b): (u8, usize, usize)) {
    let any = |tx: &Transaction<'_>, ty: &'static str, at: usize| {
        let mut all: Vec<AnyRef> = tx
            .all(ty)
            .map(|object| object.reference().clone())
            .collect();
        all.sort();
        (!all.is_empty()).then(|| all.swap_remove(at % all.len()))
    };
    let list = |tx: &mut Transaction<'_>, holder: &AnyRef, edit: &dyn Fn(&mut Vec<AnyRef>)| {
        tx.edit(holder)
            .unwrap()
            .edit_list("childEntity", edit)
            .unwrap();
    };
    let (Some(first), Some(second)) = (any(tx, "Folder", a), any(tx, "Folder", b)) else {
        return;
    };
    let machine = any(tx, "VirtualMachine", b);
    let fixed = |folder: &AnyRef| folder.value().starts_with("ha-");
    match kind {
        0 => {
            // Servers do not use a reference again, so no list may still contain it.
            let is_listed = tx.all("Folder").any(|folder| {
                let children: Vec<AnyRef> = folder.list("childEntity").unwrap_or_default();
                children.iter().any(|child| child.value() == "later")
            });
            let id = match tx.get("later") {
                None if b % 4 == 0 && !is_listed => "later".to_owned(),
                _ => format!("made-{}", tx.ids().number()),
            };
            let mut made = Object::new::<mo::Folder>(&id);
            made.put("name", &id);
            made.put("parent", &first);
            let reference = made.reference().clone();
            tx.insert(made);
            list(tx, &first, &|all| all.push(reference.clone()));
        }
        1 if !fixed(&first) => {
            if let Some(parent) = tx.get(first.value()).and_then(|folder| folder.parent())
                && tx.object(&parent).is_ok()
            {
                list(tx, &parent, &|all| all.retain(|child| *child != first));
            }
            tx.remove(&first);
        }
        // Circles may arise, and folders in several others.
        2 => list(tx, &second, &|all| all.push(first.clone())),
        3 => list(tx, &second, &|all| all.retain(|child| *child != first)),
        4 => {
            if let Some(machine) = machine {
                tx.edit(&machine).unwrap().put("parent", &first);
            }
        }
        5 if a % 3 == 0 => {
            if let Some(machine) = machine {
                tx.remove(&machine);
            }
        }
        6 => {
            if let Some(machine) = machine {
                tx.edit(&machine)
                    .unwrap()
                    .put("datastore", &Vec::<AnyRef>::new());
            }
        }
        _ => tx.edit(&first).unwrap().put("name", &format!("{a}-{b}")),
    }
}

fn check(shared: &Arc<Shared>, filters: &mut [Filter], changes: &dyn std::fmt::Debug) {
    let mut tx = Transaction::begin(shared).unwrap();
    for (number, filter) in filters.iter_mut().enumerate() {
        filter.look(&mut tx, &session(), usize::MAX).unwrap();
        let expected = select(&mut tx, Some(&session()), &filter.spec, usize::MAX).unwrap();
        let expected: HashSet<Box<str>> = expected
            .objects
            .iter()
            .map(|object| object.value().into())
            .collect();
        let found = &filter.reported.selected;
        assert_eq!(*found, expected, "filter {number} after {changes:?}");
        if let Some(graph) = &filter.reported.graph {
            assert_eq!(
                graph.size,
                graph.count(),
                "filter {number} after {changes:?}"
            );
        }
    }
}

#[test]
fn a_selection_that_is_updated_equals_one_that_is_evaluated_again() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let config = ProptestConfig {
        cases: 64,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let changes = prop::collection::vec(
        prop::collection::vec((0u8..8, 0usize..64, 0usize..64), 1..4),
        1..24,
    );
    proptest!(config, |(transactions in changes)| {
        runtime.block_on(async {
            let topology = Topology::esx().machines(6);
            let simulator = Simulator::builder().topology(topology).start().await.unwrap();
            let shared = simulator.shared();
            let mut filters = filters(shared);
            check(shared, &mut filters, &"the start");
            for (number, changes) in transactions.iter().enumerate() {
                let mut tx = Transaction::begin(shared).unwrap();
                for one in changes {
                    change(&mut tx, *one);
                }
                tx.commit();
                // Some changes are looked at together.
                if number % 3 != 1 {
                    check(shared, &mut filters, &&transactions[..=number]);
                }
            }
        });
    });
}

#[tokio::test]
async fn the_cost_of_a_change_does_not_depend_on_the_number_of_selected_objects() {
    let mut costs = Vec::new();
    for machines in [20, 400] {
        let topology = Topology::esx().machines(machines);
        let simulator = Simulator::builder()
            .topology(topology)
            .start()
            .await
            .unwrap();
        let shared = simulator.shared();
        let mut filters = filters(shared);
        check(shared, &mut filters, &"the start");
        let followed = |filters: &[Filter]| {
            let graphs = filters
                .iter()
                .filter_map(|filter| filter.reported.graph.as_ref());
            graphs.map(|graph| graph.followed).collect::<Vec<_>>()
        };
        let before = followed(&filters);
        assert!(before[0] >= machines, "everything was looked at once");
        // A folder is made, a machine moves to it, and another one goes.
        for one in [(0, 0, 1), (4, 0, 1), (5, 0, 7), (7, 0, 0), (6, 0, 3)] {
            let mut tx = Transaction::begin(shared).unwrap();
            change(&mut tx, one);
            tx.commit();
            check(shared, &mut filters, &one);
        }
        let after = followed(&filters);
        let cost = after.iter().zip(&before).enumerate();
        // A machine that moves may cut off a circle: then everything is looked at.
        let cost = cost.filter(|(number, _)| *number != CIRCULAR);
        let cost: Vec<usize> = cost.map(|(_, (after, before))| after - before).collect();
        assert!(cost.iter().all(|cost| *cost < 12), "{cost:?} of {before:?}");
        costs.push(cost);
    }
    assert_eq!(costs[0], costs[1]);
}
