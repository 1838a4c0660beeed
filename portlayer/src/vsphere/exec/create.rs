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
        if self.roster().await?.iter().any(|m| m.uuid == Some(uuid)) {
            return Err(Error::already_exists(resource));
        }
        self.refuse_taken_name(&id, &spec.name).await?;
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
        let machine =
            self.place
                .defaults
                .container(&spec, networks, parent, keys, self.options.dialect);
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

    /// Fails if another container has this name. The names of machines tell, except where the
    /// dialect calls machines by their ids: there the keys do.
    pub(super) async fn refuse_taken_name(&self, id: &ContainerId, name: &str) -> Result<()> {
        let own = self.place.defaults.uuid(id);
        let taken = || Err(Error::already_exists(Resource::container(name)));
        let mut by_id = false;
        for member in self.roster().await? {
            if member.uuid == Some(own) {
                continue;
            }
            if container_name_in(&member.name) == Some(name) {
                return taken();
            }
            by_id |= member.name.parse::<ContainerId>().is_ok();
        }
        if by_id {
            for machine in self.machines().await? {
                let is_other = machine.uuid != Some(own);
                if is_other && Record::read(&machine.keys).is_ok_and(|r| r.spec.name == name) {
                    return taken();
                }
            }
        }
        Ok(())
    }

    /// The networks of the container's cards, one per endpoint.
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
