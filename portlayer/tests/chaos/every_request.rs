//! Every operation, with a fault or a kill of the port layer at each of its requests in turn.
//!
//! For each request of an operation, one run injects a fault there; then another port layer opens
//! the host. Afterwards the host must be as it was before the operation, or as the operation leaves
//! it without a fault: the latter if the operation was acknowledged, the former if it was refused.

use std::collections::BTreeSet;
use std::future::ready;
use std::time::Duration;

use futures_util::TryStreamExt;
use portlayer::exec::{
    Command, ContainerSpec, Edit, Exec as _, Resources, RootFs, Signal, StartOptions, StopOptions,
};
use portlayer::image::{Image, Images as _, ImportOptions};
use portlayer::network::{EndpointSpec, Networks as _, ScopeSpec};
use portlayer::stream::LogOptions;
use portlayer::vsphere::VsphereExec;
use portlayer::{Capability, ContainerId, ErrorKind, PortLayer, Result};
use simulator::Reaction;

use crate::model::Images;
use crate::random::Random;
use crate::verify;
use crate::world::{Target, World, Writer};

/// The maximum duration of a recovery.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long a request is delayed whose port layer is killed before it is carried out.
const LATE: Duration = Duration::from_millis(150);

/// A fault at one request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// The request is lost.
    Drop,
    /// The request is carried out, and its answer is lost.
    LoseAnswer,
    /// The request is carried out later.
    Delay,
    /// The port layer is killed while the request is on its way; the request is carried out later.
    Kill,
    /// The request is lost, and the port layer is killed.
    DropAndKill,
}

impl Fault {
    pub(crate) const ALL: [Self; 5] = [
        Self::Drop,
        Self::LoseAnswer,
        Self::Delay,
        Self::Kill,
        Self::DropAndKill,
    ];

    fn reaction(self) -> Reaction {
        match self {
            Self::Drop | Self::DropAndKill => Reaction::Disconnect,
            Self::LoseAnswer => Reaction::LoseAnswer,
            Self::Delay => Reaction::Delay(LATE / 3),
            Self::Kill => Reaction::Delay(LATE),
        }
    }

    fn is_kill(self) -> bool {
        matches!(self, Self::Kill | Self::DropAndKill)
    }
}

/// An operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Create,
    Start,
    StartAgain,
    Stop,
    Kill,
    Pause,
    Resume,
    Signal,
    Rename,
    /// Changes a label of a running container.
    Relabel,
    Resize,
    Connect,
    Disconnect,
    Remove,
    Import,
    RemoveImage,
    CreateScope,
    RemoveScope,
    /// Reads the whole log of a stopped container.
    Logs,
    /// Reads an image with all its layers.
    ExportImage,
}

impl Operation {
    pub(crate) const ALL: [Self; 20] = [
        Self::Create,
        Self::Start,
        Self::StartAgain,
        Self::Stop,
        Self::Kill,
        Self::Pause,
        Self::Resume,
        Self::Signal,
        Self::Rename,
        Self::Relabel,
        Self::Resize,
        Self::Connect,
        Self::Disconnect,
        Self::Remove,
        Self::Import,
        Self::RemoveImage,
        Self::CreateScope,
        Self::RemoveScope,
        Self::Logs,
        Self::ExportImage,
    ];

    /// Returns whether the image is there before and after the operation.
    fn keeps_image(self) -> bool {
        !matches!(self, Self::Import | Self::RemoveImage)
    }

    /// Returns whether there is a scope besides the default one during or after the operation.
    fn has_scope(self) -> bool {
        matches!(
            self,
            Self::CreateScope | Self::RemoveScope | Self::Connect | Self::Disconnect
        )
    }

    /// Prepares what the operation needs, besides an image that it keeps.
    async fn prepare(self, exec: &VsphereExec, id: ContainerId, image: &Image) -> Result<()> {
        match self {
            Self::Import | Self::Create | Self::CreateScope | Self::ExportImage => return Ok(()),
            Self::RemoveScope => return exec.networks().create(scope()).await.map(drop),
            Self::RemoveImage => {
                let import = exec.images().import(image.clone(), import_options());
                return import.await.map(drop);
            }
            Self::Connect | Self::Disconnect => exec.networks().create(scope()).await.map(drop)?,
            _ => {}
        }
        exec.create(spec(id, image)).await?;
        match self {
            Self::Start | Self::Rename | Self::Resize | Self::Connect | Self::Remove => {
                return Ok(());
            }
            Self::Disconnect => return connect(exec, id).await,
            _ => {}
        }
        exec.start(&id, StartOptions::new()).await?;
        match self {
            Self::StartAgain | Self::Logs => exec.stop(&id, StopOptions::AT_ONCE).await.map(drop),
            Self::Resume => exec.pause(&id).await,
            _ => Ok(()),
        }
    }

