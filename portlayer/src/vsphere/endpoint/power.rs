//! Powers machines on and off, and reads their tasks and addresses.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use vim25::types::{GuestNicInfo, InvalidPowerState, TaskInfoState, VirtualMachinePowerState};
use vim25::{Property, Ref, mo, props};

use super::Endpoint;
use crate::vsphere::fault;
use crate::{Error, Resource, Result};

const ADDRESS: Property<mo::VirtualMachine, String> = Property::new("guest.ipAddress");
const CARDS: Property<mo::VirtualMachine, Vec<GuestNicInfo>> = Property::new("guest.net");

impl Endpoint {
    /// Powers on a machine, on a vCenter with `PowerOnVM_Task` too. In a cluster, DRS chooses the
    /// host with this method and with `PowerOnMultiVM_Task`, but only the task of this one belongs
    /// to the machine, and by that task other programs see that the machine is being powered on.
    /// According to the API reference, DRS neither moves other machines nor powers on hosts for it.
    pub(in crate::vsphere) async fn power_on(
        &self,
        vm: &Ref<mo::VirtualMachine>,
        resource: &Resource,
    ) -> Result<()> {
        self.run(vm.power_on_vm(None), resource).await
    }

    /// Waits until the guest reports a routable address, up to a timeout.
    pub(in crate::vsphere) async fn wait_for_address(
        &self,
        vm: &Ref<mo::VirtualMachine>,
        limit: Duration,
        resource: &Resource,
    ) -> Result<IpAddr> {
        let machine = self.client.machine(vm);
        tokio::time::timeout(limit, machine.wait_for_ip())
            .await
            .map_err(|_elapsed| {
                Error::timeout(resource.clone(), "the wait for its appliance's address")
            })?
            .map_err(|error| fault::error(resource, error))
    }

    /// Returns the addresses that the guest currently reports.
    pub(in crate::vsphere) async fn addresses(
        &self,
        vm: &Ref<mo::VirtualMachine>,
        resource: &Resource,
    ) -> Result<Vec<IpAddr>> {
        let read = self.client.try_get(vm, (ADDRESS, CARDS)).await;
        let (first, cards) = read.map_err(|error| fault::error(resource, error))?;
        let cards = cards.unwrap_or_default();
        let all = cards.iter().flat_map(|card| &card.ip_address);
        let mut addresses: Vec<IpAddr> = Vec::new();
        for text in first.iter().chain(all) {
            if let Ok(address) = text.parse()
                && !addresses.contains(&address)
            {
                addresses.push(address);
            }
        }
        Ok(addresses)
    }

    /// Suspends a machine that is powered on.
    pub(in crate::vsphere) async fn suspend(
        &self,
        vm: &Ref<mo::VirtualMachine>,
        resource: &Resource,
    ) -> Result<()> {
        self.run(vm.suspend_vm(), resource).await
    }

    /// Powers off a machine. Returns whether this call powered it off. A machine that is already
    /// off, or concurrently powers off by itself, counts as success.
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

    /// Reads these tasks, and returns those that have not ended.
    pub(in crate::vsphere) async fn running_tasks(
        &self,
        tasks: Vec<Ref<mo::Task>>,
        resource: &Resource,
    ) -> Result<HashMap<Ref<mo::Task>, TaskKind>> {
        let found = self.client.retrieve::<mo::Task>().objects(tasks);
        let found = found
            .property(props::task::INFO)
            .collect()
            .await
            .map_err(|error| fault::error(resource, error))?;
        let mut running = HashMap::new();
        for task in found {
            let Some(info) = task.value(props::task::INFO) else {
                continue;
            };
            if matches!(info.state, TaskInfoState::Queued | TaskInfoState::Running) {
                let kind = TaskKind::of(&info.description_id);
                running.insert(task.object().clone(), kind);
            }
        }
        Ok(running)
    }
}

/// The kind of a task of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::vsphere) enum TaskKind {
    PowerOn,
    Other,
}

impl TaskKind {
    fn of(description: &str) -> Self {
        if POWER_ON.contains(&description) {
            Self::PowerOn
        } else {
            Self::Other
        }
    }

    pub(in crate::vsphere) fn is_power_on(self) -> bool {
        self == Self::PowerOn
    }
}

/// The `descriptionId`s of tasks that power on machines.
const POWER_ON: [&str; 2] = ["VirtualMachine.powerOn", "Datacenter.powerOnMultiVM"];

fn is_off(error: &vsphere_client::Error) -> bool {
    // Hosts return this for a machine whose process is just ending.
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
