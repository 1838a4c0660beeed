//! The addresses of devices: bus numbers, controllers, unit numbers, and the keys derived from
//! them.

use std::collections::HashMap;

use vim25::types::{VirtualController, VirtualDevice};
use vim25::{Fault, Poly};

use super::kind::Kind;
use super::{Devices, int, key};
use crate::fault;

/// Assigns a bus number to a controller, or checks the requested one.
pub(super) fn set_bus(
    devices: &Devices,
    index: usize,
    device: &mut Poly<VirtualDevice>,
    kind: Kind,
) -> Result<(), Fault> {
    let taken: Vec<i32> = devices
        .iter()
        .filter(|other| Kind::of(other) == kind)
        .filter_map(|other| int(other, "busNumber"))
        .collect();
    let asked = int(device, "busNumber").unwrap_or(0);
    let bus = if asked >= 0 && asked < kind.buses() && !taken.contains(&asked) {
        asked
    } else {
        (0..kind.buses())
            .find(|bus| !taken.contains(bus))
            .ok_or_else(|| fault::invalid_device(index, "there are too many such controllers"))?
    };
    device
        .modify::<VirtualController>(|controller| {
            controller.bus_number = bus;
            controller.device.clear();
        })
        .map_err(|_| fault::invalid_device(index, "the controller is incomplete"))?;
    if kind == Kind::Scsi {
        device
            .modify::<vim25::types::VirtualSCSIController>(|controller| {
                controller.hot_add_remove = Some(true);
                controller.scsi_ctlr_unit_number = Some(7);
            })
            .map_err(|_| fault::invalid_device(index, "the controller is incomplete"))?;
    }
    Ok(())
}

/// Returns the address of a device, that is the controller key and unit number: the requested
/// ones, or free ones.
pub(super) fn assign_unit(
    devices: &Devices,
    index: usize,
    device: &Poly<VirtualDevice>,
    kind: Kind,
    renamed: &HashMap<i32, i32>,
) -> Result<Option<(i32, i32)>, Fault> {
    let asked = int(device, "controllerKey").filter(|key| *key != 0);
    let controller = asked
        .map(|key| renamed.get(&key).copied().unwrap_or(key))
        .or_else(|| kind.home());
    let Some(controller) = controller else {
        return if matches!(kind, Kind::Disk | Kind::Cdrom) {
            Err(fault::invalid_controller(index, 0))
        } else {
            Ok(None)
        };
    };
    let found = devices.iter().find(|other| key(other) == controller);
    let on = found.map(Kind::of);
    let Some(on) = on.filter(|on| on.is_controller() && kind.fits(*on)) else {
        return Err(fault::invalid_controller(index, controller));
    };
    let taken: Vec<i32> = devices
        .iter()
        .filter(|other| int(other, "controllerKey") == Some(controller))
        .filter_map(|other| int(other, "unitNumber"))
        .collect();
    let unit = match int(device, "unitNumber").filter(|unit| *unit >= 0) {
        Some(unit) if on == Kind::Pci => (unit..).find(|unit| !taken.contains(unit)),
        Some(unit) if taken.contains(&unit) || on.units().all(|free| free != unit) => {
            return Err(fault::invalid_device(
                index,
                "its unit number is taken or out of range",
            ));
        }
        Some(unit) => Some(unit),
        None => on
            .units()
            .find(|unit| *unit >= kind.first_unit() && !taken.contains(unit)),
    };
    let unit = unit.ok_or_else(|| fault::invalid_device(index, "its controller is full"))?;
    Ok(Some((controller, unit)))
}

/// Returns a key for a new device, derived from its address (controller key and unit number) in the
/// same way as on real servers.
pub(super) fn new_key(
    devices: &Devices,
    kind: Kind,
    device: &Poly<VirtualDevice>,
    address: Option<(i32, i32)>,
) -> i32 {
    let first = kind.first_key();
    let bus = |controller| {
        let found = devices.iter().find(|other| key(other) == controller);
        found.and_then(|other| int(other, "busNumber")).unwrap_or(0)
    };
    let wanted = match (kind, address) {
        (Kind::Disk, Some((controller @ 1_000..=1_003, unit))) => {
            first + 16 * bus(controller) + unit
        }
        (Kind::Disk | Kind::Cdrom, Some((controller @ 200..=201, unit))) => {
            3_000 + 2 * bus(controller) + unit
        }
        (Kind::Disk | Kind::Cdrom, Some((controller @ 15_000..=15_003, unit))) => {
            16_000 + 30 * bus(controller) + unit
        }
        (kind, _) if kind.is_controller() => first + int(device, "busNumber").unwrap_or(0),
        _ => first,
    };
    (wanted..)
        .find(|free| devices.iter().all(|other| key(other) != *free))
        .unwrap_or(wanted)
}
