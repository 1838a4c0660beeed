//! Converts inventory paths to objects, and objects to paths.

use vim25::{AnyRef, Property, Ref, mo, props};

use crate::client::Client;
use crate::error::{EntityKind, Error, Result, SearchScope};
use crate::escape::{escape_name, unescape_name};

/// The maximum depth of an inventory, far deeper than any real one: anything deeper is a
/// cycle.
const DEEPEST: usize = 100;

/// Finds the object at a path, level by level.
pub(super) async fn find(client: &Client, path: &str) -> Result<AnyRef> {
    let mut object: AnyRef = client.service_content().root_folder.upcast();
    let mut place = String::from("/");
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        let wanted = unescape_name(segment);
        let children = children(client, &object).await?;
        let found = children
            .iter()
            .find(|(name, _)| unescape_name(name) == wanted);
        let Some((_, child)) = found else {
            let there = children.into_iter().map(|(name, _)| name).collect();
            return Err(Error::not_found(
                EntityKind::Entity,
                wanted,
                SearchScope::new(place, there),
            ));
        };
        object = child.clone();
        if !place.ends_with('/') {
            place.push('/');
        }
        place.push_str(segment);
    }
    Ok(object)
}

/// Returns the children of an object, with the names that the server reports.
async fn children(client: &Client, parent: &AnyRef) -> Result<Vec<(String, AnyRef)>> {
    let paths = if parent.is::<mo::Folder>() {
        vec![props::folder::CHILD_ENTITY.path()]
    } else if parent.is::<mo::Datacenter>() {
        vec![
            props::datacenter::VM_FOLDER.path(),
            props::datacenter::HOST_FOLDER.path(),
            props::datacenter::DATASTORE_FOLDER.path(),
            props::datacenter::NETWORK_FOLDER.path(),
        ]
    } else if parent.is::<mo::ComputeResource>() {
        vec![
            props::compute_resource::RESOURCE_POOL.path(),
            props::compute_resource::HOST.path(),
        ]
    } else if parent.is::<mo::ResourcePool>() {
        vec![
            props::resource_pool::RESOURCE_POOL.path(),
            props::resource_pool::VM.path(),
        ]
    } else {
        return Ok(Vec::new());
    };
    let found = client
        .retrieve::<mo::ManagedEntity>()
        .property(props::managed_entity::NAME)
        .along_all(parent.clone(), paths)
        .collect()
        .await?;
    let mut children: Vec<_> = found
        .into_iter()
        .filter_map(|child| {
            let name = child.value(props::managed_entity::NAME)?;
            Some((name, child.object().upcast()))
        })
        .collect();
    children.sort();
    Ok(children)
}

/// Returns the path of an object, by reading its ancestors one by one.
pub(super) async fn path_of(client: &Client, object: Ref<mo::ManagedEntity>) -> Result<String> {
    const NAME: Property<mo::ManagedEntity, String> = props::managed_entity::NAME;
    let root = client.service_content().root_folder.value();
    let mut names = Vec::new();
    let mut next = Some(object);
    while let Some(object) = next.filter(|object| object.value() != root) {
        if names.len() >= DEEPEST {
            let operation = client.operation("reading the path", Some(&object.upcast()));
            return Err(Error::senseless(
                operation,
                "the object is its own ancestor",
            ));
        }
        let (name, parent) = client
            .try_get(&object, (NAME, props::managed_entity::PARENT))
            .await?;
        names.push(name.unwrap_or_default());
        next = parent;
    }
    let mut path = String::new();
    for name in names.iter().rev() {
        path.push('/');
        path.push_str(&escape_name(&unescape_name(name)));
    }
    if path.is_empty() {
        path.push('/');
    }
    Ok(path)
}
