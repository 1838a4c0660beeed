//! Properties of a machine that are derived from its configuration and state.

use std::sync::LazyLock;

use jiff::Timestamp;
use vim25::types::{
    GuestInfo, ManagedEntityStatus, ResourceConfigSpec, VirtualDevice, VirtualDisk,
    VirtualEthernetCard, VirtualMachineCapability, VirtualMachineConfigInfo,
    VirtualMachineConfigSummary, VirtualMachineConnectionState, VirtualMachineFaultToleranceState,
    VirtualMachineGuestSummary, VirtualMachinePowerState, VirtualMachineQuickStats,
    VirtualMachineRecordReplayState, VirtualMachineRuntimeInfo, VirtualMachineStorageSummary,
    VirtualMachineSummary, VirtualMachineToolsStatus,
};
use vim25::{Any, AnyRef, Fault, Poly, Ref, mo};

use super::{Machine, layout};
use crate::device;
use crate::object::{Object, Retype};
use crate::vapp;
use crate::world::Transaction;

static GRAY: LazyLock<Any> = LazyLock::new(|| Any::new(&ManagedEntityStatus::Gray));

/// What every machine is capable of: all share one value.
static CAPABILITY: LazyLock<Any> = LazyLock::new(|| Any::new(&capability()));

/// Returns what every machine is capable of.
pub(crate) fn capability() -> VirtualMachineCapability {
    VirtualMachineCapability {
        snapshot_operations_supported: true,
        multiple_snapshots_supported: true,
        powered_off_snapshots_supported: true,
        memory_snapshots_supported: true,
        revert_to_snapshot_supported: true,
        quiesced_snapshots_supported: true,
        disable_snapshots_supported: true,
        lock_snapshots_supported: true,
        boot_options_supported: true,
        disk_shares_supported: true,
        multiple_cores_per_socket_supported: true,
        tools_sync_time_supported: true,
        ..Default::default()
    }
}

/// Sets the constant properties of a new machine, and the state of a machine that is off.
pub(crate) fn begin(
    object: &mut Object,
    host: &Ref<mo::HostSystem>,
    environment: &Ref<mo::EnvironmentBrowser>,
) {
    object.put(
        "runtime",
        &VirtualMachineRuntimeInfo {
            host: Some(host.clone()),
            connection_state: VirtualMachineConnectionState::Connected,
            power_state: VirtualMachinePowerState::PoweredOff,
            fault_tolerance_state: VirtualMachineFaultToleranceState::NotConfigured,
            record_replay_state: VirtualMachineRecordReplayState::Inactive,
            max_cpu_usage: Some(2_400),
            max_memory_usage: Some(32),
            ..Default::default()
        },
    );
    object.put_any("capability", CAPABILITY.clone());
    object.put("environmentBrowser", environment);
    object.put_any("guestHeartbeatStatus", GRAY.clone());
    object.put("guest", &guest(false, "otherGuest", false));
}

/// Returns the value of `guest` for a power state and a state of the tools.
pub(crate) fn guest(on: bool, id: &str, tools: bool) -> GuestInfo {
    let mut info = GuestInfo {
        tools_version: Some("0".into()),
        guest_id: Some(id.to_owned()),
        guest_state: if on { "running" } else { "notRunning" }.into(),
        guest_operations_ready: Some(false),
        ..Default::default()
    };
    set_tools(&mut info, tools);
    info
}

/// Sets the state of the guest's tools.
pub(crate) fn set_tools(info: &mut GuestInfo, tools: bool) {
    let (status, running) = if tools {
        (VirtualMachineToolsStatus::ToolsOk, "guestToolsRunning")
    } else {
        (
            VirtualMachineToolsStatus::ToolsNotInstalled,
            "guestToolsNotRunning",
        )
    };
    let version = if tools {
        "guestToolsUnmanaged"
    } else {
        "guestToolsNotInstalled"
    };
    info.tools_status = Some(status);
    info.tools_version_status = Some(version.into());
    info.tools_version_status2 = Some(version.into());
    info.tools_running_status = Some(running.into());
}

