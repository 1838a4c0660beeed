//! The agent, from the machine's boot to its end.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use guest_io::log::Format;
use guestinfo::Dialect;
use guestinfo::rpc::{GuestRpc, GuestStore, RpcError};
use guestinfo::vic::{ExecutorConfig, ExitLog, SessionConfig, Started};
use jiff::Timestamp;
use tether_sys::{Exit, Launch};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::lines::Lines;
use crate::log::{Log, LogWriter};
use crate::platform::Platform;
use crate::run::{Report, Run};
use crate::session::{Session, Sessions, Settings};
use crate::signal::signal_number;

/// The signal that asks a process to exit, unless its configuration has another.
const TERM: i32 = 15;
/// How long clients have to take the last of the output before the machine goes off.
const LAST_WORDS: Duration = Duration::from_secs(6);
/// How long the log line may take to drain before the machine is switched off.
const LOG_FLUSH: Duration = Duration::from_secs(10);

/// Keys of the line that VIC did not have.
#[cfg(feature = "ssh")]
#[derive(Clone, Debug, Default, PartialEq, Eq, guestinfo::GuestInfo)]
struct LineKeys {
    /// The public key of the host that may attach, in OpenSSH's format.
    #[guestinfo(key = "clientkey", scope = "read-only", default)]
    client_key: String,
}

/// Runs a container machine, from its boot to its end.
#[derive(Debug)]
pub struct Agent<R> {
    platform: Arc<dyn Platform>,
    lines: Arc<dyn Lines>,
    store: GuestStore<R>,
    sessions: Sessions,
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
    /// Creates an agent for a machine with these keys and lines.
    pub fn new(platform: Arc<dyn Platform>, lines: Arc<dyn Lines>, keys: R) -> Self {
        Self {
            platform,
            lines,
            store: GuestStore::new(keys),
            sessions: Sessions::default(),
        }
    }

    /// Returns the sessions, for clients that reach the agent by other means than its lines.
    #[must_use]
    pub fn sessions(&self) -> Sessions {
        self.sessions.clone()
    }

    /// Runs the agent; returns after the machine was told to switch off. A machine
    /// without sessions stays on until the host requests a shutdown.
    ///
    /// If the future is dropped, nothing is reported any more, and the platform must
    /// end the processes.
    ///
    /// # Errors
    /// Fails when the keys cannot be read or written. The machine is switched off
    /// anyway.
    pub async fn run(mut self) -> Result<(), AgentError> {
        let done = self.live().await;
        self.platform.power_off().await;
        done
    }

