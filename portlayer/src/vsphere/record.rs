//! A container as its machine's keys have it.

use std::collections::BTreeMap;

use guestinfo::vic::{
    self, CreateTime, ExecutorConfig, Identity, NetworkEndpoint, SessionConfig, Started,
};
use guestinfo::{Dialect, EncodeError, GuestInfo, decode, encode};
use jiff::Timestamp;

use crate::exec::{Command, ContainerSpec, RootFs};
use crate::image::ImageId;
use crate::network::{EndpointInfo, EndpointSpec};
use crate::{ContainerId, ExitStatus};

/// The keys of one machine and their texts.
pub(super) type Keys = BTreeMap<String, String>;

/// A container as it was asked for, and when it was made. The virtual hardware is not in the keys
/// but in the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) spec: ContainerSpec,
    pub(super) created: Option<Timestamp>,
    /// Its connections with what it was assigned. Their specifications are in `spec` too.
    pub(super) endpoints: Vec<EndpointInfo>,
    /// The same as the guest reads it, by scope, with what the guest reported.
    networks: BTreeMap<String, NetworkEndpoint>,
}

/// State for which VIC has no key. The guest can neither see nor write it.
#[derive(Clone, Debug, Default, PartialEq, Eq, GuestInfo)]
struct Ours {
    #[guestinfo(key = "portlayer", scope = "hidden")]
    host: OursOnly,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, GuestInfo)]
struct OursOnly {
    /// Labels as a JSON object: as a map of keys, two names that differ only in case would be one.
    #[guestinfo(key = "labels", scope = "hidden", chunks)]
    labels: Option<String>,
    /// Annotations, in the same form.
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
    /// Its connections with what it was assigned, as JSON.
    #[guestinfo(key = "endpoints", scope = "hidden", chunks)]
    endpoints: Option<String>,
}

/// Why keys are not those of a container.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub(super) struct NotAContainer {
    /// The id, if that much can be read.
    pub(super) id: Option<ContainerId>,
    reason: String,
}

