//! `AcquireTicket`, `AcquireMksTicket`: tickets for the console of a machine.
//!
//! There is no console behind them: the server answers a client that redeems one with an error.

use vim25::types::{VirtualMachineMksTicket, VirtualMachineTicket, VirtualMachineTicketType};
use vim25::{Fault, Ref, mo};

use super::power::must_be_on;
use crate::fault;
use crate::invocation::{Answer, Invocation, value};
use crate::machine::Machine;

pub(super) fn acquire(inv: &mut Invocation<'_, '_>, vm: &Ref<mo::VirtualMachine>) -> Answer {
    use VirtualMachineTicketType as Type;
    let kind: String = inv.arg("ticketType")?;
    let kind = Type::from(kind.as_str());
    if matches!(kind, Type::Other(_) | Type::Unset) {
        return Err(fault::invalid_argument("ticketType"));
    }
    let ticket = issue(inv, vm)?;
    let url = match (&kind, &ticket.host, ticket.port) {
        (Type::Webmks, Some(host), Some(port)) => {
            Some(format!("wss://{host}:{port}/ticket/{}", ticket.ticket))
        }
        _ => None,
    };
    value(&VirtualMachineTicket {
        ticket: ticket.ticket,
        cfg_file: ticket.cfg_file,
        host: ticket.host,
        port: ticket.port,
        ssl_thumbprint: ticket.ssl_thumbprint,
        url,
        ..Default::default()
    })
}

pub(super) fn acquire_mks(inv: &mut Invocation<'_, '_>, vm: &Ref<mo::VirtualMachine>) -> Answer {
    value(&issue(inv, vm)?)
}

/// Creates a ticket. Only a machine that is on has a console.
fn issue(
    inv: &mut Invocation<'_, '_>,
    vm: &Ref<mo::VirtualMachine>,
) -> Result<VirtualMachineMksTicket, Fault> {
    must_be_on(inv.tx, vm)?;
    let object = inv.tx.object(vm)?;
    let host: Ref<mo::HostSystem> = object.read("runtime.host")?;
    let vmx = &Machine::of(object)?.vmx;
    let shared = inv.tx.shared();
    let cfg_file = format!("{}/{}", shared.store.volume(vmx).url(), vmx.relative());
    let address = shared.address;
    let thumbprint: String = inv.tx.object(&host)?.read("summary.config.sslThumbprint")?;
    let session = inv.caller.session()?.clone();
    let ticket = inv.tx.sessions().console_ticket(&session, vm);
    Ok(VirtualMachineMksTicket {
        ticket,
        cfg_file,
        // Not the host's name, which no client could resolve.
        host: Some(address.ip().to_string()),
        port: Some(address.port().into()),
        ssl_thumbprint: Some(thumbprint),
    })
}
