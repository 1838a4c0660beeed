//! `VirtualApp`: pools whose machines are configured, started, stopped and removed together.
//!
//! A vApp contains machines and other vApps, but no pools. Only a vCenter has vApps.

mod config;
mod power;
mod remove;

use vim25::types::{
    ResourceConfigSpec, VAppConfigInfo, VAppConfigSpec, VirtualAppVAppState,
    VirtualMachineConfigSpec,
};
use vim25::{AnyRef, Fault, Ref, mo};

use super::virtual_machine::{self, Placement};
use super::{compute_resource, entity, resource_pool};
use crate::fault;
use crate::invocation::{Answer, Invocation, nothing, value};
use crate::object::{Object, Retype};
use crate::task;
use crate::vapp;
use crate::world::Transaction;

/// The maximum depth of vApps in vApps.
const DEPTH: usize = 8;

pub(super) fn call(inv: &mut Invocation<'_, '_>) -> Option<Answer> {
    Some(match inv.request.method.as_str() {
        "CreateChildVM_Task" => create_machine(inv),
        "UpdateVAppConfig" => update(inv),
        "PowerOnVApp_Task" => power::on(inv),
        "PowerOffVApp_Task" => power::off(inv),
        "SuspendVApp_Task" => power::suspend(inv),
        "Destroy_Task" => remove::destroy(inv),
        "unregisterVApp_Task" => remove::unregister(inv),
        // The children of a vApp are vApps, which are not removed with it.
        "DestroyChildren" => nothing(),
        "CreateResourcePool" => Err(fault::not_supported()),
        _ => return resource_pool::call(inv),
    })
}

/// Handles `CreateVApp` of a pool or vApp.
pub(super) fn create(inv: &mut Invocation<'_, '_>) -> Answer {
    let name: String = inv.arg("name")?;
    let resources: ResourceConfigSpec = inv.arg("resSpec")?;
    let spec: VAppConfigSpec = inv.arg("configSpec")?;
    let folder: Option<Ref<mo::Folder>> = inv.arg("vmFolder")?;
    let parent = inv.this()?.clone();
    let owner: AnyRef = parent.read("owner")?;
    if !inv.tx.layout().is_vcenter || compute_resource::is_without_drs(inv.tx.object(&owner)?) {
        return Err(fault::not_supported());
    }
    let folder = match (parent.is_a("VirtualApp"), folder) {
        (true, Some(_)) => return Err(fault::invalid_argument("vmFolder")),
        (true, None) => None,
        (false, folder) => Some(folder_for(inv.tx, &owner, folder)?),
    };
    let mut depth = 1;
    let mut outer = Some(parent.clone()).filter(|parent| parent.is_a("VirtualApp"));
    while let Some(app) = outer {
        depth += 1;
        outer = vapp::of(&app).and_then(|app| inv.tx.object(&app).ok().map(|app| (**app).clone()));
    }
    if depth > DEPTH {
        return Err(fault::not_supported());
    }
    let name = entity::name(&name)?;
    let resources = resource_pool::allocation(&resources, "resSpec")?;
    let id = format!("resgroup-v{}", inv.tx.ids().number());
    let parent = parent.reference().retype();
    value(&make(
        inv.tx,
        (&id, &name),
        &parent,
        folder.as_ref(),
        (resources, &spec),
    )?)
}

/// Returns the folder of a vApp in a pool: the requested one, or that of the datacenter's machines.
fn folder_for(
    tx: &Transaction<'_>,
    owner: &AnyRef,
    folder: Option<Ref<mo::Folder>>,
) -> Result<Ref<mo::Folder>, Fault> {
    let datacenter = entity::datacenter(tx, owner)?;
    let Some(folder) = folder else {
        return tx.object(&datacenter)?.read("vmFolder");
    };
    let types: Vec<String> = tx.object(&folder)?.list("childType")?;
    if !types.iter().any(|ty| ty == "VirtualApp") {
        return Err(fault::invalid_folder(&entity::any(&folder)));
    }
    if entity::datacenter(tx, &folder)? != datacenter {
        let own = entity::any(&folder);
        return Err(fault::other_datacenter("vmFolder", &own, &datacenter));
    }
    Ok(folder)
}

