//! Selects the objects of a specification, and the properties to read of each.

use std::collections::HashSet;
use std::sync::Arc;

use vim25::{Any, AnyRef, Fault};

use crate::fault;
use crate::object::{Found, Hidden, Object, SessionKey};
use crate::property::read::{find, references};
use crate::property::selection;
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
    /// The number of entries that it took, see [`selection`].
    pub(super) entries: usize,
}

/// The properties that were read of one object.
#[derive(Debug, Default)]
pub(super) struct Content {
    pub(super) values: Vec<(String, Any)>,
    pub(super) missing: Vec<(String, Fault)>,
}

/// Evaluates a specification.
///
/// # Errors
/// Fails if that takes more than `room` entries, see [`selection`](super::selection).
pub(super) fn select(
    tx: &mut Transaction<'_>,
    session: Option<&SessionKey>,
    spec: &Spec,
    room: usize,
) -> Result<Selected, Fault> {
    let mut selected = Selected::default();
    let each = selection::of_object(spec);
    let mut used = spec.roots.len();
    // No object changes during a traversal, so addresses identify objects.
    let mut taken: HashSet<*const Object> = HashSet::new();
    let mut walked: HashSet<(*const Object, *const Traversal)> = HashSet::new();
    let mut take = |object: &Arc<Object>, selected: &mut Selected| {
        if spec.concerns(object) && taken.insert(Arc::as_ptr(object)) {
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
                let once = (Arc::as_ptr(&object), Arc::as_ptr(traversal));
                if !traversal.applies(&object) || !walked.insert(once) {
                    continue;
                }
                note(tx, &object, &mut selected.walked);
                let mut next = Vec::new();
                let references = references(tx, session, &object, &traversal.path);
                used += 1 + references.len();
                if used + selected.objects.len() * each > room {
                    return Err(selection::too_large(tx));
                }
                for reference in references {
                    if let Ok(found) = tx.visible(&reference, session).cloned() {
                        if !traversal.skip {
                            take(&found, &mut selected);
                        }
                        if !traversal.select.is_empty() {
                            next.push((found, traversal.select.as_slice()));
                        }
                    }
                }
                // `pending` is a stack: reverse the list, so that its first object is visited
                // first.
                pending.extend(next.into_iter().rev());
            }
        }
    }
    selected.entries = used + selected.objects.len() * each;
    if selected.entries > room {
        return Err(selection::too_large(tx));
    }
    Ok(selected)
}

/// Records an object that the traversal visited. For a view, also records the objects that its
/// content depends on.
fn note(tx: &Transaction<'_>, object: &Object, walked: &mut HashSet<Box<str>>) {
    if let Hidden::View(view) = &object.hidden {
        walked.extend(view.holders(tx));
    }
    walked.insert(object.value().into());
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
