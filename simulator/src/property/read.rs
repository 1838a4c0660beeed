//! Reads one property, which may be stored or computed.

use std::sync::Arc;

use jiff::Timestamp;
use vim25::{Any, AnyRef};

use crate::index;
use crate::object::{Found, Hidden, Object, SessionKey};
use crate::property::path;
use crate::world::Transaction;

/// Returns the value of an object at a property path, as a session sees it.
pub(crate) fn find(
    tx: &mut Transaction<'_>,
    session: Option<&SessionKey>,
    object: &Arc<Object>,
    path: &str,
) -> Found {
    let (name, rest) = path::split(path);
    match computed(tx, session, object, name) {
        None => object.find(path),
        Some(value) => match value.and_then(|value| value.at(rest)) {
            Some(value) => Found::Value(value),
            None if path::is_valid(object.ty(), path) => Found::Unset,
            None => Found::Invalid,
        },
    }
}

/// Returns the names of the properties of an object that a session can read.
pub(super) fn names(object: &Object) -> Vec<&'static str> {
    let mut names: Vec<_> = object.names().collect();
    match object.reference().type_name() {
        "ServiceInstance" => names.push("serverClock"),
        "SessionManager" => names.extend(["currentSession", "sessionList"]),
        _ => {}
    }
    if matches!(object.hidden, Hidden::View(_)) {
        names.push("view");
    }
    names
}

fn computed(
    tx: &mut Transaction<'_>,
    session: Option<&SessionKey>,
    object: &Object,
    name: &str,
) -> Option<Option<Any>> {
    Some(match (object.reference().type_name(), name) {
        ("ServiceInstance", "serverClock") => Some(Any::new(&Timestamp::now())),
        ("SessionManager", "currentSession") => session
            .and_then(|key| tx.sessions().user(key))
            .map(|user| Any::new(&user)),
        ("SessionManager", "sessionList") => Some(Any::new(&tx.sessions().users())),
        (_, "view") => match &object.hidden {
            Hidden::View(view) => Some(Any::new(&view.members(tx))),
            _ => return None,
        },
        _ => {
            let list = derived(object, name)?;
            let members = tx.members(object.value(), list);
            if members.is_empty() {
                return None;
            }
            let mut all: Vec<AnyRef> = object.list(list).unwrap_or_default();
            all.extend(members);
            Some(Any::new(&all))
        }
    })
}

/// Returns the name of a list that contains, besides what is stored, machines or tasks, which the
/// index knows.
pub(super) fn derived(object: &Object, path: &str) -> Option<&'static str> {
    match path {
        "vm" => Some("vm"),
        "childEntity" => Some("childEntity"),
        index::TASKS if object.reference().type_name() == "TaskManager" => Some(index::TASKS),
        _ => None,
    }
}

/// Returns the references at a property path.
pub(super) fn references(
    tx: &mut Transaction<'_>,
    session: Option<&SessionKey>,
    object: &Arc<Object>,
    path: &str,
) -> Vec<AnyRef> {
    if let Some(list) = derived(object, path) {
        let mut all: Vec<AnyRef> = object.list(list).unwrap_or_default();
        all.extend(tx.members(object.value(), list));
        return all;
    }
    if let ("view", Hidden::View(view)) = (path, &object.hidden) {
        return view.members(tx);
    }
    match find(tx, session, object, path) {
        Found::Value(value) => value.get().unwrap_or_default(),
        _ => Vec::new(),
    }
}
