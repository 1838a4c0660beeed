//! Listing and inspecting containers: `docker ps` and `docker inspect`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use portlayer::network::PortMapping;
use portlayer::{ContainerId, ExitStatus};
use regex::bytes::{Regex, RegexBuilder};
use serde::Serialize;
use serde_json::{Value, json};

use crate::FrontEnd;
use crate::error::{ApiError, Result};
use crate::ports;
use crate::reply::{self, Reply};
use crate::request::{Filters, Query};
use crate::routes::host_config;
use crate::view::{Phase, View};

const NEVER: &str = "0001-01-01T00:00:00Z";
const FILTERS: [&str; 14] = [
    "id", "name", "label", "status", "exited", "ancestor", "before", "since", "network", "expose",
    "publish", "volume", "is-task", "health",
];
const STATES: [&str; 7] = [
    "created",
    "running",
    "paused",
    "restarting",
    "removing",
    "exited",
    "dead",
];

pub(crate) async fn list(front_end: &FrontEnd, query: &Query) -> Result<Reply> {
    let filters = query.filters()?;
    filters.only(&FILTERS)?;
    if !filters.values("volume").is_empty() {
        return Err(ApiError::not_supported("The filter volume"));
    }
    check_values(&filters)?;
    let patterns = Patterns::new(&filters)?;
    // Clients send 0 or -1 for "no limit".
    let limit = query.number::<i64>("limit")?;
    let limit = limit.and_then(|limit| usize::try_from(limit).ok());
    let limit = limit.filter(|limit| *limit > 0);
    // With a filter by state, or a limit, stopped containers are included.
    let all = query.flag("all")
        || limit.is_some()
        || !filters.values("status").is_empty()
        || !filters.values("exited").is_empty();
    let containers = front_end.containers().await?;
    let bounds = Bounds::new(&filters, &containers)?;
    let ancestors = ancestors(front_end, &filters).await?;
    let open = front_end.ports();
    let is_listed = |container: &&View| {
        (all || container.is_running())
            && fits(container, &filters)
            && patterns.fit(container)
            && fits_ports(container, &open.of(&container.id), &filters)
            && bounds.fit(container)
            && ancestors
                .as_ref()
                .is_none_or(|images| images.contains(&container.image_id()))
    };
    let mut listed: Vec<&View> = containers.iter().filter(is_listed).collect();
    listed.sort_by_key(|container| std::cmp::Reverse(container.info.created));
    listed.truncate(limit.unwrap_or(usize::MAX));
    let summaries = listed
        .into_iter()
        .map(|container| summary(container, &open.of(&container.id)));
    Ok(reply::json(&summaries.collect::<Vec<_>>()))
}

/// Returns whether a container's ports match the `publish` and `expose` filters. As in the engine,
/// one matching port is enough.
fn fits_ports(container: &View, open: &[PortMapping], filters: &Filters) -> bool {
    let (published, exposed) = (filters.values("publish"), filters.values("expose"));
    if published.is_empty() && exposed.is_empty() {
        return true;
    }
    let has = |port: &Value, name: &str, wanted: &[String]| {
        let number = port[name].as_u64().and_then(|port| port.try_into().ok());
        let protocol = port["Type"].as_str().unwrap_or_default();
        number.is_some_and(|n| wanted.iter().any(|wanted| ports::fits(wanted, n, protocol)))
    };
    ports::summary(container, open)
        .iter()
        .any(|port| has(port, "PublicPort", published) || has(port, "PrivatePort", exposed))
}

/// Refuses invalid values of filters, as the engine does.
fn check_values(filters: &Filters) -> Result<()> {
    let refused = |name: &str, value: &str| {
        Err(ApiError::bad_request(format!(
            "invalid filter '{name}={value}'"
        )))
    };
    for status in filters.values("status") {
        if !STATES.contains(&status.as_str()) {
            return refused("status", status);
        }
    }
    for code in filters.values("exited") {
        if code.parse::<i32>().is_err() {
            return refused("exited", code);
        }
    }
    Ok(())
}

/// The `name` and `id` filters: regular expressions.
struct Patterns {
    names: Vec<Regex>,
    ids: Vec<Regex>,
}

impl Patterns {
    fn new(filters: &Filters) -> Result<Self> {
        /// The largest size of a compiled expression in bytes.
        const SIZE_MAX: usize = 1 << 20;
        let compiled = |name: &str| {
            let patterns = filters.values(name).iter().map(|text| {
                let built = RegexBuilder::new(text)
                    .unicode(false)
                    .size_limit(SIZE_MAX)
                    .build();
                built.map_err(|error| {
                    ApiError::bad_request(format!("invalid filter '{name}={text}': {error}"))
                })
            });
            patterns.collect::<Result<Vec<_>>>()
        };
        Ok(Self {
            names: compiled("name")?,
            ids: compiled("id")?,
        })
    }