    async fn perform(
        self,
        exec: VsphereExec,
        layer: PortLayer,
        id: ContainerId,
        image: Image,
    ) -> Result<()> {
        match self {
            Self::Create => exec.create(spec(id, &image)).await.map(drop),
            Self::Start | Self::StartAgain => exec.start(&id, StartOptions::new()).await.map(drop),
            Self::Stop => {
                let options = StopOptions::default().grace(Duration::from_millis(300));
                exec.stop(&id, options).await.map(drop)
            }
            Self::Kill => exec.stop(&id, StopOptions::AT_ONCE).await.map(drop),
            Self::Pause => exec.pause(&id).await,
            Self::Resume => exec.resume(&id).await,
            Self::Signal => exec.signal(&id, Signal::KILL).await,
            Self::Rename => exec.update(&id, Edit::new().name("renamed")).await,
            Self::Relabel => {
                let is_kept = exec.capabilities().contains(Capability::LiveEdits);
                match exec.update(&id, Edit::new().label("tier", "web")).await {
                    // The endpoint would forget the label, so nothing is changed.
                    Err(error) if !is_kept && is_refusal(&error.kind) => Ok(()),
                    updated => updated,
                }
            }
            Self::Resize => {
                let resources = Resources::new().cpus(2).memory_mib(512);
                exec.update(&id, Edit::new().resources(resources)).await
            }
            Self::Connect => connect(&exec, id).await,
            Self::Disconnect => exec.networks().disconnect(&id, "extra").await,
            Self::Remove => exec.remove(&id).await,
            Self::Import => exec
                .images()
                .import(image, import_options())
                .await
                .map(drop),
            Self::RemoveImage => exec.images().remove(&image.id()).await,
            Self::CreateScope => exec.networks().create(scope()).await.map(drop),
            Self::RemoveScope => exec.networks().remove("extra").await,
            Self::Logs => {
                let log = layer.streams().logs(&id, LogOptions::new()).await?;
                log.try_for_each(|_| ready(Ok(()))).await
            }
            Self::ExportImage => {
                let tar = exec.images().export(&image.id()).await?;
                tar.try_for_each(|_| ready(Ok(()))).await
            }
        }
    }
}

async fn connect(exec: &VsphereExec, id: ContainerId) -> Result<()> {
    let networks = exec.networks();
    let connected = networks.connect(&id, EndpointSpec::new("extra")).await;
    connected.map(drop)
}

fn spec(id: ContainerId, image: &Image) -> ContainerSpec {
    let mut spec = ContainerSpec::new("one", Command::new("/run"));
    spec.id = id;
    spec.root(RootFs::image(image.id(), "any"))
}

fn import_options() -> ImportOptions {
    ImportOptions::new().capacity(4 << 20)
}

fn scope() -> ScopeSpec {
    ScopeSpec::bridge("extra")
}

/// Runs an operation once for each of its requests, and returns the number of runs.
///
/// # Panics
/// If the host is in a state in which it must not be.
pub(crate) async fn interrupt_everywhere(
    world: &World,
    operation: Operation,
    fault: Fault,
) -> usize {
    let image = Images::new().all[0].clone();
    let mut writer = world.open().await.unwrap();
    if operation.keeps_image() {
        let image = image.clone();
        let import =
            |exec: VsphereExec| async move { exec.images().import(image, import_options()).await };
        writer.run(import).await.unwrap().unwrap();
    }
    let empty = state(&writer).await.unwrap();
    let mut expected = None;
    let mut at = 0;
    loop {
        let id = ContainerId::generate();
        let what = format!("{operation:?} of {id}, {fault:?} at request {at}, {world:?}");
        let prepared = image.clone();
        let prepare =
            |exec| async move { operation.prepare(&exec, id, &prepared).await.map(|()| exec) };
        writer.run(prepare).await.unwrap().expect(&what);
        let before = state(&writer).await.expect(&what);

        let script = world.simulator.script();
        if at > 0 {
            script.nth_of_all(at, fault.reaction());
        }
        let performed = image.clone();
        let layer = writer.layer().expect(&what);
        let perform = writer.run(move |exec| operation.perform(exec, layer, id, performed));
        let kill = async {
            while at == 0 || script.pending() > 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            if fault.is_kill() {
                writer.kill();
            }
            std::future::pending::<()>().await;
        };
        let answer = tokio::select! {
            answer = perform => answer,
            () = kill => unreachable!(),
        };
        let is_over = at > 0 && script.pending() > 0;
        script.clear();
        if let Some(after) = &expected {
            let allowed: &[&String] = match &answer {
                Some(Ok(())) => &[after],
                Some(Err(error)) if is_refusal(&error.kind) => &[&before],
                _ => &[&before, after],
            };
            if fault.is_kill() || at % 2 == 0 {
                writer.kill();
                if operation.has_scope() {
                    // The endpoint may forget the scopes in the keys of the appliance.
                    world.cycle_appliance().await;
                }
                writer = world.open().await.unwrap();
            }
            settle(world, &writer, allowed, &what, &answer).await;
        } else {
            answer.unwrap().expect(&what);
            expected = Some(state(&writer).await.expect(&what));
        }
        clean_up(&writer, operation, &image, &what).await;
        assert_eq!(state(&writer).await.expect(&what), empty, "{what}");
        if is_over {
            if operation.keeps_image() {
                clean_up(&writer, Operation::Import, &image, &what).await;
            }
            writer.close().await;
            return at;
        }
        at += 1;
    }
}

