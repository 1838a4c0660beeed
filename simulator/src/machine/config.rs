//! The configuration of a machine, without its devices.

use jiff::Timestamp;
use vim25::types::{
    CpuHotPlugNotSupported, LatencySensitivity, LatencySensitivitySensitivityLevel,
    MemoryHotPlugNotSupported, OptionValue, ResourceAllocationInfo, SharesInfo, SharesLevel,
    ToolsConfigInfo, VirtualHardware, VirtualMachineBootOptions, VirtualMachineConfigInfo,
    VirtualMachineConfigSpec, VirtualMachineDefaultPowerOpInfo, VirtualMachineFileInfo,
    VirtualMachineFlagInfo, VirtualMachineGuestOsIdentifier, VirtualMachinePowerState,
};
use vim25::{Fault, Poly};
use vmx::ExtraConfig;

use super::HardwareVersion;
use crate::datastore::path::DatastorePath;
use crate::fault;
use crate::world::Transaction;

/// Maximum number of virtual processors of a machine.
pub(crate) const MAX_CPUS: i32 = 768;

/// Minimum memory of a machine in MiB. The size is a multiple of it.
pub(crate) const MIN_MEMORY: i32 = 4;

/// Maximum memory of a machine in MiB.
pub(crate) const MAX_MEMORY: i32 = 24 << 20;

/// Memory of a machine whose specification has none, in MiB.
pub(crate) const DEFAULT_MEMORY: i32 = 32;

/// Guest operating system of a machine whose specification has none.
pub(crate) const DEFAULT_GUEST: &str = "otherGuest";

/// Guest operating systems: API id, display name, and the id in the `.vmx` file.
const GUESTS: [(&str, &str, &str); 10] = [
    ("otherGuest", "Other (32-bit)", "other"),
    ("otherGuest64", "Other (64-bit)", "other-64"),
    ("otherLinuxGuest", "Other Linux (32-bit)", "otherlinux"),
    ("otherLinux64Guest", "Other Linux (64-bit)", "otherlinux-64"),
    (
        "other3xLinux64Guest",
        "Other 3.x or later Linux (64-bit)",
        "other3xlinux-64",
    ),
    (
        "other4xLinux64Guest",
        "Other 4.x or later Linux (64-bit)",
        "other4xlinux-64",
    ),
    (
        "other5xLinux64Guest",
        "Other 5.x or later Linux (64-bit)",
        "other5xlinux-64",
    ),
    (
        "vmwarePhoton64Guest",
        "VMware Photon OS (64-bit)",
        "vmware-photon-64",
    ),
    ("ubuntu64Guest", "Ubuntu Linux (64-bit)", "ubuntu-64"),
    (
        "windows9_64Guest",
        "Microsoft Windows 10 (64-bit)",
        "windows9-64",
    ),
];

/// Returns the guest's id in the `.vmx` file.
pub(super) fn guest_os(id: &str) -> String {
    match GUESTS.iter().find(|(known, _, _)| *known == id) {
        Some((_, _, file)) => (*file).to_owned(),
        None => match id.strip_suffix("64Guest") {
            Some(stem) => format!("{}-64", stem.to_ascii_lowercase()),
            None => id.trim_end_matches("Guest").to_ascii_lowercase(),
        },
    }
}

/// Converts a guest's id in the `.vmx` file to that of the API.
pub(crate) fn guest_id(os: &str) -> String {
    match GUESTS.iter().find(|(_, _, file)| *file == os) {
        Some((id, _, _)) => (*id).to_owned(),
        None => match os.strip_suffix("-64") {
            Some(stem) => format!("{stem}64Guest"),
            None => format!("{os}Guest"),
        },
    }
}

/// Returns whether the API defines a guest id.
pub(crate) fn is_guest(id: &str) -> bool {
    !matches!(
        VirtualMachineGuestOsIdentifier::from(id),
        VirtualMachineGuestOsIdentifier::Other(_) | VirtualMachineGuestOsIdentifier::Unset
    )
}

