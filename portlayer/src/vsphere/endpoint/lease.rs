//! Imports and exports machines with their disks, and reads the disks of machines and their size.

use std::collections::HashMap;
use std::fs::File;
use std::io;

use futures_util::StreamExt;
use tokio::io::{AsyncRead, AsyncWriteExt};
use vim25::types::{
    ImportSpec, Timedout, VirtualDevice, VirtualMachineConfigSpec, VirtualMachineImportSpec,
};
use vim25::{Call, Poly, Property, Ref, mo};
use vsphere_client::nfc::{Lease, LeaseDevice};
use vsphere_client::{ObjectProperties, TransferProgress};

use super::Endpoint;
use super::machine::DEVICES;
use crate::vsphere::fault;
use crate::{Error, ErrorKind, Resource, Result};

/// Size of the files of a machine in bytes.
const COMMITTED: Property<mo::VirtualMachine, i64> = Property::new("summary.storage.committed");

impl Endpoint {
    /// Creates a machine whose disks have to be uploaded. Dropping the lease removes it. In a cluster
    /// without DRS, chooses its host.
    pub(in crate::vsphere) async fn import(
        &self,
        folder: &Ref<mo::Folder>,
        pool: &Ref<mo::ResourcePool>,
        config_spec: VirtualMachineConfigSpec,
        resource: &Resource,
    ) -> Result<Lease> {
        let host = self.usual_host(pool, &config_spec, resource).await?;
        let spec = VirtualMachineImportSpec {
            config_spec: config_spec.clone(),
            ..VirtualMachineImportSpec::default()
        };
        let spec: Poly<ImportSpec> = Poly::new(spec);
        let import =
            |host| self.begin_import(pool.import_vapp(&spec, Some(folder), host), resource);
        match import(host.as_ref()).await {
            Err(error) if host.is_none() => {
                let host = self.host_after(&error, pool, &config_spec, resource);
                match host.await? {
                    Some(host) => import(Some(&host)).await,
                    None => Err(error),
                }
            }
            lease => lease,
        }
    }

    async fn begin_import(
        &self,
        call: Call<Ref<mo::HttpNfcLease>>,
        resource: &Resource,
    ) -> Result<Lease> {
        self.fence.check(resource)?;
        self.lease(call, "the endpoint's import", resource).await
    }

    /// Starts the export of a machine that is off. While the lease exists, the endpoint refuses
    /// changes of the machine. Dropping the lease ends it.
    pub(in crate::vsphere) async fn export(
        &self,
        vm: &Ref<mo::VirtualMachine>,
        resource: &Resource,
    ) -> Result<Lease> {
        self.lease(vm.export_vm(), "the endpoint's export", resource)
            .await
    }

    async fn lease(
        &self,
        call: Call<Ref<mo::HttpNfcLease>>,
        phase: &'static str,
        resource: &Resource,
    ) -> Result<Lease> {
        tokio::time::timeout(self.task_timeout, self.client.lease(call))
            .await
            .map_err(|_elapsed| Error::timeout(resource.clone(), phase))?
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
        let disk = only_disk(lease, resource)?;
        lease
            .upload(disk, content, length)
            .on_progress(move |so_far: TransferProgress| progress(so_far.bytes))
            .await
            .map(drop)
            .map_err(|error| {
                let timed_out = error.is_fault::<Timedout>();
                let mut error = fault::error(resource, error);
                if timed_out {
                    error.kind = ErrorKind::Timeout {
                        phase: "the upload of its disk, because no progress report reached the endpoint",
                    };
                }
                error
            })
    }

    /// Downloads the only disk of an export, as a streamOptimized VMDK, to this file. `unusable`
    /// returns the error of a file that cannot be written.
    pub(in crate::vsphere) async fn receive_disk(
        &self,
        lease: &Lease,
        file: File,
        unusable: impl Fn(io::Error) -> Error,
        resource: &Resource,
    ) -> Result<File> {
        let disk = only_disk(lease, resource)?;
        let mut pieces = lease
            .download(disk)
            .await
            .map_err(|error| fault::error(resource, error))?;
        let mut file = tokio::fs::File::from_std(file);
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|error| fault::error(resource, error))?;
            let written = file.write_all(&piece).await;
            written.map_err(&unusable)?;
        }
        let written = file.flush().await;
        written.map_err(&unusable)?;
        Ok(file.into_std().await)
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

fn only_disk<'a>(lease: &'a Lease, resource: &Resource) -> Result<&'a LeaseDevice> {
    let mut disks = lease.devices().iter().filter(|device| device.is_disk());
    match (disks.next(), disks.next()) {
        (Some(disk), None) => Ok(disk),
        _ => {
            let reason = "the endpoint did not offer exactly one disk for the transfer";
            Err(Error::internal(resource.clone(), reason))
        }
    }
}
