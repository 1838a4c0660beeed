//! Every setting of the view: a value is written with its setter and read back with its
//! getter. The fuzz target uses this file too.

mod values;

use vmx::view::{
    AddressType, CardModel, Class, ConnectionType, ControllerModel, CpuidMask, CpuidOwner,
    CpuidRegister, CpuidRegisters, DeviceName, DiskMode, DiskSharing, DriveType, EndPoint,
    Firmware, LatencySensitivity, Limit, MacAddress, PassthroughModel, PortType, PowerType,
    ProductCompatibility, SasWwid, SharedBus, Shares, SoundModel, ToolsUpgrade, UsbDeviceType,
    Uuid, UuidAction, VirtualMachineFile,
};
use vmx::{Change, Document, Tristate};

pub(crate) use self::values::Input;
use self::values::{Holds, Pick};

/// Writes a setting to a document and reads it back. Returns `None` if the edit was
/// refused.
pub(crate) type Setting = fn(&mut Document, Input<'_>) -> Option<Change>;

fn at(class: Class, input: Input<'_>) -> DeviceName {
    DeviceName::of(class, input.bus.into())
}

fn drive(input: Input<'_>) -> DeviceName {
    let classes = [Class::Ide, Class::Scsi, Class::Sata, Class::Nvme];
    DeviceName::drive(
        classes[usize::from(input.unit % 4)],
        input.bus.into(),
        input.unit.into(),
    )
}

fn controller(input: Input<'_>) -> DeviceName {
    drive(input)
        .controller()
        .unwrap_or_else(|| at(Class::Scsi, input))
}

fn module(input: Input<'_>) -> DeviceName {
    DeviceName::drive(Class::Nvdimm, input.bus.into(), input.unit.into())
}

fn port(input: Input<'_>) -> DeviceName {
    let class = if input.bus.is_multiple_of(2) {
        Class::Usb
    } else {
        Class::Xhci
    };
    DeviceName::port(class, input.unit.into())
}

fn leaf(input: Input<'_>) -> (u32, CpuidRegister) {
    let registers = [
        CpuidRegister::Eax,
        CpuidRegister::Ebx,
        CpuidRegister::Ecx,
        CpuidRegister::Edx,
    ];
    (
        u32::from(input.bus) << 24 | u32::from(input.unit),
        registers[usize::from(input.unit % 4)],
    )
}

fn owner(input: Input<'_>) -> CpuidOwner {
    [CpuidOwner::Host, CpuidOwner::Guest, CpuidOwner::User][usize::from(input.bus % 3)]
}

/// Returns the variable part of a name in a family.
fn part(input: Input<'_>) -> String {
    format!(
        "{}{}",
        input.text.split(' ').next().unwrap_or_default(),
        input.unit
    )
}

macro_rules! settings {
    ($(
        [$view:ident $machine:ident $input:ident $read:expr, $edit:expr]
        $($set:ident $get:ident: $type:ty,)*
    )*) => {
        /// All settings whose getter and setter take no other arguments.
        pub(crate) const SETTINGS: &[(&str, Setting)] = &[$($(
            (concat!(stringify!($view), "::", stringify!($set)), |document, $input| {
                let value = <$type>::pick($input);
                let change = {
                    #[allow(unused_mut, reason = "a view of the machine itself is not moved")]
                    let mut $machine = VirtualMachineFile::new(&mut *document);
                    $edit.$set(value.clone()).ok()?
                };
                let $machine = VirtualMachineFile::new(&*document);
                let found = $read.$get();
                assert!(found.as_ref().is_ok_and(|found| found.holds(&value)), "{found:?}");
                Some(change)
            }),
        )*)*];
    };
}

settings! {
    [VirtualMachineFile m i m, m]
        set_config_version config_version: u32,
        set_hardware_version hardware_version: u32,
        set_product_compatibility product_compatibility: ProductCompatibility,
        set_display_name display_name: String,
        set_guest_os guest_os: String,
        set_guest_details guest_details: String,
        set_guest_os_details guest_os_details: String,
        set_annotation annotation: String,
        set_memory_mb memory_mb: u32,
        set_cpus cpus: u32,
        set_cores_per_socket cores_per_socket: u32,
        set_max_cpus max_cpus: u32,
        set_cpu_hot_add cpu_hot_add: bool,
        set_cpu_hot_remove cpu_hot_remove: bool,
        set_memory_hot_add memory_hot_add: bool,
        set_nested_virtualization nested_virtualization: bool,
        set_performance_counters performance_counters: bool,
        set_iommu iommu: bool,
        set_bios_uuid bios_uuid: Uuid,
        set_location_uuid location_uuid: Uuid,
        set_uuid_action uuid_action: UuidAction,
        set_generation_id generation_id: i64,
        set_generation_id_x generation_id_x: i64,
        set_firmware firmware: Firmware,
        set_secure_boot secure_boot: bool,
        set_boot_delay boot_delay: u32,
        set_enter_setup enter_setup: bool,
        set_boot_retry_delay boot_retry_delay: u32,
        set_boot_order boot_order: String,
        set_disk_boot_order disk_boot_order: String,
        set_nvram nvram: String,
        set_extended_config_file extended_config_file: String,
        set_working_dir working_dir: String,
        set_snapshot_redo_not_with_parent snapshot_redo_not_with_parent: bool,
        set_suspended_state suspended_state: String,
        set_clean_shutdown clean_shutdown: bool,
        set_soft_power_off soft_power_off: bool,
        set_power_off power_off: PowerType,
        set_power_on power_on: PowerType,
        set_suspend suspend: PowerType,
        set_reset reset: PowerType,
        set_sync_time sync_time: bool,
        set_tools_upgrade tools_upgrade: ToolsUpgrade,
        set_remind_tools_install remind_tools_install: bool,
        set_script_after_power_on script_after_power_on: bool,
        set_script_after_resume script_after_resume: bool,
        set_script_before_suspend script_before_suspend: bool,
        set_script_before_power_off script_before_power_off: bool,
        set_guest_info_size_limit guest_info_size_limit: u64,
        set_disk_uuids disk_uuids: bool,
        set_change_tracking change_tracking: bool,
        set_enable_3d enable_3d: bool,
        set_reflect_host_smbios reflect_host_smbios: bool,
        set_reflect_host_board reflect_host_board: bool,
        set_hardware_model hardware_model: String,
        set_reflect_host_model reflect_host_model: bool,
        set_hpet hpet: bool,
        set_auto_answer auto_answer: bool,
        set_vnc vnc: bool,
        set_vnc_port vnc_port: u32,
        set_vnc_address vnc_address: String,
        set_vnc_keymap vnc_keymap: String,
        set_vnc_password vnc_password: String,
        set_max_consoles max_consoles: i32,
        set_managed_id managed_id: String,
        set_auto_add_tpm auto_add_tpm: String,
        set_isolate_copy isolate_copy: bool,
        set_isolate_paste isolate_paste: bool,
        set_isolate_drag_and_drop isolate_drag_and_drop: bool,
        set_isolate_guest_info isolate_guest_info: bool,
        set_isolate_connections isolate_connections: bool,
        set_isolate_devices isolate_devices: bool,
        set_max_shared_folders max_shared_folders: u32,
        set_isolate_shared_folders isolate_shared_folders: bool,
        set_numa_cookie numa_cookie: u64,
        set_numa_cpus_per_node numa_cpus_per_node: u32,
        set_numa_max_per_virtual_node numa_max_per_virtual_node: u32,
        set_numa_max_per_host_node numa_max_per_host_node: u32,
        set_numa_max_per_client numa_max_per_client: u32,
        set_numa_min_cpus numa_min_cpus: u32,
        set_numa_prefer_threads numa_prefer_threads: bool,
        set_numa_follow_sockets numa_follow_sockets: bool,
        set_virtual_execution virtual_execution: String,
        set_physical_bits physical_bits: u32,
        set_no_memory_over_4gb no_memory_over_4gb: bool,
        set_memory_growth memory_growth: u64,
        set_vmci_filter vmci_filter: Tristate,
        set_instance_uuid instance_uuid: Uuid,
    [Scheduling m i m.scheduling(), m.scheduling_mut()]
        set_cpu_reservation cpu_reservation: u64,
        set_cpu_limit cpu_limit: Limit,
        set_cpu_units cpu_units: String,
        set_cpu_shares cpu_shares: Shares,
        set_cpu_affinity cpu_affinity: String,
        set_latency_sensitivity latency_sensitivity: LatencySensitivity,
        set_memory_reservation memory_reservation: u64,
        set_memory_minimum memory_minimum: u64,
        set_memory_limit memory_limit: Limit,
        set_memory_shares memory_shares: Shares,
        set_memory_pinned memory_pinned: bool,
        set_shared_large_pages shared_large_pages: u64,
        set_swap_file swap_file: String,
    [Controller m i m.controller(controller(i)), m.controller_mut(controller(i))]
        set_present present: bool,
        set_model model: ControllerModel,
        set_shared_bus shared_bus: SharedBus,
        set_pci_slot pci_slot: i32,
        set_sas_wwid sas_wwid: SasWwid,
    [Drive m i m.drive(drive(i)), m.drive_mut(drive(i))]
        set_present present: bool,
        set_drive_type drive_type: DriveType,
        set_file_name file_name: String,
        set_mode mode: DiskMode,
        set_write_through write_through: bool,
        set_redo redo: String,
        set_change_tracking change_tracking: bool,
        set_sharing sharing: DiskSharing,
        set_ssd ssd: bool,
        set_start_connected start_connected: bool,
        set_allow_guest_control allow_guest_control: bool,
        set_client_device client_device: bool,
        set_auto_detect auto_detect: bool,
        set_io_shares io_shares: Shares,
    [NetworkCard m i m.network_card(at(Class::Ethernet, i)), m.network_card_mut(at(Class::Ethernet, i))]
        set_present present: bool,
        set_model model: CardModel,
        set_features features: u32,
        set_network_name network_name: String,
        set_connection_type connection_type: ConnectionType,
        set_vnet vnet: String,
        set_switch_id switch_id: String,
        set_port_id port_id: String,
        set_port_group_id port_group_id: String,
        set_connection_id connection_id: i32,
        set_opaque_network_id opaque_network_id: String,
        set_opaque_network_type opaque_network_type: String,
        set_address_type address_type: AddressType,
        set_generated_address generated_address: MacAddress,
        set_generated_address_offset generated_address_offset: i32,
        set_static_address static_address: MacAddress,
        set_check_address check_address: bool,
        set_pci_slot pci_slot: i32,
        set_upt upt: bool,
        set_wake_on_lan wake_on_lan: bool,
        set_start_connected start_connected: bool,
        set_allow_guest_control allow_guest_control: bool,
        set_link_state_propagation link_state_propagation: bool,
        set_external_id external_id: String,
        set_host_interface host_interface: String,
        set_host_interface_name host_interface_name: String,
    [SerialPort m i m.serial_port(at(Class::Serial, i)), m.serial_port_mut(at(Class::Serial, i))]
        set_present present: bool,
        set_port_type port_type: PortType,
        set_file_name file_name: String,
        set_network_end_point network_end_point: EndPoint,
        set_concentrator concentrator: String,
        set_pipe_end_point pipe_end_point: EndPoint,
        set_try_no_rx_loss try_no_rx_loss: bool,
        set_yield_on_poll yield_on_poll: bool,
        set_hardware_flow_control hardware_flow_control: bool,
        set_start_connected start_connected: bool,
        set_allow_guest_control allow_guest_control: bool,
        set_auto_detect auto_detect: bool,
    [ParallelPort m i m.parallel_port(at(Class::Parallel, i)), m.parallel_port_mut(at(Class::Parallel, i))]
        set_present present: bool,
        set_port_type port_type: PortType,
        set_file_name file_name: String,
        set_bidirectional bidirectional: bool,
        set_start_connected start_connected: bool,
        set_allow_guest_control allow_guest_control: bool,
        set_auto_detect auto_detect: bool,
    [Floppy m i m.floppy(at(Class::Floppy, i)), m.floppy_mut(at(Class::Floppy, i))]
        set_present present: bool,
        set_port_type port_type: PortType,
        set_file_name file_name: String,
        set_client_device client_device: bool,
        set_auto_detect auto_detect: bool,
        set_start_connected start_connected: bool,
        set_allow_guest_control allow_guest_control: bool,
    [PciBridge m i m.pci_bridge(at(Class::PciBridge, i)), m.pci_bridge_mut(at(Class::PciBridge, i))]
        set_present present: bool,
        set_model model: String,
        set_functions functions: u32,
        set_pci_slot pci_slot: i32,
    [UsbController m i m.usb_controller(at(Class::Xhci, i)), m.usb_controller_mut(at(Class::Xhci, i))]
        set_present present: bool,
        set_pci_slot pci_slot: i32,
    [UsbPort m i m.usb_port(port(i)), m.usb_port_mut(port(i))]
        set_present present: bool,
        set_device_type device_type: UsbDeviceType,
        set_speed speed: i32,
        set_port port: i32,
        set_parent parent: i32,
    [PciPassthrough m i m.pci_passthrough(at(Class::PciPassthrough, i)), m.pci_passthrough_mut(at(Class::PciPassthrough, i))]
        set_present present: bool,
        set_model model: PassthroughModel,
        set_id id: String,
        set_device_id device_id: i64,
        set_vendor_id vendor_id: i64,
        set_system_id system_id: String,
        set_vgpu vgpu: String,
        set_pci_slot pci_slot: i32,
    [Nvdimm m i m.nvdimm(module(i)), m.nvdimm_mut(module(i))]
        set_present present: bool,
        set_file_name file_name: String,
        set_pci_slot pci_slot: i32,
    [SharedFolder m i m.shared_folder(at(Class::SharedFolder, i)), m.shared_folder_mut(at(Class::SharedFolder, i))]
        set_present present: bool,
        set_enabled enabled: bool,
        set_read_access read_access: bool,
        set_write_access write_access: bool,
        set_host_path host_path: String,
        set_guest_name guest_name: String,
        set_expiration expiration: String,
    [Video m i m.video(), m.video_mut()]
        set_present present: bool,
        set_memory memory: u64,
        set_auto_detect auto_detect: bool,
        set_displays displays: u32,
        set_graphics_memory_kb graphics_memory_kb: u64,
    [Sound m i m.sound(), m.sound_mut()]
        set_present present: bool,
        set_model model: SoundModel,
        set_file_name file_name: String,
        set_auto_detect auto_detect: bool,
        set_pci_slot pci_slot: i32,
    [Vmci m i m.vmci(), m.vmci_mut()]
        set_present present: bool,
        set_id id: i64,
        set_unrestricted unrestricted: bool,
        set_pci_slot pci_slot: i32,
    [Tpm m i m.tpm(), m.tpm_mut()]
        set_present present: bool,
    [PrecisionClock m i m.precision_clock(), m.precision_clock_mut()]
        set_present present: bool,
        set_pci_slot pci_slot: i32,
    [Watchdog m i m.watchdog(), m.watchdog_mut()]
        set_present present: bool,
        set_pci_slot pci_slot: i32,
}

macro_rules! others {
    ($($name:literal |$machine:ident, $input:ident| $value:expr, $read:expr, $edit:expr;)*) => {
        /// Settings whose getter or setter takes more than a value.
        pub(crate) const OTHERS: &[(&str, Setting)] = &[$(
            ($name, |document, $input| {
                let value = $value;
                let change = {
                    let mut $machine = VirtualMachineFile::new(&mut *document);
                    $edit(&value).ok()?
                };
                let $machine = VirtualMachineFile::new(&*document);
                let found = $read;
                assert!(found.as_ref().is_ok_and(|found| found.holds(&value)), "{found:?}");
                Some(change)
            }),
        )*];
    };
}

others! {
    "Drive::set_throughput_cap" |m, i| i.text.to_owned(),
        m.drive(drive(i)).throughput_cap(), |v: &String| m.drive_mut(drive(i)).set_throughput_cap(v);
    "VirtualMachineFile::set_cpuid_mask" |m, i| CpuidMask::pick(i),
        m.cpuid_mask(leaf(i).0, leaf(i).1), |v| m.set_cpuid_mask(leaf(i).0, leaf(i).1, v);
    "VirtualMachineFile::set_cpuid_registers" |m, i| CpuidRegisters::pick(i),
        m.cpuid_registers(owner(i), leaf(i).0),
        |v: &CpuidRegisters| m.set_cpuid_registers(owner(i), leaf(i).0, *v);
    "answers_mut" |m, i| i.text.to_owned(),
        m.answers().get(&part(i)), |v: &String| m.answers_mut().set(&part(i), v);
    "isolated_tools_mut" |m, i| bool::pick(i),
        m.isolated_tools().get(&part(i)), |v: &bool| m.isolated_tools_mut().set(&part(i), *v);
    "monitor_controls_mut" |m, i| i.text.to_owned(),
        m.monitor_controls().get(&part(i)), |v: &String| m.monitor_controls_mut().set(&part(i), v);
    "usb_auto_connect_mut" |m, i| i.text.to_owned(),
        m.usb_auto_connect().get(&part(i)), |v: &String| m.usb_auto_connect_mut().set(&part(i), v);
    "usb_generic_mut" |m, i| i.text.to_owned(),
        m.usb_generic().get(&part(i)), |v: &String| m.usb_generic_mut().set(&part(i), v);
    "shared_folder_options_mut" |m, i| bool::pick(i),
        m.shared_folder_options().get(&part(i)),
        |v: &bool| m.shared_folder_options_mut().set(&part(i), *v);
    "filters_mut" |m, i| i.text.to_owned(),
        m.network_card(at(Class::Ethernet, i)).filters().get(&part(i)),
        |v: &String| m.network_card_mut(at(Class::Ethernet, i)).filters_mut().set(&part(i), v);
}

/// Deletes a device, chosen by a number. Returns `None` if there is no such device.
pub(crate) fn delete(document: &mut Document, i: Input<'_>) -> Option<Change> {
    let mut m = VirtualMachineFile::new(document);
    Some(match i.number {
        0 => m.controller_mut(controller(i)).delete(),
        1 => m.drive_mut(drive(i)).delete(),
        2 => m.network_card_mut(at(Class::Ethernet, i)).delete(),
        3 => m.usb_port_mut(port(i)).delete(),
        4 => m.nvdimm_mut(module(i)).delete(),
        5 => m.usb_controller_mut(at(Class::Usb, i)).delete(),
        6 => m.tpm_mut().delete(),
        7 => m.answers_mut().remove(&part(i)),
        8 => m
            .network_card_mut(at(Class::Ethernet, i))
            .filters_mut()
            .remove(&part(i)),
        _ => return None,
    })
}
