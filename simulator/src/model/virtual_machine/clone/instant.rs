//! Instant clones: running copies of a running machine, which share its disks.
//!
//! The guest of the clone boots: its memory is not that of the source.

use disk_image::Monitor;
use vim25::types::{
    VirtualMachineCloneSpec, VirtualMachineConfigInfo, VirtualMachineConfigSpec,
    VirtualMachineInstantCloneSpec, VirtualMachinePowerState,
};
use vim25::{Fault, Ref, mo};

use super::plan::{Plan, Source};
use crate::device;
use crate::fault;
use crate::guest;
use crate::invocation::{Answer, Invocation};
use crate::machine::{self, Machine};
use crate::model::virtual_machine::{relocate, snapshot};
use crate::object::{Object, Retype};
use crate::task;
use crate::world::Transaction;

/// Handles `InstantClone_Task`, which only a vCenter has.
pub(in crate::model::virtual_machine) fn call(
    inv: &mut Invocation<'_, '_>,
    vm: Ref<mo::VirtualMachine>,
) -> Answer {
    let spec: VirtualMachineInstantCloneSpec = inv.arg("spec")?;
    relocate::check(inv.tx, &spec.location)?;
    check_on(inv.this()?)?;
    let entity = vm.retype();
    task::begin_long(
        inv,
        &entity,
        "VirtualMachine.instantClone",
        |shared| async move {
            let cycle = guest::settle_machine(&shared, &vm).await?;
            Transaction::run(&shared, move |tx| clone_now(tx, &vm, spec, cycle)).await
        },
    )
}

fn check_on(vm: &Object) -> Result<(), Fault> {
    let state = machine::power_state(vm)?;
    if state == VirtualMachinePowerState::PoweredOn {
        return Ok(());
    }
    let asked = Some(VirtualMachinePowerState::PoweredOn);
    Err(fault::invalid_power_state(&state, asked))
}

fn clone_now(
    tx: &mut Transaction<'_>,
    vm: &Ref<mo::VirtualMachine>,
    spec: VirtualMachineInstantCloneSpec,
    cycle: Option<u64>,
) -> Answer {
    let object = tx.object(vm)?.clone();
    check_on(&object)?;
    let source = Machine::of(&object)?;
    if source.cycle.as_ref().map(|cycle| cycle.number) != cycle {
        return Err(fault::invalid_state());
    }
    let folder = match &spec.location.folder {
        Some(folder) => folder.clone(),
        None => object.parent().unwrap_or_default().retype(),
    };
    let config = VirtualMachineConfigSpec {
        extra_config: spec.config,
        uuid: spec.bios_uuid,
        ..Default::default()
    };
    let clone = VirtualMachineCloneSpec {
        location: spec.location,
        config: Some(Box::new(config)),
        power_on: true,
        ..Default::default()
    };
    let frozen = Source {
        vm: vm.clone(),
        snapshot: None,
        is_frozen: true,
    };
    let plan = Plan::new(tx, frozen, (folder, spec.name, clone))?;
    let mut info: VirtualMachineConfigInfo = object.read("config")?;
    let made = match snapshot::freeze(tx, source.vmx.site(), &mut info) {
        Ok(made) => made,
        Err(fault) => {
            plan.undo(tx.shared());
            return Err(fault);
        }
    };
    let cloned = machine::store(tx, vm, &mut info, true)
        .and_then(|()| plan.make_disks(&tx.shared().store, &Monitor::new()))
        .and_then(|()| plan.build(tx));
    if cloned.is_err() {
        plan.undo(tx.shared());
        device::destroy_files(tx, source.vmx.site(), &made);
        // The `.vmx` file may already name the redo logs.
        let _ = tx
            .shared()
            .store
            .write_document(&source.vmx, &source.document);
    }
    cloned
}
