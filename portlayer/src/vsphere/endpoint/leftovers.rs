//! Finds what a deleted host left on the endpoint.

use uuid::Uuid;
use vim25::{Ref, mo, props};
use vsphere_client::{Datastore, DatastorePath, ObjectProperties};

use super::Endpoint;
use super::machine::{PATH, UUID};
use crate::vsphere::fault;
use crate::vsphere::kind;
use crate::{Error, Resource, Result};

/// What identifies a machine.
#[derive(Clone, Debug)]
pub(in crate::vsphere) struct Identified {
    pub(in crate::vsphere) name: String,
    pub(in crate::vsphere) uuid: Option<Uuid>,
    /// The directory of its files: `[datastore] path`.
    pub(in crate::vsphere) directory: String,
}

impl Endpoint {
    /// Lists all machines on the endpoint, those of others included.
    pub(in crate::vsphere) async fn identified(&self) -> Result<Vec<Identified>> {
        let machines = self
            .client
            .retrieve::<mo::VirtualMachine>()
            .property(props::virtual_machine::NAME)
            .property(UUID)
            .property(PATH)
            .within(self.root())
            .collect()
            .await
            .map_err(|error| fault::error(&self.resource(), error))?;
        let identify = |machine: &ObjectProperties<mo::VirtualMachine>| {
            let path = machine.value(PATH).unwrap_or_default();
            let directory = path.parse::<DatastorePath>().map(|path| path.parent());
            Identified {
                name: machine
                    .value(props::virtual_machine::NAME)
                    .unwrap_or_default(),
                uuid: machine.value(UUID).and_then(|uuid| uuid.parse().ok()),
                directory: directory.map_or_else(|_| String::new(), |path| path.to_string()),
            }
        };
        Ok(machines.iter().map(identify).collect())
    }

    /// Finds the pools with this name that are children of other pools.
    pub(in crate::vsphere) async fn pools_named(
        &self,
        name: &str,
    ) -> Result<Vec<Ref<mo::ResourcePool>>> {
        let pools = self
            .client
            .retrieve::<mo::ResourcePool>()
            .property(props::resource_pool::NAME)
            .property(props::resource_pool::PARENT)
            .within(self.root())
            .collect()
            .await
            .map_err(|error| fault::error(&self.resource(), error))?;
        Ok(pools
            .iter()
            .filter(|pool| {
                let parent = pool.value(props::resource_pool::PARENT);
                pool.value(props::resource_pool::NAME).as_deref() == Some(name)
                    && parent.is_some_and(|parent| parent.is::<mo::ResourcePool>())
            })
            .map(|pool| pool.object().clone())
            .collect())
    }

    /// Returns whether `[datastore] path` exists.
    pub(in crate::vsphere) async fn has_file(
        &self,
        datastore: &Datastore,
        path: &str,
    ) -> Result<bool> {
        let resource = Resource::new(kind::FILE, path);
        let parsed: DatastorePath = path
            .parse()
            .map_err(|error| Error::internal(resource.clone(), error))?;
        self.client
            .files(datastore)
            .exists(parsed.path())
            .await
            .map_err(|error| fault::error(&resource, error))
    }
}
