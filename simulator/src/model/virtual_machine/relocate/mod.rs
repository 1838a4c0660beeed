//! Moves machines to another host, pool, folder or datastore.

mod files;

use vim25::types::{
    VirtualDeviceConfigSpec, VirtualDeviceConfigSpecOperation, VirtualMachineConfigInfo,
    VirtualMachineConfigSpec, VirtualMachineRelocateSpec,
};
use vim25::{AnyRef, Fault, Poly, Ref, mo};

use super::Placement;
use crate::datastore::Volume;
use crate::datastore::site::Site;
use crate::device::{self, Kind};
use crate::fault;
use crate::invocation::{Answer, Invocation, nothing};
use crate::machine::{Machine, properties};
use crate::model::entity;
use crate::object::Retype;
use crate::task;
use crate::vapp;
use crate::world::Transaction;

pub(super) fn relocate(inv: &mut Invocation<'_, '_>, vm: Ref<mo::VirtualMachine>) -> Answer {
    let spec: VirtualMachineRelocateSpec = inv.arg("spec")?;
    start(inv, vm, "VirtualMachine.relocate", spec)
}

/// Handles `MigrateVM_Task`, the older form of `RelocateVM_Task`.
pub(super) fn migrate(inv: &mut Invocation<'_, '_>, vm: Ref<mo::VirtualMachine>) -> Answer {
    let spec = VirtualMachineRelocateSpec {
        pool: inv.arg("pool")?,
        host: inv.arg("host")?,
        ..Default::default()
    };
    start(inv, vm, "VirtualMachine.migrate", spec)
}

fn start(
    inv: &mut Invocation<'_, '_>,
    vm: Ref<mo::VirtualMachine>,
    description: &str,
    spec: VirtualMachineRelocateSpec,
) -> Answer {
    check(inv.tx, &spec)?;
    if files::are_moved(inv.tx, &vm, &spec)? {
        let description = description.to_owned();
        return task::begin_long(inv, &vm.retype(), &description, |shared| async move {
            files::relocate(&shared, vm, spec).await?;
            nothing()
        });
    }
    task::begin(inv, &vm.retype(), description, move |tx| {
        let site = move_to(tx, &vm, &spec)?;
        let vmx = Machine::of(tx.object(&vm)?)?.vmx.clone();
        let store = &tx.shared().store;
        check_volume(tx, site, store.volume(&vmx), "spec.datastore")?;
        change_devices(tx, &vm, &spec)?;
        nothing()
    })
}

/// Checks the parts of a specification that do not depend on the machine.
pub(super) fn check(tx: &Transaction<'_>, spec: &VirtualMachineRelocateSpec) -> Result<(), Fault> {
    if !tx.layout().is_vcenter {
        return Err(fault::not_supported());
    }
    let named = spec.datastore.iter();
    for datastore in named.chain(spec.disk.iter().map(|disk| &disk.datastore)) {
        tx.object(datastore)?;
    }
    if spec.service.is_some() {
        return Err(fault::not_supported());
    }
    Ok(())
}

/// Checks that a datastore is in a datacenter; `argument` says where it was named.
pub(super) fn check_volume(
    tx: &Transaction<'_>,
    site: Site,
    volume: &Volume,
    argument: &str,
) -> Result<(), Fault> {
    if volume.site == site {
        return Ok(());
    }
    let datastore = entity::any(&volume.reference());
    let expected = &tx.layout().at(site).datacenter;
    Err(fault::other_datacenter(argument, &datastore, expected))
}

/// Returns the placement of a machine according to a specification. A folder, pool or host
/// that the specification does not set is kept.
///
/// # Errors
/// Fails if a host or pool does not exist, if the host does not belong to the pool's compute
/// resource, or if a template is copied to a machine without naming a pool.
pub(super) fn place(
    tx: &Transaction<'_>,
    vm: &Ref<mo::VirtualMachine>,
    spec: &VirtualMachineRelocateSpec,
) -> Result<Placement, Fault> {
    let object = tx.object(vm)?;
    let folder = match &spec.folder {
        Some(folder) => tx.object(folder)?.reference().clone(),
        None => object.parent().unwrap_or_default(),
    };
    let current: Option<Ref<mo::ResourcePool>> = object.read("resourcePool").ok();
    let pool = match (&spec.pool, &spec.host) {
        (Some(pool), _) => tx.object(pool)?.reference().retype(),
        (None, Some(host)) => pool_for(tx, host, current)?,
        (None, None) => current.ok_or_else(|| fault::invalid_argument("spec.pool"))?,
    };
    let host = match &spec.host {
        Some(host) => Some(host.clone()),
        None => object
            .read("runtime.host")
            .ok()
            .filter(|host: &Ref<mo::HostSystem>| hosts_of(tx, &pool).contains(host)),
    };
    Placement::new(tx, &folder.retype(), &pool, host.as_ref())
}

