//! Shows the life cycle of a container as a virtual machine, from installing its host and
//! importing its image to removing everything.
//!
//! ```console
//! $ cargo run --example hello_world
//! $ export VSPHERE_URL=https://esx.example.com GOVC_USERNAME=root GOVC_PASSWORD=…
//! $ cargo run --example hello_world -- --name quick_otter
//! ```
//!
//! The example generates the image, which contains one static program. On Linux the program
//! really runs, and its output is read from the container's log. Without `VSPHERE_URL`, the
//! example starts a simulated ESXi host in its own process. A probe determines the
//! capabilities of the endpoint; steps that need a missing capability are skipped with a
//! message. See [`examples::endpoint`] for the environment variables.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command talks to its user through standard output and standard error"
)]

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Parser;
use examples::endpoint::{Endpoint, Place};
use examples::footprint::Footprint;
use examples::installer::Installer;
use examples::interrupt::Interrupts;
use examples::report::Report;
use examples::stage::Stage;
use examples::{hello_image, names, table};
use futures_util::TryStreamExt as _;
use guest_programs::Machine;
use portlayer::exec::{Command, ContainerSpec, ExecExt, RootFs, StartOptions};
use portlayer::image::{Image, ImportOptions};
use portlayer::stream::LogOptions;
use portlayer::vsphere::{ContainerPolicy, Dialect, HostSpec, Hosts, Iso, Options, kind};
use portlayer::{Capability, ContainerId, ErrorKind, PortLayer, ResourceKind, State};
use tokio::sync::oneshot;

/// The content of the placeholder for a boot image that was not given.
const STAND_IN: &[u8] = b"a stand-in for a boot image\n";

/// Runs a container on vSphere, shows how it is stored, and removes it.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// The container's name. Default: a generated name.
    #[arg(long)]
    name: Option<String>,
    /// The name of the virtual container host to install.
    #[arg(long, default_value = "hello-vch")]
    vch: String,
    /// The image that the host's appliance boots. Default: a placeholder.
    #[arg(long, value_name = "FILE")]
    appliance_iso: Option<PathBuf>,
    /// The image that containers boot. Default: a placeholder.
    #[arg(long, value_name = "FILE")]
    bootstrap_iso: Option<PathBuf>,
    /// Wait for Enter before anything is deleted.
    #[arg(long)]
    pause: bool,
    /// Only delete the virtual container host, with its containers, that a killed run left
    /// behind.
    #[arg(long)]
    clean: bool,
}

fn main() -> ExitCode {
    // The simulator starts containers by executing this program again.
    #[cfg(target_os = "linux")]
    simulator_guests::init();
    let args = Args::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("hello_world: start the runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(&args)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hello_world: {}", Report(&*error));
            if let Some(advice) = advice(&error) {
                eprintln!("  {advice}");
            }
            ExitCode::FAILURE
        }
    }
}

/// Connects to the endpoint, runs the example, removes what it left behind, and disconnects.
async fn run(args: &Args) -> Result<()> {
    let endpoint = Endpoint::from_environment()?;
    // The simulator's containers are processes of this system.
    let machine = match &endpoint {
        Some(_) => Machine::X86_64,
        None => hello_image::processor()?,
    };
    let image = hello_image::hello_world(machine)?;
    let container = container(args, &image)?;
    let interrupts = Interrupts::listen().context("listen for signals")?;
    let place = endpoint
        .as_ref()
        .map(|endpoint| endpoint.place.clone())
        .unwrap_or_default();
    let stage = interrupts
        .unless_requested(Stage::open(endpoint.as_ref()))
        .await?;
    println!("Endpoint: {}", stage.about());
    if let Some(guests) = stage.guests() {
        println!("Guests:   {guests}");
    }

    let options = Options {
        dialect: Dialect::Vic04,
        start_timeout: Duration::from_secs(60),
        architecture: machine.architecture().to_owned(),
        ..Options::default()
    };
    let job = Job {
        args,
        place,
        image,
        container,
        stage: &stage,
        interrupts,
        hosts: Hosts::new(stage.client().clone(), options),
        installer: Installer::new(io::stdout()),
    };
    let outcome = if args.clean {
        job.clean().await
    } else {
        let mut made = false;
        match Box::pin(job.run(&mut made)).await {
            Err(error) if made => Err(job.give_up(error).await),
            outcome => outcome,
        }
    };
    let closed = stage.close().await;
    outcome.and(closed)
}

/// Returns the command to run, or an error if no endpoint would accept it.
fn container(args: &Args, image: &Image) -> Result<ContainerSpec> {
    let id = ContainerId::generate();
    let name = args.name.clone().unwrap_or_else(|| names::of(&id));
    let program = image.config().process().cmd.first();
    let program = program.context("the image names no program")?;
    let spec = ContainerSpec::new(name, Command::new(program))
        .id(id)
        .root(RootFs::image(image.id(), hello_image::REFERENCE));
    spec.validate()?;
    Ok(spec)
}

/// The example and the objects it uses.
struct Job<'a> {
    args: &'a Args,
    place: Place,
    image: Image,
    container: ContainerSpec,
    stage: &'a Stage,
    interrupts: Interrupts,
    hosts: Hosts,
    installer: Installer<io::Stdout>,
}

