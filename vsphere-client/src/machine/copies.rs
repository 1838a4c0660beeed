//! Clones, moves and customizes machines. These operations require a vCenter.

use vim25::types::{
    CustomizationSpec, VirtualMachineCloneSpec, VirtualMachineInstantCloneSpec,
    VirtualMachineRelocateSpec,
};
use vim25::{Ref, mo};

use super::Machine;
use crate::error::Result;

impl Machine<'_> {
    /// Clones the machine into a folder, and returns the new machine.
    ///
    /// # Errors
    /// See [`Error`](crate::Error).
    pub async fn clone_to(
        &self,
        folder: &Ref<mo::Folder>,
        name: &str,
        spec: &VirtualMachineCloneSpec,
    ) -> Result<Ref<mo::VirtualMachine>> {
        self.client.run(self.vm.clone_vm(folder, name, spec)).await
    }

    /// Clones the running machine, and returns the new machine. The clone is also running, and
    /// shares memory and disks with this machine until either writes to them. `spec.name` is
    /// its name; `spec.location` has its folder and pool.
    ///
    /// # Errors
    /// `InvalidPowerState` when the machine is not powered on; `NotSupported` before
    /// vSphere 6.7; otherwise see [`Error`](crate::Error).
    pub async fn instant_clone(
        &self,
        spec: &VirtualMachineInstantCloneSpec,
    ) -> Result<Ref<mo::VirtualMachine>> {
        self.client.run(self.vm.instant_clone(spec)).await
    }

    /// Moves the machine to another host, pool, datastore or folder.
    ///
    /// # Errors
    /// See [`Error`](crate::Error).
    pub async fn relocate(&self, spec: &VirtualMachineRelocateSpec) -> Result<()> {
        self.client.run(self.vm.relocate_vm(spec, None)).await
    }

    /// Changes the identity of the guest's operating system, such as its host name and
    /// addresses, at the next power-on. The machine has to be off, and its guest must have
    /// VMware Tools.
    ///
    /// # Errors
    /// `CustomizationFault` and its subtypes when the specification does not fit the
    /// machine; otherwise see [`Error`](crate::Error).
    pub async fn customize(&self, spec: &CustomizationSpec) -> Result<()> {
        self.client.run(self.vm.customize_vm(spec)).await
    }
}
