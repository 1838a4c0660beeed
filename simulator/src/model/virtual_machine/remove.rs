//! Taking a machine out of the inventory, with or without its files.

use vim25::types::{VirtualMachineConfigInfo, VirtualMachinePowerState};
use vim25::{AnyRef, Fault, Ref, mo};

use super::edit_lists;
use crate::device;
use crate::fault;
use crate::invocation::{Answer, Invocation, nothing};
use crate::machine::{self, Machine, show};
use crate::object::Retype;
use crate::task;
use crate::world::Transaction;

pub(super) fn unregister(inv: &mut Invocation<'_, '_>, vm: &Ref<mo::VirtualMachine>) -> Answer {
    must_be_off(inv.tx, vm)?;
    forget(inv.tx, vm)?;
    nothing()
}

pub(super) fn destroy(inv: &mut Invocation<'_, '_>, vm: Ref<mo::VirtualMachine>) -> Answer {
    task::begin(inv, &vm.retype(), "VirtualMachine.destroy", move |tx| {
        must_be_off(tx, &vm)?;
        let object = tx.object(&vm)?.clone();
        let info: VirtualMachineConfigInfo = object.read("config")?;
        let vmx = Machine::of(&object)?.vmx.clone();
        forget(tx, &vm)?;
        let parents = tx.core().settings.platform.destroy_deletes_parent_disks;
        for device in &info.hardware.device {
            if device.node().is_a("VirtualDisk") {
                let chain = device::chain(device);
                let doomed = if parents { chain.len() } else { 1 };
                device::destroy_files(tx, chain.get(..doomed).unwrap_or_default());
            }
        }
        // What is the machine's own goes; a directory with other things in it stays.
        let store = &tx.core().store;
        let stem = vmx.file_name().trim_end_matches(".vmx").to_owned();
        let own = ["vmx", "nvram", "vmsd", "vmxf"];
        for name in own.map(|suffix| format!("{stem}.{suffix}")) {
            let _ = store.delete(&vmx.sibling(&name));
        }
        let _ = store.delete(&vmx.sibling("vmware.log"));
        let _ = std::fs::remove_dir(store.file(&vmx.parent()));
        nothing()
    })
}

fn must_be_off(tx: &Transaction<'_>, vm: &Ref<mo::VirtualMachine>) -> Result<(), Fault> {
    let state = machine::power_state(tx.object(vm)?)?;
    if state == VirtualMachinePowerState::PoweredOn {
        return Err(fault::invalid_power_state(
            &state,
            Some(VirtualMachinePowerState::PoweredOff),
        ));
    }
    Ok(())
}

fn forget(tx: &mut Transaction<'_>, vm: &Ref<mo::VirtualMachine>) -> Result<(), Fault> {
    let object = tx.object(vm)?.clone();
    let pool: Ref<mo::ResourcePool> = object.read("resourcePool")?;
    let networks: Vec<Ref<mo::Network>> = object.list("network")?;
    show::link_networks(tx, vm, &networks, &[])?;
    let own: AnyRef = vm.retype();
    edit_lists(tx, &pool, |machines| machines.retain(|other| *other != own))?;
    tx.remove(vm);
    Ok(())
}