    async fn live(&mut self) -> Result<(), AgentError> {
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
        match self.platform.prepare(&container).await {
            Ok(prepared) => {
                for (network, address) in prepared.addresses {
                    if let Some(endpoint) = container.networks.get_mut(&network) {
                        endpoint.assigned = Some(address.into());
                    }
                }
                for note in prepared.notes {
                    tracing::info!(container = container.common.id, note, "an absence");
                    container.diagnostics.exit_logs.push(ExitLog {
                        time: Timestamp::now(),
                        exit_status: 0,
                        message: note,
                    });
                }
            }
            Err(error) => {
                for session in container.sessions.values_mut() {
                    session.started = Started::failed(error.to_string());
                }
                return self.write(&container);
            }
        }
        let (log, writer) = Log::new();
        let mut lines = JoinSet::new();
        let logging = lines.spawn(log_to(Arc::clone(&self.lines), writer, dialect));
        let mut running = JoinSet::new();
        let (reports, mut incoming) = mpsc::channel(16);
        self.start_all(&mut running, &container, dialect, &log, &reports);
        drop((log, reports));
        self.serve(&mut lines, &container, dialect)?;
        self.follow(&mut container, dialect, &mut incoming).await?;
        drop(tokio::time::timeout(LAST_WORDS, self.sessions.drained()).await);
        let flushed = async {
            while !logging.is_finished() {
                if lines.join_next().await.is_none() {
                    return;
                }
            }
        };
        if tokio::time::timeout(LOG_FLUSH, flushed).await.is_err() {
            tracing::warn!("the log line did not take the end of the output in time");
        }
        Ok(())
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
        // Sessions with `runblock` wait for a client; the older dialect has no such key.
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

    /// Serves clients that attach, if the machine has keys for that.
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
            tracing::debug!("nobody can attach: the machine has no keys for its line");
            self.sessions.unblock_all();
            return Ok(());
        }
        let sessions = self.sessions();
        match crate::control::server(host_key, &keys.client_key, dialect, sessions) {
            Ok(server) => {
                lines.spawn(crate::control::serve(server, Arc::clone(&self.lines)));
            }
            Err(error) => {
                tracing::warn!(%error, "nobody can attach: the keys of the line cannot be read");
                self.sessions.unblock_all();
            }
        }
        Ok(())
    }

    /// Nobody can attach.
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

    /// Writes what happens to the sessions, until the last has ended.
    async fn follow(
        &mut self,
        container: &mut ExecutorConfig,
        dialect: Dialect,
        incoming: &mut mpsc::Receiver<Report>,
    ) -> Result<(), AgentError> {
        let platform = Arc::clone(&self.platform);
        let mut asked = false;
        loop {
            let report = tokio::select! {
                report = incoming.recv() => report,
                () = platform.shutdown_requested(), if !asked => {
                    asked = true;
                    stop_all(&self.sessions, container).await;
                    continue;
                }
            };
            let Some(report) = report else { return Ok(()) };
            self.write_signal(&report, dialect)?;
            apply(container, report);
            // Combine pending reports into one write.
            while let Ok(report) = incoming.try_recv() {
                self.write_signal(&report, dialect)?;
                apply(container, report);
            }
            self.write(container)?;
        }
    }

    /// Writes which signal ended a process, 0 for none. The status alone does not tell an exit with
    /// 143 from an end by `TERM`. VIC has no such key. It is written before the status, so that
    /// every reader of the status sees it.
    fn write_signal(&mut self, report: &Report, dialect: Dialect) -> Result<(), AgentError> {
        let Report::Ended { id, exit } = report else {
            return Ok(());
        };
        let signal = match exit {
            Exit::Code(_) => 0,
            Exit::Signal(signal) => *signal,
        };
        let key = format!("{}.sessions|{id}.signal", dialect.base());
        let rpc = self.store.rpc_mut();
        rpc.set(&key, &signal.to_string())
            .map_err(AgentError::Write)
    }

    fn write(&mut self, container: &ExecutorConfig) -> Result<(), AgentError> {
        let refused = self.store.write(container).map_err(AgentError::Write)?;
        for refused in refused {
            tracing::debug!(?refused, "a change of a key is not the agent's to make");
        }
        Ok(())
    }
}

/// Asks all processes to end, each by its own signal.
async fn stop_all(sessions: &Sessions, container: &ExecutorConfig) {
    for (id, config) in &container.sessions {
        let Some(session) = sessions.get(id) else {
            continue;
        };
        let signal = signal_number(&config.stop_signal).unwrap_or(TERM);
        session.stop();
        if let Err(error) = session.signal(signal).await {
            tracing::debug!(session = id, %error, "a session was not asked to end");
        }
    }
}

async fn log_to(lines: Arc<dyn Lines>, writer: LogWriter, dialect: Dialect) {
    let line = match lines.log().await {
        Ok(line) => line,
        Err(error) => {
            tracing::warn!(%error, "there is no log line: output is not logged");
            None
        }
    };
    let format = match dialect {
        Dialect::Vic04 => Format::Raw,
        Dialect::Vic1 => Format::Records,
    };
    writer.run(format, line).await;
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
    launch
}

/// A change of a session's keys.
type Change = Box<dyn FnOnce(&mut SessionConfig)>;

/// Notes what happened to a session.
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
