//! Creates a container.

use jiff::Timestamp;

use super::Shared;
use crate::exec::ContainerSpec;
use crate::volume::MountSource;
use crate::vsphere::endpoint::Written;
use crate::vsphere::line_keys;
use crate::vsphere::record::Record;
use crate::vsphere::room;
use crate::{Capability, ContainerId, Error, Resource, Result};

impl Shared {
    /// Creates a container. A single call creates its whole machine, so a container is never
    /// incomplete.
    pub(super) async fn create(&self, spec: ContainerSpec) -> Result<ContainerId> {
        spec.validate()?;
        let id = spec.id;
        let resource = Resource::container(id);
        // The locks are always taken in this order, to avoid deadlocks.
        let _id_turn = self.ids.turn(id).await;
        let _name_turn = self.names.turn(spec.name.clone()).await;

        self.refuse_mounts(&spec)?;
        let uuid = self.objects.defaults.uuid(&id);
        self.networks.load().await?;
        self.networks.sync().await?;
        if self.index.by_uuid(uuid).await?.is_some() {
            return Err(Error::already_exists(resource));
        }
        self.refuse_taken_name(&id, &spec.name).await?;
        let created = Timestamp::now();
        let mut pending = self.networks.assign_new(&spec, created).await?;
        let cards = self
            .networks
            .cards(pending.endpoints(), self.options.dialect)
            .await?;
        let root = match spec.root.image_id() {
            Some(image) => Some((*image, self.images.root(image).await?)),
            None => None,
        };
        let networks = self
            .networks
            .guest_networks(&spec.name, pending.endpoints(), &cards);
        let mut keys = Record::new(&spec, created)
            .connected(pending.endpoints(), networks)
            .keys(self.options.dialect)
            .map_err(|error| Error::invalid_argument(resource.clone(), "command", error))?;
        let client_key = self.objects.defaults.client_key.as_ref();
        keys.extend(line_keys::keys(
            client_key,
            self.options.dialect,
            &resource,
        )?);
        let parent = root.as_ref().map(|(_, root)| root);
        let machine = self.objects.defaults.container(
            &spec,
            &cards.cards,
            parent,
            keys,
            self.options.dialect,
        );
        self.destroyed.forget(&id);
        pending.sent();
        let made = self
            .endpoint
            .create(
                &self.objects.folder,
                &self.objects.pool,
                &machine,
                &resource,
            )
            .await;
        let vm = match made {
            Ok(vm) => vm,
            Err(error) => {
                pending.failed(&error);
                // The endpoint cannot create the disk if the parent is gone.
                if let Some((image, root)) = &root
                    && let Err(gone) = self.images.confirm(image, root).await
                    && gone.is_not_found()
                {
                    return Err(gone);
                }
                let (endpoint, objects) = (&self.endpoint, &self.objects);
                let index = &self.index;
                return Err(room::explain(endpoint, objects, index, &resource, None, error).await);
            }
        };
        self.shown(&vm, &resource, Written::New, |_| true).await;
        pending.commit(Some(vm.clone()));
        self.endpoint.disable_destroy(&vm, &resource).await;
        tracing::debug!(container = %id, machine = %vm, "created");
        if let Some((image, root)) = &root
            && let Err(error) = self.images.confirm(image, root).await
        {
            // The image was removed concurrently, so the disk's parent may be gone.
            if let Err(error) = self.remove_now(&id).await {
                tracing::warn!(container = %id, %error, "a container without its image was left behind");
            }
            return Err(error);
        }
        Ok(id)
    }

    /// Fails if another container already has this name.
    pub(super) async fn refuse_taken_name(&self, id: &ContainerId, name: &str) -> Result<()> {
        let own = self.objects.defaults.uuid(id);
        let mut named = self.index.named(name).await?.into_iter();
        if named.any(|other| other.uuid != Some(own)) {
            return Err(Error::already_exists(Resource::container(name)));
        }
        Ok(())
    }

    fn refuse_mounts(&self, spec: &ContainerSpec) -> Result<()> {
        let Some(mount) = spec.mounts.first() else {
            return Ok(());
        };
        let resource = match &mount.source {
            MountSource::Volume(name) => Resource::volume(name),
            _ => Resource::container(spec.id),
        };
        Err(Error::unsupported(resource, Capability::Volumes))
    }
}
