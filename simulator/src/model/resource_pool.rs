//! Resource pools.

use jiff::Timestamp;
use vim25::types::{
    ManagedEntityStatus, ResourceAllocationInfo, ResourceConfigSpec, ResourcePoolResourceUsage,
    ResourcePoolRuntimeInfo, ResourcePoolSummary, SharesInfo, SharesLevel,
};
use vim25::{AnyRef, Fault, ManagedObject, Poly, Ref, mo};

use super::{compute_resource, entity, host_system, lease, virtual_app};
use crate::fault;
use crate::invocation::{Answer, Invocation, nothing, value};
use crate::object::{Object, Retype};
use crate::task;
use crate::vapp;
use crate::world::Transaction;

/// Creates the root pool of a compute resource with a number of hosts.
pub(super) fn build(tx: &mut Transaction<'_>, value: &str, compute: &AnyRef, hosts: usize) {
    let hosts = i64::try_from(hosts).unwrap_or(1);
    let unlimited = |reservation| ResourceAllocationInfo {
        reservation: Some(reservation),
        expandable_reservation: Some(true),
        limit: Some(reservation),
        shares: Some(Box::new(SharesInfo {
            shares: 4_000,
            level: SharesLevel::Normal,
        })),
        ..Default::default()
    };
    let config = ResourceConfigSpec {
        cpu_allocation: unlimited(
            hosts * i64::from(host_system::CPU_MHZ) * i64::from(host_system::CORES),
        ),
        memory_allocation: unlimited(hosts * (host_system::MEMORY >> 20)),
        ..Default::default()
    };
    let names = (value, "Resources");
    let pool = new::<mo::ResourcePool>(names, compute.clone(), compute, config, |_| {});
    tx.insert(pool);
}

/// Creates a pool or vApp. `more` sets the properties of a vApp.
pub(super) fn new<T: ManagedObject>(
    (value, name): (&str, &str),
    parent: AnyRef,
    owner: &AnyRef,
    mut config: ResourceConfigSpec,
    more: impl FnOnce(&mut Object),
) -> Object {
    let mut pool = entity::new::<T>(value, name, Some(parent));
    config.entity = Some(Ref::<T>::new(value).retype());
    config.change_version = Some("1".into());
    config.last_modified = Some(Timestamp::now());
    pool.put("owner", owner);
    pool.put("resourcePool", &Vec::<AnyRef>::new());
    pool.put("vm", &Vec::<AnyRef>::new());
    more(&mut pool);
    show(&mut pool, &config);
    pool
}

/// Updates all properties that are derived from a configuration.
fn show(pool: &mut Object, config: &ResourceConfigSpec) {
    let usage = |allocation: &ResourceAllocationInfo| {
        let most = allocation.limit.filter(|limit| *limit >= 0);
        ResourcePoolResourceUsage {
            unreserved_for_pool: allocation.reservation.unwrap_or(0),
            unreserved_for_vm: allocation.reservation.unwrap_or(0),
            max_usage: most.unwrap_or(i64::from(i32::MAX)),
            ..Default::default()
        }
    };
    let runtime = ResourcePoolRuntimeInfo {
        memory: usage(&config.memory_allocation),
        cpu: usage(&config.cpu_allocation),
        overall_status: ManagedEntityStatus::Green,
        ..Default::default()
    };
    pool.put("config", config);
    pool.put("runtime", &runtime);
    let summary = ResourcePoolSummary {
        name: pool.name().to_owned(),
        config: config.clone(),
        runtime,
        ..Default::default()
    };
    let summary: Poly<ResourcePoolSummary> = match pool.is_a("VirtualApp") {
        true => Poly::new(vapp::summary(pool, summary)),
        false => Poly::new(summary),
    };
    pool.put("summary", &summary);
}

/// Updates the summary after a change of the name or of a vApp's configuration.
pub(super) fn show_again(pool: &mut Object) -> Result<(), Fault> {
    let config = pool.read("config")?;
    show(pool, &config);
    Ok(())
}

pub(super) fn call(inv: &mut Invocation<'_, '_>) -> Option<Answer> {
    Some(match inv.request.method.as_str() {
        "CreateResourcePool" => create(inv),
        "CreateVApp" => virtual_app::create(inv),
        // Only a vApp creates machines itself.
        "CreateChildVM_Task" => Err(fault::not_supported()),
        "MoveIntoResourcePool" => move_into(inv),
        "UpdateConfig" => update(inv),
        "ImportVApp" => lease::import(inv),
        "Destroy_Task" => destroy(inv),
        "DestroyChildren" => destroy_children(inv),
        "Rename_Task" => {
            let name: Result<String, Fault> = inv.arg("newName");
            let this = inv.this.clone();
            name.and_then(|name| {
                task::begin(inv, &this.clone(), "ManagedEntity.rename", move |tx| {
                    entity::rename(tx, &this, &name)?;
                    show_again(tx.edit(&this)?)?;
                    nothing()
                })
            })
        }
        _ => return None,
    })
}

