//! Datacenters and datastores, with the information that is needed to use them.

use vim25::{Ref, mo, props};

use crate::client::Client;
use crate::datastore::DatastorePath;
use crate::error::{Error, Result};

/// A datacenter and its folders. An ESXi host has exactly one, `ha-datacenter`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datacenter {
    reference: Ref<mo::Datacenter>,
    path: String,
    vm_folder: Ref<mo::Folder>,
    host_folder: Ref<mo::Folder>,
    datastore_folder: Ref<mo::Folder>,
    network_folder: Ref<mo::Folder>,
}

impl Datacenter {
    pub(super) async fn read(client: &Client, reference: Ref<mo::Datacenter>) -> Result<Self> {
        use props::datacenter::{DATASTORE_FOLDER, HOST_FOLDER, NETWORK_FOLDER, VM_FOLDER};
        let folders = (VM_FOLDER, HOST_FOLDER, DATASTORE_FOLDER, NETWORK_FOLDER);
        let folders = client.try_get(&reference, folders).await?;
        let (vm_folder, host_folder, datastore_folder, network_folder) = folders;
        let need = |folder: Option<Ref<mo::Folder>>, property: &str| {
            folder.ok_or_else(|| Error::Unset {
                object: Box::new(reference.upcast()),
                property: property.into(),
            })
        };
        Ok(Self {
            vm_folder: need(vm_folder, VM_FOLDER.path())?,
            host_folder: need(host_folder, HOST_FOLDER.path())?,
            datastore_folder: need(datastore_folder, DATASTORE_FOLDER.path())?,
            network_folder: need(network_folder, NETWORK_FOLDER.path())?,
            path: super::walk::path_of(client, reference.upcast()).await?,
            reference,
        })
    }

    /// Returns the reference of the datacenter.
    #[must_use]
    pub const fn reference(&self) -> &Ref<mo::Datacenter> {
        &self.reference
    }

    /// Returns the path in the inventory, such as `/ha-datacenter`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns the folder of the datacenter's virtual machines.
    #[must_use]
    pub const fn vm_folder(&self) -> &Ref<mo::Folder> {
        &self.vm_folder
    }

    /// Returns the folder of the datacenter's hosts and clusters.
    #[must_use]
    pub const fn host_folder(&self) -> &Ref<mo::Folder> {
        &self.host_folder
    }

    /// Returns the folder of the datacenter's datastores.
    #[must_use]
    pub const fn datastore_folder(&self) -> &Ref<mo::Folder> {
        &self.datastore_folder
    }

    /// Returns the folder of the datacenter's networks.
    #[must_use]
    pub const fn network_folder(&self) -> &Ref<mo::Folder> {
        &self.network_folder
    }

    /// Converts a path that may be relative to one of the folders to an absolute path.
    pub(super) fn path_to(&self, folder: &str, path: &str) -> String {
        if path.starts_with('/') {
            path.to_owned()
        } else {
            format!("{}/{folder}/{path}", self.path)
        }
    }
}

/// A datastore, as seen from one datacenter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datastore {
    reference: Ref<mo::Datastore>,
    name: String,
    datacenter: Datacenter,
}

impl Datastore {
    pub(super) const fn new(
        reference: Ref<mo::Datastore>,
        name: String,
        datacenter: Datacenter,
    ) -> Self {
        Self {
            reference,
            name,
            datacenter,
        }
    }

    /// Returns the reference of the datastore.
    #[must_use]
    pub const fn reference(&self) -> &Ref<mo::Datastore> {
        &self.reference
    }

    /// Returns the name of the datastore.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the datacenter through which the datastore's files are accessed.
    #[must_use]
    pub const fn datacenter(&self) -> &Datacenter {
        &self.datacenter
    }

    /// Returns the path of a file on the datastore.
    #[must_use]
    pub fn path(&self, path: &str) -> DatastorePath {
        DatastorePath::new(&self.name, path)
    }
}
