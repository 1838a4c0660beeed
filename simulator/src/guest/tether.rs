//! The built-in guest, which imitates the agent that starts a container's processes.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::{BoxFuture, select_all};
use guestinfo::Dialect;
use guestinfo::rpc::{GuestStore, RpcError};
use guestinfo::vic::{ExecutorConfig, SessionConfig, Started};
use jiff::Timestamp;

use super::program::{KILL, Process, Program};
use super::{Guest, GuestMachine, GuestProgram, GuestProgramRefusal};

/// Base of the exit status of a process that was ended by a signal; the signal's number is
/// added.
const SIGNALLED: i32 = 128;
/// Exit status of a process that was ended by `SIGTERM`.
const TERMINATED: i32 = SIGNALLED + 15;

/// A guest that imitates the agent of VIC, called tether, in either of its dialects.
///
/// At power-on, it reads the container's sessions, starts their programs and writes `started`.
/// When the programs have exited, it writes their exit status and powers the machine off. An
/// unknown program is not started: its `started` contains the reason, and the machine is
/// powered off. A machine without sessions, such as an appliance, stays on without tools, like
/// a machine without an operating system. When the host requests a shutdown, the processes end
/// with status 143. The agent's commands `kill` and `group-kill` are supported: a process that
/// is ended by a signal has the status 128 plus the signal's number.
///
/// The built-in programs are `/hello` and `/bin/true` (status 0), `/bin/false` (status 1) and
/// `/bin/sleep`, which accepts seconds as its last argument.
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
    /// Creates a tether with the built-in programs.
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

    /// Sets the program to run in place of every unknown program, which is otherwise refused.
    #[must_use]
    pub fn unknown(mut self, program: Program) -> Self {
        self.unknown = Some(program);
        self
    }

    async fn live(&self, machine: &GuestMachine) -> Result<(), RpcError> {
        let mut store = GuestStore::new(machine.clone());
        let mut container: ExecutorConfig = store.read()?.value;
        if container.sessions.is_empty() {
            // Without sessions nothing runs in the machine, so nothing responds to the host.
            return std::future::pending().await;
        }
        machine.set_tools_running(true);
        let dialect = Dialect::detect(
            ["guestinfo.vice./sessions"]
                .into_iter()
                .filter(|key| machine.get(key).is_ok_and(|value| value.is_some())),
        );
        // Sessions with `runblock` wait for a client to attach; the older dialect has no such
        // key.
        let bound = dialect.is_some() && container.sessions.values().any(|s| s.active);
        let mut running: Vec<Running> = Vec::new();
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
                Err(reason) => session.started = Started::failed(reason),
            }
        }
        store.write(&container)?;
        while !running.is_empty() {
            let ended = select_all(running.iter_mut().map(|running| &mut running.run));
            tokio::select! {
                (status, at, _) = ended => {
                    let ended = running.remove(at);
                    end(&mut container, &ended.id, status);
                }
                () = machine.shutdown_requested() => {
                    for running in running.drain(..) {
                        end(&mut container, &running.id, TERMINATED);
                    }
                }
                program = machine.next_program() => {
                    for (id, signal) in signal(&mut running, program) {
                        end(&mut container, &id, SIGNALLED + signal);
                    }
                }
            }
            store.write(&container)?;
        }
        Ok(())
    }

    /// Starts the program of a session, or returns the reason why it cannot be started.
    fn start(
        &self,
        id: &str,
        session: &SessionConfig,
        machine: &GuestMachine,
    ) -> Result<Running, String> {
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
        Ok(Running {
            id: id.to_owned(),
            run: program.run(process),
            program: program.clone(),
        })
    }
}

/// The running process of a session.
struct Running {
    id: String,
    run: BoxFuture<'static, i32>,
    program: Program,
}

/// Carries out a command of the agent: `kill` signals the process of the session whose id is
/// the request's user name, `group-kill` signals all processes. Returns the sessions that
/// ended, each with the signal.
fn signal(running: &mut Vec<Running>, command: GuestProgram) -> Vec<(String, i32)> {
    let all = match &*command.path {
        "kill" => false,
        "group-kill" => true,
        _ => {
            command.refuse(GuestProgramRefusal::NotFound);
            return Vec::new();
        }
    };
    let Some(signal) = number(&command.arguments) else {
        command.refuse(GuestProgramRefusal::Arguments);
        return Vec::new();
    };
    let user = command.user.clone();
    // Any other id is that of the container. It stands for the container's main process, which
    // is in the first session.
    let named = running.iter().position(|running| running.id == user);
    let first = named.unwrap_or(0);
    command.started(1);
    let mut at = 0;
    let ended = running.extract_if(.., |running| {
        let meant = all || at == first;
        at += 1;
        meant && running.program.heeds(signal)
    });
    ended.map(|running| (running.id, signal)).collect()
}

/// Parses a signal: `TERM`, `SIGTERM`, `-TERM` or `15`.
fn number(text: &str) -> Option<i32> {
    const NAMES: [(&str, i32); 10] = [
        ("HUP", 1),
        ("INT", 2),
        ("QUIT", 3),
        ("ABRT", 6),
        ("KILL", KILL),
        ("USR1", 10),
        ("USR2", 12),
        ("ALRM", 14),
        ("TERM", 15),
        ("WINCH", 28),
    ];
    let text = text.trim().trim_start_matches('-').to_ascii_uppercase();
    let text = text.strip_prefix("SIG").unwrap_or(&text);
    match NAMES.iter().find(|(name, _)| *name == text) {
        Some((_, number)) => Some(*number),
        None => text.parse().ok().filter(|number| (1..=64).contains(number)),
    }
}

/// Writes the exit status of a session.
fn end(container: &mut ExecutorConfig, id: &str, status: i32) {
    if let Some(session) = container.sessions.get_mut(id) {
        session.exit_status = Some(status);
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
        if !machine.has_keys() {
            // No container was configured. The agent would not find any session.
            return std::future::pending().await;
        }
        // Boxed, so that the many machines without containers need no room for it.
        if let Err(error) = Box::pin(self.live(&machine)).await {
            tracing::warn!(%error, "the tether cannot reach its keys");
        }
        machine.power_off();
    }
}
