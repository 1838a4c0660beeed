//! Containers on vSphere.

#[cfg(feature = "attach")]
mod begun;
mod blocking;
mod create;
mod destroyed;
mod edit;
mod ended_tasks;
mod heard_exits;
mod in_progress;
mod kept_list;
mod log_readers;
mod logged_exit;
mod machines;
mod on_open;
mod recover;
mod remove;
mod rotate_log;
mod start;
mod stop;
mod suspend;
mod update;
mod wait;

use std::collections::HashSet;
use std::sync::{Arc, Weak};

use async_trait::async_trait;
use bytes::Bytes;

pub(in crate::vsphere) use self::blocking::Blocking;
use self::destroyed::Destroyed;
use self::ended_tasks::EndedTasks;
use self::heard_exits::HeardExits;
use self::in_progress::InProgress;
use self::kept_list::{Changes, KeptList};
pub(in crate::vsphere) use self::log_readers::LogReaders;
#[cfg(feature = "attach")]
pub(in crate::vsphere) use self::log_readers::Reading;
pub use self::recover::{Inconsistency, Problem, Repaired};
pub(in crate::vsphere) use self::rotate_log::Rotations;
use super::derive_state::{Observed, Power, without_guest};
use super::endpoint::Endpoint;
use super::host_objects::HostObjects;
use super::images::VsphereImages;
use super::index::{Index, Seen};
use super::networks::{HostNetworks, VsphereNetworks};
use super::options::Options;
use super::record::NotAContainer;
use super::run_state::{LastRun, RunState};
use super::sole_writer::SoleWriter;
use crate::exec::{
    ContainerInfo, ContainerSpec, Edit, Listing, Quarantined, Signal, StartOptions, StopOptions,
};
use crate::queue::Queues;
use crate::{
    Capabilities, Capability, ContainerId, Error, Exec, ExitStatus, Resource, Result, State,
    StateKind,
};

/// The containers of one virtual container host on ESXi or vCenter.
///
/// Each container is one machine in the host's resource pool. The keys of the machine hold the
/// container's configuration and exit status. The keys and the power state are the only source of
/// truth; this object only caches what the endpoint reports of them.
///
/// # What continues on the server when a future is dropped
/// | method | may still happen |
/// | --- | --- |
/// | `create` | the machine is created; retrying with the same spec then returns `AlreadyExists` |
/// | `start` | the start is recorded, the machine is powered on |
/// | `stop`, `signal` | the signal is delivered, the machine is powered off |
/// | `remove` | disks are detached, the machine is destroyed; another `remove` continues the removal, and so does the next program that opens the host |
#[derive(Clone, Debug)]
pub struct VsphereExec {
    shared: Arc<Shared>,
}

/// A weak reference to a [`VsphereExec`], which does not keep the host open.
#[derive(Clone, Debug)]
pub(super) struct WeakExec(Weak<Shared>);

impl WeakExec {
    pub(super) fn upgrade(&self) -> Option<VsphereExec> {
        let shared = self.0.upgrade()?;
        Some(VsphereExec { shared })
    }
}

#[derive(Debug)]
struct Shared {
    endpoint: Endpoint,
    objects: HostObjects,
    options: Options,
    capabilities: Capabilities,
    images: VsphereImages,
    networks: HostNetworks,
    index: Index,
    ended_tasks: EndedTasks,
    destroyed: Destroyed,
    heard_exits: HeardExits,
    blocking: Arc<Blocking>,
    log_readers: Arc<LogReaders>,
    rotations: Arc<Rotations>,
    in_progress: InProgress,
    kept_list: KeptList,
    ids: Queues<ContainerId>,
    names: Queues<String>,
}

/// A container's state, derived from one read of its machine.
struct Snapshot {
    machine: Arc<Seen>,
    state: State,
    failure: Option<String>,
    /// The exit status of the run, if the machine no longer shows it.
    unwritten: Option<ExitStatus>,
    /// Whether the machine is off and nothing is known of this run: neither that it began nor how
    /// it ended.
    is_silent: bool,
}

