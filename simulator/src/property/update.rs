//! The changes since the last update sent to the owner of a collector.

use std::collections::BTreeMap;
use std::sync::Arc;

use vim25::types::{
    LocalizedMethodFault, MissingObject, MissingProperty, ObjectUpdate, ObjectUpdateKind,
    PropertyChange, PropertyChangeOp, PropertyFilterUpdate, UpdateSet,
};
use vim25::{Any, AnyRef, Fault, Ref, difference, mo};

use crate::fault;
use crate::object::{Hidden, Object, SessionKey};
use crate::property::collector::{Collector, Filter};
use crate::property::select::{Content, content, select};
use crate::world::Transaction;

/// How many earlier states are kept, so that a client that lost a reply can ask again.
const KEPT: usize = 3;

/// A client's knowledge: for each filter, each object.
pub(crate) type Known = BTreeMap<Box<str>, BTreeMap<Box<str>, Arc<Reported>>>;

/// A client's knowledge of one object.
#[derive(Debug)]
pub(crate) struct Reported {
    object: AnyRef,
    /// The object's version when it was read.
    version: u64,
    values: Vec<(String, Any)>,
    missing: Vec<String>,
}

/// The changes since `version`: `None` when there are none.
///
/// What a client knows is exactly what it was sent; so a reply that is cut
/// short, lost or asked for again needs no care elsewhere.
pub(super) fn since(
    tx: &mut Transaction<'_>,
    session: &SessionKey,
    collector: &mut Collector,
    version: &str,
    limit: usize,
) -> Result<Option<UpdateSet>, Fault> {
    let mut known = if version.is_empty() {
        collector.history.clear();
        Known::new()
    } else {
        let number: u64 = version
            .parse()
            .map_err(|_| fault::invalid_collector_version())?;
        let at = collector.history.iter().position(|(v, _)| *v == number);
        let at = at.ok_or_else(fault::invalid_collector_version)?;
        collector.history.drain(..at);
        collector
            .history
            .front()
            .map(|(_, known)| known.clone())
            .unwrap_or_default()
    };
    let mut set = UpdateSet::default();
    let mut room = limit;
    known.retain(|filter, _| collector.filters.contains_key(filter));
    for (name, filter) in &collector.filters {
        let first = !known.contains_key(name);
        let objects = known.entry(name.clone()).or_default();
        let (mut update, truncated) = of_filter(tx, session, filter, objects, &mut room);
        if first && filter.spec.report_missing {
            update.missing_set = missing(tx, session, filter);
        }
        if !update.object_set.is_empty() || !update.missing_set.is_empty() {
            update.filter = Ref::<mo::PropertyFilter>::new(name);
            set.filter_set.push(update);
        }
        if truncated {
            set.truncated = Some(true);
            break;
        }
    }
    if set.filter_set.is_empty() {
        return Ok(None);
    }
    collector.version += 1;
    set.version = collector.version.to_string();
    collector.history.push_back((collector.version, known));
    while collector.history.len() > KEPT {
        collector.history.pop_front();
    }
    Ok(Some(set))
}

