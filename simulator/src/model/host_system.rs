//! `HostSystem`: the hosts.

use jiff::Timestamp;
use vim25::types::{
    HostCapability, HostConfigInfo, HostConfigSummary, HostCpuInfo, HostHardwareInfo,
    HostHardwareSummary, HostLicensableResourceInfo, HostListSummary, HostListSummaryQuickStats,
    HostNetworkInfo, HostRuntimeInfo, HostSystemConnectionState, HostSystemInfo,
    HostSystemPowerState, ManagedEntityStatus,
};
use vim25::{AnyRef, mo};

use super::{entity, host_managers, service_instance};
use crate::layout::HostLayout;
use crate::world::Transaction;

pub(super) const NAME: &str = "localhost.localdomain";
pub(super) const CPU_MHZ: i32 = 2_400;
pub(super) const CORES: i16 = 8;
pub(super) const MEMORY: i64 = 64 << 30;
const CPU: &str = "Simulated CPU @ 2.40GHz";

pub(super) fn build(
    tx: &mut Transaction<'_>,
    layout: &HostLayout,
    (name, compute): (&str, &AnyRef),
    thumbprint: &str,
    uuid: Option<&str>,
) {
    let uuid = match uuid {
        Some(uuid) => uuid.to_owned(),
        None => tx.ids().uuid().to_string(),
    };
    let mut host =
        entity::new::<mo::HostSystem>(layout.host().value(), name, Some(compute.clone()));
    let runtime = HostRuntimeInfo {
        connection_state: HostSystemConnectionState::Connected,
        power_state: HostSystemPowerState::PoweredOn,
        in_maintenance_mode: false,
        boot_time: Some(Timestamp::now()),
        ..Default::default()
    };
    host.put("runtime", &runtime);
    let machines = tx.shared().settings.machines_per_host;
    host.put(
        "capability",
        &HostCapability {
            max_registered_vms: machines.and_then(|limit| limit.try_into().ok()),
            ..Default::default()
        },
    );
    host.put(
        "summary",
        &HostListSummary {
            host: Some(layout.host()),
            hardware: Some(Box::new(HostHardwareSummary {
                vendor: "Simulated".into(),
                model: "Host".into(),
                uuid: uuid.clone(),
                memory_size: MEMORY,
                cpu_model: CPU.into(),
                cpu_mhz: CPU_MHZ,
                num_cpu_pkgs: 1,
                num_cpu_cores: CORES,
                num_cpu_threads: CORES,
                num_nics: 1,
                num_hbas: 1,
                ..Default::default()
            })),
            runtime: Some(Box::new(runtime)),
            config: HostConfigSummary {
                name: name.into(),
                port: 443,
                ssl_thumbprint: Some(thumbprint.to_owned()),
                product: Some(Box::new(service_instance::host_about(tx))),
                ..Default::default()
            },
            quick_stats: HostListSummaryQuickStats {
                overall_cpu_usage: Some(100),
                overall_memory_usage: Some(2_048),
                uptime: Some(1),
                ..Default::default()
            },
            overall_status: ManagedEntityStatus::Green,
            ..Default::default()
        },
    );
    host.put(
        "hardware",
        &HostHardwareInfo {
            system_info: HostSystemInfo {
                vendor: "Simulated".into(),
                model: "Host".into(),
                uuid,
                ..Default::default()
            },
            cpu_info: HostCpuInfo {
                num_cpu_packages: 1,
                num_cpu_cores: CORES,
                num_cpu_threads: CORES,
                hz: i64::from(CPU_MHZ) * 1_000_000,
            },
            memory_size: MEMORY,
            ..Default::default()
        },
    );
    host.put("licensableResource", &HostLicensableResourceInfo::default());
    host.put("configManager", &host_managers::references(layout));
    host.put(
        "config",
        &HostConfigInfo {
            host: layout.host(),
            product: service_instance::host_about(tx),
            network: Some(Box::new(HostNetworkInfo::default())),
            ..Default::default()
        },
    );
    host.put("datastoreBrowser", &layout.browser());
    for list in ["vm", "datastore", "network"] {
        host.put(list, &Vec::<AnyRef>::new());
    }
    tx.insert(host);
    host_managers::build(tx, layout);
}
