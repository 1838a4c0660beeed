//! Properties and methods of all entities of the inventory.

use vim25::types::ManagedEntityStatus;
use vim25::{AnyRef, Fault, ManagedObject, Ref, mo};

use crate::fault;
use crate::object::{Object, Retype};
use crate::world::Transaction;

/// Maximum length of an escaped name in bytes.
const NAME_LIMIT: usize = 80;

/// Creates an entity with the properties that all entities have.
pub(super) fn new<T: ManagedObject>(value: &str, name: &str, parent: Option<AnyRef>) -> Object {
    let mut object = Object::new::<T>(value);
    object.put("name", &name.to_owned());
    if let Some(parent) = parent {
        object.put("parent", &parent);
    }
    object.put("overallStatus", &ManagedEntityStatus::Green);
    object.put("configStatus", &ManagedEntityStatus::Green);
    object.put("effectiveRole", &vec![-1i32]);
    object.put("recentTask", &Vec::<AnyRef>::new());
    object.put("disabledMethod", &Vec::<String>::new());
    object.put("alarmActionsEnabled", &true);
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

/// Returns the child of an entity with a given name.
pub(super) fn child<T>(tx: &Transaction<'_>, parent: &Ref<T>, name: &str) -> Option<AnyRef> {
    tx.named(parent, name)
        .map(|child| child.reference().clone())
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
