//! Property paths, and their validation against the schema.

use vim25::schema::{self, Field, FieldKind, Type, TypeKind};

/// Splits a path into the name of the property and the path inside its value.
pub(crate) fn split(path: &str) -> (&str, &str) {
    match path.find(['.', '[']) {
        Some(at) if path.as_bytes().get(at) == Some(&b'.') => (&path[..at], &path[at + 1..]),
        Some(at) => (&path[..at], &path[at..]),
        None => (path, ""),
    }
}

/// The declared type of the value at a path.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Declared {
    pub(crate) kind: FieldKind,
    pub(crate) ty: Option<Type>,
    pub(crate) is_list: bool,
}

/// Returns whether a path is valid for a type.
pub(crate) fn is_valid(ty: Type, path: &str) -> bool {
    declared(ty, path).is_some()
}

/// Returns the declared type of the value at a path; `None` if the path is not valid.
///
/// A name selects a field of an object. A key in brackets selects one item of a list; it is a
/// number or, if the items' keys are text, a quoted text. A path cannot continue after a whole
/// list or a scalar.
pub(crate) fn declared(ty: Type, path: &str) -> Option<Declared> {
    let mut owner = ty;
    let mut rest = path;
    loop {
        let (name, after) = rest.split_at(rest.find(['.', '[']).unwrap_or(rest.len()));
        let field = find(owner, name)?;
        let mut is_list = field.is_list();
        let after = match after.strip_prefix('[') {
            Some(inner) if is_list => {
                is_list = false;
                key(field, inner)?
            }
            Some(_) => return None,
            None if is_list && !after.is_empty() => return None,
            None => after,
        };
        let declared = Declared {
            kind: field.kind(),
            ty: field.declared(),
            is_list,
        };
        if after.is_empty() {
            return Some(declared);
        }
        let inside = after.strip_prefix('.')?;
        match (declared.kind, declared.ty) {
            (FieldKind::Object, Some(ty)) => (owner, rest) = (ty, inside),
            // The schema does not define the fields inside a value of type `anyType`.
            (FieldKind::Any, _) => {
                let is_named = inside.split('.').all(|name| !name.is_empty());
                return is_named.then_some(declared);
            }
            _ => return None,
        }
    }
}

/// Returns the rest of the path after a key in brackets; `None` if the items of the list do
/// not have such keys.
fn key(list: Field, inner: &str) -> Option<&str> {
    let key = list.declared().and_then(|item| find(item, "key"));
    let key = key.map(Field::kind);
    match inner.strip_prefix('"') {
        Some(quoted) => {
            let close = quoted.find("\"]")?;
            let fits = !matches!(
                key,
                Some(FieldKind::Int | FieldKind::Long | FieldKind::Short)
            );
            fits.then(|| quoted.get(close + 2..)).flatten()
        }
        None => {
            let close = inner.find(']')?;
            let number = inner.get(..close)?.parse::<i64>().is_ok();
            let fits = number && key != Some(FieldKind::String);
            fits.then(|| inner.get(close + 1..)).flatten()
        }
    }
}

/// Returns the field with this name of the type or of one of its subtypes.
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
            "config..name",
            "config.",
            ".config",
            "config.name.",
            "config.hardware.device.key",
            "config.hardware.device[\"2000\"]",
            "config.hardware.device[2000]backing",
            "config.hardware.device[x].key",
            "config.extraConfig[guestinfo.a]",
            "config.extraConfig[0]",
            "lifecycleManaged",
            "runtime.powerState.x",
        ] {
            assert!(!is_valid(vm, path), "{path}");
        }
    }
}
