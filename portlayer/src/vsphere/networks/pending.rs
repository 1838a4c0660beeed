//! The addresses of a container that is being created or changed.

use tokio::time::Instant;
use vim25::{Ref, mo};

use super::HostNetworks;
use crate::network::EndpointInfo;
use crate::network::table::Assignment;
use crate::{Error, ErrorKind};

/// The address assignment of an operation in progress. Dropping it before the change is
/// [sent](Self::sent) undoes the assignment. Dropping it later leaves the outcome unknown: the
/// addresses stay reserved until the machine is listed with them, or until the timeout of a task
/// has passed without that.
#[derive(Debug)]
#[must_use]
pub(in crate::vsphere) struct Pending<'a> {
    networks: &'a HostNetworks,
    assignment: Option<Assignment>,
    is_sent: bool,
}

impl<'a> Pending<'a> {
    pub(super) fn new(networks: &'a HostNetworks, assignment: Assignment) -> Self {
        Self {
            networks,
            assignment: Some(assignment),
            is_sent: false,
        }
    }

    pub(in crate::vsphere) fn endpoints(&self) -> &[EndpointInfo] {
        let assignment = self.assignment.as_ref();
        assignment
            .map(|a| a.endpoints.as_slice())
            .unwrap_or_default()
    }

    /// Records that the request is about to be sent to the endpoint.
    pub(in crate::vsphere) fn sent(&mut self) {
        self.is_sent = true;
    }

    /// Records that the request succeeded. `vm` is the machine, if it is new.
    pub(in crate::vsphere) fn commit(mut self, vm: Option<Ref<mo::VirtualMachine>>) {
        let Some(assignment) = self.assignment.take() else {
            return;
        };
        let mut table = self.networks.table();
        table.commit(&assignment, Instant::now().into_std());
        let mut known = self.networks.known();
        match vm {
            Some(vm) => known.created(vm, assignment.id),
            None => known.changed(&assignment.id),
        }
    }

    /// Records that the request failed with this error.
    pub(in crate::vsphere) fn failed(mut self, error: &Error) {
        if !matches!(
            error.kind,
            ErrorKind::OutcomeUnknown { .. }
                | ErrorKind::Timeout { .. }
                | ErrorKind::Unavailable { .. }
                | ErrorKind::Internal
        ) {
            self.is_sent = false;
        }
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        let Some(assignment) = self.assignment.take() else {
            return;
        };
        let mut table = self.networks.table();
        if !self.is_sent {
            table.abandon(&assignment);
            return;
        }
        self.networks.known().unsettle(assignment);
    }
}
