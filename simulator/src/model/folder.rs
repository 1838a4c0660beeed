//! Folders, in which machines are created and registered.

use vim25::types::VirtualMachineConfigSpec;
use vim25::{AnyRef, Fault, Ref, mo};

use super::virtual_machine::{self, Placement};
use super::{datacenter, entity};
use crate::fault;
use crate::invocation::{Answer, Invocation, nothing, value};
use crate::layout::DatacenterLayout;
use crate::object::Retype;
use crate::task;
use crate::world::Transaction;

/// The child types of the folders of a vCenter's datacenter: of machines, hosts, datastores and
/// networks. A folder of an ESXi host cannot contain folders.
const TYPES: [&[&str]; 4] = [
    &["Folder", "VirtualMachine", "VirtualApp"],
    &["Folder", "ComputeResource"],
    &["Folder", "Datastore", "StoragePod"],
    &["Folder", "Network", "DistributedVirtualSwitch"],
];

/// Creates the root folder.
pub(super) fn build(tx: &mut Transaction<'_>) {
    let (name, types): (_, &[&str]) = match tx.layout().is_vcenter {
        true => ("Datacenters", &["Folder", "Datacenter"]),
        false => ("ha-folder-root", &["Datacenter"]),
    };
    let root = tx.layout().root();
    insert(tx, &root, name, None, types);
}

/// Creates the four folders of a datacenter.
pub(super) fn build_in(tx: &mut Transaction<'_>, own: &DatacenterLayout) {
    let parent = entity::any(&own.datacenter);
    let folders = [
        (&own.vm_folder, "vm"),
        (&own.host_folder, "host"),
        (&own.datastore_folder, "datastore"),
        (&own.network_folder, "network"),
    ];
    for ((folder, name), types) in folders.into_iter().zip(TYPES) {
        let types = match tx.layout().is_vcenter {
            true => types,
            false => types.get(1..2).unwrap_or_default(),
        };
        insert(tx, folder, name, Some(parent.clone()), types);
    }
}

fn insert(
    tx: &mut Transaction<'_>,
    folder: &Ref<mo::Folder>,
    name: &str,
    parent: Option<AnyRef>,
    types: &[&str],
) {
    let mut object = entity::new::<mo::Folder>(folder.value(), name, parent);
    let types: Vec<String> = types.iter().map(|ty| (*ty).to_owned()).collect();
    object.put("childType", &types);
    object.put("childEntity", &Vec::<AnyRef>::new());
    tx.insert(object);
}

pub(super) fn call(inv: &mut Invocation<'_, '_>) -> Option<Answer> {
    Some(match inv.request.method.as_str() {
        "CreateVM_Task" => create_vm(inv),
        "RegisterVM_Task" => register_vm(inv),
        // An ESXi host has only its fixed folders.
        "CreateFolder"
        | "CreateDatacenter"
        | "CreateCluster"
        | "MoveIntoFolder_Task"
        | "Destroy_Task"
        | "Rename_Task"
            if !inv.tx.layout().is_vcenter =>
        {
            Err(fault::not_supported())
        }
        "CreateFolder" => create_folder(inv),
        "CreateDatacenter" => create_datacenter(inv),
        "MoveIntoFolder_Task" => move_into(inv),
        "Destroy_Task" => destroy(inv),
        "Rename_Task" => rename(inv),
        _ => return None,
    })
}

fn create_vm(inv: &mut Invocation<'_, '_>) -> Answer {
    let config: VirtualMachineConfigSpec = inv.arg("config")?;
    let pool: Ref<mo::ResourcePool> = inv.object_arg("pool")?;
    let host: Option<Ref<mo::HostSystem>> = inv.arg("host")?;
    let place = place(inv, &pool, host.as_ref())?;
    virtual_machine::begin_create(inv, "Folder.createVm", config, place)
}

