//! Assigns controllers, bus numbers, unit numbers and keys.

use vim25::Poly;
use vim25::types::{
    ParaVirtualSCSIController, VirtualController, VirtualDevice, VirtualIDEController,
    VirtualSCSIController, VirtualSCSISharing,
};

/// The kinds of controllers for disks and CD drives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bus {
    Scsi,
    Ide,
}

impl Bus {
    /// Returns the kind of a controller; `None` for any other device.
    pub(super) fn of(device: &Poly<VirtualDevice>) -> Option<Self> {
        if device.is::<VirtualSCSIController>() {
            Some(Self::Scsi)
        } else if device.is::<VirtualIDEController>() {
            Some(Self::Ide)
        } else {
            None
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Scsi => "SCSI",
            Self::Ide => "IDE",
        }
    }

    /// Returns the maximum numbers of controllers per machine and of units per controller. A
    /// SCSI controller itself occupies one unit.
    const fn size(self) -> (i32, i32) {
        match self {
            Self::Scsi => (4, 16),
            Self::Ide => (2, 2),
        }
    }

    /// Returns a new controller with this bus number.
    pub(super) fn controller(self, bus_number: i32) -> Poly<VirtualDevice> {
        let base = VirtualController {
            bus_number,
            ..VirtualController::default()
        };
        match self {
            Self::Scsi => Poly::new(ParaVirtualSCSIController {
                base: VirtualSCSIController {
                    base,
                    shared_bus: VirtualSCSISharing::NoSharing,
                    ..VirtualSCSIController::default()
                },
            }),
            Self::Ide => Poly::new(VirtualIDEController { base }),
        }
    }
}

/// Finds the first free unit on the controllers of a kind, in the order of their bus
/// numbers. Returns the controller's key and the unit number.
pub(super) fn free_unit(devices: &[Poly<VirtualDevice>], bus: Bus) -> Option<(i32, i32)> {
    let mut controllers: Vec<_> = devices
        .iter()
        .filter(|device| Bus::of(device) == Some(bus))
        .filter_map(|device| {
            let controller = device.view::<VirtualController>()?;
            let own = device
                .view::<VirtualSCSIController>()
                .map(|scsi| scsi.scsi_ctlr_unit_number.unwrap_or(7));
            Some((controller.bus_number, controller.key, own))
        })
        .collect();
    controllers.sort_unstable();
    let (_, units) = bus.size();
    controllers.into_iter().find_map(|(_, key, own)| {
        let taken: Vec<i32> = devices
            .iter()
            .filter_map(|device| device.view::<VirtualDevice>())
            .filter(|device| device.controller_key == Some(key))
            .filter_map(|device| device.unit_number)
            .chain(own)
            .collect();
        let free = (0..units).find(|unit| !taken.contains(unit))?;
        Some((key, free))
    })
}

/// Returns the lowest free bus number of a kind, if another controller is possible.
pub(super) fn free_bus(devices: &[Poly<VirtualDevice>], bus: Bus) -> Option<i32> {
    let taken: Vec<i32> = devices
        .iter()
        .filter(|device| Bus::of(device) == Some(bus))
        .filter_map(|device| Some(device.view::<VirtualController>()?.bus_number))
        .collect();
    let (buses, _) = bus.size();
    (0..buses).find(|number| !taken.contains(number))
}

/// Returns an unused key. Keys of new devices are negative; the server replaces them.
pub(super) fn free_key(devices: &[Poly<VirtualDevice>]) -> i32 {
    let keys = devices
        .iter()
        .filter_map(|device| Some(device.view::<VirtualDevice>()?.key));
    keys.min().unwrap_or(0).min(-200) - 1
}
