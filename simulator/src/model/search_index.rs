//! Looks up objects by path, UUID, address or name.

use vim25::AnyRef;

use super::{entity, file_argument, virtual_machine};
use crate::fault;
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
    let path = match (machines, instance.unwrap_or(false)) {
        (true, true) => "config.instanceUuid",
        (true, false) => "config.uuid",
        (false, _) => "hardware.systemInfo.uuid",
    };
    let datacenter: Option<AnyRef> = inv.arg("datacenter")?;
    let mut found = identified(inv, path, &uuid);
    if let Some(datacenter) = datacenter.filter(|_| inv.tx.layout().is_vcenter) {
        inv.tx.object(&datacenter)?;
        found.retain(|own| {
            let own = entity::datacenter(inv.tx, own);
            own.is_ok_and(|own| own.value() == datacenter.value())
        });
    }
    if all {
        return value(&found);
    }
    found.into_iter().next().map_or_else(nothing, |o| value(&o))
}

fn by_datastore_path(inv: &mut Invocation<'_, '_>) -> Answer {
    let text: String = inv.arg("path")?;
    let site = file_argument::site(inv, "datacenter")?;
    let site = site.ok_or_else(|| fault::invalid_argument("datacenter"))?;
    let Ok(path) = inv.tx.shared().store.parse(site, &text) else {
        return nothing();
    };
    let found = virtual_machine::at(inv.tx, &path);
    found.map_or_else(nothing, |found| value(found.reference()))
}

fn identified(inv: &Invocation<'_, '_>, path: &'static str, text: &str) -> Vec<AnyRef> {
    inv.tx
        .identified(path, text)
        .map(|object| object.reference().clone())
        .collect()
}
