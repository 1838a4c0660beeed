//! Finds what a server omits although the schema requires it, using the
//! document and the tables.

use std::collections::BTreeSet;

use vim25::Node;
use vim25::schema::{self, TypeKind};

/// Adds what is missing below `value`, which is the value of `property`:
/// `HostSystem.summary: HostListSummary.rebootRequired`.
pub(crate) fn below(value: Node<'_>, property: &str, omitted: &mut BTreeSet<String>) {
    every_object(value, &mut |object, type_name| {
        for field in of(object, type_name) {
            omitted.insert(format!("{property}: {type_name}.{field}"));
        }
    });
}

/// Returns the required fields that an object of a type does not have.
pub(crate) fn of(object: Node<'_>, type_name: &str) -> Vec<&'static str> {
    let Some(ty) = schema::find(TypeKind::Data, type_name) else {
        return Vec::new();
    };
    ty.fields()
        .filter(|field| field.is_required())
        .filter(|field| object.get(field.name()).is_none_or(Node::is_nil))
        .map(|field| field.name())
        .collect()
}

/// Adds the required properties of a managed object that are not among `had`:
/// `HostSystem.licensableResource`.
pub(crate) fn properties(type_name: &str, had: &[&str], omitted: &mut BTreeSet<String>) {
    let ty = schema::find(TypeKind::Managed, type_name).unwrap();
    for property in ty.fields().filter(|property| property.is_required()) {
        if !had.contains(&property.name()) {
            omitted.insert(format!("{type_name}.{}", property.name()));
        }
    }
}

/// Visits every object in a value, the value first.
pub(crate) fn every_object<'a>(value: Node<'a>, visit: &mut impl FnMut(Node<'a>, &str)) {
    let type_name = value.type_name();
    if schema::find(TypeKind::Data, &type_name).is_some() {
        visit(value, &type_name);
    }
    for child in value.children() {
        every_object(child, visit);
    }
}
