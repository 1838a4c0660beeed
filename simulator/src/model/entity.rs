//! Properties and methods of all entities of the inventory.

use std::sync::LazyLock;

use vim25::types::ManagedEntityStatus;
use vim25::{Any, AnyRef, Fault, ManagedObject, Ref, mo};

use crate::datastore::site::Site;
use crate::fault;
use crate::object::{Object, Retype};
use crate::vapp;
use crate::world::Transaction;

/// Maximum length of an escaped name in bytes.
const NAME_LIMIT: usize = 80;

/// Properties that have the same value for all new entities, which share it.
static SHARED: LazyLock<[(&str, Any); 6]> = LazyLock::new(|| {
    [
        ("overallStatus", Any::new(&ManagedEntityStatus::Green)),
        ("configStatus", Any::new(&ManagedEntityStatus::Green)),
        ("effectiveRole", Any::new(&vec![-1i32])),
        ("recentTask", Any::new(&Vec::<AnyRef>::new())),
        ("disabledMethod", Any::new(&Vec::<String>::new())),
        ("alarmActionsEnabled", Any::new(&true)),
    ]
});

/// Creates an entity with the properties that all entities have.
pub(super) fn new<T: ManagedObject>(value: &str, name: &str, parent: Option<AnyRef>) -> Object {
    let mut object = Object::new::<T>(value);
    object.put("name", &name.to_owned());
    if let Some(parent) = parent {
        object.put("parent", &parent);
    }
    for (name, value) in SHARED.iter() {
        object.put_any(name, value.clone());
    }
    object
}

/// Validates a name, and returns it as stored: with `/`, `\` and `%` escaped.
pub(crate) fn name(name: &str) -> Result<String, Fault> {
    let mut kept = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(c) = rest.chars().next() {
        let after = rest.get(c.len_utf8()..).unwrap_or_default();
        let escaped = ["%2f", "%2F", "%5c", "%5C", "%25"];
        match c {
            '%' if escaped.iter().any(|e| rest.starts_with(e)) => kept.push('%'),
            '%' => kept.push_str("%25"),
            '/' => kept.push_str("%2f"),
            '\\' => kept.push_str("%5c"),
            c => kept.push(c),
        }
        rest = after;
    }
    if name.is_empty() || kept.len() > NAME_LIMIT || name.chars().any(char::is_control) {
        return Err(fault::invalid_name(name));
    }
    Ok(kept)
}

/// Returns the child of an entity with a given name. A vApp is a child of its pool and of its folder.
pub(super) fn child<T>(tx: &Transaction<'_>, parent: &Ref<T>, name: &str) -> Option<AnyRef> {
    tx.named(parent, name)
        .map(|child| child.reference().clone())
        .or_else(|| vapp::named(tx, parent, name))
}

/// Returns the datacenter that an entity is in, or that it is.
pub(crate) fn datacenter<T>(
    tx: &Transaction<'_>,
    entity: &Ref<T>,
) -> Result<Ref<mo::Datacenter>, Fault> {
    let mut object = tx.object(entity)?;
    loop {
        if object.is_a("Datacenter") {
            return Ok(object.reference().retype());
        }
        let parent = object.parent();
        object = tx.object(&parent.ok_or_else(fault::not_supported)?)?;
    }
}

/// Returns how datastores refer to the datacenter of an entity.
///
/// # Errors
/// Fails with `InvalidDatastore` in a datacenter that was created since the server started: it has
/// no datastores.
pub(crate) fn site<T>(tx: &Transaction<'_>, entity: &Ref<T>) -> Result<Site, Fault> {
    let datacenter = datacenter(tx, entity)?;
    let site = tx.layout().site(&datacenter);
    site.ok_or_else(fault::no_datastore)
}

/// Returns the path of an object in the inventory, below the root folder.
pub(crate) fn path(tx: &Transaction<'_>, object: &Object) -> String {
    let mut names = Vec::new();
    let mut at = Some(object);
    while let Some(object) = at
        && let Some(parent) = object.parent()
    {
        names.push(object.name());
        at = tx.get(parent.value()).map(|parent| &**parent);
    }
    names.reverse();
    names.join("/")
}

/// Returns how datastores refer to the datacenter with a path in the inventory. A server with a single
/// datacenter needs no path.
pub(crate) fn site_at(tx: &Transaction<'_>, wanted: Option<&str>) -> Option<Site> {
    let mut all = tx.all("Datacenter");
    let found = match wanted.map(|path| path.trim_matches('/')) {
        Some(wanted) => all.find(|one| path(tx, one) == wanted),
        None => all.next().filter(|_| all.next().is_none()),
    };
    tx.layout().site(found?.reference())
}

/// Returns the entity with a name in a folder or the folders below.
pub(crate) fn below<T>(tx: &Transaction<'_>, folder: &Ref<T>, name: &str) -> Option<AnyRef> {
    if let Some(found) = child(tx, folder, name) {
        return Some(found);
    }
    let children: Vec<AnyRef> = tx.object(folder).ok()?.list("childEntity").ok()?;
    let mut folders = children.iter().filter(|own| own.type_name() == "Folder");
    folders.find_map(|folder| below(tx, folder, name))
}

/// Renames an entity; the name must be unique among its siblings.
pub(super) fn rename<T>(tx: &mut Transaction<'_>, entity: &Ref<T>, new: &str) -> Result<(), Fault> {
    let new = name(new)?;
    let object = tx.object(entity)?.clone();
    if object.name() == new {
        return Ok(());
    }
    if let Some(parent) = object.parent()
        && let Some(other) = child(tx, &parent, &new)
    {
        return Err(fault::duplicate_name(&new, &other));
    }
    tx.edit(entity)?.put("name", &new);
    Ok(())
}

/// Erases the types of references.
pub(super) fn any<T: ManagedObject>(reference: &Ref<T>) -> AnyRef {
    reference.retype::<mo::ManagedObject>()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn names_are_escaped_once() {
        assert_eq!(name("a/b\\c%d").unwrap(), "a%2fb%5cc%25d");
        assert_eq!(name("a%2fb").unwrap(), "a%2fb");
        for bad in ["", "a\nb", &"x".repeat(81)] {
            assert!(name(bad).is_err(), "{bad:?}");
        }
    }
}
