//! Stops containers, and sends signals.

use std::ops::ControlFlow;
use std::time::Duration;

use tokio::time::error::Elapsed;

use super::{Shared, Snapshot};
use crate::exec::{Signal, StopOptions};
use crate::vsphere::derive_state::Power;
use crate::vsphere::endpoint::Written;
use crate::vsphere::index::Seen;
use crate::vsphere::record::Record;
use crate::{
    Capability, ContainerId, Error, ErrorKind, ExitStatus, Resource, Result, State, StateKind,
};

/// The outcome of a request to a guest, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Delivery {
    /// The guest accepted the request.
    Delivered,
    /// The request did not reach the guest.
    Refused,
    /// The request may have reached the guest: the response was lost or is late.
    Unknown,
}

impl Shared {
    /// Stops a container as VIC does: asks the process to end, waits, and powers off the machine.
    /// If the request cannot be delivered, the machine is powered off without waiting.
    pub(super) async fn stop(&self, id: &ContainerId, options: StopOptions) -> Result<ExitStatus> {
        let stopping;
        let mut off = None;
        let asked = {
            let _turn = self.ids.turn(*id).await;
            let snapshot = self.running_or_settled(id).await?;
            self.require(id, &snapshot, StateKind::STOPPABLE)?;
            if let State::Stopped { exit } = snapshot.state {
                return Ok(exit);
            }
            stopping = self.in_progress.mark(*id, StateKind::Stopping);
            if options.grace.is_zero() {
                off = Some(self.switch_off(id, &snapshot).await?);
                None
            } else {
                match self.ask(id, &snapshot, options.signal).await? {
                    Delivery::Delivered | Delivery::Unknown => Some(snapshot),
                    Delivery::Refused => None,
                }
            }
        };
        // The lock is released between the request and the power-off, because a second stop may
        // have a shorter timeout.
        if let Some(snapshot) = asked {
            let off = tokio::time::timeout(options.grace, self.off(id, &snapshot)).await;
            if let Ok(off) = off {
                off?;
            }
        }
        let snapshot = match off {
            Some(off) => off,
            None => {
                let _turn = self.ids.turn(*id).await;
                let snapshot = self.look(id).await?;
                match snapshot.state {
                    State::Stopped { .. } => snapshot,
                    _ => self.switch_off(id, &snapshot).await?,
                }
            }
        };
        drop(stopping);
        match snapshot.state {
            State::Stopped { exit } => {
                if snapshot.unwritten.is_some() {
                    self.write_down(id).await;
                }
                Ok(exit)
            }
            // The container was started again or suspended concurrently.
            state => Err(Error::invalid_state(
                Resource::container(id),
                state.kind(),
                &[StateKind::Stopped],
            )),
        }
    }

    pub(super) async fn signal(&self, id: &ContainerId, signal: Signal) -> Result<()> {
        let switched_off = {
            let _turn = self.ids.turn(*id).await;
            let snapshot = self.settled(id).await?;
            self.require(id, &snapshot, StateKind::SIGNALLABLE)?;
            match self.deliver(id, &snapshot, signal).await? {
                Delivery::Delivered => false,
                _ if signal == Signal::KILL => {
                    self.switch_off(id, &snapshot).await?;
                    true
                }
                Delivery::Refused => {
                    let resource = Resource::container(id);
                    return Err(Error::unsupported(resource, Capability::Signals));
                }
                Delivery::Unknown => {
                    let resource = Resource::container(id);
                    return Err(Error::outcome_unknown(resource, "the signal"));
                }
            }
        };
        if switched_off {
            self.write_down(id).await;
        }
        Ok(())
    }

    /// Returns the index's snapshot of a container that it shows as running: should it have ended
    /// since, the power-off finds that. The same for a container whose exit status is recorded, if
    /// this program is the only one that starts containers. Otherwise, returns a
    /// [settled](Self::settled) snapshot.
    async fn running_or_settled(&self, id: &ContainerId) -> Result<Snapshot> {
        let snapshot = self.snapshot(id, &self.indexed(id).await?);
        let is_certain = match (snapshot.machine.power, &snapshot.state) {
            (Power::On, State::Running) => true,
            (Power::Off, State::Stopped { .. }) => {
                self.options.sole_writer && !snapshot.is_silent && snapshot.unwritten.is_none()
            }
            _ => false,
        };
        if is_certain {
            return Ok(snapshot);
        }
        self.settled(id).await
    }

