//! Creates the inventory that was saved from another server.

mod host;
mod machine;

use std::collections::HashSet;

use vim25::{AnyRef, Fault, Ref, mo};

use super::{datacenter, entity, folder};
use crate::datastore::site::Site;
use crate::fault;
use crate::load::{Loaded, LoadedObject};
use crate::object::{Object, Retype};
use crate::world::Transaction;

/// The types of objects that are loaded. The server's own managers and the systems of its hosts
/// are those of the simulator.
const TYPES: [&str; 16] = [
    "Folder",
    "StoragePod",
    "Datacenter",
    "ComputeResource",
    "ClusterComputeResource",
    "HostSystem",
    "ResourcePool",
    "VirtualApp",
    "Datastore",
    "Network",
    "OpaqueNetwork",
    "DistributedVirtualPortgroup",
    "DistributedVirtualSwitch",
    "VmwareDistributedVirtualSwitch",
    "EnvironmentBrowser",
    "HostDatastoreBrowser",
];

/// Properties that refer to objects which are not loaded.
const DROPPED: [&str; 5] = [
    "recentTask",
    "declaredAlarmState",
    "triggeredAlarmState",
    "snapshot",
    "rootSnapshot",
];

/// Lists of references, of which only those to loaded objects are kept.
const LISTS: [&str; 8] = [
    "childEntity",
    "datastore",
    "network",
    "host",
    "resourcePool",
    "portgroup",
    "datastoreBrowser",
    "vm",
];

/// Creates the objects. Returns the machines that were on.
pub(super) fn build(
    tx: &mut Transaction<'_>,
    loaded: &Loaded,
) -> Result<Vec<Ref<mo::VirtualMachine>>, Fault> {
    let known: HashSet<&AnyRef> = loaded
        .objects
        .iter()
        .map(|object| &object.reference)
        .collect();
    if loaded.all("Datacenter").next().is_none() {
        // Everything else needs one.
        folder::build(tx);
        let own = tx.layout().first().clone();
        let (name, root) = (datacenter::name(tx, Site::FIRST), tx.layout().root());
        datacenter::build(tx, &own, &name, &root)?;
    }
    align(tx, loaded);
    root(tx, loaded)?;
    for object in &loaded.objects {
        if TYPES.contains(&object.reference.type_name()) {
            insert(tx, object, &known);
        }
    }
    identify_datastores(tx, loaded)?;
    for object in loaded.all("HostSystem") {
        host::complete(tx, object)?;
    }
    for object in loaded.all("ComputeResource") {
        browser(tx, object)?;
    }
    for object in &loaded.objects {
        if TYPES.contains(&object.reference.type_name()) {
            adopt(tx, &object.reference)?;
        }
    }
    let mut running = Vec::new();
    for object in loaded.all("VirtualMachine") {
        match machine::build(tx, object, site(loaded, object)) {
            Ok(is_on) => {
                adopt(tx, &object.reference)?;
                if is_on {
                    running.push(object.reference.retype());
                }
            }
            Err(fault) => {
                tracing::warn!(file = %object.file.display(), %fault, "a machine is not loaded");
                tx.remove(&object.reference);
            }
        }
    }
    Ok(running)
}

/// Makes the ids of new objects differ from those of loaded ones.
fn align(tx: &mut Transaction<'_>, loaded: &Loaded) {
    let number = |object: &LoadedObject| {
        let value = object.reference.value();
        let digits = value.trim_start_matches(|c: char| !c.is_ascii_digit());
        digits.parse::<u64>().ok()
    };
    let highest = loaded.objects.iter().filter_map(number).max().unwrap_or(0);
    let (_, drawn) = tx.ids().position();
    tx.ids().resume(highest.saturating_add(1_000), drawn);
}

/// Creates the root folder, if it was not saved.
fn root(tx: &mut Transaction<'_>, loaded: &Loaded) -> Result<(), Fault> {
    let root = tx.layout().root();
    let is_saved = loaded.objects.iter().any(|object| {
        let own = &object.reference;
        own.type_name() == "Folder" && own.value() == root.value()
    });
    if is_saved || tx.object(&root).is_ok() {
        return Ok(());
    }
    let mut folder = entity::new::<mo::Folder>(root.value(), "Datacenters", None);
    let types = ["Folder", "Datacenter"].map(str::to_owned);
    folder.put("childType", &types.to_vec());
    folder.put("childEntity", &Vec::<AnyRef>::new());
    tx.insert(folder);
    Ok(())
}

/// Adds a saved object to the inventory.
fn insert(tx: &mut Transaction<'_>, saved: &LoadedObject, known: &HashSet<&AnyRef>) {
    let mut object = Object::of(saved.reference.clone());
    fill(&mut object, saved);
    for list in LISTS {
        // Machines are in lists that are derived from their own properties.
        let is_kept = |one: &AnyRef| one.type_name() != "VirtualMachine" && known.contains(one);
        // A compute resource has one `resourcePool`, a pool has a list of them.
        let field = object.schema().fields().find(|field| field.name() == list);
        let is_set = object.read::<Vec<AnyRef>>(list).is_ok();
        if is_set && field.is_some_and(|field| field.is_list()) {
            let _ = object.edit_list(list, |all| all.retain(is_kept));
        }
    }
    tx.insert(object);
}