/// Returns whether an operation that failed with this error had no effect.
fn is_refusal(kind: &ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::NotFound
            | ErrorKind::AlreadyExists
            | ErrorKind::InvalidState { .. }
            | ErrorKind::InvalidArgument { .. }
            | ErrorKind::Unsupported { .. }
            | ErrorKind::InUse { .. }
            | ErrorKind::Exhausted { .. }
    )
}

/// Describes the containers, images and scopes.
async fn state(writer: &Writer) -> Result<String> {
    let describe = |exec: VsphereExec| async move {
        let containers = exec.list().await?;
        let images = exec.images().list().await?;
        let scopes = exec.networks().list().await?;
        let mut lines = BTreeSet::new();
        for info in &containers.containers {
            let endpoints = info.endpoints.iter();
            let scopes: Vec<_> = endpoints.map(|e| e.spec.scope.as_str()).collect();
            lines.insert(format!(
                "{} is {} with {} CPUs and {:?} in {scopes:?}",
                info.name,
                info.state.kind(),
                info.resources.cpus,
                info.labels,
            ));
        }
        for broken in &containers.quarantined {
            lines.insert(format!("{broken:?}"));
        }
        for broken in &images.quarantined {
            lines.insert(format!("{broken:?}"));
        }
        lines.extend(images.images.iter().map(|image| image.id.to_string()));
        lines.extend(
            scopes
                .iter()
                .map(|scope| format!("scope {}", scope.spec.name)),
        );
        Ok(Vec::from_iter(lines).join(", "))
    };
    writer.run(describe).await.expect("the port layer runs")
}

/// Waits until the host is in an allowed state and nothing is inconsistent.
async fn settle(
    world: &World,
    writer: &Writer,
    allowed: &[&String],
    what: &str,
    answer: &Option<Result<()>>,
) {
    let end = tokio::time::Instant::now() + PATIENCE;
    loop {
        let now = state(writer).await.map_err(|error| format!("{error:?}"));
        let problems = verify::consistent(world, writer).await;
        let is_allowed = now.as_ref().is_ok_and(|now| allowed.contains(&now));
        if is_allowed && problems.is_empty() {
            return;
        }
        assert!(
            tokio::time::Instant::now() < end,
            "{what}, answered {answer:?}: {now:?} instead of {allowed:?}; {problems:#?}"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Removes what the operation needed or left.
async fn clean_up(writer: &Writer, operation: Operation, image: &Image, what: &str) {
    let image = image.id();
    let remove = move |exec: VsphereExec| async move {
        for info in exec.list().await?.containers {
            if info.state.kind() == portlayer::StateKind::Suspended {
                exec.resume(&info.id).await?;
            }
            if info.state.kind() != portlayer::StateKind::Created {
                exec.stop(&info.id, StopOptions::AT_ONCE).await?;
            }
            exec.remove(&info.id).await?;
        }
        let removed = match operation {
            Operation::Import | Operation::RemoveImage => exec.images().remove(&image).await,
            operation if operation.has_scope() => exec.networks().remove("extra").await,
            _ => Ok(()),
        };
        match removed {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    };
    writer.run(remove).await.unwrap().expect(what);
}

/// Runs operations with faults in several worlds, and returns the number of runs.
pub(crate) fn matrix(seed: u64, pairs: &[(Operation, Fault)], target: Target) -> usize {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let runs = runtime.block_on(async {
        let world = World::start(&mut Random::new(seed), target).await;
        let mut runs = 0;
        for (operation, fault) in pairs {
            runs += interrupt_everywhere(&world, *operation, *fault).await;
        }
        runs
    });
    runtime.shutdown_background();
    runs
}
