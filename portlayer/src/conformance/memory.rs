//! The fixture's processes for [`MemoryExec`](crate::memory::MemoryExec).

use super::Process;
use crate::exec::{Command, ContainerSpec};
use crate::memory::Behaviour;

/// Returns the command of a process in memory.
#[must_use]
pub fn command(process: Process) -> Command {
    match process {
        Process::Exits(code) => Command::new("/exit").arg(code.to_string()),
        Process::Runs => Command::new("/run"),
        Process::CannotLaunch => Command::new("/missing"),
    }
}

/// The [`Program`](crate::memory::Program) that implements those commands.
#[must_use]
pub fn behaviour(spec: &ContainerSpec) -> Behaviour {
    match spec.command.path.as_str() {
        "/exit" => {
            let code = spec.command.args.first().and_then(|code| code.parse().ok());
            Behaviour::exits(code.unwrap_or(0))
        }
        "/run" => Behaviour::runs(),
        _ => Behaviour::cannot_launch("no such file"),
    }
}
