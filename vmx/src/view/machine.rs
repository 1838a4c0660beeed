//! Settings of the machine as a whole.

use crate::value::Tristate;

use super::VirtualMachineFile;
use super::identity::Uuid;
use super::typed_setting::{settings, words};

words! {
    /// Firmware of the machine; `VirtualMachineConfigInfo.firmware`.
    pub enum Firmware {
        /// BIOS.
        Bios = "bios",
        /// UEFI. virt-v2v recognizes only this spelling.
        Efi = "efi",
    }
}

words! {
    /// The action of a power button; `VirtualMachineDefaultPowerOpInfo`.
    pub enum PowerType {
        /// Ask the guest to do it.
        Soft = "soft",
        /// Do it without asking the guest.
        Hard = "hard",
        /// The product decides.
        Default = "default",
        /// Use the setting of the machine; the API's word for `default`.
        Preset = "preset",
    }
}

words! {
    /// When VMware Tools are upgraded; `ToolsConfigInfo.toolsUpgradePolicy`.
    pub enum ToolsUpgrade {
        /// Manually.
        Manual = "manual",
        /// At power-on, if necessary.
        AtPowerCycle = "upgradeAtPowerCycle",
        /// According to the global setting of the hosted product.
        UseGlobal = "useGlobal",
    }
}

words! {
    /// What happens to the UUIDs when the file has moved. Without this setting, the
    /// product asks.
    pub enum UuidAction {
        /// Generate new UUIDs: the machine was copied.
        Create = "create",
        /// Keep the UUIDs: the machine was moved.
        Keep = "keep",
        /// Generate new UUIDs every time.
        Change = "change",
    }
}

words! {
    /// The products for which the virtual hardware is meant.
    pub enum ProductCompatibility {
        /// Workstation, Fusion, Player; also found in files written by ESXi.
        Hosted = "hosted",
        /// ESXi.
        Esx = "esx",
        /// All products.
        Unlimited = "unlimited",
    }
}

