//! The datacenter: a host has one, with four folders.

use vim25::types::DatacenterConfigInfo;
use vim25::{AnyRef, mo};

use super::entity;
use crate::fault;
use crate::invocation::{Answer, Invocation};
use crate::task;
use crate::world::{Transaction, fixed};

pub(super) fn build(tx: &mut Transaction<'_>) {
    let mut datacenter = entity::new::<mo::Datacenter>(
        fixed::datacenter().value(),
        fixed::datacenter().value(),
        Some(fixed::root().upcast()),
    );
    datacenter.put("vmFolder", &fixed::vm_folder());
    datacenter.put("hostFolder", &fixed::host_folder());
    datacenter.put("datastoreFolder", &fixed::datastore_folder());
    datacenter.put("networkFolder", &fixed::network_folder());
    datacenter.put("datastore", &Vec::<AnyRef>::new());
    datacenter.put("network", &Vec::<AnyRef>::new());
    datacenter.put("configuration", &DatacenterConfigInfo::default());
    tx.insert(datacenter);
}

pub(super) fn call(inv: &mut Invocation<'_, '_>) -> Option<Answer> {
    Some(match inv.request.method.as_str() {
        // Only vCenter places machines; on a host the task fails.
        "PowerOnMultiVM_Task" => {
            let this = inv.this.clone();
            task::begin(inv, &this, "Datacenter.powerOnMultiVm", |_| {
                Err(fault::not_implemented())
            })
        }
        _ => return None,
    })
}
