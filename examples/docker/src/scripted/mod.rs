//! A port layer in memory, whose containers imitate a few commands and run no processes. For trying
//! and testing the front end alone.
//!
//! | command | does |
//! | --- | --- |
//! | `/hello` | prints a greeting, ends |
//! | `echo WORD…` | prints the words, ends |
//! | `env` | prints the variables, ends |
//! | `exit CODE` | ends with this code |
//! | `both` | prints `out` to the output and `err` to the error output, ends |
//! | `cat` | prints what it reads, until a signal ends it |
//! | `sleep` | runs until a signal ends it |
//! | `stubborn` | the same, and only `KILL` ends it |
//! | anything else | cannot be launched |
//!
//! Every port of every container echoes what it receives.

mod ports;
mod streams;

use std::sync::Arc;

use async_trait::async_trait;
use portlayer::exec::{
    ContainerInfo, ContainerSpec, Edit, Exec, Listing, Signal, StartOptions, StopOptions,
};
use portlayer::memory::{Behaviour, MemoryExec, MemoryImages};
use portlayer::{Capabilities, ContainerId, ExitStatus, PortLayer, Result, State};

pub use ports::EchoDialer;
use streams::ScriptedStreams;

/// Creates a port layer whose containers are scripted.
#[must_use]
pub fn port_layer() -> PortLayer {
    let exec = MemoryExec::new(|spec: &ContainerSpec| Script::of(spec).behaviour());
    let networks = Arc::new(exec.networks());
    let images = Arc::new(MemoryImages::of(exec.clone()));
    let streams = Arc::new(ScriptedStreams::new(exec.clone()));
    let exec = ScriptedExec {
        exec,
        streams: Arc::clone(&streams),
    };
    PortLayer::new(exec)
        .with_streams(streams)
        .with_networks(networks)
        .with_exportable_images(images)
}

/// The behaviour of a container's process.
#[derive(Clone, Debug)]
struct Script {
    output: Vec<u8>,
    error_output: Vec<u8>,
    behaviour: Behaviour,
}

impl Script {
    fn of(spec: &ContainerSpec) -> Self {
        let command = &spec.command;
        let prints = |text: String| Self {
            output: text.into_bytes(),
            error_output: Vec::new(),
            behaviour: Behaviour::exits(0),
        };
        let does = |behaviour| Self {
            output: Vec::new(),
            error_output: Vec::new(),
            behaviour,
        };
        match command.path.as_str() {
            "/hello" => prints("\nHello from a scripted container!\n\n".into()),
            "echo" => prints(format!("{}\n", command.args.join(" "))),
            "both" => Self {
                error_output: b"err\n".to_vec(),
                ..prints("out\n".into())
            },
            "env" => prints(
                command
                    .env
                    .iter()
                    .map(|(name, value)| format!("{name}={value}\n"))
                    .collect(),
            ),
            "exit" => {
                let code = command.args.first().and_then(|code| code.parse().ok());
                does(Behaviour::exits(code.unwrap_or(0)))
            }
            "cat" | "sleep" => does(Behaviour::runs()),
            "stubborn" => does(Behaviour::runs().ignoring_signals()),
            _ => does(Behaviour::cannot_launch("no such file or directory")),
        }
    }

    fn behaviour(self) -> Behaviour {
        self.behaviour
    }
}

/// Containers in memory, whose starts and ends are reported to their streams.
#[derive(Debug)]
struct ScriptedExec {
    exec: MemoryExec,
    streams: Arc<ScriptedStreams>,
}

#[async_trait]
impl Exec for ScriptedExec {
    fn capabilities(&self) -> Capabilities {
        self.exec.capabilities()
    }

    async fn create(&self, spec: ContainerSpec) -> Result<ContainerId> {
        let script = Script::of(&spec);
        let id = self.exec.create(spec).await?;
        self.streams.created(id, script);
        Ok(id)
    }

    async fn start(&self, id: &ContainerId, options: StartOptions) -> Result<State> {
        let state = self.exec.start(id, options).await?;
        self.streams.started(*id);
        Ok(state)
    }

    async fn inspect(&self, id: &ContainerId) -> Result<ContainerInfo> {
        self.exec.inspect(id).await
    }

    async fn list(&self) -> Result<Listing> {
        self.exec.list().await
    }

    async fn wait(&self, id: &ContainerId) -> Result<ExitStatus> {
        self.exec.wait(id).await
    }

    async fn stop(&self, id: &ContainerId, options: StopOptions) -> Result<ExitStatus> {
        self.exec.stop(id, options).await
    }

    async fn signal(&self, id: &ContainerId, signal: Signal) -> Result<()> {
        self.exec.signal(id, signal).await
    }

    async fn update(&self, id: &ContainerId, edit: Edit) -> Result<()> {
        self.exec.update(id, edit).await
    }

    async fn pause(&self, id: &ContainerId) -> Result<()> {
        self.exec.pause(id).await
    }

    async fn resume(&self, id: &ContainerId) -> Result<()> {
        self.exec.resume(id).await
    }

    async fn remove(&self, id: &ContainerId) -> Result<()> {
        self.exec.remove(id).await?;
        self.streams.removed(id);
        Ok(())
    }
}
