//! The map of containers.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::watch;

use super::Behaviour;
use crate::exec::{ContainerInfo, ContainerSpec};
use crate::{ContainerId, Error, ExitStatus, Resource, Result, State, StateKind};

#[derive(Debug, Default)]
pub(super) struct Store {
    containers: Mutex<BTreeMap<ContainerId, Container>>,
}

impl Store {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<ContainerId, Container>> {
        self.containers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn insert(&self, container: Container) -> Result<()> {
        let mut containers = self.lock();
        let spec = container.spec();
        if containers.contains_key(&spec.id) {
            return Err(Error::already_exists(Resource::container(spec.id)));
        }
        if containers
            .values()
            .any(|other| other.spec.name == spec.name)
        {
            return Err(Error::already_exists(Resource::container(&spec.name)));
        }
        containers.insert(spec.id, container);
        Ok(())
    }

    pub(super) fn read<T>(&self, id: &ContainerId, f: impl FnOnce(&Container) -> T) -> Result<T> {
        let containers = self.lock();
        containers
            .get(id)
            .map(f)
            .ok_or_else(|| Error::not_found(Resource::container(id)))
    }

    pub(super) fn all(&self) -> Vec<ContainerInfo> {
        self.lock().values().map(Container::info).collect()
    }

    pub(super) fn remove(&self, id: &ContainerId) -> Result<()> {
        let removed = self.lock().remove(id);
        let container = removed.ok_or_else(|| Error::not_found(Resource::container(id)))?;
        container.set(State::Removing);
        Ok(())
    }
}

#[derive(Debug)]
pub(super) struct Container {
    spec: ContainerSpec,
    created: Timestamp,
    run: Arc<Run>,
    behaviour: Mutex<Behaviour>,
}

/// The state, shared with the timers that end processes.
#[derive(Debug)]
struct Run {
    state: watch::Sender<State>,
    /// Which start this is: a timer of an earlier run must not end a later one.
    number: AtomicU64,
}

impl Run {
    fn end(&self, exit: ExitStatus) {
        self.state.send_if_modified(|state| {
            let on = StateKind::SIGNALLABLE.contains(&state.kind());
            if on {
                *state = State::Stopped { exit };
            }
            on
        });
    }
}

impl Container {
    pub(super) fn new(spec: ContainerSpec, created: Timestamp) -> Self {
        let run = Run {
            state: watch::Sender::new(State::Created),
            number: AtomicU64::new(0),
        };
        Self {
            spec,
            created,
            run: Arc::new(run),
            behaviour: Mutex::new(Behaviour::runs()),
        }
    }

    pub(super) fn spec(&self) -> &ContainerSpec {
        &self.spec
    }

    pub(super) fn behaviour(&self) -> Behaviour {
        self.behaviour
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn state(&self) -> State {
        self.run.state.borrow().clone()
    }

    pub(super) fn watch(&self) -> watch::Receiver<State> {
        self.run.state.subscribe()
    }

    pub(super) fn set(&self, state: State) {
        self.run.state.send_replace(state);
    }

    /// Begins a run.
    pub(super) fn launch(&self, behaviour: Behaviour) {
        self.run.number.fetch_add(1, Ordering::SeqCst);
        let refused = behaviour.refusal().is_some();
        *self
            .behaviour
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = behaviour;
        self.set(if refused {
            State::Stopped {
                exit: ExitStatus::Lost,
            }
        } else {
            State::Running
        });
    }

    /// Ends the process if there is one.
    pub(super) fn end(&self, exit: ExitStatus) {
        self.run.end(exit);
    }

    /// What ends the process of this run, and of no later one.
    pub(super) fn ending(&self, exit: ExitStatus) -> impl FnOnce() + Send + use<> {
        let run = Arc::clone(&self.run);
        let number = run.number.load(Ordering::SeqCst);
        move || {
            if run.number.load(Ordering::SeqCst) == number {
                run.end(exit);
            }
        }
    }

    pub(super) fn info(&self) -> ContainerInfo {
        let state = self.state();
        let failure = match &state {
            State::Stopped { .. } => self.behaviour().refusal().map(str::to_owned),
            _ => None,
        };
        ContainerInfo {
            id: self.spec.id,
            name: self.spec.name.clone(),
            image: self.spec.image.clone(),
            command: self.spec.command.clone(),
            state,
            failure,
            created: Some(self.created),
            cpus: self.spec.cpus,
            memory_mib: self.spec.memory_mib,
        }
    }
}