impl Job<'_> {
    /// Runs the example. Sets `made` once there is something to remove if it fails.
    async fn run(&self, made: &mut bool) -> Result<()> {
        let begun = Instant::now();
        Box::pin(self.install(made)).await?;
        let layer = self.to_its_end(self.hosts.open(&self.args.vch)).await?;
        for missing in layer.capabilities().missing() {
            println!("  a probe shows that this endpoint lacks {missing}");
        }
        self.import(&layer).await?;
        self.live(&layer).await?;
        let footprint = self.unless_interrupted(self.look(&layer)).await?;
        if self.args.pause {
            self.unless_interrupted(self.pause()).await?;
        }
        self.delete(&layer, &footprint).await?;
        println!("\nThe example took {} ms.", begun.elapsed().as_millis());
        Ok(())
    }

    /// Installs the host, printing each step.
    async fn install(&self, made: &mut bool) -> Result<()> {
        let Args {
            vch,
            appliance_iso,
            bootstrap_iso,
            ..
        } = self.args;
        let image = |file: &Option<PathBuf>| match file {
            Some(file) => Iso::file(file),
            None => Iso::bytes(STAND_IN),
        };
        let mut spec = HostSpec::new(vch, image(appliance_iso), image(bootstrap_iso));
        spec.datacenter = self.place.datacenter.clone();
        spec.compute = self.place.compute.clone();
        spec.datastore = self.place.datastore.clone();
        spec.bridge_network = self.place.network.clone();
        println!("\nInstalling virtual container host {vch}");
        *made = true;
        let host = self
            .to_its_end(async {
                let installed = Box::pin(self.hosts.install(spec, &self.installer)).await;
                // A failed installation removes what it created, or reports what it could not
                // remove.
                *made = installed.is_ok();
                installed
            })
            .await?;
        println!(
            "  on datastore {} in {}, bridge network {}",
            host.datastore, host.directory, host.bridge_network
        );
        Ok(())
    }

    /// Stores the image as a disk that containers can use.
    async fn import(&self, layer: &PortLayer) -> Result<()> {
        println!("\nImporting {}", hello_image::REFERENCE);
        let images = layer.images();
        let info = self
            .to_its_end(images.import(self.image.clone(), ImportOptions::new()))
            .await?;
        println!(
            "  {} as a disk of {} MiB, {} bytes of files",
            info.id.short(),
            info.capacity >> 20,
            info.size
        );
        Ok(())
    }

    /// Creates and starts the container, waits for its process and shows its output.
    async fn live(&self, layer: &PortLayer) -> Result<()> {
        let exec = layer.exec();
        let ContainerSpec {
            id,
            name,
            root,
            command,
            ..
        } = &self.container;
        println!(
            "\nRunning {} of {} in container {name}",
            command.path,
            root.reference()
        );
        self.to_its_end(exec.create(self.container.clone())).await?;
        println!("  created  {}", id.short());
        let state = self.to_its_end(exec.start(id, StartOptions::new())).await?;
        if state == State::Starting {
            println!("  started  its machine; whether its process runs is unknown");
            println!("  wait     skipped: {}", Capability::GuestKeys);
        } else {
            println!("  started");
            let exit = self.unless_interrupted(exec.wait(id)).await?;
            println!("  ended    {exit}");
        }
        if !layer.capabilities().contains(Capability::Logs) {
            println!("  log      skipped: {}", Capability::Logs);
            return Ok(());
        }
        println!("  wrote");
        let log = self.unless_interrupted(read_log(layer, id)).await?;
        if log.is_empty() {
            println!("    nothing: the guest does not run processes");
        }
        for line in log.lines() {
            println!("    {line}");
        }
        Ok(())
    }

    /// Shows what is known about the container, read back from its machine.
    async fn look(&self, layer: &PortLayer) -> Result<Footprint> {
        let capabilities = layer.exec().capabilities();
        // Open a second port layer, which knows only what the extraConfig of the machines
        // contains.
        let options = Options {
            capabilities: Some(capabilities),
            ..Options::default()
        };
        let another = Hosts::new(self.stage.client().clone(), options);
        let listing = another.open(&self.args.vch).await?.exec().list().await?;
        println!("\nContainers according to the extraConfig of their machines");
        table::print(&listing, io::stdout())?;

        let client = self.stage.client();
        let footprint = Footprint::read(client, &self.args.vch).await?;
        if !capabilities.contains(Capability::VmxContents) {
            println!(
                "\nState in the .vmx file\n  skipped: {}",
                Capability::VmxContents
            );
            return Ok(footprint);
        }
        let datacenter = self.place.datacenter.as_deref();
        let (path, lines) = footprint
            .state_lines(client, datacenter, &self.container.id)
            .await?;
        println!("\nState in {path}");
        for line in lines {
            println!("  {line}");
        }
        Ok(footprint)
    }

    /// Keeps everything in place until the user presses Enter.
    async fn pause(&self) -> Result<()> {
        if let Some(shell) = self.stage.for_govc() {
            println!("\n{shell}");
        }
        println!("\nEverything is in place; press Enter to delete it");
        let (pressed, enter) = oneshot::channel();
        // Do not use a blocking thread of the runtime: at shutdown, for example after an
        // interrupt, the runtime would wait for it.
        thread::spawn(move || {
            let read = io::stdin().read_line(&mut String::new());
            let _ = pressed.send(read.map(drop));
        });
        enter.await?.context("read standard input")
    }

    /// Deletes everything and checks that nothing is left.
    async fn delete(&self, layer: &PortLayer, footprint: &Footprint) -> Result<()> {
        println!("\nDeleting {footprint}");
        let container = &self.container.id;
        self.to_its_end(layer.exec().remove_forced(container))
            .await?;
        println!("  container {} removed", container.short());
        self.to_its_end(layer.images().remove(&self.image.id()))
            .await?;
        println!("  image {} removed", self.image.id().short());
        self.to_its_end(self.hosts.delete(&self.args.vch, ContainerPolicy::Refuse))
            .await?;
        println!("  virtual container host {} deleted", self.args.vch);
        let left = footprint
            .left(self.stage.client(), self.place.datacenter.as_deref())
            .await?;
        if !left.is_empty() {
            bail!(
                "still there after everything was deleted: {}",
                left.join(", ")
            );
        }
        println!("  nothing is left");
        Ok(())
    }

    /// Removes everything that was created before `error` occurred. If that fails, adds what
    /// is left behind to the error.
    async fn give_up(&self, error: anyhow::Error) -> anyhow::Error {
        if !self.installer.begun_making() {
            return error;
        }
        let vch = &self.args.vch;
        eprintln!("hello_world: removing virtual container host {vch:?}");
        match self
            .unless_interrupted(self.hosts.delete(vch, ContainerPolicy::Remove))
            .await
        {
            Ok(_) => eprintln!("hello_world: it is deleted, nothing is left"),
            Err(failed)
                if matches!(
                    failed.downcast_ref(),
                    Some(portlayer::Error {
                        kind: ErrorKind::NotFound,
                        ..
                    })
                ) => {}
            Err(failed) => {
                return error.context(format!(
                    "virtual container host {vch:?} is left behind ({failed:#}); delete it with --clean"
                ));
            }
        }
        error
    }

    /// Runs work that can be interrupted at any time, because it changes nothing or may stay
    /// incomplete. See [`Interrupts::unless_requested`].
    async fn unless_interrupted<T, E>(&self, work: impl Future<Output = Result<T, E>>) -> Result<T>
    where
        E: Into<anyhow::Error>,
    {
        self.interrupts.unless_requested(work).await
    }

    /// Runs work that must finish before an interrupt takes effect, because it creates or
    /// deletes something. See [`Interrupts::to_its_end`].
    async fn to_its_end<T, E>(&self, work: impl Future<Output = Result<T, E>>) -> Result<T>
    where
        E: Into<anyhow::Error>,
    {
        let say = || {
            eprintln!("\nhello_world: finishing the operation; interrupt again to abandon it");
        };
        self.interrupts.to_its_end(work, say).await
    }

    /// Deletes the host and the containers that another run left behind.
    async fn clean(&self) -> Result<()> {
        self.to_its_end(self.hosts.delete(&self.args.vch, ContainerPolicy::Remove))
            .await?;
        println!(
            "Virtual container host {} and its containers deleted",
            self.args.vch
        );
        Ok(())
    }
}