settings! { VirtualMachineFile {
    /// The version of the file format: 8, or 4 and 6 in old products. VMware requires
    /// this setting. The API does not show it.
    config_version set_config_version: u32 = "config.version";
    /// The version of the virtual hardware, 3 to 21 and up. VMware requires this setting.
    ///
    /// API: `VirtualMachineConfigInfo.version`, as `vmx-NN`. Version 4 is ESX 3.5; 7 to
    /// 10 are vSphere 4.0, 5.0, 5.1 and 5.5; 11 is 6.0; 13 is 6.5; 14 is 6.7; 15 is 6.7
    /// U2; 17 to 19 are 7.0 and its updates; 20 is 8.0; 21 is 8.0 U2.
    hardware_version set_hardware_version: u32 = "virtualHW.version";
    /// The products for which the virtual hardware is meant. The API does not show it.
    product_compatibility set_product_compatibility: ProductCompatibility = "virtualHW.productCompatibility";
    /// The name of the machine; API: `VirtualMachineConfigInfo.name`.
    display_name set_display_name: String = "displayName";
    /// The guest operating system under its name in VMX files, such as `ubuntu-64`. The
    /// machine does not power on without it.
    ///
    /// API: `VirtualMachineConfigInfo.guestId`, which uses other names, such as
    /// `ubuntu64Guest`. No rule converts one name into the other.
    guest_os set_guest_os: String = "guestOS";
    /// The guest's description of its operating system, as `name='value'` pairs. Part of
    /// extraConfig. VMware Tools in the guest writes it, so do not trust it.
    guest_details set_guest_details: String = "guestInfo.detailed.data";
    /// The guest's description of its operating system again, under the product's own
    /// name for it. Part of extraConfig.
    guest_os_details set_guest_os_details: String = "guestOS.detailed.data";
    /// Notes; API: `VirtualMachineConfigInfo.annotation`.
    annotation set_annotation: String = "annotation";
    /// Memory in MB, a multiple of 4; API: `VirtualHardware.memoryMB`.
    memory_mb set_memory_mb: u32 = "memSize" or 32;
    /// The number of virtual processors; API: `VirtualHardware.numCPU`.
    cpus set_cpus: u32 = "numvcpus" or 1;
    /// The number of cores per socket; API: `VirtualHardware.numCoresPerSocket`.
    cores_per_socket set_cores_per_socket: u32 = "cpuid.coresPerSocket" or 1;
    /// The maximum number of processors with hot add. The API does not show it.
    max_cpus set_max_cpus: u32 = "maxvcpus";
    /// Whether processors can be added while powered on; API:
    /// `VirtualMachineConfigInfo.cpuHotAddEnabled`.
    cpu_hot_add set_cpu_hot_add: bool = "vcpu.hotadd" or false;
    /// Whether processors can be removed while powered on; API:
    /// `VirtualMachineConfigInfo.cpuHotRemoveEnabled`.
    cpu_hot_remove set_cpu_hot_remove: bool = "vcpu.hotremove" or false;
    /// Whether memory can be added while powered on; API:
    /// `VirtualMachineConfigInfo.memoryHotAddEnabled`.
    memory_hot_add set_memory_hot_add: bool = "mem.hotadd" or false;
    /// Whether the guest has hardware virtualization; API:
    /// `VirtualMachineConfigInfo.nestedHVEnabled`.
    nested_virtualization set_nested_virtualization: bool = "vhv.enable" or false;
    /// Whether the guest has performance counters; API:
    /// `VirtualMachineConfigInfo.vPMCEnabled`.
    performance_counters set_performance_counters: bool = "vpmc.enable" or false;
    /// Whether the guest has an IOMMU; API: `VirtualMachineFlagInfo.vvtdEnabled`.
    iommu set_iommu: bool = "vvtd.enable" or false;
    /// The UUID that the guest's firmware shows; generated if absent.
    ///
    /// API: `VirtualMachineConfigInfo.uuid`.
    bios_uuid set_bios_uuid: Uuid = "uuid.bios";
    /// The UUID derived from host and path, regenerated when they change; API:
    /// `VirtualMachineConfigInfo.locationId`.
    location_uuid set_location_uuid: Uuid = "uuid.location";
    /// What happens to the UUIDs when the file has moved. The API does not show it.
    uuid_action set_uuid_action: UuidAction = "uuid.action";
    /// One half of the generation ID, by which the guest detects a copy or a rollback, as
    /// a signed number. The API's schema has no property for it.
    generation_id set_generation_id: i64 = "vm.genid";
    /// The other half of the generation ID.
    generation_id_x set_generation_id_x: i64 = "vm.genidX";
    /// The firmware; API: `VirtualMachineConfigInfo.firmware`.
    firmware set_firmware: Firmware = "firmware" or "bios";
    /// Whether secure boot is on; API: `VirtualMachineBootOptions.efiSecureBootEnabled`.
    secure_boot set_secure_boot: bool = "uefi.secureBoot.enabled" or false;
    /// The delay before boot in milliseconds; API: `VirtualMachineBootOptions.bootDelay`.
    boot_delay set_boot_delay: u32 = "bios.bootDelay" or 0;
    /// Whether the next boot enters the firmware setup; API:
    /// `VirtualMachineBootOptions.enterBIOSSetup`.
    enter_setup set_enter_setup: bool = "bios.forceSetupOnce" or false;
    /// The delay before a boot retry in milliseconds; API:
    /// `VirtualMachineBootOptions.bootRetryDelay`.
    boot_retry_delay set_boot_retry_delay: u32 = "bios.bootRetry.delay";
    /// The kinds of devices in boot order, separated by commas; API:
    /// `VirtualMachineBootOptions.bootOrder`.
    boot_order set_boot_order: String = "bios.bootOrder";
    /// The disks in boot order, such as `scsi0:0`, separated by commas; API: the disks in
    /// `VirtualMachineBootOptions.bootOrder`.
    disk_boot_order set_disk_boot_order: String = "bios.hddOrder";
    /// The file with the firmware's non-volatile memory, `<name>.nvram`; in the API part
    /// of extraConfig and `layoutEx`.
    nvram set_nvram: String = "nvram";
    /// The extended configuration file, `.vmxf`. The API does not show it.
    extended_config_file set_extended_config_file: String = "extendedConfigFile";
    /// The folder for snapshots and the suspended state; API:
    /// `VirtualMachineFileInfo.snapshotDirectory`, `suspendDirectory`.
    working_dir set_working_dir: String = "workingDir" or ".";
    /// Whether snapshots are stored outside the folder of the machine; hosted products
    /// only.
    snapshot_redo_not_with_parent set_snapshot_redo_not_with_parent: bool = "snapshot.redoNotWithParent" or false;
    /// The file with the suspended state, empty if there is none. The API shows the
    /// state, `VirtualMachineRuntimeInfo.powerState`, but not the file.
    suspended_state set_suspended_state: String = "checkpoint.vmState" or "";
    /// Whether the machine was powered off cleanly. The API does not show it.
    clean_shutdown set_clean_shutdown: bool = "cleanShutdown";
    /// Whether the guest powered itself off. The API does not show it.
    soft_power_off set_soft_power_off: bool = "softPowerOff";
    /// What powering off does; API: `VirtualMachineDefaultPowerOpInfo.powerOffType`.
    power_off set_power_off: PowerType = "powerType.powerOff" or "default";
    /// What powering on does. The API does not show it.
    power_on set_power_on: PowerType = "powerType.powerOn" or "default";
    /// What suspending does; API: `VirtualMachineDefaultPowerOpInfo.suspendType`.
    suspend set_suspend: PowerType = "powerType.suspend" or "default";
    /// What resetting does; API: `VirtualMachineDefaultPowerOpInfo.resetType`.
    reset set_reset: PowerType = "powerType.reset" or "default";
    /// Whether the guest's clock follows the host's; API:
    /// `ToolsConfigInfo.syncTimeWithHost`.
    sync_time set_sync_time: bool = "tools.syncTime" or false;
    /// When VMware Tools are upgraded; API: `ToolsConfigInfo.toolsUpgradePolicy`.
    tools_upgrade set_tools_upgrade: ToolsUpgrade = "tools.upgrade.policy" or "useGlobal";
    /// Whether the product reminds the user to install VMware Tools. Part of extraConfig.
    remind_tools_install set_remind_tools_install: bool = "tools.remindInstall";
    /// Whether scripts run after power-on; API: `ToolsConfigInfo.afterPowerOn`.
    script_after_power_on set_script_after_power_on: bool = "toolScripts.afterPowerOn" or true;
    /// Whether scripts run after resume; API: `ToolsConfigInfo.afterResume`.
    script_after_resume set_script_after_resume: bool = "toolScripts.afterResume" or true;
    /// Whether scripts run before suspend; API: `ToolsConfigInfo.beforeGuestStandby`.
    script_before_suspend set_script_before_suspend: bool = "toolScripts.beforeSuspend" or true;
    /// Whether scripts run before power-off; API: `ToolsConfigInfo.beforeGuestShutdown`.
    script_before_power_off set_script_before_power_off: bool = "toolScripts.beforePowerOff" or true;
    /// The size in bytes beyond which the guest cannot make the file grow, 1 MiB by
    /// default. Part of extraConfig.
    guest_info_size_limit set_guest_info_size_limit: u64 = "tools.setInfo.sizeLimit" or 1_048_576;
    /// Whether the guest sees the UUIDs of disks; API:
    /// `VirtualMachineFlagInfo.diskUuidEnabled`.
    disk_uuids set_disk_uuids: bool = "disk.EnableUUID" or false;
    /// Whether changed blocks are recorded; API: `VirtualMachineConfigInfo.changeTrackingEnabled`.
    change_tracking set_change_tracking: bool = "ctkEnabled" or false;
    /// Whether 3D acceleration is on; API: `VirtualMachineVideoCard.enable3DSupport`.
    enable_3d set_enable_3d: bool = "mks.enable3d" or false;
    /// Whether the guest's firmware reports the SMBIOS names of the host; not in the API.
    reflect_host_smbios set_reflect_host_smbios: bool = "smbios.reflectHost" or false;
    /// Whether the guest sees the name of the host's main board; not in the API.
    reflect_host_board set_reflect_host_board: bool = "board-id.reflectHost" or false;
    /// The hardware model that the guest's firmware reports; not in the API.
    hardware_model set_hardware_model: String = "hw.model";
    /// Whether the guest sees the hardware model of the host; not in the API.
    reflect_host_model set_reflect_host_model: bool = "hw.model.reflectHost" or false;
    /// Whether there is a high precision event timer. Part of extraConfig.
    hpet set_hpet: bool = "hpet0.present";
    /// Whether the product answers its questions with the default. Part of extraConfig.
    auto_answer set_auto_answer: bool = "msg.autoAnswer" or false;
    /// Whether the host runs a VNC server for this machine. Part of extraConfig.
    vnc set_vnc: bool = "RemoteDisplay.vnc.enabled" or false;
    /// The port of the VNC server. Part of extraConfig.
    vnc_port set_vnc_port: u32 = "RemoteDisplay.vnc.port";
    /// The address on which the VNC server listens. Part of extraConfig.
    vnc_address set_vnc_address: String = "RemoteDisplay.vnc.ip";
    /// The keyboard layout of the VNC server. Part of extraConfig.
    vnc_keymap set_vnc_keymap: String = "RemoteDisplay.vnc.keymap";
    /// The password of the VNC server, a secret in plain text. Part of extraConfig.
    vnc_password set_vnc_password: String = "RemoteDisplay.vnc.password";
    /// The maximum number of open consoles. Part of extraConfig.
    max_consoles set_max_consoles: i32 = "RemoteDisplay.maxConnections";
    /// The identifier for policies of hosted products. The API does not show it.
    managed_id set_managed_id: String = "policy.vm.mvmtid";
    /// The kind of TPM that hosted products add automatically: `software`, or a boolean.
    auto_add_tpm set_auto_add_tpm: String = "managedVM.autoAddVTPM";
    /// Whether copying from the guest to the console is blocked. Part of extraConfig,
    /// TRUE on ESXi.
    isolate_copy set_isolate_copy: bool = "isolation.tools.copy.disable";
    /// Whether pasting from the console into the guest is blocked. Part of extraConfig,
    /// TRUE on ESXi.
    isolate_paste set_isolate_paste: bool = "isolation.tools.paste.disable";
    /// Whether dragging files into the guest is blocked. Part of extraConfig, TRUE on
    /// ESXi.
    isolate_drag_and_drop set_isolate_drag_and_drop: bool = "isolation.tools.dnd.disable";
    /// Whether the guest is blocked from writing `guestinfo.` keys. Part of extraConfig.
    isolate_guest_info set_isolate_guest_info: bool = "isolation.tools.setInfo.disable" or false;
    /// Whether the guest is blocked from disconnecting devices. Part of extraConfig.
    isolate_connections set_isolate_connections: bool = "isolation.device.connectable.disable" or true;
    /// Whether the guest is blocked from changing devices. Part of extraConfig.
    isolate_devices set_isolate_devices: bool = "isolation.device.edit.disable" or true;
    /// The maximum number of shared folders in the file; hosted products only.
    max_shared_folders set_max_shared_folders: u32 = "sharedFolder.maxNum";
    /// Whether shared folders are hidden from the guest. Part of extraConfig.
    isolate_shared_folders set_isolate_shared_folders: bool = "isolation.tools.hgfs.disable";
    /// The last assignment of processors to NUMA nodes. Part of extraConfig.
    numa_cookie set_numa_cookie: u64 = "numa.autosize.cookie";
    /// The number of processors per virtual NUMA node, as computed by the host. Part of
    /// extraConfig.
    numa_cpus_per_node set_numa_cpus_per_node: u32 = "numa.autosize.vcpu.maxPerVirtualNode";
    /// The maximum number of processors per virtual NUMA node, set by a person. Part of
    /// extraConfig; since 8.0 also in the API:
    /// `VirtualMachineConfigInfo.numaInfo.coresPerNumaNode`.
    numa_max_per_virtual_node set_numa_max_per_virtual_node: u32 = "numa.vcpu.maxPerVirtualNode";
    /// The maximum number of this machine's processors on one NUMA node of the host. Part
    /// of extraConfig.
    numa_max_per_host_node set_numa_max_per_host_node: u32 = "numa.vcpu.maxPerMachineNode";
    /// The maximum number of processors that the host schedules as one NUMA client. Part
    /// of extraConfig.
    numa_max_per_client set_numa_max_per_client: u32 = "numa.vcpu.maxPerClient";
    /// The minimum number of processors for a machine to have virtual NUMA nodes. Part of
    /// extraConfig.
    numa_min_cpus set_numa_min_cpus: u32 = "numa.vcpu.min";
    /// Whether hyperthreads of one node are preferred over cores of several nodes. Part
    /// of extraConfig.
    numa_prefer_threads set_numa_prefer_threads: bool = "numa.vcpu.preferHT";
    /// Whether virtual NUMA nodes follow the sockets. Part of extraConfig.
    numa_follow_sockets set_numa_follow_sockets: bool = "numa.vcpu.followcorespersocket";
    /// How hardware virtualization is used; API:
    /// `VirtualMachineFlagInfo.virtualExecUsage`.
    virtual_execution set_virtual_execution: String = "monitor.virtual_exec";
    /// The number of physical address bits in use. Part of extraConfig.
    physical_bits set_physical_bits: u32 = "monitor.phys_bits_used";
    /// Whether hot-added memory stays below 4 GB. Part of extraConfig.
    no_memory_over_4gb set_no_memory_over_4gb: bool = "memory.noHotAddOver4GB";
    /// The amount in MB by which memory may grow while powered on. Part of extraConfig.
    memory_growth set_memory_growth: u64 = "memory.maxGrow";
    /// The filter for traffic between guests; API:
    /// `VirtualMachineVMCIDevice.filterEnable`.
    vmci_filter set_vmci_filter: Tristate = "vmci.filter.enable";
} }

impl<D: std::borrow::Borrow<crate::Document>> VirtualMachineFile<D> {
    /// Returns the UUID by which vCenter identifies the machine. The entry is often
    /// empty.
    ///
    /// API: `VirtualMachineConfigInfo.instanceUuid`. Key `vc.uuid`.
    ///
    /// # Errors
    ///
    /// Fails if the value is neither empty nor a UUID.
    pub fn instance_uuid(&self) -> Result<Option<Uuid>, super::SettingError> {
        match self.document.borrow().get("vc.uuid") {
            Some(value) if value.is_empty() => Ok(None),
            _ => super::typed_setting::read(self.document.borrow(), "vc.uuid"),
        }
    }
}

impl<D: std::borrow::BorrowMut<crate::Document>> VirtualMachineFile<D> {
    /// Sets `vc.uuid`, see [`instance_uuid`](Self::instance_uuid).
    ///
    /// # Errors
    ///
    /// Fails like [`Document::set`](crate::Document::set).
    pub fn set_instance_uuid(&mut self, uuid: Uuid) -> Result<crate::Change, crate::EditError> {
        self.document
            .borrow_mut()
            .set("vc.uuid", &uuid.to_file_form())
    }
}