fn create(inv: &mut Invocation<'_, '_>) -> Answer {
    let name: String = inv.arg("name")?;
    let spec: ResourceConfigSpec = inv.arg("spec")?;
    let name = entity::name(&name)?;
    let owner: AnyRef = inv.this()?.read("owner")?;
    if compute_resource::is_without_drs(inv.tx.object(&owner)?) {
        return Err(fault::not_supported());
    }
    if let Some(other) = entity::child(inv.tx, &inv.this, &name) {
        return Err(fault::duplicate_name(&name, &other));
    }
    let config = allocation(&spec, "spec")?;
    let number = inv.tx.ids().number();
    let reference: Ref<mo::ResourcePool> = Ref::new(&if inv.tx.layout().is_vcenter {
        format!("resgroup-{number}")
    } else {
        format!("pool{number}")
    });
    let parent: Ref<mo::ResourcePool> = inv.this.retype();
    put(inv.tx, reference.value(), &name, &parent, config)?;
    value(&reference)
}

/// Returns the configuration of a new pool; `argument` is the name of its specification.
pub(super) fn allocation(
    spec: &ResourceConfigSpec,
    argument: &str,
) -> Result<ResourceConfigSpec, Fault> {
    check(&spec.cpu_allocation, &format!("{argument}.cpuAllocation"))?;
    check(
        &spec.memory_allocation,
        &format!("{argument}.memoryAllocation"),
    )?;
    let mut config = usual();
    merge(&mut config.cpu_allocation, &spec.cpu_allocation);
    merge(&mut config.memory_allocation, &spec.memory_allocation);
    Ok(config)
}

/// Returns the configuration of a pool that asks for nothing.
pub(super) fn usual() -> ResourceConfigSpec {
    ResourceConfigSpec {
        cpu_allocation: defaults(4_000),
        memory_allocation: defaults(163_840),
        ..Default::default()
    }
}

/// Adds a new pool to its parent pool.
pub(super) fn put(
    tx: &mut Transaction<'_>,
    id: &str,
    name: &str,
    parent: &Ref<mo::ResourcePool>,
    config: ResourceConfigSpec,
) -> Result<(), Fault> {
    let reference: Ref<mo::ResourcePool> = Ref::new(id);
    let owner: AnyRef = tx.object(parent)?.read("owner")?;
    let parents = parent.retype();
    let pool = new::<mo::ResourcePool>((id, name), parents, &owner, config, |_| {});
    tx.insert(pool);
    tx.edit(parent)?
        .edit_list("resourcePool", |pools| pools.push(entity::any(&reference)))
}

/// Returns the default allocation of a pool.
fn defaults(shares: i32) -> ResourceAllocationInfo {
    ResourceAllocationInfo {
        reservation: Some(0),
        expandable_reservation: Some(true),
        limit: Some(-1),
        shares: Some(Box::new(SharesInfo {
            shares,
            level: SharesLevel::Normal,
        })),
        ..Default::default()
    }
}

fn check(allocation: &ResourceAllocationInfo, at: &str) -> Result<(), Fault> {
    let reservation = allocation.reservation.unwrap_or(0);
    let limit = allocation.limit.unwrap_or(-1);
    if reservation < 0 {
        return Err(fault::invalid_argument(&format!("{at}.reservation")));
    }
    if limit < -1 || limit >= 0 && limit < reservation {
        return Err(fault::invalid_argument(&format!("{at}.limit")));
    }
    Ok(())
}

/// Applies the values that are set in `from`.
fn merge(to: &mut ResourceAllocationInfo, from: &ResourceAllocationInfo) {
    let from = from.clone();
    to.reservation = from.reservation.or(to.reservation);
    to.expandable_reservation = from.expandable_reservation.or(to.expandable_reservation);
    to.limit = from.limit.or(to.limit);
    if let Some(mut shares) = from.shares {
        let base = to.shares.as_ref().map_or(4_000, |shares| shares.shares);
        shares.shares = match shares.level {
            SharesLevel::Custom => shares.shares,
            _ => base,
        };
        to.shares = Some(shares);
    }
}

fn update(inv: &mut Invocation<'_, '_>) -> Answer {
    let name: Option<String> = inv.arg("name")?;
    let change: Option<ResourceConfigSpec> = inv.arg("config")?;
    let this = inv.this.clone();
    if let Some(name) = name {
        entity::rename(inv.tx, &this, &name)?;
    }
    let pool = inv.edit_this()?;
    let mut config: ResourceConfigSpec = pool.read("config")?;
    if let Some(change) = change {
        if change.change_version.as_ref().is_some_and(|version| {
            !version.is_empty() && config.change_version.as_ref() != Some(version)
        }) {
            return Err(fault::concurrent_access());
        }
        check(&change.cpu_allocation, "config.cpuAllocation")?;
        check(&change.memory_allocation, "config.memoryAllocation")?;
        merge(&mut config.cpu_allocation, &change.cpu_allocation);
        merge(&mut config.memory_allocation, &change.memory_allocation);
        let version: u64 = config
            .change_version
            .and_then(|version| version.parse().ok())
            .unwrap_or(0);
        config.change_version = Some((version + 1).to_string());
        config.last_modified = Some(Timestamp::now());
    }
    show(pool, &config);
    nothing()
}

