//! Devices as settings of a `.vmx` file.

use vim25::Poly;
use vim25::types::VirtualDevice;

use super::kind::Kind;
use super::{Devices, int, key, text};
use crate::datastore::Store;
use crate::datastore::path::DatastorePath;

/// Names and values of settings, in the order in which they are written.
pub(crate) type Settings = Vec<(String, String)>;

/// Returns the settings of all devices. `home` is the machine's `.vmx` file.
pub(crate) fn of(devices: &Devices, home: &DatastorePath, store: &Store) -> Settings {
    let place = Placement { home, store };
    let mut settings = Settings::new();
    settings.push(("floppy0.present".into(), "FALSE".into()));
    for device in devices {
        let kind = Kind::of(device);
        match kind {
            Kind::Scsi | Kind::Sata | Kind::Nvme => controller(&mut settings, device, kind),
            Kind::Disk | Kind::Cdrom => drive(&mut settings, devices, device, kind, place),
            Kind::Network => card(&mut settings, device),
            Kind::Serial => port(&mut settings, device, place),
            _ => {}
        }
        if device.type_name() == "VirtualMachineVMCIDevice" {
            settings.push(("vmci0.present".into(), "TRUE".into()));
        }
    }
    settings
}

/// Returns the name of the settings of a drive, such as `scsi0:1`; `None` if it is attached to no
/// controller.
pub(crate) fn node(devices: &Devices, device: &Poly<VirtualDevice>) -> Option<String> {
    let on = int(device, "controllerKey").unwrap_or(0);
    let controller = devices.iter().find(|other| key(other) == on)?;
    let bus = int(controller, "busNumber").unwrap_or(0);
    let unit = int(device, "unitNumber").unwrap_or(0);
    Some(format!("{}{bus}:{unit}", class(Kind::of(controller))))
}

/// Returns how the files of a machine refer to another file, given the machine's `.vmx` file.
pub(crate) fn relative(home: &DatastorePath, store: &Store, file: &str) -> String {
    Placement { home, store }.relative(file)
}

/// Adds the settings of one group; empty values are skipped.
fn group(settings: &mut Settings, name: &str, values: &[(&str, String)]) {
    for (key, value) in values {
        if !value.is_empty() {
            settings.push((format!("{name}.{key}"), value.clone()));
        }
    }
}

fn truth(value: bool) -> String {
    if value { "TRUE" } else { "FALSE" }.to_owned()
}

fn flag(device: &Poly<VirtualDevice>, path: &str) -> Option<bool> {
    device.node().path(path).and_then(|node| node.as_bool())
}

fn slot(device: &Poly<VirtualDevice>) -> String {
    let slot = int(device, "slotInfo.pciSlotNumber");
    slot.map(|slot| slot.to_string()).unwrap_or_default()
}

fn controller(settings: &mut Settings, device: &Poly<VirtualDevice>, kind: Kind) {
    let bus = int(device, "busNumber").unwrap_or(0);
    let virtual_device = match device.type_name().as_str() {
        "ParaVirtualSCSIController" => "pvscsi",
        "VirtualLsiLogicController" => "lsilogic",
        "VirtualLsiLogicSASController" => "lsisas1068",
        "VirtualBusLogicController" => "buslogic",
        _ => "",
    };
    let shared = match text(device, "sharedBus").as_deref() {
        Some("virtualSharing") => "virtual",
        Some("physicalSharing") => "physical",
        Some("noSharing") if kind == Kind::Scsi => "none",
        _ => "",
    };
    group(
        settings,
        &format!("{}{bus}", class(kind)),
        &[
            ("present", truth(true)),
            ("virtualDev", virtual_device.to_owned()),
            ("sharedBus", shared.to_owned()),
            ("pciSlotNumber", slot(device)),
        ],
    );
}

const fn class(kind: Kind) -> &'static str {
    match kind {
        Kind::Scsi => "scsi",
        Kind::Sata => "sata",
        Kind::Nvme => "nvme",
        _ => "ide",
    }
}

