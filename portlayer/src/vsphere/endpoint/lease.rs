//! Imports machines with their disks, and reads the disks of machines and their size.

use std::collections::HashMap;

use tokio::io::AsyncRead;
use vim25::types::{ImportSpec, VirtualDevice};
use vim25::{Poly, Property, Ref, mo};
use vsphere_client::nfc::Lease;
use vsphere_client::{ObjectProperties, TransferProgress};

use super::Endpoint;
use super::machine::DEVICES;
use crate::vsphere::fault;
use crate::{Error, Resource, Result};

/// Size of the files of a machine in bytes.
const COMMITTED: Property<mo::VirtualMachine, i64> = Property::new("summary.storage.committed");

impl Endpoint {
    /// Creates a machine whose disks have to be uploaded. Dropping the lease removes it.
    pub(in crate::vsphere) async fn import(
        &self,
        folder: &Ref<mo::Folder>,
        pool: &Ref<mo::ResourcePool>,
        spec: &Poly<ImportSpec>,
        resource: &Resource,
    ) -> Result<Lease> {
        self.fence.check(resource)?;
        let lease = self
            .client
            .lease(pool.import_vapp(spec, Some(folder), None));
        tokio::time::timeout(self.task_timeout, lease)
            .await
            .map_err(|_elapsed| Error::timeout(resource.clone(), "the endpoint's import"))?
            .map_err(|error| fault::error(resource, error))
    }

    /// Uploads the only disk of an import.
    pub(in crate::vsphere) async fn send_disk(
        &self,
        lease: &Lease,
        content: impl AsyncRead + Send + 'static,
        length: u64,
        progress: impl Fn(u64) + Send + 'static,
        resource: &Resource,
    ) -> Result<()> {
        let mut disks = lease.devices().iter().filter(|device| device.is_disk());
        let (Some(disk), None) = (disks.next(), disks.next()) else {
            let reason = "the endpoint did not request exactly one disk";
            return Err(Error::internal(resource.clone(), reason));
        };
        lease
            .upload(disk, content, length)
            .on_progress(move |so_far: TransferProgress| progress(so_far.bytes))
            .await
            .map(drop)
            .map_err(|error| fault::error(resource, error))
    }

    /// Completes an import whose disks were uploaded. Continues when the future is dropped.
    pub(in crate::vsphere) async fn complete(
        &self,
        lease: Lease,
        resource: &Resource,
    ) -> Result<Ref<mo::VirtualMachine>> {
        let entity = lease
            .complete()
            .await
            .map_err(|error| fault::error(resource, error))?;
        entity.downcast().ok_or_else(|| {
            Error::internal(
                resource.clone(),
                "the endpoint did not import a virtual machine",
            )
        })
    }

    /// Returns the size in bytes of the files of each of these machines, where the endpoint reports
    /// it.
    pub(in crate::vsphere) async fn committed(
        &self,
        vms: &[Ref<mo::VirtualMachine>],
        resource: &Resource,
    ) -> Result<HashMap<Ref<mo::VirtualMachine>, u64>> {
        let retrieval = self.client.retrieve().objects(vms.iter().cloned());
        let found = retrieval.property(COMMITTED).collect().await;
        let found = found.map_err(|error| fault::error(resource, error))?;
        let read = |properties: &ObjectProperties<mo::VirtualMachine>| {
            let bytes = properties.value(COMMITTED)?.try_into().ok()?;
            Some((properties.object().clone(), bytes))
        };
        Ok(found.iter().filter_map(read).collect())
    }

    /// Reads the devices of these machines; machines that were removed are left out.
    pub(in crate::vsphere) async fn devices_of(
        &self,
        vms: &[Ref<mo::VirtualMachine>],
        resource: &Resource,
    ) -> Result<HashMap<Ref<mo::VirtualMachine>, Vec<Poly<VirtualDevice>>>> {
        let retrieval = self.client.retrieve().objects(vms.iter().cloned());
        let found = retrieval.property(DEVICES).collect().await;
        let found = found.map_err(|error| fault::error(resource, error))?;
        let read = |properties: &ObjectProperties<mo::VirtualMachine>| {
            let devices = properties.value(DEVICES).unwrap_or_default();
            (properties.object().clone(), devices)
        };
        Ok(found.iter().map(read).collect())
    }
}
