//! Power operations.

use std::time::Duration;

use vim25::types::{InvalidPowerState, VirtualMachinePowerState};
use vim25::{Call, Property, TaskOf, mo, path};

use super::Machine;
use crate::error::Result;

const POWER: Property<mo::VirtualMachine, VirtualMachinePowerState> =
    path!(VirtualMachine, runtime.powerState);

impl Machine<'_> {
    /// Reads the power state.
    ///
    /// # Errors
    /// See [`Error`](crate::Error).
    pub async fn power_state(&self) -> Result<VirtualMachinePowerState> {
        self.client.get(self.vm, POWER).await
    }

    /// Waits for a power state. There is no timeout: wrap it in
    /// [`tokio::time::timeout`].
    ///
    /// # Errors
    /// As for [`Client::wait_for`](crate::Client::wait_for).
    pub async fn wait_for_power(&self, state: VirtualMachinePowerState) -> Result<()> {
        let wait = self
            .client
            .wait_for(self.vm, POWER, |now| now.as_ref() == Some(&state));
        wait.await.map(drop)
    }

    /// Powers the machine on. Already on counts as success.
    ///
    /// # Errors
    /// See [`Error`](crate::Error).
    pub async fn power_on(&self) -> Result<()> {
        self.reach(
            self.vm.power_on_vm(None),
            VirtualMachinePowerState::PoweredOn,
        )
        .await
    }

    /// Powers the machine off without involving the guest. Already off counts as success.
    ///
    /// # Errors
    /// See [`Error`](crate::Error).
    pub async fn power_off(&self) -> Result<()> {
        self.reach(self.vm.power_off_vm(), VirtualMachinePowerState::PoweredOff)
            .await
    }

    /// Suspends the machine. Already suspended counts as success.
    ///
    /// # Errors
    /// See [`Error`](crate::Error).
    pub async fn suspend(&self) -> Result<()> {
        self.reach(self.vm.suspend_vm(), VirtualMachinePowerState::Suspended)
            .await
    }

    /// Resets the machine without involving the guest.
    ///
    /// # Errors
    /// See [`Error`](crate::Error).
    pub async fn reset(&self) -> Result<()> {
        self.client.run(self.vm.reset_vm()).await
    }

    /// Asks the guest to shut down, and waits up to `patience` for the machine to power off.
    /// Returns whether it powered off. Already off counts as success.
    ///
    /// # Errors
    /// [`ToolsUnavailable`](vim25::types::ToolsUnavailable) when VMware Tools do not run in
    /// the guest; otherwise see [`Error`](crate::Error).
    pub async fn shut_down(&self, patience: Duration) -> Result<bool> {
        match self.client.call(self.vm.shutdown_guest()).await {
            Err(error) if is_in(&error, &VirtualMachinePowerState::PoweredOff) => return Ok(true),
            other => other?,
        }
        let off = self.wait_for_power(VirtualMachinePowerState::PoweredOff);
        match tokio::time::timeout(patience, off).await {
            Ok(outcome) => outcome.map(|()| true),
            Err(_) => Ok(false),
        }
    }

    async fn reach(&self, call: Call<TaskOf<()>>, state: VirtualMachinePowerState) -> Result<()> {
        match self.client.run(call).await {
            Err(error) if is_in(&error, &state) => Ok(()),
            outcome => outcome,
        }
    }
}

/// Returns whether a call was refused because the machine is already in this state.
fn is_in(error: &crate::Error, state: &VirtualMachinePowerState) -> bool {
    error
        .fault::<InvalidPowerState>()
        .is_some_and(|fault| fault.existing_state == *state)
}
