//! Looks up objects by path, UUID, address or name.

use vim25::{Any, AnyRef};

use super::entity;
use crate::invocation::{Answer, Invocation, nothing, value};

pub(super) fn call(inv: &mut Invocation<'_, '_>) -> Option<Answer> {
    Some(match inv.request.method.as_str() {
        "FindByInventoryPath" => by_path(inv),
        "FindByUuid" => by_uuid(inv, false),
        "FindAllByUuid" => by_uuid(inv, true),
        "FindByDatastorePath" => by_datastore_path(inv),
        "FindChild" => child(inv),
        "FindByDnsName" | "FindByIp" => nothing(),
        _ => return None,
    })
}

/// Finds an object by the names on its path from the root folder, without the root's own name.
fn by_path(inv: &mut Invocation<'_, '_>) -> Answer {
    let path: String = inv.arg("inventoryPath")?;
    let mut at: AnyRef = inv.tx.layout().root().upcast();
    for name in path.split('/').filter(|name| !name.is_empty()) {
        match child_named(inv, &at, name) {
            Some(child) => at = child,
            None => return nothing(),
        }
    }
    value(&at)
}

fn child(inv: &mut Invocation<'_, '_>) -> Answer {
    let entity: AnyRef = inv.arg("entity")?;
    let name: String = inv.arg("name")?;
    inv.tx.object(&entity)?;
    child_named(inv, &entity, &name).map_or_else(nothing, |child| value(&child))
}

/// Returns a child by name, from any of the parent's lists.
fn child_named(inv: &Invocation<'_, '_>, parent: &AnyRef, name: &str) -> Option<AnyRef> {
    entity::child(inv.tx, parent, name)
}

fn by_uuid(inv: &mut Invocation<'_, '_>, all: bool) -> Answer {
    let uuid: String = inv.arg("uuid")?;
    let machines: bool = inv.arg("vmSearch")?;
    let instance: Option<bool> = inv.arg("instanceUuid")?;
    let (ty, path) = match (machines, instance.unwrap_or(false)) {
        (true, true) => ("VirtualMachine", "config.instanceUuid"),
        (true, false) => ("VirtualMachine", "config.uuid"),
        (false, _) => ("HostSystem", "hardware.systemInfo.uuid"),
    };
    let found = matching(inv, ty, path, |text| text.eq_ignore_ascii_case(&uuid));
    if all {
        return value(&found);
    }
    found.into_iter().next().map_or_else(nothing, |o| value(&o))
}

fn by_datastore_path(inv: &mut Invocation<'_, '_>) -> Answer {
    let path: String = inv.arg("path")?;
    let Ok(path) = inv.tx.shared().store.parse(&path) else {
        return nothing();
    };
    let path = path.to_string();
    let found = matching(inv, "VirtualMachine", "config.files.vmPathName", |text| {
        text == path
    });
    found.into_iter().next().map_or_else(nothing, |o| value(&o))
}

fn matching(
    inv: &Invocation<'_, '_>,
    ty: &'static str,
    path: &str,
    is_it: impl Fn(&str) -> bool,
) -> Vec<AnyRef> {
    inv.tx
        .all(ty)
        .filter(|object| match object.find(path) {
            crate::object::Found::Value(text) => text_of(&text).is_some_and(&is_it),
            _ => false,
        })
        .map(|object| object.reference().clone())
        .collect()
}

fn text_of(value: &Any) -> Option<&str> {
    value.node().as_str()
}
