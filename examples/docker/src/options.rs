//! The options of `docker create`: which are supported, ignored with a warning, or refused.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::error::{ApiError, Result};

/// The body of a create request. The options in `host_config` are checked by [`check`].
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct CreateBody {
    pub(crate) image: String,
    pub(crate) hostname: Option<String>,
    pub(crate) user: Option<String>,
    pub(crate) tty: bool,
    pub(crate) open_stdin: bool,
    pub(crate) stdin_once: bool,
    pub(crate) attach_stdin: bool,
    pub(crate) attach_stdout: bool,
    pub(crate) attach_stderr: bool,
    pub(crate) env: Option<Vec<String>>,
    pub(crate) cmd: Option<Words>,
    pub(crate) entrypoint: Option<Words>,
    pub(crate) working_dir: Option<String>,
    pub(crate) labels: Option<BTreeMap<String, String>>,
    pub(crate) stop_signal: Option<String>,
    pub(crate) stop_timeout: Option<u64>,
    pub(crate) exposed_ports: Option<BTreeMap<String, Value>>,
    pub(crate) host_config: Option<Map<String, Value>>,
    pub(crate) networking_config: Option<NetworkingConfig>,
    pub(crate) domainname: Option<String>,
    pub(crate) volumes: Option<BTreeMap<String, Value>>,
    pub(crate) healthcheck: Option<Value>,
}

/// A command: a list of words, or (from old clients) one word.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Words {
    List(Vec<String>),
    One(String),
}

