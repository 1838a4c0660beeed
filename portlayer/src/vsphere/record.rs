//! The record of a container, as stored in the keys of its machine.

use std::collections::BTreeMap;

use guestinfo::vic::{self, CreateTime, ExecutorConfig, Identity, NetworkEndpoint, SessionConfig};
use guestinfo::{Dialect, EncodeError, GuestInfo, decode, encode};
use jiff::Timestamp;

use crate::ContainerId;
use crate::exec::{Command, ContainerSpec, Limit, RootFs};
use crate::image::ImageId;
use crate::network::{EndpointInfo, EndpointSpec};
use crate::vsphere::networks::filed_as;
use crate::vsphere::run_state::RunState;

/// The keys of one machine and their values.
pub(super) type Keys = BTreeMap<String, String>;

/// Marks a container whose removal has started. The guest can neither see nor write this key. The
/// change that sets it also detaches the disks, so the container can no longer be started.
pub(super) const REMOVING: &str = "portlayer/removing";

/// The specification of a container, its creation time and its connections. CPUs and memory are not
/// stored in keys, because they are properties of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) spec: ContainerSpec,
    pub(super) created: Option<Timestamp>,
    /// The container's connections with the assigned addresses. Their specifications are also in
    /// `spec`.
    pub(super) endpoints: Vec<EndpointInfo>,
    /// The connections by scope, in the form that the guest reads, with the guest's reports. They
    /// are large, and a node of the map has room for eleven.
    networks: BTreeMap<String, Box<NetworkEndpoint>>,
}

/// State for which VIC has no keys. The guest can neither see nor write it.
#[derive(Clone, Debug, Default, PartialEq, Eq, GuestInfo)]
struct Ours {
    #[guestinfo(key = "portlayer", scope = "hidden")]
    host: OursOnly,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, GuestInfo)]
struct OursOnly {
    /// Labels as a JSON object. Separate keys would merge two names that differ only in case.
    #[guestinfo(key = "labels", scope = "hidden", chunks)]
    labels: Option<String>,
    /// Annotations as a JSON object, for the same reason.
    #[guestinfo(key = "annotations", scope = "hidden", chunks)]
    annotations: Option<String>,
    #[guestinfo(key = "restarts", scope = "hidden")]
    restarts: Option<i64>,
    #[guestinfo(vic04(key = "user", scope = "hidden"))]
    user: Option<String>,
    #[guestinfo(vic04(key = "group", scope = "hidden"))]
    group: Option<String>,
    #[guestinfo(vic04(key = "openstdin", scope = "hidden"))]
    open_stdin: Option<bool>,
    #[guestinfo(vic04(key = "stopsignal", scope = "hidden"))]
    stop_signal: Option<String>,
    #[guestinfo(vic04(key = "hostname", scope = "hidden"))]
    host_name: Option<String>,
    #[guestinfo(vic04(key = "imageid", scope = "hidden"))]
    image_id: Option<String>,
    /// The container's connections with the assigned addresses, as JSON.
    #[guestinfo(key = "endpoints", scope = "hidden", chunks)]
    endpoints: Option<String>,
}

/// The reason why keys do not belong to a container.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub(super) struct NotAContainer {
    /// The container's id, if it is readable.
    pub(super) id: Option<ContainerId>,
    reason: String,
}

impl NotAContainer {
    /// Returns the reason for a machine that is the record of an image.
    pub(super) fn image() -> Self {
        Self {
            id: None,
            reason: "its machine is that of an image".to_owned(),
        }
    }
}

impl Record {
    /// Creates the record of a new container.
    pub(super) fn new(spec: &ContainerSpec, created: Timestamp) -> Self {
        Self {
            spec: spec.clone(),
            // The older dialect stores whole seconds.
            created: Timestamp::from_second(created.as_second()).ok(),
            endpoints: spec
                .endpoints
                .iter()
                .cloned()
                .map(EndpointInfo::new)
                .collect(),
            networks: BTreeMap::new(),
        }
    }

