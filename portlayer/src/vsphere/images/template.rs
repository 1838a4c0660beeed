//! On a vCenter, the machines of complete images are templates, which nobody can power on.
//!
//! Of a template, only the name and the notes can be changed
//! (<https://github.com/vmware/govmomi/pull/1431>). So it is made a machine again before its keys
//! or disks are changed. An image that is not a template, for example because its writer was killed
//! between two steps, is as usable as a template.

use vim25::types::NotSupported;
use vim25::{Ref, mo};

use super::Shared;
use super::lookup::Found;
use crate::vsphere::derive_state::Power;
use crate::vsphere::endpoint::Written;
use crate::vsphere::index::Seen;
use crate::{Error, Resource, Result};

/// Checks that the machine of an image is off. What is written while a machine is on does not
/// persist.
///
/// # Errors
/// [`InUse`](crate::ErrorKind::InUse) if somebody powered on the machine, which an ESXi host does not
/// prevent.
pub(super) fn off(machine: &Seen, resource: &Resource) -> Result<()> {
    if !matches!(machine.power, Power::On | Power::Suspended) {
        return Ok(());
    }
    let by = format!(
        "its machine {:?}, which is powered on and has to be powered off",
        machine.name
    );
    Err(Error::in_use(resource.clone(), by))
}

impl Shared {
    /// Makes the machine of a complete image a template, on a vCenter. Best effort.
    pub(super) async fn make_template(&self, vm: &Ref<mo::VirtualMachine>, resource: &Resource) {
        let Some(folder) = &self.objects.image_folder else {
            return;
        };
        match self.endpoint.mark_as_template(vm, folder, resource).await {
            Ok(true) => {
                let shown = self
                    .index
                    .written(vm, resource, Written::Change, |seen| seen.is_template);
                if let Err(error) = shown.await {
                    tracing::debug!(%resource, %error, "a change may not be visible yet");
                }
            }
            Ok(false) => {}
            Err(error) => tracing::debug!(%resource, %error, "an image is not made a template"),
        }
    }

    /// Returns the machine in a state in which it can be changed: if it is a template, makes it a
    /// machine again, and reads it.
    ///
    /// # Errors
    /// [`Conflict`](crate::ErrorKind::Conflict) if the record was changed since `found` was read,
    /// [`InUse`](crate::ErrorKind::InUse) if somebody powered on the machine.
    pub(super) async fn changeable(&self, found: &Found, resource: &Resource) -> Result<Found> {
        if !found.machine.is_template {
            off(&found.machine, resource)?;
            return Ok(found.clone());
        }
        let vm = &found.machine.vm;
        let made = self
            .endpoint
            .mark_as_machine(vm, &self.objects.pool, resource);
        let made = made.await;
        let Some(now) = self.reread(vm, resource).await? else {
            return Err(Error::not_found(resource.clone()));
        };
        if now.machine.is_template {
            return match made {
                Err(error) => Err(error),
                // Another program changed the machine concurrently.
                Ok(()) => Err(Error::conflict(resource.clone(), [])),
            };
        }
        if now.record != found.record {
            return Err(Error::conflict(resource.clone(), []));
        }
        Ok(now)
    }

    /// Returns the error of a change that was refused, which is a conflict if another program made
    /// the machine a template concurrently. By now it may have made it a machine again, so only the
    /// fault tells.
    pub(super) fn refused(&self, resource: &Resource, error: Error) -> Error {
        let fault = std::error::Error::source(&error)
            .and_then(|source| source.downcast_ref::<vsphere_client::Error>());
        let is_template = fault.is_some_and(|fault| fault.is_fault::<NotSupported>());
        match is_template && self.objects.image_folder.is_some() {
            true => Error::conflict(resource.clone(), []).with_source(error),
            false => error,
        }
    }

    /// Returns how often a change of an image's machine is retried after conflicts. A change of a
    /// template has several steps, each of which can be in conflict with those of another program.
    pub(super) fn conflict_retries(&self) -> u32 {
        let steps = if self.objects.image_folder.is_some() {
            5
        } else {
            1
        };
        self.options.conflict_retries.saturating_mul(steps)
    }

    /// Returns the machines of complete images that should be templates and are not.
    pub(super) async fn not_templates(&self) -> Result<Vec<Ref<mo::VirtualMachine>>> {
        if self.objects.image_folder.is_none() {
            return Ok(Vec::new());
        }
        let found = self.machines().await?.into_iter();
        Ok(found
            .filter(|found| found.is_done() && !found.machine.is_template)
            .map(|found| found.machine.vm.clone())
            .collect())
    }
}
