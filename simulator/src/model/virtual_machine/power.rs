//! Power operations: on, off, suspend, reset, and shutdown of the guest.

use std::collections::BTreeSet;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use vim25::types::{
    VirtualDevice, VirtualMachineConfigInfo, VirtualMachinePowerState, VirtualMachineRuntimeInfo,
};
use vim25::{Fault, Ref, mo};
use vmx::ExtraConfig;

use crate::device;
use crate::fault;
use crate::guest::{self, Cards, Programs, Turn};
use crate::invocation::{Answer, Invocation, nothing};
use crate::machine::{self, Cycle, Machine, properties};
use crate::object::Retype;
use crate::serial::Ports;
use crate::shared::Effect;
use crate::task;
use crate::world::Transaction;

type Vm = Ref<mo::VirtualMachine>;

pub(super) fn on(inv: &mut Invocation<'_, '_>, vm: Vm) -> Answer {
    task::begin(inv, &vm.retype(), "VirtualMachine.powerOn", move |tx| {
        power_on(tx, &vm)?;
        nothing()
    })
}

/// Starts a task that powers on a machine on behalf of a user.
pub(crate) fn start(tx: &mut Transaction<'_>, user: &str, vm: &Vm) -> Result<Ref<mo::Task>, Fault> {
    let own = vm.clone();
    task::begin_power_on(
        tx,
        user,
        &vm.retype(),
        "VirtualMachine.powerOn",
        move |tx| {
            power_on(tx, &own)?;
            nothing()
        },
    )
}

/// Checks that a machine is off or suspended.
pub(crate) fn check_off(tx: &Transaction<'_>, vm: &Vm) -> Result<(), Fault> {
    let state = machine::power_state(tx.object(vm)?)?;
    if state == VirtualMachinePowerState::PoweredOn {
        return Err(fault::invalid_power_state(
            &state,
            Some(VirtualMachinePowerState::PoweredOff),
        ));
    }
    Ok(())
}

/// Powers on a machine.
pub(crate) fn power_on(tx: &mut Transaction<'_>, vm: &Vm) -> Result<(), Fault> {
    check_off(tx, vm)?;
    if super::template::is_one(tx, vm) {
        return Err(fault::not_supported());
    }
    let object = tx.object(vm)?.clone();
    let mut info: VirtualMachineConfigInfo = object.read("config")?;
    let machine = Machine::of(&object)?;
    guest::check_free(tx, machine)?;
    let site = machine.vmx.site();
    let store = &tx.shared().store;
    for device in &info.hardware.device {
        let disk = device.node().is_a("VirtualDisk");
        for file in device::chain(device) {
            if disk && !store.exists(&store.parse(site, &file)?) {
                return Err(fault::file_not_found(&file));
            }
        }
    }
    connect(&mut info, true);
    let number = tx.ids().number();
    let stop = tx.shared().stop.child_token();
    let ports = Ports::new(tx.shared(), site, &info.hardware.device);
    let cards = Cards::new(&info.hardware.device);
    let object = tx.edit(vm)?;
    let machine = Machine::edit(object)?;
    machine.cycle = Some(Cycle {
        number,
        stop,
        shutdown: CancellationToken::new(),
        before: machine.extra.clone(),
        by_guest: BTreeSet::new(),
        by_api: BTreeSet::new(),
        tools: false,
        ports: ports.clone(),
        cards,
        programs: Programs::new(),
    });
    let turn = Turn::after(&mut machine.ended);
    object.modify("runtime", |runtime: &mut VirtualMachineRuntimeInfo| {
        runtime.power_state = VirtualMachinePowerState::PoweredOn;
        runtime.boot_time = Some(Timestamp::now());
        runtime.suspend_time = None;
        runtime.clean_power_off = None;
    })?;
    object.put("guest", &properties::guest(true, &info.guest_id, false));
    let moves = tx
        .shared()
        .settings
        .platform
        .power_change_bumps_change_version;
    machine::store(tx, vm, &mut info, moves)?;
    log(tx, vm, "PowerOn");
    tx.after(Effect::Serve(ports));
    tx.after(Effect::Boot(vm.clone(), turn));
    Ok(())
}

