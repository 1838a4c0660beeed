//! In-memory containers.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;

use super::events::News;
use super::pipes::Pipes;
use super::store::{Container, Store};
use super::{MemoryNetworks, MemoryProcess, Program};
use crate::exec::{
    Command, ContainerInfo, ContainerSpec, Edit, Listing, Signal, StartOptions, StopOptions,
};
use crate::network::BridgeRange;
use crate::network::table::{REST, Table};
use crate::queue::Queues;
use crate::{
    Capabilities, Capability, ContainerId, Error, Exec, ExitStatus, Resource, Result, State,
    StateKind,
};

/// An in-memory [`Exec`], whose processes behave as a [`Program`] specifies.
///
/// Every image and every volume exists. The scopes are those of [`networks`](Self::networks); the
/// default one is `bridge`. Clones share the containers. The methods must be called within a Tokio
/// runtime with time enabled.
#[derive(Clone, Debug)]
pub struct MemoryExec {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    store: Store,
    program: Arc<dyn Program>,
    queues: Queues<ContainerId>,
    /// Lock order: before the store.
    networks: Mutex<Table>,
}

impl MemoryExec {
    /// Creates an implementation without containers, whose processes behave as `program` specifies.
    pub fn new(program: impl Program) -> Self {
        let program = Arc::new(program);
        let table = Table::new(SCOPE, BridgeRange::default(), REST, b"memory");
        let (store, queues) = (Store::default(), Queues::default());
        Self {
            shared: Arc::new(Shared {
                store,
                program,
                queues,
                networks: Mutex::new(table),
            }),
        }
    }

    /// Returns the scopes to which containers can be connected.
    #[must_use]
    pub fn networks(&self) -> MemoryNetworks {
        MemoryNetworks::of(self.clone())
    }

    /// Locks the scopes, addresses and ports.
    pub(super) fn table(&self) -> MutexGuard<'_, Table> {
        let table = self.shared.networks.lock();
        table.unwrap_or_else(PoisonError::into_inner)
    }

    /// Fails if a running container uses one of this container's ports or addresses.
    fn refuse_rivals(&self, table: &Table, id: &ContainerId) -> Result<()> {
        for (rival, error) in table.rivals(id) {
            let state = self.shared.store.read(&rival, Container::state);
            if state.is_ok_and(|state| state.kind().may_be_on()) {
                return Err(error);
            }
        }
        Ok(())
    }

    /// Returns the publisher of events.
    pub(super) fn news(&self) -> &News {
        self.shared.store.news()
    }

    /// Returns the streams and the command of a container.
    pub(super) fn pipes(&self, id: &ContainerId) -> Result<(Arc<Pipes>, Command)> {
        self.shared.store.read(id, |container| {
            let pipes = Arc::clone(container.pipes());
            (pipes, container.spec().command.clone())
        })
    }

    /// Returns a receiver of the container's state and its changes.
    pub(super) fn watch(&self, id: &ContainerId) -> Result<watch::Receiver<State>> {
        self.shared.store.read(id, Container::watch)
    }

    /// Returns all containers.
    pub(super) fn all(&self) -> Vec<ContainerInfo> {
        self.shared.store.all()
    }

    fn require(&self, id: &ContainerId, allowed: &'static [StateKind]) -> Result<State> {
        let state = self.shared.store.read(id, |container| container.state())?;
        if allowed.contains(&state.kind()) {
            Ok(state)
        } else {
            Err(Error::invalid_state(
                Resource::container(id),
                state.kind(),
                allowed,
            ))
        }
    }

    /// Sends a signal to a running process; a no-op if the process ignores signals.
    fn deliver(&self, id: &ContainerId, signal: Signal) -> Result<()> {
        self.shared.store.read(id, |container| {
            if container.behaviour().heeds(signal) {
                container.end(ExitStatus::Signal(Some(signal)));
            }
        })
    }
}

/// The name of the default scope.
const SCOPE: &str = "bridge";

#[async_trait]
impl Exec for MemoryExec {
    fn capabilities(&self) -> Capabilities {
        [
            Capability::GuestKeys,
            Capability::Signals,
            Capability::Suspend,
            Capability::LaterConnect,
            Capability::LiveEdits,
        ]
        .into_iter()
        .collect()
    }

    async fn create(&self, spec: ContainerSpec) -> Result<ContainerId> {
        spec.validate()?;
        let (id, created) = (spec.id, Timestamp::now());
        let mut table = self.table();
        let now = Instant::now().into_std();
        let assigned = table.assign_new(id, &spec.name, created, &spec.endpoints, now)?;
        let news = self.news().clone();
        let container = Container::new(spec, assigned.endpoints.clone(), created, news);
        match self.shared.store.insert(container) {
            Ok(()) => table.commit(&assigned, now),
            Err(error) => {
                table.abandon(&assigned);
                return Err(error);
            }
        }
        Ok(id)
    }