fn drive(
    settings: &mut Settings,
    devices: &Devices,
    device: &Poly<VirtualDevice>,
    kind: Kind,
    place: Placement<'_>,
) {
    let Some(name) = node(devices, device) else {
        return;
    };
    let file = text(device, "backing.fileName").unwrap_or_default();
    let file = place.relative(&file);
    if kind == Kind::Disk {
        let mode = text(device, "backing.diskMode").unwrap_or_default();
        let mode = match mode.as_str() {
            "persistent" => String::new(),
            "independent_persistent" => "independent-persistent".into(),
            "independent_nonpersistent" => "independent-nonpersistent".into(),
            other => other.to_owned(),
        };
        let ty = if name.starts_with("scsi") {
            "scsi-hardDisk"
        } else if name.starts_with("ide") {
            "ata-hardDisk"
        } else {
            "disk"
        };
        group(
            settings,
            &name,
            &[
                ("present", truth(true)),
                ("deviceType", ty.to_owned()),
                ("fileName", file),
                ("mode", mode),
            ],
        );
        return;
    }
    let backing = device.node().get("backing").map(|b| b.type_name());
    let (ty, file) = match backing.as_deref() {
        Some("VirtualCdromIsoBackingInfo") => ("cdrom-image", file),
        Some("VirtualCdromAtapiBackingInfo") => (
            "atapi-cdrom",
            text(device, "backing.deviceName").unwrap_or_default(),
        ),
        _ => ("cdrom-raw", "emptyBackingString".to_owned()),
    };
    group(
        settings,
        &name,
        &[
            ("present", truth(true)),
            ("deviceType", ty.to_owned()),
            ("fileName", file),
            ("startConnected", connected(device)),
            ("allowGuestConnectionControl", control(device)),
        ],
    );
}

fn connected(device: &Poly<VirtualDevice>) -> String {
    flag(device, "connectable.startConnected")
        .map(truth)
        .unwrap_or_default()
}

fn control(device: &Poly<VirtualDevice>) -> String {
    flag(device, "connectable.allowGuestControl")
        .map(truth)
        .unwrap_or_default()
}

fn card(settings: &mut Settings, device: &Poly<VirtualDevice>) {
    let virtual_device = match device.type_name().as_str() {
        "VirtualVmxnet3" => "vmxnet3",
        "VirtualVmxnet2" | "VirtualVmxnet" => "vmxnet",
        "VirtualE1000" => "e1000",
        "VirtualE1000e" => "e1000e",
        "VirtualPCNet32" => "vlance",
        "VirtualSriovEthernetCard" => "sriov",
        _ => "",
    };
    let address = text(device, "macAddress").unwrap_or_default();
    let (kind, generated, fixed) = match text(device, "addressType").as_deref() {
        Some("manual" | "Manual") => ("static", String::new(), address),
        Some("assigned" | "Assigned") => ("vpx", address, String::new()),
        _ => ("generated", address, String::new()),
    };
    let offset = if generated.is_empty() { "" } else { "0" };
    let number = key(device) - Kind::Network.first_key();
    let upt = flag(device, "uptCompatibilityEnabled").filter(|upt| *upt);
    group(
        settings,
        &format!("ethernet{number}"),
        &[
            ("present", truth(true)),
            ("virtualDev", virtual_device.to_owned()),
            (
                "networkName",
                text(device, "backing.deviceName").unwrap_or_default(),
            ),
            ("addressType", kind.to_owned()),
            ("generatedAddress", generated),
            ("generatedAddressOffset", offset.to_owned()),
            ("address", fixed),
            ("pciSlotNumber", slot(device)),
            ("uptCompatibility", upt.map(truth).unwrap_or_default()),
            ("startConnected", connected(device)),
            ("allowGuestConnectionControl", control(device)),
        ],
    );
}

fn port(settings: &mut Settings, device: &Poly<VirtualDevice>, place: Placement<'_>) {
    let number = key(device) - Kind::Serial.first_key();
    let backing = device.node().get("backing").map(|b| b.type_name());
    let of = |path| text(device, path).unwrap_or_default();
    let (ty, file, end) = match backing.as_deref() {
        Some("VirtualSerialPortURIBackingInfo") => {
            ("network", of("backing.serviceURI"), of("backing.direction"))
        }
        Some("VirtualSerialPortFileBackingInfo") => (
            "file",
            place.relative(&of("backing.fileName")),
            String::new(),
        ),
        Some("VirtualSerialPortPipeBackingInfo") => ("pipe", of("backing.pipeName"), String::new()),
        _ => ("device", of("backing.deviceName"), String::new()),
    };
    group(
        settings,
        &format!("serial{number}"),
        &[
            ("present", truth(true)),
            ("fileType", ty.to_owned()),
            ("fileName", file),
            ("network.endPoint", end),
            ("vspc", of("backing.proxyURI")),
            (
                "yieldOnMsrRead",
                flag(device, "yieldOnPoll").map(truth).unwrap_or_default(),
            ),
            ("startConnected", connected(device)),
            ("allowGuestConnectionControl", control(device)),
        ],
    );
}

/// The location of a `.vmx` file, to which the paths in it are relative.
#[derive(Clone, Copy)]
struct Placement<'p> {
    home: &'p DatastorePath,
    store: &'p Store,
}

impl Placement<'_> {
    /// Returns how the `.vmx` refers to a file: by name in its own directory, otherwise by full path.
    fn relative(self, file: &str) -> String {
        match DatastorePath::parse(self.home.site(), file) {
            Some(path) if path.parent() == self.home.parent() => path.file_name().to_owned(),
            Some(path) => self.store.absolute(&path),
            None => file.to_owned(),
        }
    }
}
