//! Keeps other programs from destroying machines that this SDK owns, on a vCenter.

use vim25::types::NotSupported;
use vim25::{Ref, mo};

use super::Endpoint;
use crate::Resource;

/// Identifies who disabled the methods; only the same source enables them again.
const SOURCE: &str = "portlayer";
const DESTROY: &[&str] = &["Destroy_Task"];

impl Endpoint {
    /// Disables the destruction of a machine for everybody, as VIC did. Best effort: the user may
    /// lack the privilege, and hosts and vcsim have no such methods. A server that once answered
    /// so is not asked again.
    pub(in crate::vsphere) async fn disable_destroy(
        &self,
        vm: &Ref<mo::VirtualMachine>,
        resource: &Resource,
    ) {
        if !self.disables_methods() {
            return;
        }
        let machine = self.client.machine(vm);
        if let Err(error) = machine.disable_methods(DESTROY, SOURCE).await {
            if error.is_fault::<NotSupported>() {
                self.experience.cannot_disable_methods();
            }
            tracing::debug!(%resource, %error, "the machine can be destroyed by others");
        }
    }

    /// Enables the destruction of a machine again. Best effort: if it fails, the destruction fails
    /// with the reason.
    pub(super) async fn enable_destroy(&self, vm: &Ref<mo::VirtualMachine>, resource: &Resource) {
        if !self.disables_methods() {
            return;
        }
        let machine = self.client.machine(vm);
        if let Err(error) = machine.enable_methods(DESTROY, SOURCE).await {
            tracing::debug!(%resource, %error, "the destruction of a machine was not enabled");
        }
    }

    fn disables_methods(&self) -> bool {
        self.client.is_vcenter() && self.experience.disables_methods()
    }
}
