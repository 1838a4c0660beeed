//! The datacenter. Every server has one, with four folders.

use vim25::types::{
    ClusterAttemptedVmInfo, ClusterNotAttemptedVmInfo, ClusterPowerOnVmResult,
    DatacenterConfigInfo, LocalizedMethodFault,
};
use vim25::{AnyRef, Ref, mo};

use super::{entity, virtual_machine};
use crate::fault;
use crate::invocation::{Answer, Invocation, value};
use crate::task;
use crate::world::Transaction;

/// The name of the datacenter of a vCenter.
pub(crate) const NAME: &str = "DC0";

pub(super) fn build(tx: &mut Transaction<'_>) {
    let layout = tx.layout();
    let name = if layout.is_vcenter {
        NAME
    } else {
        "ha-datacenter"
    };
    let mut datacenter = entity::new::<mo::Datacenter>(
        layout.datacenter().value(),
        name,
        Some(layout.root().upcast()),
    );
    datacenter.put("vmFolder", &layout.vm_folder());
    datacenter.put("hostFolder", &layout.host_folder());
    datacenter.put("datastoreFolder", &layout.datastore_folder());
    datacenter.put("networkFolder", &layout.network_folder());
    datacenter.put("datastore", &Vec::<AnyRef>::new());
    datacenter.put("network", &Vec::<AnyRef>::new());
    datacenter.put("configuration", &DatacenterConfigInfo::default());
    tx.insert(datacenter);
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
        _ => return None,
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