fn register_vm(inv: &mut Invocation<'_, '_>) -> Answer {
    let path: String = inv.arg("path")?;
    let name: Option<String> = inv.arg("name")?;
    let template: bool = inv.arg("asTemplate")?;
    let host: Option<Ref<mo::HostSystem>> = inv.arg("host")?;
    let pool: Option<Ref<mo::ResourcePool>> = inv.arg("pool")?;
    if template && !inv.tx.layout().is_vcenter {
        return Err(fault::not_supported());
    }
    let pool = match pool {
        Some(pool) => inv.tx.object(&pool)?.reference().retype(),
        // A template has no pool; an ESXi host has only one root pool.
        None if template || !inv.tx.layout().is_vcenter => {
            let this: Ref<mo::Folder> = inv.this.retype();
            Placement::any(inv.tx, &this)?.pool
        }
        None => return Err(fault::invalid_argument("pool")),
    };
    let place = place(inv, &pool, host.as_ref())?;
    let this = inv.this.clone();
    task::begin(inv, &this, "Folder.registerVm", move |tx| {
        let vm = virtual_machine::register(tx, &path, name.as_deref(), &place)?;
        if template {
            let vm: Ref<mo::VirtualMachine> = vm.get().map_err(|_| fault::invalid_state())?;
            virtual_machine::mark_as_template(tx, &vm)?;
        }
        Ok(vm)
    })
}

/// Returns the folder, pool and host of a machine created in this folder.
fn place(
    inv: &Invocation<'_, '_>,
    pool: &Ref<mo::ResourcePool>,
    host: Option<&Ref<mo::HostSystem>>,
) -> Result<Placement, Fault> {
    let types: Vec<String> = inv.this()?.list("childType")?;
    if !types.iter().any(|ty| ty == "VirtualMachine") {
        return Err(fault::not_supported());
    }
    Placement::new(inv.tx, &inv.this.retype(), pool, host)
}

/// Creates a folder in the folder that the method is called on, with the same child types.
fn create_folder(inv: &mut Invocation<'_, '_>) -> Answer {
    let name: String = inv.arg("name")?;
    let number = inv.tx.ids().number();
    let this: Ref<mo::Folder> = inv.this.retype();
    value(&make(inv.tx, &this, &name, number)?)
}

/// Creates a datacenter in a folder of datacenters.
fn create_datacenter(inv: &mut Invocation<'_, '_>) -> Answer {
    let name: String = inv.arg("name")?;
    let name = entity::name(&name)?;
    let types: Vec<String> = inv.this()?.list("childType")?;
    if !types.iter().any(|ty| ty == "Datacenter") {
        return Err(fault::not_supported());
    }
    if let Some(other) = entity::child(inv.tx, &inv.this, &name) {
        return Err(fault::duplicate_name(&name, &other));
    }
    let first = inv.tx.ids().number();
    for _ in 1..DatacenterLayout::NUMBERS {
        inv.tx.ids().number();
    }
    let own = DatacenterLayout::numbered(first);
    let this: Ref<mo::Folder> = inv.this.retype();
    datacenter::build(inv.tx, &own, &name, &this)?;
    value(&own.datacenter)
}

/// Creates a folder.
pub(super) fn make(
    tx: &mut Transaction<'_>,
    parent: &Ref<mo::Folder>,
    name: &str,
    number: u64,
) -> Result<Ref<mo::Folder>, Fault> {
    let name = entity::name(name)?;
    if let Some(other) = entity::child(tx, parent, &name) {
        return Err(fault::duplicate_name(&name, &other));
    }
    let types: Vec<String> = tx.object(parent)?.list("childType")?;
    if !types.iter().any(|ty| ty == "Folder") {
        return Err(fault::not_supported());
    }
    let letter = match types.get(1).map(String::as_str) {
        Some("VirtualMachine") => "v",
        Some("ComputeResource") => "h",
        Some("Datastore") => "s",
        Some("Network") => "n",
        _ => "d",
    };
    let folder: Ref<mo::Folder> = Ref::new(&format!("group-{letter}{number}"));
    let mut object = entity::new::<mo::Folder>(folder.value(), &name, Some(entity::any(parent)));
    object.put("childType", &types);
    object.put("childEntity", &Vec::<AnyRef>::new());
    tx.insert(object);
    let own = entity::any(&folder);
    tx.edit(parent)?
        .edit_list("childEntity", |children| children.push(own))?;
    Ok(folder)
}

