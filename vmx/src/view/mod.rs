//! The settings of a virtual machine as Rust types.
//!
//! [`VirtualMachineFile`] is a view: it stores no settings, but reads and edits those of
//! a [`Document`]. Keys that it does not know are not touched. Missing settings are read
//! as VMware's defaults.
//!
//! Each device has a view, selected by its [`DeviceName`]; the device need not exist. A
//! device is in effect only if it and its controller are `present`, see [`Presence`]; the
//! settings of other devices can be read as well. Settings with a variable part in their
//! names, such as answers to questions, form a [`Family`].
//!
//! | in files | view | in the vSphere API |
//! | --- | --- | --- |
//! | `scsiN`, `sataN`, `nvmeN` | [`Controller`] | `VirtualSCSIController` by model, `VirtualAHCIController`, `VirtualNVMEController` |
//! | `ideN:M`, `scsiN:M`, .. | [`Drive`] | `VirtualDisk`, `VirtualCdrom`, `VirtualSCSIPassthrough` |
//! | `ethernetN` | [`NetworkCard`] | `VirtualEthernetCard` by model |
//! | `serialN`, `parallelN` | [`SerialPort`], [`ParallelPort`] | `VirtualSerialPort`, `VirtualParallelPort` |
//! | `floppyN` | [`Floppy`] | `VirtualFloppy` |
//! | `usb`, `ehci`, `usb_xhci` | [`UsbController`] | `VirtualUSBController`, `VirtualUSBXHCIController` |
//! | `usb:N`, `usb_xhci:N` | [`UsbPort`] | `VirtualUSB`; what is emulated, none |
//! | `sound` | [`Sound`] | `VirtualSoundCard` by model |
//! | `svga` | [`Video`] | `VirtualMachineVideoCard` |
//! | `vmci0` | [`Vmci`] | `VirtualMachineVMCIDevice` |
//! | `pciPassthruN` | [`PciPassthrough`] | `VirtualPCIPassthrough` |
//! | `nvdimmN`, `nvdimmN:M` | [`Nvdimm`] | `VirtualNVDIMMController`, `VirtualNVDIMM` |
//! | `vtpm`, `precisionclock0`, `watchdog0` | [`Tpm`], [`PrecisionClock`], [`Watchdog`] | `VirtualTPM`, `VirtualPrecisionClock`, `VirtualWDT` |
//! | `pciBridgeN`, `sharedFolderN` | [`PciBridge`], [`SharedFolder`] | none: extraConfig |
//!
//! Every setting documents the corresponding property of the API.
//!
//! ```
//! use vmx::Document;
//! use vmx::view::{Class, ControllerModel, DeviceName, VirtualMachineFile};
//!
//! let document = Document::parse(&b"memsize = \"64\"\n\
//!     scsi0.present = \"TRUE\"\n\
//!     scsi0.virtualDev = \"pvscsi\"\n\
//!     scsi0:0.present = \"TRUE\"\n\
//!     scsi0:0.fileName = \"disk.vmdk\"\n"[..])?;
//! let mut machine = VirtualMachineFile::new(document);
//!
//! assert_eq!(machine.memory_mb()?, 64);
//! assert_eq!(machine.cpus()?, 1);
//! let disks = machine.disks();
//! assert_eq!(disks[0].device_name().to_string(), "scsi0:0");
//! assert_eq!(disks[0].file_name()?.as_deref(), Some("disk.vmdk"));
//! let controller = machine.controller(DeviceName::of(Class::Scsi, 0));
//! assert_eq!(controller.model()?, Some(ControllerModel::ParaVirtual));
//!
//! machine.set_memory_mb(128)?;
//! assert!(machine.into_document().to_bytes().starts_with(b"memsize = \"128\"\n"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod board;
mod cpuid;
mod device;
mod device_name;
mod family;
mod host;
mod identity;
mod machine;
mod network;
mod port;
mod scheduling;
mod storage;
mod typed_setting;
mod usb;

use std::borrow::{Borrow, BorrowMut};
use std::collections::BTreeSet;

use crate::document::{Change, Document};

pub use self::board::{PciBridge, PrecisionClock, Sound, SoundModel, Tpm, Video, Vmci, Watchdog};
pub use self::cpuid::{CpuidMask, CpuidOwner, CpuidRegister, CpuidRegisters};
pub use self::device::{Device, Presence};
pub use self::device_name::{Class, DeviceName};
pub use self::family::Family;
pub use self::host::{Nvdimm, PassthroughModel, PciPassthrough, SharedFolder};
pub use self::identity::{IdentityError, MacAddress, SasWwid, Uuid};
pub use self::machine::{Firmware, PowerType, ProductCompatibility, ToolsUpgrade, UuidAction};
pub use self::network::{AddressType, CardModel, ConnectionType, NetworkCard};
pub use self::port::{EndPoint, Floppy, ParallelPort, PortType, SerialPort};
pub use self::scheduling::{LatencySensitivity, Limit, Scheduling, Shares};
pub use self::storage::{
    Controller, ControllerModel, DiskMode, DiskSharing, Drive, DriveType, SharedBus,
};
pub use self::typed_setting::SettingError;
pub(crate) use self::typed_setting::read;
pub use self::usb::{UsbController, UsbDeviceType, UsbPort};