/// Returns the output of a container's processes as text.
async fn read_log(layer: &PortLayer, id: &ContainerId) -> Result<String> {
    let records: Vec<_> = layer
        .streams()
        .logs(id, LogOptions::new())
        .await?
        .try_collect()
        .await?;
    let bytes: Vec<u8> = records
        .iter()
        .flat_map(|record| &record.bytes)
        .copied()
        .collect();
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Returns a hint for the user about an error, in terms of this program.
fn advice(error: &anyhow::Error) -> Option<&'static str> {
    error.chain().find_map(|cause| {
        if matches!(
            cause.downcast_ref(),
            Some(vsphere_client::Error::Tls { .. })
        ) {
            return Some(
                "to pin it, set GOVC_TLS_KNOWN_HOSTS to a file with the line HOST:PORT THUMBPRINT",
            );
        }
        let error: &portlayer::Error = cause.downcast_ref()?;
        let resource = error.resource().kind;
        match error.kind() {
            ErrorKind::AlreadyExists if resource == kind::HOST => {
                return Some("choose another name with --vch, or delete that host with --clean");
            }
            ErrorKind::NotFound | ErrorKind::InvalidArgument { .. } => {}
            _ => return None,
        }
        match resource {
            kind::DATACENTER => Some("choose the datacenter with GOVC_DATACENTER"),
            kind::COMPUTE_RESOURCE => Some("choose the resource pool with GOVC_RESOURCE_POOL"),
            kind::DATASTORE => Some("choose the datastore with GOVC_DATASTORE"),
            ResourceKind::Network => Some("choose the network with GOVC_NETWORK"),
            _ => None,
        }
    })
}
