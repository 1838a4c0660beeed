//! Maps containers to machines.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use vim25::{Ref, mo};

use super::Shared;
use crate::vsphere::endpoint::{Machine, Member};
use crate::vsphere::images::is_image;
use crate::{ContainerId, Error, ErrorKind, Resource, Result};

/// Where machines were last seen. An entry may be out of date: a caller that uses one that is gone
/// looks again.
#[derive(Debug, Default)]
pub(super) struct Members {
    known: Mutex<HashMap<ContainerId, Ref<mo::VirtualMachine>>>,
}

impl Members {
    pub(super) fn insert(&self, id: ContainerId, vm: Ref<mo::VirtualMachine>) {
        self.lock().insert(id, vm);
    }

    pub(super) fn forget(&self, id: &ContainerId) {
        self.lock().remove(id);
    }

    fn get(&self, id: &ContainerId) -> Option<Ref<mo::VirtualMachine>> {
        self.lock().get(id).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ContainerId, Ref<mo::VirtualMachine>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// The machines of the host's pool, without the appliance. Those of images are among them:
    /// their names are never those of containers.
    pub(super) async fn roster(&self) -> Result<Vec<Member>> {
        let mut members = self
            .endpoint
            .members(&self.place.pool, &self.place.host())
            .await?;
        members.retain(|member| member.vm != self.place.appliance);
        Ok(members)
    }

    /// Returns a snapshot of all those machines.
    pub(super) async fn machines(&self) -> Result<Vec<Machine>> {
        let mut machines = self
            .endpoint
            .machines(&self.place.pool, &self.place.host())
            .await?;
        machines.retain(|machine| machine.vm != self.place.appliance && !is_image(&machine.keys));
        Ok(machines)
    }

    /// Returns a snapshot of a container's machine.
    pub(super) async fn machine(&self, id: &ContainerId) -> Result<Machine> {
        let resource = Resource::container(id);
        if let Some(vm) = self.members.get(id) {
            match self.endpoint.machine(&vm, &resource).await {
                // Moved to another reference, or removed concurrently.
                Err(Error {
                    kind: ErrorKind::NotFound,
                    ..
                }) => self.members.forget(id),
                read => return read,
            }
        }
        let uuid = self.place.defaults.uuid(id);
        let found = self
            .roster()
            .await?
            .into_iter()
            .find(|member| member.uuid == Some(uuid));
        let member = found.ok_or_else(|| Error::not_found(resource.clone()))?;
        let machine = self.endpoint.machine(&member.vm, &resource).await?;
        self.members.insert(*id, member.vm);
        Ok(machine)
    }
}
