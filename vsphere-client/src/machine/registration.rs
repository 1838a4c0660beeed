//! Registers machines from their files, unregisters them, and converts them to templates.

use vim25::{Ref, mo};

use super::Machine;
use crate::client::Client;
use crate::datastore::DatastorePath;
use crate::error::Result;

impl Client {
    /// Adds a machine whose `.vmx` file is on a datastore to the inventory. If `name` is
    /// `None`, the machine has the name in the file. `host` is required in a cluster without
    /// DRS.
    ///
    /// ```no_run
    /// # use vim25::{Ref, mo};
    /// # async fn example(client: &vsphere_client::Client, pool: &Ref<mo::ResourcePool>) -> vsphere_client::Result<()> {
    /// let inventory = client.inventory();
    /// let datacenter = inventory.datacenter(None).await?;
    /// let datastore = inventory.datastore(&datacenter, None).await?;
    /// let file = datastore.path("web/web.vmx");
    /// let vm = client
    ///     .register_machine(datacenter.vm_folder(), &file, None, pool, None)
    ///     .await?;
    /// client.machine(&vm).power_on().await
    /// # }
    /// ```
    ///
    /// # Errors
    /// `AlreadyExists` when a machine with this file is already registered; `DuplicateName`
    /// when the folder has a machine with this name; `FileNotFound` when the file does not
    /// exist; otherwise see [`Error`](crate::Error).
    pub async fn register_machine(
        &self,
        folder: &Ref<mo::Folder>,
        file: &DatastorePath,
        name: Option<&str>,
        pool: &Ref<mo::ResourcePool>,
        host: Option<&Ref<mo::HostSystem>>,
    ) -> Result<Ref<mo::VirtualMachine>> {
        let path = file.to_string();
        let mut call = folder.register_vm(&path, false).pool(pool);
        if let Some(name) = name {
            call = call.name(name);
        }
        if let Some(host) = host {
            call = call.host(host);
        }
        self.run(call).await
    }
}

impl Machine<'_> {
    /// Removes the machine from the inventory and keeps its files. The machine has to be off.
    ///
    /// # Errors
    /// `InvalidPowerState` when the machine is not off; otherwise see [`Error`](crate::Error).
    pub async fn unregister(&self) -> Result<()> {
        self.client.call(self.vm.unregister_vm()).await
    }

    /// Converts the machine to a template, which cannot be powered on or changed, only cloned.
    /// The machine has to be off.
    ///
    /// # Errors
    /// `NotSupported` on an ESXi host; otherwise see [`Error`](crate::Error).
    pub async fn mark_as_template(&self) -> Result<()> {
        self.client.call(self.vm.mark_as_template()).await
    }
}
