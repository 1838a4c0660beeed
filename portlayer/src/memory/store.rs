//! A map of containers.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::watch;

use super::Behaviour;
use super::events::News;
use super::pipes::Pipes;
use crate::event::EventKind;
use crate::exec::{ContainerInfo, ContainerSpec, Edit, Signal};
use crate::network::{EndpointInfo, EndpointSpec};
use crate::{Capabilities, ContainerId, Error, ExitStatus, Resource, Result, State, StateKind};

#[derive(Debug, Default)]
pub(super) struct Store {
    containers: Mutex<BTreeMap<ContainerId, Container>>,
    news: News,
}

impl Store {
    pub(super) fn news(&self) -> &News {
        &self.news
    }

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
        let id = spec.id;
        containers.insert(id, container);
        self.news.publish(EventKind::Created { container: id });
        Ok(())
    }

    pub(super) fn read<T>(&self, id: &ContainerId, f: impl FnOnce(&Container) -> T) -> Result<T> {
        let containers = self.lock();
        containers
            .get(id)
            .map(f)
            .ok_or_else(|| Error::not_found(Resource::container(id)))
    }

    /// Changes a container if its state allows the edit and its new name is unused. `endpoints` are
    /// the new connections; `None` leaves them unchanged.
    pub(super) fn edit(
        &self,
        id: &ContainerId,
        edit: Edit,
        endpoints: Option<Vec<EndpointInfo>>,
    ) -> Result<()> {
        let mut containers = self.lock();
        let resource = Resource::container(id);
        let actual = match containers.get(id) {
            None => return Err(Error::not_found(resource)),
            Some(container) => container.state().kind(),
        };
        let has = Capabilities::all();
        if !edit.allowed(has).contains(&actual) {
            let error = Error::invalid_state(resource, actual, edit.allowed(has));
            return Err(edit.explain(has, error));
        }
        if let Some(name) = &edit.name
            && containers
                .values()
                .any(|other| other.spec.name == *name && other.spec.id != *id)
        {
            return Err(Error::already_exists(Resource::container(name)));
        }
        if let Some(container) = containers.get_mut(id) {
            edit.apply(&mut container.spec);
            if let Some(endpoints) = endpoints {
                container.endpoints = endpoints;
            }
            self.news.publish(EventKind::Updated { container: *id });
        }
        Ok(())
    }

    pub(super) fn all(&self) -> Vec<ContainerInfo> {
        self.lock().values().map(Container::info).collect()
    }

    pub(super) fn remove(&self, id: &ContainerId) -> Result<()> {
        let removed = self.lock().remove(id);
        let container = removed.ok_or_else(|| Error::not_found(Resource::container(id)))?;
        container.set(State::Removing);
        let mut attached = container.pipes().lock();
        attached.removed = true;
        attached.end();
        drop(attached);
        self.news.publish(EventKind::Removed { container: *id });
        Ok(())
    }
}

#[derive(Debug)]
pub(super) struct Container {
    spec: ContainerSpec,
    endpoints: Vec<EndpointInfo>,
    created: Timestamp,
    times: Mutex<Times>,
    run: Arc<Run>,
    behaviour: Mutex<Behaviour>,
}

/// When the process of the last run started.
#[derive(Clone, Copy, Debug, Default)]
struct Times {
    started: Option<Timestamp>,
}

/// The current run, shared with the timers that end processes.
#[derive(Debug)]
struct Run {
    id: ContainerId,
    news: News,
    state: watch::Sender<State>,
    finished: Mutex<Option<Timestamp>>,
    /// The number of the run, so that a timer of an earlier run does not end a later one.
    number: AtomicU64,
    pipes: Arc<Pipes>,
}

impl Run {
    fn end(&self, exit: ExitStatus) {
        let mut attached = self.pipes.lock();
        let ended = self.state.send_if_modified(|state| {
            let on = StateKind::SIGNALLABLE.contains(&state.kind())
                || state.kind() == StateKind::Suspended;
            if on {
                *state = State::Stopped { exit };
                *lock(&self.finished) = Some(Timestamp::now());
                let container = self.id;
                self.news.publish(EventKind::Stopped { container, exit });
            }
            on
        });
        if ended {
            attached.end();
        }
    }
}