fn destroy(inv: &mut Invocation<'_, '_>) -> Answer {
    let this: Ref<mo::ResourcePool> = inv.this.retype();
    if !is_inner(inv.this()?) {
        return Err(fault::not_supported());
    }
    task::begin(inv, &this.retype(), "ResourcePool.destroy", move |tx| {
        remove(tx, &this)?;
        nothing()
    })
}

/// Returns whether a pool has a parent pool, so that it is not a root pool.
fn is_inner(pool: &Object) -> bool {
    let parent = pool.parent();
    parent.is_some_and(|parent| !parent.type_name().ends_with("ComputeResource"))
}

fn destroy_children(inv: &mut Invocation<'_, '_>) -> Answer {
    let children: Vec<Ref<mo::ResourcePool>> = inv.this()?.list("resourcePool")?;
    for child in children {
        // A vApp stays when the pools are removed.
        if child.type_name() != "VirtualApp" {
            remove(inv.tx, &child)?;
        }
    }
    nothing()
}

/// Handles `MoveIntoResourcePool`. Machines move into pools and vApps, and pools into pools of the same
/// compute resource.
fn move_into(inv: &mut Invocation<'_, '_>) -> Answer {
    let list: Vec<AnyRef> = inv.arg("list")?;
    let this: Ref<mo::ResourcePool> = inv.this.retype();
    for entity in list {
        let object = inv.tx.object(&entity)?;
        match object.reference().type_name() {
            "VirtualMachine" => move_machine(inv.tx, &entity.retype(), &this)?,
            "ResourcePool" if is_inner(object) => move_pool(inv.tx, &entity.retype(), &this)?,
            _ => return Err(fault::not_supported()),
        }
    }
    nothing()
}

fn move_machine(
    tx: &mut Transaction<'_>,
    vm: &Ref<mo::VirtualMachine>,
    pool: &Ref<mo::ResourcePool>,
) -> Result<(), Fault> {
    let object = tx.object(vm)?.clone();
    let current: Result<Ref<mo::ResourcePool>, _> = object.read("resourcePool");
    // A template has no pool.
    let current = current.map_err(|_| fault::not_supported())?;
    let owner = |pool| tx.object(pool)?.read::<AnyRef>("owner");
    if owner(&current)? != owner(pool)? {
        return Err(fault::invalid_argument("list"));
    }
    let from = object.parent().unwrap_or_default();
    let to = vapp::holder(tx, &from, pool)?;
    let other = entity::child(tx, &to, object.name());
    if let Some(other) = other.filter(|other| other.value() != vm.value()) {
        return Err(fault::duplicate_name(object.name(), &other));
    }
    let machine = tx.edit(vm)?;
    machine.put("resourcePool", pool);
    vapp::put_into(machine, &to);
    for app in [from, to] {
        if app.type_name() == "VirtualApp" {
            vapp::refresh(tx, &app)?;
        }
    }
    Ok(())
}

fn move_pool(
    tx: &mut Transaction<'_>,
    pool: &Ref<mo::ResourcePool>,
    to: &Ref<mo::ResourcePool>,
) -> Result<(), Fault> {
    let (object, target) = (tx.object(pool)?.clone(), tx.object(to)?.clone());
    let own = entity::any(pool);
    if target.is_a("VirtualApp") {
        return Err(fault::not_supported());
    }
    if object.read::<AnyRef>("owner")? != target.read("owner")? {
        return Err(fault::invalid_argument("list"));
    }
    let mut above = Some(entity::any(to));
    while let Some(one) = above {
        if one == own {
            return Err(fault::invalid_argument("list"));
        }
        above = tx.object(&one)?.parent();
    }
    let other = entity::child(tx, to, object.name()).filter(|other| *other != own);
    if let Some(other) = other {
        return Err(fault::duplicate_name(object.name(), &other));
    }
    let from: AnyRef = object.read("parent")?;
    tx.edit(&from)?
        .edit_list("resourcePool", |list| list.retain(|one| *one != own))?;
    tx.edit(pool)?.put("parent", to);
    tx.edit(to)?
        .edit_list("resourcePool", |list| list.push(own))
}

/// Removes a pool and moves its content to its parent.
fn remove(tx: &mut Transaction<'_>, pool: &Ref<mo::ResourcePool>) -> Result<(), Fault> {
    let object = tx.object(pool)?.clone();
    let parent: AnyRef = object.read("parent")?;
    let pools: Vec<AnyRef> = object.list("resourcePool")?;
    let machines = tx.members(pool.value(), "vm");
    let gone = entity::any(pool);
    for child in &pools {
        tx.edit(child)?.put("parent", &parent);
    }
    for machine in &machines {
        tx.edit(machine)?.put("resourcePool", &parent);
    }
    let holder = tx.edit(&parent)?;
    holder.edit_list("resourcePool", |list| {
        list.retain(|other| *other != gone);
        list.extend(pools);
    })?;
    tx.remove(pool);
    Ok(())
}
