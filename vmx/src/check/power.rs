//! Settings that prevent a machine from powering on.

use crate::document::Document;
use crate::view::{
    AddressType, Class, Drive, DriveType, NetworkCard, Presence, VirtualMachineFile,
};

use super::construct::Construct;

/// The allowed memory in MB. The minimum is a quarter of the minimum in early versions of
/// the format; the maximum is 24 TiB, the most that any virtual hardware supports.
const MEMORY_MB: std::ops::RangeInclusive<u32> = 4..=24 * 1024 * 1024;

/// The maximum number of processors that any virtual hardware supports.
const MAX_CPUS: u32 = 768;

/// Returns the constructs of a machine that prevent it from powering on, each with the
/// name of its entry.
pub(super) fn constructs(
    machine: &VirtualMachineFile<&Document>,
    document: &Document,
    mut found: impl FnMut(Construct, &str),
) {
    if let Some(guest) = document.get("guestOS")
        && !guest.text().is_ok_and(|name| is_guest_os(&name))
    {
        found(Construct::UnknownGuestOs, "guestOS");
    }
    if machine
        .memory_mb()
        .is_ok_and(|memory| !MEMORY_MB.contains(&memory))
    {
        found(Construct::MemoryOutOfRange, "memSize");
    }
    if let Ok(cpus) = machine.cpus() {
        let cores = machine.cores_per_socket().unwrap_or(1);
        if cpus == 0 || cpus > MAX_CPUS {
            found(Construct::CpusOutOfRange, "numvcpus");
        } else if cores == 0 || cpus % cores != 0 {
            found(Construct::CpusOutOfRange, "cpuid.coresPerSocket");
        }
    }
    for drive in machine.drives() {
        if drive.presence() == Presence::Present && !has_possible_file(&drive) {
            let place = drive.device_name();
            let entry = format!("{place}.fileName");
            let shown = if document.contains(&entry) {
                entry
            } else {
                format!("{place}.present")
            };
            found(Construct::ImpossibleFile, &shown);
        }
    }
    for device in machine.devices() {
        if device.name.class() == Class::Ethernet && device.presence == Presence::Present {
            let card = machine.network_card(device.name);
            if !has_allowed_address(&card) {
                found(
                    Construct::StaticAddressOutOfRange,
                    &format!("{}.address", device.name),
                );
            }
        }
    }
}

/// Whether a disk or CD image can have this file name. Whether the file exists cannot be
/// known here.
fn has_possible_file(drive: &Drive<&Document>) -> bool {
    let (Ok(kind), Ok(name)) = (drive.drive_type(), drive.file_name()) else {
        // Reported as a setting of the wrong type.
        return true;
    };
    if drive.client_device().unwrap_or(false) || drive.auto_detect().unwrap_or(false) {
        return true;
    }
    let name = name.unwrap_or_default();
    let is_path =
        !name.trim().is_empty() && !name.ends_with(['/', '\\']) && !name.contains(char::is_control);
    let ends = |suffix: &str| {
        let start = name.len().saturating_sub(suffix.len());
        name.get(start..)
            .is_some_and(|end| end.eq_ignore_ascii_case(suffix))
    };
    match kind {
        DriveType::CdromImage => is_path && !ends(".vmdk"),
        kind if kind.is_disk() && kind != DriveType::RawDisk => is_path && ends(".vmdk"),
        _ => true,
    }
}

/// Whether a static address is in the range that VMware allows for addresses chosen by a
/// person: 00:50:56:00:00:00 to 00:50:56:3f:ff:ff.
fn has_allowed_address(card: &NetworkCard<&Document>) -> bool {
    if card.address_type() != Ok(AddressType::Static) || card.check_address() == Ok(false) {
        return true;
    }
    match card.static_address() {
        Ok(Some(address)) => matches!(address.to_bytes(), [0x00, 0x50, 0x56, 0x00..=0x3f, ..]),
        // Reported as a setting of the wrong type.
        Err(_) => true,
        Ok(None) => false,
    }
}

/// Families of guest operating systems, letters only: without versions, `-64` and `arm-`.
/// Source: `VirtualMachineGuestOsIdentifier` of the vSphere API, and the older names used
/// in files.
const FAMILIES: [&str; 86] = [
    "almalinux",
    "amazonlinux",
    "asianux",
    "centos",
    "coreos",
    "crxpod",
    "crxsys",
    "darwin",
    "debian",
    "dos",
    "ecomstation",
    "fedora",
    "flatcar",
    "freebsd",
    "fusionos",
    "genericlinux",
    "kylinlinux",
    "linux",
    "longhorn",
    "macos",
    "mandrake",
    "mandriva",
    "miraclelinux",
    "netware",
    "nld",
    "nt",
    "oes",
    "openserver",
    "opensuse",
    "oraclelinux",
    "os",
    "osexperimental",
    "other",
    "otherguest",
    "otherlinux",
    "otherxlinux",
    "pardus",
    "photon",
    "prolinux",
    "redhat",
    "rhel",
    "rockylinux",
    "sjds",
    "sles",
    "solaris",
    "suse",
    "turbolinux",
    "ubuntu",
    "unixware",
    "vmkernel",
    "vmwarephoton",
    "whistler",
    "win",
    "winadvserv",
    "windows",
    "windowshyperv",
    "windowsserver",
    "windowssrv",
    "windowssrvnext",
    "winhome",
    "winlonghorn",
    "winme",
    "winnetbusiness",
    "winnetdatacenter",
    "winnetenterprise",
    "winnetstandard",
    "winnetweb",
    "winnt",
    "winpro",
    "winserv",
    "winserver",
    "winsrv",
    "winvista",
    "winvistaenterprise",
    "winvistahome",
    "winvistapro",
    "winvistaultimate",
    "winxp",
    "winxphome",
    "winxppro",
    "winxpprofessional",
    "openbsd",
    "netbsd",
    "hpux",
    "aix",
    "windowsnext",
];

/// Whether VMware knows a guest operating system by such a name. Versions are ignored,
/// because every release of a product adds some.
fn is_guest_os(name: &str) -> bool {
    let plain = |char: char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_' | '.');
    if !name.chars().all(plain) {
        return false;
    }
    let name = name.to_ascii_lowercase();
    let name = name.strip_prefix("arm-").unwrap_or(&name);
    let name = name.strip_suffix("guest").unwrap_or(name);
    let name = name.strip_suffix("64").unwrap_or(name);
    let letters: String = name.chars().filter(char::is_ascii_alphabetic).collect();
    FAMILIES.contains(&letters.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_guest_systems() {
        for name in [
            "other",
            "otherGuest",
            "otherGuest64",
            "other3xlinux-64",
            "other6xLinux64Guest",
            "ubuntu-64",
            "Ubuntu",
            "windows9srv-64",
            "windows2019srvNext_64Guest",
            "winnetstandard-64",
            "win2000AdvServ",
            "rhel10-64",
            "vmkernel65",
            "vmware-photon-64",
            "crxPod1Guest",
            "darwin20-64",
            "arm-debian12-64",
            "freeBSD13-64",
            "os2",
            "dos",
            "eComStation2",
            "WINXPPRO",
        ] {
            assert!(is_guest_os(name), "{name}");
        }
        for name in ["", "dos 397", "x", "64", "linux|n", "ubuntoo-64", "\u{e9}"] {
            assert!(!is_guest_os(name), "{name}");
        }
    }
}
