//! `UpgradeVM_Task`: upgrades the virtual hardware of a machine.

use vim25::types::{VirtualDisk, VirtualMachineConfigInfo, VirtualMachinePowerState};
use vim25::{Fault, Ref, mo};

use crate::fault;
use crate::invocation::{Answer, Invocation, nothing};
use crate::machine::{self, HardwareVersion};
use crate::object::Retype;
use crate::task;
use crate::world::Transaction;

pub(super) fn call(inv: &mut Invocation<'_, '_>, vm: Ref<mo::VirtualMachine>) -> Answer {
    let version: Option<String> = inv.arg("version")?;
    let target = match version.as_deref() {
        None | Some("") => Some(HardwareVersion::NEWEST),
        Some(version) => HardwareVersion::parse(version).filter(|version| version.is_supported()),
    };
    let description = "VirtualMachine.upgradeVirtualHardware";
    task::begin(inv, &vm.retype(), description, move |tx| {
        upgrade(tx, &vm, target)?;
        nothing()
    })
}

/// Upgrades a machine to a version, which is `None` if hosts do not support it. The faults are those
/// of the API reference.
fn upgrade(
    tx: &mut Transaction<'_>,
    vm: &Ref<mo::VirtualMachine>,
    target: Option<HardwareVersion>,
) -> Result<(), Fault> {
    let object = tx.object(vm)?;
    let state = machine::power_state(object)?;
    if state != VirtualMachinePowerState::PoweredOff {
        let off = VirtualMachinePowerState::PoweredOff;
        return Err(fault::invalid_power_state(&state, Some(off)));
    }
    let mut info: VirtualMachineConfigInfo = object.read("config")?;
    let host: Ref<mo::HostSystem> = object.read("runtime.host")?;
    let in_maintenance = tx.object(&host)?.read("runtime.inMaintenanceMode") == Ok(true);
    let target = target.filter(|_| !info.template && !in_maintenance);
    let target = target.ok_or_else(fault::invalid_state)?;
    if HardwareVersion::parse(&info.version).is_some_and(|own| own >= target) {
        return Err(fault::already_upgraded());
    }
    let mut devices = info.hardware.device.iter();
    if !devices.any(|device| device.is::<VirtualDisk>()) {
        return Err(fault::no_disk_found());
    }
    info.version = target.to_string();
    machine::store(tx, vm, &mut info, true)
}
