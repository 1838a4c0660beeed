//! Property paths and the schema.

use vim25::schema::{self, Field, Type, TypeKind};

/// The property that a path begins with, and the path inside its value.
pub(crate) fn split(path: &str) -> (&str, &str) {
    match path.find(['.', '[']) {
        Some(at) if path.as_bytes().get(at) == Some(&b'.') => (&path[..at], &path[at + 1..]),
        Some(at) => (&path[..at], &path[at..]),
        None => (path, ""),
    }
}

/// Whether an object of the type can have something at the path.
pub(crate) fn is_valid(ty: Type, path: &str) -> bool {
    let mut at = Some(ty);
    let mut rest = path;
    if path.is_empty() {
        return false;
    }
    while !rest.is_empty() {
        let (name, after) = split(rest);
        // A value of any type, or of a type that is not known, may have anything.
        let Some(owner) = at else { return true };
        let Some(field) = find(owner, name) else {
            return false;
        };
        rest = after;
        while let Some(inner) = rest.strip_prefix('[') {
            let close = match inner.strip_prefix('"') {
                Some(quoted) => quoted.find("\"]").map(|at| at + 3),
                None => inner.find(']').map(|at| at + 1),
            };
            let Some(after) = close.and_then(|at| inner.get(at..)) else {
                return false;
            };
            if !field.is_list() {
                return false;
            }
            rest = after.strip_prefix('.').unwrap_or(after);
        }
        at = field
            .declared()
            .filter(|declared| declared.kind() == TypeKind::Data);
        if at.is_none() && !rest.is_empty() {
            // Only a value that may be anything has an inside that the schema does not know.
            return field.kind() == schema::FieldKind::Any;
        }
    }
    true
}

/// A field of the type, or of one that may stand in its place.
fn find(owner: Type, name: &str) -> Option<Field> {
    let named = |ty: Type| ty.fields().find(|field| field.name() == name);
    named(owner).or_else(|| {
        (owner.kind() == TypeKind::Data)
            .then(|| {
                schema::types()
                    .filter(|ty| ty.kind() == TypeKind::Data && ty.is_a(owner))
                    .find_map(|ty| ty.own_fields().find(|field| field.name() == name))
            })
            .flatten()
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn paths_are_those_of_the_schema() {
        let vm = schema::find(TypeKind::Managed, "VirtualMachine").unwrap();
        for path in [
            "name",
            "config.extraConfig",
            "config.extraConfig[\"guestinfo./repo\"]",
            "config.extraConfig[\"a.b\"].value",
            "config.hardware.device[2000].backing.fileName",
            "config.hardware.device[2000].capacityInKB",
            "runtime.powerState",
            "summary.config.vmPathName",
        ] {
            assert!(is_valid(vm, path), "{path}");
        }
        for path in [
            "",
            "nosuch",
            "config.nosuch",
            "name.first",
            "config[0]",
            "config.extraConfig[",
            "runtime.powerState.x",
        ] {
            assert!(!is_valid(vm, path), "{path}");
        }
    }
}
