//! `EnvironmentBrowser`: what machines on the hosts of a compute resource can be made of.
//!
//! It describes what `CreateVM_Task` accepts. The machines have the browser of their compute
//! resource.

mod config_option;
mod config_target;
mod guest_os;

use vim25::types::{
    EnvironmentBrowserConfigOptionQuerySpec, HostCapability, VirtualMachineConfigOptionDescriptor,
};
use vim25::{Fault, Ref, mo};

use crate::fault;
use crate::invocation::{Answer, Invocation, nothing, value};
use crate::machine::HardwareVersion;

type Host = Ref<mo::HostSystem>;

pub(super) fn call(inv: &mut Invocation<'_, '_>) -> Option<Answer> {
    Some(match inv.request.method.as_str() {
        "QueryConfigOptionDescriptor" => descriptors(inv),
        "QueryConfigOption" => option(inv),
        "QueryConfigOptionEx" => option_ex(inv),
        "QueryConfigTarget" => target(inv),
        "QueryTargetCapabilities" => capabilities(inv),
        _ => return None,
    })
}

/// Returns the hosts of the compute resource that the browser belongs to.
fn hosts(inv: &Invocation<'_, '_>) -> Result<Vec<Host>, Fault> {
    let mut computes = inv.tx.all("ComputeResource");
    let own = computes.find(|compute| {
        let browser: Result<Ref<mo::EnvironmentBrowser>, _> = compute.read("environmentBrowser");
        browser.is_ok_and(|browser| browser.value() == inv.this.value())
    });
    own.map_or_else(|| Ok(Vec::new()), |compute| compute.list("host"))
}

/// Returns the host that a query is about, or all hosts if it names none.
///
/// # Errors
/// `InvalidArgument` for a host of another compute resource.
fn asked(inv: &Invocation<'_, '_>, host: Option<&Host>, name: &str) -> Result<Vec<Host>, Fault> {
    let all = hosts(inv)?;
    let Some(host) = host else {
        return Ok(all);
    };
    let is_own = all.iter().any(|own| own.value() == host.value());
    is_own
        .then(|| vec![host.clone()])
        .ok_or_else(|| fault::invalid_argument(name))
}

fn descriptors(inv: &Invocation<'_, '_>) -> Answer {
    let hosts = hosts(inv)?;
    let all = HardwareVersion::supported().map(|version| VirtualMachineConfigOptionDescriptor {
        key: version.to_string(),
        description: Some(version.to_string()),
        host: hosts.clone(),
        create_supported: true,
        default_config_option: version == HardwareVersion::NEWEST,
        run_supported: true,
        upgrade_supported: true,
    });
    value(&all.collect::<Vec<_>>())
}

fn option(inv: &Invocation<'_, '_>) -> Answer {
    let key: Option<String> = inv.arg("key")?;
    let host: Option<Host> = inv.arg("host")?;
    asked(inv, host.as_ref(), "host")?;
    described(key.as_deref(), &[])
}

fn option_ex(inv: &Invocation<'_, '_>) -> Answer {
    let spec: Option<EnvironmentBrowserConfigOptionQuerySpec> = inv.arg("spec")?;
    let spec = spec.unwrap_or_default();
    asked(inv, spec.host.as_ref(), "spec.host")?;
    described(spec.key.as_deref(), &spec.guest_id)
}

/// Returns the options of a hardware version, the newest one if there is no key. There are none
/// for an unknown key.
fn described(key: Option<&str>, guests: &[String]) -> Answer {
    let version = match key {
        None | Some("") => Some(HardwareVersion::NEWEST),
        Some(key) => HardwareVersion::supported().find(|version| version.to_string() == key),
    };
    match version {
        Some(version) => value(&config_option::new(version, guests)),
        None => nothing(),
    }
}

fn target(inv: &Invocation<'_, '_>) -> Answer {
    let host: Option<Host> = inv.arg("host")?;
    let hosts = asked(inv, host.as_ref(), "host")?;
    value(&config_target::new(inv.tx, &hosts)?)
}

/// Answers with the capabilities of a host. All hosts have the same.
fn capabilities(inv: &Invocation<'_, '_>) -> Answer {
    let host: Option<Host> = inv.arg("host")?;
    let hosts = asked(inv, host.as_ref(), "host")?;
    let Some(host) = hosts.first() else {
        return nothing();
    };
    let capability: HostCapability = inv.tx.object(host)?.read("capability")?;
    value(&capability)
}
