//! Looks up datacenters, pools, folders, datastores and machines.

use futures_util::{StreamExt, TryStreamExt, stream};
use uuid::Uuid;
use vim25::{Ref, mo, props};
use vsphere_client::{Datacenter, Datastore, Item, ObjectProperties};

use super::machine::PATHS;
use super::{Endpoint, Machine, MachineFolder, Parent};
use crate::vsphere::fault;
use crate::vsphere::host_objects::HostObjects;
use crate::vsphere::kind;
use crate::{Error, Resource, Result};

/// Maximum number of concurrent look-ups by name.
const AT_A_TIME: usize = 8;

/// Maximum depth of nested folders that are searched.
const MAX_DEPTH: usize = 64;

/// The location of a machine in the inventory.
#[derive(Clone, Debug)]
pub(in crate::vsphere) struct Home {
    pub(in crate::vsphere) pool: Ref<mo::ResourcePool>,
    pub(in crate::vsphere) pool_name: String,
    /// Whether the pool is the root pool of a host or cluster.
    is_root_pool: bool,
    pub(in crate::vsphere) folder: Ref<mo::Folder>,
    pub(in crate::vsphere) datacenter: Datacenter,
}

impl Home {
    /// Returns the pool if it belongs to the host with this name. A root pool never does.
    pub(in crate::vsphere) fn own_pool(&self, host: &str) -> Option<&Ref<mo::ResourcePool>> {
        (self.pool_name == host && !self.is_root_pool).then_some(&self.pool)
    }
}

impl Endpoint {
    pub(super) fn root(&self) -> &Ref<mo::Folder> {
        &self.client.service_content().root_folder
    }

    /// Finds a datacenter by name; `None` finds the only one.
    pub(in crate::vsphere) async fn datacenter(&self, name: Option<&str>) -> Result<Datacenter> {
        let resource = Resource::new(kind::DATACENTER, name.unwrap_or_default());
        let found = self.client.inventory().datacenter(name).await;
        found.map_err(|error| fault::error(&resource, error))
    }

    /// Returns access to the endpoint's inventory.
    pub(in crate::vsphere) async fn datastore(
        &self,
        datacenter: &Datacenter,
        name: Option<&str>,
    ) -> Result<Datastore> {
        let resource = Resource::new(kind::DATASTORE, name.unwrap_or_default());
        let found = self.client.inventory().datastore(datacenter, name).await;
        found.map_err(|error| fault::error(&resource, error))
    }

    /// Finds the parent of a host's pool: the root pool of a compute resource, or another pool, by
    /// name or inventory path.
    pub(in crate::vsphere) async fn parent_pool(
        &self,
        datacenter: &Datacenter,
        name: Option<&str>,
    ) -> Result<Ref<mo::ResourcePool>> {
        let resource = Resource::new(kind::COMPUTE_RESOURCE, name.unwrap_or_default());
        let found = self
            .client
            .inventory()
            .resource_pool(datacenter, name)
            .await;
        found.map_err(|error| fault::error(&resource, error))
    }

    /// Finds a direct child of a pool by name.
    pub(in crate::vsphere) async fn child_pool(
        &self,
        parent: &Ref<mo::ResourcePool>,
        name: &str,
        resource: &Resource,
    ) -> Result<Option<Ref<mo::ResourcePool>>> {
        let pools = self
            .client
            .retrieve::<mo::ResourcePool>()
            .property(props::resource_pool::NAME)
            .along(parent, props::resource_pool::RESOURCE_POOL)
            .collect()
            .await
            .map_err(|error| fault::error(resource, error))?;
        let is_named = |pool: &&ObjectProperties<mo::ResourcePool>| {
            pool.value(props::resource_pool::NAME).as_deref() == Some(name)
        };
        Ok(pools
            .iter()
            .find(is_named)
            .map(|pool| pool.object().clone()))
    }

    /// Reads all machines on the endpoint, and keeps what `keep` returns. Only one page of machines
    /// is in memory at a time.
    pub(in crate::vsphere) async fn all_machines<T>(
        &self,
        keep: impl Fn(Machine) -> Option<T>,
    ) -> Result<Vec<T>> {
        let query = PATHS.iter().fold(
            self.client.retrieve::<mo::VirtualMachine>(),
            |query, path| query.path(*path),
        );
        let wrap = |error| fault::error(&self.resource(), error);
        let mut machines = query.within(self.root()).stream();
        let mut kept = Vec::new();
        while let Some(machine) = machines.try_next().await.map_err(wrap)? {
            if let Item::Object(machine) = machine {
                kept.extend(keep(Machine::read(&machine)));
            }
        }
        Ok(kept)
    }

