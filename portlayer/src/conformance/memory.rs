//! The processes of the conformance suite for [`MemoryExec`](crate::memory::MemoryExec).

use bytes::Bytes;

use super::{FLOOD, FLOODS, Process};
use crate::exec::{Command, ContainerSpec};
use crate::memory::{Behaviour, MemoryProcess};
use crate::stream::StdStream;

/// Returns the command of a process in memory.
#[must_use]
pub fn command(process: Process) -> Command {
    match process {
        Process::Exits(code) => Command::new("/exit").arg(code.to_string()),
        Process::Runs => Command::new("/run"),
        Process::CannotLaunch => Command::new("/missing"),
        Process::Echoes => Command::new("/echo"),
        Process::Floods => Command::new("/flood"),
        Process::ShowsSize => Command::new("/size"),
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
        "/echo" => Behaviour::scripted(echo),
        "/flood" => Behaviour::scripted(flood),
        "/size" => Behaviour::scripted(show_size),
        _ => Behaviour::cannot_launch("no such file"),
    }
}

async fn echo(mut process: MemoryProcess) -> i32 {
    process.write(StdStream::Stdout, "ready\n").await;
    while let Some(bytes) = process.read().await {
        process.write(StdStream::Stdout, bytes.clone()).await;
        process.write(StdStream::Stderr, bytes).await;
    }
    process.write(StdStream::Stdout, "bye\n").await;
    7
}

async fn flood(process: MemoryProcess) -> i32 {
    let text = Bytes::from(FLOOD.repeat(FLOODS));
    process.write(StdStream::Stdout, text).await;
    0
}

async fn show_size(mut process: MemoryProcess) -> i32 {
    while process.read().await.is_some() {
        let size = process.window();
        let text = size.map(|size| format!("{}x{}\n", size.columns, size.rows));
        process
            .write(StdStream::Stdout, text.unwrap_or_default())
            .await;
    }
    0
}
