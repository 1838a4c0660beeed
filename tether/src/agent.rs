//! The agent of a container machine.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use guest_io::log::{Format, RunMark};
use guestinfo::Dialect;
use guestinfo::rpc::{GuestRpc, GuestStore, RpcError};
use guestinfo::vic::{ExecutorConfig, ExitLog, SessionConfig, Started};
use jiff::Timestamp;
use tether_sys::{Exit, Launch, Limit};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::ended::{Ended, Ends};
use crate::lines::Lines;
use crate::log::{Log, LogWriter};
use crate::platform::Platform;
use crate::reload::{self, ReloadError, Reloaded, Reloader};
use crate::run::{Report, Run};
use crate::session::{Session, Sessions, Settings};
use crate::signal::signal_number;

/// The signal that asks a process to exit, unless its configuration has another.
const TERM: i32 = 15;
/// How long clients may take to read the rest of the output before the machine is switched off.
const CLIENT_FLUSH: Duration = Duration::from_secs(6);
/// How long the log line may take to drain before the machine is switched off.
const LOG_FLUSH: Duration = Duration::from_secs(10);

/// The keys of the control line that VIC did not have.
#[cfg(feature = "ssh")]
#[derive(Clone, Debug, Default, PartialEq, Eq, guestinfo::GuestInfo)]
struct LineKeys {
    /// The public key of the host that may attach, in OpenSSH's format.
    #[guestinfo(key = "clientkey", scope = "read-only", default)]
    client_key: String,
}

/// The key that numbers the runs of a container, which VIC did not have.
#[derive(Clone, Debug, Default, PartialEq, Eq, guestinfo::GuestInfo)]
struct RunKeys {
    /// The number of this run. Only the host can write it.
    #[guestinfo(vic1(key = "run", scope = "read-only"))]
    run: Option<i64>,
}

/// Runs the processes of a container machine, and reports on them.
#[derive(Debug)]
pub struct Agent<R> {
    platform: Arc<dyn Platform>,
    lines: Arc<dyn Lines>,
    store: GuestStore<R>,
    sessions: Sessions,
    reloader: Reloader,
    reloads: reload::Requests,
}

