//! Keys that the vSphere API does not treat as extraConfig.

use crate::name::Name;

/// Whether a key has a field of its own in the API's `VirtualMachineConfigSpec`.
///
/// According to its documentation, the server silently ignores such keys in extraConfig
/// ("keys that would conflict with parameters that are explicitly configurable through
/// other fields"), and it omits them when it reports extraConfig. The server's own list
/// is not published; this one is derived from the fields of the API that correspond to
/// settings of the file. Settings that real servers accept or report in extraConfig are
/// not listed although they have fields: `disk.EnableUUID`, `ctkEnabled`, `mks.enable3d`,
/// `svga.numDisplays`, PCI slots, `*.redo`.
///
/// ```
/// assert!(vmx::has_own_field("SCSI0:0.fileName"));
/// assert!(!vmx::has_own_field("serial0.hardwareFlowControl"));
/// assert!(!vmx::has_own_field("guestinfo./repo"));
/// ```
#[must_use]
pub fn has_own_field(key: &str) -> bool {
    let folded = key.to_ascii_lowercase();
    if Name::found(key.as_bytes()).is_metavariable() || WHOLE.contains(&&*folded) {
        return true;
    }
    let Some((group, rest)) = folded.split_once('.') else {
        return false;
    };
    let (class, unit) = class_of(group);
    GROUPS
        .iter()
        .any(|(name, shape, keys)| *name == class && *shape == unit && keys.contains(&rest))
}

/// Whether a key of extraConfig cannot be read through the API.
///
/// * keys with a field of their own are hidden, see [`has_own_field`];
/// * `guestinfo.ovfEnv` can be read by the guest only;
/// * keys that begin with `vmx.` disappear when a machine is created with them.
#[must_use]
pub fn is_hidden(key: &str) -> bool {
    let name = Name::found(key.as_bytes());
    name == "guestinfo.ovfEnv" || name.starts_with("vmx.") || has_own_field(key)
}

/// The form of a device's name, after its letters.
#[derive(PartialEq, Eq)]
enum Shape {
    /// `svga`
    Single,
    /// `scsi0`
    Numbered,
    /// `scsi0:0`
    Unit,
}

/// Splits a device name into its class and shape: `scsi0:0` is a unit of class `scsi`.
fn class_of(group: &str) -> (&str, Shape) {
    let class = group.trim_end_matches(|c: char| c.is_ascii_digit() || c == ':');
    let numbers = &group[class.len()..];
    let shape = match numbers.split_once(':') {
        Some((bus, unit)) if !bus.is_empty() && !unit.is_empty() => Shape::Unit,
        None if numbers.is_empty() => Shape::Single,
        None => Shape::Numbered,
        // `usb:1` is a port of the single USB controller, which has no keys in the
        // tables.
        Some(_) => return ("", Shape::Single),
    };
    (class, shape)
}

/// Keys of the machine as a whole, in lower case.
const WHOLE: &[&str] = &[
    "config.version",
    "virtualhw.version",
    "displayname",
    "guestos",
    "annotation",
    "memsize",
    "numvcpus",
    "cpuid.corespersocket",
    "vcpu.hotadd",
    "vcpu.hotremove",
    "mem.hotadd",
    "vhv.enable",
    "vpmc.enable",
    "vvtd.enable",
    "uuid.bios",
    "uuid.location",
    "vc.uuid",
    "vm.genid",
    "vm.genidx",
    "firmware",
    "uefi.secureboot.enabled",
    "bios.bootdelay",
    "bios.forcesetuponce",
    "bios.bootretry.delay",
    "bios.bootretry.enabled",
    "bios.bootorder",
    "bios.hddorder",
    "workingdir",
    "extendedconfigfile",
    "checkpoint.vmstate",
    "powertype.poweroff",
    "powertype.poweron",
    "powertype.suspend",
    "powertype.reset",
    "tools.synctime",
    "tools.upgrade.policy",
    "toolscripts.afterpoweron",
    "toolscripts.afterresume",
    "toolscripts.beforesuspend",
    "toolscripts.beforepoweroff",
    "sched.cpu.units",
    "sched.cpu.min",
    "sched.cpu.max",
    "sched.cpu.shares",
    "sched.cpu.affinity",
    "sched.mem.min",
    "sched.mem.minsize",
    "sched.mem.max",
    "sched.mem.shares",
    "sched.mem.pin",
    "sched.mem.affinity",
    "encryption.keysafe",
    "encryption.data",
];

