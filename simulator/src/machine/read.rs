//! Reads a machine back from its `.vmx` file, including the supported devices.

use vim25::Poly;
use vim25::types::{
    ParaVirtualSCSIController, VirtualAHCIController, VirtualCdrom, VirtualCdromIsoBackingInfo,
    VirtualCdromRemotePassthroughBackingInfo, VirtualController, VirtualDevice,
    VirtualDeviceBackingInfo, VirtualDeviceBusSlotInfo, VirtualDeviceConfigSpec,
    VirtualDeviceConfigSpecOperation, VirtualDeviceConnectInfo, VirtualDevicePciBusSlotInfo,
    VirtualDisk, VirtualDiskFlatVer2BackingInfo, VirtualE1000, VirtualE1000e, VirtualEthernetCard,
    VirtualEthernetCardNetworkBackingInfo, VirtualLsiLogicController, VirtualLsiLogicSASController,
    VirtualMachineConfigSpec, VirtualSCSIController, VirtualSCSISharing, VirtualSerialPort,
    VirtualSerialPortFileBackingInfo, VirtualSerialPortURIBackingInfo, VirtualVmxnet3,
};
use vmx::Document;

use super::config::{guest_id, is_guest};
use super::file::text;
use crate::datastore::Store;
use crate::datastore::path::DatastorePath;

/// Converts the file to a specification from which a machine can be created.
pub(crate) fn spec(
    document: &Document,
    vmx: &DatastorePath,
    store: &Store,
) -> VirtualMachineConfigSpec {
    let number = |name| text(document, name).and_then(|text| text.parse().ok());
    let mut spec = VirtualMachineConfigSpec {
        // The file may contain a guest id that this version does not define.
        guest_id: text(document, "guestOS")
            .map(|os| guest_id(&os))
            .filter(|id| is_guest(id)),
        annotation: text(document, "annotation"),
        num_cpus: number("numvcpus"),
        memory_mb: text(document, "memSize").and_then(|text| text.parse().ok()),
        uuid: text(document, "uuid.bios").and_then(|text| dashed(&text)),
        instance_uuid: text(document, "vc.uuid").and_then(|text| dashed(&text)),
        location_id: text(document, "uuid.location").and_then(|text| dashed(&text)),
        version: text(document, "virtualHW.version")
            .and_then(|text| text.parse::<u8>().ok())
            .map(|number| format!("vmx-{number:02}")),
        firmware: text(document, "firmware"),
        num_cores_per_socket: number("cpuid.coresPerSocket"),
        cpu_hot_add_enabled: truth(document, "vcpu.hotadd"),
        memory_hot_add_enabled: truth(document, "mem.hotadd"),
        ..Default::default()
    };
    let mut add = |device: Poly<VirtualDevice>| {
        spec.device_change.push(Poly::new(VirtualDeviceConfigSpec {
            operation: Some(VirtualDeviceConfigSpecOperation::Add),
            device,
            ..Default::default()
        }));
    };
    controllers(document, &mut add);
    let files = Files { vmx, store };
    drives(document, files, &mut add);
    cards(document, &mut add);
    ports(document, files, &mut add);
    spec
}

fn is_present(document: &Document, group: &str) -> bool {
    truth(document, &format!("{group}.present")) == Some(true)
}

fn truth(document: &Document, name: &str) -> Option<bool> {
    Some(text(document, name)?.eq_ignore_ascii_case("true"))
}

/// Returns the connection settings of a device, if the file has any.
fn connectable(document: &Document, group: &str) -> Option<Box<VirtualDeviceConnectInfo>> {
    let start = truth(document, &format!("{group}.startConnected"));
    let control = truth(document, &format!("{group}.allowGuestConnectionControl"));
    (start.is_some() || control.is_some()).then(|| {
        Box::new(VirtualDeviceConnectInfo {
            start_connected: start.unwrap_or(true),
            allow_guest_control: control.unwrap_or(true),
            ..Default::default()
        })
    })
}

/// Returns the PCI slot of a device.
fn slot(document: &Document, group: &str) -> Option<Poly<VirtualDeviceBusSlotInfo>> {
    let number = text(document, &format!("{group}.pciSlotNumber"))?;
    let mut slot = VirtualDevicePciBusSlotInfo::default();
    slot.pci_slot_number = number.parse().ok()?;
    Some(Poly::new(slot))
}

fn controllers(document: &Document, add: &mut impl FnMut(Poly<VirtualDevice>)) {
    let base = |key, bus_number| VirtualController {
        base: VirtualDevice {
            key,
            slot_info: (key < 15_000)
                .then(|| slot(document, &format!("scsi{bus_number}")))
                .flatten(),
            ..Default::default()
        },
        bus_number,
        device: Vec::new(),
    };
    for bus in 0..4 {
        if is_present(document, &format!("scsi{bus}")) {
            let scsi = VirtualSCSIController {
                base: base(1_000 + bus, bus),
                shared_bus: VirtualSCSISharing::NoSharing,
                ..Default::default()
            };
            let ty = text(document, &format!("scsi{bus}.virtualDev"));
            match ty.as_deref() {
                Some("pvscsi") => add(Poly::new(ParaVirtualSCSIController { base: scsi })),
                Some("lsisas1068") => add(Poly::new(VirtualLsiLogicSASController { base: scsi })),
                _ => add(Poly::new(VirtualLsiLogicController { base: scsi })),
            }
        }
        if is_present(document, &format!("sata{bus}")) {
            let mut sata = VirtualAHCIController::default();
            sata.base.base = base(15_000 + bus, bus);
            add(Poly::new(sata));
        }
    }
}

