//! Making a container.

use jiff::Timestamp;

use super::Shared;
use crate::exec::ContainerSpec;
use crate::vsphere::machine_spec::container_name_in;
use crate::vsphere::record::Record;
use crate::{ContainerId, Error, Resource, Result};

impl Shared {
    /// One call makes the whole machine: there is no moment at which half a container exists.
    pub(super) async fn create(&self, spec: ContainerSpec) -> Result<ContainerId> {
        spec.validate()?;
        let id = spec.id;
        let resource = Resource::container(id);
        // In this order always, so that two creates cannot wait for each other.
        let _id_turn = self.ids.turn(id).await;
        let _name_turn = self.names.turn(spec.name.clone()).await;

        let uuid = self.place.defaults.uuid(&id);
        for member in self.roster().await? {
            if member.uuid == Some(uuid) {
                return Err(Error::already_exists(resource));
            }
            if container_name_in(&member.name) == Some(&spec.name) {
                return Err(Error::already_exists(Resource::container(&spec.name)));
            }
        }
        let network = match &spec.network {
            None => self.place.bridge.clone(),
            Some(name) => self.endpoint.network(&self.place.datacenter, name).await?,
        };
        let keys = Record::new(&spec, Timestamp::now())
            .keys(self.options.dialect)
            .map_err(|error| Error::invalid_argument(resource.clone(), "command", error))?;
        let machine = self.place.defaults.container(&spec, network, keys);
        let vm = self
            .endpoint
            .create(&self.place.folder, &self.place.pool, &machine, &resource)
            .await?;
        tracing::debug!(container = %id, machine = %vm, "created");
        self.members.insert(id, vm);
        Ok(id)
    }
}
