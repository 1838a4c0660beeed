//! Settings of the whole machine.

use crate::value::Tristate;

use super::VirtualMachineFile;
use super::identity::Uuid;
use super::typed_setting::{settings, words};

words! {
    /// Firmware of the machine; `VirtualMachineConfigInfo.firmware`.
    pub enum Firmware {
        /// BIOS.
        Bios = "bios",
        /// UEFI. virt-v2v knows this spelling only.
        Efi = "efi",
    }
}

words! {
    /// The action of a power button; `VirtualMachineDefaultPowerOpInfo`.
    pub enum PowerType {
        /// Ask the guest.
        Soft = "soft",
        /// Do it.
        Hard = "hard",
        /// As the product thinks best.
        Default = "default",
        /// As the machine is set; the API's word for the same thing.
        Preset = "preset",
    }
}

words! {
    /// When VMware Tools are upgraded; `ToolsConfigInfo.toolsUpgradePolicy`.
    pub enum ToolsUpgrade {
        /// By hand.
        Manual = "manual",
        /// At power-on, if need be.
        AtPowerCycle = "upgradeAtPowerCycle",
        /// As hosted products are set.
        UseGlobal = "useGlobal",
    }
}

words! {
    /// Treatment of identities when the file has moved. Without a setting the
    /// product asks.
    pub enum UuidAction {
        /// New ones: the machine was copied.
        Create = "create",
        /// The old ones: the machine was moved.
        Keep = "keep",
        /// New ones, always.
        Change = "change",
    }
}

words! {
    /// Products that the hardware is meant for.
    pub enum ProductCompatibility {
        /// Workstation, Fusion, Player; found in files of ESXi too.
        Hosted = "hosted",
        /// ESXi.
        Esx = "esx",
        /// All.
        Unlimited = "unlimited",
    }
}

