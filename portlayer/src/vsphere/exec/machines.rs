//! Finds and reads the machines of containers.

use std::sync::Arc;

use vim25::types::VirtualDevice;
use vim25::{Poly, Ref, mo};

use super::Shared;
use crate::exec::the_one;
use crate::vsphere::endpoint::Written;
use crate::vsphere::index::Seen;
use crate::{ContainerId, Error, Resource, Result};

impl Shared {
    /// Returns the machines of the host from the index, except the appliance and images.
    pub(super) async fn containers(&self) -> Result<Vec<Arc<Seen>>> {
        let mut machines = self.index.all().await?;
        machines.retain(|seen| !seen.is_image());
        Ok(machines)
    }

    /// Returns a container's machine from the index. The index may lack a recent change by another
    /// program, but never a change that this process made or has already seen.
    pub(super) async fn indexed(&self, id: &ContainerId) -> Result<Arc<Seen>> {
        let uuid = self.objects.defaults.uuid(id);
        if let Some(seen) = self.index.by_uuid(uuid).await? {
            return Ok(seen);
        }
        // Another program may have just created it.
        let resource = Resource::container(id);
        let found = self.endpoint.find_machine(&self.objects, uuid, &resource);
        match found.await? {
            Some(vm) => self.index.read(&vm, &resource).await,
            None => Err(Error::not_found(resource)),
        }
    }

    /// Finds a container by name, id or prefix of an id, in the index. Containers that are
    /// unreadable or must not be started are found too, so that they can be removed.
    pub(super) async fn resolve(&self, text: &str) -> Result<ContainerId> {
        if let Ok(id) = text.parse()
            && self
                .index
                .by_uuid(self.objects.defaults.uuid(&id))
                .await?
                .is_some()
        {
            return Ok(id);
        }
        let named = self.index.named(text).await?;
        if let Some(id) = named.iter().find_map(|seen| seen.id()) {
            return Ok(id);
        }
        let ids = match text {
            "" => Vec::new(),
            digits => self.index.ids_with_prefix(digits, 2).await?,
        };
        the_one(text, ids)
    }

    /// Waits until the index shows a change by this process, and returns the machine. Best effort,
    /// up to a timeout: the change itself has already been made.
    pub(super) async fn shown(
        &self,
        vm: &Ref<mo::VirtualMachine>,
        resource: &Resource,
        kind: Written,
        shows: impl Fn(&Seen) -> bool + Send + Sync,
    ) -> Option<Arc<Seen>> {
        match self.index.written(vm, resource, kind, shows).await {
            Ok(seen) => Some(seen),
            Err(error) => {
                tracing::debug!(%resource, %error, "a change may not be visible yet");
                None
            }
        }
    }

    /// Reads a container's machine.
    pub(super) async fn machine(&self, id: &ContainerId) -> Result<Arc<Seen>> {
        let resource = Resource::container(id);
        let mut is_retry = false;
        loop {
            let vm = self.indexed(id).await?.machine.vm.clone();
            match self.index.read(&vm, &resource).await {
                // It was registered again under another reference, or removed concurrently.
                Err(error) if error.is_not_found() && !is_retry => is_retry = true,
                read => return read,
            }
        }
    }

    /// Reads a container's machine and its devices in one call. If the index shows the current
    /// machine, only the devices are read.
    pub(super) async fn machine_with_devices(
        &self,
        id: &ContainerId,
    ) -> Result<(Arc<Seen>, Vec<Poly<VirtualDevice>>)> {
        let resource = Resource::container(id);
        let mut is_retry = false;
        loop {
            let known = self.indexed(id).await?;
            let vm = known.machine.vm.clone();
            if !is_retry && self.has_version(&known) {
                match self
                    .endpoint
                    .devices_if_unchanged(&known.machine, &resource)
                    .await
                {
                    Ok(Some(devices)) => return Ok((known, devices)),
                    Err(error) if !error.is_not_found() => return Err(error),
                    _ => {}
                }
            }
            match self.index.read_with_devices(&vm, &resource).await {
                Err(error) if error.is_not_found() && !is_retry => is_retry = true,
                read => return read,
            }
        }
    }
}
