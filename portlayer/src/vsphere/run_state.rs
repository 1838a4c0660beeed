//! The start and the end of a container's runs, as stored in its machine's keys.

use std::collections::BTreeMap;

use guestinfo::vic::Started;
use guestinfo::{Dialect, EncodeError, GuestInfo, decode, encode};
use jiff::Timestamp;

use super::derive_state::exit_of;
use super::record::{Keys, difference};
use crate::{ContainerId, ExitStatus};

/// The part of a container's keys that changes with its runs. The keys are those of VIC's schema,
/// but a missing exit status is distinguished from zero.
#[derive(Clone, Debug, Default, PartialEq, Eq, GuestInfo)]
pub(super) struct RunState {
    #[guestinfo(key = "sessions", scope = "read-only")]
    // A node of the map has room for eleven sessions, and there is usually one.
    sessions: BTreeMap<String, Box<Session>>,
    /// The number of the run, as in [`HostOnly::starts`]. The guest can read it but not write it, and
    /// its agent notes it at the end of the log. VIC does not have this key.
    #[guestinfo(vic1(key = "run", scope = "read-only"))]
    run: Option<i64>,
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
    /// The number of the signal that ended the process, 0 for none. VIC's guest does not write this
    /// key.
    #[guestinfo(key = "signal", scope = "read-write")]
    signal: Option<i32>,
    /// Whether the kernel killed the process because memory ran out. VIC's guest does not write this
    /// key.
    #[guestinfo(key = "oom", scope = "read-write")]
    oom: Option<bool>,
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

/// Placeholder for the exit status of a process that has not ended. A guest may write the status
/// that it read, or zero, together with `started`, so the presence of the key proves nothing. In
/// 1.x, the stop time proves the exit. 0.4 has no such key, so the status starts as a number that
/// no process exits with.
const NOT_ENDED: i32 = i32::MIN;

impl Session {
    /// Returns the state of VIC's new containers.
    fn ended() -> Self {
        Self {
            status: Some(0),
            ..Self::default()
        }
    }

    /// Returns the state at the start of a run.
    fn begun(dialect: Dialect) -> Self {
        Self {
            started: Started::No,
            status: (dialect == Dialect::Vic04).then_some(NOT_ENDED),
            signal: None,
            oom: None,
            run_block: Some(false),
            detail: Detail {
                start_time: None,
                stop_time: Some(0),
            },
        }
    }

    fn end(&self) -> Option<ExitStatus> {
        if self.detail.stop_time == Some(0) {
            return None;
        }
        let status = self.status.filter(|status| *status != NOT_ENDED)?;
        Some(exit_of(status, self.signal, self.oom == Some(true)))
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, GuestInfo)]
struct HostOnly {
    /// The number of the run that the other keys belong to: 1 after the creation, incremented by
    /// each recorded start. The first start of a container does not have to be recorded, because it
    /// changes no key.
    #[guestinfo(key = "starts", scope = "hidden")]
    starts: Option<i64>,
    /// The exit status of the last run, if the host persisted it.
    #[guestinfo(key = "exit", scope = "hidden")]
    exit: Option<String>,
}

/// What the keys report about the last run of one container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct LastRun {
    /// See [`RunState::starts`].
    pub(super) starts: i64,
    /// Whether a start was recorded.
    pub(super) begun: bool,
    /// The exit status that the host persisted.
    pub(super) recorded: Option<ExitStatus>,
    /// The guest's report of the launch.
    started: Started,
    /// The exit status that the guest reported.
    pub(super) status: Option<ExitStatus>,
}

impl LastRun {
    /// Returns the guest's report of the launch: empty, `true`, or the reason of the failure.
    pub(super) fn started(&self) -> &str {
        launch(&self.started)
    }
}

fn launch(started: &Started) -> &str {
    match started {
        Started::No => "",
        Started::Yes => "true",
        Started::Failed(reason) => reason,
    }
}

impl RunState {
    pub(super) fn read<'k, K, V>(keys: impl IntoIterator<Item = (&'k K, &'k V)>) -> Self
    where
        K: AsRef<str> + ?Sized + 'k,
        V: AsRef<str> + ?Sized + 'k,
    {
        decode::<Self>(keys).value
    }

    /// Returns what the keys report about the last run of a container.
    pub(super) fn last(&self, id: &ContainerId) -> LastRun {
        let session = self.session(id);
        LastRun {
            starts: self.starts(),
            begun: self.begun(),
            recorded: self.exit(),
            started: session.map(|s| s.started.clone()).unwrap_or_default(),
            status: session.and_then(Session::end),
        }
    }

    /// Returns the keys of a session that describe the exit of its process.
    pub(super) fn keys_of_an_end(id: &str, dialect: Dialect) -> Result<Vec<String>, EncodeError> {
        let at_rest = |session| Self {
            sessions: [(id.to_owned(), Box::new(session))].into(),
            ..Self::default()
        };
        let (new, ended) = (at_rest(Session::default()), at_rest(Session::ended()));
        Ok(new.changes(&ended, dialect)?.into_keys().collect())
    }

    /// Returns when the process of the last run started and ended, as the guest reported it.
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

    /// Returns the number of the run that the guest's reports belong to; 0 if the port layer
    /// neither created the container nor ever started it.
    pub(super) fn starts(&self) -> i64 {
        self.host.starts.unwrap_or(0)
    }

    /// Returns the number of the run as the guest knows it, if it does.
    pub(super) fn number(&self) -> Option<i64> {
        self.run
    }

    /// Returns whether a start was recorded.
    pub(super) fn begun(&self) -> bool {
        self.starts() > 1
    }

    /// Returns the state of a new container, with which its first run begins.
    pub(super) fn first(&self, dialect: Dialect) -> Self {
        self.numbered(1, dialect)
    }