/// Moves entities into the folder that the method is called on.
fn move_into(inv: &mut Invocation<'_, '_>) -> Answer {
    let list: Vec<AnyRef> = inv.arg("list")?;
    let this = inv.this.clone();
    let types: Vec<String> = inv.this()?.list("childType")?;
    for entity in &list {
        let object = inv.tx.object(entity)?;
        let is_known = object.is_a("VirtualMachine")
            || object.is_a("Datacenter")
            || object.is_a("Folder") && object.list::<String>("childType")? == types;
        if !is_known || !types.iter().any(|ty| object.is_a(ty)) {
            return Err(fault::not_supported());
        }
        check_datacenter(inv.tx, entity, &this)?;
    }
    task::begin(inv, &this.clone(), "Folder.moveIntoFolder", move |tx| {
        for entity in &list {
            let object = tx.object(entity)?.clone();
            let name = object.name().to_owned();
            if let Some(other) = entity::child(tx, &this, &name).filter(|other| other != entity) {
                return Err(fault::duplicate_name(&name, &other));
            }
            let mut above = Some(this.clone());
            while let Some(folder) = above {
                if folder == *entity {
                    return Err(fault::invalid_argument("list"));
                }
                above = tx.object(&folder)?.parent();
            }
            let Some(old) = object.parent() else {
                return Err(fault::not_supported());
            };
            if old.type_name() != "Folder" {
                // The folders of a datacenter cannot be moved.
                return Err(fault::not_supported());
            }
            if !object.is_a("VirtualMachine") {
                tx.edit(&old)?
                    .edit_list("childEntity", |list| list.retain(|own| own != entity))?;
                tx.edit(&this)?
                    .edit_list("childEntity", |list| list.push(entity.clone()))?;
            }
            tx.edit(entity)?.put("parent", &this);
        }
        nothing()
    })
}

/// Checks that an entity and a folder are in the same datacenter. Datacenters and their folders are in
/// none.
fn check_datacenter(tx: &Transaction<'_>, entity: &AnyRef, folder: &AnyRef) -> Result<(), Fault> {
    let (own, to) = (
        entity::datacenter(tx, entity),
        entity::datacenter(tx, folder),
    );
    match (own, to) {
        (Ok(own), Ok(to)) if own != to => Err(fault::invalid_folder(folder)),
        _ => Ok(()),
    }
}

/// Removes a folder, which must be empty.
fn destroy(inv: &mut Invocation<'_, '_>) -> Answer {
    let this = inv.this.clone();
    let parent = inv.this()?.parent();
    let Some(parent) = parent.filter(|parent| parent.type_name() == "Folder") else {
        return Err(fault::not_supported());
    };
    task::begin(inv, &this.clone(), "Folder.destroy", move |tx| {
        let children: Vec<AnyRef> = tx.object(&this)?.list("childEntity")?;
        if !children.is_empty() || !tx.members(this.value(), "childEntity").is_empty() {
            return Err(fault::resource_in_use(tx.object(&this)?.name()));
        }
        tx.edit(&parent)?
            .edit_list("childEntity", |list| list.retain(|own| *own != this))?;
        tx.remove(&this);
        nothing()
    })
}

fn rename(inv: &mut Invocation<'_, '_>) -> Answer {
    let name: String = inv.arg("newName")?;
    let this = inv.this.clone();
    task::begin(inv, &this.clone(), "ManagedEntity.rename", move |tx| {
        entity::rename(tx, &this, &name)?;
        nothing()
    })
}