impl Words {
    pub(crate) fn into_list(self) -> Vec<String> {
        match self {
            Self::List(words) => words,
            Self::One(word) => vec![word],
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct NetworkingConfig {
    pub(crate) endpoints_config: Option<BTreeMap<String, Option<EndpointConfig>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct EndpointConfig {
    pub(crate) aliases: Option<Vec<String>>,
    pub(crate) links: Option<Vec<String>>,
    pub(crate) mac_address: Option<String>,
    #[serde(rename = "IPAMConfig")]
    pub(crate) ipam_config: Option<IpamConfig>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct IpamConfig {
    #[serde(rename = "IPv4Address")]
    pub(crate) ipv4_address: Option<String>,
}

/// The supported options of `HostConfig`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct HostConfig {
    pub(crate) auto_remove: bool,
    pub(crate) network_mode: Option<String>,
    pub(crate) port_bindings: Option<BTreeMap<String, Option<Vec<PortBinding>>>>,
    pub(crate) publish_all_ports: bool,
    pub(crate) memory: i64,
    pub(crate) nano_cpus: i64,
    pub(crate) cpu_count: i64,
    pub(crate) cpu_quota: i64,
    pub(crate) cpu_period: i64,
    pub(crate) links: Option<Vec<String>>,
    pub(crate) console_size: Option<(u16, u16)>,
    pub(crate) ulimits: Option<Vec<Ulimit>>,
}

/// A limit of a process; -1 is unlimited.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct Ulimit {
    pub(crate) name: String,
    pub(crate) soft: i64,
    pub(crate) hard: i64,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize, serde::Serialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct PortBinding {
    pub(crate) host_ip: String,
    pub(crate) host_port: String,
}

/// How an option is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Treatment {
    /// The option is supported.
    Carried,
    /// The option has no effect, and the user gets a warning with the reason.
    Warning(&'static str),
    /// The option is refused: the container would not work as requested without it.
    Refused,
}
use Treatment::{Carried, Refused, Warning};

const OWN_MACHINE: &str = "a container has a machine and a kernel of its own";
const NO_CGROUPS: &str = "resources are those of the container's machine";

/// Every option of `HostConfig`, its option on the command line, and its treatment. Other options
/// are refused by their own names.
const OPTIONS: &[(&str, &str, Treatment)] = &[
    ("AutoRemove", "--rm", Carried),
    ("NetworkMode", "--network", Carried),
    ("PortBindings", "--publish", Carried),
    ("PublishAllPorts", "--publish-all", Carried),
    ("Memory", "--memory", Carried),
    ("NanoCpus", "--cpus", Carried),
    ("CpuCount", "--cpu-count", Carried),
    ("CpuQuota", "--cpu-quota", Carried),
    ("CpuPeriod", "--cpu-period", Carried),
    ("Ulimits", "--ulimit", Carried),
    ("Links", "--link", Carried),
    ("ConsoleSize", "the terminal's size", Carried),
    ("Binds", "--volume", Refused),
    ("Mounts", "--mount", Refused),
    ("VolumesFrom", "--volumes-from", Refused),
    ("VolumeDriver", "--volume-driver", Refused),
    ("Tmpfs", "--tmpfs", Refused),
    ("RestartPolicy", "--restart", Refused),
    ("ReadonlyRootfs", "--read-only", Refused),
    ("CapDrop", "--cap-drop", Refused),
    ("SecurityOpt", "--security-opt", Refused),
    ("Devices", "--device", Refused),
    ("DeviceCgroupRules", "--device-cgroup-rule", Refused),
    ("DeviceRequests", "--gpus", Refused),
    ("Dns", "--dns", Refused),
    ("DnsOptions", "--dns-option", Refused),
    ("DnsSearch", "--dns-search", Refused),
    ("ExtraHosts", "--add-host", Refused),
    ("GroupAdd", "--group-add", Refused),
    ("Sysctls", "--sysctl", Refused),
    ("StorageOpt", "--storage-opt", Refused),
    ("PidsLimit", "--pids-limit", Refused),
    ("PidMode", "--pid", Refused),
    ("IpcMode", "--ipc", Refused),
    ("UTSMode", "--uts", Refused),
    ("LogConfig", "--log-driver", Refused),
    ("Runtime", "--runtime", Refused),
    ("Isolation", "--isolation", Refused),
    ("CapAdd", "--cap-add", Warning(OWN_MACHINE)),
    ("Privileged", "--privileged", Warning(OWN_MACHINE)),
    ("UsernsMode", "--userns", Warning(OWN_MACHINE)),
    ("CgroupnsMode", "--cgroupns", Warning(OWN_MACHINE)),
    (
        "Init",
        "--init",
        Warning("a container's machine has an init of its own"),
    ),
    (
        "Annotations",
        "--annotation",
        Warning("there is no runtime that reads them"),
    ),
    ("ShmSize", "--shm-size", Warning(OWN_MACHINE)),
    ("OomScoreAdj", "--oom-score-adj", Warning(NO_CGROUPS)),
    ("OomKillDisable", "--oom-kill-disable", Warning(NO_CGROUPS)),
    ("Cgroup", "--cgroup", Warning(NO_CGROUPS)),
    ("CgroupParent", "--cgroup-parent", Warning(NO_CGROUPS)),
    ("CpuShares", "--cpu-shares", Warning(NO_CGROUPS)),
    ("CpusetCpus", "--cpuset-cpus", Warning(NO_CGROUPS)),
    ("CpusetMems", "--cpuset-mems", Warning(NO_CGROUPS)),
    ("CpuRealtimePeriod", "--cpu-rt-period", Warning(NO_CGROUPS)),
    (
        "CpuRealtimeRuntime",
        "--cpu-rt-runtime",
        Warning(NO_CGROUPS),
    ),
    ("CpuPercent", "--cpu-percent", Warning(NO_CGROUPS)),
    (
        "MemoryReservation",
        "--memory-reservation",
        Warning(NO_CGROUPS),
    ),
    ("MemorySwap", "--memory-swap", Warning(NO_CGROUPS)),
    (
        "MemorySwappiness",
        "--memory-swappiness",
        Warning(NO_CGROUPS),
    ),
    ("KernelMemory", "--kernel-memory", Warning(NO_CGROUPS)),
    (
        "KernelMemoryTCP",
        "--kernel-memory-tcp",
        Warning(NO_CGROUPS),
    ),
    ("BlkioWeight", "--blkio-weight", Warning(NO_CGROUPS)),
    (
        "BlkioWeightDevice",
        "--blkio-weight-device",
        Warning(NO_CGROUPS),
    ),
    (
        "BlkioDeviceReadBps",
        "--device-read-bps",
        Warning(NO_CGROUPS),
    ),
    (
        "BlkioDeviceWriteBps",
        "--device-write-bps",
        Warning(NO_CGROUPS),
    ),
    (
        "BlkioDeviceReadIOps",
        "--device-read-iops",
        Warning(NO_CGROUPS),
    ),
    (
        "BlkioDeviceWriteIOps",
        "--device-write-iops",
        Warning(NO_CGROUPS),
    ),
    ("IOMaximumIOps", "--io-maxiops", Warning(NO_CGROUPS)),
    (
        "IOMaximumBandwidth",
        "--io-maxbandwidth",
        Warning(NO_CGROUPS),
    ),
    ("ContainerIDFile", "--cidfile", Carried),
    ("MaskedPaths", "MaskedPaths", Warning(OWN_MACHINE)),
    ("ReadonlyPaths", "ReadonlyPaths", Warning(OWN_MACHINE)),
];

/// Checks the options; returns the supported ones, and the warnings about the ignored ones.
pub(crate) fn check(body: &mut CreateBody) -> Result<(HostConfig, Vec<String>)> {
    let options = body.host_config.take().unwrap_or_default();
    let mut warnings = Vec::new();
    for (key, value) in &options {
        if is_default(key, value) {
            continue;
        }
        let known = OPTIONS.iter().find(|(name, ..)| name == key);
        let (option, treatment) = known.map_or((key.as_str(), Refused), |known| (known.1, known.2));
        match treatment {
            Carried => {}
            Warning(reason) => warnings.push(format!("{option} has no effect: {reason}")),
            Refused => return Err(ApiError::not_supported(&format!("The option {option}"))),
        }
    }
    let given = |value: &Option<Value>| value.as_ref().is_some_and(|value| !is_empty(value));
    if given(&body.healthcheck) {
        return Err(ApiError::not_supported("The option --health-cmd"));
    }
    if body
        .volumes
        .as_ref()
        .is_some_and(|volumes| !volumes.is_empty())
    {
        return Err(ApiError::not_supported("The option --volume"));
    }
    if body
        .domainname
        .as_ref()
        .is_some_and(|name| !name.is_empty())
    {
        return Err(ApiError::not_supported("The option --domainname"));
    }
    let carried = serde_json::from_value(Value::Object(options))
        .map_err(|error| ApiError::bad_request(format!("invalid HostConfig: {error}")))?;
    Ok((carried, warnings))
}

/// Returns whether the value is the one that clients send when the user did not give the option.
fn is_default(key: &str, value: &Value) -> bool {
    match key {
        "RestartPolicy" => matches!(value["Name"].as_str(), None | Some("" | "no")),
        // Only the engine's default log driver exists.
        "LogConfig" => {
            matches!(value["Type"].as_str(), None | Some("" | "json-file"))
                && is_empty(&value["Config"])
        }
        "IpcMode" => is_empty(value) || matches!(value.as_str(), Some("private" | "shareable")),
        "CgroupnsMode" => is_empty(value) || value == "private",
        "Runtime" => is_empty(value) || value == "runc",
        "Isolation" => is_empty(value) || value == "default",
        "MemorySwappiness" => is_empty(value) || value == -1,
        "PidsLimit" => is_empty(value) || value == -1,
        _ => is_empty(value),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(given) => !given,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

    use serde_json::json;

    use super::*;

    fn checked(host_config: Value) -> Result<Vec<String>> {
        let mut body: CreateBody =
            serde_json::from_value(json!({ "HostConfig": host_config })).unwrap();
        check(&mut body).map(|(_, warnings)| warnings)
    }

    #[test]
    fn what_the_command_sends_by_default_is_accepted_silently() {
        let sent = json!({
            "Binds": null, "ContainerIDFile": "", "LogConfig": {"Type": "", "Config": {}},
            "NetworkMode": "bridge", "PortBindings": {},
            "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0}, "AutoRemove": true,
            "ConsoleSize": [24, 80], "CapAdd": null, "Dns": [], "OomScoreAdj": 0,
            "MemorySwappiness": -1, "OomKillDisable": false, "PidsLimit": 0, "Devices": [],
            "MaskedPaths": null,
        });
        assert_eq!(checked(sent).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn each_refused_option_is_named_as_the_user_wrote_it() {
        for (key, option, treatment) in OPTIONS {
            let value = match *key {
                "RestartPolicy" => json!({ "Name": "always" }),
                "LogConfig" => json!({ "Type": "syslog" }),
                _ => json!("something"),
            };
            match treatment {
                Refused => {
                    let error = checked(json!({ *key: value })).unwrap_err();
                    assert_eq!(error.status, 501);
                    assert!(error.message.contains(option), "{}", error.message);
                }
                Warning(_) => {
                    let warnings = checked(json!({ *key: value })).unwrap();
                    assert!(warnings[0].starts_with(option), "{warnings:?}");
                }
                Carried => {}
            }
        }
        let error = checked(json!({ "Invented": 1 })).unwrap_err();
        assert!(error.message.contains("Invented"));
    }
}
