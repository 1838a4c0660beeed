//! Keeps other programs from destroying machines that this SDK owns, on a vCenter.

use vim25::{Ref, mo};

use super::Endpoint;
use crate::Resource;

/// Identifies who disabled the methods; only the same source enables them again.
const SOURCE: &str = "portlayer";
const DESTROY: &[&str] = &["Destroy_Task"];

impl Endpoint {
    /// Disables the destruction of a machine for everybody, as VIC did for its appliances. Best
    /// effort: the user may lack the privilege, and hosts and vcsim have no such methods.
    pub(in crate::vsphere) async fn disable_destroy(
        &self,
        vm: &Ref<mo::VirtualMachine>,
        resource: &Resource,
    ) {
        if !self.client.is_vcenter() {
            return;
        }
        let machine = self.client.machine(vm);
        if let Err(error) = machine.disable_methods(DESTROY, SOURCE).await {
            tracing::debug!(%resource, %error, "the machine can be destroyed by others");
        }
    }

    /// Enables the destruction of a machine again. Best effort: if it fails, the destruction fails
    /// with the reason.
    pub(in crate::vsphere) async fn enable_destroy(
        &self,
        vm: &Ref<mo::VirtualMachine>,
        resource: &Resource,
    ) {
        if !self.client.is_vcenter() {
            return;
        }
        let machine = self.client.machine(vm);
        if let Err(error) = machine.enable_methods(DESTROY, SOURCE).await {
            tracing::debug!(%resource, %error, "the destruction of a machine was not enabled");
        }
    }
}