/// Returns the current pool if it can use the host, otherwise the root pool of the host's
/// compute resource.
fn pool_for(
    tx: &Transaction<'_>,
    host: &Ref<mo::HostSystem>,
    current: Option<Ref<mo::ResourcePool>>,
) -> Result<Ref<mo::ResourcePool>, Fault> {
    if let Some(pool) = current.filter(|pool| hosts_of(tx, pool).contains(host)) {
        return Ok(pool);
    }
    let compute = tx.object(host)?.parent().unwrap_or_default();
    tx.object(&compute)?.read("resourcePool")
}

fn hosts_of(tx: &Transaction<'_>, pool: &Ref<mo::ResourcePool>) -> Vec<Ref<mo::HostSystem>> {
    let owner = tx
        .object(pool)
        .and_then(|pool| pool.read::<AnyRef>("owner"));
    owner
        .and_then(|owner| tx.object(&owner)?.list("host"))
        .unwrap_or_default()
}

/// Changes the folder, the pool and the host of a machine. Returns their datacenter.
fn move_to(
    tx: &mut Transaction<'_>,
    vm: &Ref<mo::VirtualMachine>,
    spec: &VirtualMachineRelocateSpec,
) -> Result<Site, Fault> {
    if super::template::is_one(tx, vm) && spec.pool.is_some() {
        return Err(fault::not_supported());
    }
    let place = place(tx, vm, spec)?;
    let name = tx.object(vm)?.name().to_owned();
    let own = entity::any(vm);
    if let Some(other) = entity::child(tx, &place.folder, &name).filter(|other| *other != own) {
        return Err(fault::duplicate_name(&name, &other));
    }
    let environment = place.environment(tx)?;
    let is_template = super::template::is_one(tx, vm);
    let left = vapp::of(tx.object(vm)?);
    let object = tx.edit(vm)?;
    vapp::put_into(object, &entity::any(&place.folder));
    object.put("environmentBrowser", &environment);
    if !is_template {
        object.put("resourcePool", &place.pool);
    }
    object.set("runtime.host", &place.host)?;
    properties::refresh(tx, vm)?;
    if let Some(left) = left {
        vapp::refresh(tx, &left)?;
    }
    Ok(place.site)
}

/// Connects the network cards of a machine that moved to another datacenter to the networks of the
/// same names there, except for those cards that the specification changes.
///
/// # Errors
/// Fails if there is no such network: a port group of a distributed switch is in one datacenter.
fn reconnect(
    tx: &mut Transaction<'_>,
    vm: &Ref<mo::VirtualMachine>,
    spec: &VirtualMachineRelocateSpec,
) -> Result<(), Fault> {
    let config: VirtualMachineConfigInfo = tx.object(vm)?.read("config")?;
    let cards = config.hardware.device.into_iter().filter(|card| {
        let mut changes = spec.device_change.iter();
        let key = Some(i64::from(device::key(card)));
        let is_it = |change: &Poly<VirtualDeviceConfigSpec>| {
            change
                .node()
                .path("device.key")
                .and_then(|own| own.as_i64())
                == key
        };
        Kind::of(card) == Kind::Network && !changes.any(is_it)
    });
    let changes = cards.map(|device| {
        Poly::new(VirtualDeviceConfigSpec {
            operation: Some(VirtualDeviceConfigSpecOperation::Edit),
            device,
            ..Default::default()
        })
    });
    let changes = VirtualMachineConfigSpec {
        device_change: changes.collect(),
        ..Default::default()
    };
    super::reconfigure::reconfigure(tx, vm, &changes)
}

/// Applies the changes of devices in a specification.
fn change_devices(
    tx: &mut Transaction<'_>,
    vm: &Ref<mo::VirtualMachine>,
    spec: &VirtualMachineRelocateSpec,
) -> Result<(), Fault> {
    if spec.device_change.is_empty() {
        return Ok(());
    }
    let changes = VirtualMachineConfigSpec {
        device_change: spec.device_change.clone(),
        ..Default::default()
    };
    super::reconfigure::reconfigure(tx, vm, &changes)
}