impl VsphereExec {
    pub(super) fn new(
        endpoint: Endpoint,
        objects: HostObjects,
        options: Options,
        capabilities: Capabilities,
        writer: Option<SoleWriter>,
    ) -> Self {
        let endpoint = match &writer {
            Some(writer) => endpoint.fenced(writer.fence()),
            None => endpoint,
        };
        let index = Index::new(endpoint.clone(), &objects, options.task_timeout);
        let images = VsphereImages::new(
            endpoint.clone(),
            objects.clone(),
            options.clone(),
            capabilities,
            index.clone(),
            writer,
        );
        let networks =
            HostNetworks::new(endpoint.clone(), objects.clone(), index.clone(), &options);
        let changes = Changes::default();
        Self {
            shared: Arc::new(Shared {
                images,
                networks,
                endpoint,
                objects,
                options,
                capabilities,
                index,
                ended_tasks: EndedTasks::default(),
                destroyed: Destroyed::default(),
                heard_exits: HeardExits::new(&changes),
                blocking: Arc::default(),
                log_readers: Arc::default(),
                rotations: Arc::default(),
                in_progress: InProgress::new(&changes),
                kept_list: KeptList::new(changes),
                ids: Queues::default(),
                names: Queues::default(),
            }),
        }
    }

    /// Returns a weak reference, which does not keep the host open.
    pub(super) fn downgrade(&self) -> WeakExec {
        WeakExec(Arc::downgrade(&self.shared))
    }

    /// Returns the images from which containers are created.
    #[must_use]
    pub fn images(&self) -> &VsphereImages {
        &self.shared.images
    }

    /// Returns the scopes that containers are connected to.
    #[must_use]
    pub fn networks(&self) -> VsphereNetworks {
        VsphereNetworks::new(self.clone())
    }

    pub(in crate::vsphere) fn host_networks(&self) -> &HostNetworks {
        &self.shared.networks
    }

    /// Returns a current snapshot of a container's machine.
    pub(in crate::vsphere) async fn machine(&self, id: &ContainerId) -> Result<Arc<Seen>> {
        self.shared.machine(id).await
    }

    /// Returns the machines of all containers from the index.
    #[cfg(feature = "attach")]
    pub(in crate::vsphere) async fn containers(&self) -> Result<Vec<Arc<Seen>>> {
        self.shared.containers().await
    }

    /// Waits for the start of a run after the one that `before` describes. Cancel-safe.
    #[cfg(feature = "attach")]
    pub(in crate::vsphere) async fn begun(
        &self,
        id: &ContainerId,
        before: &RunState,
    ) -> Result<()> {
        self.shared.begun(id, before).await
    }

    /// Returns the callers that wait for the streams of containers.
    #[cfg(feature = "attach")]
    pub(in crate::vsphere) fn blocking(&self) -> Arc<Blocking> {
        Arc::clone(&self.shared.blocking)
    }

    /// Returns the readers of containers' logs.
    #[cfg(feature = "attach")]
    pub(in crate::vsphere) fn log_readers(&self) -> &Arc<LogReaders> {
        &self.shared.log_readers
    }

    /// Returns the rotations of containers' logs.
    #[cfg(feature = "attach")]
    pub(in crate::vsphere) fn rotations(&self) -> &Arc<Rotations> {
        &self.shared.rotations
    }

    pub(in crate::vsphere) fn endpoint(&self) -> &Endpoint {
        &self.shared.endpoint
    }

    pub(in crate::vsphere) fn objects(&self) -> &HostObjects {
        &self.shared.objects
    }

    /// Reads the container's configuration file from the datastore.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) for the container or the file;
    /// [`Unsupported`](crate::ErrorKind::Unsupported) without [`Capability::VmxContents`].
    pub async fn vmx(&self, id: &ContainerId) -> Result<Bytes> {
        let resource = Resource::container(id);
        let machine = self.shared.machine(id).await?;
        if !self.shared.capabilities.contains(Capability::VmxContents) {
            return Err(Error::unsupported(resource, Capability::VmxContents));
        }
        self.shared
            .endpoint
            .vmx(&self.shared.objects.datastore, &machine.path, &resource)
            .await
    }
}

impl Shared {
    /// Reads a container's machine.
    async fn look(&self, id: &ContainerId) -> Result<Snapshot> {
        let mut snapshot = self.snapshot(id, &self.machine(id).await?);
        self.see_power_on(id, &mut snapshot).await?;
        Ok(snapshot)
    }

    /// Reads the tasks of a machine that is off and has reported nothing. If the machine is being
    /// powered on, only its tasks show that.
    async fn see_power_on(&self, id: &ContainerId, snapshot: &mut Snapshot) -> Result<()> {
        if snapshot.may_be_powering_on() {
            let machine = (*id, &snapshot.machine);
            let resource = Resource::container(id);
            if self.powering_on([machine], &resource).await?.contains(id) {
                snapshot.state = State::Starting;
            }
        }
        Ok(())
    }