/// The settings of a virtual machine, read from a [`Document`] and edited in it.
///
/// `D` is the document: owned, `&Document`, or `&mut Document` for editing.
#[derive(Debug, Clone)]
pub struct VirtualMachineFile<D = Document> {
    document: D,
}

impl<D> VirtualMachineFile<D> {
    /// Creates a view of a document.
    pub const fn new(document: D) -> Self {
        Self { document }
    }

    /// Returns the document.
    pub fn into_document(self) -> D {
        self.document
    }

    #[expect(clippy::unused_self, reason = "views of devices need it")]
    fn entry_name(&self, key: &'static str) -> &'static str {
        key
    }
}

/// Returns the devices for which a document has any setting, ordered by class and number.
fn device_names(document: &Document) -> BTreeSet<DeviceName> {
    document
        .entries()
        .filter_map(|entry| entry.name().as_str().and_then(DeviceName::split))
        .map(|(device, _)| device)
        .collect()
}

fn delete_group(document: &mut Document, device: DeviceName) -> Change {
    document.remove_where(|name| {
        name.as_str()
            .and_then(DeviceName::split)
            .is_some_and(|(found, _)| found == device)
    })
}

/// Accessors for views of devices: of one device, for reading and for editing, and of all
/// devices that the file mentions.
macro_rules! devices {
    ($(
        $(#[$doc:meta])*
        $one:ident $one_mut:ident $all:ident: $view:ident, $classes:pat, $unit:literal;
    )*) => {
        impl<D: Borrow<Document>> VirtualMachineFile<D> {
            /// Returns the document.
            pub fn document(&self) -> &Document {
                self.document.borrow()
            }

            $(
                $(#[$doc])*
                ///
                /// The device need not exist.
                pub fn $one(&self, device: DeviceName) -> $view<&Document> {
                    $view::at(self.document.borrow(), device)
                }

                $(#[$doc])*
                ///
                /// Returns all that the file mentions, including those that are not
                /// present.
                pub fn $all(&self) -> Vec<$view<&Document>> {
                    let document = self.document.borrow();
                    device_names(document)
                        .into_iter()
                        .filter(|device| {
                            matches!(device.class(), $classes) && device.unit().is_some() == $unit
                        })
                        .map(|device| $view::at(document, device))
                        .collect()
                }
            )*
        }

        impl<D: BorrowMut<Document>> VirtualMachineFile<D> {
            /// Returns the document, for editing.
            pub fn document_mut(&mut self) -> &mut Document {
                self.document.borrow_mut()
            }

            $(
                $(#[$doc])*
                ///
                /// For editing. Setting `present` adds a device that does not exist.
                pub fn $one_mut(&mut self, device: DeviceName) -> $view<&mut Document> {
                    $view::at(self.document.borrow_mut(), device)
                }
            )*
        }
    };
}

devices! {
    /// A disk controller.
    controller controller_mut controllers: Controller, Class::Scsi | Class::Sata | Class::Nvme, false;
    /// A disk, CD drive or host device on a controller.
    drive drive_mut drives: Drive, Class::Ide | Class::Scsi | Class::Sata | Class::Nvme, true;
    /// A network card.
    network_card network_card_mut network_cards: NetworkCard, Class::Ethernet, false;
    /// A serial port.
    serial_port serial_port_mut serial_ports: SerialPort, Class::Serial, false;
    /// A parallel port.
    parallel_port parallel_port_mut parallel_ports: ParallelPort, Class::Parallel, false;
    /// A floppy drive.
    floppy floppy_mut floppies: Floppy, Class::Floppy, false;
    /// A PCI bridge.
    pci_bridge pci_bridge_mut pci_bridges: PciBridge, Class::PciBridge, false;
    /// A USB controller.
    usb_controller usb_controller_mut usb_controllers: UsbController, Class::Usb | Class::Ehci | Class::Xhci, false;
    /// The device at a port of a USB controller.
    usb_port usb_port_mut usb_ports: UsbPort, Class::Usb | Class::Xhci, true;
    /// A PCI device of the host.
    pci_passthrough pci_passthrough_mut pci_passthroughs: PciPassthrough, Class::PciPassthrough, false;
    /// A controller of persistent memory.
    nvdimm_controller nvdimm_controller_mut nvdimm_controllers: Nvdimm, Class::Nvdimm, false;
    /// A module of persistent memory.
    nvdimm nvdimm_mut nvdimms: Nvdimm, Class::Nvdimm, true;
    /// A folder of the host.
    shared_folder shared_folder_mut shared_folders: SharedFolder, Class::SharedFolder, false;
}
