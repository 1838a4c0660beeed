//! What a version of virtual hardware offers.

use vim25::types::{
    IntOption, LongOption, ResourceAllocationOption, ResourceConfigOption, SharesLevel,
    SharesOption, VirtualHardwareOption, VirtualMachineConfigOption,
};

use super::guest_os;
use crate::device;
use crate::machine::config::{DEFAULT_GUEST, DEFAULT_MEMORY, MAX_CPUS, MAX_MEMORY, MIN_MEMORY};
use crate::machine::{HardwareVersion, properties};

/// Returns the options of machines of a version. Of the guest operating systems, it lists those with
/// the given ids, or all if there are none with these.
pub(super) fn new(version: HardwareVersion, guests: &[String]) -> VirtualMachineConfigOption {
    let guests = guest_os::descriptors(guests);
    let default = guests.iter().position(|guest| guest.id == DEFAULT_GUEST);
    let default = default.and_then(|at| i32::try_from(at).ok());
    VirtualMachineConfigOption {
        version: version.to_string(),
        description: version.to_string(),
        guest_os_descriptor: guests,
        guest_os_default_index: default.unwrap_or(0),
        hardware_options: hardware(version),
        capabilities: properties::capability(),
        default_device: device::board(),
        supported_monitor_type: vec!["release".into()],
        ..Default::default()
    }
}

fn hardware(version: HardwareVersion) -> VirtualHardwareOption {
    VirtualHardwareOption {
        hw_version: version.number().into(),
        num_cpu: (1..=MAX_CPUS).collect(),
        num_cores_per_socket: range(1, MAX_CPUS, 1),
        memory_mb: LongOption {
            min: MIN_MEMORY.into(),
            max: MAX_MEMORY.into(),
            default_value: DEFAULT_MEMORY.into(),
            ..Default::default()
        },
        num_pci_controllers: range(1, 1, 1),
        num_ide_controllers: range(2, 2, 2),
        num_usb_controllers: range(0, 1, 0),
        num_usbxhci_controllers: range(0, 1, 0),
        num_sio_controllers: range(1, 1, 1),
        num_ps2_controllers: range(1, 1, 1),
        resource_config_option: ResourceConfigOption {
            // What a machine with the default number of processors and the default memory has.
            cpu_allocation_option: shares(1_000),
            memory_allocation_option: shares(10 * DEFAULT_MEMORY),
        },
        ..Default::default()
    }
}

fn shares(default: i32) -> ResourceAllocationOption {
    ResourceAllocationOption {
        shares_option: SharesOption {
            shares_option: range(0, 1_000_000, default),
            default_level: SharesLevel::Normal,
        },
    }
}

pub(super) fn range(min: i32, max: i32, default_value: i32) -> IntOption {
    IntOption {
        min,
        max,
        default_value,
        ..Default::default()
    }
}
