//! Sends requests to the guest.

use vim25::types::{GuestProgramSpec, NamePasswordAuthentication};
use vim25::{Poly, Ref, mo, props};

use super::Endpoint;
use crate::vsphere::fault;
use crate::{Error, Resource, Result};

impl Endpoint {
    /// Returns whether the endpoint supports guest operations.
    pub(in crate::vsphere) fn has_guest_operations(&self) -> bool {
        self.client
            .service_content()
            .guest_operations_manager
            .is_some()
    }

    /// Requests a shutdown of the guest, if its tools are running.
    pub(in crate::vsphere) async fn shut_down_guest(
        &self,
        vm: &Ref<mo::VirtualMachine>,
        resource: &Resource,
    ) -> Result<()> {
        self.fence.check(resource)?;
        self.call(vm.shutdown_guest(), resource).await
    }

    /// Starts one of the built-in commands of the guest's agent, which expects the container's id
    /// as the user and no password.
    pub(in crate::vsphere) async fn run_in_guest(
        &self,
        vm: &Ref<mo::VirtualMachine>,
        user: &str,
        program: &str,
        arguments: &str,
        resource: &Resource,
    ) -> Result<()> {
        self.fence.check(resource)?;
        let manager = self
            .client
            .service_content()
            .guest_operations_manager
            .clone();
        let manager = manager.ok_or_else(|| {
            Error::internal(
                resource.clone(),
                "the endpoint does not support guest operations",
            )
        })?;
        let manager = self
            .client
            .get(&manager, props::guest_operations_manager::PROCESS_MANAGER)
            .await
            .map_err(|error| fault::error(resource, error))?;
        let user = NamePasswordAuthentication {
            username: user.to_owned(),
            password: String::new(),
            ..NamePasswordAuthentication::default()
        };
        let spec = GuestProgramSpec {
            program_path: program.to_owned(),
            arguments: arguments.to_owned(),
            ..GuestProgramSpec::default()
        };
        let call = manager.start_program_in_guest(vm, &Poly::new(user), &Poly::new(spec));
        self.call(call, resource).await.map(drop)
    }
}
