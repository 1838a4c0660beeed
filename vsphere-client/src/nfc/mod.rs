//! Import and export of machines: disks streamed to and from hosts under an
//! NFC lease.
//!
//! A lease is started by a call such as
//! [`import_vapp`](vim25::Ref::import_vapp) or [`export_vm`](vim25::Ref::export_vm).
//! [`Client::lease`](crate::Client::lease) waits until it is ready and returns
//! a [`Lease`], which is kept alive in the background and aborted on drop.
//!
//! ```no_run
//! use vim25::types::{ImportSpec, VirtualMachineConfigSpec, VirtualMachineImportSpec};
//! use vim25::{Poly, Ref, mo};
//!
//! # async fn example(
//! #     client: &vsphere_client::Client,
//! #     pool: &Ref<mo::ResourcePool>,
//! #     folder: &Ref<mo::Folder>,
//! #     config_spec: VirtualMachineConfigSpec,
//! #     disk: tokio::fs::File,
//! #     length: u64,
//! # ) -> vsphere_client::Result<()> {
//! let spec: Poly<ImportSpec> = Poly::new(VirtualMachineImportSpec {
//!     config_spec,
//!     ..VirtualMachineImportSpec::default()
//! });
//! let lease = client.lease(pool.import_vapp(&spec, Some(folder), None)).await?;
//! for device in lease.devices().iter().filter(|device| device.is_disk()) {
//!     lease.upload(device, disk, length).await?;
//!     # break;
//! }
//! let machine = lease.complete().await?;
//! # Ok(()) }
//! ```

mod device;
mod keeper;
mod lease;
mod manifest;
mod upload;

pub use device::LeaseDevice;
pub use lease::{Lease, LeaseDownload};
pub use manifest::Transferred;
pub(crate) use manifest::hexadecimal;
pub use upload::LeaseUpload;