/// Returns the display name of a guest operating system.
pub(crate) fn guest_words(id: &str) -> String {
    let known = GUESTS.iter().find(|(known, _, _)| *known == id);
    known.map_or(id, |(_, words, _)| words).to_owned()
}

/// Returns the configuration of a machine whose specification is empty.
pub(crate) fn new(
    tx: &mut Transaction<'_>,
    name: &str,
    vmx: &DatastorePath,
) -> VirtualMachineConfigInfo {
    let directory = format!("{}/", vmx.parent());
    let allocation = |shares| {
        Some(Box::new(ResourceAllocationInfo {
            reservation: Some(0),
            expandable_reservation: Some(false),
            limit: Some(-1),
            shares: Some(Box::new(SharesInfo {
                shares,
                level: SharesLevel::Normal,
            })),
            ..Default::default()
        }))
    };
    VirtualMachineConfigInfo {
        change_version: super::next_version(""),
        modified: Timestamp::now(),
        create_date: Some(Timestamp::now()),
        name: name.to_owned(),
        guest_id: DEFAULT_GUEST.into(),
        guest_full_name: guest_words(DEFAULT_GUEST),
        alternate_guest_name: String::new(),
        version: HardwareVersion::NEWEST.to_string(),
        uuid: tx.ids().uuid().to_string(),
        instance_uuid: Some(tx.ids().uuid().to_string()),
        location_id: Some(tx.ids().uuid().to_string()),
        annotation: Some(String::new()),
        firmware: Some("bios".into()),
        files: VirtualMachineFileInfo {
            vm_path_name: Some(vmx.to_string()),
            snapshot_directory: Some(directory.clone()),
            suspend_directory: Some(directory.clone()),
            log_directory: Some(directory),
            ..Default::default()
        },
        tools: Some(Box::new(ToolsConfigInfo {
            tools_version: Some(0),
            after_power_on: Some(true),
            after_resume: Some(true),
            before_guest_standby: Some(true),
            before_guest_shutdown: Some(true),
            tools_upgrade_policy: Some("manual".into()),
            sync_time_with_host: Some(false),
            ..Default::default()
        })),
        flags: VirtualMachineFlagInfo {
            disk_uuid_enabled: Some(false),
            enable_logging: Some(true),
            ..Default::default()
        },
        default_power_ops: VirtualMachineDefaultPowerOpInfo {
            power_off_type: Some("soft".into()),
            suspend_type: Some("soft".into()),
            reset_type: Some("soft".into()),
            default_power_off_type: Some("soft".into()),
            default_suspend_type: Some("soft".into()),
            default_reset_type: Some("soft".into()),
            standby_action: Some("checkpoint".into()),
        },
        hardware: VirtualHardware {
            num_cpu: 1,
            num_cores_per_socket: Some(1),
            memory_mb: DEFAULT_MEMORY,
            device: crate::device::board(),
            ..Default::default()
        },
        cpu_allocation: allocation(1_000),
        memory_allocation: allocation(320),
        latency_sensitivity: Some(Box::new(LatencySensitivity {
            level: LatencySensitivitySensitivityLevel::Normal,
            ..Default::default()
        })),
        memory_hot_add_enabled: Some(false),
        cpu_hot_add_enabled: Some(false),
        cpu_hot_remove_enabled: Some(false),
        // A real server always has them.
        boot_options: Some(Box::new(VirtualMachineBootOptions {
            boot_delay: Some(0),
            enter_bios_setup: Some(false),
            efi_secure_boot_enabled: Some(false),
            boot_retry_enabled: Some(false),
            boot_retry_delay: Some(10_000),
            network_boot_protocol: Some("ipv4".into()),
            ..Default::default()
        })),
        swap_placement: Some("inherit".into()),
        change_tracking_enabled: Some(false),
        ..Default::default()
    }
}

