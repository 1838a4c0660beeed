//! Builds the device changes in the specifications of machines.
//!
//! New devices have negative keys, which the server replaces; a device refers to its controller
//! by that key within one specification.

use vim25::types::{
    ParaVirtualSCSIController, VirtualCdrom, VirtualCdromIsoBackingInfo, VirtualController,
    VirtualDevice, VirtualDeviceBackingInfo, VirtualDeviceConfigSpec, VirtualDeviceConnectInfo,
    VirtualDeviceFileBackingInfo, VirtualDevicePciBusSlotInfo, VirtualDeviceURIBackingInfo,
    VirtualDisk, VirtualDiskFlatVer2BackingInfo, VirtualEthernetCard, VirtualIDEController,
    VirtualSCSIController, VirtualSerialPort, VirtualSerialPortFileBackingInfo,
    VirtualSerialPortURIBackingInfo, VirtualVmxnet, VirtualVmxnet3,
};
use vim25::types::{
    VirtualDeviceConfigSpecFileOperation, VirtualDeviceConfigSpecOperation,
    VirtualDeviceURIBackingOptionDirection, VirtualDiskMode, VirtualEthernetCardMacType,
    VirtualSCSISharing,
};
use vim25::{IsA, Poly, Ref, mo};

use super::networks::Card;
use crate::network::MacAddress;

const IDE: i32 = -200;
const CDROM: i32 = -201;
const SERIAL: i32 = -202;
const NIC: i32 = -203;
const SCSI: i32 = -204;
const DISK: i32 = -205;
const LOG: i32 = -206;

/// Adds `ide0` and, on its first unit, a CD drive with this image: `[datastore] path`.
pub(super) fn cdrom(
    image: &str,
    datastore: &Ref<mo::Datastore>,
) -> Vec<Poly<VirtualDeviceConfigSpec>> {
    vec![
        add(ide_controller()),
        add(cdrom_drive(IDE, image, datastore)),
    ]
}

/// Returns `ide0` without devices.
pub(super) fn ide_controller() -> VirtualIDEController {
    VirtualIDEController {
        base: controller(IDE),
    }
}

/// Returns a CD drive on the first unit of the IDE controller with this key.
pub(super) fn cdrom_drive(
    controller: i32,
    image: &str,
    datastore: &Ref<mo::Datastore>,
) -> VirtualCdrom {
    let backing = VirtualCdromIsoBackingInfo {
        base: file(image, datastore),
    };
    VirtualCdrom {
        base: VirtualDevice {
            controller_key: Some(controller),
            unit_number: Some(0),
            ..connected(CDROM, Poly::new(backing))
        },
    }
}

/// Returns a CD drive with this image on the first free unit of the existing IDE controllers.
pub(super) fn cdrom_for(
    devices: &[Poly<VirtualDevice>],
    image: &str,
    datastore: &Ref<mo::Datastore>,
) -> Option<Poly<VirtualDeviceConfigSpec>> {
    let mut controllers: Vec<_> = devices
        .iter()
        .filter(|device| device.is::<VirtualIDEController>())
        .filter_map(|device| device.view::<VirtualController>())
        .collect();
    controllers.sort_by_key(|controller| controller.bus_number);
    let is_free = |key: i32, unit: i32| {
        !devices
            .iter()
            .filter_map(|device| device.view::<VirtualDevice>())
            .any(|device| device.controller_key == Some(key) && device.unit_number == Some(unit))
    };
    let (key, unit) = controllers
        .iter()
        .flat_map(|controller| [(controller.key, 0), (controller.key, 1)])
        .find(|(key, unit)| is_free(*key, *unit))?;
    let mut drive = cdrom_drive(key, image, datastore);
    drive.base.unit_number = Some(unit);
    Some(add(drive))
}

/// Adds `serial0`, a serial port that connects to this URI.
pub(super) fn serial(uri: &str) -> Poly<VirtualDeviceConfigSpec> {
    let backing = VirtualSerialPortURIBackingInfo {
        base: VirtualDeviceURIBackingInfo {
            service_uri: uri.to_owned(),
            direction: VirtualDeviceURIBackingOptionDirection::Client
                .as_str()
                .to_owned(),
            ..VirtualDeviceURIBackingInfo::default()
        },
    };
    let mut base = connected(SERIAL, Poly::new(backing));
    // The guest must not be able to disconnect its serial line.
    if let Some(connectable) = &mut base.connectable {
        connectable.allow_guest_control = false;
    }
    add(VirtualSerialPort {
        base,
        // The guest polls the port; without this it would use a whole CPU.
        yield_on_poll: true,
    })
}

/// Adds `serial1`, a serial port that appends to this file: `[datastore] path`.
pub(super) fn log(path: &str, datastore: &Ref<mo::Datastore>) -> Poly<VirtualDeviceConfigSpec> {
    let backing = VirtualSerialPortFileBackingInfo {
        base: file(path, datastore),
    };
    add(VirtualSerialPort {
        base: connected(LOG, Poly::new(backing)),
        yield_on_poll: true,
    })
}

/// Returns the log file of a machine: `[datastore] path`.
pub(super) fn log_file(devices: &[Poly<VirtualDevice>]) -> Option<String> {
    devices.iter().find_map(|device| {
        let port = device.get::<VirtualSerialPort>().ok().flatten()?;
        let backing = port.backing.as_ref()?;
        let file = backing
            .get::<VirtualSerialPortFileBackingInfo>()
            .ok()
            .flatten()?;
        (!file.file_name.is_empty()).then(|| file.file_name.clone())
    })
}