    /// Returns whether a container's name, with or without a slash, matches one of the expressions
    /// for names, and its id one of those for ids.
    fn fit(&self, container: &View) -> bool {
        let names_fit = || {
            let name = format!("/{}", container.info.name);
            self.names.iter().any(|pattern| {
                pattern.is_match(name.as_bytes()) || pattern.is_match(&name.as_bytes()[1..])
            })
        };
        let ids_fit = || {
            let id = container.id.to_string();
            self.ids
                .iter()
                .any(|pattern| pattern.is_match(id.as_bytes()))
        };
        (self.names.is_empty() || names_fit()) && (self.ids.is_empty() || ids_fit())
    }
}

fn fits(container: &View, filters: &Filters) -> bool {
    // There are no swarm tasks, and no health checks.
    filters.fits("is-task", |wanted| matches!(wanted, "false" | "0"))
        && filters.fits("health", |wanted| wanted == "none")
        && filters.fits("status", |wanted| container.phase().name() == wanted)
        && filters.fits("exited", |wanted| {
            container.phase() == Phase::Exited && wanted.parse() == Ok(container.exit_code())
        })
        && filters.fits("network", |wanted| {
            container.scopes().any(|scope| {
                scope == wanted
                    || (wanted.len() >= 4 && super::networks::id(scope).starts_with(wanted))
            })
        })
        && filters.fits_labels(&container.info.labels)
}

/// The `before` and `since` filters.
struct Bounds {
    before: Option<Timestamp>,
    since: Option<Timestamp>,
}

impl Bounds {
    fn new(filters: &Filters, containers: &[View]) -> Result<Self> {
        let created = |name: &str| match filters.values(name).first() {
            None => Ok(None),
            Some(wanted) => containers
                .iter()
                .find(|c| c.info.name == *wanted || c.id.to_string().starts_with(wanted))
                .map(|c| c.info.created)
                .ok_or_else(|| ApiError::no_such_container(wanted)),
        };
        Ok(Self {
            before: created("before")?,
            since: created("since")?,
        })
    }

    fn fit(&self, container: &View) -> bool {
        let created = container.info.created;
        self.before.is_none_or(|before| created < Some(before))
            && self.since.is_none_or(|since| created > Some(since))
    }
}

/// Returns the ids of the images in the `ancestor` filter.
async fn ancestors(front_end: &FrontEnd, filters: &Filters) -> Result<Option<Vec<String>>> {
    let wanted = filters.values("ancestor");
    if wanted.is_empty() {
        return Ok(None);
    }
    let mut images = Vec::new();
    for name in wanted {
        match front_end.image(name).await {
            Ok(image) => images.push(image.id.to_string()),
            Err(error) if error.status == 404 => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Some(images))
}

/// A container in the list. It borrows from the container and is written without an intermediate
/// JSON value, since a list may have thousands.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Summary<'c> {
    id: &'c ContainerId,
    names: [String; 1],
    image: &'c str,
    #[serde(rename = "ImageID")]
    image_id: String,
    command: String,
    created: i64,
    ports: Vec<Value>,
    labels: &'c BTreeMap<String, String>,
    state: &'static str,
    status: String,
    host_config: HostConfig<'c>,
    network_settings: NetworkSettings<'c>,
    mounts: [Value; 0],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct HostConfig<'c> {
    network_mode: &'c str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct NetworkSettings<'c> {
    networks: BTreeMap<&'c str, Endpoint<'c>>,
}

/// A container's endpoint in a network.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Endpoint<'c> {
    #[serde(rename = "IPAMConfig")]
    ipam_config: (),
    links: (),
    aliases: &'c [String],
    mac_address: String,
    #[serde(rename = "NetworkID")]
    network_id: String,
    #[serde(rename = "EndpointID")]
    endpoint_id: &'static str,
    gateway: String,
    #[serde(rename = "IPAddress")]
    ip_address: String,
    #[serde(rename = "IPPrefixLen")]
    ip_prefix_len: u8,
    #[serde(rename = "IPv6Gateway")]
    ipv6_gateway: &'static str,
    #[serde(rename = "GlobalIPv6Address")]
    global_ipv6_address: &'static str,
    #[serde(rename = "GlobalIPv6PrefixLen")]
    global_ipv6_prefix_len: u8,
    driver_opts: (),
    #[serde(rename = "DNSNames")]
    dns_names: (),
}

fn summary<'c>(container: &'c View, open: &[PortMapping]) -> Summary<'c> {
    Summary {
        id: &container.id,
        names: [format!("/{}", container.info.name)],
        image: container.image(),
        image_id: container.image_id(),
        command: container.command_line(),
        created: container.info.created.map_or(0, Timestamp::as_second),
        ports: ports::summary(container, open),
        labels: &container.info.labels,
        state: container.phase().name(),
        status: container.status(),
        host_config: HostConfig {
            network_mode: container.network(),
        },
        network_settings: NetworkSettings {
            networks: networks(container),
        },
        mounts: [],
    }
}