/// Updates the connection state of devices when the machine is powered on or off.
pub(super) fn connect(info: &mut VirtualMachineConfigInfo, on: bool) {
    for device in &mut info.hardware.device {
        if device.node().get("connectable").is_some() {
            let _ = device.modify::<VirtualDevice>(|device| {
                if let Some(connectable) = &mut device.connectable {
                    connectable.connected = on && connectable.start_connected;
                    connectable.status = Some(if on { "ok" } else { "untried" }.into());
                }
            });
        }
    }
}

pub(super) fn off(inv: &mut Invocation<'_, '_>, vm: Vm) -> Answer {
    task::begin(inv, &vm.retype(), "VirtualMachine.powerOff", move |tx| {
        power_off(tx, &vm)?;
        nothing()
    })
}

/// Powers off a machine, at the request of a client or of its guest.
pub(crate) fn power_off(tx: &mut Transaction<'_>, vm: &Vm) -> Result<(), Fault> {
    let object = tx.object(vm)?.clone();
    let state = machine::power_state(&object)?;
    if state == VirtualMachinePowerState::PoweredOff {
        return Err(fault::invalid_power_state(
            &state,
            Some(VirtualMachinePowerState::PoweredOn),
        ));
    }
    end(tx, vm, VirtualMachinePowerState::PoweredOff)
}

/// Ends the power cycle of a machine that is on or suspended.
pub(super) fn end(
    tx: &mut Transaction<'_>,
    vm: &Vm,
    state: VirtualMachinePowerState,
) -> Result<(), Fault> {
    let platform = tx.shared().settings.platform.clone();
    let mut info: VirtualMachineConfigInfo = tx.object(vm)?.read("config")?;
    connect(&mut info, false);
    let object = tx.edit(vm)?;
    let off = state == VirtualMachinePowerState::PoweredOff;
    let machine = Machine::edit(object)?;
    let mut stopped = Vec::new();
    if let Some(cycle) = machine.cycle.take() {
        // Stop the guest first, so that the bytes it wrote to its serial ports are still
        // delivered.
        stopped.extend([cycle.stop.clone(), cycle.ports.off().clone()]);
        if off {
            let mut lost = BTreeSet::new();
            if !platform.guest_keys_survive_power_off {
                lost.extend(cycle.by_guest);
            }
            if !platform.api_keys_written_while_on_survive {
                lost.extend(cycle.by_api);
            }
            machine.extra = restore(&machine.extra, &cycle.before, &lost);
        }
    }
    object.modify("runtime", |runtime: &mut VirtualMachineRuntimeInfo| {
        if off {
            runtime.clean_power_off = Some(true);
        } else {
            runtime.suspend_time = Some(Timestamp::now());
        }
        runtime.boot_time = None;
        runtime.power_state = state;
    })?;
    object.put("guest", &properties::guest(false, &info.guest_id, false));
    machine::store(
        tx,
        vm,
        &mut info,
        platform.power_change_bumps_change_version,
    )?;
    log(tx, vm, if off { "PowerOff" } else { "Suspend" });
    for stopped in stopped {
        tx.after(Effect::Stop(stopped));
    }
    Ok(())
}

/// Returns the keys after power-off: the `lost` keys have the values from before power-on.
fn restore(now: &ExtraConfig, before: &ExtraConfig, lost: &BTreeSet<String>) -> ExtraConfig {
    let is_lost = |key: &str| lost.contains(&key.to_ascii_lowercase());
    let kept = now.iter().filter_map(|(key, value)| match before.get(key) {
        _ if !is_lost(key) => Some((key, value)),
        Some(old) => Some((key, old)),
        None => None,
    });
    let removed = before
        .iter()
        .filter(|(key, _)| is_lost(key) && !now.contains(key));
    kept.chain(removed).collect()
}