    async fn start(&self, id: &ContainerId, options: StartOptions) -> Result<State> {
        let _turn = self.shared.queues.turn(*id).await;
        self.require(id, options.allowed())?;
        let table = self.table();
        self.refuse_rivals(&table, id)?;
        let behaviour = self.shared.store.read(id, |container| {
            let behaviour = self.shared.program.behaviour(container.spec());
            container.launch(behaviour.clone());
            behaviour
        })?;
        drop(table);
        if let Some(reason) = behaviour.refusal() {
            return Err(Error::guest_failed(Resource::container(id), reason));
        }
        if let Some(script) = behaviour.script() {
            self.shared.store.read(id, |container| {
                let (pipes, command) = (Arc::clone(container.pipes()), &container.spec().command);
                let process =
                    MemoryProcess::new(Arc::clone(&pipes), command.tty, command.open_stdin);
                let (script, ending) = (script.run(process), container.ending());
                // The lock is held so that the task is registered before it can end.
                let mut attached = pipes.lock();
                let task = tokio::spawn(async move { ending(ExitStatus::Code(script.await)) });
                attached.set_process(task.abort_handle());
            })?;
        }
        if let Some((after, exit)) = behaviour.end() {
            let ends = self.shared.store.read(id, Container::ending)?;
            if after.is_zero() {
                ends(exit);
            } else {
                tokio::spawn(async move {
                    tokio::time::sleep(after).await;
                    ends(exit);
                });
            }
        }
        self.shared.store.read(id, |container| container.state())
    }

    async fn inspect(&self, id: &ContainerId) -> Result<ContainerInfo> {
        self.shared.store.read(id, |container| container.info())
    }

    async fn list(&self) -> Result<Listing> {
        let containers = self.shared.store.all();
        let containers = containers.into_iter().map(Arc::new).collect();
        Ok(Listing::new(containers, Vec::new()))
    }

    async fn wait(&self, id: &ContainerId) -> Result<ExitStatus> {
        let mut states = self.shared.store.read(id, Container::watch)?;
        let state = states
            .wait_for(|state| matches!(state.kind(), StateKind::Stopped | StateKind::Removing))
            .await;
        // A closed channel and `Removing` both mean that the container was removed.
        state
            .ok()
            .and_then(|state| state.exit())
            .ok_or_else(|| Error::not_found(Resource::container(id)))
    }

    async fn stop(&self, id: &ContainerId, options: StopOptions) -> Result<ExitStatus> {
        let stopping;
        {
            let _turn = self.shared.queues.turn(*id).await;
            if let State::Stopped { exit } = self.require(id, StateKind::STOPPABLE)? {
                return Ok(exit);
            }
            stopping = self.shared.store.read(id, Container::stopping)?;
            if !options.grace.is_zero() {
                let signal = self.shared.store.read(id, Container::stop_signal)?;
                self.deliver(id, options.signal.unwrap_or(signal))?;
            }
        }
        let ended = match tokio::time::timeout(options.grace, self.wait(id)).await {
            Ok(ended) => ended,
            Err(_elapsed) => {
                let _turn = self.shared.queues.turn(*id).await;
                self.shared
                    .store
                    .read(id, |container| container.end(ExitStatus::KILLED))?;
                self.wait(id).await
            }
        };
        drop(stopping);
        ended
    }

    async fn signal(&self, id: &ContainerId, signal: Signal) -> Result<()> {
        let _turn = self.shared.queues.turn(*id).await;
        self.require(id, StateKind::SIGNALLABLE)?;
        self.deliver(id, signal)
    }

    async fn update(&self, id: &ContainerId, edit: Edit) -> Result<()> {
        edit.validate(id)?;
        let _turn = self.shared.queues.turn(*id).await;
        let before = self.shared.store.read(id, Container::endpoint_specs)?;
        let after = edit.endpoints_after(id, &before)?;
        let name = edit.name.clone();
        let mut table = self.table();
        match after {
            None => self.shared.store.edit(id, edit, None)?,
            Some(after) => {
                // The container's state is checked before its connections.
                let has = self.capabilities();
                self.require(id, edit.allowed(has))
                    .map_err(|error| edit.explain(has, error))?;
                let now = Instant::now().into_std();
                let assigned = table.assign_edit(*id, &after, now)?;
                let endpoints = Some(assigned.endpoints.clone());
                match self.shared.store.edit(id, edit, endpoints) {
                    Ok(()) => table.commit(&assigned, now),
                    Err(error) => {
                        table.abandon(&assigned);
                        return Err(error);
                    }
                }
            }
        }
        if let Some(name) = name {
            table.rename(id, &name);
        }
        Ok(())
    }

    async fn pause(&self, id: &ContainerId) -> Result<()> {
        let _turn = self.shared.queues.turn(*id).await;
        self.require(id, StateKind::PAUSABLE)?;
        self.shared
            .store
            .read(id, |container| container.set(State::Suspended))
    }

    async fn resume(&self, id: &ContainerId) -> Result<()> {
        let _turn = self.shared.queues.turn(*id).await;
        self.require(id, StateKind::RESUMABLE)?;
        self.shared
            .store
            .read(id, |container| container.set(State::Running))
    }

    async fn remove(&self, id: &ContainerId) -> Result<()> {
        let _turn = self.shared.queues.turn(*id).await;
        self.require(id, StateKind::REMOVABLE)?;
        let mut table = self.table();
        self.shared.store.remove(id)?;
        table.release(id, Instant::now().into_std());
        Ok(())
    }
}

#[cfg(test)]
mod tests;
