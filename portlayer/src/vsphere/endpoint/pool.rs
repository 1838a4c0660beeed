//! Creates, limits and destroys resource pools.

use vim25::types::{ResourceAllocationInfo, ResourceConfigSpec};
use vim25::{Property, Ref, mo};

use super::Endpoint;
use crate::vsphere::allocation::{from_info, to_info};
use crate::vsphere::fault;
use crate::vsphere::hosts::PoolAllocation;
use crate::{Resource, Result};

const CPU: Property<mo::ResourcePool, ResourceAllocationInfo> =
    Property::new("config.cpuAllocation");
const MEMORY: Property<mo::ResourcePool, ResourceAllocationInfo> =
    Property::new("config.memoryAllocation");

impl Endpoint {
    /// Creates a pool whose reservations may be taken from those of its parents.
    pub(in crate::vsphere) async fn create_pool(
        &self,
        parent: &Ref<mo::ResourcePool>,
        name: &str,
        allocation: &PoolAllocation,
        resource: &Resource,
    ) -> Result<Ref<mo::ResourcePool>> {
        let spec = config(allocation);
        self.call(parent.create_resource_pool(name, &spec), resource)
            .await
    }

    /// Changes the limits, reservations and shares of a pool.
    pub(in crate::vsphere) async fn allocate(
        &self,
        pool: &Ref<mo::ResourcePool>,
        allocation: &PoolAllocation,
        resource: &Resource,
    ) -> Result<()> {
        self.fence.check(resource)?;
        let spec = config(allocation);
        self.call(pool.update_config(None, Some(&spec)), resource)
            .await
    }

    /// Reads the limits, reservations and shares of a pool.
    pub(in crate::vsphere) async fn allocation(
        &self,
        pool: &Ref<mo::ResourcePool>,
        resource: &Resource,
    ) -> Result<PoolAllocation> {
        let read = self.client.try_get(pool, (CPU, MEMORY)).await;
        let (cpu, memory) = read.map_err(|error| fault::error(resource, error))?;
        Ok(PoolAllocation::new()
            .cpu(from_info(cpu.as_ref()))
            .memory(from_info(memory.as_ref())))
    }

    /// Destroys a pool; the machines in it move to its parent.
    pub(in crate::vsphere) async fn destroy_pool(
        &self,
        pool: &Ref<mo::ResourcePool>,
        resource: &Resource,
    ) -> Result<()> {
        self.run(pool.destroy(), resource).await
    }
}

fn config(allocation: &PoolAllocation) -> ResourceConfigSpec {
    let expandable = |allocation| ResourceAllocationInfo {
        expandable_reservation: Some(true),
        ..to_info(allocation)
    };
    ResourceConfigSpec {
        cpu_allocation: expandable(&allocation.cpu),
        memory_allocation: expandable(&allocation.memory),
        ..ResourceConfigSpec::default()
    }
}