    /// Replaces the connections, including the form that the guest reads.
    pub(super) fn connected(
        mut self,
        endpoints: &[EndpointInfo],
        networks: BTreeMap<String, NetworkEndpoint>,
    ) -> Self {
        self.spec.endpoints = endpoints.iter().map(|e| e.spec.clone()).collect();
        self.endpoints = endpoints.to_vec();
        self.networks = boxed(networks);
        self
    }

    /// Returns the container's connections. Addresses assigned by DHCP are those that the guest
    /// reported.
    pub(super) fn endpoints_seen(&self) -> Vec<EndpointInfo> {
        let mut endpoints = self.endpoints.clone();
        for endpoint in endpoints.iter_mut().filter(|e| e.address.is_none()) {
            let Some(network) = self.networks.get(&filed_as(&endpoint.spec.scope)) else {
                continue;
            };
            endpoint.address = network
                .assigned
                .as_ref()
                .and_then(|address| address.net())
                .filter(|net| !net.addr().is_unspecified());
            let gateway = network.network.assigned.as_ref().and_then(|a| a.gateway);
            endpoint.gateway = endpoint.gateway.or(gateway.map(|net| net.addr()));
        }
        endpoints
    }

    /// Returns all keys of a new container, with which its first run begins. They contain no valid
    /// exit status, so a machine that is powered off before its guest reported anything is
    /// distinguished from a machine whose process ended successfully.
    pub(super) fn keys(&self, dialect: Dialect) -> Result<Keys, EncodeError> {
        let id = self.spec.id.to_string();
        let mut keys = self.lasting_keys(dialect)?;
        for status in RunState::keys_of_an_end(&id, dialect)? {
            keys.remove(&status);
        }
        let new = RunState::read(&keys);
        for (key, text) in new.first(dialect).changes(&new, dialect)? {
            if text.is_empty() {
                keys.remove(&key);
            } else {
                keys.insert(key, text);
            }
        }
        Ok(keys)
    }

    fn lasting_keys(&self, dialect: Dialect) -> Result<Keys, EncodeError> {
        let (spec, command) = (&self.spec, &self.spec.command);
        let id = spec.id.to_string();
        let stop_signal = command.stop_signal.map(|signal| signal.to_string());
        let session = SessionConfig {
            common: vic::Common {
                id: id.clone(),
                name: spec.name.clone(),
                ..vic::Common::default()
            },
            command: vic::Command {
                path: command.path.clone(),
                args: std::iter::once(&command.path)
                    .chain(&command.args)
                    .cloned()
                    .collect(),
                env: command
                    .env
                    .iter()
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect(),
                dir: command.working_dir.clone().unwrap_or_default(),
            },
            attach: true,
            tty: command.tty,
            open_stdin: command.open_stdin,
            user: command.user.clone().unwrap_or_default(),
            group: command.group.clone().unwrap_or_default(),
            stop_signal: stop_signal.clone().unwrap_or_default(),
            active: true,
            limits: limits(command),
            ..SessionConfig::default()
        };
        let image = spec.root.image_id();
        let container = ExecutorConfig {
            common: Identity {
                id: id.clone(),
                name: spec.name.clone(),
                ..Identity::default()
            },
            create_time: CreateTime(self.created.unwrap_or_default()),
            sessions: [(id, session)].into(),
            repo_name: spec.root.reference().to_owned(),
            layer_id: image.map(|id| id.digest().hex()).unwrap_or_default(),
            image_id: image.map(ToString::to_string).unwrap_or_default(),
            hostname: spec.host_name.clone().unwrap_or_default(),
            networks: self
                .networks
                .iter()
                .map(|(scope, network)| (scope.clone(), NetworkEndpoint::clone(network)))
                .collect(),
            ..ExecutorConfig::default()
        };
        let mut keys = encode(&container, dialect)?;
        let ours = Ours {
            host: OursOnly {
                labels: json(&spec.labels, spec.labels.is_empty()),
                annotations: json(&spec.annotations, spec.annotations.is_empty()),
                restarts: (spec.restart_count > 0).then_some(spec.restart_count.into()),
                user: command.user.clone(),
                group: command.group.clone(),
                open_stdin: command.open_stdin.then_some(true),
                stop_signal,
                host_name: spec.host_name.clone(),
                image_id: image.map(ToString::to_string),
                endpoints: json(&self.endpoints, self.endpoints.is_empty()),
            },
        };
        keys.extend(encode(&ours, dialect)?);
        Ok(keys)
    }

