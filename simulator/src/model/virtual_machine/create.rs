//! Creates machines, and registers existing machines.

use std::sync::Arc;

use vim25::types::{VirtualMachineConfigInfo, VirtualMachineConfigSpec};
use vim25::{Fault, Ref, mo};
use vmx::{Document, ExtraConfig};

use super::power::power_on;
use super::{Placement, snapshot};
use crate::datastore::Store;
use crate::datastore::path::DatastorePath;
use crate::datastore::site::Site;
use crate::device;
use crate::fault;
use crate::guest;
use crate::invocation::{Answer, Invocation, value};
use crate::machine::{self, Machine, config, properties};
use crate::model::entity;
use crate::object::Hidden;
use crate::task;
use crate::vapp;
use crate::world::Transaction;

/// Creates a machine with its files. On a fault, its files are deleted.
pub(crate) fn create(
    tx: &mut Transaction<'_>,
    spec: &VirtualMachineConfigSpec,
    place: &Placement,
) -> Answer {
    create_in(tx, spec, place, false)
}

/// Creates a machine like [`create`], and powers it on.
pub(crate) fn create_on(
    tx: &mut Transaction<'_>,
    spec: &VirtualMachineConfigSpec,
    place: &Placement,
) -> Answer {
    create_in(tx, spec, place, true)
}

fn create_in(
    tx: &mut Transaction<'_>,
    spec: &VirtualMachineConfigSpec,
    place: &Placement,
    on: bool,
) -> Answer {
    let given = spec.name.as_deref().unwrap_or("");
    if given.is_empty() {
        return Err(fault::invalid_argument("configSpec.name"));
    }
    let name = free_name(tx, &place.folder, given)?;
    place.check_room(tx)?;
    let path = spec
        .files
        .as_ref()
        .and_then(|files| files.vm_path_name.as_deref());
    let path = path.ok_or_else(|| fault::invalid_vm_config("configSpec.files.vmPathName"))?;
    let mut vmx = vmx_path(tx, place.site, path, &name)?;
    let store = &tx.shared().store;
    let mut directory = vmx.parent();
    let new_directory = !store.exists(&directory);
    if new_directory {
        directory = store.make_home(&directory)?;
        vmx = directory.join(vmx.file_name());
    }
    let made = build(tx, spec, &name, &vmx, place, on);
    if made.is_err() {
        let store = &tx.shared().store;
        let left = if new_directory { &directory } else { &vmx };
        if store.exists(left) {
            let _ = store.delete(left);
        }
    }
    made
}

/// Starts a task that creates a machine, on the object that the method is called on.
pub(crate) fn begin_create(
    inv: &mut Invocation<'_, '_>,
    description: &str,
    config: VirtualMachineConfigSpec,
    place: Placement,
) -> Answer {
    let this = inv.this.clone();
    let parents = device::parents_asked(&config.device_change);
    if parents.is_empty() {
        return task::begin(inv, &this, description, move |tx| {
            create(tx, &config, &place)
        });
    }
    task::begin_long(inv, &this, description, |shared| async move {
        guest::flush_parents(&shared, place.site, &parents).await?;
        Transaction::run(&shared, move |tx| create(tx, &config, &place)).await
    })
}

fn build(
    tx: &mut Transaction<'_>,
    spec: &VirtualMachineConfigSpec,
    name: &str,
    vmx: &DatastorePath,
    place: &Placement,
    on: bool,
) -> Answer {
    let mut info = config::new(tx, name, vmx);
    config::apply(&mut info, spec, false)?;
    let mut extra = ExtraConfig::new();
    let stem = vmx.file_name().trim_end_matches(".vmx").to_owned();
    extra = [("nvram".to_owned(), format!("{stem}.nvram"))]
        .into_iter()
        .chain(extra)
        .collect();
    config::merge_extra(&mut extra, &spec.extra_config)?;
    let changes = &spec.device_change;
    let outcome = device::apply(tx, &mut info.hardware.device, changes, vmx, false)?;
    let id = tx.ids().number().to_string();
    let added = match on {
        false => add(tx, &id, info, extra, Document::new(), vmx, place),
        // Powering on completes the machine, too.
        true => insert(tx, &id, &info, extra, Document::new(), vmx, place)
            .and_then(|vm| power_on(tx, &vm).map(|()| vm)),
    };
    if added.is_err() {
        device::undo(tx, &outcome);
    }
    value(&added?)
}

/// Adds a machine to the inventory and writes its file.
pub(super) fn add(
    tx: &mut Transaction<'_>,
    id: &str,
    mut info: VirtualMachineConfigInfo,
    extra: ExtraConfig,
    document: Document,
    vmx: &DatastorePath,
    place: &Placement,
) -> Result<Ref<mo::VirtualMachine>, Fault> {
    let vm = insert(tx, id, &info, extra, document, vmx, place)?;
    machine::store(tx, &vm, &mut info, false)?;
    Ok(vm)
}

