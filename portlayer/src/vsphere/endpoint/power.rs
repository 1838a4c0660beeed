//! Switching machines on and off.

use vim25::types::{InvalidPowerState, VirtualMachinePowerState};
use vim25::{Ref, mo};

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

    /// Switches a machine off. One that is off already, or goes off by itself at this moment, is
    /// as good.
    pub(in crate::vsphere) async fn power_off(
        &self,
        vm: &Ref<mo::VirtualMachine>,
        resource: &Resource,
    ) -> Result<()> {
        match self.attempt(vm.power_off_vm(), resource).await? {
            Err(error) if !is_off(&error) => Err(fault::error(resource, error)),
            _ => Ok(()),
        }
    }
}

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
