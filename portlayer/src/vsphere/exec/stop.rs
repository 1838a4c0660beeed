//! Ending a container, and signals.

use std::time::Duration;

use super::{Shared, Sight};
use crate::exec::{Signal, StopOptions};
use crate::{Capability, ContainerId, Error, ExitStatus, Resource, Result, State, StateKind};

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
            stopping = self.transients.mark(*id, StateKind::Stopping);
            if options.grace.is_zero() {
                self.switch_off(id, &sight).await?;
                None
            } else {
                self.deliver(id, &sight, options.signal)
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
            state => Err(Error::InvalidState {
                resource: Resource::container(id),
                actual: state.kind(),
                allowed: &[StateKind::Stopped],
                source: None,
            }),
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
        Err(Error::Unsupported {
            resource: Resource::container(id),
            capability: Capability::Signals,
            source: None,
        })
    }

    /// Whether the guest took the order.
    async fn deliver(&self, id: &ContainerId, sight: &Sight, signal: Signal) -> Result<bool> {
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
        match tokio::time::timeout(DELIVERY, order).await {
            Ok(Ok(())) => Ok(true),
            Ok(Err(error @ (Error::Unauthenticated { .. } | Error::PermissionDenied { .. }))) => {
                Err(error)
            }
            Ok(Err(error)) => {
                tracing::debug!(container = %id, %signal, %error, "not delivered");
                Ok(false)
            }
            Err(_elapsed) => Ok(false),
        }
    }

    /// Switches the machine off; one that is off already is as good. What the guest said before
    /// stays.
    async fn switch_off(&self, id: &ContainerId, sight: &Sight) -> Result<()> {
        let resource = Resource::container(id);
        self.endpoint
            .power_off(&sight.machine.vm, &resource)
            .await?;
        Ok(())
    }
}

/// How long the guest may take to accept an order.
const DELIVERY: Duration = Duration::from_secs(10);
