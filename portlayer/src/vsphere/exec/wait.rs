//! Waits for the exit of a container.

use std::ops::ControlFlow;
use std::time::Duration;

use vim25::{Ref, mo};

use super::{Shared, Snapshot};
use crate::vsphere::derive_state::Power;
use crate::{
    Capability, ContainerId, Error, ErrorKind, ExitStatus, Resource, Result, State, StateKind,
};

/// The initial backoff after a failure of the endpoint.
const RETRY_FIRST: Duration = Duration::from_millis(250);
const RETRY_MAX: Duration = Duration::from_secs(15);

/// Maximum number of attempts to persist an exit status.
const WRITES: usize = 4;

enum Seen {
    Ended {
        exit: ExitStatus,
        /// The exit status is known to this process only.
        unwritten: bool,
    },
    /// The machine is off, and nothing is known of this run.
    Silent,
}

/// Backoff while the endpoint does not respond.
pub(super) struct Outage {
    delay: Duration,
}

impl Default for Outage {
    fn default() -> Self {
        Self { delay: RETRY_FIRST }
    }
}

impl Outage {
    /// Waits until the next attempt is due.
    ///
    /// # Errors
    /// An error other than an outage of the endpoint.
    pub(super) async fn wait_out(&mut self, id: &ContainerId, error: Error) -> Result<()> {
        if !matches!(
            error.kind,
            ErrorKind::Unavailable { .. }
                | ErrorKind::Timeout { .. }
                | ErrorKind::OutcomeUnknown { .. }
        ) {
            return Err(error);
        }
        tracing::debug!(container = %id, %error, "the wait was interrupted");
        tokio::time::sleep(self.delay).await;
        self.delay = (self.delay * 2).min(RETRY_MAX);
        Ok(())
    }
}

impl Shared {
    /// Waits for the container's exit. The wait survives outages of the endpoint, because an outage
    /// does not mean that the container ended.
    pub(super) async fn wait(&self, id: &ContainerId) -> Result<ExitStatus> {
        let mut outage = Outage::default();
        loop {
            match self.wait_while_available(id).await {
                Ok(exit) => return Ok(exit),
                Err(error) => outage.wait_out(id, error).await?,
            }
        }
    }

    async fn wait_while_available(&self, id: &ContainerId) -> Result<ExitStatus> {
        loop {
            let vm = self.indexed(id).await?.vm.clone();
            let resource = Resource::container(id);
            let seen = self.index.watch(&vm, &resource, |machine| {
                let snapshot = self.snapshot(id, machine);
                self.end(id, &snapshot)
                    .map_or(ControlFlow::Continue(()), ControlFlow::Break)
            });
            match seen.await? {
                Err(broken) => return Err(broken),
                Ok(Seen::Ended { exit, unwritten }) => {
                    // Boxed like the other rare steps, because there can be many waits.
                    return Ok(Box::pin(self.settled_exit(id, exit, unwritten)).await);
                }
                Ok(Seen::Silent) => {
                    if let Some(exit) = Box::pin(self.silent_exit(id, &vm)).await? {
                        return Ok(exit);
                    }
                }
            }
        }
    }

    /// Returns the exit of a run that ended with this status, and persists it.
    async fn settled_exit(
        &self,
        id: &ContainerId,
        exit: ExitStatus,
        unwritten: bool,
    ) -> ExitStatus {
        if exit == ExitStatus::Lost
            && let Some(exit) = self.logged_exit(id).await
        {
            self.write_down(id).await;
            return exit;
        }
        if unwritten {
            self.write_down(id).await;
        }
        exit
    }

    /// Returns the exit of a run of which nothing is known, unless something becomes known soon.
    async fn silent_exit(
        &self,
        id: &ContainerId,
        vm: &Ref<mo::VirtualMachine>,
    ) -> Result<Option<ExitStatus>> {
        let resource = Resource::container(id);
        let woken = self.index.watch(vm, &resource, |machine| {
            let snapshot = self.snapshot(id, machine);
            match self.end(id, &snapshot) {
                Some(Ok(Seen::Silent)) => ControlFlow::Continue(()),
                _ => ControlFlow::Break(()),
            }
        });
        match tokio::time::timeout(self.options.settle_timeout, woken).await {
            // The machine was registered again under another reference: find it again.
            Ok(moved) => moved.map(|()| None),
            // Unless this process is powering the machine on.
            Err(_elapsed) => match self.look(id).await?.state {
                State::Stopped { exit } => Ok(Some(exit)),
                _ => Ok(None),
            },
        }
    }

    /// Returns the exit status of a container, if its machine shows one.
    fn end(&self, id: &ContainerId, snapshot: &Snapshot) -> Option<Result<Seen>> {
        match &snapshot.state {
            State::Stopped { exit } => {
                let run = snapshot.machine.last_run(id);
                let heard = run.recorded.is_some()
                    || snapshot.unwritten.is_some()
                    || !run.started().is_empty()
                    || !self.capabilities.contains(Capability::GuestKeys);
                Some(Ok(if heard {
                    let unwritten = snapshot.unwritten.is_some();
                    Seen::Ended {
                        exit: *exit,
                        unwritten,
                    }
                } else {
                    Seen::Silent
                }))
            }
            State::Starting if snapshot.machine.power == Power::Off => Some(Ok(Seen::Silent)),
            State::Broken { reason } => Some(Err(Error::invalid_state(
                Resource::container(id),
                StateKind::Broken,
                StateKind::STOPPABLE,
            )
            .with_source(reason.clone()))),
            _ => None,
        }
    }

    /// Persists the exit status if the endpoint does not keep it, before it is returned to a
    /// caller, because no other program can know it. Best effort: gives up after a few attempts,
    /// because the caller's answer is correct in any case.
    pub(super) async fn write_down(&self, id: &ContainerId) {
        let _turn = self.ids.turn(*id).await;
        // Nothing has to be read if the index shows how the run ended.
        let mut known = self.known_for_edit(id).await.ok().flatten();
        for _ in 0..WRITES {
            let written =
                self.edit_from(
                    known.take(),
                    id,
                    StateKind::STOPPABLE,
                    |snapshot| match snapshot.unwritten {
                        Some(exit) => self
                            .run_change(id, snapshot, &snapshot.run().ended(exit))
                            .map(Some),
                        None => Ok(None),
                    },
                );
            match written.await {
                Ok(_) => return self.heard_exits.forget(id),
                Err(error) => {
                    tracing::debug!(container = %id, %error, "cannot persist the exit status");
                    // The container was removed or started again, or another writer has taken over
                    // the host.
                    if matches!(
                        error.kind,
                        ErrorKind::NotFound
                            | ErrorKind::InvalidState { .. }
                            | ErrorKind::InUse { .. }
                    ) {
                        return;
                    }
                }
            }
            tokio::time::sleep(RETRY_FIRST).await;
        }
    }

    /// Waits until the machine is off, no matter who powers it off.
    pub(super) async fn off(&self, id: &ContainerId, snapshot: &Snapshot) -> Result<()> {
        let resource = Resource::container(id);
        self.index
            .watch(&snapshot.machine.vm, &resource, |machine| {
                match machine.power {
                    Power::Off => ControlFlow::Break(()),
                    Power::On | Power::Suspended | Power::Unknown => ControlFlow::Continue(()),
                }
            })
            .await
    }
}
