//! Options of this implementation.

use std::path::PathBuf;
use std::time::Duration;

use guestinfo::Dialect;

use super::LogRotation;
use crate::Capabilities;
use crate::image::platform::AMD64;

/// Options of the hosts: the dialect of keys, timeouts, and capabilities of the endpoint.
#[derive(Clone, Debug)]
pub struct Options {
    /// The dialect in which the keys of new hosts and containers are written. Default:
    /// [`Dialect::Vic1`], which has all fields. Existing keys are read in either dialect.
    pub dialect: Dialect,
    /// How long a guest may take from power-on to its report that the process started. Default:
    /// 3 minutes, as in VIC.
    pub start_timeout: Duration,
    /// How long the endpoint may take for one task. Default: 5 minutes. Uploads to a datastore have
    /// no such limit, but must make progress.
    pub task_timeout: Duration,
    /// How long a guest may take to accept a request, such as a signal. A request that was neither
    /// accepted nor refused by then counts as possibly delivered. Default: 10 seconds.
    pub guest_timeout: Duration,
    /// How long a machine whose start is recorded must stay off, without a task that powers it on,
    /// before a wait or a stop ends with [`NeverOn`](crate::ExitStatus::NeverOn). Also how long a
    /// removal may seem interrupted before it is finished in the background. Default: 5 seconds.
    pub settle_timeout: Duration,
    /// How often a change is retried when the machine was changed concurrently. Default: 3 times.
    pub conflict_retries: u32,
    /// How long an unfinished image of another writer may show no progress before it is removed and
    /// imported again. Default: 20 seconds. If the endpoint does not protect a machine while its
    /// disk is being uploaded, this has to be longer than any transfer, unless there is only one
    /// writer.
    pub import_patience: Duration,
    /// How long a directory with files of a container or an image but no machine must be unchanged
    /// before [`check`](super::VsphereExec::check) reports it. The delay is needed because the
    /// endpoint creates the directory of a new machine before the machine. Default: one hour.
    pub left_behind_after: Duration,
    /// Whether this program opens hosts as their only writer. Opening fails with
    /// [`InUse`](crate::ErrorKind::InUse) while another such writer is alive. It takes over the
    /// host from a writer that does not answer within the
    /// [`takeover_timeout`](Self::takeover_timeout); see [the protocol](super#the-only-writer).
    /// Default: `false`.
    pub sole_writer: bool,
    /// How long the writer of a host may take to answer a program that wants to take over the host.
    /// Default: 30 seconds.
    pub takeover_timeout: Duration,
    /// The rotation of containers' logs. `None`, the default: logs are not rotated. The front end
    /// that starts a container decides; logs with several parts are always read completely.
    pub log_rotation: Option<LogRotation>,
    /// The directory for temporary files. An import writes the compressed disk of the image there
    /// before it sends it, and up to 1 GiB of decompressed layers. `None`, the default: the system's directory, which on Unix is `TMPDIR` or
    /// `/tmp`.
    pub temporary_directory: Option<PathBuf>,
    /// The architecture of the machines, in Go's terms. Images for another one are refused.
    /// Default: `amd64`, which every ESXi host for servers has. Guests of a simulator that run
    /// processes of its own system have that system's architecture.
    pub architecture: String,
    /// The capabilities of the endpoint. `None`, the default: they are
    /// [probed](super#what-endpoints-may-lack) when the first host is opened.
    pub capabilities: Option<Capabilities>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            dialect: Dialect::default(),
            start_timeout: Duration::from_secs(180),
            task_timeout: Duration::from_secs(300),
            guest_timeout: Duration::from_secs(10),
            settle_timeout: Duration::from_secs(5),
            conflict_retries: 3,
            import_patience: Duration::from_secs(20),
            left_behind_after: Duration::from_secs(3600),
            sole_writer: false,
            takeover_timeout: Duration::from_secs(30),
            log_rotation: None,
            temporary_directory: None,
            architecture: AMD64.to_owned(),
            capabilities: None,
        }
    }
}
