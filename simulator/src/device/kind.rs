//! The kinds of devices: their keys, their names, and the controllers they need.

use vim25::Poly;
use vim25::types::{
    ParaVirtualSCSIController, VirtualAHCIController, VirtualCdrom, VirtualDevice, VirtualDisk,
    VirtualEthernetCard, VirtualFloppy, VirtualIDEController, VirtualNVMEController,
    VirtualPCIController, VirtualPS2Controller, VirtualParallelPort, VirtualSCSIController,
    VirtualSIOController, VirtualSerialPort, VirtualUSBController, VirtualUSBXHCIController,
};

/// The kind of a device, which determines its key, its label and the controllers that it can
/// be attached to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Ide,
    Scsi,
    Sata,
    Nvme,
    Pci,
    Sio,
    Ps2,
    Usb,
    Xhci,
    Disk,
    Cdrom,
    Network,
    Serial,
    Parallel,
    Floppy,
    Other,
}

impl Kind {
    pub(crate) fn of(device: &Poly<VirtualDevice>) -> Self {
        if device.is::<VirtualDisk>() {
            Self::Disk
        } else if device.is::<VirtualEthernetCard>() {
            Self::Network
        } else if device.is::<VirtualCdrom>() {
            Self::Cdrom
        } else if device.is::<VirtualSerialPort>() {
            Self::Serial
        } else if device.is::<VirtualSCSIController>() || device.is::<ParaVirtualSCSIController>() {
            Self::Scsi
        } else if device.is::<VirtualIDEController>() {
            Self::Ide
        } else if device.is::<VirtualAHCIController>() {
            Self::Sata
        } else if device.is::<VirtualNVMEController>() {
            Self::Nvme
        } else if device.is::<VirtualPCIController>() {
            Self::Pci
        } else if device.is::<VirtualSIOController>() {
            Self::Sio
        } else if device.is::<VirtualPS2Controller>() {
            Self::Ps2
        } else if device.is::<VirtualUSBController>() {
            Self::Usb
        } else if device.is::<VirtualUSBXHCIController>() {
            Self::Xhci
        } else if device.is::<VirtualParallelPort>() {
            Self::Parallel
        } else if device.is::<VirtualFloppy>() {
            Self::Floppy
        } else {
            Self::Other
        }
    }

    /// Returns whether other devices can be attached to devices of this kind.
    pub(crate) const fn is_controller(self) -> bool {
        matches!(
            self,
            Self::Ide
                | Self::Scsi
                | Self::Sata
                | Self::Nvme
                | Self::Pci
                | Self::Sio
                | Self::Ps2
                | Self::Usb
                | Self::Xhci
        )
    }

    /// Returns the maximum number of controllers of this kind per machine.
    pub(crate) const fn buses(self) -> i32 {
        match self {
            Self::Ide => 2,
            Self::Scsi | Self::Sata | Self::Nvme => 4,
            _ => 1,
        }
    }

    /// Returns the first key of devices of this kind.
    pub(crate) const fn first_key(self) -> i32 {
        match self {
            Self::Ide => 200,
            Self::Scsi => 1_000,
            Self::Sata => 15_000,
            Self::Nvme => 31_000,
            Self::Pci => 100,
            Self::Sio => 400,
            Self::Ps2 => 300,
            Self::Usb => 7_000,
            Self::Xhci => 14_000,
            Self::Disk => 2_000,
            Self::Cdrom => 3_000,
            Self::Network => 4_000,
            Self::Serial => 9_000,
            Self::Parallel => 10_000,
            Self::Floppy => 8_000,
            Self::Other => 13_000,
        }
    }

    /// Returns the label that servers assign, without its number.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Ide => "IDE",
            Self::Scsi => "SCSI controller",
            Self::Sata => "SATA controller",
            Self::Nvme => "NVME controller",
            Self::Pci => "PCI controller",
            Self::Sio => "SIO controller",
            Self::Ps2 => "PS2 controller",
            Self::Usb => "USB controller",
            Self::Xhci => "USB xHCI controller",
            Self::Disk => "Hard disk",
            Self::Cdrom => "CD/DVD drive",
            Self::Network => "Network adapter",
            Self::Serial => "Serial port",
            Self::Parallel => "Parallel port",
            Self::Floppy => "Floppy drive",
            Self::Other => "Device",
        }
    }

    /// Returns whether a device of this kind can be attached to a controller of that kind.
    pub(crate) const fn fits(self, controller: Self) -> bool {
        match self {
            Self::Disk => matches!(controller, Self::Ide | Self::Scsi | Self::Sata | Self::Nvme),
            Self::Cdrom => matches!(controller, Self::Ide | Self::Scsi | Self::Sata),
            Self::Network | Self::Scsi | Self::Sata | Self::Nvme | Self::Usb | Self::Xhci => {
                matches!(controller, Self::Pci)
            }
            Self::Serial | Self::Parallel | Self::Floppy => matches!(controller, Self::Sio),
            _ => true,
        }
    }

    /// Returns the key of the default controller for devices of this kind.
    pub(crate) const fn home(self) -> Option<i32> {
        match self {
            Self::Network | Self::Scsi | Self::Sata | Self::Nvme | Self::Usb | Self::Xhci => {
                Some(100)
            }
            Self::Serial | Self::Parallel | Self::Floppy => Some(400),
            _ => None,
        }
    }

    /// Iterates over the unit numbers of a controller of this kind.
    pub(crate) fn units(self) -> impl Iterator<Item = i32> {
        let (count, own) = match self {
            Self::Ide => (2, None),
            // The controller itself has the unit number 7.
            Self::Scsi => (16, Some(7)),
            Self::Sata => (30, None),
            Self::Nvme => (64, None),
            Self::Sio => (16, None),
            _ => (64, None),
        };
        (0..count).filter(move |unit| Some(*unit) != own)
    }

    /// Returns the first unit number that devices of this kind use on their controller.
    pub(crate) const fn first_unit(self) -> i32 {
        match self {
            Self::Network => 7,
            Self::Scsi => 3,
            Self::Sata => 24,
            Self::Nvme => 30,
            _ => 0,
        }
    }

    /// Returns whether devices of this kind can be added and removed while the machine is on.
    pub(crate) const fn is_hot(self) -> bool {
        matches!(
            self,
            Self::Disk | Self::Network | Self::Scsi | Self::Usb | Self::Xhci
        )
    }
}