fn drives(document: &Document, files: Files<'_>, add: &mut impl FnMut(Poly<VirtualDevice>)) {
    let buses = [
        ("ide", 200, 2, 2),
        ("scsi", 1_000, 4, 16),
        ("sata", 15_000, 4, 30),
    ];
    for (class, first, buses, units) in buses {
        for (bus, unit) in (0..buses).flat_map(|bus| (0..units).map(move |unit| (bus, unit))) {
            let group = format!("{class}{bus}:{unit}");
            if !is_present(document, &group) {
                continue;
            }
            let of = |key: &str| text(document, &format!("{group}.{key}"));
            let file = files.path(&of("fileName").unwrap_or_default());
            let base = VirtualDevice {
                key: -1 - (bus * 64 + unit),
                controller_key: Some(first + bus),
                unit_number: Some(unit),
                connectable: connectable(document, &group),
                ..Default::default()
            };
            match of("deviceType").as_deref() {
                Some("cdrom-image") => {
                    let mut backing = VirtualCdromIsoBackingInfo::default();
                    backing.base.file_name = file;
                    let backing = Some(Poly::new(backing));
                    add(Poly::new(VirtualCdrom {
                        base: VirtualDevice { backing, ..base },
                    }));
                }
                Some("cdrom-raw" | "atapi-cdrom") => {
                    let backing = VirtualCdromRemotePassthroughBackingInfo::default();
                    let backing = Some(Poly::new(backing));
                    add(Poly::new(VirtualCdrom {
                        base: VirtualDevice { backing, ..base },
                    }));
                }
                _ => {
                    let mode = of("mode").unwrap_or_else(|| "persistent".into());
                    let mut backing = VirtualDiskFlatVer2BackingInfo {
                        disk_mode: mode.replace('-', "_"),
                        ..Default::default()
                    };
                    backing.base.file_name = file;
                    let backing = Some(Poly::new(backing));
                    add(Poly::new(VirtualDisk {
                        base: VirtualDevice { backing, ..base },
                        ..Default::default()
                    }));
                }
            }
        }
    }
}

fn cards(document: &Document, add: &mut impl FnMut(Poly<VirtualDevice>)) {
    for number in 0..10 {
        let group = format!("ethernet{number}");
        if !is_present(document, &group) {
            continue;
        }
        let of = |key: &str| text(document, &format!("{group}.{key}"));
        let mut backing = VirtualEthernetCardNetworkBackingInfo::default();
        backing.base.device_name = of("networkName").unwrap_or_default();
        let (kind, address) = match of("addressType").as_deref() {
            Some("static") => ("manual", of("address")),
            Some("vpx") => ("assigned", of("generatedAddress")),
            _ => ("generated", of("generatedAddress")),
        };
        let card = VirtualEthernetCard {
            base: VirtualDevice {
                key: -1_000 - number,
                connectable: connectable(document, &group),
                slot_info: slot(document, &group),
                backing: Some(Poly::new(backing)),
                ..Default::default()
            },
            address_type: Some(kind.into()),
            mac_address: address,
            ..Default::default()
        };
        match of("virtualDev").as_deref() {
            Some("vmxnet3") => {
                let mut nic = VirtualVmxnet3::default();
                nic.base.base = card;
                add(Poly::new(nic));
            }
            Some("e1000e") => add(Poly::new(VirtualE1000e { base: card })),
            _ => add(Poly::new(VirtualE1000 { base: card })),
        }
    }
}

fn ports(document: &Document, files: Files<'_>, add: &mut impl FnMut(Poly<VirtualDevice>)) {
    for number in 0..4 {
        let group = format!("serial{number}");
        if !is_present(document, &group) {
            continue;
        }
        let of = |key: &str| text(document, &format!("{group}.{key}"));
        let yields = of("yieldOnMsrRead").is_some_and(|text| text.eq_ignore_ascii_case("true"));
        let name = of("fileName").unwrap_or_default();
        let backing: Poly<VirtualDeviceBackingInfo> = match of("fileType").as_deref() {
            Some("file") => {
                let mut backing = VirtualSerialPortFileBackingInfo::default();
                backing.base.file_name = files.path(&name);
                Poly::new(backing)
            }
            _ => {
                let mut backing = VirtualSerialPortURIBackingInfo::default();
                backing.base.service_uri = name;
                backing.base.direction = of("network.endPoint").unwrap_or_else(|| "server".into());
                backing.base.proxy_uri = of("vspc");
                Poly::new(backing)
            }
        };
        add(Poly::new(VirtualSerialPort {
            base: VirtualDevice {
                key: -2_000 - number,
                connectable: connectable(document, &group),
                backing: Some(backing),
                ..Default::default()
            },
            yield_on_poll: yields,
        }));
    }
}

/// The location of a `.vmx` file, which refers to other files.
#[derive(Clone, Copy)]
struct Files<'f> {
    vmx: &'f DatastorePath,
    store: &'f Store,
}

impl Files<'_> {
    /// Returns the datastore path of a file that the `.vmx` refers to.
    fn path(self, file: &str) -> String {
        match self.store.located(file, self.vmx) {
            Some((volume, relative)) => format!("[{}] {relative}", volume.name),
            None if file.is_empty() || file.starts_with('/') => String::new(),
            None => self.vmx.sibling(file).to_string(),
        }
    }
}

fn dashed(spaced: &str) -> Option<String> {
    let hex: String = spaced.chars().filter(char::is_ascii_hexdigit).collect();
    uuid::Uuid::parse_str(&hex)
        .ok()
        .map(|uuid| uuid.to_string())
}
