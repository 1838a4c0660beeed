//! The guest operating systems that machines can be created for.
//!
//! Machines have no hardware, so all guests can do and are recommended the same.

use vim25::types::{GuestOsDescriptor, GuestOsDescriptorSupportLevel, VirtualMachineGuestOsFamily};

use super::config_option::range;
use crate::machine::GUEST_IDS;
use crate::machine::config::{MAX_CPUS, MAX_MEMORY, MIN_MEMORY, guest_words};

const RECOMMENDED_MEMORY_MB: i32 = 2 << 10;
const RECOMMENDED_DISK_MB: i32 = 16 << 10;

const DISK_CONTROLLERS: [&str; 6] = [
    "ParaVirtualSCSIController",
    "VirtualLsiLogicController",
    "VirtualLsiLogicSASController",
    "VirtualAHCIController",
    "VirtualNVMEController",
    "VirtualIDEController",
];

const NETWORK_CARDS: [&str; 3] = ["VirtualVmxnet3", "VirtualE1000e", "VirtualE1000"];

const USB_CONTROLLERS: [&str; 2] = ["VirtualUSBXHCIController", "VirtualUSBController"];

/// Returns the descriptors of the guests with these ids, or of all guests if none has such an id.
pub(super) fn descriptors(ids: &[String]) -> Vec<GuestOsDescriptor> {
    let is_asked = |id: &&str| ids.iter().any(|asked| asked == id);
    let asked = GUEST_IDS.into_iter().filter(is_asked);
    let asked: Vec<_> = asked.map(descriptor).collect();
    match asked.is_empty() {
        true => GUEST_IDS.into_iter().map(descriptor).collect(),
        false => asked,
    }
}

fn descriptor(id: &str) -> GuestOsDescriptor {
    let texts = |all: &[&str]| all.iter().map(|text| (*text).to_owned()).collect();
    GuestOsDescriptor {
        id: id.to_owned(),
        family: family(id).as_str().to_owned(),
        full_name: guest_words(id),
        supported_max_cpus: MAX_CPUS,
        num_supported_physical_sockets: MAX_CPUS,
        num_supported_cores_per_socket: MAX_CPUS,
        supported_min_mem_mb: MIN_MEMORY,
        supported_max_mem_mb: MAX_MEMORY,
        recommended_mem_mb: RECOMMENDED_MEMORY_MB,
        recommended_color_depth: 32,
        supported_disk_controller_list: texts(&DISK_CONTROLLERS),
        recommended_scsi_controller: Some(DISK_CONTROLLERS[0].into()),
        recommended_disk_controller: DISK_CONTROLLERS[0].into(),
        supported_num_disks: 60,
        recommended_disk_size_mb: RECOMMENDED_DISK_MB,
        recommended_cdrom_controller: "VirtualIDEController".into(),
        supported_ethernet_card: texts(&NETWORK_CARDS),
        recommended_ethernet_card: Some(NETWORK_CARDS[0].into()),
        supports_slave_disk: Some(true),
        supports_memory_hot_add: true,
        supports_cpu_hot_add: true,
        supported_firmware: texts(&["bios", "efi"]),
        recommended_firmware: "bios".into(),
        supported_usb_controller_list: texts(&USB_CONTROLLERS),
        recommended_usb_controller: Some(USB_CONTROLLERS[0].into()),
        support_level: GuestOsDescriptorSupportLevel::Supported.as_str().into(),
        supported_for_create: true,
        vram_size_in_kb: range(4_096, 131_072, 4_096),
        num_supported_floppy_devices: 2,
        supports_pvscsi_controller_for_boot: true,
        ..Default::default()
    }
}

fn family(id: &str) -> VirtualMachineGuestOsFamily {
    use VirtualMachineGuestOsFamily as Family;
    const OTHER: [&str; 8] = [
        "dos",
        "eComStation",
        "freebsd",
        "openServer",
        "os2",
        "otherGuest",
        "unixWare",
        "vmkernel",
    ];
    match id {
        _ if OTHER.iter().any(|prefix| id.starts_with(prefix)) => Family::OtherGuestFamily,
        _ if id.starts_with("win") => Family::WindowsGuest,
        _ if id.starts_with("netware") => Family::NetwareGuest,
        _ if id.starts_with("solaris") => Family::SolarisGuest,
        _ if id.starts_with("darwin") => Family::DarwinGuestFamily,
        _ => Family::LinuxGuest,
    }
}

#[cfg(test)]
mod tests {
    use super::{VirtualMachineGuestOsFamily as Family, family};

    #[test]
    fn guests_belong_to_a_family() {
        for (id, expected) in [
            ("windows9_64Guest", Family::WindowsGuest),
            ("winNetWebGuest", Family::WindowsGuest),
            ("ubuntu64Guest", Family::LinuxGuest),
            ("otherLinux64Guest", Family::LinuxGuest),
            ("otherGuest64", Family::OtherGuestFamily),
            ("freebsd14_64Guest", Family::OtherGuestFamily),
            ("darwin19_64Guest", Family::DarwinGuestFamily),
            ("solaris11_64Guest", Family::SolarisGuest),
        ] {
            assert_eq!(family(id), expected, "{id}");
        }
    }
}