    /// Returns the changes from the keys of `old` to the keys of this record; an empty value
    /// deletes a key.
    pub(super) fn changes(&self, old: &Self, dialect: Dialect) -> Result<Keys, EncodeError> {
        let new = self.lasting_keys(dialect)?;
        Ok(difference(&old.lasting_keys(dialect)?, new))
    }

    /// Reads the keys of a container.
    pub(super) fn read<'k, K, V>(
        keys: impl IntoIterator<Item = (&'k K, &'k V)> + Clone,
    ) -> Result<Self, NotAContainer>
    where
        K: AsRef<str> + ?Sized + 'k,
        V: AsRef<str> + ?Sized + 'k,
    {
        let refuse = |id, reason: &str| {
            Err(NotAContainer {
                id,
                reason: reason.to_owned(),
            })
        };
        let decoded = decode::<ExecutorConfig>(keys.clone());
        let mut container = decoded.value;
        if container.common.id.is_empty() && container.sessions.is_empty() {
            return refuse(None, "its configuration contains no keys of a container");
        }
        let id: ContainerId = match container.common.id.parse() {
            Ok(id) => id,
            Err(error) => return refuse(None, &format!("its id cannot be read: {error}")),
        };
        if let Some(issue) = decoded.report.host_damage().next() {
            return refuse(Some(id), &format!("its configuration is damaged: {issue}"));
        }
        let Some(session) = container.sessions.remove(&container.common.id) else {
            return refuse(Some(id), "it has no session for the container's process");
        };
        if session.command.path.is_empty() {
            return refuse(Some(id), "the path of its command is empty or missing");
        }
        let ours = decode::<Ours>(keys).value.host;
        let name = [&container.common.name, &session.common.name]
            .into_iter()
            .find(|name| !name.is_empty())
            .cloned()
            .unwrap_or_default();
        let mut spec = ContainerSpec::new(name, command(&session, &ours)).id(id);
        spec.root = root(&container, &ours);
        spec.host_name = text(container.hostname).or(ours.host_name);
        spec.labels = parsed(ours.labels.as_deref());
        spec.annotations = container.annotations;
        spec.annotations
            .extend(parsed::<BTreeMap<_, _>>(ours.annotations.as_deref()));
        let endpoints = endpoints(ours.endpoints.as_deref(), &container.networks);
        spec.endpoints = endpoints.iter().map(|e| e.spec.clone()).collect();
        spec.restart_count = ours
            .restarts
            .and_then(|count| count.try_into().ok())
            .unwrap_or(0);
        let created = container.create_time.0;
        Ok(Self {
            spec,
            created: (created != Timestamp::default()).then_some(created),
            endpoints,
            networks: boxed(container.networks),
        })
    }
}

fn boxed(networks: BTreeMap<String, NetworkEndpoint>) -> BTreeMap<String, Box<NetworkEndpoint>> {
    let boxed = |(scope, network)| (scope, Box::new(network));
    networks.into_iter().map(boxed).collect()
}