    fn snapshot(&self, id: &ContainerId, machine: &Arc<Seen>) -> Snapshot {
        let mut snapshot = self.snapshot_unmarked(id, machine);
        let reported = !machine.last_run(id).started().is_empty();
        snapshot.state = self.in_progress.apply(id, snapshot.state, reported);
        snapshot
    }

    /// Returns a snapshot of the machine, ignoring this process's operations in progress.
    fn snapshot_unmarked(&self, id: &ContainerId, machine: &Arc<Seen>) -> Snapshot {
        let run = machine.last_run(id);
        let mut observed = observed(machine, &run);
        let is_silent = observed.power == Power::Off
            && observed.recorded.is_none()
            && observed.started.is_empty();
        let unwritten = match observed.power {
            Power::Off if observed.recorded.is_none() && observed.ended().is_none() => {
                let was_on = is_silent && self.heard_exits.was_on(id, run.starts);
                let heard = self.heard_exits.recall(id, run.starts);
                heard.or((was_on && !run.begun).then_some(ExitStatus::NeverOn))
            }
            _ => None,
        };
        if observed.power == Power::On {
            if let Some(exit) = observed.ended() {
                self.heard_exits.hear(*id, run.starts, exit);
            }
            self.heard_exits.see_on(*id, run.starts);
        }
        observed.recorded = observed.recorded.or(unwritten);
        let is_silent = is_silent && unwritten.is_none();
        let state = match without_guest(observed.state(), self.capabilities) {
            State::Created | State::Stopped { .. } if machine.is_half_removed() => State::Removing,
            state => state,
        };
        Snapshot {
            machine: Arc::clone(machine),
            state,
            failure: observed.failure().map(str::to_owned),
            unwritten,
            is_silent,
        }
    }

    fn require(
        &self,
        id: &ContainerId,
        snapshot: &Snapshot,
        allowed: &'static [StateKind],
    ) -> Result<()> {
        let actual = snapshot.state.kind();
        if allowed.contains(&actual) {
            return Ok(());
        }
        let resource = Resource::container(id);
        Err(match &snapshot.state {
            State::Unknown { reason } => {
                Error::unavailable(resource, None).with_source(reason.clone())
            }
            State::Broken { reason } => {
                Error::invalid_state(resource, actual, allowed).with_source(reason.clone())
            }
            _ => Error::invalid_state(resource, actual, allowed),
        })
    }

    /// Describes the containers of machines, in the same order. Also returns whether the states are
    /// certain until a machine changes: that of a machine being powered on is not.
    async fn infos(
        &self,
        machines: &[Arc<Seen>],
        resource: &Resource,
    ) -> Result<(Vec<Result<Arc<ContainerInfo>, NotAContainer>>, bool)> {
        let mut snapshots: Vec<_> = machines
            .iter()
            .map(|machine| match machine.container() {
                Some(Ok(id)) => Ok((id, self.snapshot(&id, machine))),
                Some(Err(broken)) => Err(broken.clone()),
                None => Err(NotAContainer::image()),
            })
            .collect();
        let unclear = snapshots
            .iter()
            .flatten()
            .filter(|(_, snapshot)| snapshot.may_be_powering_on())
            .map(|(id, snapshot)| (*id, &snapshot.machine));
        let (powering_on, is_certain) = match self.powering_on(unclear, resource).await {
            Ok(powering_on) => {
                let is_certain = powering_on.is_empty();
                (powering_on, is_certain)
            }
            // A container was removed concurrently; its snapshot is still a valid result.
            Err(error) if error.is_not_found() => (HashSet::new(), false),
            Err(error) => return Err(error),
        };
        for (id, snapshot) in snapshots.iter_mut().flatten() {
            if powering_on.contains(id) {
                snapshot.state = State::Starting;
            }
        }
        let describe = |(_, snapshot): (_, Snapshot)| {
            let failure = match snapshot.state {
                State::Stopped { .. } | State::Starting => snapshot.failure,
                _ => None,
            };
            let info = snapshot.machine.info(snapshot.state, failure);
            info.ok_or_else(NotAContainer::image)
        };
        let infos = snapshots
            .into_iter()
            .map(|snapshot| snapshot.and_then(describe))
            .collect();
        Ok((infos, is_certain))
    }

