//! The index of a host: a cache of its machines, kept up to date by the endpoint's reports.
//!
//! The index is updated by one watch of the host's resource pool or folder and, on a vCenter, of the
//! folder of its images. The watch starts with the first query and ends when the last handle of the host is
//! dropped. Lists, look-ups by name, and addresses are answered from memory.
//!
//! Reports arrive in order, but delayed. The index never lacks changes that this process made or
//! has already seen: after a write, the process [waits](Index::written) for the report, and the
//! results of other reads are [added](Index::read). Changes by other programs appear as soon as the
//! endpoint reports them, usually within milliseconds. Code that must not act on an outdated state
//! reads the machine.

mod content;
mod entry;
mod feed;

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use uuid::Uuid;
use vim25::types::VirtualDevice;
use vim25::{Poly, Ref, mo};

use self::content::Content;
pub(in crate::vsphere) use self::entry::Seen;
use super::endpoint::{Endpoint, Machine, Members, Written};
use super::host_objects::HostObjects;
use crate::{ContainerId, Error, Resource, Result};

/// What changed after a revision.
#[derive(Debug)]
pub(in crate::vsphere) enum Changed {
    /// These machines, with their states; `None` for those that left.
    Some(Vec<(Ref<mo::VirtualMachine>, Option<Arc<Seen>>)>),
    /// Any machine may have. These are all there are.
    Any(Vec<Arc<Seen>>),
}

/// A handle to the index of one host's machines, except its appliance. Cheap to clone.
#[derive(Clone, Debug)]
pub(in crate::vsphere) struct Index {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    source: Source,
    state: Arc<State>,
    feed: Mutex<Option<Feed>>,
}

/// The source of the reports.
#[derive(Clone, Debug)]
struct Source {
    endpoint: Endpoint,
    members: Members,
    appliance: Ref<mo::VirtualMachine>,
    host: Resource,
    /// Timeout for the initial filling of the index.
    patience: Duration,
}

/// The task that updates the index. The task is aborted when this value is dropped.
#[derive(Debug)]
struct Feed(JoinHandle<()>);

impl Drop for Feed {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// State shared by the task and the index.
#[derive(Debug)]
struct State {
    content: Mutex<Content>,
    phase: watch::Sender<Phase>,
    /// Notified when a machine was read and the read needs confirmation by a report.
    read: Notify,
    /// Notified when a machine was added.
    arrived: Notify,
    /// Counts the reports of machines that are being imported or removed.
    incomplete: watch::Sender<u64>,
}

/// The phase of the index.
#[derive(Clone, Debug, Default)]
enum Phase {
    /// No task is updating the index.
    #[default]
    Idle,
    /// The task is running, but not all machines have been reported yet.
    Filling,
    Current,
    /// The task failed.
    Failed(Arc<Error>),
}

impl State {
    fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, phase: Phase) {
        self.phase.send_replace(phase);
    }

    /// Records that the task ended, and clears the content, because it would become outdated.
    fn end(&self, error: Option<Error>) {
        self.content().clear();
        self.enter(error.map_or(Phase::Idle, |error| Phase::Failed(Arc::new(error))));
    }

    async fn read_happened(&self) {
        self.read.notified().await;
    }
}

impl Index {
    pub(in crate::vsphere) fn new(
        endpoint: Endpoint,
        objects: &HostObjects,
        patience: Duration,
    ) -> Self {
        let source = Source {
            endpoint,
            members: objects.members(),
            appliance: objects.appliance.clone(),
            host: objects.host(),
            patience,
        };
        let state = State {
            content: Mutex::default(),
            phase: watch::Sender::default(),
            read: Notify::new(),
            arrived: Notify::new(),
            incomplete: watch::Sender::default(),
        };
        Self {
            inner: Arc::new(Inner {
                source,
                state: Arc::new(state),
                feed: Mutex::default(),
            }),
        }
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        self.inner.state.content()
    }

    /// Waits until the index contains all machines; starts the watch if necessary.
    ///
    /// # Errors
    /// Those of the watch. The next call starts the watch again.
    pub(in crate::vsphere) async fn ready(&self) -> Result<()> {
        let mut phase = self.start();
        let host = &self.inner.source.host;
        let filled = phase.wait_for(|phase| !matches!(phase, Phase::Filling));
        let Ok(filled) = timeout(self.inner.source.patience, filled).await else {
            return Err(Error::timeout(host.clone(), "the list of its machines"));
        };
        match filled.as_deref() {
            Ok(Phase::Current) => Ok(()),
            Ok(Phase::Failed(error)) => {
                let error = Arc::clone(error);
                Err(Error::new(error.kind.clone(), host.clone()).with_source(Shared(error)))
            }
            _ => Err(Error::unavailable(host.clone(), None)),
        }
    }

