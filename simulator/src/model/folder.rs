//! Folders, and creating and registering machines in them.

use vim25::types::VirtualMachineConfigSpec;
use vim25::{AnyRef, Fault, Ref, mo};

use super::{entity, virtual_machine};
use crate::device;
use crate::fault;
use crate::guest;
use crate::invocation::{Answer, Invocation};
use crate::object::Retype;
use crate::task;
use crate::world::{Transaction, fixed};

/// A folder: reference, name, parent, the types it takes, and its children.
type Layout = (
    Ref<mo::Folder>,
    &'static str,
    Option<AnyRef>,
    &'static [&'static str],
    Vec<AnyRef>,
);

pub(super) fn build(tx: &mut Transaction<'_>) {
    let datacenter: AnyRef = fixed::datacenter().upcast();
    let folders: [Layout; 5] = [
        (
            fixed::root(),
            "ha-folder-root",
            None,
            &["Datacenter"],
            vec![datacenter.clone()],
        ),
        (
            fixed::vm_folder(),
            "vm",
            Some(datacenter.clone()),
            &["VirtualMachine"],
            vec![],
        ),
        (
            fixed::host_folder(),
            "host",
            Some(datacenter.clone()),
            &["ComputeResource"],
            vec![fixed::compute_resource().upcast()],
        ),
        (
            fixed::datastore_folder(),
            "datastore",
            Some(datacenter.clone()),
            &["Datastore"],
            vec![],
        ),
        (
            fixed::network_folder(),
            "network",
            Some(datacenter),
            &["Network"],
            vec![],
        ),
    ];
    for (reference, name, parent, types, children) in folders {
        let mut folder = entity::new::<mo::Folder>(reference.value(), name, parent);
        let types: Vec<String> = types.iter().map(|ty| (*ty).to_owned()).collect();
        folder.put("childType", &types);
        folder.put("childEntity", &children);
        tx.insert(folder);
    }
}

pub(super) fn call(inv: &mut Invocation<'_, '_>) -> Option<Answer> {
    Some(match inv.request.method.as_str() {
        "CreateVM_Task" => create_vm(inv),
        "RegisterVM_Task" => register_vm(inv),
        // A host has no folders of its users' making.
        "CreateFolder" | "CreateDatacenter" | "CreateCluster" => Err(fault::not_supported()),
        _ => return None,
    })
}

fn create_vm(inv: &mut Invocation<'_, '_>) -> Answer {
    let config: VirtualMachineConfigSpec = inv.arg("config")?;
    let pool: Ref<mo::ResourcePool> = inv.object_arg("pool")?;
    let host: Option<Ref<mo::HostSystem>> = inv.arg("host")?;
    check_place(inv, host.as_ref())?;
    let this = inv.this.clone();
    let parents = device::parents_asked(&config.device_change);
    if parents.is_empty() {
        return task::begin(inv, &this, "Folder.createVm", move |tx| {
            virtual_machine::create(tx, &config, &pool)
        });
    }
    task::begin_long(inv, &this, "Folder.createVm", |core| async move {
        guest::flush_parents(&core, &parents).await?;
        Transaction::run(&core, move |tx| virtual_machine::create(tx, &config, &pool)).await
    })
}

fn register_vm(inv: &mut Invocation<'_, '_>) -> Answer {
    let path: String = inv.arg("path")?;
    let name: Option<String> = inv.arg("name")?;
    let template: bool = inv.arg("asTemplate")?;
    let host: Option<Ref<mo::HostSystem>> = inv.arg("host")?;
    let pool: Option<Ref<mo::ResourcePool>> = inv.arg("pool")?;
    check_place(inv, host.as_ref())?;
    if template {
        return Err(fault::not_supported());
    }
    let pool = match pool {
        Some(pool) => inv.tx.object(&pool)?.reference().retype(),
        None => fixed::root_pool(),
    };
    let this = inv.this.clone();
    task::begin(inv, &this, "Folder.registerVm", move |tx| {
        virtual_machine::register(tx, &path, name.as_deref(), &pool)
    })
}

/// Machines are made in the folder for machines, on the one host there is.
fn check_place(inv: &Invocation<'_, '_>, host: Option<&Ref<mo::HostSystem>>) -> Result<(), Fault> {
    if inv.this.value() != fixed::vm_folder().value() {
        return Err(fault::not_supported());
    }
    match host {
        Some(host) => inv.tx.object(host).map(drop),
        None => Ok(()),
    }
}
