//! What devices of machines can be connected to: datastores and networks.

use std::collections::BTreeSet;

use vim25::types::{
    ConfigTarget, DistributedVirtualPortgroupInfo, DistributedVirtualSwitchInfo,
    HostHardwareSummary, VirtualMachineDatastoreInfo, VirtualMachineNetworkInfo,
    VirtualMachineTargetInfo,
};
use vim25::{AnyRef, Fault};

use super::Host;
use crate::machine::config::MAX_MEMORY;
use crate::object::{Object, Retype};
use crate::world::Transaction;

/// Returns what machines on the hosts can use. The processors are those of all hosts together.
pub(super) fn new(tx: &Transaction<'_>, hosts: &[Host]) -> Result<ConfigTarget, Fault> {
    let mut target = ConfigTarget {
        supported_max_mem_mb: Some(MAX_MEMORY),
        ..Default::default()
    };
    let mut seen: BTreeSet<String> = BTreeSet::new();
    for host in hosts {
        let host = tx.object(host)?;
        // A loaded host that was disconnected may have none.
        let hardware: HostHardwareSummary = host.read("summary.hardware").unwrap_or_default();
        let memory = i32::try_from(hardware.memory_size >> 20).unwrap_or(i32::MAX);
        let threads = i32::from(hardware.num_cpu_threads);
        let add_to = |sum: &mut i32, own: i32| *sum = sum.saturating_add(own);
        add_to(&mut target.num_cpus, threads);
        add_to(&mut target.num_cpu_cores, hardware.num_cpu_cores.into());
        add_to(&mut target.num_numa_nodes, hardware.num_cpu_pkgs.into());
        // These are about one machine, so they are those of the largest host.
        let most = target.max_cpus_per_host.unwrap_or(0);
        target.max_cpus_per_host = Some(threads.max(most));
        target.max_mem_mb_optimal_perf = memory.max(target.max_mem_mb_optimal_perf);
        for list in ["datastore", "network"] {
            for found in host.list::<AnyRef>(list)? {
                if seen.insert(found.value().to_owned()) {
                    add(tx, &mut target, tx.object(&found)?)?;
                }
            }
        }
    }
    Ok(target)
}

/// Adds a datastore, a network or a distributed port group. A port group also adds its switch.
fn add(tx: &Transaction<'_>, target: &mut ConfigTarget, found: &Object) -> Result<(), Fault> {
    let base = VirtualMachineTargetInfo {
        name: found.name().to_owned(),
        ..Default::default()
    };
    match found.reference().type_name() {
        "Datastore" => target.datastore.push(VirtualMachineDatastoreInfo {
            base,
            datastore: found.read("summary")?,
            capability: found.read("capability")?,
            max_file_size: found.read("info.maxFileSize")?,
            mode: "readWrite".into(),
            vstorage_support: Some("vStorageUnsupported".into()),
            ..Default::default()
        }),
        "Network" => target.network.push(VirtualMachineNetworkInfo {
            base,
            network: found.read("summary")?,
            ..Default::default()
        }),
        "DistributedVirtualPortgroup" => {
            let switch: AnyRef = found.read("config.distributedVirtualSwitch")?;
            let switch = tx.object(&switch)?;
            let info = DistributedVirtualSwitchInfo {
                switch_name: switch.name().to_owned(),
                switch_uuid: switch.read("uuid")?,
                distributed_virtual_switch: switch.reference().retype(),
                network_reservation_supported: Some(false),
            };
            let group = DistributedVirtualPortgroupInfo {
                switch_name: info.switch_name.clone(),
                switch_uuid: info.switch_uuid.clone(),
                portgroup_name: found.name().to_owned(),
                portgroup_key: found.read("key")?,
                portgroup_type: found.read("config.type")?,
                uplink_portgroup: false,
                portgroup: found.reference().retype(),
                network_reservation_supported: Some(false),
                backing_type: Some("standard".into()),
                ..Default::default()
            };
            target.distributed_virtual_portgroup.push(group);
            let switches = &mut target.distributed_virtual_switch;
            let known = |own: &DistributedVirtualSwitchInfo| own.switch_uuid == info.switch_uuid;
            if !switches.iter().any(known) {
                switches.push(info);
            }
        }
        // Machines cannot be connected to networks of other kinds.
        _ => {}
    }
    Ok(())
}