/// Updates all derived properties.
pub(crate) fn refresh(tx: &mut Transaction<'_>, vm: &Ref<mo::VirtualMachine>) -> Result<(), Fault> {
    let object = tx.object(vm)?.clone();
    let config: VirtualMachineConfigInfo = object.read("config")?;
    let mut runtime: VirtualMachineRuntimeInfo = object.read("runtime")?;
    runtime.max_memory_usage = Some(config.hardware.memory_mb);
    let machine = Machine::of(&object)?.clone();
    runtime.consolidation_needed = machine.snapshots.unmerged;
    let layout = layout::of(tx, &machine, &config);
    let committed: i64 = layout.file.iter().map(|file| file.size).sum();
    let guest: GuestInfo = object.read("guest")?;
    let summary = VirtualMachineSummary {
        vm: Some(vm.clone()),
        runtime: runtime.clone(),
        guest: Some(Box::new(VirtualMachineGuestSummary {
            guest_id: Some(config.guest_id.clone()),
            guest_full_name: Some(config.guest_full_name.clone()),
            tools_status: guest.tools_status,
            tools_version_status: guest.tools_version_status,
            tools_version_status2: guest.tools_version_status2,
            tools_running_status: guest.tools_running_status,
            host_name: guest.host_name,
            ip_address: guest.ip_address,
            ..Default::default()
        })),
        config: summary(&config),
        storage: Some(Box::new(VirtualMachineStorageSummary {
            committed,
            uncommitted: 0,
            unshared: committed,
            timestamp: Timestamp::now(),
        })),
        quick_stats: VirtualMachineQuickStats {
            guest_heartbeat_status: ManagedEntityStatus::Gray,
            overall_cpu_usage: Some(0),
            guest_memory_usage: Some(0),
            host_memory_usage: Some(0),
            uptime_seconds: Some(0),
            ..Default::default()
        },
        overall_status: ManagedEntityStatus::Green,
        ..Default::default()
    };
    let resources = ResourceConfigSpec {
        entity: Some(vm.retype()),
        cpu_allocation: config
            .cpu_allocation
            .as_deref()
            .cloned()
            .unwrap_or_default(),
        memory_allocation: config
            .memory_allocation
            .as_deref()
            .cloned()
            .unwrap_or_default(),
        ..Default::default()
    };
    let networks: Vec<Ref<mo::Network>> = config
        .hardware
        .device
        .iter()
        .filter_map(|device| {
            device::reference(device, "backing.network").or_else(|| {
                let key = device::text(device, "backing.port.portgroupKey")?;
                Some(AnyRef::from_wire("DistributedVirtualPortgroup", &key))
            })
        })
        .map(|network| network.retype())
        .fold(Vec::new(), |mut all, network| {
            if !all.contains(&network) {
                all.push(network);
            }
            all
        });
    let store = &tx.shared().store;
    let site = machine.vmx.site();
    let datastores = config.datastore_url.iter();
    let datastores: Vec<Ref<mo::Datastore>> = datastores
        .filter_map(|pair| Some(store.named(site, &pair.name)?.reference()))
        .collect();
    let object = tx.edit(vm)?;
    object.put("runtime", &runtime);
    object.put("summary", &summary);
    object.put("resourceConfig", &resources);
    object.put("network", &networks);
    object.put("datastore", &datastores);
    object.put("layoutEx", &layout);
    match vapp::of(object) {
        Some(app) => vapp::refresh(tx, &app),
        None => Ok(()),
    }
}

fn summary(config: &VirtualMachineConfigInfo) -> VirtualMachineConfigSummary {
    let count = |is_it: fn(&Poly<VirtualDevice>) -> bool| {
        let devices = config.hardware.device.iter();
        let number = devices.filter(|device| is_it(device)).count();
        Some(i32::try_from(number).unwrap_or(i32::MAX))
    };
    VirtualMachineConfigSummary {
        name: config.name.clone(),
        template: config.template,
        vm_path_name: config.files.vm_path_name.clone().unwrap_or_default(),
        memory_size_mb: Some(config.hardware.memory_mb),
        num_cpu: Some(config.hardware.num_cpu),
        num_ethernet_cards: count(Poly::is::<VirtualEthernetCard>),
        num_virtual_disks: count(Poly::is::<VirtualDisk>),
        uuid: Some(config.uuid.clone()),
        instance_uuid: config.instance_uuid.clone(),
        guest_id: Some(config.guest_id.clone()),
        guest_full_name: Some(config.guest_full_name.clone()),
        annotation: config.annotation.clone(),
        managed_by: config.managed_by.clone(),
        hw_version: Some(config.version.clone()),
        ..Default::default()
    }
}