/// A stop in progress.
#[derive(Debug)]
#[must_use]
pub(super) struct Stopping {
    run: Arc<Run>,
    before: State,
}

impl Drop for Stopping {
    fn drop(&mut self) {
        self.run.state.send_if_modified(|state| {
            let unfinished = *state == State::Stopping && self.before != State::Stopping;
            if unfinished {
                *state = self.before.clone();
            }
            unfinished
        });
    }
}

impl Container {
    pub(super) fn new(
        spec: ContainerSpec,
        endpoints: Vec<EndpointInfo>,
        created: Timestamp,
        news: News,
    ) -> Self {
        let run = Run {
            id: spec.id,
            news,
            state: watch::Sender::new(State::Created),
            number: AtomicU64::new(0),
            finished: Mutex::default(),
            pipes: Arc::default(),
        };
        Self {
            spec,
            endpoints,
            created,
            times: Mutex::default(),
            run: Arc::new(run),
            behaviour: Mutex::new(Behaviour::runs()),
        }
    }

    pub(super) fn spec(&self) -> &ContainerSpec {
        &self.spec
    }

    /// Returns the container's streams.
    pub(super) fn pipes(&self) -> &Arc<Pipes> {
        &self.run.pipes
    }

    /// Returns the requested connections.
    pub(super) fn endpoint_specs(&self) -> Vec<EndpointSpec> {
        self.endpoints.iter().map(|e| e.spec.clone()).collect()
    }

    pub(super) fn behaviour(&self) -> Behaviour {
        self.behaviour
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Returns the signal that asks the process to exit.
    pub(super) fn stop_signal(&self) -> Signal {
        self.spec.command.stop_signal.unwrap_or(Signal::TERM)
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

    /// Sets the state to stopping until the returned guard is dropped. A stop that is cancelled
    /// restores the previous state.
    pub(super) fn stopping(&self) -> Stopping {
        let before = self.run.state.send_replace(State::Stopping);
        Stopping {
            run: Arc::clone(&self.run),
            before,
        }
    }

    /// Starts a run.
    pub(super) fn launch(&self, behaviour: Behaviour) {
        self.run.number.fetch_add(1, Ordering::SeqCst);
        let refused = behaviour.refusal().is_some();
        *lock(&self.behaviour) = behaviour;
        let started = (!refused).then(Timestamp::now);
        *lock(&self.times) = Times { started };
        *lock(&self.run.finished) = None;
        let container = self.spec.id;
        let (state, event) = if refused {
            let exit = ExitStatus::NotLaunched;
            let event = EventKind::Stopped { container, exit };
            (State::Stopped { exit }, event)
        } else {
            (State::Running, EventKind::Started { container })
        };
        self.set(state);
        if refused {
            self.run.pipes.lock().end();
        }
        self.run.news.publish(event);
    }

    /// Ends the process, if one is running.
    pub(super) fn end(&self, exit: ExitStatus) {
        self.run.end(exit);
    }

    /// Returns a function that ends the process of this run, but not of a later one.
    pub(super) fn ending(&self) -> impl FnOnce(ExitStatus) + Send + use<> {
        let run = Arc::clone(&self.run);
        let number = run.number.load(Ordering::SeqCst);
        move |exit| {
            if run.number.load(Ordering::SeqCst) == number {
                run.end(exit);
            }
        }
    }

    pub(super) fn info(&self) -> ContainerInfo {
        let mut info = ContainerInfo::new(self.spec.clone()).with_state(self.state());
        info.failure = match &info.state {
            State::Stopped { .. } => self.behaviour().refusal().map(str::to_owned),
            _ => None,
        };
        info.endpoints = self.endpoints.clone();
        info.created = Some(self.created);
        info.started = lock(&self.times).started;
        info.finished = *lock(&self.run.finished);
        info
    }
}

fn lock<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}
