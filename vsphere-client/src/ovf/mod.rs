//! OVF packages: machines as files, imported from and exported to other systems.
//!
//! The server reads and writes the descriptors, by its OVF manager; this module carries the
//! contents. [`Ovf::import`] streams an OVA into a new machine without storing it, and
//! [`Ovf::export`] writes a machine to an OVA or a directory. What a server finds wrong or
//! doubtful in a descriptor is a value: see [`Checked`].
//!
//! ```no_run
//! use vim25::{Ref, mo};
//!
//! # async fn example(
//! #     client: &vsphere_client::Client,
//! #     pool: &Ref<mo::ResourcePool>,
//! #     datastore: &Ref<mo::Datastore>,
//! #     folder: &Ref<mo::Folder>,
//! #     network: &Ref<mo::Network>,
//! # ) -> Result<(), Box<dyn std::error::Error>> {
//! let ovf = client.ovf()?;
//! let file = tokio::fs::File::open("appliance.ova").await?;
//! let imported = ovf
//!     .import(pool, datastore)
//!     .folder(folder)
//!     .name("appliance")
//!     .network("VM Network", network)
//!     .from_ova(file)
//!     .await?;
//! for warning in &imported.warnings {
//!     eprintln!("{}", warning.message());
//! }
//! let machine: Ref<mo::VirtualMachine> = imported.entity.downcast().ok_or("it is a vApp")?;
//! ovf.export(&machine).to_ova("copy.ova").await?;
//! # Ok(()) }
//! ```

mod archive;
mod checked;
mod error;
mod export;
mod import;
mod manifest;

pub use checked::Checked;
pub use error::{ArchiveError, ArchiveProblem};
pub use export::{Exported, OvfExport};
pub use import::{Imported, OvfImport};

use vim25::types::{
    OvfCreateDescriptorParams, OvfParseDescriptorParams, OvfParseDescriptorResult,
    OvfValidateHostParams, OvfValidateHostResult,
};
use vim25::{IsA, Ref, mo};

use crate::client::Client;
use crate::error::{Error, Result};

impl Client {
    /// Returns access to the server's OVF manager, for importing and exporting machines.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when the server has none.
    pub fn ovf(&self) -> Result<Ovf<'_>> {
        let manager = self.service_content().ovf_manager.as_ref();
        let manager = manager.ok_or_else(|| Error::unsupported("OVF packages", self.server()))?;
        Ok(Ovf {
            client: self,
            manager,
        })
    }
}

/// The OVF manager of a server; returned by [`Client::ovf`].
#[derive(Clone, Copy, Debug)]
pub struct Ovf<'c> {
    client: &'c Client,
    manager: &'c Ref<mo::OvfManager>,
}

impl<'c> Ovf<'c> {
    /// Reads a descriptor: the networks, properties and deployment options that an import can
    /// set, licences, and sizes.
    ///
    /// # Errors
    /// See [`Error`]. A wrong descriptor is no error of the call; see [`Checked::errors`].
    pub async fn parse(&self, descriptor: &str) -> Result<Checked<OvfParseDescriptorResult>> {
        let params = OvfParseDescriptorParams::default();
        let call = self.manager.parse_descriptor(descriptor, &params);
        let operation = self.client.operation(call.method(), Some(call.this()));
        let mut result = self.client.call(call).await?;
        let errors = std::mem::take(&mut result.error);
        let warnings = std::mem::take(&mut result.warning);
        Ok(Checked::new(operation, result, warnings, errors))
    }

    /// Asks whether a host can run what a descriptor describes, and which kinds of disks it
    /// offers.
    ///
    /// # Errors
    /// See [`Error`]. What a host cannot do is no error of the call; see [`Checked::errors`].
    pub async fn validate_host(
        &self,
        descriptor: &str,
        host: &Ref<mo::HostSystem>,
    ) -> Result<Checked<OvfValidateHostResult>> {
        let params = OvfValidateHostParams::default();
        let call = self.manager.validate_host(descriptor, host, &params);
        let operation = self.client.operation(call.method(), Some(call.this()));
        let mut result = self.client.call(call).await?;
        let errors = std::mem::take(&mut result.error);
        let warnings = std::mem::take(&mut result.warning);
        Ok(Checked::new(operation, result, warnings, errors))
    }

    /// Makes the descriptor of a machine or vApp, which refers to the files in the parameters.
    ///
    /// # Errors
    /// See [`Error`]. What cannot be described is no error of the call; see
    /// [`Checked::errors`].
    pub async fn describe(
        &self,
        entity: &Ref<impl IsA<mo::ManagedEntity>>,
        params: &OvfCreateDescriptorParams,
    ) -> Result<Checked<String>> {
        let call = self.manager.create_descriptor(entity, params);
        let operation = self.client.operation(call.method(), Some(call.this()));
        let result = self.client.call(call).await?;
        Ok(Checked::new(
            operation,
            result.ovf_descriptor,
            result.warning,
            result.error,
        ))
    }

    /// Prepares an import into a resource pool and a datastore.
    pub fn import(
        &self,
        pool: &Ref<impl IsA<mo::ResourcePool>>,
        datastore: &Ref<mo::Datastore>,
    ) -> OvfImport<'c> {
        OvfImport::new(*self, pool.upcast(), datastore.clone())
    }

    /// Prepares an export of a machine, which must be off.
    pub fn export(&self, machine: &Ref<mo::VirtualMachine>) -> OvfExport<'c> {
        OvfExport::new(*self, machine.clone())
    }
}
