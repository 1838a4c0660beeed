//! A container as its machine's keys have it.

use std::collections::BTreeMap;

use guestinfo::vic::{self, CreateTime, ExecutorConfig, Identity, SessionConfig, Started};
use guestinfo::{Dialect, EncodeError, GuestInfo, decode, encode};
use jiff::Timestamp;

use crate::exec::{Command, ContainerSpec};
use crate::{ContainerId, ExitStatus};

/// The keys of one machine and their texts.
pub(super) type Keys = BTreeMap<String, String>;

/// What is stored of a container and does not change while it lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) id: ContainerId,
    pub(super) name: String,
    pub(super) image: String,
    pub(super) command: Command,
    pub(super) created: Option<Timestamp>,
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
            id: spec.id,
            name: spec.name.clone(),
            image: spec.image.clone(),
            command: spec.command.clone(),
            // Neither dialect keeps more than a machine's clock is worth.
            created: Timestamp::from_second(created.as_second()).ok(),
        }
    }

    /// All keys of a new container. Its process has no exit status, so that a machine that goes
    /// off without a word is told from one whose process ended well.
    pub(super) fn keys(&self, dialect: Dialect) -> Result<Keys, EncodeError> {
        let id = self.id.to_string();
        let command = &self.command;
        let session = SessionConfig {
            common: vic::Common {
                id: id.clone(),
                name: self.name.clone(),
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
            active: true,
            ..SessionConfig::default()
        };
        let container = ExecutorConfig {
            common: Identity {
                id: id.clone(),
                name: self.name.clone(),
                ..Identity::default()
            },
            create_time: CreateTime(self.created.unwrap_or_default()),
            sessions: [(id.clone(), session)].into(),
            repo_name: self.image.clone(),
            ..ExecutorConfig::default()
        };
        let mut keys = encode(&container, dialect)?;
        let at_rest = |session| RunState {
            sessions: [(self.id.to_string(), session)].into(),
            host: HostOnly::default(),
        };
        let (new, ended) = (at_rest(Session::default()), at_rest(Session::ended()));
        for status in new.changes(&ended, dialect)?.keys() {
            keys.remove(status);
        }
        Ok(keys)
    }

    /// The container whose keys these are.
    pub(super) fn read(keys: &Keys) -> Result<Self, NotAContainer> {
        let refuse = |id, reason: &str| {
            Err(NotAContainer {
                id,
                reason: reason.to_owned(),
            })
        };
        let mut container = decode::<ExecutorConfig>(keys).value;
        if container.common.id.is_empty() && container.sessions.is_empty() {
            return refuse(None, "its configuration holds no keys of a container");
        }
        let id: ContainerId = match container.common.id.parse() {
            Ok(id) => id,
            Err(error) => return refuse(None, &format!("its id cannot be read: {error}")),
        };
        let Some(session) = container.sessions.remove(&container.common.id) else {
            return refuse(Some(id), "it does not say what runs in it");
        };
        if session.command.path.is_empty() {
            return refuse(Some(id), "the path of its command is empty or missing");
        }
        let stored = session.command;
        let command = Command {
            path: stored.path,
            args: stored.args.into_iter().skip(1).collect(),
            env: stored.env.into_iter().map(variable).collect(),
            working_dir: (!stored.dir.is_empty()).then_some(stored.dir),
        };
        let name = [container.common.name, session.common.name]
            .into_iter()
            .find(|name| !name.is_empty())
            .unwrap_or_default();
        let created = container.create_time.0;
        Ok(Self {
            id,
            name,
            image: container.repo_name,
            command,
            created: (created != Timestamp::default()).then_some(created),
        })
    }
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
    /// What the guest neither sees nor writes.
    #[guestinfo(key = "portlayer", scope = "hidden")]
    host: HostOnly,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, GuestInfo)]
struct Session {
    #[guestinfo(key = "started", scope = "read-write", default)]
    started: Started,
    #[guestinfo(key = "status", scope = "read-write")]
    status: Option<i32>,
    #[guestinfo(vic1(key = "detail", scope = "read-write"))]
    detail: Detail,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, GuestInfo)]
struct Detail {
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
            detail: Detail { stop_time: Some(0) },
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

    /// What to send for the keys to say `self` where they say `old`: an empty text deletes.
    pub(super) fn changes(&self, old: &Self, dialect: Dialect) -> Result<Keys, EncodeError> {
        let old = encode(old, dialect)?;
        let mut changes = encode(self, dialect)?;
        let gone: Vec<_> = old
            .keys()
            .filter(|key| !changes.contains_key(*key))
            .cloned()
            .collect();
        changes.retain(|key, text| old.get(key) != Some(text));
        changes.extend(gone.into_iter().map(|key| (key, String::new())));
        Ok(changes)
    }

    fn session(&self, id: &ContainerId) -> Option<&Session> {
        self.sessions.get(&id.to_string())
    }
}

fn exit_to_text(exit: ExitStatus) -> String {
    match exit {
        ExitStatus::Code(code) => format!("code {code}"),
        ExitStatus::Signal(signal) => format!("signal {signal}"),
        ExitStatus::Lost => "lost".to_owned(),
    }
}

fn exit_from_text(text: &str) -> Option<ExitStatus> {
    match text.split_once(' ') {
        None => (text == "lost").then_some(ExitStatus::Lost),
        Some(("code", code)) => code.parse().ok().map(ExitStatus::Code),
        Some(("signal", signal)) => signal.parse().ok().map(ExitStatus::Signal),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

    use super::*;
    use proptest::prelude::*;

    fn record(command: Command) -> Record {
        let spec = ContainerSpec::new("jovial_ride", "hello-world", command);
        Record::new(&spec, Timestamp::from_second(1_467_000_000).unwrap())
    }

    #[test]
    fn vic_0_4_finds_its_keys() {
        let record = record(Command::new("/hello").arg("world"));
        let id = record.id;
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
                id,
                name: "jovial_ride".into(),
                image: "hello-world".into(),
                command: Command::new("/hello")
                    .arg("world")
                    .env("PATH", "/bin")
                    .working_dir("/"),
                created: Timestamp::from_second(1_467_000_000).ok(),
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
            assert_eq!(Record::read(&keys).unwrap_err().id, Some(record.id));
            keys.retain(|key, _| !key.ends_with("common/id"));
            keys.insert(format!("{}/common/id", dialect.base()), "not an id".into());
            assert_eq!(Record::read(&keys).unwrap_err().id, None);
        }
    }

    #[test]
    fn a_start_clears_what_the_guest_said_and_counts() {
        for dialect in Dialect::ALL {
            let record = record(Command::new("/hello"));
            let id = record.id;
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
    fn exits_are_written_down_and_read() {
        for exit in [
            ExitStatus::Code(-3),
            ExitStatus::Signal(9),
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
        ) {
            prop_assume!(args.iter().chain(env.iter().map(|(_, value)| value)).all(|a| a != "<nil>"));
            let command = Command { path, args, env, working_dir: None };
            let record = record(command);
            for dialect in Dialect::ALL {
                let keys = record.keys(dialect).unwrap();
                prop_assert_eq!(Record::read(&keys), Ok(record.clone()));
            }
        }
    }
}