pub(super) fn reset(inv: &mut Invocation<'_, '_>, vm: Vm) -> Answer {
    task::begin(inv, &vm.retype(), "VirtualMachine.reset", move |tx| {
        must_be_on(tx, &vm)?;
        restart(tx, &vm)?;
        nothing()
    })
}

/// Restarts the guest. The machine stays on and keeps its keys.
fn restart(tx: &mut Transaction<'_>, vm: &Vm) -> Result<(), Fault> {
    let number = tx.ids().number();
    let stop = tx.shared().stop.child_token();
    let machine = Machine::edit(tx.edit(vm)?)?;
    let turn = Turn::after(&mut machine.ended);
    if let Some(cycle) = &mut machine.cycle {
        let old = std::mem::replace(&mut cycle.stop, stop);
        cycle.number = number;
        cycle.shutdown = CancellationToken::new();
        cycle.tools = false;
        cycle.programs = Programs::new();
        tx.after(Effect::Stop(old));
    }
    log(tx, vm, "Reset");
    tx.after(Effect::Boot(vm.clone(), turn));
    Ok(())
}

pub(super) fn suspend(inv: &mut Invocation<'_, '_>, vm: Vm) -> Answer {
    task::begin(inv, &vm.retype(), "VirtualMachine.suspend", move |tx| {
        suspend_now(tx, &vm)?;
        nothing()
    })
}

/// Suspends a machine that is on.
pub(crate) fn suspend_now(tx: &mut Transaction<'_>, vm: &Vm) -> Result<(), Fault> {
    must_be_on(tx, vm)?;
    end(tx, vm, VirtualMachinePowerState::Suspended)
}

/// Checks that a machine is on.
pub(super) fn must_be_on(tx: &Transaction<'_>, vm: &Vm) -> Result<(), Fault> {
    let state = machine::power_state(tx.object(vm)?)?;
    if state == VirtualMachinePowerState::PoweredOn {
        Ok(())
    } else {
        Err(fault::invalid_power_state(
            &state,
            Some(VirtualMachinePowerState::PoweredOn),
        ))
    }
}

pub(super) fn shutdown_guest(inv: &mut Invocation<'_, '_>, vm: &Vm) -> Answer {
    must_be_on(inv.tx, vm)?;
    match ask_shutdown(inv.tx, vm)? {
        true => nothing(),
        false => Err(fault::tools_unavailable()),
    }
}

/// Asks the guest of a machine to shut down. Returns `false` if its tools do not run.
pub(crate) fn ask_shutdown(tx: &mut Transaction<'_>, vm: &Vm) -> Result<bool, Fault> {
    let machine = Machine::of(tx.object(vm)?)?;
    match &machine.cycle {
        Some(cycle) if cycle.tools => {
            let shutdown = cycle.shutdown.clone();
            tx.after(Effect::Stop(shutdown));
            Ok(true)
        }
        _ => Ok(false),
    }
}

pub(super) fn reboot_guest(inv: &mut Invocation<'_, '_>, vm: &Vm) -> Answer {
    must_be_on(inv.tx, vm)?;
    let machine = Machine::of(inv.tx.object(vm)?)?;
    if !machine.cycle.as_ref().is_some_and(|cycle| cycle.tools) {
        return Err(fault::tools_unavailable());
    }
    restart(inv.tx, vm)?;
    nothing()
}

/// Appends a line to the machine's log. Best effort.
pub(super) fn log(tx: &Transaction<'_>, vm: &Vm, event: &str) {
    let Ok(machine) = tx.object(vm).and_then(|object| Machine::of(object)) else {
        return;
    };
    let path = machine.vmx.sibling("vmware.log");
    let line = format!("{:.3} vmx {event}\n", Timestamp::now());
    let written = tx.shared().store.append(&path, line.as_bytes());
    if let Err(error) = written {
        tracing::debug!(%error, "the machine's log cannot be written");
    }
}
