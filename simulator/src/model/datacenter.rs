//! The datacenter: a host has one, with four folders.

use vim25::types::DatacenterConfigInfo;
use vim25::{AnyRef, mo};

use super::entity;
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