    fn start(&self) -> watch::Receiver<Phase> {
        let state = &self.inner.state;
        let mut feed = self
            .inner
            .feed
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let runs = matches!(*state.phase.borrow(), Phase::Filling | Phase::Current);
        if !runs {
            state.enter(Phase::Filling);
            let source = self.inner.source.clone();
            *feed = Some(Feed(tokio::spawn(feed::feed(source, Arc::clone(state)))));
        }
        state.phase.subscribe()
    }

    /// Returns all machines except the appliance: containers, images, and unreadable machines.
    pub(in crate::vsphere) async fn all(&self) -> Result<Vec<Arc<Seen>>> {
        self.ready().await?;
        Ok(self.content().all())
    }

    /// Returns the machine with this BIOS UUID.
    pub(in crate::vsphere) async fn by_uuid(&self, uuid: Uuid) -> Result<Option<Arc<Seen>>> {
        self.ready().await?;
        Ok(self.content().by_uuid(uuid))
    }

    /// Returns the machines whose containers have this name.
    pub(in crate::vsphere) async fn named(&self, name: &str) -> Result<Vec<Arc<Seen>>> {
        self.ready().await?;
        Ok(self.content().named(name))
    }

    /// Returns up to `limit` ids of containers that begin with these hexadecimal digits.
    pub(in crate::vsphere) async fn ids_with_prefix(
        &self,
        digits: &str,
        limit: usize,
    ) -> Result<Vec<ContainerId>> {
        self.ready().await?;
        Ok(self.content().ids_with_prefix(digits, limit))
    }

    /// Returns the machines of images, including incomplete and unreadable ones.
    pub(in crate::vsphere) async fn images(&self) -> Result<Vec<Arc<Seen>>> {
        self.ready().await?;
        Ok(self.content().images())
    }

    /// Adds machines that exist now but were not reported yet. It lists the host's machines, and
    /// reads only those that are missing from the index.
    pub(in crate::vsphere) async fn catch_up(&self) -> Result<()> {
        self.ready().await?;
        let Source {
            endpoint,
            members,
            appliance,
            host,
            ..
        } = &self.inner.source;
        let references = endpoint.references(members, host).await?;
        let mut unknown = self.content().unknown(references);
        unknown.retain(|vm| vm != appliance);
        if unknown.is_empty() {
            return Ok(());
        }
        let asked = Instant::now();
        let machines = endpoint.machines_of(&unknown, host).await?;
        {
            let mut content = self.content();
            for machine in machines {
                content.read(machine, asked);
            }
        }
        self.inner.state.read.notify_one();
        Ok(())
    }

    /// Returns a receiver that is notified when the endpoint reports an image that is being
    /// imported, or an image or container that is being removed, by this process or another one. It
    /// is closed when the index is dropped.
    pub(in crate::vsphere) fn incomplete(&self) -> watch::Receiver<u64> {
        self.inner.state.incomplete.subscribe()
    }

    /// Notifies the receivers of [`incomplete`](Self::incomplete) of an operation by this process that
    /// no machine shows any more.
    pub(in crate::vsphere) fn notice_incomplete(&self) {
        self.inner.state.incomplete.send_modify(|count| *count += 1);
    }

    /// Returns the number of changes so far to the set of machines and to their keys.
    pub(in crate::vsphere) fn revision(&self) -> u64 {
        self.content().revision()
    }

    /// Returns the number of changes so far to the set of machines and to their states.
    pub(in crate::vsphere) fn changes(&self) -> u64 {
        self.content().changes()
    }

    /// Returns the current revision, and what changed after an earlier one. Costs as much as there
    /// are changes, not as much as there are machines, unless too many changes followed. Returns
    /// nothing while the index is being filled.
    pub(in crate::vsphere) fn changed_since(
        &self,
        revision: Option<u64>,
    ) -> Option<(u64, Changed)> {
        let content = self.content();
        let latest = revision.and_then(|revision| content.changed_since(revision));
        let changed = match latest {
            Some(changes) => Changed::Some(changes),
            None => Changed::Any(content.complete()?),
        };
        Some((content.revision(), changed))
    }

