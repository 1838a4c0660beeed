//! The folder of a host's images, and templates. Only a vCenter has them.

use vim25::{Property, Ref, mo, props};

use super::Endpoint;
use crate::vsphere::fault;
use crate::{Error, ErrorKind, Resource, Result};

/// The host that a machine or template is registered on.
const HOST: Property<mo::VirtualMachine, Ref<mo::HostSystem>> = Property::new("runtime.host");

/// Keeps the folder's name within 80 characters, the maximum in the inventory.
const HOST_NAME_MAX: usize = 60;

fn name(host: &str) -> String {
    let host: String = host.chars().take(HOST_NAME_MAX).collect();
    format!("{host}.images")
}

impl Endpoint {
    /// Finds the folder of the images of a host, which is in the folder of its appliance. Returns
    /// `None` if there is none.
    pub(in crate::vsphere) async fn find_image_folder(
        &self,
        parent: &Ref<mo::Folder>,
        host: &str,
        resource: &Resource,
    ) -> Result<Option<Ref<mo::Folder>>> {
        if !self.has_folders() {
            return Ok(None);
        }
        let found = self.child_named(parent, &name(host), resource).await?;
        Ok(found.and_then(|entity| entity.downcast()))
    }

    /// Finds the folder of the images of a host, or creates it. Returns `None` if the endpoint is
    /// not a vCenter or refuses to create the folder; then images are not made templates.
    pub(in crate::vsphere) async fn image_folder(
        &self,
        parent: &Ref<mo::Folder>,
        host: &str,
        resource: &Resource,
    ) -> Result<Option<Ref<mo::Folder>>> {
        let found = self.find_image_folder(parent, host, resource).await?;
        if found.is_some() || !self.has_folders() {
            return Ok(found);
        }
        match self.call(parent.create_folder(&name(host)), resource).await {
            Ok(folder) => Ok(Some(folder)),
            Err(error) => {
                // Another program may have just created it.
                tracing::debug!(%resource, %error, "the folder of images was not created");
                self.find_image_folder(parent, host, resource).await
            }
        }
    }

    /// Deletes the folder of the images of a host, unless it contains something. An absent folder
    /// counts as success.
    pub(in crate::vsphere) async fn delete_image_folder(
        &self,
        folder: &Ref<mo::Folder>,
        resource: &Resource,
    ) -> Result<()> {
        let content = self.delete_empty_folder(folder, resource).await?;
        if !content.is_empty() {
            tracing::warn!(%resource, %folder, ?content, "the folder of images is not empty, and was kept");
        }
        Ok(())
    }

    /// Makes a machine in this folder a template, which cannot be powered on. Machines in other
    /// folders are left as they are, because they would be hard to find: a template is in no pool.
    pub(in crate::vsphere) async fn mark_as_template(
        &self,
        vm: &Ref<mo::VirtualMachine>,
        folder: &Ref<mo::Folder>,
        resource: &Resource,
    ) -> Result<bool> {
        self.fence.check(resource)?;
        let parent = self.client.try_get(vm, props::virtual_machine::PARENT);
        let parent = parent
            .await
            .map_err(|error| fault::error(resource, error))?;
        if parent.is_none_or(|parent| parent.value() != folder.value()) {
            return Ok(false);
        }
        self.call(vm.mark_as_template(), resource).await?;
        Ok(true)
    }

    /// Makes a template a machine of this pool again.
    ///
    /// # Errors
    /// [`Conflict`](ErrorKind::Conflict) if it is not a template any more.
    pub(in crate::vsphere) async fn mark_as_machine(
        &self,
        vm: &Ref<mo::VirtualMachine>,
        pool: &Ref<mo::ResourcePool>,
        resource: &Resource,
    ) -> Result<()> {
        self.fence.check(resource)?;
        let mark = |host| self.call(vm.mark_as_virtual_machine(pool, host), resource);
        let mut marked = mark(None).await;
        if let Err(Error {
            kind: ErrorKind::InvalidArgument { .. },
            ..
        }) = &marked
        {
            // In a cluster without DRS, the endpoint does not choose a host.
            let host = self.client.get(vm, HOST).await;
            let host = host.map_err(|error| fault::error(resource, error))?;
            marked = mark(Some(&host)).await;
        }
        match marked {
            Err(error) if matches!(error.kind, ErrorKind::InvalidState { .. }) => {
                Err(Error::conflict(resource.clone(), []).with_source(error))
            }
            made => made,
        }
    }
}
