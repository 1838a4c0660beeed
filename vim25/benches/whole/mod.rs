//! Conversion of a page without lazy parts.
//!
//! A struct keeps a polymorphic field as part of the document until it is requested.
//! Other decoders have no such choice; for a fair comparison, this converts
//! everything: each device, its backing and each option to its exact struct.

use std::hint::black_box;

use vim25::types::{
    GuestInfo, OptionValue, ParaVirtualSCSIController, RetrieveResult, VirtualAHCIController,
    VirtualCdrom, VirtualCdromRemotePassthroughBackingInfo, VirtualDevice,
    VirtualDeviceBackingInfo, VirtualDeviceBusSlotInfo, VirtualDevicePciBusSlotInfo, VirtualDisk,
    VirtualDiskFlatVer2BackingInfo, VirtualE1000,
    VirtualEthernetCardDistributedVirtualPortBackingInfo, VirtualIDEController, VirtualKeyboard,
    VirtualMachineConfigInfo,
    VirtualMachineDeviceRuntimeInfoVirtualEthernetCardRuntimeState as CardRuntimeState,
    VirtualMachineRuntimeInfo, VirtualMachineSummary, VirtualMachineVMCIDevice,
    VirtualMachineVideoCard, VirtualPCIController, VirtualPS2Controller, VirtualPointingDevice,
    VirtualPointingDeviceDeviceBackingInfo, VirtualSIOController, VirtualVmxnet3,
};
use vim25::{Any, Poly};

/// Converts to the exact struct, which must be one of those listed, and passes it
/// to `then`.
macro_rules! exact {
    ($value:expr, $($ty:ident)*) => {{
        $( if let Some(value) = $value.get::<$ty>().expect("converts") {
            black_box(&value);
            inside!($ty value)
        } else )*
        { panic!("the payload has a {}", $value.type_name()) }
    }};
}

/// Converts the polymorphic values in a device; returns their number.
macro_rules! inside {
    (VirtualDisk $disk:ident) => {
        1 + backing(&$disk.backing)
    };
    (VirtualCdrom $device:ident) => {
        1 + backing(&$device.backing)
    };
    (VirtualPointingDevice $device:ident) => {
        1 + backing(&$device.backing)
    };
    (VirtualVmxnet3 $card:ident) => {
        1 + backing(&$card.backing) + slot(&$card.slot_info)
    };
    (VirtualE1000 $card:ident) => {
        1 + backing(&$card.backing) + slot(&$card.slot_info)
    };
    ($other:ident $value:ident) => {
        1
    };
}

/// Converts a whole page; returns the number of polymorphic values in it.
pub(crate) fn convert(page: &Any) -> usize {
    let result: RetrieveResult = page.get().expect("a page");
    let mut converted = 0;
    for property in result.objects.iter().flat_map(|object| &object.prop_set) {
        match property.name.as_str() {
            "config" => {
                let config: VirtualMachineConfigInfo = property.val.get().expect("config");
                for option in &config.extra_config {
                    let option: OptionValue = option.get().expect("converts").expect("exact");
                    let value = option.value.as_ref().expect("a value");
                    black_box(value.get::<String>().expect("text"));
                    converted += 1;
                }
                for device in &config.hardware.device {
                    converted += self::device(device);
                }
                black_box(&config);
            }
            "guest" => drop(black_box(property.val.get::<GuestInfo>())),
            "runtime" => converted += runtime(&property.val.get().expect("runtime")),
            "summary" => {
                let summary: VirtualMachineSummary = property.val.get().expect("summary");
                converted += runtime(&summary.runtime);
                black_box(&summary);
            }
            _ => drop(black_box(property.val.get::<String>())),
        }
    }
    converted
}

fn device(device: &Poly<VirtualDevice>) -> usize {
    exact!(
        device,
        VirtualDisk VirtualVmxnet3 VirtualE1000 VirtualIDEController VirtualPS2Controller
        VirtualPCIController VirtualSIOController VirtualKeyboard VirtualPointingDevice
        VirtualMachineVideoCard VirtualMachineVMCIDevice ParaVirtualSCSIController
        VirtualAHCIController VirtualCdrom
    )
}

fn backing(backing: &Option<Poly<VirtualDeviceBackingInfo>>) -> usize {
    let backing = backing.as_ref().expect("a backing");
    exact!(
        backing,
        VirtualDiskFlatVer2BackingInfo VirtualEthernetCardDistributedVirtualPortBackingInfo
        VirtualPointingDeviceDeviceBackingInfo VirtualCdromRemotePassthroughBackingInfo
    )
}

fn slot(slot: &Option<Poly<VirtualDeviceBusSlotInfo>>) -> usize {
    let slot = slot.as_ref().expect("a slot");
    exact!(slot, VirtualDevicePciBusSlotInfo)
}

fn runtime(runtime: &VirtualMachineRuntimeInfo) -> usize {
    black_box(runtime);
    runtime
        .device
        .iter()
        .map(|device| exact!(device.runtime_state, CardRuntimeState))
        .sum()
}