    /// Returns the known state of a machine.
    pub(in crate::vsphere) fn get(&self, vm: &Ref<mo::VirtualMachine>) -> Option<Arc<Seen>> {
        self.content().get(vm)
    }

    /// Reads one machine and adds it to the index.
    pub(in crate::vsphere) async fn read(
        &self,
        vm: &Ref<mo::VirtualMachine>,
        resource: &Resource,
    ) -> Result<Arc<Seen>> {
        let endpoint = &self.inner.source.endpoint;
        let read = self.add(vm, async {
            let machine = endpoint.machine(vm, resource).await?;
            Ok((machine, ()))
        });
        read.await.map(|(seen, ())| seen)
    }

    /// Reads one machine with its devices, and adds it to the index.
    pub(in crate::vsphere) async fn read_with_devices(
        &self,
        vm: &Ref<mo::VirtualMachine>,
        resource: &Resource,
    ) -> Result<(Arc<Seen>, Vec<Poly<VirtualDevice>>)> {
        let endpoint = &self.inner.source.endpoint;
        self.add(vm, endpoint.machine_with_devices(vm, resource))
            .await
    }

    /// Adds a machine that is read now.
    async fn add<T: Send>(
        &self,
        vm: &Ref<mo::VirtualMachine>,
        read: impl Future<Output = Result<(Machine, T)>> + Send,
    ) -> Result<(Arc<Seen>, T)> {
        let asked = Instant::now();
        match read.await {
            Ok((machine, rest)) => {
                let seen = self.content().read(machine, asked);
                self.inner.state.read.notify_one();
                Ok((seen, rest))
            }
            Err(error) => {
                if error.is_not_found() {
                    self.content().left(vm);
                }
                Err(error)
            }
        }
    }

    /// Waits until the index shows a write by this process, that is, until the machine satisfies a
    /// condition that it did not satisfy before. If no report arrives in time, the machine is read.
    /// If such writes are usually not reported, it is read at once.
    pub(in crate::vsphere) async fn written(
        &self,
        vm: &Ref<mo::VirtualMachine>,
        resource: &Resource,
        kind: Written,
        shows: impl Fn(&Seen) -> bool + Send + Sync,
    ) -> Result<Arc<Seen>> {
        self.ready().await?;
        let reported = async {
            loop {
                let arrived = self.inner.state.arrived.notified();
                // A new machine may not have been reported yet.
                let Some(mut seen) = self.content().subscribe(vm) else {
                    arrived.await;
                    continue;
                };
                let shown = seen.wait_for(|seen| shows(seen)).await;
                if let Ok(shown) = shown {
                    return Arc::clone(&shown);
                }
            }
        };
        let experience = self.inner.source.endpoint.experience();
        match timeout(experience.patience(kind), reported).await {
            Ok(seen) => {
                experience.reported(kind);
                Ok(seen)
            }
            Err(_elapsed) => {
                experience.missed(kind);
                self.read(vm, resource).await
            }
        }
    }

    /// Removes a machine that this process destroyed.
    pub(in crate::vsphere) fn destroyed(&self, vm: &Ref<mo::VirtualMachine>) {
        self.content().destroyed(vm, Instant::now());
    }

    /// Passes each state of the machine to `judge`, beginning with the known one, until `judge`
    /// breaks. States in quick succession may be merged into one, and the first state may be older
    /// than this call.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) once the machine is removed; those of
    /// [`ready`](Self::ready).
    pub(in crate::vsphere) async fn watch<T>(
        &self,
        vm: &Ref<mo::VirtualMachine>,
        resource: &Resource,
        mut judge: impl FnMut(&Arc<Seen>) -> ControlFlow<T> + Send,
    ) -> Result<T> {
        loop {
            self.ready().await?;
            let Some(mut seen) = self.content().subscribe(vm) else {
                return Err(Error::not_found(resource.clone()));
            };
            loop {
                let now = Arc::clone(&seen.borrow_and_update());
                if let ControlFlow::Break(found) = judge(&now) {
                    return Ok(found);
                }
                if seen.changed().await.is_err() {
                    break;
                }
            }
            // The machine was removed, or the index was cleared and has to be filled again.
        }
    }
}

/// An error that is returned to several callers.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Shared(#[source] Arc<Error>);
