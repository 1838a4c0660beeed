//! Views: lists of objects that belong to a session.

use std::collections::HashSet;

use vim25::AnyRef;
use vim25::schema::{self, Type, TypeKind};

use crate::world::Transaction;

/// The contents of a view.
#[derive(Clone, Debug)]
pub(crate) enum View {
    /// The current objects in a container.
    Container {
        container: AnyRef,
        types: Vec<Type>,
        recursive: bool,
    },
    /// The objects that the client added.
    List(Vec<AnyRef>),
}

/// The properties that contain the children of a container, by type.
const CHILDREN: [(&str, &[&str]); 5] = [
    ("Folder", &["childEntity"]),
    (
        "Datacenter",
        &["vmFolder", "hostFolder", "datastoreFolder", "networkFolder"],
    ),
    ("ComputeResource", &["host", "resourcePool"]),
    ("ResourcePool", &["resourcePool", "vm"]),
    ("HostSystem", &["vm"]),
];

impl View {
    pub(crate) fn container(container: AnyRef, types: &[String], recursive: bool) -> Option<Self> {
        let types = types
            .iter()
            .map(|name| schema::find(TypeKind::Managed, name))
            .collect::<Option<_>>()?;
        Some(Self::Container {
            container,
            types,
            recursive,
        })
    }

    /// Returns the current objects of the view.
    pub(crate) fn members(&self, tx: &Transaction<'_>) -> Vec<AnyRef> {
        match self {
            Self::List(list) => list
                .iter()
                .filter(|reference| tx.object(reference).is_ok())
                .cloned()
                .collect(),
            Self::Container {
                container,
                types,
                recursive,
            } => contents(tx, container, types, *recursive, &mut HashSet::new()),
        }
    }

    /// Returns the objects whose changes may change the members of the view.
    pub(crate) fn holders(&self, tx: &Transaction<'_>) -> HashSet<Box<str>> {
        let mut holders = HashSet::new();
        match self {
            Self::List(list) => holders.extend(list.iter().map(|member| member.value().into())),
            Self::Container {
                container,
                types,
                recursive,
            } => drop(contents(tx, container, types, *recursive, &mut holders)),
        }
        holders
    }
}

fn contents(
    tx: &Transaction<'_>,
    container: &AnyRef,
    types: &[Type],
    recursive: bool,
    holders: &mut HashSet<Box<str>>,
) -> Vec<AnyRef> {
    let mut members = Vec::new();
    let mut seen: HashSet<AnyRef> = HashSet::new();
    let mut pending = vec![container.clone()];
    while let Some(parent) = pending.pop() {
        let Ok(object) = tx.object(&parent) else {
            continue;
        };
        let mut found = Vec::new();
        for (_, properties) in CHILDREN.iter().filter(|(ty, _)| object.is_a(ty)) {
            holders.insert(object.value().into());
            for property in *properties {
                found.extend(object.list::<AnyRef>(property).unwrap_or_default());
                found.extend(tx.members(object.value(), property));
            }
        }
        let mut inner = Vec::new();
        for child in found {
            if !seen.insert(child.clone()) {
                continue;
            }
            let Ok(object) = tx.object(&child) else {
                continue;
            };
            if types.is_empty() || types.iter().any(|ty| object.ty().is_a(*ty)) {
                members.push(child.clone());
            }
            if recursive {
                inner.push(child);
            }
        }
        pending.extend(inner.into_iter().rev());
    }
    members
}