    /// Returns a snapshot of the machine. If the machine is being powered on, waits for that to
    /// end, up to the timeout of tasks.
    async fn settled(&self, id: &ContainerId) -> Result<Snapshot> {
        /// How long to rely on the watch before reading the tasks again.
        const LOOK_AGAIN: Duration = Duration::from_millis(500);
        let resource = Resource::container(id);
        let settle = async {
            let mut is_patient = true;
            loop {
                let snapshot = self.look(id).await?;
                // Another program may have recorded a start and be about to power on the machine.
                let is_recorded = snapshot.is_silent && snapshot.state.kind() == StateKind::Stopped;
                if is_recorded && std::mem::take(&mut is_patient) {
                    let before = snapshot.run();
                    let moved = self
                        .index
                        .watch(&snapshot.machine.vm, &resource, |machine| {
                            if machine.power == Power::Off && machine.run() == before {
                                ControlFlow::Continue(())
                            } else {
                                ControlFlow::Break(())
                            }
                        });
                    if let Ok(moved) =
                        tokio::time::timeout(self.options.settle_timeout, moved).await
                    {
                        moved?;
                    }
                    continue;
                }
                if snapshot.state != State::Starting || snapshot.machine.power != Power::Off {
                    return Ok(snapshot);
                }
                let moved = self
                    .index
                    .watch(&snapshot.machine.vm, &resource, |machine| {
                        match machine.power {
                            Power::Off => ControlFlow::Continue(()),
                            _ => ControlFlow::Break(()),
                        }
                    });
                if let Ok(moved) = tokio::time::timeout(LOOK_AGAIN, moved).await {
                    moved?;
                }
            }
        };
        tokio::time::timeout(self.options.task_timeout, settle)
            .await
            .unwrap_or_else(|_elapsed| {
                Err(Error::timeout(
                    resource.clone(),
                    "the power-on of its machine",
                ))
            })
    }

    /// Asks the process to end by sending the signal. If guests do not support signals and this is
    /// the container's stop signal, asks the guest to shut down instead.
    async fn ask(
        &self,
        id: &ContainerId,
        snapshot: &Snapshot,
        signal: Option<Signal>,
    ) -> Result<Delivery> {
        let own = Record::read(&snapshot.machine.keys.unpack())
            .ok()
            .and_then(|record| record.spec.command.stop_signal)
            .unwrap_or(Signal::TERM);
        let signal = signal.unwrap_or(own);
        let delivery = self.deliver(id, snapshot, signal).await?;
        if delivery != Delivery::Refused
            || signal != own
            || !self.capabilities.contains(Capability::GuestKeys)
        {
            return Ok(delivery);
        }
        let resource = Resource::container(id);
        let order = self
            .endpoint
            .shut_down_guest(&snapshot.machine.vm, &resource);
        delivery_of(
            id,
            tokio::time::timeout(self.options.guest_timeout, order).await,
        )
    }

    /// Sends the signal to the guest.
    async fn deliver(
        &self,
        id: &ContainerId,
        snapshot: &Snapshot,
        signal: Signal,
    ) -> Result<Delivery> {
        if !self.capabilities.contains(Capability::Signals) {
            return Ok(Delivery::Refused);
        }
        let resource = Resource::container(id);
        // These program names are built-in commands of the guest's agent.
        let program = if signal == Signal::KILL {
            "group-kill"
        } else {
            "kill"
        };
        let (user, signal) = (id.to_string(), signal.to_string());
        let vm = &snapshot.machine.vm;
        let order = self
            .endpoint
            .run_in_guest(vm, &user, program, &signal, &resource);
        delivery_of(
            id,
            tokio::time::timeout(self.options.guest_timeout, order).await,
        )
    }

    /// Powers off the machine, and returns a snapshot from after that. If the process has not ended
    /// by then, it is recorded as killed.
    async fn switch_off(&self, id: &ContainerId, snapshot: &Snapshot) -> Result<Snapshot> {
        let resource = Resource::container(id);
        let vm = &snapshot.machine.vm;
        // Recorded before the power-off, so that a reader that sees the machine off knows the
        // reason.
        self.heard_exits
            .hear_kill(*id, snapshot.machine.last_run(id).starts);
        self.endpoint.power_off(vm, &resource).await?;
        let is_off = |machine: &Seen| machine.power == Power::Off;
        let shown = self.shown(vm, &resource, Written::Power, is_off).await;
        match shown.filter(|machine| is_off(machine)) {
            Some(off) => Ok(self.snapshot(id, &off)),
            None => self.look(id).await,
        }
    }
}

/// Converts the result of a request to its outcome. A refusal is not an error, because the caller
/// can still power off the machine.
fn delivery_of(id: &ContainerId, order: Result<Result<()>, Elapsed>) -> Result<Delivery> {
    let error = match order {
        Ok(Ok(())) => return Ok(Delivery::Delivered),
        Ok(Err(error)) => error,
        Err(_elapsed) => return Ok(Delivery::Unknown),
    };
    tracing::debug!(container = %id, %error, "the guest did not confirm a command");
    match error.kind {
        ErrorKind::Unauthenticated | ErrorKind::PermissionDenied => Err(error),
        ErrorKind::OutcomeUnknown { .. }
        | ErrorKind::Timeout { .. }
        | ErrorKind::Unavailable { .. } => Ok(Delivery::Unknown),
        _ => Ok(Delivery::Refused),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

    use super::*;

    #[test]
    fn only_a_refused_order_was_not_delivered() {
        let id = ContainerId::generate();
        let resource = || Resource::container(id);
        for (error, expected) in [
            (
                Error::outcome_unknown(resource(), "ShutdownGuest"),
                Delivery::Unknown,
            ),
            (Error::unavailable(resource(), None), Delivery::Unknown),
            (Error::timeout(resource(), "an answer"), Delivery::Unknown),
            (
                Error::internal(resource(), "VMware Tools are not running in its guest"),
                Delivery::Refused,
            ),
        ] {
            assert_eq!(delivery_of(&id, Ok(Err(error))).unwrap(), expected);
        }
        delivery_of(&id, Ok(Err(Error::permission_denied(resource())))).unwrap_err();
    }
}
