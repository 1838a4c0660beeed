//! The inventory folders of hosts. Only a vCenter has them.

use vim25::{AnyRef, Ref, mo, props};
use vsphere_client::ObjectProperties;

use super::Endpoint;
use crate::vsphere::fault;
use crate::{Error, Resource, Result};

/// A folder that can contain machines.
#[derive(Clone, Debug)]
pub(in crate::vsphere) struct MachineFolder {
    pub(in crate::vsphere) folder: Ref<mo::Folder>,
    pub(in crate::vsphere) name: String,
    parent: Option<AnyRef>,
}

impl MachineFolder {
    fn read(folder: &ObjectProperties<mo::Folder>) -> Option<Self> {
        let types = folder.value(props::folder::CHILD_TYPE).unwrap_or_default();
        let holds_machines = types.iter().any(|name| name == "VirtualMachine");
        let parent = folder.value(props::folder::PARENT);
        holds_machines.then(|| Self {
            folder: folder.object().clone(),
            name: folder.value(props::folder::NAME).unwrap_or_default(),
            parent: parent.map(|parent| parent.upcast()),
        })
    }

    /// Returns whether this is the folder of all machines of a datacenter, which cannot be deleted.
    pub(in crate::vsphere) fn is_root(&self) -> bool {
        let parent = self.parent.as_ref();
        !parent.is_some_and(|parent| parent.is::<mo::Folder>())
    }

    /// Returns whether this is a direct child of that folder.
    pub(in crate::vsphere) fn is_in(&self, folder: &Self) -> bool {
        let parent = self.parent.as_ref();
        parent.is_some_and(|parent| parent.value() == folder.folder.value())
    }
}

impl Endpoint {
    /// Returns whether the endpoint has folders for hosts: whether it is a vCenter.
    pub(in crate::vsphere) fn has_folders(&self) -> bool {
        self.client.is_vcenter()
    }

    /// Lists the folders that can contain machines.
    pub(in crate::vsphere) async fn machine_folders(&self) -> Result<Vec<MachineFolder>> {
        let folders = self
            .client
            .retrieve::<mo::Folder>()
            .property(props::folder::NAME)
            .property(props::folder::PARENT)
            .property(props::folder::CHILD_TYPE)
            .within(self.root())
            .collect()
            .await
            .map_err(|error| fault::error(&self.resource(), error))?;
        Ok(folders.iter().filter_map(MachineFolder::read).collect())
    }

    /// Finds the direct child of a folder with this name: a machine, a folder or a vApp.
    pub(in crate::vsphere) async fn child_named(
        &self,
        parent: &Ref<mo::Folder>,
        name: &str,
        resource: &Resource,
    ) -> Result<Option<Ref<mo::ManagedEntity>>> {
        let Some(index) = &self.client.service_content().search_index else {
            return Err(Error::internal(resource.clone(), "it has no search index"));
        };
        self.call(index.find_child(parent, name), resource).await
    }

    pub(in crate::vsphere) async fn create_folder(
        &self,
        parent: &Ref<mo::Folder>,
        name: &str,
        resource: &Resource,
    ) -> Result<Ref<mo::Folder>> {
        self.fence.check(resource)?;
        self.call(parent.create_folder(name), resource).await
    }

    /// Returns whether a folder exists.
    pub(in crate::vsphere) async fn has_folder(
        &self,
        folder: &Ref<mo::Folder>,
        resource: &Resource,
    ) -> Result<bool> {
        match self.client.try_get(folder, props::folder::NAME).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_gone() => Ok(false),
            Err(error) => Err(fault::error(resource, error)),
        }
    }

    /// Returns the sorted names of the direct children of a folder. An absent folder has none.
    pub(in crate::vsphere) async fn names_in(
        &self,
        folder: &Ref<mo::Folder>,
        resource: &Resource,
    ) -> Result<Vec<String>> {
        let children = self
            .client
            .retrieve::<mo::ManagedEntity>()
            .property(props::managed_entity::NAME)
            .along(folder, props::folder::CHILD_ENTITY)
            .collect()
            .await;
        let children = match children {
            Err(error) if error.is_gone() => return Ok(Vec::new()),
            children => children.map_err(|error| fault::error(resource, error))?,
        };
        let name = |child: &ObjectProperties<mo::ManagedEntity>| {
            child
                .value(props::managed_entity::NAME)
                .unwrap_or_else(|| child.object().value().to_owned())
        };
        let mut names: Vec<_> = children.iter().map(name).collect();
        names.sort_unstable();
        Ok(names)
    }

    /// Deletes a folder, unless it contains something, and returns the names of its content. An
    /// absent folder counts as success.
    pub(in crate::vsphere) async fn delete_empty_folder(
        &self,
        folder: &Ref<mo::Folder>,
        resource: &Resource,
    ) -> Result<Vec<String>> {
        let names = self.names_in(folder, resource).await?;
        if !names.is_empty() {
            return Ok(names);
        }
        match self.run(folder.destroy(), resource).await {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(names),
        }
    }
}
