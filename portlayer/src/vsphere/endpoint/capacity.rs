//! Counts the machines of hosts, and reads the free space of datastores.

use vim25::{Property, Ref, mo, props};

use vsphere_client::Datastore;

use super::Endpoint;
use super::survey::FREE;
use crate::vsphere::fault;
use crate::{Resource, Result};

const LIMIT: Property<mo::HostSystem, i32> = Property::new("capability.maxRegisteredVMs");

/// The maximum number of machines of a host that does not report one: that of ESXi 6.
const USUAL_LIMIT: usize = 512;

/// The number of registered machines, on or off, and its maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::vsphere) struct Registered {
    pub(in crate::vsphere) machines: usize,
    pub(in crate::vsphere) limit: usize,
}

impl Endpoint {
    /// Returns the free space of a datastore in bytes, where the endpoint reports it.
    pub(in crate::vsphere) async fn free_space(
        &self,
        datastore: &Datastore,
        resource: &Resource,
    ) -> Result<Option<u64>> {
        let reference = datastore.reference();
        // Without this, endpoints report a value that is some minutes old. Best effort.
        if let Err(error) = self.call(reference.refresh_datastore(), resource).await {
            tracing::debug!(%resource, %error, "cannot refresh the free space of a datastore");
        }
        let free = self.client.try_get(reference, FREE).await;
        let free = free.map_err(|error| fault::error(resource, error))?;
        Ok(free.and_then(|bytes| u64::try_from(bytes).ok()))
    }

    /// Counts the machines of the ESXi hosts on which the machines of a pool are created, of all
    /// owners. Returns `None` if a host has room for another one.
    pub(in crate::vsphere) async fn full_hosts(
        &self,
        pool: &Ref<mo::ResourcePool>,
        resource: &Resource,
    ) -> Result<Option<Registered>> {
        let wrap = |error| fault::error(resource, error);
        let owner = self.client.get(pool, props::resource_pool::OWNER).await;
        let hosts = self
            .client
            .try_get(&owner.map_err(wrap)?, props::compute_resource::HOST)
            .await
            .map_err(wrap)?
            .unwrap_or_default();
        if hosts.is_empty() {
            return Ok(None);
        }
        let found = self
            .client
            .retrieve::<mo::HostSystem>()
            .objects(hosts)
            .property(props::host_system::VM)
            .property(LIMIT)
            .collect()
            .await
            .map_err(wrap)?;
        let counted: Vec<_> = found
            .iter()
            .map(|host| Registered {
                machines: host
                    .value(props::host_system::VM)
                    .map_or(0, |vms| vms.len()),
                limit: host
                    .value(LIMIT)
                    .and_then(|limit| limit.try_into().ok())
                    .unwrap_or(USUAL_LIMIT),
            })
            .collect();
        let is_full = |host: &Registered| host.machines >= host.limit;
        Ok(
            (!counted.is_empty() && counted.iter().all(is_full)).then(|| Registered {
                machines: counted.iter().map(|host| host.machines).sum(),
                limit: counted.iter().map(|host| host.limit).sum(),
            }),
        )
    }
}