/// Sets the properties of an object to those that were saved.
fn fill(object: &mut Object, saved: &LoadedObject) {
    for (name, value) in &saved.properties {
        if DROPPED.contains(name) {
            continue;
        }
        match value.check() {
            Ok(()) => object.put_any(name, value.clone()),
            Err(error) => {
                tracing::warn!(file = %saved.file.display(), name, %error, "a property is not loaded");
            }
        }
    }
}

/// Returns the datacenter of a saved object: the first one if the folders between them were not saved.
fn site(loaded: &Loaded, object: &LoadedObject) -> Site {
    loaded.datacenter_of(object).map_or(Site::FIRST, Site::new)
}

/// Connects the datastores of the inventory with the directories of their files.
fn identify_datastores(tx: &mut Transaction<'_>, loaded: &Loaded) -> Result<(), Fault> {
    let shared = std::sync::Arc::clone(tx.shared());
    for saved in loaded.all("Datastore") {
        let name = saved.text("name", "").unwrap_or_default();
        let site = site(loaded, saved);
        let Some(volume) = shared.store.named(site, &name) else {
            continue;
        };
        let id = saved.reference.value();
        let url = saved.text("summary", "url").unwrap_or_default();
        let mount = url.split("/vmfs/volumes/").nth(1).unwrap_or(id);
        volume.identify(id, mount.trim_end_matches('/'));
        let own: Ref<mo::Datastore> = saved.reference.retype();
        let browser = tx.object(&own)?.read("browser");
        let browser: Ref<mo::HostDatastoreBrowser> =
            browser.unwrap_or_else(|_| Ref::new(&format!("{id}-datastorebrowser")));
        let mut object = Object::new::<mo::HostDatastoreBrowser>(browser.value());
        object.put("datastore", &vec![own.clone()]);
        tx.insert(object);
        tx.edit(&own)?.put("browser", &browser);
    }
    Ok(())
}

/// Gives a compute resource an environment browser, if it was not saved.
fn browser(tx: &mut Transaction<'_>, saved: &LoadedObject) -> Result<(), Fault> {
    let own: Ref<mo::ComputeResource> = saved.reference.retype();
    let object = tx.object(&own)?;
    let known: Result<Ref<mo::EnvironmentBrowser>, _> = object.read("environmentBrowser");
    if known.as_ref().is_ok_and(|known| tx.object(known).is_ok()) {
        return Ok(());
    }
    let browser = known.unwrap_or_else(|_| Ref::new(&format!("envbrowser-{}", own.value())));
    tx.insert(Object::new::<mo::EnvironmentBrowser>(browser.value()));
    tx.edit(&own)?.put("environmentBrowser", &browser);
    Ok(())
}

/// Puts an entity whose parent was not saved into a folder of the first datacenter.
fn adopt(tx: &mut Transaction<'_>, entity: &AnyRef) -> Result<(), Fault> {
    let object = tx.object(entity)?;
    let Some(parent) = object.parent() else {
        return Ok(());
    };
    if let Ok(parent) = tx.object(&parent) {
        // The root folder may be a new one, which has no children yet.
        let children: Result<Vec<AnyRef>, _> = parent.read("childEntity");
        let is_listed = children.is_ok_and(|children| children.contains(entity));
        let is_folder = parent.is_a("Folder") && entity.type_name() != "VirtualMachine";
        if is_folder && !is_listed {
            let (parent, child) = (parent.reference().clone(), entity.clone());
            tx.edit(&parent)?
                .edit_list("childEntity", |children| children.push(child))?;
        }
        return Ok(());
    }
    let layout = tx.layout();
    let first = layout.first();
    let folder = match entity.type_name() {
        "Datacenter" | "Folder" => layout.root(),
        "ComputeResource" | "ClusterComputeResource" => first.host_folder.clone(),
        "VirtualMachine" => first.vm_folder.clone(),
        "Datastore" | "StoragePod" => first.datastore_folder.clone(),
        "Network"
        | "OpaqueNetwork"
        | "DistributedVirtualPortgroup"
        | "DistributedVirtualSwitch"
        | "VmwareDistributedVirtualSwitch" => first.network_folder.clone(),
        _ => return Err(fault::not_found(&parent)),
    };
    tracing::info!(%entity, %folder, "the parent of an object was not saved");
    tx.edit(entity)?.put("parent", &entity::any(&folder));
    if entity.type_name() != "VirtualMachine" {
        let child = entity.clone();
        tx.edit(&folder)?
            .edit_list("childEntity", |children| children.push(child))?;
    }
    Ok(())
}
