//! Making a container.

use jiff::Timestamp;

use vim25::Poly;
use vim25::types::VirtualDeviceBackingInfo;

use super::Shared;
use crate::exec::ContainerSpec;
use crate::volume::MountSource;
use crate::vsphere::line_keys;
use crate::vsphere::machine_spec::container_name_in;
use crate::vsphere::record::Record;
use crate::{Capability, ContainerId, Error, Resource, Result};

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
        let networks = self.networks(&spec).await?;
        let root = match spec.root.image_id() {
            Some(image) => Some((*image, self.images.root(image).await?)),
            None => None,
        };
        let mut keys = Record::new(&spec, Timestamp::now())
            .keys(self.options.dialect)
            .map_err(|error| Error::invalid_argument(resource.clone(), "command", error))?;
        let client_key = self.place.defaults.client_key.as_ref();
        keys.extend(line_keys::keys(
            client_key,
            self.options.dialect,
            &resource,
        )?);
        let parent = root.as_ref().map(|(_, root)| root);
        let machine = self.place.defaults.container(&spec, networks, parent, keys);
        let vm = self
            .endpoint
            .create(&self.place.folder, &self.place.pool, &machine, &resource)
            .await?;
        tracing::debug!(container = %id, machine = %vm, "created");
        self.members.insert(id, vm);
        if let Some((image, root)) = &root
            && let Err(error) = self.images.confirm(image, root).await
        {
            // The image was removed at the same time, so its disk may be gone.
            if let Err(error) = self.remove_now(&id).await {
                tracing::warn!(container = %id, %error, "left behind without its image");
            }
            return Err(error);
        }
        Ok(id)
    }

    /// What the container's cards are put on, one per endpoint.
    async fn networks(&self, spec: &ContainerSpec) -> Result<Vec<Poly<VirtualDeviceBackingInfo>>> {
        if let Some(mount) = spec.mounts.first() {
            let resource = match &mount.source {
                MountSource::Volume(name) => Resource::volume(name),
                _ => Resource::container(spec.id),
            };
            return Err(Error::unsupported(resource, Capability::Volumes));
        }
        if spec.endpoints.is_empty() {
            return Ok(vec![self.place.bridge.clone()]);
        }
        let mut networks = Vec::new();
        for endpoint in &spec.endpoints {
            let network = match endpoint.scope.as_str() {
                BRIDGE => self.place.bridge.clone(),
                name => self.endpoint.network(&self.place.datacenter, name).await?,
            };
            networks.push(network);
        }
        Ok(networks)
    }
}

/// The scope that is the host's bridge network.
const BRIDGE: &str = "bridge";