/// Adds a vApp to a pool and a folder, or to another vApp.
pub(super) fn make(
    tx: &mut Transaction<'_>,
    (id, name): (&str, &str),
    parent: &Ref<mo::ResourcePool>,
    folder: Option<&Ref<mo::Folder>>,
    (resources, spec): (ResourceConfigSpec, &VAppConfigSpec),
) -> Result<Ref<mo::VirtualApp>, Fault> {
    let in_folder = folder.and_then(|folder| entity::child(tx, folder, name));
    if let Some(other) = entity::child(tx, parent, name).or(in_folder) {
        return Err(fault::duplicate_name(name, &other));
    }
    let app: Ref<mo::VirtualApp> = Ref::new(id);
    let reference = entity::any(&app);
    let owner: AnyRef = tx.object(parent)?.read("owner")?;
    let mut config = VAppConfigInfo {
        instance_uuid: Some(tx.ids().uuid().to_string()),
        ..Default::default()
    };
    config::apply(&mut config, spec)?;
    let new = |object: &mut Object| {
        object.put("vAppConfig", &config);
        for list in ["datastore", "network"] {
            object.put(list, &Vec::<AnyRef>::new());
        }
        match folder {
            Some(folder) => object.put("parentFolder", folder),
            None => object.put("parentVApp", parent),
        }
    };
    tx.insert(resource_pool::new::<mo::VirtualApp>(
        (id, name),
        parent.retype(),
        &owner,
        resources,
        new,
    ));
    let child = reference.clone();
    tx.edit(parent)?
        .edit_list("resourcePool", |pools| pools.push(child))?;
    match folder {
        Some(folder) => tx
            .edit(folder)?
            .edit_list("childEntity", |children| children.push(reference))?,
        None => vapp::refresh(tx, &parent.retype())?,
    }
    Ok(app)
}

/// Creates a machine in a vApp.
fn create_machine(inv: &mut Invocation<'_, '_>) -> Answer {
    let config: VirtualMachineConfigSpec = inv.arg("config")?;
    let host: Option<Ref<mo::HostSystem>> = inv.arg("host")?;
    let this = inv.this.clone();
    let place = Placement::new(inv.tx, &this.retype(), &this.retype(), host.as_ref())?;
    virtual_machine::begin_create(inv, "ResourcePool.createChildVm", config, place)
}

fn update(inv: &mut Invocation<'_, '_>) -> Answer {
    let spec: VAppConfigSpec = inv.arg("spec")?;
    let this = inv.this.clone();
    let object = inv.edit_this()?;
    let mut info: VAppConfigInfo = object.read("vAppConfig")?;
    config::apply(&mut info, &spec)?;
    object.put("vAppConfig", &info);
    resource_pool::show_again(object)?;
    vapp::refresh(inv.tx, &this)?;
    nothing()
}

/// Checks that a vApp is stopped or runs.
fn check_state(vapp: &Object, wanted: &VirtualAppVAppState) -> Result<(), Fault> {
    use vim25::types::VirtualMachinePowerState::{PoweredOff, PoweredOn};
    match (vapp::state(vapp), wanted) {
        (VirtualAppVAppState::Starting | VirtualAppVAppState::Stopping, _) => {
            Err(fault::invalid_state())
        }
        (own, wanted) if own == *wanted => Ok(()),
        (VirtualAppVAppState::Started, _) => {
            Err(fault::invalid_power_state(&PoweredOn, Some(PoweredOff)))
        }
        _ => Err(fault::invalid_power_state(&PoweredOff, Some(PoweredOn))),
    }
}

/// Checks that no vApp that a machine is in starts or stops.
pub(super) fn check_idle(tx: &Transaction<'_>, vm: &Ref<mo::VirtualMachine>) -> Result<(), Fault> {
    let mut app = vapp::of(tx.object(vm)?);
    while let Some(own) = app {
        let object = tx.object(&own)?;
        if matches!(
            vapp::state(object),
            VirtualAppVAppState::Starting | VirtualAppVAppState::Stopping
        ) {
            task::check_idle(tx, object)?;
        }
        app = vapp::of(object);
    }
    Ok(())
}

/// Checks that no task on a machine runs, and that its host responds.
fn check_machine(tx: &Transaction<'_>, vm: &Ref<mo::VirtualMachine>) -> Result<(), Fault> {
    super::host_connection::check(tx, vm)?;
    task::check_idle(tx, tx.object(vm)?)
}
