//! Ending a container, and signals.

use std::time::Duration;

use tokio::time::error::Elapsed;

use super::{Shared, Snapshot};
use crate::exec::{Signal, StopOptions};
use crate::{
    Capability, ContainerId, Error, ErrorKind, ExitStatus, Resource, Result, State, StateKind,
};

impl Shared {
    /// The order is VIC's: ask the process, give it time, switch the machine off. An order that
    /// cannot be delivered is not waited for.
    pub(super) async fn stop(&self, id: &ContainerId, options: StopOptions) -> Result<ExitStatus> {
        let stopping;
        let asked = {
            let _turn = self.ids.turn(*id).await;
            let sight = self.look(id).await?;
            self.require(id, &sight, StateKind::STOPPABLE)?;
            if let State::Stopped { exit } = sight.state {
                return Ok(exit);
            }
            stopping = self.in_progress.mark(*id, StateKind::Stopping);
            if options.grace.is_zero() {
                self.switch_off(id, &sight).await?;
                None
            } else {
                self.ask(id, &sight, options.signal.unwrap_or(Signal::TERM))
                    .await?
                    .then_some(sight)
            }
        };
        // Between asking and switching off others have their turn: a second stop may be in more
        // of a hurry.
        if let Some(sight) = asked {
            let off = tokio::time::timeout(options.grace, self.off(id, &sight)).await;
            if let Ok(off) = off {
                off?;
            }
        }
        let sight = {
            let _turn = self.ids.turn(*id).await;
            let sight = self.look(id).await?;
            match sight.state {
                State::Stopped { .. } => sight,
                _ => {
                    self.switch_off(id, &sight).await?;
                    self.look(id).await?
                }
            }
        };
        drop(stopping);
        match sight.state {
            State::Stopped { exit } => {
                if sight.unwritten.is_some() {
                    self.write_down(id).await;
                }
                Ok(exit)
            }
            // Somebody started it again, or it was suspended.
            state => Err(Error::invalid_state(
                Resource::container(id),
                state.kind(),
                &[StateKind::Stopped],
            )),
        }
    }

    pub(super) async fn signal(&self, id: &ContainerId, signal: Signal) -> Result<()> {
        let _turn = self.ids.turn(*id).await;
        let sight = self.look(id).await?;
        self.require(id, &sight, StateKind::SIGNALLABLE)?;
        if self.deliver(id, &sight, signal).await? {
            return Ok(());
        }
        if signal == Signal::KILL {
            return self.switch_off(id, &sight).await;
        }
        Err(Error::unsupported(
            Resource::container(id),
            Capability::Signals,
        ))
    }

    /// Asks the process to end, by the signal or, where that is `TERM` and guests take no signals,
    /// by asking the guest to shut down. Whether anybody was reached.
    async fn ask(&self, id: &ContainerId, sight: &Snapshot, signal: Signal) -> Result<bool> {
        if self.deliver(id, sight, signal).await? {
            return Ok(true);
        }
        if signal != Signal::TERM || !self.capabilities.contains(Capability::GuestKeys) {
            return Ok(false);
        }
        let resource = Resource::container(id);
        let order = self.endpoint.shut_down_guest(&sight.machine.vm, &resource);
        reached(id, tokio::time::timeout(DELIVERY, order).await)
    }

    /// Whether the guest took the signal.
    async fn deliver(&self, id: &ContainerId, sight: &Snapshot, signal: Signal) -> Result<bool> {
        if !self.capabilities.contains(Capability::Signals) {
            return Ok(false);
        }
        let resource = Resource::container(id);
        // The guest's tools run these as commands of their own.
        let program = if signal == Signal::KILL {
            "group-kill"
        } else {
            "kill"
        };
        let (user, signal) = (id.to_string(), signal.to_string());
        let vm = &sight.machine.vm;
        let order = self
            .endpoint
            .run_in_guest(vm, &user, program, &signal, &resource);
        reached(id, tokio::time::timeout(DELIVERY, order).await)
    }

    /// Switches the machine off; one that is off already is as good. What the guest said before
    /// stays.
    async fn switch_off(&self, id: &ContainerId, sight: &Snapshot) -> Result<()> {
        let resource = Resource::container(id);
        self.endpoint
            .power_off(&sight.machine.vm, &resource)
            .await?;
        Ok(())
    }
}

/// How long the guest may take to accept an order.
const DELIVERY: Duration = Duration::from_secs(10);

/// Whether an order reached the guest. That it did not is no error: there are harder ways.
fn reached(id: &ContainerId, order: Result<Result<()>, Elapsed>) -> Result<bool> {
    match order {
        Ok(Ok(())) => Ok(true),
        Ok(Err(
            error @ (Error {
                kind: ErrorKind::Unauthenticated,
                ..
            }
            | Error {
                kind: ErrorKind::PermissionDenied,
                ..
            }),
        )) => Err(error),
        Ok(Err(error)) => {
            tracing::debug!(container = %id, %error, "the guest was not reached");
            Ok(false)
        }
        Err(_elapsed) => Ok(false),
    }
}