/// Adds the `position`th network card of a machine's specification.
pub(super) fn nic(position: i32, card: &Card) -> Poly<VirtualDeviceConfigSpec> {
    let mut base = connected(0, card.backing.clone());
    base.slot_info = Some(Poly::new(VirtualDevicePciBusSlotInfo {
        pci_slot_number: card.slot,
        ..VirtualDevicePciBusSlotInfo::default()
    }));
    add_card(position, base, card.mac)
}

fn add_card(
    position: i32,
    mut base: VirtualDevice,
    mac: Option<MacAddress>,
) -> Poly<VirtualDeviceConfigSpec> {
    // These keys do not collide with the other keys, because a machine has at most ten cards.
    base.key = if position == 0 {
        NIC
    } else {
        NIC - 100 - position
    };
    let card = VirtualEthernetCard {
        base,
        // An address that the endpoint generates may change when a machine is moved or registered
        // again.
        address_type: mac.map(|_| VirtualEthernetCardMacType::Manual.as_str().to_owned()),
        mac_address: mac.map(|mac| mac.to_string()),
        upt_compatibility_enabled: Some(true),
        ..VirtualEthernetCard::default()
    };
    add(VirtualVmxnet3 {
        base: VirtualVmxnet { base: card },
        ..VirtualVmxnet3::default()
    })
}

/// Adds `scsi0` and, on its first unit, a new thin disk in the machine's directory. Without a
/// parent the disk is empty. With a parent it is a child of that disk, and must have the same
/// capacity.
pub(super) fn disk(
    datastore: &Ref<mo::Datastore>,
    capacity_kib: i64,
    mode: VirtualDiskMode,
    parent: Option<&str>,
) -> Vec<Poly<VirtualDeviceConfigSpec>> {
    let scsi = ParaVirtualSCSIController {
        base: VirtualSCSIController {
            base: controller(SCSI),
            shared_bus: VirtualSCSISharing::NoSharing,
            ..VirtualSCSIController::default()
        },
    };
    let backing = VirtualDiskFlatVer2BackingInfo {
        // Without a file name, the server names the disk after the machine.
        base: file("", datastore),
        disk_mode: mode.as_str().to_owned(),
        thin_provisioned: Some(true),
        parent: parent.map(|parent| {
            Box::new(VirtualDiskFlatVer2BackingInfo {
                base: file(parent, datastore),
                disk_mode: VirtualDiskMode::Persistent.as_str().to_owned(),
                ..VirtualDiskFlatVer2BackingInfo::default()
            })
        }),
        ..VirtualDiskFlatVer2BackingInfo::default()
    };
    let disk = VirtualDisk {
        base: VirtualDevice {
            key: DISK,
            backing: Some(Poly::new(backing)),
            controller_key: Some(SCSI),
            unit_number: Some(0),
            ..VirtualDevice::default()
        },
        capacity_in_kb: capacity_kib,
        ..VirtualDisk::default()
    };
    let create = VirtualDeviceConfigSpec {
        operation: Some(VirtualDeviceConfigSpecOperation::Add),
        file_operation: Some(VirtualDeviceConfigSpecFileOperation::Create),
        device: Poly::new(disk),
        ..VirtualDeviceConfigSpec::default()
    };
    vec![add(scsi), Poly::new(create)]
}

/// Adds a device.
pub(super) fn add<T>(device: T) -> Poly<VirtualDeviceConfigSpec>
where
    T: vim25::DataObject + IsA<VirtualDevice>,
{
    Poly::new(VirtualDeviceConfigSpec {
        operation: Some(VirtualDeviceConfigSpecOperation::Add),
        device: Poly::new(device),
        ..VirtualDeviceConfigSpec::default()
    })
}

/// Removes a device without deleting its files. The device is sent exactly as it was read.
pub(super) fn detach(device: &Poly<VirtualDevice>) -> Poly<VirtualDeviceConfigSpec> {
    Poly::new(VirtualDeviceConfigSpec {
        operation: Some(VirtualDeviceConfigSpecOperation::Remove),
        device: device.clone(),
        ..VirtualDeviceConfigSpec::default()
    })
}

fn controller(key: i32) -> VirtualController {
    VirtualController {
        base: VirtualDevice {
            key,
            ..VirtualDevice::default()
        },
        bus_number: 0,
        ..VirtualController::default()
    }
}

fn connected(key: i32, backing: Poly<VirtualDeviceBackingInfo>) -> VirtualDevice {
    VirtualDevice {
        key,
        backing: Some(backing),
        connectable: Some(Box::new(VirtualDeviceConnectInfo {
            start_connected: true,
            allow_guest_control: true,
            connected: true,
            ..VirtualDeviceConnectInfo::default()
        })),
        ..VirtualDevice::default()
    }
}

fn file(name: &str, datastore: &Ref<mo::Datastore>) -> VirtualDeviceFileBackingInfo {
    VirtualDeviceFileBackingInfo {
        file_name: name.to_owned(),
        datastore: Some(datastore.clone()),
        ..VirtualDeviceFileBackingInfo::default()
    }
}
