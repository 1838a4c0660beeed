//! The managed method executer of a host, which runs the commands of `esxcli`.

use vim25::internal::mo::ReflectManagedMethodExecuter;
use vim25::internal::types::{
    ReflectManagedMethodExecuterSoapFault, ReflectManagedMethodExecuterSoapResult,
};
use vim25::types::VirtualMachinePowerState;
use vim25::{Fault, Ref};

use crate::invocation::{Answer, Invocation, value};
use crate::machine;
use crate::object::Object;

/// The prefix of the id of a host's executer, before the id of the host.
const PREFIX: &str = "managed-method-executer-";

pub(super) fn call(inv: &mut Invocation<'_, '_>) -> Option<Answer> {
    Some(match inv.request.method.as_str() {
        "RetrieveManagedMethodExecuter" => executer(inv),
        "ExecuteSoap" => execute(inv),
        _ => return None,
    })
}

/// Returns the executer of the host, which is created at first use.
fn executer(inv: &mut Invocation<'_, '_>) -> Answer {
    let id = format!("{PREFIX}{}", inv.this.value());
    if inv.tx.get(&id).is_none() {
        let object = Object::new::<ReflectManagedMethodExecuter>(&id);
        inv.tx.insert(object);
    }
    value(&Some(Ref::<ReflectManagedMethodExecuter>::new(&id)))
}

/// Runs a command. The result, and the fault of a command, is XML in a string.
fn execute(inv: &mut Invocation<'_, '_>) -> Answer {
    let method: String = inv.arg("method")?;
    let rows = match method.as_str() {
        "vim.EsxCLI.vm.process.list" => processes(inv)?,
        "vim.EsxCLI.system.hostname.get" => hostname(inv)?,
        _ => {
            let fault = ReflectManagedMethodExecuterSoapFault {
                fault_msg: "The object or item referred to could not be found.".into(),
                fault_detail: Some("<NotFoundFault xmlns=\"urn:vim25\"/>".into()),
            };
            return value(&Some(ReflectManagedMethodExecuterSoapResult {
                response: None,
                fault: Some(Box::new(fault)),
            }));
        }
    };
    value(&Some(ReflectManagedMethodExecuterSoapResult {
        response: Some(rows),
        fault: None,
    }))
}

/// Returns the powered-on machines of the host.
fn processes(inv: &Invocation<'_, '_>) -> Result<String, Fault> {
    let host = inv.this.value().strip_prefix(PREFIX).unwrap_or_default();
    let mut rows = String::new();
    for (world, vm) in inv.tx.members(host, "vm").iter().enumerate() {
        let object = inv.tx.object(vm)?;
        if machine::power_state(object)? != VirtualMachinePowerState::PoweredOn {
            continue;
        }
        let file: String = object.read("config.files.vmPathName")?;
        let uuid: String = object.read("config.uuid")?;
        rows.push_str("<DataObject xsi:type=\"VimEsxCLIvmprocesslistVirtualMachine\">");
        field(&mut rows, "ConfigFile", &file);
        field(&mut rows, "DisplayName", object.name());
        field(&mut rows, "ProcessID", "0");
        field(&mut rows, "UUID", &uuid);
        // Ids of worlds are different, and only that matters.
        field(&mut rows, "WorldID", &(2_097_152 + world).to_string());
        rows.push_str("</DataObject>");
    }
    Ok(result("ArrayOfDataObject", &rows))
}

fn hostname(inv: &Invocation<'_, '_>) -> Result<String, Fault> {
    let host = inv.this.value().strip_prefix(PREFIX).unwrap_or_default();
    let name = inv.tx.get(host).map_or("", |host| host.name()).to_owned();
    let (short, domain) = name.split_once('.').unwrap_or((name.as_str(), ""));
    let mut row = String::new();
    field(&mut row, "DomainName", domain);
    field(&mut row, "FullyQualifiedDomainName", &name);
    field(&mut row, "HostName", short);
    Ok(result("VimEsxCLIsystemhostnamegetHostname", &row))
}

fn result(ty: &str, content: &str) -> String {
    format!(
        "<obj xmlns=\"urn:vim25\" xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\" \
         xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"{ty}\">\
         {content}</obj>"
    )
}

fn field(out: &mut String, name: &str, value: &str) {
    let value = value.replace('&', "&amp;").replace('<', "&lt;");
    out.push_str(&format!("<{name}>{value}</{name}>"));
}
