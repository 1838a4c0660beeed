//! The connection between vCenter and its hosts.

use std::sync::Arc;

use vim25::types::{HostSystemConnectionState, VirtualMachineConnectionState};
use vim25::{Fault, Ref, mo};

use crate::fault;
use crate::machine::properties;
use crate::object::Retype;
use crate::shared::Shared;
use crate::world::Transaction;

/// The inventory has no host of this name that a connection could be lost to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no host named `{name}` is connected to a vCenter in this simulator; on ESXi there is none"
)]
#[non_exhaustive]
pub struct UnknownHostError {
    /// The name that was looked for.
    pub name: String,
}

/// Sets whether a host responds to its vCenter, and with it the connection states of its machines.
pub(crate) fn set(
    shared: &Arc<Shared>,
    name: &str,
    responds: bool,
) -> Result<(), UnknownHostError> {
    let unknown = || UnknownHostError {
        name: name.to_owned(),
    };
    let mut tx = Transaction::begin(shared).map_err(|_closed| unknown())?;
    let found = tx.all("HostSystem").find(|host| host.name() == name);
    let host: Ref<mo::HostSystem> = found
        .filter(|_| shared.settings.layout().is_vcenter)
        .map(|host| host.reference().retype())
        .ok_or_else(unknown)?;
    apply(&mut tx, &host, responds).map_err(|fault| {
        tracing::error!(%fault, "a host could not be disconnected");
        unknown()
    })?;
    tx.commit();
    Ok(())
}

fn apply(
    tx: &mut Transaction<'_>,
    host: &Ref<mo::HostSystem>,
    responds: bool,
) -> Result<(), Fault> {
    let (of_host, of_machine) = if responds {
        (
            HostSystemConnectionState::Connected,
            VirtualMachineConnectionState::Connected,
        )
    } else {
        (
            HostSystemConnectionState::NotResponding,
            VirtualMachineConnectionState::Disconnected,
        )
    };
    let object = tx.edit(host)?;
    object.set("runtime.connectionState", &of_host)?;
    object.set("summary.runtime.connectionState", &of_host)?;
    for vm in tx.members(host.value(), "vm") {
        let vm: Ref<mo::VirtualMachine> = vm.retype();
        tx.edit(&vm)?.set("runtime.connectionState", &of_machine)?;
        properties::refresh(tx, &vm)?;
    }
    Ok(())
}

/// Checks that the host of a machine responds.
pub(super) fn check(tx: &Transaction<'_>, vm: &Ref<mo::VirtualMachine>) -> Result<(), Fault> {
    let state = tx.object(vm)?.read("runtime.connectionState");
    if state == Ok(VirtualMachineConnectionState::Disconnected) {
        return Err(fault::host_not_connected());
    }
    Ok(())
}