/// The reason why an agent failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AgentError {
    /// The keys of the machine could not be read.
    #[error("the configuration of the container could not be read")]
    Read(#[source] RpcError),
    /// The state of the container could not be reported.
    #[error("the state of the container could not be written")]
    Write(#[source] RpcError),
}

impl<R: GuestRpc + Send> Agent<R> {
    /// Creates an agent for a machine with these keys and serial lines.
    pub fn new(platform: Arc<dyn Platform>, lines: Arc<dyn Lines>, keys: R) -> Self {
        let (reloader, reloads) = Reloader::new();
        Self {
            platform,
            lines,
            store: GuestStore::new(keys),
            sessions: Sessions::default(),
            reloader,
            reloads,
        }
    }

    /// Returns the sessions, for clients in the same process that do not use the control line.
    #[must_use]
    pub fn sessions(&self) -> Sessions {
        self.sessions.clone()
    }

    /// Returns a handle that makes the agent read its keys again, for clients in the same process that
    /// do not use the control line.
    #[must_use]
    pub fn reloader(&self) -> Reloader {
        self.reloader.clone()
    }

    /// Runs the container, and switches the machine off after its last process has ended.
    /// Returns when the power-off was requested. A machine without sessions stays on until
    /// the host requests a shutdown.
    ///
    /// If the future is dropped, nothing more is reported, and the platform must end the
    /// processes.
    ///
    /// # Errors
    /// Fails when the keys cannot be read or written. The machine is switched off in this
    /// case, too.
    pub async fn run(mut self) -> Result<(), AgentError> {
        let done = self.run_container().await;
        self.platform.power_off().await;
        done
    }

    async fn run_container(&mut self) -> Result<(), AgentError> {
        let read = self.store.read::<ExecutorConfig>();
        let mut container = read.map_err(AgentError::Read)?.value;
        if container.sessions.is_empty() {
            self.platform.shutdown_requested().await;
            return Ok(());
        }
        let rpc = self.store.rpc_mut();
        let is_vic1 = rpc
            .get("guestinfo.vice./sessions")
            .map_err(AgentError::Read)?;
        let dialect = if is_vic1.is_some() {
            Dialect::Vic1
        } else {
            Dialect::Vic04
        };
        let run = self.run_mark(dialect)?;
        let (log, writer) = Log::new();
        match self.platform.prepare(&container).await {
            Ok(prepared) => {
                for (network, address) in prepared.addresses {
                    if let Some(endpoint) = container.networks.get_mut(&network) {
                        endpoint.assigned = Some(address.into());
                    }
                }
                for (network, leased) in prepared.leased {
                    if let Some(endpoint) = container.networks.get_mut(&network) {
                        endpoint.network.assigned = Some(leased);
                    }
                }
                for text in prepared.notes {
                    note(&mut container, text);
                }
            }
            Err(error) => {
                let reason = error.to_string();
                for session in container.sessions.values_mut() {
                    session.started = Started::failed(reason.clone());
                }
                self.write(&container)?;
                log.end(Ended::not_started(reason)).await;
                let logging = log_to(Arc::clone(&self.lines), writer, dialect, run);
                if tokio::time::timeout(LOG_FLUSH, logging).await.is_err() {
                    tracing::warn!("the reason was not written to the log line in time");
                }
                return Ok(());
            }
        }
        let mut lines = JoinSet::new();
        let logging = lines.spawn(log_to(Arc::clone(&self.lines), writer, dialect, run));
        let mut running = JoinSet::new();
        let (reports, mut incoming) = mpsc::channel(16);
        self.start_all(&mut running, &container, dialect, &log, &reports);
        drop(reports);
        self.serve(&mut lines, &container, dialect)?;
        if let Some(ended) = self.follow(&mut container, dialect, &mut incoming).await? {
            log.end(ended).await;
        }
        drop(tokio::time::timeout(CLIENT_FLUSH, self.sessions.drained()).await);
        let flushed = async {
            while !logging.is_finished() {
                if lines.join_next().await.is_none() {
                    return;
                }
            }
        };
        if tokio::time::timeout(LOG_FLUSH, flushed).await.is_err() {
            tracing::warn!("the end of the output was not written to the log line in time");
        }
        Ok(())
    }

    /// Returns the mark of this run, if the host has numbered it.
    fn run_mark(&mut self, dialect: Dialect) -> Result<Option<RunMark>, AgentError> {
        let keys = GuestStore::new(self.store.rpc_mut())
            .dialect(dialect)
            .read::<RunKeys>();
        let keys = keys.map_err(AgentError::Read)?.value;
        Ok(keys.run.and_then(RunMark::of))
    }

    /// Starts all sessions that are configured to run.
    fn start_all(
        &self,
        running: &mut JoinSet<()>,
        container: &ExecutorConfig,
        dialect: Dialect,
        log: &Log,
        reports: &mpsc::Sender<Report>,
    ) {
        // Only active sessions run, unless none is active. The older dialect has no such key.
        let sessions = &container.sessions;
        let bound = dialect == Dialect::Vic1 && sessions.values().any(|session| session.active);
        let wanted = sessions
            .iter()
            .filter(|(_, session)| session.active || !bound);
        let wanted: Vec<_> = wanted.collect();
        let left = Arc::new(AtomicUsize::new(wanted.len()));
        for (id, config) in wanted {
            let settings = Settings {
                id: id.clone(),
                tty: config.tty,
                attach: config.attach,
                open_stdin: config.open_stdin || (dialect == Dialect::Vic04 && config.attach),
                run_block: config.run_block,
            };
            let (session, input) = Session::new(settings, Arc::clone(&self.platform));
            self.sessions.insert(&session);
            let run = Run {
                session,
                input,
                launch: launch(config),
                restart: config.restart,
                platform: Arc::clone(&self.platform),
                log: log.clone(),
                reports: reports.clone(),
                left: Arc::clone(&left),
            };
            running.spawn(run.run());
        }
    }

    /// Serves the control line, if the machine has the SSH keys for it.
    #[cfg(feature = "ssh")]
    fn serve(
        &mut self,
        lines: &mut JoinSet<()>,
        container: &ExecutorConfig,
        dialect: Dialect,
    ) -> Result<(), AgentError> {
        let keys = GuestStore::new(self.store.rpc_mut())
            .dialect(dialect)
            .read::<LineKeys>();
        let keys = keys.map_err(AgentError::Read)?.value;
        let host_key = &container.key.0;
        if host_key.is_empty() || keys.client_key.is_empty() {
            tracing::debug!("no client can attach: the machine has no keys of the control line");
            self.sessions.unblock_all();
            return Ok(());
        }
        let guest = crate::control::Guest::new(
            self.sessions(),
            Arc::clone(&self.platform),
            self.reloader(),
        );
        match crate::control::server(host_key, &keys.client_key, dialect, guest) {
            Ok(server) => {
                lines.spawn(crate::control::serve(server, Arc::clone(&self.lines)));
            }
            Err(error) => {
                tracing::warn!(%error, "no client can attach: a key of the control line is invalid");
                self.sessions.unblock_all();
            }
        }
        Ok(())
    }

    /// Unblocks all sessions: without the feature `ssh`, no client can attach.
    #[cfg(not(feature = "ssh"))]
    fn serve(
        &mut self,
        _: &mut JoinSet<()>,
        _: &ExecutorConfig,
        _: Dialect,
    ) -> Result<(), AgentError> {
        self.sessions.unblock_all();
        Ok(())
    }

    /// Writes the reports of the sessions to the keys, until the last session has ended. Returns how
    /// the container's own session ended, which has its id, or else the last one.
    async fn follow(
        &mut self,
        container: &mut ExecutorConfig,
        dialect: Dialect,
        incoming: &mut mpsc::Receiver<Report>,
    ) -> Result<Option<Ended>, AgentError> {
        let platform = Arc::clone(&self.platform);
        let mut ends = Ends::new(container.common.id.clone());
        let mut asked = false;
        loop {
            let report = tokio::select! {
                report = incoming.recv() => report,
                change = platform.network_changed() => {
                    if let Err(error) = platform.apply_network_change(&change).await {
                        note(container, error.to_string());
                    }
                    if let Some(endpoint) = container.networks.get_mut(&change.network) {
                        endpoint.assigned = change.address.map(Into::into);
                        endpoint.network.assigned = change.leased;
                    }
                    self.write(container)?;
                    continue;
                }
                Some(reply) = self.reloads.recv() => {
                    let reloaded = self.reload(container);
                    if reloaded.is_ok() {
                        self.write(container)?;
                    }
                    // A client that no longer waits is ignored.
                    let _ = reply.send(reloaded);
                    continue;
                }
                () = platform.shutdown_requested(), if !asked => {
                    asked = true;
                    stop_all(&self.sessions, container).await;
                    continue;
                }
            };
            let Some(report) = report else {
                return Ok(ends.ended());
            };
            ends.see(&report);
            self.write_signal(&report, dialect)?;
            apply(container, report);
            // Combine pending reports into one write.
            while let Ok(report) = incoming.try_recv() {
                ends.see(&report);
                self.write_signal(&report, dialect)?;
                apply(container, report);
            }
            self.write(container)?;
        }
    }

    /// Writes the signal that ended a process, or 0 if it exited by itself, and whether memory ran
    /// out. The status alone does not distinguish an exit with 143 from an end by `TERM`. VIC has no
    /// such keys. They are written before the status, so that they exist when a reader sees the
    /// status.
    fn write_signal(&mut self, report: &Report, dialect: Dialect) -> Result<(), AgentError> {
        let Report::Ended { id, exit } = report else {
            return Ok(());
        };
        let out_of_memory = *exit == Exit::OutOfMemory;
        for (name, value) in [
            ("signal", exit.signal().unwrap_or(0).to_string()),
            ("oom", out_of_memory.to_string()),
        ] {
            let key = format!("{}.sessions|{id}.{name}", dialect.base());
            let written = self.store.rpc_mut().set(&key, &value);
            written.map_err(AgentError::Write)?;
        }
        Ok(())
    }

    /// Reads the keys again, and refuses the sessions that the host has added.
    fn reload(&mut self, container: &mut ExecutorConfig) -> Result<Reloaded, ReloadError> {
        let read = self.store.read::<ExecutorConfig>();
        let read = read.map_err(|error| ReloadError::Read {
            reason: error.to_string(),
        })?;
        Ok(reload::refuse_new(container, read.value))
    }

    fn write(&mut self, container: &ExecutorConfig) -> Result<(), AgentError> {
        let refused = self.store.write(container).map_err(AgentError::Write)?;
        for refused in refused {
            tracing::debug!(?refused, "the agent may not write this key");
        }
        Ok(())
    }
}

/// Sends each process its stop signal.
async fn stop_all(sessions: &Sessions, container: &ExecutorConfig) {
    for (id, config) in &container.sessions {
        let Some(session) = sessions.get(id) else {
            continue;
        };
        let signal = signal_number(&config.stop_signal).unwrap_or(TERM);
        session.stop();
        if let Err(error) = session.signal(signal).await {
            tracing::debug!(session = id, %error, "the stop signal was not sent");
        }
    }
}

async fn log_to(lines: Arc<dyn Lines>, writer: LogWriter, dialect: Dialect, run: Option<RunMark>) {
    let line = match lines.log().await {
        Ok(line) => line,
        Err(error) => {
            tracing::warn!(%error, "the log line cannot be opened: output is not logged");
            None
        }
    };
    let format = match dialect {
        Dialect::Vic04 => Format::Raw,
        Dialect::Vic1 => Format::Records,
    };
    writer.run(format, run, line).await;
}

/// Returns the process that a session's configuration describes.
fn launch(config: &SessionConfig) -> Launch {
    let command = &config.command;
    let mut launch = Launch::new(&command.path, []);
    if !command.args.is_empty() {
        launch.args.clone_from(&command.args);
    }
    launch.env.clone_from(&command.env);
    launch.dir.clone_from(&command.dir);
    launch.user.clone_from(&config.user);
    launch.group.clone_from(&config.group);
    let limits = config.limits.iter().flat_map(|limits| &limits.0);
    launch.limits = limits
        .map(|limit| Limit {
            name: limit.name.clone(),
            soft: limit.soft,
            hard: limit.hard,
        })
        .collect();
    launch
}

/// Adds a missing feature to the container's diagnostics.
fn note(container: &mut ExecutorConfig, note: String) {
    tracing::info!(container = container.common.id, note, "a missing feature");
    container.diagnostics.exit_logs.push(ExitLog {
        time: Timestamp::now(),
        exit_status: 0,
        message: note,
    });
}

/// A change of a session's keys.
type Change = Box<dyn FnOnce(&mut SessionConfig)>;

/// Records a report in the container's configuration.
fn apply(container: &mut ExecutorConfig, report: Report) {
    let (id, change): (_, Change) = match report {
        Report::Unblocked { id } => (id, Box::new(|session| session.run_block = false)),
        Report::Started { id } => (
            id,
            Box::new(|session| {
                session.started = Started::Yes;
                session.detail.start_time = Timestamp::now().as_second();
            }),
        ),
        Report::Failed { id, reason } => (
            id,
            Box::new(|session| session.started = Started::failed(reason)),
        ),
        Report::Ended { id, exit } => (
            id,
            Box::new(move |session| {
                session.exit_status = Some(exit.status());
                session.detail.stop_time = Timestamp::now().as_second();
            }),
        ),
    };
    if let Some(session) = container.sessions.get_mut(&id) {
        change(session);
    }
}