/// Applies the values of a specification, except devices and extraConfig.
pub(crate) fn apply(
    config: &mut VirtualMachineConfigInfo,
    spec: &VirtualMachineConfigSpec,
    on: bool,
) -> Result<(), Fault> {
    check(config, spec, on)?;
    if let Some(version) = spec.version.as_deref().and_then(HardwareVersion::parse) {
        config.version = version.to_string();
    }
    if let Some(id) = &spec.guest_id {
        config.guest_full_name = guest_words(id);
        config.guest_id.clone_from(id);
    }
    if let Some(name) = &spec.alternate_guest_name {
        config.alternate_guest_name.clone_from(name);
    }
    let texts = [
        (&mut config.annotation, &spec.annotation),
        (&mut config.instance_uuid, &spec.instance_uuid),
        (&mut config.location_id, &spec.location_id),
        (&mut config.firmware, &spec.firmware),
        (&mut config.swap_placement, &spec.swap_placement),
    ];
    for (to, from) in texts {
        if from.is_some() {
            to.clone_from(from);
        }
    }
    if let Some(uuid) = &spec.uuid {
        config.uuid.clone_from(uuid);
    }
    if let Some(cpus) = spec.num_cpus {
        config.hardware.num_cpu = cpus;
    }
    if let Some(cores) = spec.num_cores_per_socket {
        config.hardware.num_cores_per_socket = Some(cores);
    }
    if let Some(memory) = spec.memory_mb {
        config.hardware.memory_mb = i32::try_from(memory).unwrap_or(i32::MAX);
    }
    let flags = [
        (
            &mut config.memory_hot_add_enabled,
            spec.memory_hot_add_enabled,
        ),
        (&mut config.cpu_hot_add_enabled, spec.cpu_hot_add_enabled),
        (
            &mut config.cpu_hot_remove_enabled,
            spec.cpu_hot_remove_enabled,
        ),
        (
            &mut config.change_tracking_enabled,
            spec.change_tracking_enabled,
        ),
        (&mut config.nested_hv_enabled, spec.nested_hv_enabled),
    ];
    for (to, from) in flags {
        *to = from.or(*to);
    }
    if let Some(flags) = &spec.flags {
        merge_flags(&mut config.flags, flags);
    }
    if let Some(tools) = &spec.tools {
        config.tools = Some(tools.clone());
    }
    if let Some(power) = &spec.power_op_info {
        config.default_power_ops = (**power).clone();
    }
    if let Some(boot) = &spec.boot_options {
        config.boot_options = Some(boot.clone());
    }
    for (to, from) in [
        (&mut config.cpu_allocation, &spec.cpu_allocation),
        (&mut config.memory_allocation, &spec.memory_allocation),
    ] {
        if let (Some(to), Some(from)) = (to.as_mut(), from) {
            to.reservation = from.reservation.or(to.reservation);
            to.limit = from.limit.or(to.limit);
            to.expandable_reservation = from.expandable_reservation.or(to.expandable_reservation);
            if let Some(shares) = &from.shares {
                to.shares = Some(shares.clone());
            }
        }
    }
    if spec.managed_by.is_some() {
        config.managed_by.clone_from(&spec.managed_by);
    }
    Ok(())
}

fn merge_flags(to: &mut VirtualMachineFlagInfo, from: &VirtualMachineFlagInfo) {
    to.disk_uuid_enabled = from.disk_uuid_enabled.or(to.disk_uuid_enabled);
    to.enable_logging = from.enable_logging.or(to.enable_logging);
    to.snapshot_disabled = from.snapshot_disabled.or(to.snapshot_disabled);
    to.vvtd_enabled = from.vvtd_enabled.or(to.vvtd_enabled);
    to.vbs_enabled = from.vbs_enabled.or(to.vbs_enabled);
    if from.monitor_type.is_some() {
        to.monitor_type.clone_from(&from.monitor_type);
    }
    if from.virtual_mmu_usage.is_some() {
        to.virtual_mmu_usage.clone_from(&from.virtual_mmu_usage);
    }
}

