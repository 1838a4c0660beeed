//! The built-in guest: it plays the agent that starts a container's processes.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::{BoxFuture, Either, select, select_all};
use guestinfo::Dialect;
use guestinfo::rpc::{GuestStore, RpcError};
use guestinfo::vic::{ExecutorConfig, SessionConfig, Started};
use jiff::Timestamp;

use super::program::{Process, Program};
use super::{Guest, GuestMachine};

/// The status of a process that was asked to end: 128 and the number of `SIGTERM`.
const TERMINATED: i32 = 143;

/// Plays VIC's agent, in either of its dialects.
///
/// On power-on it reads the container's sessions, starts the program of each,
/// writes `started`, lets them end, writes their exit status and switches the
/// machine off. A program that it does not know is not started: its `started`
/// says why, and the machine goes off. A machine without sessions, such as an
/// appliance, stays on. When the host asks for a shutdown, the processes end with status 143.
///
/// Known without being told: `/hello` (status 0), `/bin/true`, `/bin/false`
/// (status 1) and `/bin/sleep`, which takes seconds as its last argument.
#[derive(Clone, Debug)]
pub struct Tether {
    programs: BTreeMap<String, Program>,
    unknown: Option<Program>,
}

impl Default for Tether {
    fn default() -> Self {
        Self::new()
    }
}

impl Tether {
    /// A tether with the programs that it always knows.
    #[must_use]
    pub fn new() -> Self {
        let programs = BTreeMap::new();
        let unknown = None;
        Self { programs, unknown }
            .program("/hello", Program::exits(0))
            .program("/bin/true", Program::exits(0))
            .program("/bin/false", Program::exits(1))
            .program("/bin/sleep", Program::new(sleep))
    }

    /// Adds or replaces a program.
    #[must_use]
    pub fn program(mut self, path: impl Into<String>, program: Program) -> Self {
        self.programs.insert(path.into(), program);
        self
    }

    /// Runs this for every program that is not known, instead of refusing it.
    #[must_use]
    pub fn unknown(mut self, program: Program) -> Self {
        self.unknown = Some(program);
        self
    }

    async fn live(&self, machine: &GuestMachine) -> Result<(), RpcError> {
        let mut store = GuestStore::new(machine.clone());
        let mut container: ExecutorConfig = store.read()?.value;
        if container.sessions.is_empty() {
            machine.shutdown_requested().await;
            return Ok(());
        }
        let dialect = Dialect::detect(
            ["guestinfo.vice./sessions"]
                .into_iter()
                .filter(|key| machine.get(key).is_ok_and(|value| value.is_some())),
        );
        // Sessions that are not bound wait; the older dialect does not know of that.
        let bound = dialect.is_some() && container.sessions.values().any(|s| s.active);
        let mut running: Vec<BoxFuture<'static, (String, i32)>> = Vec::new();
        for (id, session) in &mut container.sessions {
            if bound && !session.active {
                continue;
            }
            match self.start(id, session, machine) {
                Ok(process) => {
                    session.started = Started::Yes;
                    session.detail.start_time = Timestamp::now().as_second();
                    running.push(process);
                }
                Err(reason) => session.started = Started::Failed(reason),
            }
        }
        store.write(&container)?;
        while !running.is_empty() {
            let ended = select_all(running);
            match select(ended, Box::pin(machine.shutdown_requested())).await {
                Either::Left((((id, status), _, rest), _)) => {
                    end(&mut container, &id, status);
                    running = rest;
                }
                Either::Right(_) => {
                    let started: Vec<String> = container
                        .sessions
                        .iter()
                        .filter(|(_, s)| s.started == Started::Yes && s.detail.stop_time == 0)
                        .map(|(id, _)| id.clone())
                        .collect();
                    for id in started {
                        end(&mut container, &id, TERMINATED);
                    }
                    running = Vec::new();
                }
            }
            store.write(&container)?;
        }
        Ok(())
    }

    /// Starts the program of a session, or says why not.
    fn start(
        &self,
        id: &str,
        session: &SessionConfig,
        machine: &GuestMachine,
    ) -> Result<BoxFuture<'static, (String, i32)>, String> {
        let path = &session.command.path;
        let program = self.programs.get(path).or(self.unknown.as_ref());
        let program = program.ok_or_else(|| format!("{path}: no such executable in PATH"))?;
        let process = Process {
            session: id.to_owned(),
            path: path.clone(),
            args: session.command.args.clone(),
            env: session.command.env.clone(),
            machine: machine.clone(),
        };
        let (id, run) = (id.to_owned(), program.run(process));
        Ok(Box::pin(async move { (id, run.await) }))
    }
}

/// Notes how a session ended.
fn end(container: &mut ExecutorConfig, id: &str, status: i32) {
    if let Some(session) = container.sessions.get_mut(id) {
        session.exit_status = status;
        session.detail.stop_time = Timestamp::now().as_second();
    }
}

async fn sleep(process: Process) -> i32 {
    let seconds = process.args().last().and_then(|text| text.parse().ok());
    match seconds.map(Duration::try_from_secs_f64) {
        Some(Ok(time)) => {
            tokio::time::sleep(time).await;
            0
        }
        _ => 1,
    }
}

#[async_trait::async_trait]
impl Guest for Tether {
    async fn run(&self, machine: GuestMachine) {
        machine.set_tools_running(true);
        if let Err(error) = self.live(&machine).await {
            tracing::warn!(%error, "the tether cannot reach its keys");
        }
        machine.power_off();
    }
}