    /// Lists the containers, including those with conflicting addresses.
    async fn describe_all(&self) -> Result<Listing> {
        let stamp = self.kept_list.stamp(self.index.changes());
        if let Some(kept) = self.kept_list.get(stamp) {
            return Ok(kept);
        }
        let (mut containers, mut quarantined) = (Vec::new(), Vec::new());
        let machines = self.containers().await?;
        let (infos, is_certain) = self.infos(&machines, &self.objects.host()).await?;
        for (machine, info) in machines.iter().zip(infos) {
            match info {
                Ok(info) => containers.push(info),
                Err(broken) => {
                    let label = machine.machine.name.clone();
                    quarantined.push(Quarantined::new(broken.id, label, broken.to_string()));
                }
            }
        }
        let listing = Listing::new(containers, quarantined);
        if is_certain {
            self.kept_list.keep(stamp, listing.clone());
        }
        Ok(listing)
    }
}

impl Snapshot {
    /// Decodes the state of the container's runs.
    fn run(&self) -> RunState {
        self.machine.run()
    }

    /// Returns whether the machine may be in the course of its power-on, which only its tasks show.
    fn may_be_powering_on(&self) -> bool {
        self.is_silent && matches!(self.state, State::Created | State::Stopped { .. })
    }
}

fn observed<'a>(machine: &'a Seen, run: &'a LastRun) -> Observed<'a> {
    Observed {
        power: machine.power,
        unusable: machine.unusable.as_deref(),
        begun: run.begun,
        recorded: run.recorded,
        started: run.started(),
        status: run.status,
    }
}

#[async_trait]
impl Exec for VsphereExec {
    fn capabilities(&self) -> Capabilities {
        self.shared.capabilities.with(Capability::LaterConnect)
    }

    async fn create(&self, spec: ContainerSpec) -> Result<ContainerId> {
        self.shared.create(spec).await
    }

    async fn start(&self, id: &ContainerId, options: StartOptions) -> Result<State> {
        self.shared.start(id, options).await
    }

    async fn inspect(&self, id: &ContainerId) -> Result<ContainerInfo> {
        let machine = self.shared.indexed(id).await?;
        let resource = Resource::container(id);
        let machine = std::slice::from_ref(&machine);
        let (mut infos, _) = self.shared.infos(machine, &resource).await?;
        let Some(info) = infos.pop() else {
            return Err(Error::not_found(resource));
        };
        let info = info.map_err(|broken| {
            Error::invalid_state(resource, StateKind::Broken, &[]).with_source(broken)
        })?;
        Ok(ContainerInfo::clone(&info))
    }

    async fn list(&self) -> Result<Listing> {
        let networks = &self.shared.networks;
        networks.load().await?;
        networks.sync().await?;
        let listing = self.shared.describe_all().await?;
        let mut conflicts = networks.table().conflicts();
        if conflicts.is_empty() {
            return Ok(listing);
        }
        let Listing {
            mut containers,
            mut quarantined,
            ..
        } = listing;
        let mut barred = Vec::new();
        containers.retain(|info| {
            let conflict = conflicts.remove_entry(&info.id);
            let is_free = conflict.is_none();
            barred.extend(conflict);
            is_free
        });
        for (id, reason) in barred {
            let uuid = self.shared.objects.defaults.uuid(&id);
            // Another task may have just removed it.
            if let Some(machine) = self.shared.index.by_uuid(uuid).await? {
                let label = machine.machine.name.clone();
                quarantined.push(Quarantined::new(Some(id), label, reason));
            }
        }
        Ok(Listing::new(containers, quarantined))
    }

    async fn resolve(&self, text: &str) -> Result<ContainerId> {
        self.shared.resolve(text).await
    }

    async fn wait(&self, id: &ContainerId) -> Result<ExitStatus> {
        self.shared.wait(id).await
    }

    async fn stop(&self, id: &ContainerId, options: StopOptions) -> Result<ExitStatus> {
        self.shared.stop(id, options).await
    }

    async fn signal(&self, id: &ContainerId, signal: Signal) -> Result<()> {
        self.shared.signal(id, signal).await
    }

    async fn update(&self, id: &ContainerId, edit: Edit) -> Result<()> {
        self.shared.update(id, edit).await
    }

    async fn pause(&self, id: &ContainerId) -> Result<()> {
        self.shared.pause(id).await
    }

    async fn resume(&self, id: &ContainerId) -> Result<()> {
        self.shared.resume(id).await
    }

    async fn remove(&self, id: &ContainerId) -> Result<()> {
        self.shared.remove(id).await
    }
}
