//! Containers in memory.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use super::Program;
use super::store::{Container, Store};
use crate::exec::{ContainerInfo, ContainerSpec, Edit, Listing, Signal, StartOptions, StopOptions};
use crate::queue::Queues;
use crate::{
    Capabilities, Capability, ContainerId, Error, Exec, ExitStatus, Resource, Result, State,
    StateKind,
};

/// Containers that are entries of a map, and whose processes do what a [`Program`] says.
///
/// It has every image and every volume that is named, and one scope, `bridge`. Clones share the
/// containers. Its methods must run within a Tokio runtime with time enabled.
#[derive(Clone, Debug)]
pub struct MemoryExec {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    store: Store,
    program: Arc<dyn Program>,
    queues: Queues<ContainerId>,
}

impl MemoryExec {
    /// An implementation without containers, whose processes behave as the program says.
    pub fn new(program: impl Program) -> Self {
        let program = Arc::new(program);
        let (store, queues) = (Store::default(), Queues::default());
        Self {
            shared: Arc::new(Shared {
                store,
                program,
                queues,
            }),
        }
    }

    /// All containers.
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

    /// Sends a signal to a process that is on, if it heeds signals.
    fn deliver(&self, id: &ContainerId, signal: Signal) -> Result<()> {
        self.shared.store.read(id, |container| {
            if container.behaviour().heeds(signal) {
                container.end(ExitStatus::Signal(Some(signal)));
            }
        })
    }
}

/// The only scope.
const SCOPE: &str = "bridge";

#[async_trait]
impl Exec for MemoryExec {
    fn capabilities(&self) -> Capabilities {
        [
            Capability::GuestKeys,
            Capability::Signals,
            Capability::Suspend,
        ]
        .into_iter()
        .collect()
    }

    async fn create(&self, spec: ContainerSpec) -> Result<ContainerId> {
        spec.validate()?;
        if let Some(unknown) = spec.endpoints.iter().find(|e| e.scope != SCOPE) {
            return Err(Error::not_found(Resource::network(&unknown.scope)));
        }
        let id = spec.id;
        self.shared
            .store
            .insert(Container::new(spec, Timestamp::now()))?;
        Ok(id)
    }

    async fn start(&self, id: &ContainerId, options: StartOptions) -> Result<State> {
        let _turn = self.shared.queues.turn(*id).await;
        self.require(id, options.allowed())?;
        let behaviour = self.shared.store.read(id, |container| {
            let behaviour = self.shared.program.behaviour(container.spec());
            container.launch(behaviour.clone());
            behaviour
        })?;
        if let Some(reason) = behaviour.refusal() {
            return Err(Error::guest_failed(Resource::container(id), reason));
        }
        if let Some((after, exit)) = behaviour.end() {
            let ends = self
                .shared
                .store
                .read(id, |container| container.ending(exit))?;
            if after.is_zero() {
                ends();
            } else {
                tokio::spawn(async move {
                    tokio::time::sleep(after).await;
                    ends();
                });
            }
        }
        self.shared.store.read(id, |container| container.state())
    }

    async fn inspect(&self, id: &ContainerId) -> Result<ContainerInfo> {
        self.shared.store.read(id, |container| container.info())
    }

    async fn list(&self) -> Result<Listing> {
        Ok(Listing::new(self.shared.store.all(), Vec::new()))
    }

    async fn wait(&self, id: &ContainerId) -> Result<ExitStatus> {
        let mut states = self.shared.store.read(id, Container::watch)?;
        let state = states
            .wait_for(|state| matches!(state.kind(), StateKind::Stopped | StateKind::Removing))
            .await;
        // A closed channel and `Removing` both mean that it is gone.
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
        self.shared.store.edit(id, edit)
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
        self.shared.store.remove(id)
    }
}

#[cfg(test)]
mod tests;