settings! { VirtualMachineFile {
    /// The version of the file format: 8, and 4 or 6 in old products. VMware asks
    /// for it. The API does not show it.
    config_version set_config_version: u32 = "config.version";
    /// The version of the virtual hardware, 3 to 21 and up. VMware asks for it.
    ///
    /// API: `VirtualMachineConfigInfo.version`, as `vmx-NN`. 4 is ESX 3.5; 7 to 10
    /// vSphere 4.0, 5.0, 5.1, 5.5; 11 6.0; 13 6.5; 14 6.7; 15 6.7 U2; 17 to 19 7.0
    /// and its updates; 20 8.0; 21 8.0 U2.
    hardware_version set_hardware_version: u32 = "virtualHW.version";
    /// Products that the hardware is meant for. The API does not show it.
    product_compatibility set_product_compatibility: ProductCompatibility = "virtualHW.productCompatibility";
    /// The name of the machine; API: `VirtualMachineConfigInfo.name`.
    display_name set_display_name: String = "displayName";
    /// The guest operating system in VMX's words, `ubuntu-64`. The machine does not
    /// power on without one.
    ///
    /// API: `VirtualMachineConfigInfo.guestId`, in other words: `ubuntu64Guest`. There
    /// is no rule that makes the one of the other.
    guest_os set_guest_os: String = "guestOS";
    /// The guest's description of its system, `name='value'` pairs; part of
    /// extraConfig. VMware Tools write it, so do not trust it.
    guest_details set_guest_details: String = "guestInfo.detailed.data";
    /// The same, under the name that the product keeps it by; part of extraConfig.
    guest_os_details set_guest_os_details: String = "guestOS.detailed.data";
    /// Notes; API: `VirtualMachineConfigInfo.annotation`.
    annotation set_annotation: String = "annotation";
    /// Memory in MB, a multiple of 4; API: `VirtualHardware.memoryMB`.
    memory_mb set_memory_mb: u32 = "memSize" or 32;
    /// Virtual processors; API: `VirtualHardware.numCPU`.
    cpus set_cpus: u32 = "numvcpus" or 1;
    /// Cores of a socket; API: `VirtualHardware.numCoresPerSocket`.
    cores_per_socket set_cores_per_socket: u32 = "cpuid.coresPerSocket" or 1;
    /// Maximum number of processors with hot add. The API does not show it.
    max_cpus set_max_cpus: u32 = "maxvcpus";
    /// Whether processors can be added while on; API: `VirtualMachineConfigInfo.cpuHotAddEnabled`.
    cpu_hot_add set_cpu_hot_add: bool = "vcpu.hotadd" or false;
    /// Whether processors can be removed while on; API: `VirtualMachineConfigInfo.cpuHotRemoveEnabled`.
    cpu_hot_remove set_cpu_hot_remove: bool = "vcpu.hotremove" or false;
    /// Whether memory can be added while on; API: `VirtualMachineConfigInfo.memoryHotAddEnabled`.
    memory_hot_add set_memory_hot_add: bool = "mem.hotadd" or false;
    /// Hardware virtualization for the guest; API: `VirtualMachineConfigInfo.nestedHVEnabled`.
    nested_virtualization set_nested_virtualization: bool = "vhv.enable" or false;
    /// Performance counters for the guest; API: `VirtualMachineConfigInfo.vPMCEnabled`.
    performance_counters set_performance_counters: bool = "vpmc.enable" or false;
    /// An IOMMU for the guest; API: `VirtualMachineFlagInfo.vvtdEnabled`.
    iommu set_iommu: bool = "vvtd.enable" or false;
    /// The UUID that the guest's firmware shows; generated if absent.
    ///
    /// API: `VirtualMachineConfigInfo.uuid`.
    bios_uuid set_bios_uuid: Uuid = "uuid.bios";
    /// The UUID of host and path, made again when they change; API:
    /// `VirtualMachineConfigInfo.locationId`.
    location_uuid set_location_uuid: Uuid = "uuid.location";
    /// Treatment of identities when the file has moved. The API does not show it.
    uuid_action set_uuid_action: UuidAction = "uuid.action";
    /// Half of the generation id that tells the guest of a copy or a rollback, a signed
    /// number. The API's schema has no property for it.
    generation_id set_generation_id: i64 = "vm.genid";
    /// The other half of the generation id.
    generation_id_x set_generation_id_x: i64 = "vm.genidX";
    /// The firmware; API: `VirtualMachineConfigInfo.firmware`.
    firmware set_firmware: Firmware = "firmware" or "bios";
    /// Secure boot; API: `VirtualMachineBootOptions.efiSecureBootEnabled`.
    secure_boot set_secure_boot: bool = "uefi.secureBoot.enabled" or false;
    /// Milliseconds before boot; API: `VirtualMachineBootOptions.bootDelay`.
    boot_delay set_boot_delay: u32 = "bios.bootDelay" or 0;
    /// Enter setup at the next boot; API: `VirtualMachineBootOptions.enterBIOSSetup`.
    enter_setup set_enter_setup: bool = "bios.forceSetupOnce" or false;
    /// Milliseconds before another try to boot; API: `VirtualMachineBootOptions.bootRetryDelay`.
    boot_retry_delay set_boot_retry_delay: u32 = "bios.bootRetry.delay";
    /// Kinds of devices in the order they are tried, separated by commas; API:
    /// `VirtualMachineBootOptions.bootOrder`.
    boot_order set_boot_order: String = "bios.bootOrder";
    /// Disks in the order they are tried, such as `scsi0:0`, separated by commas; API:
    /// the disks among `VirtualMachineBootOptions.bootOrder`.
    disk_boot_order set_disk_boot_order: String = "bios.hddOrder";
    /// File of the firmware's memory, `<name>.nvram`; in the API part of extraConfig
    /// and `layoutEx`.
    nvram set_nvram: String = "nvram";
    /// The file of extended configuration, `.vmxf`. The API does not show it.
    extended_config_file set_extended_config_file: String = "extendedConfigFile";
    /// Folder of snapshots and of the suspended state; API:
    /// `VirtualMachineFileInfo.snapshotDirectory`, `suspendDirectory`.
    working_dir set_working_dir: String = "workingDir" or ".";
    /// Whether snapshots leave the folder of the machine; hosted products.
    snapshot_redo_not_with_parent set_snapshot_redo_not_with_parent: bool = "snapshot.redoNotWithParent" or false;
    /// File of the suspended state, empty if there is none. The API shows the state,
    /// `VirtualMachineRuntimeInfo.powerState`, and not the file.
    suspended_state set_suspended_state: String = "checkpoint.vmState" or "";
    /// Whether the machine was powered off in good order. The API does not show it.
    clean_shutdown set_clean_shutdown: bool = "cleanShutdown";
    /// Whether the guest powered off by itself. The API does not show it.
    soft_power_off set_soft_power_off: bool = "softPowerOff";
    /// Power off; API: `VirtualMachineDefaultPowerOpInfo.powerOffType`.
    power_off set_power_off: PowerType = "powerType.powerOff" or "default";
    /// Power on. The API does not show it.
    power_on set_power_on: PowerType = "powerType.powerOn" or "default";
    /// Suspend; API: `VirtualMachineDefaultPowerOpInfo.suspendType`.
    suspend set_suspend: PowerType = "powerType.suspend" or "default";
    /// Reset; API: `VirtualMachineDefaultPowerOpInfo.resetType`.
    reset set_reset: PowerType = "powerType.reset" or "default";
    /// Whether the guest's clock follows the host's; API:
    /// `ToolsConfigInfo.syncTimeWithHost`.
    sync_time set_sync_time: bool = "tools.syncTime" or false;
    /// When VMware Tools are upgraded; API: `ToolsConfigInfo.toolsUpgradePolicy`.
    tools_upgrade set_tools_upgrade: ToolsUpgrade = "tools.upgrade.policy" or "useGlobal";
    /// Whether to remind of VMware Tools; part of extraConfig.
    remind_tools_install set_remind_tools_install: bool = "tools.remindInstall";
    /// Run scripts after power-on; API: `ToolsConfigInfo.afterPowerOn`.
    script_after_power_on set_script_after_power_on: bool = "toolScripts.afterPowerOn" or true;
    /// Run scripts after resume; API: `ToolsConfigInfo.afterResume`.
    script_after_resume set_script_after_resume: bool = "toolScripts.afterResume" or true;
    /// Run scripts before suspend; API: `ToolsConfigInfo.beforeGuestStandby`.
    script_before_suspend set_script_before_suspend: bool = "toolScripts.beforeSuspend" or true;
    /// Run scripts before power-off; API: `ToolsConfigInfo.beforeGuestShutdown`.
    script_before_power_off set_script_before_power_off: bool = "toolScripts.beforePowerOff" or true;
    /// The size in bytes beyond which the guest cannot make the file grow, 1 MiB if
    /// nothing is said; part of extraConfig.
    guest_info_size_limit set_guest_info_size_limit: u64 = "tools.setInfo.sizeLimit" or 1_048_576;
    /// Whether the guest sees UUIDs of disks; API: `VirtualMachineFlagInfo.diskUuidEnabled`.
    disk_uuids set_disk_uuids: bool = "disk.EnableUUID" or false;
    /// Whether changed blocks are recorded; API: `VirtualMachineConfigInfo.changeTrackingEnabled`.
    change_tracking set_change_tracking: bool = "ctkEnabled" or false;
    /// 3D acceleration; API: `VirtualMachineVideoCard.enable3DSupport`.
    enable_3d set_enable_3d: bool = "mks.enable3d" or false;
    /// Whether the guest's firmware shows the host's names; not in the API.
    reflect_host_smbios set_reflect_host_smbios: bool = "smbios.reflectHost" or false;
    /// Whether the guest sees the name of the host's board; not in the API.
    reflect_host_board set_reflect_host_board: bool = "board-id.reflectHost" or false;
    /// The model that the guest's firmware shows; not in the API.
    hardware_model set_hardware_model: String = "hw.model";
    /// Whether the guest sees the model of the host; not in the API.
    reflect_host_model set_reflect_host_model: bool = "hw.model.reflectHost" or false;
    /// A high precision event timer; part of extraConfig.
    hpet set_hpet: bool = "hpet0.present";
    /// Answer questions of the product by default; part of extraConfig.
    auto_answer set_auto_answer: bool = "msg.autoAnswer" or false;
    /// A VNC server of the host for this machine; part of extraConfig.
    vnc set_vnc: bool = "RemoteDisplay.vnc.enabled" or false;
    /// The port of the VNC server; part of extraConfig.
    vnc_port set_vnc_port: u32 = "RemoteDisplay.vnc.port";
    /// The address that the VNC server listens on; part of extraConfig.
    vnc_address set_vnc_address: String = "RemoteDisplay.vnc.ip";
    /// The layout of the keyboard of the VNC server; part of extraConfig.
    vnc_keymap set_vnc_keymap: String = "RemoteDisplay.vnc.keymap";
    /// The password of the VNC server, a secret in plain text; part of extraConfig.
    vnc_password set_vnc_password: String = "RemoteDisplay.vnc.password";
    /// Maximum number of open consoles; part of extraConfig.
    max_consoles set_max_consoles: i32 = "RemoteDisplay.maxConnections";
    /// An identity for policies of hosted products. The API does not show it.
    managed_id set_managed_id: String = "policy.vm.mvmtid";
    /// Which TPM hosted products add by themselves: `software`, or a boolean.
    auto_add_tpm set_auto_add_tpm: String = "managedVM.autoAddVTPM";
    /// Whether the guest may not copy to the console; part of extraConfig, TRUE on ESXi.
    isolate_copy set_isolate_copy: bool = "isolation.tools.copy.disable";
    /// Whether the guest may not paste from the console; part of extraConfig, TRUE on
    /// ESXi.
    isolate_paste set_isolate_paste: bool = "isolation.tools.paste.disable";
    /// Whether files may not be dragged to the guest; part of extraConfig, TRUE on ESXi.
    isolate_drag_and_drop set_isolate_drag_and_drop: bool = "isolation.tools.dnd.disable";
    /// Whether the guest may not write `guestinfo.` keys; part of extraConfig.
    isolate_guest_info set_isolate_guest_info: bool = "isolation.tools.setInfo.disable" or false;
    /// Whether the guest may not disconnect devices; part of extraConfig.
    isolate_connections set_isolate_connections: bool = "isolation.device.connectable.disable" or true;
    /// Whether the guest may not change devices; part of extraConfig.
    isolate_devices set_isolate_devices: bool = "isolation.device.edit.disable" or true;
    /// Maximum number of shared folders in the file; hosted products.
    max_shared_folders set_max_shared_folders: u32 = "sharedFolder.maxNum";
    /// Whether the guest sees no shared folders; part of extraConfig.
    isolate_shared_folders set_isolate_shared_folders: bool = "isolation.tools.hgfs.disable";
    /// The last assignment of processors to NUMA nodes; part of extraConfig.
    numa_cookie set_numa_cookie: u64 = "numa.autosize.cookie";
    /// Processors of a node of memory; part of extraConfig.
    numa_cpus_per_node set_numa_cpus_per_node: u32 = "numa.autosize.vcpu.maxPerVirtualNode";
    /// Processors of a virtual node at most, chosen by a person; part of extraConfig,
    /// from 8.0 on also API: `VirtualMachineConfigInfo.numaInfo.coresPerNumaNode`.
    numa_max_per_virtual_node set_numa_max_per_virtual_node: u32 = "numa.vcpu.maxPerVirtualNode";
    /// Processors of this machine on a node of the host at most; part of extraConfig.
    numa_max_per_host_node set_numa_max_per_host_node: u32 = "numa.vcpu.maxPerMachineNode";
    /// Processors that the host device_names together at most; part of extraConfig.
    numa_max_per_client set_numa_max_per_client: u32 = "numa.vcpu.maxPerClient";
    /// Processors from which on the machine has virtual nodes; part of extraConfig.
    numa_min_cpus set_numa_min_cpus: u32 = "numa.vcpu.min";
    /// Whether threads of one node come before cores of two; part of extraConfig.
    numa_prefer_threads set_numa_prefer_threads: bool = "numa.vcpu.preferHT";
    /// Whether virtual nodes follow the sockets; part of extraConfig.
    numa_follow_sockets set_numa_follow_sockets: bool = "numa.vcpu.followcorespersocket";
    /// The use of hardware virtualization; API:
    /// `VirtualMachineFlagInfo.virtualExecUsage`.
    virtual_execution set_virtual_execution: String = "monitor.virtual_exec";
    /// Bits of physical addresses in use; part of extraConfig.
    physical_bits set_physical_bits: u32 = "monitor.phys_bits_used";
    /// Hot-added memory stays below 4 GB; part of extraConfig.
    no_memory_over_4gb set_no_memory_over_4gb: bool = "memory.noHotAddOver4GB";
    /// MB that memory may grow by while on; part of extraConfig.
    memory_growth set_memory_growth: u64 = "memory.maxGrow";
    /// Filter of guest to guest traffic; API: `VirtualMachineVMCIDevice.filterEnable`.
    vmci_filter set_vmci_filter: Tristate = "vmci.filter.enable";
} }

impl<D: std::borrow::Borrow<crate::Document>> VirtualMachineFile<D> {
    /// The UUID by which vCenter knows the machine. The entry is often empty.
    ///
    /// API: `VirtualMachineConfigInfo.instanceUuid`. Key `vc.uuid`.
    ///
    /// # Errors
    ///
    /// The value is neither empty nor a UUID.
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
    /// As [`Document::set`](crate::Document::set).
    pub fn set_instance_uuid(&mut self, uuid: Uuid) -> Result<crate::Change, crate::EditError> {
        self.document
            .borrow_mut()
            .set("vc.uuid", &uuid.to_file_form())
    }
}