impl Record {
    /// The record of a container as it is asked for now.
    pub(super) fn new(spec: &ContainerSpec, created: Timestamp) -> Self {
        Self {
            spec: spec.clone(),
            // The older dialect keeps seconds.
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

    /// The same with these connections, and what the guest reads of them.
    pub(super) fn connected(
        mut self,
        endpoints: &[EndpointInfo],
        networks: BTreeMap<String, NetworkEndpoint>,
    ) -> Self {
        self.spec.endpoints = endpoints.iter().map(|e| e.spec.clone()).collect();
        self.endpoints = endpoints.to_vec();
        self.networks = networks;
        self
    }

    /// Its connections, with the addresses that its guest reports where DHCP assigns them.
    pub(super) fn endpoints_seen(&self) -> Vec<EndpointInfo> {
        let mut endpoints = self.endpoints.clone();
        for endpoint in endpoints.iter_mut().filter(|e| e.address.is_none()) {
            let Some(network) = self.networks.get(&endpoint.spec.scope) else {
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

    /// All keys of a new container. Its process has no exit status, so that a machine that goes
    /// off before its guest reported anything is distinguished from one whose process ended well.
    pub(super) fn keys(&self, dialect: Dialect) -> Result<Keys, EncodeError> {
        let id = self.spec.id.to_string();
        let mut keys = self.lasting_keys(dialect)?;
        let at_rest = |session| RunState {
            sessions: [(id.clone(), session)].into(),
            host: HostOnly::default(),
        };
        let (new, ended) = (at_rest(Session::default()), at_rest(Session::ended()));
        for status in new.changes(&ended, dialect)?.keys() {
            keys.remove(status);
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
            networks: self.networks.clone(),
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

    /// Returns the changes from the keys of `old` to those of this record: an empty text deletes.
    pub(super) fn changes(&self, old: &Self, dialect: Dialect) -> Result<Keys, EncodeError> {
        let new = self.lasting_keys(dialect)?;
        Ok(difference(&old.lasting_keys(dialect)?, new))
    }

    /// The container whose keys these are.
    pub(super) fn read(keys: &Keys) -> Result<Self, NotAContainer> {
        let refuse = |id, reason: &str| {
            Err(NotAContainer {
                id,
                reason: reason.to_owned(),
            })
        };
        let decoded = decode::<ExecutorConfig>(keys);
        let mut container = decoded.value;
        if container.common.id.is_empty() && container.sessions.is_empty() {
            return refuse(None, "its configuration holds no keys of a container");
        }
        let id: ContainerId = match container.common.id.parse() {
            Ok(id) => id,
            Err(error) => return refuse(None, &format!("its id cannot be read: {error}")),
        };
        if let Some(issue) = decoded.report.host_damage().next() {
            return refuse(Some(id), &format!("its configuration is damaged: {issue}"));
        }
        let Some(session) = container.sessions.remove(&container.common.id) else {
            return refuse(Some(id), "it does not say what runs in it");
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
            networks: container.networks,
        })
    }
}

/// The connections as they were kept, or as VIC wrote them for the guest.
fn endpoints(
    kept: Option<&str>,
    networks: &BTreeMap<String, NetworkEndpoint>,
) -> Vec<EndpointInfo> {
    if let Some(kept) = kept.and_then(|kept| serde_json::from_str(kept).ok()) {
        return kept;
    }
    let of_vic = |(scope, network): (&String, &NetworkEndpoint)| {
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
    command
}

/// The image, by the id that VIC 1.x or the port layer stored. What VIC 0.4 made has only the id of
/// its topmost layer, which is the digest of something else than a configuration, but identifies
/// the image as well.
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

/// A damaged value counts as missing, like any other key that cannot be read.
fn parsed<T: serde::de::DeserializeOwned + Default>(text: Option<&str>) -> T {
    text.and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default()
}

/// Returns the changes that turn the keys of `old` into those of `new`: an empty text deletes.
fn difference(old: &Keys, new: Keys) -> Keys {
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

/// What changes while a container lives. It reads and writes the same keys as the schema of VIC,
/// but tells a missing exit status from zero.
#[derive(Clone, Debug, Default, PartialEq, Eq, GuestInfo)]
pub(super) struct RunState {
    #[guestinfo(key = "sessions", scope = "read-only")]
    sessions: BTreeMap<String, Session>,
    /// State that the guest can neither see nor write.
    #[guestinfo(key = "portlayer", scope = "hidden")]
    host: HostOnly,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, GuestInfo)]
struct Session {
    #[guestinfo(key = "started", scope = "read-write", default)]
    started: Started,
    #[guestinfo(key = "status", scope = "read-write")]
    status: Option<i32>,
    /// Whether the process waits for a client to attach.
    #[guestinfo(vic1(key = "runblock", scope = "read-write"))]
    run_block: Option<bool>,
    #[guestinfo(vic1(key = "detail", scope = "read-write"))]
    detail: Detail,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, GuestInfo)]
struct Detail {
    /// When the process started, in seconds since 1970; 0 until then.
    #[guestinfo(vic1(key = "starttime", scope = "read-write"))]
    start_time: Option<i64>,
    /// When the process ended, in seconds since 1970; 0 until then.
    #[guestinfo(vic1(key = "stoptime", scope = "read-write"))]
    stop_time: Option<i64>,
}

/// What stands in place of an exit status while there is none. A guest may write the status it
/// read, or zero, together with `started`: so its presence alone says nothing. In 1.x the time of
/// the end tells; 0.4 has no such key, and there the status begins with a number that no process
/// ends with.
const NOT_ENDED: i32 = i32::MIN;

impl Session {
    /// As VIC has it from the beginning.
    fn ended() -> Self {
        Self {
            status: Some(0),
            ..Self::default()
        }
    }

    /// As a run begins.
    fn begun(dialect: Dialect) -> Self {
        Self {
            started: Started::No,
            status: (dialect == Dialect::Vic04).then_some(NOT_ENDED),
            run_block: Some(false),
            detail: Detail {
                start_time: None,
                stop_time: Some(0),
            },
        }
    }

    fn end(&self) -> Option<i32> {
        if self.detail.stop_time == Some(0) {
            return None;
        }
        self.status.filter(|status| *status != NOT_ENDED)
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, GuestInfo)]
struct HostOnly {
    /// How often the container was started.
    #[guestinfo(key = "starts", scope = "hidden")]
    starts: Option<i64>,
    /// How the last run ended.
    #[guestinfo(key = "exit", scope = "hidden")]
    exit: Option<String>,
}

impl RunState {
    pub(super) fn read(keys: &Keys) -> Self {
        decode::<Self>(keys).value
    }

    /// The guest's word on the launch of the process: empty, `true`, or why it failed.
    pub(super) fn started(&self, id: &ContainerId) -> String {
        match self.session(id).map(|session| &session.started) {
            None | Some(Started::No) => String::new(),
            Some(Started::Yes) => "true".to_owned(),
            Some(Started::Failed(reason)) => reason.clone(),
        }
    }

    /// The guest's word on the end of the process.
    pub(super) fn status(&self, id: &ContainerId) -> Option<i32> {
        self.session(id)?.end()
    }

    /// The guest's report of when the process of the last run started and ended.
    pub(super) fn times(&self, id: &ContainerId) -> (Option<Timestamp>, Option<Timestamp>) {
        let detail = self.session(id).map(|session| &session.detail);
        let time = |seconds: Option<i64>| {
            let seconds = seconds.filter(|seconds| *seconds > 0)?;
            Timestamp::from_second(seconds).ok()
        };
        (
            time(detail.and_then(|detail| detail.start_time)),
            time(detail.and_then(|detail| detail.stop_time)),
        )
    }

    /// How often it was started.
    pub(super) fn starts(&self) -> i64 {
        self.host.starts.unwrap_or(0)
    }

    /// How the last run ended, as the host wrote it down.
    pub(super) fn exit(&self) -> Option<ExitStatus> {
        exit_from_text(self.host.exit.as_deref()?)
    }

    /// The state with which a new run begins.
    pub(super) fn restarted(&self, dialect: Dialect) -> Self {
        let begun = |id: &String| (id.clone(), Session::begun(dialect));
        let host = HostOnly {
            starts: Some(self.starts().saturating_add(1)),
            exit: None,
        };
        Self {
            sessions: self.sessions.keys().map(begun).collect(),
            host,
        }
    }

    /// Returns the record with processes that wait for a client to attach, or do not.
    pub(super) fn blocked(mut self, blocked: bool) -> Self {
        for session in self.sessions.values_mut() {
            session.run_block = Some(blocked);
        }
        self
    }

    /// The state with the end of the run written down.
    pub(super) fn ended(&self, exit: ExitStatus) -> Self {
        let host = HostOnly {
            exit: Some(exit_to_text(exit)),
            ..self.host.clone()
        };
        Self {
            host,
            ..self.clone()
        }
    }

    /// Returns the changes from the keys of `old` to those of `self`: an empty text deletes.
    pub(super) fn changes(&self, old: &Self, dialect: Dialect) -> Result<Keys, EncodeError> {
        Ok(difference(&encode(old, dialect)?, encode(self, dialect)?))
    }

    fn session(&self, id: &ContainerId) -> Option<&Session> {
        self.sessions.get(&id.to_string())
    }
}

fn exit_to_text(exit: ExitStatus) -> String {
    match exit {
        ExitStatus::Code(code) => format!("code {code}"),
        ExitStatus::Signal(Some(signal)) => format!("signal {}", signal.number()),
        ExitStatus::Signal(None) => "signal 0".to_owned(),
        ExitStatus::NotLaunched => "not launched".to_owned(),
        ExitStatus::NeverOn => "never on".to_owned(),
        ExitStatus::Lost => "lost".to_owned(),
    }
}

fn exit_from_text(text: &str) -> Option<ExitStatus> {
    match text.split_once(' ') {
        None => (text == "lost").then_some(ExitStatus::Lost),
        Some(("code", code)) => code.parse().ok().map(ExitStatus::Code),
        Some(("signal", "0")) => Some(ExitStatus::Signal(None)),
        Some(("signal", signal)) => signal
            .parse()
            .ok()
            .map(|signal| ExitStatus::Signal(Some(signal))),
        Some(("not", "launched")) => Some(ExitStatus::NotLaunched),
        Some(("never", "on")) => Some(ExitStatus::NeverOn),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

    use super::*;
    use crate::exec::Signal;
    use crate::image::Digest;
    use proptest::prelude::*;

    fn record(command: Command) -> Record {
        let image = ImageId::new(Digest::of(b"hello-world"));
        let spec =
            ContainerSpec::new("jovial_ride", command).root(RootFs::image(image, "hello-world"));
        Record::new(&spec, Timestamp::from_second(1_467_000_000).unwrap())
    }

    #[test]
    fn vic_0_4_finds_its_keys() {
        let record = record(Command::new("/hello").arg("world"));
        let id = record.spec.id;
        let keys = record.keys(Dialect::Vic04).unwrap();
        for (key, text) in [
            ("guestinfo./common/id".to_owned(), id.to_string()),
            (
                "guestinfo./common/name".to_owned(),
                "jovial_ride".to_owned(),
            ),
            (
                "guestinfo./common/created".to_owned(),
                "1467000000".to_owned(),
            ),
            ("guestinfo./repo".to_owned(), "hello-world".to_owned()),
            ("guestinfo./sessions".to_owned(), id.to_string()),
            (
                format!("guestinfo./sessions|{id}/common/name"),
                "jovial_ride".to_owned(),
            ),
            (
                format!("guestinfo./sessions|{id}/cmd/Path"),
                "/hello".to_owned(),
            ),
            (format!("guestinfo./sessions|{id}/cmd/Args"), "1".to_owned()),
            (
                format!("guestinfo./sessions|{id}/cmd/Args~"),
                "/hello|world".to_owned(),
            ),
            (
                format!("guestinfo..sessions|{id}.started"),
                "<nil>".to_owned(),
            ),
        ] {
            assert_eq!(keys.get(&key), Some(&text), "{key}");
        }
        assert_eq!(keys.get(&format!("guestinfo..sessions|{id}.status")), None);
    }

    #[test]
    fn a_container_that_vic_0_4_made_is_read() {
        // As stored by VIC 0.4, with an id of full length.
        let id = ContainerId::from_bytes([0xde; 32]);
        let keys: Keys = [
            (
                "guestinfo./common/ExecutionEnvironment".to_owned(),
                "<nil>".to_owned(),
            ),
            (
                "guestinfo./common/created".to_owned(),
                "1467000000".to_owned(),
            ),
            ("guestinfo./common/id".to_owned(), id.to_string()),
            (
                "guestinfo./common/name".to_owned(),
                "jovial_ride".to_owned(),
            ),
            ("guestinfo./repo".to_owned(), "hello-world".to_owned()),
            ("guestinfo./sessions".to_owned(), id.to_string()),
            (
                format!("guestinfo./sessions|{id}/common/id"),
                id.to_string(),
            ),
            (
                format!("guestinfo./sessions|{id}/cmd/Path"),
                "/hello".to_owned(),
            ),
            (format!("guestinfo./sessions|{id}/cmd/Args"), "1".to_owned()),
            (
                format!("guestinfo./sessions|{id}/cmd/Args~"),
                "/hello|world".to_owned(),
            ),
            (format!("guestinfo./sessions|{id}/cmd/Env"), "0".to_owned()),
            (
                format!("guestinfo./sessions|{id}/cmd/Env~"),
                "PATH=/bin".to_owned(),
            ),
            (format!("guestinfo./sessions|{id}/cmd/Dir"), "/".to_owned()),
            (
                format!("guestinfo..sessions|{id}.started"),
                "true".to_owned(),
            ),
            (format!("guestinfo..sessions|{id}.status"), "3".to_owned()),
        ]
        .into();
        let read = Record::read(&keys).unwrap();
        assert_eq!(
            read,
            Record {
                spec: ContainerSpec::new(
                    "jovial_ride",
                    Command::new("/hello")
                        .arg("world")
                        .env("PATH", "/bin")
                        .working_dir("/")
                )
                .id(id),
                created: Timestamp::from_second(1_467_000_000).ok(),
                endpoints: Vec::new(),
                networks: BTreeMap::new(),
            }
        );
        let state = RunState::read(&keys);
        assert_eq!(
            (state.started(&id).as_str(), state.status(&id)),
            ("true", Some(3))
        );
    }

    #[test]
    fn what_is_no_container_is_refused_with_the_id_where_it_can_be_read() {
        assert_eq!(Record::read(&Keys::new()).unwrap_err().id, None);
        let record = record(Command::new("/hello"));
        for dialect in Dialect::ALL {
            let mut keys = record.keys(dialect).unwrap();
            keys.retain(|key, _| !key.contains("sessions"));
            assert_eq!(Record::read(&keys).unwrap_err().id, Some(record.spec.id));
            keys.retain(|key, _| !key.ends_with("common/id"));
            keys.insert(format!("{}/common/id", dialect.base()), "not an id".into());
            assert_eq!(Record::read(&keys).unwrap_err().id, None);
        }
    }

    #[test]
    fn damage_to_what_only_the_host_writes_is_refused_and_what_a_guest_does_is_not() {
        for dialect in Dialect::ALL {
            let record = record(Command::new("/bin/sh").args(["-c", "run", "--no-privileges"]));
            let id = record.spec.id;
            let keys = record.keys(dialect).unwrap();
            let base = dialect.base();
            let with = |key: String, text: &str| {
                let mut keys = keys.clone();
                keys.insert(key, text.to_owned());
                Record::read(&keys)
            };

            let args = format!("{base}/sessions|{id}/cmd/Args");
            let error = with(args.clone(), "7").unwrap_err();
            assert_eq!(error.id, Some(id));
            assert!(error.to_string().contains("cmd/Args~"), "{error}");
            assert!(with(format!("{base}/sessions|{id}/tty"), "perhaps").is_err());
            assert!(with(format!("{base}/networks"), &"a|".repeat(20_000)).is_err());

            for leaf in [
                "started",
                "status",
                "detail.stoptime",
                "diagnostics.exitlogs",
            ] {
                let key = format!("{base}.sessions|{id}.{leaf}");
                assert_eq!(with(key, "99999999999").unwrap(), record);
            }
            let exits = format!("{base}.diagnostics.exitlogs");
            assert_eq!(with(exits, "99999").unwrap(), record);
        }
    }

    #[test]
    fn a_start_clears_what_the_guest_said_and_counts() {
        for dialect in Dialect::ALL {
            let record = record(Command::new("/hello"));
            let id = record.spec.id;
            let mut keys = record.keys(dialect).unwrap();
            let key = |leaf: &str| format!("{}.sessions|{id}.{leaf}", dialect.base());
            let fresh = RunState::read(&keys);
            assert_eq!((fresh.starts(), fresh.status(&id)), (0, None));
            let begun = fresh.restarted(dialect);
            keys.extend(begun.changes(&fresh, dialect).unwrap());
            let begun = RunState::read(&keys);
            assert_eq!((begun.starts(), begun.started(&id).as_str()), (1, ""));
            assert_eq!(begun.status(&id), None);

            // A guest may write all that it has when it starts the process.
            keys.insert(key("started"), "true".into());
            if dialect == Dialect::Vic1 {
                keys.insert(key("status"), "0".into());
                keys.insert(key("detail.stoptime"), "0".into());
            }
            let running = RunState::read(&keys);
            assert_eq!(
                (running.started(&id).as_str(), running.status(&id)),
                ("true", None)
            );

            keys.insert(key("status"), "3".into());
            if dialect == Dialect::Vic1 {
                keys.insert(key("detail.stoptime"), "1467000001".into());
            }
            let ran = RunState::read(&keys);
            assert_eq!(ran.status(&id), Some(3));
            let ended = ran.ended(ExitStatus::Code(3));
            assert_eq!(
                ended.changes(&ran, dialect).unwrap(),
                [("portlayer/exit".to_owned(), "code 3".to_owned())].into()
            );
            let changes = ended.restarted(dialect).changes(&ended, dialect).unwrap();
            let mut expected: Keys = [
                ("portlayer/starts".to_owned(), "2".to_owned()),
                ("portlayer/exit".to_owned(), String::new()),
                (key("started"), "<nil>".to_owned()),
            ]
            .into();
            expected.extend(match dialect {
                Dialect::Vic04 => vec![(key("status"), NOT_ENDED.to_string())],
                Dialect::Vic1 => {
                    vec![
                        (key("status"), String::new()),
                        (key("detail.stoptime"), "0".into()),
                    ]
                }
            });
            assert_eq!(changes, expected);
        }
    }

    #[test]
    fn everything_that_a_specification_names_is_read_back() {
        let command = Command::new("/hello")
            .user("nobody")
            .group("100")
            .tty(true)
            .open_stdin(true)
            .stop_signal(Signal::INT);
        let mut record = record(command);
        let mut endpoint = EndpointInfo::new(EndpointSpec::new("backend").alias("db"));
        endpoint.address = Some("172.16.0.2/20".parse().unwrap());
        endpoint.mac = Some("00:50:56:00:00:01".parse().unwrap());
        record = record.connected(&[endpoint], BTreeMap::new());
        record.spec = record
            .spec
            .host_name("web-1")
            .label("Tier", "web")
            .label("tier", "")
            .annotation("front.end", "{}")
            .restart_count(7);
        for dialect in Dialect::ALL {
            let keys = record.keys(dialect).unwrap();
            assert_eq!(Record::read(&keys), Ok(record.clone()));
        }
    }

    #[test]
    fn the_connections_of_a_container_that_vic_made_are_read() {
        let keys = |pairs: &[(&str, &str)], id: &ContainerId| -> Keys {
            let mut keys = Record::new(
                &ContainerSpec::new("a", Command::new("/hello")).id(*id),
                Timestamp::from_second(1_467_000_000).unwrap(),
            )
            .keys(Dialect::Vic04)
            .unwrap();
            keys.extend(
                pairs
                    .iter()
                    .map(|(k, v)| ((*k).to_owned(), (*v).to_owned())),
            );
            keys
        };
        let id = ContainerId::generate();
        let record = Record::read(&keys(
            &[
                ("guestinfo./networks", "bridge"),
                ("guestinfo./networks|bridge/Common/id", "192"),
                ("guestinfo./networks|bridge/staticip/IP", "rBAAAg=="),
                ("guestinfo./networks|bridge/staticip/Mask", "//8AAA=="),
                ("guestinfo./networks|bridge/network/Common/name", "bridge"),
                (
                    "guestinfo./networks|bridge/network/gateway/IP",
                    "AAAAAAAAAAAAAP//rBAAAQ==",
                ),
                (
                    "guestinfo./networks|bridge/network/gateway/Mask",
                    "//8AAA==",
                ),
            ],
            &id,
        ))
        .unwrap();
        let [endpoint] = record.endpoints.as_slice() else {
            panic!("{record:?}");
        };
        assert_eq!(endpoint.spec, EndpointSpec::new("bridge"));
        assert_eq!(endpoint.address, Some("172.16.0.2/16".parse().unwrap()));
        assert_eq!(endpoint.gateway, Some("172.16.0.1".parse().unwrap()));
        assert_eq!(endpoint.mac, None);
        assert_eq!(record.spec.endpoints, [EndpointSpec::new("bridge")]);
    }

    #[test]
    fn a_change_is_no_more_than_what_differs() {
        for dialect in Dialect::ALL {
            let old = record(Command::new("/hello"));
            let mut new = old.clone();
            new.spec.labels.insert("a".into(), "b".into());
            let changes = new.changes(&old, dialect).unwrap();
            assert_eq!(
                changes,
                [("portlayer/labels".to_owned(), r#"{"a":"b"}"#.to_owned())].into()
            );
            let back = old.changes(&new, dialect).unwrap();
            assert_eq!(
                back,
                [("portlayer/labels".to_owned(), String::new())].into()
            );
        }
    }

    #[test]
    fn exits_are_written_down_and_read() {
        for exit in [
            ExitStatus::Code(-3),
            ExitStatus::KILLED,
            ExitStatus::Signal(None),
            ExitStatus::NotLaunched,
            ExitStatus::NeverOn,
            ExitStatus::Lost,
        ] {
            assert_eq!(RunState::default().ended(exit).exit(), Some(exit));
        }
        assert_eq!(exit_from_text("whatever"), None);
    }

    proptest! {
        #[test]
        fn commands_survive_both_dialects(
            path in "[a-z/ =|]{1,12}",
            args in prop::collection::vec("[ -~ä|]{0,8}", 0..4),
            env in prop::collection::vec(("[A-Z|]{1,4}", "[ -~|=]{0,8}"), 0..3),
            labels in prop::collection::btree_map("[a-zA-Z|.]{1,4}", "[ -~ä\n|=]{0,8}", 0..4),
        ) {
            prop_assume!(args.iter().chain(env.iter().map(|(_, value)| value)).all(|a| a != "<nil>"));
            let mut command = Command::new(path).args(args);
            command.env = env;
            let mut record = record(command);
            record.spec.labels = labels;
            for dialect in Dialect::ALL {
                let keys = record.keys(dialect).unwrap();
                prop_assert_eq!(Record::read(&keys), Ok(record.clone()));
            }
        }
    }
}
