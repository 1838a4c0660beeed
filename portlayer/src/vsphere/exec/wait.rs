//! Waiting for a container's end.

use std::ops::ControlFlow;
use std::time::Duration;

use super::{Shared, Snapshot};
use crate::vsphere::derive_state::Power;
use crate::{Capability, ContainerId, Error, ExitStatus, Resource, Result, State, StateKind};

/// How long a machine must stay off without a word of its guest for the run to count as lost, when
/// its start is written down: another process may be about to switch it on.
const SETTLE: Duration = Duration::from_secs(5);

enum Seen {
    Ended {
        exit: ExitStatus,
        /// Only this process knows it.
        unwritten: bool,
    },
    /// It is off, and this run has not been heard of.
    Silent,
}

impl Shared {
    pub(super) async fn wait(&self, id: &ContainerId) -> Result<ExitStatus> {
        loop {
            let vm = self.machine(id).await?.vm;
            let resource = Resource::container(id);
            let seen = self.endpoint.watch(&vm, &resource, |machine| {
                let sight = self.sight(id, machine);
                self.end(id, &sight)
                    .map_or(ControlFlow::Continue(()), ControlFlow::Break)
            });
            match seen.await? {
                Err(broken) => return Err(broken),
                Ok(Seen::Ended { exit, unwritten }) => {
                    if unwritten {
                        self.write_down(id).await;
                    }
                    return Ok(exit);
                }
                Ok(Seen::Silent) => {
                    let woken = self.endpoint.watch(&vm, &resource, |machine| {
                        let sight = self.sight(id, machine);
                        match self.end(id, &sight) {
                            Some(Ok(Seen::Silent)) => ControlFlow::Continue(()),
                            _ => ControlFlow::Break(()),
                        }
                    });
                    match tokio::time::timeout(SETTLE, woken).await {
                        // It moved: look again.
                        Ok(moved) => moved?,
                        // Unless it is being switched on right here.
                        Err(_elapsed) => {
                            let state = self.look(id).await?.state;
                            if let State::Stopped { exit } = state {
                                return Ok(exit);
                            }
                        }
                    }
                }
            }
        }
    }

    /// The end of a container, if its machine shows one.
    fn end(&self, id: &ContainerId, sight: &Snapshot) -> Option<Result<Seen>> {
        match &sight.state {
            State::Stopped { exit } => {
                let heard = sight.run.exit().is_some()
                    || sight.unwritten.is_some()
                    || !sight.run.started(id).is_empty()
                    || !self.capabilities.contains(Capability::GuestKeys);
                Some(Ok(if heard {
                    let unwritten = sight.unwritten.is_some();
                    Seen::Ended {
                        exit: *exit,
                        unwritten,
                    }
                } else {
                    Seen::Silent
                }))
            }
            State::Starting if sight.machine.power == Power::Off => Some(Ok(Seen::Silent)),
            State::Broken { reason } => Some(Err(Error::invalid_state(
                Resource::container(id),
                StateKind::Broken,
                StateKind::STOPPABLE,
            )
            .with_source(reason.clone()))),
            _ => None,
        }
    }

    /// Copies the end of a run to where it lasts. Who asked has the answer whether this succeeds
    /// or not.
    pub(super) async fn write_down(&self, id: &ContainerId) {
        let _turn = self.ids.turn(*id).await;
        let written = async {
            let sight = self.look(id).await?;
            match sight.unwritten {
                Some(exit) => self.write_run(id, &sight, &sight.run.ended(exit)).await,
                None => Ok(()),
            }
        };
        match written.await {
            Ok(()) => self.heard_exits.forget(id),
            Err(error) => tracing::debug!(container = %id, %error, "the exit is not written down"),
        }
    }

    /// Waits until the machine is off, whoever switches it off.
    pub(super) async fn off(&self, id: &ContainerId, sight: &Snapshot) -> Result<()> {
        let resource = Resource::container(id);
        self.endpoint
            .watch(&sight.machine.vm, &resource, |machine| {
                match machine.power {
                    Power::Off => ControlFlow::Break(()),
                    Power::On | Power::Suspended | Power::Unknown => ControlFlow::Continue(()),
                }
            })
            .await
    }
}
