//! A process in a container.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::limits::Limits;
use crate::GuestInfo;

/// The id and name of a session, endpoint or network.
#[derive(Clone, Debug, Default, PartialEq, Eq, GuestInfo)]
pub struct Common {
    /// The environment to which the object belongs; VIC leaves it empty.
    #[guestinfo(key = "ExecutionEnvironment", default)]
    pub execution_environment: String,
    /// The id. For an endpoint: the PCI slot number of the NIC, in decimal.
    #[guestinfo(key = "id", scope = "read-only")]
    pub id: String,
    /// The name. For an endpoint: the link's name in the guest, or empty.
    #[guestinfo(key = "name", scope = "read-only")]
    pub name: String,
    /// When the object was created, in seconds since 1970. Only in 0.4, which always
    /// writes 0.
    #[guestinfo(vic04(key = "created", scope = "read-only"), default)]
    pub created: i64,
    /// Free text, for the host only.
    #[guestinfo(key = "notes", scope = "hidden", default)]
    pub notes: String,
}

/// The command to start.
#[derive(Clone, Debug, Default, PartialEq, Eq, GuestInfo)]
pub struct Command {
    /// The program: an absolute path, or a name to be found in `PATH`.
    #[guestinfo(key = "Path", scope = "read-only")]
    pub path: String,
    /// The arguments; the first one is the name of the program.
    #[guestinfo(key = "Args", scope = "read-only")]
    pub args: Vec<String>,
    /// The environment variables, each as `NAME=value`.
    #[guestinfo(key = "Env", scope = "read-only")]
    pub env: Vec<String>,
    /// The working directory.
    #[guestinfo(key = "Dir", scope = "read-only")]
    pub dir: String,
}

/// Whether a session was started.
#[derive(Clone, Debug, Default, PartialEq, Eq, GuestInfo)]
pub enum Started {
    /// The process has not been started yet.
    #[default]
    #[guestinfo(text = "")]
    No,
    /// The process was started.
    #[guestinfo(text = "true")]
    Yes,
    /// The process could not be started, for this reason. Written by the guest. Writing
    /// an empty reason or `true` is an error; see [`Started::failed`].
    #[guestinfo(other)]
    Failed(String),
}

impl Started {
    /// Returns `Failed` for a reason that may be any text.
    ///
    /// ```
    /// use guestinfo::vic::Started;
    ///
    /// assert_eq!(Started::failed("no such file"), Started::Failed("no such file".into()));
    /// assert_eq!(Started::failed(""), Started::Failed("unknown error".into()));
    /// assert_eq!(Started::failed("true"), Started::Failed("error: true".into()));
    /// ```
    #[must_use]
    pub fn failed(reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self::Failed(match reason.as_str() {
            "" => "unknown error".into(),
            "true" | "<nil>" => format!("error: {reason}"),
            _ => reason,
        })
    }
}

/// A process of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, GuestInfo)]
pub struct SessionConfig {
    /// The id and name. The session of the main process has the container's id.
    #[guestinfo(key = "common", scope = "read-only")]
    pub common: Common,
    /// The command to start.
    #[guestinfo(key = "cmd", scope = "read-only")]
    pub command: Command,
    /// Whether a client may attach to the streams of the process.
    #[guestinfo(key = "attach", scope = "read-only")]
    pub attach: bool,
    /// Whether standard input stays open.
    #[guestinfo(vic1(key = "openstdin", scope = "read-only"), default)]
    pub open_stdin: bool,
    /// Whether the guest delays the start until a client attaches. The guest then clears
    /// this.
    #[guestinfo(vic1(key = "runblock", scope = "read-write"), default)]
    pub run_block: bool,
    /// Whether the process is to be started at all.
    #[guestinfo(vic1(key = "active", scope = "read-only"), default)]
    pub active: bool,
    /// Whether the process has a terminal.
    #[guestinfo(key = "tty", scope = "read-only")]
    pub tty: bool,
    /// The exit status; `None` if none has been written. Written by the guest; VIC writes
    /// 0 from the beginning.
    #[guestinfo(key = "status", scope = "read-write")]
    pub exit_status: Option<i32>,
    /// Whether the process was started. Written by the guest.
    #[guestinfo(key = "started", scope = "read-write", default)]
    pub started: Started,
    /// Whether the process is restarted when it exits.
    #[guestinfo(key = "restart", scope = "read-only")]
    pub restart: bool,
    /// The signal that requests termination, without `SIG`; empty for `TERM`.
    #[guestinfo(vic1(key = "stopSignal", scope = "read-only"), default)]
    pub stop_signal: String,
    /// The guest's diagnostics about the process.
    #[guestinfo(key = "diagnostics", scope = "read-only", default)]
    pub diagnostics: Diagnostics,
    /// The user of the process, by name or number.
    #[guestinfo(vic1(key = "User", scope = "read-only"), default)]
    pub user: String,
    /// The group of the process, by name or number.
    #[guestinfo(vic1(key = "Group", scope = "read-only"), default)]
    pub group: String,
    /// When the session was created, started and stopped.
    #[guestinfo(vic1(key = "detail", scope = "read-write"), default)]
    pub detail: SessionDetail,
    /// The limits of the process. Our extension.
    #[guestinfo(key = "limits", scope = "read-only")]
    pub limits: Option<Limits>,
}

/// When a session was created, started and stopped, in seconds since 1970; 0 for never.
#[derive(Clone, Debug, Default, PartialEq, Eq, GuestInfo)]
pub struct SessionDetail {
    /// When the session was created.
    #[guestinfo(key = "createtime", scope = "read-write", default)]
    pub create_time: i64,
    /// When the session was started.
    #[guestinfo(key = "starttime", scope = "read-write", default)]
    pub start_time: i64,
    /// When the session was stopped.
    #[guestinfo(key = "stoptime", scope = "read-write", default)]
    pub stop_time: i64,
}

/// Diagnostics about the guest.
#[derive(Clone, Debug, Default, PartialEq, Eq, GuestInfo)]
pub struct Diagnostics {
    /// The log level of the guest's agent; 0 is the lowest.
    #[guestinfo(key = "debug", scope = "read-only", default)]
    pub debug_level: i32,
    /// The number of restarts. Written by the guest.
    #[guestinfo(key = "resurrections", scope = "read-write", default)]
    pub resurrections: i32,
    /// The exits of all runs. Written by the guest.
    #[guestinfo(vic1(key = "exitlogs", scope = "read-write"))]
    pub exit_logs: Vec<ExitLog>,
    /// The server to which the guest sends its log.
    #[guestinfo(vic1(key = "syslog", scope = "read-only"))]
    pub syslog: Option<SyslogConfig>,
}

/// One exit of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq, GuestInfo)]
pub struct ExitLog {
    /// The time of the exit.
    #[guestinfo(key = "Time")]
    pub time: Timestamp,
    /// The exit status.
    #[guestinfo(key = "ExitStatus")]
    pub exit_status: i32,
    /// A message about the exit.
    #[guestinfo(key = "Message")]
    pub message: String,
}

/// A syslog server.
#[derive(Clone, Debug, Default, PartialEq, Eq, GuestInfo)]
pub struct SyslogConfig {
    /// `tcp` or `udp`.
    #[guestinfo(key = "Network")]
    pub network: String,
    /// The host and port.
    #[guestinfo(key = "RAddr")]
    pub address: String,
}

/// The sessions, by id.
pub(super) type Sessions = BTreeMap<String, SessionConfig>;