const DISK: &[&str] = &[
    "present",
    "devicetype",
    "filename",
    "mode",
    "writethrough",
    "sharing",
    "startconnected",
    "allowguestconnectioncontrol",
    "clientdevice",
    "autodetect",
];
const CONTROLLER: &[&str] = &["present", "virtualdev", "sharedbus"];
const PORT: &[&str] = &[
    "present",
    "filetype",
    "filename",
    "startconnected",
    "allowguestconnectioncontrol",
    "autodetect",
    "clientdevice",
    "bidirectional",
    "network.endpoint",
    "vspc",
    "pipe.endpoint",
    "trynorxloss",
    "yieldonmsrread",
];

/// Keys of devices, in lower case.
const GROUPS: &[(&str, Shape, &[&str])] = &[
    ("scsi", Shape::Numbered, CONTROLLER),
    ("sata", Shape::Numbered, CONTROLLER),
    ("nvme", Shape::Numbered, CONTROLLER),
    ("ide", Shape::Numbered, CONTROLLER),
    ("scsi", Shape::Unit, DISK),
    ("sata", Shape::Unit, DISK),
    ("nvme", Shape::Unit, DISK),
    ("ide", Shape::Unit, DISK),
    (
        "ethernet",
        Shape::Numbered,
        &[
            "present",
            "virtualdev",
            "networkname",
            "connectiontype",
            "addresstype",
            "generatedaddress",
            "generatedaddressoffset",
            "address",
            "uptcompatibility",
            "wakeonpcktrcv",
            "startconnected",
            "allowguestconnectioncontrol",
            "dvs.switchid",
            "dvs.portid",
            "dvs.portgroupid",
            "dvs.connectionid",
            "opaquenetwork.id",
            "opaquenetwork.type",
            "externalid",
        ],
    ),
    ("serial", Shape::Numbered, PORT),
    ("parallel", Shape::Numbered, PORT),
    ("floppy", Shape::Numbered, PORT),
    ("usb", Shape::Single, &["present"]),
    ("ehci", Shape::Single, &["present"]),
    ("usb_xhci", Shape::Single, &["present"]),
    (
        "sound",
        Shape::Single,
        &["present", "virtualdev", "filename", "autodetect"],
    ),
    (
        "svga",
        Shape::Single,
        &["vramsize", "autodetect", "graphicsmemorykb"],
    ),
    ("vmci", Shape::Numbered, &["present", "id", "unrestricted"]),
    (
        "pcipassthru",
        Shape::Numbered,
        &[
            "present",
            "virtualdev",
            "id",
            "deviceid",
            "vendorid",
            "systemid",
            "vgpu",
        ],
    ),
    ("nvdimm", Shape::Numbered, &["present"]),
    ("nvdimm", Shape::Unit, &["present", "filename"]),
    ("vtpm", Shape::Single, &["present"]),
    ("precisionclock", Shape::Numbered, &["present"]),
    ("watchdog", Shape::Numbered, &["present"]),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Keys that a fresh 8.0 machine reports in extraConfig, and those of machines in
    /// ansible/ansible#38398 and ansible-collections/community.vmware#1499.
    #[test]
    fn what_a_real_server_reports_has_no_field() {
        for key in [
            "nvram",
            "svga.present",
            "pciBridge0.present",
            "pciBridge4.virtualDev",
            "pciBridge7.functions",
            "hpet0.present",
            "RemoteDisplay.maxConnections",
            "sched.cpu.latencySensitivity",
            "vmware.tools.internalversion",
            "migrate.hostLog",
            "viv.moid",
            "ethernet0.pciSlotNumber",
            "scsi0.pciSlotNumber",
            "scsi0.sasWWID",
            "scsi0:0.redo",
            "vmci0.pciSlotNumber",
            "virtualhw.productcompatibility",
            "softPowerOff",
            "sched.swap.derivedName",
            "numa.autosize.cookie",
            "disk.EnableUUID",
            "mks.enable3d",
            "svga.numDisplays",
        ] {
            assert!(!is_hidden(key), "{key}");
        }
    }

    #[test]
    fn devices_are_told_from_what_looks_like_them() {
        for key in [
            "scsi0:15.mode",
            "IDE1:0.DeviceType",
            "ethernet9.virtualDev",
            "floppy0.present",
            "pciPassthru1.deviceId",
            "nvdimm0:1.fileName",
            "vtpm.present",
        ] {
            assert!(has_own_field(key), "{key}");
        }
        for key in [
            "scsi.present",
            "scsi0:.present",
            "scsi:0.present",
            "sched.scsi0:0.shares",
            "usb:1.present",
            "serial0.hardwareFlowControl",
            "scsi0:0.virtualSSD",
            "pciPassthru.use64bitMMIO",
            "pciPassthru0.msiEnabled",
            "",
            "x",
            ".",
            "0.x",
        ] {
            let metavariable = key.starts_with('.');
            assert_eq!(has_own_field(key), metavariable, "{key}");
        }
        assert!(is_hidden("guestinfo.OVFEnv") && is_hidden("vmx.log.keepOld"));
    }
}
