//! Switching machines on and off.

use vim25::types::{InvalidPowerState, TaskInfoState, VirtualMachinePowerState};
use vim25::{Ref, mo, props};

use super::Endpoint;
use crate::vsphere::fault;
use crate::{Resource, Result};

impl Endpoint {
    pub(in crate::vsphere) async fn power_on(
        &self,
        vm: &Ref<mo::VirtualMachine>,
        resource: &Resource,
    ) -> Result<()> {
        self.run(vm.power_on_vm(None), resource).await
    }

    /// Suspends a machine that is on.
    pub(in crate::vsphere) async fn suspend(
        &self,
        vm: &Ref<mo::VirtualMachine>,
        resource: &Resource,
    ) -> Result<()> {
        self.run(vm.suspend_vm(), resource).await
    }

    /// Switches a machine off. Already off counts as success, and so does a machine that goes off
    /// by itself at this moment. Returns whether this call switched it off.
    pub(in crate::vsphere) async fn power_off(
        &self,
        vm: &Ref<mo::VirtualMachine>,
        resource: &Resource,
    ) -> Result<bool> {
        match self.attempt(vm.power_off_vm(), resource).await? {
            Ok(()) => Ok(true),
            Err(error) if is_off(&error) => Ok(false),
            Err(error) => Err(fault::error(resource, error)),
        }
    }

    /// Whether a task is switching the machine on, no matter who started it.
    pub(in crate::vsphere) async fn is_powering_on(
        &self,
        vm: &Ref<mo::VirtualMachine>,
        resource: &Resource,
    ) -> Result<bool> {
        let wrap = |error| fault::error(resource, error);
        let tasks = self
            .client
            .try_get(vm, props::managed_entity::RECENT_TASK)
            .await
            .map_err(wrap)?
            .unwrap_or_default();
        if tasks.is_empty() {
            return Ok(false);
        }
        let found = self.client.retrieve::<mo::Task>().objects(tasks);
        let found = found
            .property(props::task::INFO)
            .collect()
            .await
            .map_err(wrap)?;
        Ok(found
            .iter()
            .filter_map(|task| task.value(props::task::INFO))
            .any(|info| {
                matches!(info.state, TaskInfoState::Queued | TaskInfoState::Running)
                    && POWER_ON.contains(&info.description_id.as_str())
            }))
    }
}

/// The descriptions of tasks that switch machines on.
const POWER_ON: [&str; 2] = ["VirtualMachine.powerOn", "Datacenter.powerOnMultiVM"];

fn is_off(error: &vsphere_client::Error) -> bool {
    // What hosts say of a machine whose process is just going away.
    const GOING: [&str; 2] = [
        "msg.suspend.powerOff.notsuspended",
        "msg.rpc.error.poweringoff",
    ];
    let was_off = error
        .fault::<InvalidPowerState>()
        .is_some_and(|fault| fault.existing_state == VirtualMachinePowerState::PoweredOff);
    let is_going = error.server_fault().is_some_and(|fault| {
        fault.detail().node().all("faultMessage").any(|message| {
            let key = message.get("key").and_then(|key| key.as_str());
            key.is_some_and(|key| GOING.contains(&key))
        })
    });
    was_off || is_going
}
