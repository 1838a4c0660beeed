use crate::fault;
use crate::invocation::{Answer, Invocation};
use crate::world::Transaction;
use vim25::{Ref, mo, types::VirtualMachineConfigSpec};
pub(super) fn call(_inv: &mut Invocation<'_, '_>) -> Option<Answer> {
    None
}
pub(super) fn create(
    _tx: &mut Transaction<'_>,
    _: &VirtualMachineConfigSpec,
    _: &Ref<mo::ResourcePool>,
) -> Answer {
    Err(fault::not_supported())
}
pub(super) fn register(
    _tx: &mut Transaction<'_>,
    _: &str,
    _: Option<&str>,
    _: &Ref<mo::ResourcePool>,
) -> Answer {
    Err(fault::not_supported())
}
