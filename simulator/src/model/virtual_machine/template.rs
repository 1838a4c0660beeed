//! Templates: machines without a pool, which cannot be powered on.

use vim25::types::{VirtualMachineConfigInfo, VirtualMachinePowerState};
use vim25::{Fault, Ref, mo};

use super::Placement;
use crate::fault;
use crate::invocation::{Answer, Invocation, nothing};
use crate::machine::{self, properties};
use crate::model::entity;
use crate::object::Retype;
use crate::vapp;
use crate::world::Transaction;

/// Returns whether a machine is a template.
pub(super) fn is_one(tx: &Transaction<'_>, vm: &Ref<mo::VirtualMachine>) -> bool {
    tx.object(vm)
        .is_ok_and(|vm| vm.read("config.template") == Ok(true))
}

pub(super) fn mark(inv: &mut Invocation<'_, '_>, vm: &Ref<mo::VirtualMachine>) -> Answer {
    if !inv.tx.layout().is_vcenter {
        return Err(fault::not_supported());
    }
    mark_as_template(inv.tx, vm)?;
    nothing()
}

/// Converts a machine that is off to a template. A no-op for a template. A template is in no vApp.
pub(crate) fn mark_as_template(
    tx: &mut Transaction<'_>,
    vm: &Ref<mo::VirtualMachine>,
) -> Result<(), Fault> {
    super::check_off(tx, vm)?;
    if vapp::of(tx.object(vm)?).is_some() {
        return Err(fault::not_supported());
    }
    set(tx, vm, true)?;
    tx.edit(vm)?.clear("resourcePool");
    Ok(())
}

pub(super) fn unmark(inv: &mut Invocation<'_, '_>, vm: &Ref<mo::VirtualMachine>) -> Answer {
    let pool: Ref<mo::ResourcePool> = inv.object_arg("pool")?;
    let host: Option<Ref<mo::HostSystem>> = inv.arg("host")?;
    if !is_one(inv.tx, vm) {
        return Err(fault::invalid_power_state(
            &VirtualMachinePowerState::PoweredOff,
            None,
        ));
    }
    let folder = inv.this()?.parent().unwrap_or_default();
    let place = Placement::new(inv.tx, &folder.retype(), &pool, host.as_ref())?;
    set(inv.tx, vm, false)?;
    let object = inv.tx.edit(vm)?;
    object.put("resourcePool", &place.pool);
    vapp::put_into(object, &entity::any(&place.folder));
    object.set("runtime.host", &place.host)?;
    properties::refresh(inv.tx, vm)?;
    nothing()
}

fn set(
    tx: &mut Transaction<'_>,
    vm: &Ref<mo::VirtualMachine>,
    template: bool,
) -> Result<(), Fault> {
    let mut info: VirtualMachineConfigInfo = tx.object(vm)?.read("config")?;
    info.template = template;
    machine::store(tx, vm, &mut info, true)
}
