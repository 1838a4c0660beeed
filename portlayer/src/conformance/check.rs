//! Building blocks of the cases.

use std::fmt;
use std::sync::PoisonError;
use std::sync::{Arc, Mutex};

use super::{Fixture, Process};
use crate::event::Events;
use crate::exec::{Command, ContainerInfo, ContainerSpec, ExecExt};
use crate::image::Images;
use crate::network::Networks;
use crate::store::Store;
use crate::stream::Streams;
use crate::{Capability, ContainerId, Error, ErrorKind, Exec, PortLayer, Result, State};

/// The reason why a case failed.
#[derive(Debug)]
pub struct Failure(String);

impl Failure {
    pub(super) fn new(reason: impl fmt::Display) -> Self {
        Self(reason.to_string())
    }

    fn with_causes(error: &dyn std::error::Error) -> Self {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        Self(text)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

impl From<Error> for Failure {
    /// Formats the error with all its causes.
    fn from(error: Error) -> Self {
        Self::with_causes(&error)
    }
}

pub(super) type Check = Result<(), Failure>;

/// Fails with the condition and the actual value unless the value matches.
macro_rules! ensure {
    ($value:expr, $pattern:pat $(if $guard:expr)? $(,)?) => {{
        match $value {
            $pattern $(if $guard)? => {}
            other => {
                return Err(Failure::new(format_args!(
                    "{} is {other:?}, expected {}",
                    stringify!($value),
                    stringify!($pattern $(if $guard)?)
                )));
            }
        }
    }};
}
/// Fails unless both values are equal.
macro_rules! ensure_eq {
    ($left:expr, $right:expr $(,)?) => {{
        let (left, right) = (&$left, &$right);
        if left != right {
            return Err(Failure::new(format_args!(
                "{} is {left:?}, expected {right:?}",
                stringify!($left)
            )));
        }
    }};
}
pub(super) use {ensure, ensure_eq};

/// The context of a case: the port layer, and the containers and scopes to remove at the end.
pub(super) struct Bench<'a> {
    fixture: &'a dyn Fixture,
    layer: PortLayer,
    made: Mutex<Vec<ContainerId>>,
    scopes: Mutex<Vec<String>>,
}

impl<'a> Bench<'a> {
    pub(super) fn new(fixture: &'a dyn Fixture, layer: PortLayer) -> Self {
        Self {
            fixture,
            layer,
            made: Mutex::default(),
            scopes: Mutex::default(),
        }
    }

    pub(super) fn exec(&self) -> &dyn Exec {
        self.layer.exec()
    }

    pub(super) fn images(&self) -> &dyn Images {
        self.layer.images()
    }

    pub(super) fn networks(&self) -> &dyn Networks {
        self.layer.networks()
    }

    pub(super) fn events(&self) -> &dyn Events {
        self.layer.events()
    }

    pub(super) fn store(&self) -> &dyn Store {
        self.layer.store()
    }

    pub(super) fn streams(&self) -> &dyn Streams {
        self.layer.streams()
    }

    pub(super) fn has_networks(&self) -> bool {
        self.layer.capabilities().contains(Capability::Networks)
    }

    pub(super) fn external_network(&self) -> String {
        self.fixture.external_network()
    }

    /// Returns an unused name for a scope. The scope is removed at the end of the case.
    pub(super) fn scope_name(&self) -> String {
        let name = format!("conformance-{}", ContainerId::generate().short());
        self.scopes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(name.clone());
        name
    }

    pub(super) fn has_images(&self) -> bool {
        self.layer.capabilities().contains(Capability::Images)
    }

    pub(super) fn has(&self, capability: Capability) -> bool {
        self.exec().capabilities().contains(capability)
    }

    /// Opens the fixture's host again, as after a restart of the program.
    pub(super) async fn reopen(&self) -> Result<PortLayer> {
        self.fixture.open().await
    }

    pub(super) fn command(&self, process: Process) -> Command {
        self.fixture.command(process)
    }

    /// Returns a specification with an unused name. A container with that name is removed at the
    /// end of the case, however it was created.
    pub(super) fn spec(&self, process: Process) -> ContainerSpec {
        let id = ContainerId::generate();
        self.made
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(id);
        let name = format!("conformance-{}", id.short());
        let command = self.command(process);
        ContainerSpec::new(name, command).id(id)
    }

    pub(super) async fn create(&self, process: Process) -> Result<ContainerId> {
        self.exec().create(self.spec(process)).await
    }

    pub(super) async fn state(&self, id: &ContainerId) -> Result<State> {
        Ok(self.exec().inspect(id).await?.state)
    }

    /// Returns the container as it appears in the list.
    pub(super) async fn listed(&self, id: &ContainerId) -> Result<Option<ContainerInfo>> {
        let listing = self.exec().list().await?;
        Ok(listing
            .containers
            .into_iter()
            .find(|container| container.id == *id)
            .map(Arc::unwrap_or_clone))
    }

    pub(super) async fn clear(self) -> Check {
        for id in self
            .made
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
        {
            match self.layer.exec().remove_forced(&id).await {
                Ok(())
                | Err(Error {
                    kind: ErrorKind::NotFound,
                    ..
                }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        for scope in self
            .scopes
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
        {
            match self.layer.networks().remove(&scope).await {
                Err(error) if !error.is_not_found() => return Err(error.into()),
                _ => {}
            }
        }
        Ok(())
    }
}
