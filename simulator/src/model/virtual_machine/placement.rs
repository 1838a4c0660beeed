//! Placement of a machine: its folder, pool and host.

use std::sync::Arc;

use vim25::types::HostSystemConnectionState;
use vim25::{AnyRef, Fault, Ref, mo};

use crate::datastore::site::Site;
use crate::fault;
use crate::model::compute_resource::is_without_drs;
use crate::model::entity;
use crate::object::{Object, Retype};
use crate::vapp;
use crate::world::Transaction;

/// The folder, pool and host of a machine.
#[derive(Clone, Debug)]
pub(crate) struct Placement {
    /// The datacenter of all of them.
    pub(crate) site: Site,
    /// The folder, or the vApp if the pool is one: a machine in a vApp is in no folder.
    pub(crate) folder: Ref<mo::Folder>,
    pub(crate) pool: Ref<mo::ResourcePool>,
    pub(crate) host: Ref<mo::HostSystem>,
}

impl Placement {
    /// Returns a placement in a pool, on the requested host or on the host with the fewest
    /// machines.
    ///
    /// # Errors
    /// Fails if the folder and the pool are in different datacenters, if the host does not belong to
    /// the pool's compute resource, or if no host was requested in a cluster without DRS.
    pub(crate) fn new(
        tx: &Transaction<'_>,
        folder: &Ref<mo::Folder>,
        pool: &Ref<mo::ResourcePool>,
        host: Option<&Ref<mo::HostSystem>>,
    ) -> Result<Self, Fault> {
        let owner: AnyRef = tx.object(pool)?.read("owner")?;
        let owner = tx.object(&owner)?;
        let hosts: Vec<Ref<mo::HostSystem>> = owner.list("host")?;
        let site = entity::site(tx, folder)?;
        let datacenter = &tx.layout().at(site).datacenter;
        if entity::datacenter(tx, owner.reference())? != *datacenter {
            return Err(fault::other_datacenter(
                "pool",
                &entity::any(pool),
                datacenter,
            ));
        }
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
            site,
            folder: vapp::holder(tx, &entity::any(folder), pool)?.retype(),
            pool: tx.object(pool)?.reference().retype(),
            host: host.clone(),
        })
    }

    /// Returns a placement in a folder and the first pool of its datacenter.
    pub(crate) fn any(tx: &Transaction<'_>, folder: &Ref<mo::Folder>) -> Result<Self, Fault> {
        let own = entity::datacenter(tx, folder)?;
        let is_here = |compute: &&Arc<Object>| {
            entity::datacenter(tx, compute.reference()).is_ok_and(|other| other == own)
        };
        let compute = tx.all("ComputeResource").find(is_here);
        let compute = compute.ok_or_else(fault::no_compatible_host)?;
        let pool: Ref<mo::ResourcePool> = compute.read("resourcePool")?;
        Self::new(tx, folder, &pool, None)
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
