//! Selects the objects of a specification, and the properties to read of each.

use std::collections::HashSet;
use std::sync::Arc;

use vim25::{Any, AnyRef, Fault};

use crate::fault;
use crate::index;
use crate::object::{Found, Hidden, Object, SessionKey};
use crate::property::read::find;
use crate::property::spec::{Select, Spec, Traversal};
use crate::world::Transaction;

/// The objects that a specification selects, without duplicates.
#[derive(Debug, Default)]
pub(super) struct Selected {
    pub(super) objects: Vec<Arc<Object>>,
    /// Start objects that do not exist.
    pub(super) missing: Vec<AnyRef>,
    /// Objects whose changes may change the selection.
    pub(super) walked: HashSet<Box<str>>,
}

/// The properties that were read of one object.
#[derive(Debug, Default)]
pub(super) struct Content {
    pub(super) values: Vec<(String, Any)>,
    pub(super) missing: Vec<(String, Fault)>,
}

pub(super) fn select(
    tx: &mut Transaction<'_>,
    session: Option<&SessionKey>,
    spec: &Spec,
) -> Selected {
    let mut selected = Selected::default();
    let mut taken: HashSet<Box<str>> = HashSet::new();
    let mut walked: HashSet<(Box<str>, *const Traversal)> = HashSet::new();
    let mut take = |object: &Arc<Object>, selected: &mut Selected| {
        if spec.concerns(object) && taken.insert(object.value().into()) {
            selected.objects.push(Arc::clone(object));
        }
    };
    for root in &spec.roots {
        let Ok(object) = tx.visible(&root.object, session).cloned() else {
            selected.missing.push(root.object.clone());
            selected.walked.insert(root.object.value().into());
            continue;
        };
        if !root.skip {
            take(&object, &mut selected);
        }
        let mut pending: Vec<(Arc<Object>, &[Select])> = vec![(object, &root.select)];
        while let Some((object, steps)) = pending.pop() {
            for step in steps {
                let Some(traversal) = spec.traversal(step) else {
                    continue;
                };
                let once = (object.value().into(), Arc::as_ptr(traversal));
                if !traversal.applies(&object) || !walked.insert(once) {
                    continue;
                }
                note(tx, &object, &mut selected.walked);
                let Found::Value(value) = find(tx, session, &object, &traversal.path) else {
                    continue;
                };
                let mut next = Vec::new();
                for reference in references(&value) {
                    if let Ok(found) = tx.visible(&reference, session).cloned() {
                        if !traversal.skip {
                            take(&found, &mut selected);
                        }
                        next.push((found, traversal.select.as_slice()));
                    }
                }
                // `pending` is a stack: reverse the list, so that its first object is visited
                // first.
                pending.extend(next.into_iter().rev());
            }
        }
    }
    selected
}

/// Returns whether a [flat](Spec::is_flat) specification selects this member of a derived list.
pub(super) fn selects_member(tx: &Transaction<'_>, spec: &Spec, member: &Object) -> bool {
    let lists = index::lists(member);
    let is_in = |holder: &Object, path: &str| {
        let mut lists = lists.iter();
        lists.any(|(own, list)| **own == *holder.value() && *list == path)
    };
    spec.concerns(member)
        && spec.roots.iter().any(|root| {
            let Some(holder) = tx.get(root.object.value()) else {
                return false;
            };
            let mut steps = root.select.iter().filter_map(|step| spec.traversal(step));
            (!root.skip && root.object == *member.reference())
                || steps.any(|step| !step.skip && step.applies(holder) && is_in(holder, &step.path))
        })
}

/// Records an object that the traversal visited. For a view, also records the objects that its
/// content depends on.
fn note(tx: &Transaction<'_>, object: &Object, walked: &mut HashSet<Box<str>>) {
    if let Hidden::View(view) = &object.hidden {
        walked.extend(view.holders(tx));
    }
    walked.insert(object.value().into());
}

fn references(value: &Any) -> Vec<AnyRef> {
    value.get::<Vec<AnyRef>>().unwrap_or_default()
}

pub(super) fn content(
    tx: &mut Transaction<'_>,
    session: Option<&SessionKey>,
    spec: &Spec,
    object: &Arc<Object>,
) -> Content {
    let mut content = Content::default();
    for path in spec.paths(object) {
        match find(tx, session, object, path) {
            Found::Value(value) => content.values.push((path.to_owned(), value)),
            Found::Unset => {}
            Found::Invalid => content
                .missing
                .push((path.to_owned(), fault::invalid_property(path))),
        }
    }
    content
}
