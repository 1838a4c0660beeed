//! The devices of a virtual machine: finding, adding, editing and removing them.
//!
//! A [`DeviceList`] does no I/O: it is created from the machine's devices, assigns keys and
//! unit numbers to new devices, and is converted to the changes to send.
//!
//! ```
//! use vim25::types::{VirtualDisk, VirtualMachineConfigSpec};
//! use vsphere_client::device::{DeviceList, Files, NewDisk};
//!
//! # fn example(mut devices: DeviceList) -> vsphere_client::Result<VirtualMachineConfigSpec> {
//! let key = devices.add_disk(NewDisk::new(1 << 30).child_of("[ds] image/image.vmdk"))?;
//! devices.edit::<VirtualDisk>(2000, |disk| disk.capacity_in_kb *= 2)?;
//! devices.remove(2001, Files::Keep)?;
//! let spec = VirtualMachineConfigSpec {
//!     device_change: devices.into_changes(),
//!     ..Default::default()
//! };
//! # Ok(spec) }
//! ```

mod build;
mod bus;
mod list;

pub use build::{NewDisk, cdrom, nic, serial_file, serial_uri};
pub use list::{DeviceList, Files};
