//! Importing machines with their disks, and the sizes of machines' disks.

use tokio::io::AsyncRead;
use vim25::types::{ImportSpec, VirtualDevice};
use vim25::{Poly, Property, Ref, mo, props};
use vsphere_client::TransferProgress;
use vsphere_client::nfc::Lease;

use super::machine::{DEVICES, PATHS};
use super::{Endpoint, Machine};
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
            let reason = "the endpoint does not ask for exactly one disk";
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
            Error::internal(resource.clone(), "the endpoint imported something else")
        })
    }

    /// Reads the machines of a pool, with their devices and the size of their files.
    pub(in crate::vsphere) async fn machines_with_devices(
        &self,
        pool: &Ref<mo::ResourcePool>,
        resource: &Resource,
    ) -> Result<Vec<(Machine, Vec<Poly<VirtualDevice>>, Option<u64>)>> {
        let retrieval = self.client.retrieve().along(pool, props::resource_pool::VM);
        let found = PATHS
            .into_iter()
            .fold(retrieval, |retrieval, path| retrieval.path(path))
            .property(DEVICES)
            .property(COMMITTED)
            .collect()
            .await
            .map_err(|error| fault::error(resource, error))?;
        let read = |properties| {
            let devices = vsphere_client::ObjectProperties::value(properties, DEVICES);
            let committed = properties.value(COMMITTED);
            (
                Machine::read(properties),
                devices.unwrap_or_default(),
                committed.and_then(|bytes| u64::try_from(bytes).ok()),
            )
        };
        Ok(found.iter().map(read).collect())
    }
}
