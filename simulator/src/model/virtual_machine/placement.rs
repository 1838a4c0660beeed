//! Placement of a machine: its folder, pool and host.

use vim25::types::HostSystemConnectionState;
use vim25::{AnyRef, Fault, Ref, mo};

use crate::fault;
use crate::model::compute_resource::is_without_drs;
use crate::object::Retype;
use crate::world::Transaction;

/// The folder, pool and host of a machine.
#[derive(Clone, Debug)]
pub(crate) struct Placement {
    pub(crate) folder: Ref<mo::Folder>,
    pub(crate) pool: Ref<mo::ResourcePool>,
    pub(crate) host: Ref<mo::HostSystem>,
}

impl Placement {
    /// Returns a placement in a pool, on the requested host or on the host with the fewest
    /// machines.
    ///
    /// # Errors
    /// Fails if the host does not belong to the pool's compute resource, or if no host was
    /// requested in a cluster without DRS.
    pub(crate) fn new(
        tx: &Transaction<'_>,
        folder: &Ref<mo::Folder>,
        pool: &Ref<mo::ResourcePool>,
        host: Option<&Ref<mo::HostSystem>>,
    ) -> Result<Self, Fault> {
        let owner: AnyRef = tx.object(pool)?.read("owner")?;
        let owner = tx.object(&owner)?;
        let hosts: Vec<Ref<mo::HostSystem>> = owner.list("host")?;
        let host = match host {
            Some(host) => {
                tx.object(host)?;
                let found = hosts.iter().find(|own| own.value() == host.value());
                found.ok_or_else(|| fault::invalid_argument("host"))?
            }
            None => {
                if hosts.len() > 1 && is_without_drs(owner) {
                    // Without DRS the caller has to choose the host.
                    return Err(fault::invalid_argument("host"));
                }
                let fit = hosts.iter().filter(|host| is_fit(tx, host));
                let fewest = fit.min_by_key(|host| tx.population(host.value(), "vm"));
                fewest.ok_or_else(fault::no_compatible_host)?
            }
        };
        Ok(Self {
            folder: folder.clone(),
            pool: tx.object(pool)?.reference().retype(),
            host: host.clone(),
        })
    }

    /// Returns a placement in the first pool and the folder for machines.
    pub(crate) fn any(tx: &Transaction<'_>) -> Result<Self, Fault> {
        let compute = tx.all("ComputeResource").next();
        let compute = compute.ok_or_else(fault::no_compatible_host)?;
        let pool: Ref<mo::ResourcePool> = compute.read("resourcePool")?;
        Self::new(tx, &tx.layout().vm_folder(), &pool, None)
    }

    /// Fails if the host has the maximum number of machines.
    pub(crate) fn check_room(&self, tx: &Transaction<'_>) -> Result<(), Fault> {
        let limit = tx.shared().settings.machines_per_host;
        let registered = tx.population(self.host.value(), "vm");
        if limit.is_some_and(|limit| registered >= limit) {
            return Err(fault::too_many_machines());
        }
        Ok(())
    }

    /// Returns the environment browser of the compute resource.
    pub(crate) fn environment(
        &self,
        tx: &Transaction<'_>,
    ) -> Result<Ref<mo::EnvironmentBrowser>, Fault> {
        let owner: AnyRef = tx.object(&self.pool)?.read("owner")?;
        tx.object(&owner)?.read("environmentBrowser")
    }
}

/// Returns whether a host accepts machines.
fn is_fit(tx: &Transaction<'_>, host: &Ref<mo::HostSystem>) -> bool {
    tx.object(host).is_ok_and(|host| {
        host.read("runtime.inMaintenanceMode") == Ok(false)
            && host.read("runtime.connectionState") == Ok(HostSystemConnectionState::Connected)
    })
}