/// Checks that the values are valid, and that they may change in the current power state.
fn check(
    config: &VirtualMachineConfigInfo,
    spec: &VirtualMachineConfigSpec,
    on: bool,
) -> Result<(), Fault> {
    if spec
        .num_cpus
        .is_some_and(|cpus| !(1..=MAX_CPUS).contains(&cpus))
    {
        return Err(fault::invalid_argument("configSpec.numCPUs"));
    }
    let sizes = i64::from(MIN_MEMORY)..=i64::from(MAX_MEMORY);
    if spec
        .memory_mb
        .is_some_and(|memory| memory % i64::from(MIN_MEMORY) != 0 || !sizes.contains(&memory))
    {
        return Err(fault::invalid_argument("configSpec.memoryMB"));
    }
    for (uuid, at) in [
        (&spec.uuid, "configSpec.uuid"),
        (&spec.instance_uuid, "configSpec.instanceUuid"),
    ] {
        if uuid
            .as_ref()
            .is_some_and(|uuid| uuid::Uuid::parse_str(uuid).is_err())
        {
            return Err(fault::invalid_argument(at));
        }
    }
    let version = spec.version.as_deref().map(HardwareVersion::parse);
    if version.is_some_and(|version| !version.is_some_and(HardwareVersion::is_supported)) {
        return Err(fault::invalid_argument("configSpec.version"));
    }
    if spec.guest_id.as_ref().is_some_and(|id| !is_guest(id)) {
        return Err(fault::invalid_argument("configSpec.guestId"));
    }
    if !on {
        return Ok(());
    }
    if spec
        .num_cpus
        .is_some_and(|cpus| cpus != config.hardware.num_cpu)
        && config.cpu_hot_add_enabled != Some(true)
    {
        return Err(Fault::new(
            "CPU hot plug is not supported for this virtual machine.",
            CpuHotPlugNotSupported::default(),
        ));
    }
    if spec
        .memory_mb
        .is_some_and(|memory| memory != i64::from(config.hardware.memory_mb))
        && config.memory_hot_add_enabled != Some(true)
    {
        return Err(Fault::new(
            "Memory hot plug is not supported for this virtual machine.",
            MemoryHotPlugNotSupported::default(),
        ));
    }
    let needs_off = spec
        .guest_id
        .as_ref()
        .is_some_and(|id| *id != config.guest_id)
        || version.is_some_and(|version| version != HardwareVersion::parse(&config.version))
        || spec.uuid.as_ref().is_some_and(|uuid| *uuid != config.uuid)
        || spec.firmware.is_some() && spec.firmware != config.firmware;
    if needs_off {
        return Err(fault::invalid_power_state(
            &VirtualMachinePowerState::PoweredOn,
            Some(VirtualMachinePowerState::PoweredOff),
        ));
    }
    Ok(())
}

/// Merges keys by the server's rules; returns the keys that changed.
pub(crate) fn merge_extra(
    extra: &mut ExtraConfig,
    changes: &[Poly<OptionValue>],
) -> Result<Vec<String>, Fault> {
    let mut pairs = Vec::with_capacity(changes.len());
    for change in changes {
        let option = change.view::<OptionValue>();
        let option = option.ok_or_else(|| fault::invalid_argument("configSpec.extraConfig"))?;
        let text = match &option.value {
            None => String::new(),
            Some(_) => option
                .text()
                .ok_or_else(|| fault::invalid_argument("configSpec.extraConfig"))?,
        };
        pairs.push((option.key.clone(), text));
    }
    let applied = extra.apply(pairs).map_err(|error| {
        tracing::debug!(%error, "extraConfig refused");
        fault::invalid_argument("configSpec.extraConfig")
    })?;
    Ok(applied.changed)
}

/// Returns the keys that the API shows.
pub(super) fn visible(extra: &ExtraConfig) -> Vec<Poly<OptionValue>> {
    extra
        .visible()
        .map(|(key, value)| Poly::new(OptionValue::new(key, value)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guests_have_a_name_in_the_file() {
        for (id, os) in [
            ("ubuntu64Guest", "ubuntu-64"),
            ("otherGuest64", "other-64"),
            ("debian11_64Guest", "debian11_-64"),
        ] {
            assert_eq!(guest_os(id), os);
            assert_eq!(guest_id(os), id);
        }
    }
}