/// The changes of one filter, and whether there was no room for all of them.
fn of_filter(
    tx: &mut Transaction<'_>,
    session: &SessionKey,
    filter: &Filter,
    known: &mut BTreeMap<Box<str>, Arc<Reported>>,
    room: &mut usize,
) -> (PropertyFilterUpdate, bool) {
    let mut update = PropertyFilterUpdate::default();
    let selected = select(tx, Some(session), &filter.spec);
    let gone: Vec<Box<str>> = known
        .keys()
        .filter(|value| !selected.objects.iter().any(|o| o.value() == &***value))
        .cloned()
        .collect();
    for value in gone {
        if *room == 0 {
            return (update, true);
        }
        if let Some(reported) = known.remove(&value) {
            *room -= 1;
            update.object_set.push(ObjectUpdate {
                kind: ObjectUpdateKind::Leave,
                obj: reported.object.clone(),
                ..Default::default()
            });
        }
    }
    for object in &selected.objects {
        let before = known.get(object.value());
        let moving = matches!(object.hidden, Hidden::View(_));
        if before.is_some_and(|b| b.version == object.version && !moving) {
            continue;
        }
        let content = content(tx, Some(session), &filter.spec, object);
        let changes = match before {
            None => Some(entered(object, &content)),
            Some(before) => modified(object, before, &content, filter.partial),
        };
        if let Some(changes) = changes {
            if *room == 0 {
                return (update, true);
            }
            *room -= 1;
            update.object_set.push(changes);
        }
        let reported = Reported {
            object: object.reference().clone(),
            version: object.version,
            values: content.values,
            missing: content.missing.into_iter().map(|(path, _)| path).collect(),
        };
        known.insert(object.value().into(), Arc::new(reported));
    }
    (update, false)
}

fn entered(object: &Object, content: &Content) -> ObjectUpdate {
    ObjectUpdate {
        kind: ObjectUpdateKind::Enter,
        obj: object.reference().clone(),
        change_set: content
            .values
            .iter()
            .map(|(path, value)| {
                change(path.clone(), PropertyChangeOp::Assign, Some(value.clone()))
            })
            .collect(),
        missing_set: content.missing.iter().map(missing_property).collect(),
    }
}

/// The changes of an object that was reported before, if there are any.
fn modified(
    object: &Object,
    before: &Reported,
    content: &Content,
    partial: bool,
) -> Option<ObjectUpdate> {
    let mut update = ObjectUpdate {
        kind: ObjectUpdateKind::Modify,
        obj: object.reference().clone(),
        ..Default::default()
    };
    for (path, value) in &content.values {
        let old = before.values.iter().find(|(name, _)| name == path);
        match old {
            Some((_, old)) if old == value => {}
            Some((_, old)) if partial => {
                update.change_set.extend(partial_changes(path, old, value));
            }
            _ => update.change_set.push(change(
                path.clone(),
                PropertyChangeOp::Assign,
                Some(value.clone()),
            )),
        }
    }
    for (path, _) in &before.values {
        if !content.values.iter().any(|(name, _)| name == path) {
            let op = if path.ends_with(']') {
                PropertyChangeOp::Remove
            } else {
                PropertyChangeOp::Assign
            };
            update.change_set.push(change(path.clone(), op, None));
        }
    }
    for missing in &content.missing {
        if !before.missing.contains(&missing.0) {
            update.missing_set.push(missing_property(missing));
        }
    }
    (!update.change_set.is_empty() || !update.missing_set.is_empty()).then_some(update)
}

/// Only what differs inside a value.
fn partial_changes(path: &str, old: &Any, new: &Any) -> Vec<PropertyChange> {
    difference(path, old.node(), new.node())
        .into_iter()
        .map(|difference| {
            let op = match (&difference.before, &difference.after) {
                (None, _) if difference.path.ends_with(']') => PropertyChangeOp::Add,
                (_, None) if difference.path.ends_with(']') => PropertyChangeOp::Remove,
                _ => PropertyChangeOp::Assign,
            };
            change(difference.path, op, difference.after)
        })
        .collect()
}

fn change(name: String, op: PropertyChangeOp, val: Option<Any>) -> PropertyChange {
    PropertyChange { name, op, val }
}

fn missing_property((path, fault): &(String, Fault)) -> MissingProperty {
    MissingProperty {
        path: path.clone(),
        fault: LocalizedMethodFault::from(fault),
    }
}

fn missing(tx: &mut Transaction<'_>, session: &SessionKey, filter: &Filter) -> Vec<MissingObject> {
    select(tx, Some(session), &filter.spec)
        .missing
        .into_iter()
        .map(|obj| MissingObject {
            fault: LocalizedMethodFault::from(&fault::not_found(&obj)),
            obj,
        })
        .collect()
}
