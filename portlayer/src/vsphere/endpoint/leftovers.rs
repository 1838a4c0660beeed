//! Finds what a deleted host left on the endpoint.

use vim25::{Ref, mo, props};
use vsphere_client::{Datastore, DatastorePath};

use super::Endpoint;
use crate::vsphere::fault;
use crate::vsphere::kind;
use crate::{Error, Resource, Result};

impl Endpoint {
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
