//! The `HostConfig` of `docker inspect`, with a value for every option: templates fail on missing
//! fields.

use serde_json::{Value, json};

use crate::view::View;

/// Returns a container's options: the supported ones with their values, the others with the
/// engine's defaults.
pub(super) fn shown(container: &View) -> Value {
    let (info, extras) = (&container.info, &container.extras);
    let mut shown = defaults();
    let amount = |amount: Option<u64>| match amount {
        Some(amount) => i64::try_from(amount).unwrap_or(i64::MAX),
        None => -1,
    };
    let limits = info.command.limits.iter().map(|limit| {
        json!({
            "Name": limit.kind.to_string(),
            "Soft": amount(limit.soft),
            "Hard": amount(limit.hard),
        })
    });
    let carried = json!({
        "AutoRemove": extras.auto_remove,
        "NetworkMode": container.network(),
        "PortBindings": extras.port_bindings,
        "Memory": info.resources.memory_mib << 20,
        "Ulimits": limits.collect::<Vec<_>>(),
        "NanoCpus": u64::from(info.resources.cpus) * 1_000_000_000,
    });
    if let (Some(shown), Value::Object(carried)) = (shown.as_object_mut(), carried) {
        shown.extend(carried);
    }
    shown
}

/// Returns the engine's default values of all options.
fn defaults() -> Value {
    json!({
        "RestartPolicy": { "Name": "no", "MaximumRetryCount": 0 },
        "LogConfig": { "Type": "json-file", "Config": {} },
        "Binds": null, "ContainerIDFile": "", "VolumeDriver": "", "VolumesFrom": null,
        "CapAdd": null, "CapDrop": null, "CgroupnsMode": "private", "Dns": [], "DnsOptions": [],
        "DnsSearch": [], "ExtraHosts": null, "GroupAdd": null, "IpcMode": "private", "Cgroup": "",
        "Links": null, "OomScoreAdj": 0, "PidMode": "", "Privileged": false,
        "PublishAllPorts": false, "ReadonlyRootfs": false, "SecurityOpt": null, "UTSMode": "",
        "UsernsMode": "", "ShmSize": 0, "Runtime": "machine", "ConsoleSize": [0, 0],
        "Isolation": "", "CpuShares": 0, "CgroupParent": "", "BlkioWeight": 0,
        "BlkioWeightDevice": [], "BlkioDeviceReadBps": [], "BlkioDeviceWriteBps": [],
        "BlkioDeviceReadIOps": [], "BlkioDeviceWriteIOps": [], "CpuPeriod": 0, "CpuQuota": 0,
        "CpuRealtimePeriod": 0, "CpuRealtimeRuntime": 0, "CpusetCpus": "", "CpusetMems": "",
        "Devices": [], "DeviceCgroupRules": null, "DeviceRequests": null, "KernelMemory": 0,
        "KernelMemoryTCP": 0, "MemoryReservation": 0, "MemorySwap": 0, "MemorySwappiness": null,
        "OomKillDisable": false, "PidsLimit": null, "Ulimits": [], "CpuCount": 0, "CpuPercent": 0,
        "IOMaximumIOps": 0, "IOMaximumBandwidth": 0, "MaskedPaths": [], "ReadonlyPaths": [],
    })
}
