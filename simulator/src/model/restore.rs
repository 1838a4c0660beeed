//! Converts the inventory to and from its persisted form.

use vim25::types::{
    HostNetworkInfo, HostVirtualSwitchSpec, ResourceAllocationInfo, ResourceConfigSpec, SharesInfo,
};
use vim25::{Fault, Ref, mo};

use super::virtual_machine::Placement;
use super::{host_network, network, resource_pool, virtual_machine};
use crate::datastore::site::Site;
use crate::layout::HostLayout;
use crate::machine::Machine;
use crate::object::{Object, Retype};
use crate::saved::{Allocation, Pool, PortGroup, Saved, SavedMachine, Switch};
use crate::world::Transaction;

/// Takes a snapshot of everything that is persisted.
pub(crate) fn snapshot(tx: &mut Transaction<'_>) -> Result<Saved, Fault> {
    let (numbers, drawn) = tx.ids().position();
    let network: HostNetworkInfo = tx
        .object(&HostLayout::own().network_system())?
        .read("networkInfo")?;
    let switches = network.vswitch.iter().map(|switch| Switch {
        name: switch.name.clone(),
        ports: switch.num_ports,
        mtu: switch.spec.mtu,
    });
    let groups = network.portgroup.iter().map(|group| PortGroup {
        name: group.spec.name.clone(),
        vlan: group.spec.vlan_id,
        switch: group.spec.vswitch_name.clone(),
    });
    let mut pools = Vec::new();
    let root: Ref<mo::ResourcePool> = Ref::new(super::ROOT_POOL);
    let mut pending = vec![root.clone()];
    while let Some(pool) = pending.pop() {
        let object = tx.object(&pool)?;
        if pool != root {
            pools.push(pool_of(object)?);
        }
        pending.extend(object.list::<Ref<mo::ResourcePool>>("resourcePool")?);
    }
    let mut machines = Vec::new();
    let store = &tx.shared().store;
    for object in tx.all("VirtualMachine") {
        let pool: Ref<mo::ResourcePool> = object.read("resourcePool")?;
        let vmx = &Machine::of(object)?.vmx;
        let datastore = vmx.datastore();
        machines.push(SavedMachine {
            id: object.value().to_owned(),
            vmx: vmx.relative(),
            datastore: (datastore != store.first().name).then(|| datastore.to_owned()),
            pool: pool.value().to_owned(),
        });
    }
    Ok(Saved {
        numbers,
        drawn,
        datastore: store.first().reference().value().to_owned(),
        other_datastores: store
            .volumes()
            .skip(1)
            .map(|volume| (volume.name.clone(), volume.reference().value().to_owned()))
            .collect(),
        host: tx
            .object(&HostLayout::own().host())?
            .read("hardware.systemInfo.uuid")?,
        switches: switches.collect(),
        port_groups: groups.collect(),
        pools,
        machines,
        ..Saved::default()
    })
}

fn pool_of(object: &Object) -> Result<Pool, Fault> {
    let config: ResourceConfigSpec = object.read("config")?;
    let parent = object.parent().unwrap_or_default();
    Ok(Pool {
        id: object.value().to_owned(),
        name: object.name().to_owned(),
        parent: parent.value().to_owned(),
        cpu: Allocation::from(&config.cpu_allocation),
        memory: Allocation::from(&config.memory_allocation),
    })
}

impl From<&ResourceAllocationInfo> for Allocation {
    fn from(info: &ResourceAllocationInfo) -> Self {
        Self {
            reservation: info.reservation,
            limit: info.limit,
            expandable: info.expandable_reservation,
            shares: info
                .shares
                .as_ref()
                .map(|shares| (shares.shares, shares.level.as_str().to_owned())),
        }
    }
}

impl From<&Allocation> for ResourceAllocationInfo {
    fn from(kept: &Allocation) -> Self {
        Self {
            reservation: kept.reservation,
            limit: kept.limit,
            expandable_reservation: kept.expandable,
            shares: kept.shares.as_ref().map(|(shares, level)| {
                Box::new(SharesInfo {
                    shares: *shares,
                    level: level.as_str().into(),
                })
            }),
            ..Default::default()
        }
    }
}

/// Restores a snapshot. Machines whose files are missing are skipped with a warning.
pub(super) fn restore(tx: &mut Transaction<'_>, saved: &Saved) -> Result<(), Fault> {
    for switch in &saved.switches {
        let mut spec = HostVirtualSwitchSpec::default();
        spec.num_ports = switch.ports;
        spec.mtu = switch.mtu;
        host_network::make_switch(tx, &HostLayout::own(), &switch.name, &spec)?;
    }
    for group in &saved.port_groups {
        network::build(
            tx,
            &HostLayout::own(),
            &group.name,
            group.vlan,
            &group.switch,
        )?;
    }
    for pool in &saved.pools {
        let config = ResourceConfigSpec {
            cpu_allocation: (&pool.cpu).into(),
            memory_allocation: (&pool.memory).into(),
            ..Default::default()
        };
        let parent: Ref<mo::ResourcePool> = Ref::new(&pool.parent);
        resource_pool::put(tx, &pool.id, &pool.name, &parent, config)?;
    }
    for machine in &saved.machines {
        let pool: Ref<mo::ResourcePool> = Ref::new(&machine.pool);
        let pool = match tx.object(&pool) {
            Ok(pool) => pool.reference().retype(),
            Err(_) => Ref::new(super::ROOT_POOL),
        };
        let place = Placement::new(tx, &tx.layout().first().vm_folder, &pool, None)?;
        let store = &tx.shared().store;
        let datastore = machine.datastore.as_ref().unwrap_or(&store.first().name);
        let path = format!("[{datastore}] {}", machine.vmx);
        let restored = store
            .parse(Site::FIRST, &path)
            .and_then(|vmx| virtual_machine::restore(tx, &machine.id, &vmx, &place));
        if let Err(fault) = restored {
            tracing::warn!(vmx = machine.vmx, %fault, "a machine is gone from the inventory");
        }
    }
    Ok(())
}
