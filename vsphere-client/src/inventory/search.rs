//! Searches the inventory with one query.

use std::collections::HashMap;
use std::fmt;

use vim25::types::{
    ObjectSpec, PropertyFilterSpec, PropertySpec, RetrieveOptions, RetrieveResult, SelectionSpec,
    TraversalSpec,
};
use vim25::{AnyRef, IsA, ManagedObject, Poly, Ref, mo};

use super::pattern::Pattern;
use crate::client::Client;
use crate::error::Result;
use crate::escape::{escape_name, unescape_name};

/// The maximum number of restarts after a session was lost between two pages.
const RESTARTS: u32 = 3;
/// The maximum depth of an inventory, far deeper than any real one: anything deeper is a
/// cycle.
const DEEPEST: usize = 100;

/// An object and its inventory path.
#[non_exhaustive]
pub struct Found<T> {
    /// The path in the inventory, such as `/DC0/vm/web`.
    pub path: String,
    /// The object.
    pub object: Ref<T>,
}

// Implemented by hand, because a derived `Clone` would require `T: Clone`.
impl<T> Clone for Found<T> {
    fn clone(&self) -> Self {
        Self {
            path: self.path.clone(),
            object: self.object.clone(),
        }
    }
}

impl<T> PartialEq for Found<T> {
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path && self.object == other.object
    }
}

impl<T> Eq for Found<T> {}

impl<T> fmt::Debug for Found<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.path, self.object)
    }
}

// Traversal steps, each a type and one of its properties.
const FOLDER: (&str, &str) = ("Folder", "childEntity");
const VMS: (&str, &str) = ("Datacenter", "vmFolder");
const HOSTS: (&str, &str) = ("Datacenter", "hostFolder");
const DATASTORES: (&str, &str) = ("Datacenter", "datastoreFolder");
const NETWORKS: (&str, &str) = ("Datacenter", "networkFolder");
const HOST: (&str, &str) = ("ComputeResource", "host");
const POOL: (&str, &str) = ("ComputeResource", "resourcePool");
const INNER_POOL: (&str, &str) = ("ResourcePool", "resourcePool");
const VAPP_VM: (&str, &str) = ("VirtualApp", "vm");

type Steps = &'static [(&'static str, &'static str)];

const TO_VMS: Steps = &[FOLDER, VMS, VAPP_VM];

/// Returns the steps that lead to objects of a type; each list is one query. `vm` and
/// `resourcePool` are never in the same list, because vcsim ignores the type of a step and
/// would recurse endlessly.
fn steps(type_name: &str) -> Vec<Steps> {
    match type_name {
        "VirtualMachine" | "VirtualApp" => vec![TO_VMS],
        "Folder" => vec![&[FOLDER, VMS, HOSTS, DATASTORES, NETWORKS]],
        "HostSystem" => vec![&[FOLDER, HOSTS, HOST]],
        "ComputeResource" | "ClusterComputeResource" => vec![&[FOLDER, HOSTS]],
        "ResourcePool" => vec![&[FOLDER, HOSTS, POOL, INNER_POOL]],
        "Datastore" | "StoragePod" => vec![&[FOLDER, DATASTORES]],
        "Network"
        | "OpaqueNetwork"
        | "DistributedVirtualPortgroup"
        | "DistributedVirtualSwitch"
        | "VmwareDistributedVirtualSwitch" => vec![&[FOLDER, NETWORKS]],
        "Datacenter" => vec![&[FOLDER]],
        _ => vec![
            TO_VMS,
            &[FOLDER, HOSTS, DATASTORES, NETWORKS, HOST, POOL, INNER_POOL],
        ],
    }
}

/// Returns the properties to read for these steps. None of the types is a subtype of another.
fn properties(steps: Steps) -> Vec<PropertySpec> {
    let own = |type_name: &str, more: &[&str]| PropertySpec {
        type_: type_name.to_owned(),
        all: Some(false),
        path_set: ["name", "parent"]
            .iter()
            .chain(more)
            .map(|path| (*path).to_owned())
            .collect(),
    };
    vec![
        own("Folder", &[]),
        own("Datacenter", &[]),
        own("ComputeResource", &[]),
        own("HostSystem", &[]),
        // Without resource pools, the parent of a vApp is its folder.
        if steps.contains(&INNER_POOL) {
            own("ResourcePool", &[])
        } else {
            own("VirtualApp", &["parentFolder"])
        },
        own("VirtualMachine", &["parentVApp"]),
        own("Datastore", &[]),
        own("Network", &[]),
        own("DistributedVirtualSwitch", &[]),
    ]
}

/// An object of the inventory, with its name and parent.
struct Entry {
    name: String,
    parents: Vec<AnyRef>,
}

