//! Datacenters, each with four folders. An ESXi host has one.

use vim25::types::{
    ClusterAttemptedVmInfo, ClusterNotAttemptedVmInfo, ClusterPowerOnVmResult,
    DatacenterConfigInfo, LocalizedMethodFault,
};
use vim25::{AnyRef, Fault, Ref, mo};

use super::{entity, folder, virtual_machine};
use crate::datastore::site::Site;
use crate::fault;
use crate::invocation::{Answer, Invocation, nothing, value};
use crate::layout::DatacenterLayout;
use crate::task;
use crate::world::Transaction;

/// Returns the name of a datacenter of the initial inventory.
pub(super) fn name(tx: &Transaction<'_>, site: Site) -> String {
    match tx.layout().is_vcenter {
        true => format!("DC{}", site.position()),
        false => "ha-datacenter".to_owned(),
    }
}

/// Creates a datacenter with its folders in a folder.
pub(super) fn build(
    tx: &mut Transaction<'_>,
    own: &DatacenterLayout,
    name: &str,
    parent: &Ref<mo::Folder>,
) -> Result<(), Fault> {
    let mut datacenter =
        entity::new::<mo::Datacenter>(own.datacenter.value(), name, Some(entity::any(parent)));
    datacenter.put("vmFolder", &own.vm_folder);
    datacenter.put("hostFolder", &own.host_folder);
    datacenter.put("datastoreFolder", &own.datastore_folder);
    datacenter.put("networkFolder", &own.network_folder);
    datacenter.put("datastore", &Vec::<AnyRef>::new());
    datacenter.put("network", &Vec::<AnyRef>::new());
    datacenter.put("configuration", &DatacenterConfigInfo::default());
    tx.insert(datacenter);
    folder::build_in(tx, own);
    let child = entity::any(&own.datacenter);
    tx.edit(parent)?
        .edit_list("childEntity", |children| children.push(child))
}

pub(super) fn call(inv: &mut Invocation<'_, '_>) -> Option<Answer> {
    Some(match inv.request.method.as_str() {
        "PowerOnMultiVM_Task" if inv.tx.layout().is_vcenter => power_on(inv),
        // Only a vCenter has this method; on a host the task fails.
        "PowerOnMultiVM_Task" => {
            let this = inv.this.clone();
            task::begin(inv, &this, "Datacenter.powerOnMultiVm", |_| {
                Err(fault::not_implemented())
            })
        }
        "Destroy_Task" | "Rename_Task" if !inv.tx.layout().is_vcenter => {
            Err(fault::not_supported())
        }
        "Destroy_Task" => destroy(inv),
        "Rename_Task" => rename(inv),
        _ => return None,
    })
}

/// Removes a datacenter, which must be empty.
fn destroy(inv: &mut Invocation<'_, '_>) -> Answer {
    let this = inv.this.clone();
    task::begin(inv, &this.clone(), "Datacenter.destroy", move |tx| {
        let object = tx.object(&this)?.clone();
        let mut gone = vec![this.clone()];
        for name in ["vmFolder", "hostFolder", "datastoreFolder", "networkFolder"] {
            let folder: AnyRef = object.read(name)?;
            let children: Vec<AnyRef> = tx.object(&folder)?.list("childEntity")?;
            if !children.is_empty() || !tx.members(folder.value(), "childEntity").is_empty() {
                return Err(fault::resource_in_use(object.name()));
            }
            gone.push(folder);
        }
        let parent = object.parent().ok_or_else(fault::not_supported)?;
        tx.edit(&parent)?
            .edit_list("childEntity", |list| list.retain(|own| *own != this))?;
        for one in &gone {
            tx.remove(one);
        }
        nothing()
    })
}

fn rename(inv: &mut Invocation<'_, '_>) -> Answer {
    let name: String = inv.arg("newName")?;
    let this = inv.this.clone();
    task::begin(inv, &this.clone(), "Datacenter.rename", move |tx| {
        entity::rename(tx, &this, &name)?;
        nothing()
    })
}

/// Powers on machines, with or without DRS. Each has its own task.
fn power_on(inv: &mut Invocation<'_, '_>) -> Answer {
    let machines: Vec<Ref<mo::VirtualMachine>> = inv.arg("vm")?;
    for vm in &machines {
        inv.tx.object(vm)?;
    }
    let this = inv.this.clone();
    let user = inv.user();
    task::begin(inv, &this, "Datacenter.powerOnMultiVm", move |tx| {
        let mut result = ClusterPowerOnVmResult::default();
        for vm in machines {
            let ready = super::host_connection::check(tx, &vm)
                .and_then(|()| virtual_machine::check_off(tx, &vm));
            let task = match ready {
                Ok(()) => virtual_machine::start(tx, &user, &vm),
                Err(fault) => Err(fault),
            };
            match task {
                Ok(task) => result.attempted.push(ClusterAttemptedVmInfo {
                    vm,
                    task: Some(task),
                }),
                Err(fault) => result.not_attempted.push(ClusterNotAttemptedVmInfo {
                    vm,
                    fault: LocalizedMethodFault::from(&fault),
                }),
            }
        }
        value(&result)
    })
}
