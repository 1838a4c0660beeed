//! Views: lists of objects that belong to a session.

use std::collections::HashSet;
use std::sync::{Arc, LazyLock};

use vim25::AnyRef;
use vim25::schema::{self, Type, TypeKind};

use crate::object::Object;
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

/// The types and properties in [`CHILDREN`].
static STEPS: LazyLock<Vec<(Type, &'static str)>> = LazyLock::new(|| {
    let types = CHILDREN.iter();
    let types = types.filter_map(|(name, properties)| {
        let ty = schema::find(TypeKind::Managed, name)?;
        Some(properties.iter().map(move |property| (ty, *property)))
    });
    types.flatten().collect()
});

/// Iterates over the properties that the content of a view depends on, and the types that have them.
pub(crate) fn children() -> impl Iterator<Item = (Type, &'static str)> {
    STEPS.iter().copied()
}

/// Returns whether objects of a type contain others.
pub(crate) fn is_container(ty: Type) -> bool {
    STEPS.iter().any(|(container, _)| ty.is_a(*container))
}

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
            } => contents(tx, container, types, *recursive, None),
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
            } => drop(contents(
                tx,
                container,
                types,
                *recursive,
                Some(&mut holders),
            )),
        }
        holders
    }
}

/// Returns the content of a container, and adds the containers in it to `holders`.
fn contents(
    tx: &Transaction<'_>,
    container: &AnyRef,
    types: &[Type],
    recursive: bool,
    mut holders: Option<&mut HashSet<Box<str>>>,
) -> Vec<AnyRef> {
    let mut members = Vec::new();
    // No object changes during this, so addresses identify objects.
    let mut seen: HashSet<*const Object> = HashSet::new();
    let mut pending: Vec<&Arc<Object>> = tx.object(container).into_iter().collect();
    while let Some(parent) = pending.pop() {
        let mut inner = Vec::new();
        let mut is_holder = false;
        for (_, property) in children().filter(|(ty, _)| parent.ty().is_a(*ty)) {
            is_holder = true;
            let stored: Vec<AnyRef> = parent.list(property).unwrap_or_default();
            let stored = stored.iter().filter_map(|child| tx.object(child).ok());
            let derived = tx.member_objects(parent.value(), property);
            for child in stored.chain(derived) {
                if !seen.insert(Arc::as_ptr(child)) {
                    continue;
                }
                if types.is_empty() || types.iter().any(|ty| child.ty().is_a(*ty)) {
                    members.push(child.reference().clone());
                }
                if recursive && is_container(child.ty()) {
                    inner.push(child);
                }
            }
        }
        if is_holder && let Some(holders) = &mut holders {
            holders.insert(parent.value().into());
        }
        pending.extend(inner.into_iter().rev());
    }
    members
}
