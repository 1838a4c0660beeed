//! The machines of containers: which they are, and what they show.

use std::sync::Arc;

use vim25::{Ref, mo};

use super::Shared;
use crate::vsphere::index::Seen;
use crate::{ContainerId, Error, ErrorKind, Resource, Result};

impl Shared {
    /// The machines of the host's pool as the index has them, without the appliance and images.
    pub(super) async fn containers(&self) -> Result<Vec<Arc<Seen>>> {
        let mut machines = self.index.all().await?;
        machines.retain(|seen| !seen.is_image());
        Ok(machines)
    }

    /// A container's machine as the index has it: it may be older than a concurrent change by
    /// another program, and is never older than what this process did or was told.
    pub(super) async fn indexed(&self, id: &ContainerId) -> Result<Arc<Seen>> {
        let uuid = self.place.defaults.uuid(id);
        if let Some(seen) = self.index.by_uuid(uuid).await? {
            return Ok(seen);
        }
        // It may have been created a moment ago by another program.
        let resource = Resource::container(id);
        let found = self.endpoint.find_machine(&self.place, uuid, &resource);
        match found.await? {
            Some(vm) => self.index.read(&vm, &resource).await,
            None => Err(Error::not_found(resource)),
        }
    }

    /// Waits until the index shows what this process changed, and returns the machine then. Best
    /// effort, in bounded time: the change is made, whether or not it can be seen.
    pub(super) async fn shown(
        &self,
        vm: &Ref<mo::VirtualMachine>,
        resource: &Resource,
        shows: impl Fn(&Seen) -> bool + Send + Sync,
    ) -> Option<Arc<Seen>> {
        match self.index.written(vm, resource, shows).await {
            Ok(seen) => Some(seen),
            Err(error) => {
                tracing::debug!(%resource, %error, "a change is not seen");
                None
            }
        }
    }

    /// Reads a container's machine.
    pub(super) async fn machine(&self, id: &ContainerId) -> Result<Arc<Seen>> {
        let resource = Resource::container(id);
        let vm = self.indexed(id).await?.machine.vm.clone();
        match self.index.read(&vm, &resource).await {
            // Registered again under another reference, or removed concurrently.
            Err(Error {
                kind: ErrorKind::NotFound,
                ..
            }) => {
                let vm = self.indexed(id).await?.machine.vm.clone();
                self.index.read(&vm, &resource).await
            }
            read => read,
        }
    }
}