fn networks(container: &View) -> BTreeMap<&str, Endpoint<'_>> {
    let endpoints = container.info.endpoints.iter().map(|endpoint| {
        let address = endpoint.address;
        let text = |value: Option<String>| value.unwrap_or_default();
        let shown = Endpoint {
            ipam_config: (),
            links: (),
            aliases: &endpoint.spec.aliases,
            mac_address: text(endpoint.mac.map(|mac| mac.to_string())),
            network_id: super::networks::id(&endpoint.spec.scope),
            endpoint_id: "",
            gateway: text(endpoint.gateway.map(|gateway| gateway.to_string())),
            ip_address: text(address.map(|address| address.addr().to_string())),
            ip_prefix_len: address.map_or(0, |address| address.prefix_len()),
            ipv6_gateway: "",
            global_ipv6_address: "",
            global_ipv6_prefix_len: 0,
            driver_opts: (),
            dns_names: (),
        };
        (endpoint.spec.scope.as_str(), shown)
    });
    endpoints.collect()
}

pub(crate) async fn inspect(front_end: &FrontEnd, name: &str, query: &Query) -> Result<Reply> {
    let container = front_end.container(name).await?;
    let info = &container.info;
    let extras = &container.extras;
    let phase = container.phase();
    let time = |time: Option<Timestamp>| time.map_or_else(|| NEVER.to_owned(), |t| t.to_string());
    let variables: Vec<String> = info
        .command
        .env
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let words: Vec<&String> = std::iter::once(&info.command.path)
        .chain(&info.command.args)
        .collect();
    let (entrypoint, cmd) = words.split_at(extras.entrypoint.min(words.len()));
    let exposed: serde_json::Map<String, Value> = extras
        .exposed_ports
        .iter()
        .map(|port| (port.clone(), json!({})))
        .collect();
    let error = match (&info.failure, &info.state) {
        (Some(failure), _) => crate::launch::message(&info.command.path, failure),
        (None, portlayer::State::Broken { reason }) => reason.clone(),
        _ => String::new(),
    };
    let networks = networks(&container);
    let default = networks.get("bridge");
    let of_default = |field: fn(&Endpoint<'_>) -> String| default.map(field).unwrap_or_default();
    let mut json = json!({
        "Id": container.id,
        "Created": time(info.created),
        "Path": info.command.path,
        "Args": info.command.args,
        "State": {
            "Status": phase.name(),
            "Running": container.is_running(),
            "Paused": phase == Phase::Paused,
            "Restarting": false,
            "OOMKilled": info.state.exit() == Some(ExitStatus::OutOfMemory),
            "Dead": phase == Phase::Dead,
            "Pid": i32::from(container.is_running()),
            "ExitCode": container.exit_code(),
            "Error": error,
            "StartedAt": time(info.started),
            "FinishedAt": time(info.finished),
        },
        "Image": container.image_id(),
        "ResolvConfPath": "", "HostnamePath": "", "HostsPath": "", "LogPath": "",
        "Name": format!("/{}", info.name),
        "RestartCount": info.restart_count,
        "Driver": "vSphere",
        "Platform": "linux",
        "MountLabel": "", "ProcessLabel": "", "AppArmorProfile": "",
        "ExecIDs": null,
        "HostConfig": host_config::shown(&container),
        "GraphDriver": { "Name": "vSphere", "Data": null },
        "Mounts": [],
        "Config": {
            "Hostname": container.host_name(),
            "Domainname": "",
            "User": extras.user,
            "AttachStdin": extras.attached.stdin,
            "AttachStdout": extras.attached.stdout,
            "AttachStderr": extras.attached.stderr,
            "ExposedPorts": exposed,
            "Tty": info.command.tty,
            "OpenStdin": info.command.open_stdin,
            "StdinOnce": extras.stdin_once,
            "Env": variables,
            "Cmd": cmd,
            "Image": container.image(),
            "Volumes": null,
            "OnBuild": null,
            "WorkingDir": info.command.working_dir.clone().unwrap_or_default(),
            "Entrypoint": if entrypoint.is_empty() { Value::Null } else { json!(entrypoint) },
            "Labels": info.labels,
            "StopSignal": info.command.stop_signal.map(|signal| format!("SIG{signal}")),
            "StopTimeout": extras.stop_timeout,
        },
        "NetworkSettings": {
            "Bridge": "", "SandboxID": "", "SandboxKey": "", "EndpointID": "",
            "HairpinMode": false, "LinkLocalIPv6Address": "", "LinkLocalIPv6PrefixLen": 0,
            "SecondaryIPAddresses": null, "SecondaryIPv6Addresses": null,
            "GlobalIPv6Address": "", "GlobalIPv6PrefixLen": 0, "IPv6Gateway": "",
            "Ports": ports::inspected(&container, &front_end.ports().of(&container.id)),
            // The settings of the default network, which older clients read here.
            "Gateway": of_default(|bridge| bridge.gateway.clone()),
            "IPAddress": of_default(|bridge| bridge.ip_address.clone()),
            "IPPrefixLen": default.map_or(0, |bridge| bridge.ip_prefix_len),
            "MacAddress": of_default(|bridge| bridge.mac_address.clone()),
            "Networks": networks,
        },
    });
    if query.flag("size") {
        json["SizeRw"] = 0.into();
        json["SizeRootFs"] = 0.into();
    }
    Ok(reply::json(&json))
}