impl<T> Found<T> {
    /// Returns whether the path of the object matches a pattern.
    pub(super) fn fits(&self, pattern: &Pattern) -> bool {
        let segments = self.path.split('/').filter(|segment| !segment.is_empty());
        let names: Vec<_> = segments.map(unescape_name).collect();
        pattern.matches(&names)
    }
}

/// Returns all objects of type `T` or of its subtypes, sorted by path.
pub(super) async fn everything<T>(client: &Client) -> Result<Vec<Found<T>>>
where
    T: ManagedObject + IsA<mo::ManagedEntity>,
{
    let entries = read(client, T::NAME).await?;
    let root = &client.service_content().root_folder;
    let mut found = Vec::new();
    for object in entries.keys() {
        let Some(wanted) = object.downcast::<T>() else {
            continue;
        };
        let Some(names) = names(&entries, object, &root.upcast()) else {
            continue;
        };
        if !names.is_empty() {
            found.push(Found {
                path: joined(&names),
                object: wanted,
            });
        }
    }
    found.sort_by(|one, other| {
        one.path
            .cmp(&other.path)
            .then_with(|| one.object.cmp(&other.object))
    });
    Ok(found)
}

/// Returns the names on the path from the root to an object. `None` when an ancestor is
/// not visible to the user.
fn names<'e>(
    entries: &'e HashMap<AnyRef, Entry>,
    object: &AnyRef,
    root: &AnyRef,
) -> Option<Vec<&'e str>> {
    let mut names = Vec::new();
    let mut at = object;
    while at != root {
        if names.len() >= DEEPEST {
            return None;
        }
        let entry = entries.get(at)?;
        names.push(entry.name.as_str());
        at = entry
            .parents
            .iter()
            .find(|parent| *parent == root || entries.contains_key(*parent))?;
    }
    names.reverse();
    Some(names)
}

fn joined(names: &[&str]) -> String {
    let mut path = String::new();
    for name in names {
        path.push('/');
        path.push_str(&escape_name(name));
    }
    path
}

/// Reads all objects on the paths to objects of a type.
async fn read(client: &Client, type_name: &str) -> Result<HashMap<AnyRef, Entry>> {
    let mut entries = HashMap::new();
    for steps in steps(type_name) {
        entries.extend(walk(client, steps).await?);
    }
    Ok(entries)
}

/// Reads the objects that these steps lead to, page by page.
async fn walk(client: &Client, steps: Steps) -> Result<HashMap<AnyRef, Entry>> {
    let spec = PropertyFilterSpec {
        prop_set: properties(steps),
        object_set: vec![traversal(client, steps)],
        ..PropertyFilterSpec::default()
    };
    let mut restarts = 0;
    'start: loop {
        let mut entries = HashMap::new();
        let collector = client.property_collector();
        let options = RetrieveOptions::default();
        let call = collector.retrieve_properties_ex(std::slice::from_ref(&spec), &options);
        let mut page: RetrieveResult = client.call_strict(call).await?.unwrap_or_default();
        loop {
            take(&mut entries, &page);
            let Some(token) = page.token.take().filter(|token| !token.is_empty()) else {
                return Ok(entries);
            };
            match client.next_page(token).await {
                Ok(next) => page = next,
                // The token was lost with the session.
                Err(error) if error.is_lost_token() && restarts < RESTARTS => {
                    restarts += 1;
                    continue 'start;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

fn take(entries: &mut HashMap<AnyRef, Entry>, page: &RetrieveResult) {
    for content in &page.objects {
        let value = |path: &str| {
            let property = content
                .prop_set
                .iter()
                .find(|property| property.name == path);
            property.map(|property| &property.val)
        };
        let Some(name) = value("name").and_then(|name| name.get::<String>().ok()) else {
            continue;
        };
        let parents = ["parent", "parentFolder", "parentVApp"]
            .into_iter()
            .filter_map(|path| value(path)?.get::<AnyRef>().ok());
        let entry = Entry {
            name: unescape_name(&name).into_owned(),
            parents: parents.collect(),
        };
        entries.insert(content.obj.clone(), entry);
    }
}

/// Returns the traversal of these steps from the root folder.
fn traversal(client: &Client, steps: Steps) -> ObjectSpec {
    let name = |(type_name, path): &(&str, &str)| format!("{type_name}.{path}");
    let again: Vec<Poly<SelectionSpec>> = steps
        .iter()
        .map(|step| {
            Poly::new(SelectionSpec {
                name: Some(name(step)),
            })
        })
        .collect();
    let each = steps.iter().map(|step| {
        Poly::new(TraversalSpec {
            base: SelectionSpec {
                name: Some(name(step)),
            },
            type_: step.0.to_owned(),
            path: step.1.to_owned(),
            skip: Some(false),
            select_set: again.clone(),
        })
    });
    ObjectSpec {
        obj: client.service_content().root_folder.upcast(),
        skip: Some(true),
        select_set: each.collect(),
    }
}
