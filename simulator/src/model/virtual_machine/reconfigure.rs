//! `ReconfigVM_Task`: changes the configuration of a machine.

use vim25::types::{
    VirtualDeviceConfigSpec, VirtualDeviceConfigSpecOperation, VirtualMachineConfigInfo,
    VirtualMachineConfigSpec, VirtualMachinePowerState,
};
use vim25::{Fault, Poly, Ref, mo};

use crate::device;
use crate::fault;
use crate::guest;
use crate::invocation::{Answer, Invocation, nothing};
use crate::machine::{self, Machine, config};
use crate::model::entity;
use crate::object::Retype;
use crate::shared::Effect;
use crate::task;
use crate::world::Transaction;

pub(super) fn call(inv: &mut Invocation<'_, '_>, vm: Ref<mo::VirtualMachine>) -> Answer {
    let spec: VirtualMachineConfigSpec = inv.arg("spec")?;
    let parents = device::parents_asked(&spec.device_change);
    let site = Machine::of(inv.this()?)?.vmx.site();
    let (entity, description) = (vm.retype(), "VirtualMachine.reconfigure");
    if parents.is_empty() {
        return task::begin(inv, &entity, description, move |tx| {
            reconfigure(tx, &vm, &spec)?;
            nothing()
        });
    }
    task::begin_long(inv, &entity, description, move |shared| async move {
        guest::flush_parents(&shared, site, &parents).await?;
        Transaction::run(&shared, move |tx| reconfigure(tx, &vm, &spec)).await?;
        nothing()
    })
}

pub(super) fn reconfigure(
    tx: &mut Transaction<'_>,
    vm: &Ref<mo::VirtualMachine>,
    spec: &VirtualMachineConfigSpec,
) -> Result<(), Fault> {
    let object = tx.object(vm)?.clone();
    let mut info: VirtualMachineConfigInfo = object.read("config")?;
    // Of a template, only the name and the notes can be changed.
    let allowed = || VirtualMachineConfigSpec {
        name: spec.name.clone(),
        annotation: spec.annotation.clone(),
        ..Default::default()
    };
    if info.template && Poly::new(spec.clone()) != Poly::new(allowed()) {
        return Err(fault::not_supported());
    }
    let asked = spec.change_version.as_deref().unwrap_or("");
    if !asked.is_empty() && asked != info.change_version {
        return Err(fault::concurrent_access());
    }
    let on = machine::power_state(&object)? == VirtualMachinePowerState::PoweredOn;
    if let Some(name) = &spec.name {
        entity::rename(tx, vm, name)?;
        info.name = tx.object(vm)?.name().to_owned();
    }
    config::apply(&mut info, spec, on)?;
    let current = Machine::of(&object)?;
    if !current.snapshots.is_empty() {
        check_modes(&info, spec)?;
    }
    let vmx = current.vmx.clone();
    let mut extra = current.extra.clone();
    let changed = config::merge_extra(&mut extra, &spec.extra_config)?;
    let outcome = device::apply(tx, &mut info.hardware.device, &spec.device_change, &vmx, on)?;
    let machine = Machine::edit(tx.edit(vm)?)?;
    machine.extra = extra;
    if let Some(cycle) = &mut machine.cycle {
        for key in changed {
            let key = key.to_ascii_lowercase();
            cycle.by_guest.remove(&key);
            cycle.by_api.insert(key);
        }
    }
    let cycle = machine.cycle.as_ref();
    let wires = cycle.map(|cycle| (cycle.ports.clone(), cycle.cards.clone()));
    let stored = machine::store(tx, vm, &mut info, true);
    match stored {
        Ok(()) => {
            device::destroy_files(tx, vmx.site(), &outcome.doomed);
            if let Some((ports, cards)) = wires {
                tx.after(Effect::Rewire(ports, cards, info.hardware.device));
            }
        }
        Err(_) => device::undo(tx, &outcome),
    }
    stored
}

/// Checks that no disk joins or leaves the snapshots of a machine that has some.
fn check_modes(
    info: &VirtualMachineConfigInfo,
    spec: &VirtualMachineConfigSpec,
) -> Result<(), Fault> {
    for (index, change) in spec.device_change.iter().enumerate() {
        let Some(change) = change.view::<VirtualDeviceConfigSpec>() else {
            continue;
        };
        let has_mode = device::text(&change.device, "backing.diskMode").is_some();
        let mut devices = info.hardware.device.iter();
        let old = devices.find(|device| device::key(device) == device::key(&change.device));
        if change.operation == Some(VirtualDeviceConfigSpecOperation::Edit)
            && has_mode
            && let Some(old) = old
            && device::is_in_snapshots(old) != device::is_in_snapshots(&change.device)
        {
            let reason = "The disk mode cannot change while the machine has snapshots";
            return Err(fault::invalid_device_operation(index, reason));
        }
    }
    Ok(())
}

pub(super) fn rename(inv: &mut Invocation<'_, '_>, vm: Ref<mo::VirtualMachine>) -> Answer {
    let name: String = inv.arg("newName")?;
    task::begin(inv, &vm.retype(), "ManagedEntity.rename", move |tx| {
        let spec = VirtualMachineConfigSpec {
            name: Some(name),
            ..Default::default()
        };
        reconfigure(tx, &vm, &spec)?;
        nothing()
    })
}