/// Reads the connections from the stored JSON, or otherwise from the keys that VIC wrote for the
/// guest.
fn endpoints(
    kept: Option<&str>,
    networks: &BTreeMap<String, NetworkEndpoint>,
) -> Vec<EndpointInfo> {
    if let Some(kept) = kept.and_then(|kept| serde_json::from_str(kept).ok()) {
        return kept;
    }
    let of_vic = |(scope, network): (&String, &NetworkEndpoint)| {
        let own_name = &network.network.common.name;
        let scope = if own_name.is_empty() { scope } else { own_name };
        let mut spec = EndpointSpec::new(scope);
        let fixed = network.address.as_ref().and_then(|a| a.net());
        let assigned = network.assigned.as_ref().and_then(|a| a.net());
        let address = fixed.or(assigned);
        if network.is_static {
            spec.address = fixed.map(|net| net.addr());
        }
        let mut endpoint = EndpointInfo::new(spec);
        endpoint.address = address.filter(|net| !net.addr().is_unspecified());
        endpoint.gateway = network.network.gateway.map(|net| net.addr());
        endpoint
    };
    networks.iter().map(of_vic).collect()
}

fn command(session: &SessionConfig, ours: &OursOnly) -> Command {
    let stored = &session.command;
    let mut command = Command::new(stored.path.clone()).args(stored.args.iter().skip(1).cloned());
    command.env = stored.env.iter().cloned().map(variable).collect();
    command.working_dir = text(stored.dir.clone());
    command.user = text(session.user.clone()).or_else(|| ours.user.clone());
    command.group = text(session.group.clone()).or_else(|| ours.group.clone());
    command.tty = session.tty;
    command.open_stdin = session.open_stdin || ours.open_stdin == Some(true);
    command.stop_signal = text(session.stop_signal.clone())
        .or_else(|| ours.stop_signal.clone())
        .and_then(|signal| signal.parse().ok());
    let stored = session.limits.iter().flat_map(|limits| &limits.0);
    command.limits = stored
        .filter_map(|stored| {
            let mut limit = Limit::unlimited(stored.name.parse().ok()?);
            (limit.soft, limit.hard) = (stored.soft, stored.hard);
            Some(limit)
        })
        .collect();
    command
}

/// Returns the limits of a process as the guest reads them.
fn limits(command: &Command) -> Option<vic::Limits> {
    let limits = command.limits.iter().map(|limit| vic::Limit {
        name: limit.kind.to_string(),
        soft: limit.soft,
        hard: limit.hard,
    });
    let limits = vic::Limits(limits.collect());
    (!limits.0.is_empty()).then_some(limits)
}

/// Returns the image of the container. VIC 1.x and the port layer stored the image id. Containers
/// of VIC 0.4 have only the id of the topmost layer, which is not the digest of a configuration but
/// also identifies the image.
fn root(container: &ExecutorConfig, ours: &OursOnly) -> RootFs {
    let ids = [
        Some(container.image_id.as_str()),
        ours.image_id.as_deref(),
        Some(container.layer_id.as_str()),
    ];
    let id = ids.into_iter().flatten().find_map(|id| {
        let digest = id.strip_prefix("sha256:").unwrap_or(id);
        format!("sha256:{digest}").parse::<ImageId>().ok()
    });
    match id {
        Some(id) => RootFs::image(id, container.repo_name.clone()),
        None => RootFs::Empty,
    }
}

fn text(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

fn json<T: serde::Serialize>(value: &T, is_empty: bool) -> Option<String> {
    if is_empty {
        return None;
    }
    serde_json::to_string(value).ok()
}

/// Parses a value. A damaged value counts as missing, like any other unreadable key.
fn parsed<T: serde::de::DeserializeOwned + Default>(text: Option<&str>) -> T {
    text.and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default()
}

/// Returns the changes that turn the keys of `old` into those of `new`; an empty value deletes a
/// key.
pub(super) fn difference(old: &Keys, new: Keys) -> Keys {
    let mut changes = new;
    let gone: Vec<_> = old
        .keys()
        .filter(|key| !changes.contains_key(*key))
        .cloned()
        .collect();
    changes.retain(|key, text| old.get(key) != Some(text));
    changes.extend(gone.into_iter().map(|key| (key, String::new())));
    changes
}

fn variable(text: String) -> (String, String) {
    match text.split_once('=') {
        Some((name, value)) => (name.to_owned(), value.to_owned()),
        None => (text, String::new()),
    }
}

#[cfg(test)]
mod tests;