    /// Finds the machines with this name in these folders, at most one in each, through the
    /// endpoint's search index.
    pub(in crate::vsphere) async fn machines_named(
        &self,
        folders: impl IntoIterator<Item = &MachineFolder>,
        name: &str,
        resource: &Resource,
    ) -> Result<Vec<Ref<mo::VirtualMachine>>> {
        let calls: Vec<_> = folders
            .into_iter()
            .map(|folder| self.child_named(&folder.folder, name, resource))
            .collect();
        let found: Vec<_> = stream::iter(calls)
            .buffer_unordered(AT_A_TIME)
            .try_collect()
            .await?;
        let machine = |entity: Ref<mo::ManagedEntity>| entity.downcast::<mo::VirtualMachine>();
        Ok(found.into_iter().flatten().filter_map(machine).collect())
    }

    /// Finds the machine of the host with this BIOS UUID, or the template with it, through the
    /// endpoint's search index.
    pub(in crate::vsphere) async fn find_machine(
        &self,
        objects: &HostObjects,
        uuid: Uuid,
        resource: &Resource,
    ) -> Result<Option<Ref<mo::VirtualMachine>>> {
        let Some(index) = &self.client.service_content().search_index else {
            return Err(Error::internal(resource.clone(), "it has no search index"));
        };
        let datacenter = objects.datacenter.reference();
        let call = index.find_by_uuid(Some(datacenter), &uuid.to_string(), true, Some(false));
        let found = self.call(call, resource).await?;
        let Some(vm) = found.and_then(|entity| entity.downcast::<mo::VirtualMachine>()) else {
            return Ok(None);
        };
        let properties = (
            props::virtual_machine::RESOURCE_POOL,
            props::virtual_machine::PARENT,
        );
        let (pool, folder) = match self.client.try_get(&vm, properties).await {
            Err(error) if error.is_gone() => return Ok(None),
            read => read.map_err(|error| fault::error(resource, error))?,
        };
        let is_member = match &objects.parent {
            // A template is in no pool.
            Parent::Pool(own) => pool.is_none_or(|pool| pool == *own),
            Parent::Folder(own) => folder.is_some_and(|folder| {
                let own = [Some(own), objects.image_folder.as_ref()];
                own.into_iter()
                    .flatten()
                    .any(|own| own.value() == folder.value())
            }),
        };
        Ok(is_member.then_some(vm))
    }

    /// Returns the inventory path of a pool.
    pub(in crate::vsphere) async fn path_of(
        &self,
        pool: &Ref<mo::ResourcePool>,
        resource: &Resource,
    ) -> Result<String> {
        let path = self.client.inventory().path_of(pool).await;
        path.map_err(|error| fault::error(resource, error))
    }

    pub(in crate::vsphere) async fn is_empty_pool(
        &self,
        pool: &Ref<mo::ResourcePool>,
        resource: &Resource,
    ) -> Result<bool> {
        let children = (
            props::resource_pool::VM,
            props::resource_pool::RESOURCE_POOL,
        );
        let (machines, pools) = self
            .client
            .try_get(pool, children)
            .await
            .map_err(|error| fault::error(resource, error))?;
        Ok(machines.unwrap_or_default().is_empty() && pools.unwrap_or_default().is_empty())
    }

    /// Returns the location of a machine in the inventory.
    pub(in crate::vsphere) async fn home(
        &self,
        vm: &Ref<mo::VirtualMachine>,
        resource: &Resource,
    ) -> Result<Home> {
        let wrap = |error| fault::error(resource, error);
        let properties = (
            props::virtual_machine::RESOURCE_POOL,
            props::virtual_machine::PARENT,
        );
        let (pool, parent) = self.client.try_get(vm, properties).await.map_err(wrap)?;
        let folder = parent
            .as_ref()
            .and_then(|parent| parent.downcast::<mo::Folder>());
        let (Some(pool), Some(folder)) = (pool, folder) else {
            return Err(Error::internal(
                resource.clone(),
                "its machine has no resource pool or folder",
            ));
        };
        let properties = (props::resource_pool::NAME, props::resource_pool::PARENT);
        let (pool_name, pool_parent) =
            self.client.try_get(&pool, properties).await.map_err(wrap)?;
        let pool_name = pool_name.unwrap_or_default();
        let is_root_pool = !pool_parent.is_some_and(|parent| parent.is::<mo::ResourcePool>());
        let mut above = parent;
        for _ in 0..MAX_DEPTH {
            let Some(entity) = above else { break };
            if let Some(datacenter) = entity.downcast::<mo::Datacenter>() {
                let inventory = self.client.inventory();
                let path = inventory.path_of(&datacenter).await.map_err(wrap)?;
                let datacenter = inventory.datacenter(Some(&path)).await.map_err(wrap)?;
                return Ok(Home {
                    pool,
                    pool_name,
                    is_root_pool,
                    folder,
                    datacenter,
                });
            }
            above = self
                .client
                .try_get(&entity, props::managed_entity::PARENT)
                .await
                .map_err(wrap)?;
        }
        Err(Error::internal(
            resource.clone(),
            "its machine is not in a datacenter",
        ))
    }
}
