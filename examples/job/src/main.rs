//! A minimal front end, such as for a CI runner. Runs a command of an image in a virtual
//! machine, streams its output, and exits with its exit status.
//!
//! ```console
//! $ cargo run --release -p job -- hello.tar
//! $ cargo run --release -p job -- registry.example.com/tools:1 make test
//! ```
//!
//! The image is a file that `docker save` wrote, an OCI layout, or a name in a registry. The
//! virtual container host is created on a simulator in this process, and deleted with it.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use futures_util::StreamExt as _;
use image_source::{DockerConfig, LoadOptions, Reference, Registries, RegistryOptions, Spool};
use portlayer::exec::{Command, ContainerSpec, RootFs, StartOptions};
use portlayer::image::{Image, ImageConfig, ImportOptions};
use portlayer::stream::{AttachOptions, StdStream};
use portlayer::vsphere::{HostSpec, Hosts, InstallProgress, Iso, LineServer, Options};
use portlayer::{ContainerId, ExecExt as _, PortLayer};
use simulator::Simulator;
use simulator_guests::ProcessGuest;
use vsphere_client::{Client, Credentials};

/// The content of the boot images, which the machines of the simulator do not boot.
const STAND_IN: &[u8] = b"a stand-in for a boot image\n";

/// Runs a command in a machine.
#[derive(Debug, Parser)]
struct Args {
    /// The image: a file, or a name in a registry.
    image: String,
    /// The command. Default: the command of the image.
    #[arg(trailing_var_arg = true)]
    command: Vec<String>,
}

fn main() -> Result<ExitCode> {
    // The simulator starts containers by executing this program again.
    simulator_guests::init();
    let args = Args::parse();
    tokio::runtime::Runtime::new()?.block_on(run(&args))
}

async fn run(args: &Args) -> Result<ExitCode> {
    let guest = ProcessGuest::builder().start().await?;
    let simulator = Simulator::builder().guest(guest).start().await?;
    let credentials = Credentials::password(simulator.user(), simulator.password());
    let outcome = Client::builder(simulator.url())
        .credentials(credentials)
        .thumbprint(simulator.thumbprint().parse()?)
        .scope(|client| on_host(client, args))
        .await;
    simulator.shutdown().await;
    outcome
}

/// Creates a virtual container host, and runs the job on it.
async fn on_host(client: Client, args: &Args) -> Result<ExitCode> {
    let hosts = Hosts::new(client, Options::default());
    let lines = LineServer::bind("127.0.0.1:0").await?;
    let spec = HostSpec::new("job", Iso::bytes(STAND_IN), Iso::bytes(STAND_IN))
        .address(lines.local_addr()?.to_string());
    hosts.install(spec, &|_: InstallProgress| {}).await?;
    let layer = hosts.open_with_lines("job", lines).await?;
    job(&layer, args).await
}

/// Runs the job through the port layer, independently of the back end.
async fn job(layer: &PortLayer, args: &Args) -> Result<ExitCode> {
    let image = find(&args.image).await?;
    let stored = layer.images().import(image, ImportOptions::new()).await?;
    let command = command(&stored.config, &args.command)?;
    let root = RootFs::image(stored.id, &args.image);
    let spec = ContainerSpec::new("job", command).root(root);
    let id = layer.exec().create(spec).await?;
    let outcome = tokio::select! {
        ended = execute(layer, &id) => ended,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
    };
    layer.exec().remove_forced(&id).await?;
    outcome
}

/// Starts a container and streams its output. Attaches before the start, so that no output is
/// missed.
async fn execute(layer: &PortLayer, id: &ContainerId) -> Result<ExitCode> {
    let attached = layer.streams().attach(id, AttachOptions::output()).await?;
    layer.exec().start(id, StartOptions::new()).await?;
    let mut output = attached.output;
    while let Some(chunk) = output.next().await {
        let chunk = chunk?;
        match chunk.stream {
            StdStream::Stdout => std::io::stdout().write_all(&chunk.bytes)?,
            StdStream::Stderr => std::io::stderr().write_all(&chunk.bytes)?,
        }
    }
    let exit = layer.exec().wait(id).await?;
    let code = exit
        .code()
        .with_context(|| format!("the job ended: {exit}"))?;
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX)))
}

/// Loads the image from a file, or from a registry with the credentials of docker's configuration.
async fn find(name: &str) -> Result<Image> {
    if Path::new(name).exists() {
        let mut images = image_source::load(name, &LoadOptions::new()).await?;
        if images.len() != 1 {
            bail!("{name} holds {} images, not one", images.len());
        }
        return Ok(images.remove(0).image);
    }
    let reference: Reference = name.parse()?;
    let credentials = DockerConfig::user()?;
    let credentials = credentials.credentials(reference.registry()).await?;
    let registries = Registries::new(RegistryOptions::new());
    let found = registries.resolve_as(&reference, credentials).await?;
    Ok(found.fetch(&Spool::temporary()?, ()).await?)
}

/// Combines the entrypoint and environment of the image with the user's command, or with the
/// command of the image.
fn command(config: &ImageConfig, words: &[String]) -> Result<Command> {
    let process = config.process();
    let last = if words.is_empty() {
        &process.cmd
    } else {
        words
    };
    let mut words = process.entrypoint.iter().chain(last);
    let program = words
        .next()
        .context("the image names no command; give one")?;
    let mut command = Command::new(program).args(words);
    for variable in &process.env {
        let (name, value) = variable.split_once('=').unwrap_or((variable, ""));
        command = command.env(name, value);
    }
    if !process.working_dir.is_empty() {
        command = command.working_dir(&process.working_dir);
    }
    Ok(command)
}
