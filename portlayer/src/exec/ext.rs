//! Convenience methods for [`Exec`] that behave the same on every back end.

use async_trait::async_trait;

use super::{ContainerSpec, Exec, Signal, StartOptions, StopOptions};
use crate::{ContainerId, Error, ErrorKind, Result, State, StateKind};

/// Operations that combine methods of [`Exec`].
#[async_trait]
pub trait ExecExt: Exec {
    /// Creates and starts a container. If the start fails, the container is kept for inspection.
    ///
    /// # Errors
    /// Returns the errors of [`Exec::create`] and [`Exec::start`].
    async fn run(&self, spec: ContainerSpec) -> Result<(ContainerId, State)> {
        let id = self.create(spec).await?;
        let state = self.start(&id, StartOptions::new()).await?;
        Ok((id, state))
    }

    /// Sends the signal `KILL` to the container's process.
    ///
    /// # Errors
    /// Returns the errors of [`Exec::signal`].
    async fn kill(&self, id: &ContainerId) -> Result<()> {
        self.signal(id, Signal::KILL).await
    }

    /// Removes a container in any state; if it is on, its machine is switched off first.
    ///
    /// # Errors
    /// Returns the errors of [`Exec::stop`] and [`Exec::remove`].
    async fn remove_forced(&self, id: &ContainerId) -> Result<()> {
        match self.remove(id).await {
            Err(Error {
                kind: ErrorKind::InvalidState { actual, .. },
                ..
            }) if StateKind::STOPPABLE.contains(&actual) => {
                self.stop(id, StopOptions::AT_ONCE).await?;
                self.remove(id).await
            }
            done => done,
        }
    }
}

impl<E: Exec + ?Sized> ExecExt for E {}