    /// Returns whether a run can begin without a change of the keys, if it does not wait for a
    /// client.
    pub(super) fn is_first(&self, dialect: Dialect) -> bool {
        let changes = self.first(dialect).changes(self, dialect);
        changes.is_ok_and(|changes| changes.is_empty())
    }

    /// Returns the exit status of the last run that the host persisted.
    pub(super) fn exit(&self) -> Option<ExitStatus> {
        exit_from_text(self.host.exit.as_deref()?)
    }

    /// Returns the state with which a recorded run begins.
    pub(super) fn restarted(&self, dialect: Dialect) -> Self {
        self.numbered(self.starts().max(1).saturating_add(1), dialect)
    }

    fn numbered(&self, starts: i64, dialect: Dialect) -> Self {
        let begun = |id: &String| (id.clone(), Box::new(Session::begun(dialect)));
        let host = HostOnly {
            starts: Some(starts),
            exit: None,
        };
        Self {
            sessions: self.sessions.keys().map(begun).collect(),
            run: Some(starts),
            host,
        }
    }

    /// Returns the state with the flag whether the process waits for a client to attach.
    pub(super) fn blocked(mut self, blocked: bool) -> Self {
        for session in self.sessions.values_mut() {
            session.run_block = Some(blocked);
        }
        self
    }

    /// Returns the state with this exit status persisted.
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

    /// Returns the changes from the keys of `old` to those of `self`; an empty value deletes a key.
    pub(super) fn changes(&self, old: &Self, dialect: Dialect) -> Result<Keys, EncodeError> {
        Ok(difference(&encode(old, dialect)?, encode(self, dialect)?))
    }

    fn session(&self, id: &ContainerId) -> Option<&Session> {
        let digits = id.digits();
        self.sessions
            .get(std::str::from_utf8(&digits).ok()?)
            .map(Box::as_ref)
    }
}

fn exit_to_text(exit: ExitStatus) -> String {
    match exit {
        ExitStatus::Code(code) => format!("code {code}"),
        ExitStatus::Signal(Some(signal)) => format!("signal {}", signal.number()),
        ExitStatus::Signal(None) => "signal 0".to_owned(),
        ExitStatus::OutOfMemory => "out of memory".to_owned(),
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
        Some(("out", "of memory")) => Some(ExitStatus::OutOfMemory),
        Some(("not", "launched")) => Some(ExitStatus::NotLaunched),
        Some(("never", "on")) => Some(ExitStatus::NeverOn),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

    use super::*;
    use crate::exec::{Command, ContainerSpec, Signal};
    use crate::vsphere::record::Record;

    #[test]
    fn a_start_clears_what_the_guest_said_and_counts() {
        for dialect in Dialect::ALL {
            let spec = ContainerSpec::new("jovial_ride", Command::new("/hello"));
            let record = Record::new(&spec, Timestamp::from_second(1_467_000_000).unwrap());
            let id = record.spec.id;
            let mut keys = record.keys(dialect).unwrap();
            let key = |leaf: &str| format!("{}.sessions|{id}.{leaf}", dialect.base());
            let fresh = RunState::read(&keys);
            assert_eq!((fresh.starts(), fresh.last(&id).started()), (1, ""));
            assert_eq!((fresh.begun(), fresh.last(&id).status), (false, None));
            // The fresh keys are those of a first run, so the first start writes nothing.
            assert!(fresh.is_first(dialect));
            // VIC 0.4 has no key that makes a process wait.
            let waits = fresh.clone().blocked(true);
            assert_eq!(waits.is_first(dialect), dialect == Dialect::Vic04);

            // A guest may write everything that it has when it starts the process.
            keys.insert(key("started"), "true".into());
            if dialect == Dialect::Vic1 {
                keys.insert(key("status"), "0".into());
                keys.insert(key("detail.stoptime"), "0".into());
            }
            let running = RunState::read(&keys);
            assert_eq!(
                (running.last(&id).started(), running.last(&id).status),
                ("true", None)
            );

            keys.insert(key("status"), "3".into());
            if dialect == Dialect::Vic1 {
                keys.insert(key("detail.stoptime"), "1467000001".into());
            }
            let ran = RunState::read(&keys);
            assert_eq!(ran.last(&id).status, Some(ExitStatus::Code(3)));
            keys.insert(key("signal"), "15".into());
            let ended = RunState::read(&keys).last(&id).status;
            assert_eq!(ended, Some(ExitStatus::Signal(Some(Signal::TERM))));
            keys.insert(key("signal"), "9".into());
            keys.insert(key("oom"), "true".into());
            let ended = RunState::read(&keys).last(&id).status;
            assert_eq!(ended, Some(ExitStatus::OutOfMemory));
            keys.insert(key("signal"), "0".into());
            keys.insert(key("oom"), "false".into());
            let ran = RunState::read(&keys);
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
                (key("signal"), String::new()),
                (key("oom"), String::new()),
            ]
            .into();
            expected.extend(match dialect {
                Dialect::Vic04 => vec![(key("status"), NOT_ENDED.to_string())],
                Dialect::Vic1 => {
                    vec![
                        (key("status"), String::new()),
                        (key("detail.stoptime"), "0".into()),
                        ("guestinfo.vice./run".into(), "2".into()),
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
            ExitStatus::KILLED,
            ExitStatus::OutOfMemory,
            ExitStatus::Signal(None),
            ExitStatus::NotLaunched,
            ExitStatus::NeverOn,
            ExitStatus::Lost,
        ] {
            assert_eq!(RunState::default().ended(exit).exit(), Some(exit));
        }
        assert_eq!(exit_from_text("whatever"), None);
    }
}