/// Adds a machine to the inventory, whose derived properties and file are still missing.
fn insert(
    tx: &mut Transaction<'_>,
    id: &str,
    info: &VirtualMachineConfigInfo,
    extra: ExtraConfig,
    document: Document,
    vmx: &DatastorePath,
    place: &Placement,
) -> Result<Ref<mo::VirtualMachine>, Fault> {
    let vm: Ref<mo::VirtualMachine> = Ref::new(id);
    let environment = place.environment(tx)?;
    let mut object = entity::new::<mo::VirtualMachine>(vm.value(), &info.name, None);
    vapp::put_into(&mut object, &entity::any(&place.folder));
    properties::begin(&mut object, &place.host, &environment);
    object.put("resourcePool", &place.pool);
    object.put("config", info);
    object.hidden = Hidden::Machine(Arc::new(Machine::new(vmx.clone(), document, extra)));
    tx.insert(object);
    Ok(vm)
}

/// Checks that a machine's name is valid and unique.
pub(super) fn free_name(
    tx: &Transaction<'_>,
    folder: &Ref<mo::Folder>,
    name: &str,
) -> Result<String, Fault> {
    let name = entity::name(name)?;
    match entity::child(tx, folder, &name) {
        Some(other) => Err(fault::duplicate_name(&name, &other)),
        None => Ok(name),
    }
}

/// Returns the path of the `.vmx` file: the requested path, or a path in a new directory with
/// the machine's name.
pub(super) fn vmx_path(
    tx: &Transaction<'_>,
    site: Site,
    asked: &str,
    name: &str,
) -> Result<DatastorePath, Fault> {
    let store = &tx.shared().store;
    let path = store.parse(site, asked)?;
    if path.file_name().ends_with(".vmx") && !path.parent().is_root() {
        if store.exists(&path) {
            return Err(fault::file_exists(&path.to_string()));
        }
        return Ok(path);
    }
    if path.file_name().ends_with(".vmx") {
        return Err(fault::invalid_datastore_path(asked));
    }
    let file = format!("{name}.vmx");
    if !path.is_root() {
        return Ok(path.join(&file));
    }
    Ok(free_directory(store, &path, name).join(&file))
}

/// Returns the path of a directory that does not exist, named after a machine.
pub(super) fn free_directory(store: &Store, root: &DatastorePath, name: &str) -> DatastorePath {
    let mut directory = root.join(name);
    let mut number = 0;
    while store.exists(&directory) {
        number += 1;
        directory = root.join(&format!("{name}_{number}"));
    }
    directory
}

/// Registers a machine by its `.vmx` file.
pub(crate) fn register(
    tx: &mut Transaction<'_>,
    path: &str,
    name: Option<&str>,
    place: &Placement,
) -> Answer {
    let store = &tx.shared().store;
    let vmx = store.parse(place.site, path)?;
    if !vmx.file_name().ends_with(".vmx") {
        return Err(fault::invalid_datastore_path(path));
    }
    if let Some(other) = super::at(tx, &vmx) {
        return Err(fault::already_exists(other.name()));
    }
    place.check_room(tx)?;
    let document = read(store, &vmx)?;
    let own = machine::file::text(&document, "displayName");
    let stem = vmx.file_name().trim_end_matches(".vmx");
    let name = free_name(tx, &place.folder, name.or(own.as_deref()).unwrap_or(stem))?;
    let mut info = config::new(tx, &name, &vmx);
    let spec = machine::read::spec(&document, &vmx, store);
    config::apply(&mut info, &spec, false)?;
    let extra = ExtraConfig::from_document(&document)
        .map_err(|error| fault::invalid_vm_config(&error.to_string()))?;
    device::apply(
        tx,
        &mut info.hardware.device,
        &spec.device_change,
        &vmx,
        false,
    )?;
    let id = tx.ids().number().to_string();
    let vm = add(tx, &id, info, extra, document, &vmx, place)?;
    snapshot::load(tx, &vm)?;
    value(&vm)
}

fn read(store: &Store, vmx: &DatastorePath) -> Result<Document, Fault> {
    Document::parse(store.read(vmx)?).map_err(|error| fault::invalid_vm_config(&error.to_string()))
}

/// Restores a machine after a restart. Devices whose files are missing are skipped
/// with a warning.
pub(crate) fn restore(
    tx: &mut Transaction<'_>,
    id: &str,
    vmx: &DatastorePath,
    place: &Placement,
) -> Result<(), Fault> {
    let store = &tx.shared().store;
    let document = read(store, vmx)?;
    let stem = vmx.file_name().trim_end_matches(".vmx");
    let name = machine::file::text(&document, "displayName").unwrap_or_else(|| stem.to_owned());
    let (info, extra) = described(tx, &document, vmx, &name)?;
    let vm = add(tx, id, info, extra, document, vmx, place)?;
    snapshot::load(tx, &vm)
}

/// Returns the configuration and the keys in a `.vmx` file. Devices whose files are missing are
/// skipped with a warning.
pub(super) fn described(
    tx: &mut Transaction<'_>,
    document: &Document,
    vmx: &DatastorePath,
    name: &str,
) -> Result<(VirtualMachineConfigInfo, ExtraConfig), Fault> {
    let mut info = config::new(tx, name, vmx);
    let spec = machine::read::spec(document, vmx, &tx.shared().store);
    config::apply(&mut info, &spec, false)?;
    let extra = ExtraConfig::from_document(document)
        .map_err(|error| fault::invalid_vm_config(&error.to_string()))?;
    let devices = &mut info.hardware.device;
    for change in &spec.device_change {
        let one = std::slice::from_ref(change);
        if let Err(fault) = device::apply(tx, devices, one, vmx, false) {
            tracing::warn!(%vmx, %fault, "a device is skipped: its file is missing");
        }
    }
    Ok((info, extra))
}
