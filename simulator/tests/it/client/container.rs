//! Specifications of a container's machine, as VIC 0.4 creates it.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::field_reassign_with_default,
    reason = "test support; each test uses a part of it"
)]

use std::collections::BTreeMap;

use guestinfo::vic::{Command, Common, ExecutorConfig, Identity, SessionConfig};
use guestinfo::{Dialect, encode};
use vim25::types::{
    OptionValue, ParaVirtualSCSIController, VirtualCdrom, VirtualCdromIsoBackingInfo,
    VirtualDevice, VirtualDeviceConfigSpec, VirtualDeviceConfigSpecFileOperation,
    VirtualDeviceConfigSpecOperation, VirtualDisk, VirtualDiskFlatVer2BackingInfo,
    VirtualEthernetCardNetworkBackingInfo, VirtualMachineConfigInfo, VirtualMachineConfigSpec,
    VirtualMachineFileInfo, VirtualSCSISharing, VirtualSerialPort, VirtualSerialPortURIBackingInfo,
    VirtualVmxnet3,
};
use vim25::{IsA, Poly};

pub(crate) const ID: &str = "4e01c2";

/// Returns the keys of a container with one session.
pub(crate) fn keys(
    name: &str,
    path: &str,
    args: &[&str],
    dialect: Dialect,
) -> BTreeMap<String, String> {
    let session = SessionConfig {
        common: Common {
            id: ID.into(),
            name: name.into(),
            ..Default::default()
        },
        command: Command {
            path: path.into(),
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            ..Default::default()
        },
        active: true,
        ..Default::default()
    };
    let container = ExecutorConfig {
        common: Identity {
            id: ID.into(),
            name: name.into(),
            ..Default::default()
        },
        sessions: [(ID.to_owned(), session)].into(),
        repo_name: "hello-world".into(),
        ..Default::default()
    };
    encode(&container, dialect).unwrap()
}

pub(crate) fn options(keys: &BTreeMap<String, String>) -> Vec<Poly<OptionValue>> {
    keys.iter()
        .map(|(key, value)| Poly::new(OptionValue::new(key, value)))
        .collect()
}

pub(crate) fn add<T: vim25::DataObject + IsA<VirtualDevice>>(
    device: T,
    file: Option<VirtualDeviceConfigSpecFileOperation>,
) -> Poly<VirtualDeviceConfigSpec> {
    Poly::new(VirtualDeviceConfigSpec {
        operation: Some(VirtualDeviceConfigSpecOperation::Add),
        file_operation: file,
        device: Poly::new(device),
        ..Default::default()
    })
}

/// Returns the change that adds a disk of 1 GiB to a controller.
pub(crate) fn disk(controller: i32, parent: Option<&str>) -> Poly<VirtualDeviceConfigSpec> {
    disk_of(1 << 20, controller, parent)
}

/// Returns the change that adds a disk of `kib` KiB to a controller.
pub(crate) fn disk_of(
    kib: i64,
    controller: i32,
    parent: Option<&str>,
) -> Poly<VirtualDeviceConfigSpec> {
    let parent = parent.map(|name| {
        let mut parent = VirtualDiskFlatVer2BackingInfo {
            disk_mode: "persistent".into(),
            ..Default::default()
        };
        parent.base.file_name = name.into();
        Box::new(parent)
    });
    let backing = VirtualDiskFlatVer2BackingInfo {
        disk_mode: "persistent".into(),
        thin_provisioned: Some(true),
        parent,
        ..Default::default()
    };
    let mut disk = VirtualDisk {
        capacity_in_kb: kib,
        ..Default::default()
    };
    disk.key = -2;
    disk.controller_key = Some(controller);
    disk.backing = Some(Poly::new(backing));
    add(disk, Some(VirtualDeviceConfigSpecFileOperation::Create))
}

/// Returns the specification of a container's machine.
pub(crate) fn spec(name: &str, keys: &BTreeMap<String, String>) -> VirtualMachineConfigSpec {
    let mut scsi = ParaVirtualSCSIController::default();
    scsi.key = -1;
    scsi.shared_bus = VirtualSCSISharing::NoSharing;
    let mut backing = VirtualCdromIsoBackingInfo::default();
    backing.file_name = "[datastore1] vch/bootstrap.iso".into();
    let mut cd = VirtualCdrom::default();
    cd.key = -3;
    cd.controller_key = Some(200);
    cd.unit_number = Some(0);
    cd.backing = Some(Poly::new(backing));
    let mut backing = VirtualEthernetCardNetworkBackingInfo::default();
    backing.device_name = "VM Network".into();
    let mut nic = VirtualVmxnet3::default();
    nic.key = -4;
    nic.backing = Some(Poly::new(backing));
    let mut backing = VirtualSerialPortURIBackingInfo::default();
    backing.service_uri = "tcp://127.0.0.1:9".into();
    backing.direction = "client".into();
    let mut serial = VirtualSerialPort::default();
    serial.key = -5;
    serial.yield_on_poll = true;
    serial.backing = Some(Poly::new(backing));
    VirtualMachineConfigSpec {
        name: Some(name.into()),
        guest_id: Some("other3xLinux64Guest".into()),
        num_cpus: Some(2),
        memory_mb: Some(2_048),
        files: Some(Box::new(VirtualMachineFileInfo {
            vm_path_name: Some(format!("[datastore1] {name}/{name}.vmx")),
            ..Default::default()
        })),
        device_change: vec![
            disk(-1, None),
            add(scsi, None),
            add(cd, None),
            add(nic, None),
            add(serial, None),
        ],
        extra_config: options(keys),
        ..Default::default()
    }
}

/// Returns the value of a key in the machine's extraConfig.
pub(crate) fn extra(config: &VirtualMachineConfigInfo, key: &str) -> Option<String> {
    config.extra_config.iter().find_map(|option| {
        let option = option.base::<OptionValue>().unwrap()?;
        (option.key == key).then(|| option.text()).flatten()
    })
}
