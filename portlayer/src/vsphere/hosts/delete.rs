//! Deletes a host.

use std::collections::BTreeSet;

use vim25::{Ref, mo};
use vsphere_client::Datacenter;

use super::ContainerPolicy;
use super::Deletion;
use super::Shared;
use super::leftovers::Traces;
use super::lookup::{APPLIANCE_ISO, BOOTSTRAP_ISO, Found, datastore_path};
use crate::vsphere::endpoint::MachineFolder;
use crate::vsphere::exec::VsphereExec;
use crate::vsphere::kind;
use crate::vsphere::networks::{created_networks, delete_copies};
use crate::vsphere::probe;
use crate::vsphere::scope_networks::ScopeNetworks;
use crate::{Capabilities, Error, ErrorKind, Resource, Result};

impl Shared {
    /// Deletes a host. The appliance is deleted last, because hosts are found by their appliances:
    /// after a failure, another call finds the host and continues.
    pub(super) async fn delete(&self, name: &str, containers: ContainerPolicy) -> Result<Deletion> {
        let _turn = self.names.turn(name.to_owned()).await;
        let host = kind::host(name);
        let found = match self.find(name).await {
            Err(error) if error.is_not_found() => return self.delete_remains(name, error).await,
            found => found?,
        };
        let home = self.endpoint.home(&found.machine.vm, &host).await?;
        let directory = found.machine.directory();
        let datastore = self.datastore_of(&found, &home).await?;
        // If the host has neither a pool nor a folder of its own, an earlier call has already deleted
        // the pool, and the containers before it. The containers in the remaining pool may belong to
        // other hosts.
        let (pool, datacenter) = (home.pool.clone(), home.datacenter.clone());
        let own_pool = home.own_pool(name).cloned();
        let own_folder = self.own_folder(&found, &home).await?;
        let mut containers_removed = BTreeSet::new();
        if own_pool.is_some() || own_folder.is_some() {
            let mut objects = self.objects_of(&found, home, own_folder.clone()).await?;
            let image_folder = self
                .endpoint
                .find_image_folder(&objects.folder, name, &host)
                .await?;
            objects.image_folder.clone_from(&image_folder);
            // Capabilities do not matter for machines that are about to be removed.
            let capabilities = self
                .capabilities
                .get()
                .copied()
                .unwrap_or(Capabilities::none());
            probe::sweep(&self.endpoint, &objects).await?;
            let (endpoint, options) = (self.endpoint.clone(), self.options.clone());
            let exec = VsphereExec::new(endpoint, objects, options, capabilities, None);
            containers_removed = self
                .remove_containers(&exec, &found, &datastore, containers)
                .await?;
            exec.images().remove_all().await?;
            if let Some(folder) = image_folder {
                self.endpoint.delete_image_folder(&folder, &host).await?;
            }
        }
        let vm = &found.machine.vm;
        self.endpoint.power_off(vm, &host).await?;
        for file in [APPLIANCE_ISO, BOOTSTRAP_ISO] {
            self.endpoint
                .delete_file(&datastore, &format!("{directory}/{file}"), &host)
                .await?;
        }
        delete_copies(&self.endpoint, &datastore, &directory, &host).await?;
        // The appliance records which networks were created, so they are removed before the
        // appliance.
        let mut created = created_networks(&found.machine.keys.unpack());
        created.extend(self.marked_networks(&found, &datacenter, &pool).await?);
        let created = created.iter().map(|(name, vlan)| (name.as_str(), *vlan));
        self.endpoint
            .remove_vlan_networks(&datacenter, &pool, created)
            .await?;
        let bridge = &found.record.bridge_network;
        if found.record.created_bridge {
            self.remove_bridge(bridge, &pool, vm, &host).await?;
        }
        let deleted_pool = own_pool.is_some();
        if let Some(pool) = own_pool {
            // Destroying the pool moves the appliance to the pool's parent.
            self.endpoint.destroy_pool(&pool, &host).await?;
        }
        self.endpoint.destroy(vm, &host).await?;
        if datastore_path(&directory).path() == name {
            self.endpoint
                .delete_file(&datastore, &directory, &host)
                .await?;
        }
        let mut foreign = Vec::new();
        if let Some(folder) = &own_folder {
            foreign = self.endpoint.delete_empty_folder(folder, &host).await?;
        }
        let deleted_folder = own_folder.is_some() && foreign.is_empty();
        let traces = Traces {
            found: &found,
            place: (&datacenter, &pool),
            datastore: &datastore,
            directory: &directory,
            containers: containers_removed,
            deleted_folder,
        };
        let left = self.left_of(&traces).await?;
        Ok(Deletion {
            kept_network: (!found.record.created_bridge).then(|| bridge.clone()),
            deleted_network: found.record.created_bridge.then(|| bridge.clone()),
            deleted_pool,
            deleted_folder,
            foreign,
            left,
        })
    }

    /// Returns the port groups on the switch of the bridge network that were created for the host's
    /// scopes, whether a scope has them or not.
    pub(super) async fn marked_networks(
        &self,
        found: &Found,
        datacenter: &Datacenter,
        pool: &Ref<mo::ResourcePool>,
    ) -> Result<Vec<(String, u16)>> {
        let Some(vlans) = found.record.scope_vlans else {
            return Ok(Vec::new());
        };
        let networks = ScopeNetworks {
            host: found.machine.name.clone(),
            appliance: found.machine.uuid.unwrap_or_default(),
            vlans,
        };
        let bridge = &found.record.bridge_network;
        match self.endpoint.bridge_switch(datacenter, pool, bridge).await {
            Ok(switch) => Ok(networks.among(&switch)),
            // An earlier call has removed the network, or port groups cannot be created here.
            Err(Error {
                kind: ErrorKind::NotFound | ErrorKind::Unsupported { .. },
                ..
            }) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// Deletes an empty pool and an empty folder of this name, which an installation that was
    /// interrupted at its beginning, or a deletion at its end, leaves without a host.
    async fn delete_remains(&self, name: &str, not_found: Error) -> Result<Deletion> {
        let resource = Resource::new(kind::RESOURCE_POOL, name);
        let mut deletion = Deletion::default();
        for pool in self.endpoint.pools_named(name).await? {
            if self.endpoint.is_empty_pool(&pool, &resource).await? {
                self.endpoint.destroy_pool(&pool, &resource).await?;
                deletion.deleted_pool = true;
            }
        }
        let resource = folder(name);
        for folder in self.folders_named(name).await? {
            let content = self.endpoint.delete_empty_folder(&folder, &resource);
            deletion.deleted_folder |= content.await?.is_empty();
        }
        if deletion.deleted_pool || deletion.deleted_folder {
            Ok(deletion)
        } else {
            Err(not_found)
        }
    }

    /// Finds the folders with this name at the places where folders of hosts are created.
    pub(super) async fn folders_named(&self, name: &str) -> Result<Vec<Ref<mo::Folder>>> {
        if !self.endpoint.has_folders() {
            return Ok(Vec::new());
        }
        let folders = self.endpoint.machine_folders().await?;
        let is_placed = |folder: &&MachineFolder| {
            let mut roots = folders.iter().filter(|root| root.is_root());
            folder.name == name && roots.any(|root| folder.is_in(root))
        };
        let found = folders.iter().filter(is_placed);
        Ok(found.map(|folder| folder.folder.clone()).collect())
    }
}

pub(super) fn folder(name: &str) -> Resource {
    Resource::new(kind::FOLDER, name)
}
