//! Probes which capabilities an endpoint lacks, as described in
//! [`vsphere`](super#what-endpoints-may-lack).

use vim25::types::VirtualMachineConfigSpec;
use vim25::{Ref, mo};

use super::derive_state::Power;
use super::endpoint::Endpoint;
use super::host_objects::HostObjects;
use super::machine_spec::{bare, options};
use crate::vsphere::kind;
use crate::{Capabilities, Capability, ContainerId, Error, ErrorKind, Resource, Result};

const KEY: &str = "guestinfo.portlayer.probe";
/// A key that is set while the machine is on.
const LIVE_KEY: &str = "portlayer/probe";
const SAME_KEY: &str = "GuestInfo.PortLayer.Probe";

/// Maximum number of attempts of one call. An attempt can fail because another program that opens
/// the host for the first time takes the machine of the probe for a leftover; each program does so
/// at most once.
const ATTEMPTS: u32 = 4;

/// Returns the prefix of the names of probe machines: `<host>-probe-<12 digits>`.
fn prefix(objects: &HostObjects) -> String {
    format!("{}-probe-", objects.name)
}

/// Returns whether a machine of the host belongs to a probe.
pub(super) fn is_probe(objects: &HostObjects, name: &str) -> bool {
    let rest = name.strip_prefix(&prefix(objects));
    rest.is_some_and(|rest| rest.len() == 12 && rest.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// Removes the machines of the host that interrupted probes left.
pub(super) async fn sweep(endpoint: &Endpoint, objects: &HostObjects) -> Result<()> {
    let members = objects.members();
    for member in endpoint.members(&members, &objects.host()).await? {
        if !is_probe(objects, &member.name) {
            continue;
        }
        let resource = Resource::new(kind::VIRTUAL_MACHINE, &member.name);
        match remove(endpoint, &member.vm, &resource).await {
            Err(error) if !error.is_not_found() => return Err(error),
            _ => tracing::debug!(%resource, "removed the machine of an interrupted probe"),
        }
    }
    Ok(())
}

/// Removes the machine of a probe, which may be on.
pub(super) async fn remove(
    endpoint: &Endpoint,
    vm: &Ref<mo::VirtualMachine>,
    resource: &Resource,
) -> Result<()> {
    if endpoint.machine(vm, resource).await?.power != Power::Off {
        endpoint.power_off(vm, resource).await?;
    }
    endpoint.destroy(vm, resource).await
}

/// Formats the result of a probe for storing: the number of capabilities that this version knows,
/// the endpoint's build, and the names of the capabilities that the endpoint has.
pub(super) fn to_text(found: Capabilities, build: &str) -> String {
    let names: Vec<_> = found.iter().map(|has| has.to_string()).collect();
    format!(
        "{} {build} {}",
        Capabilities::all().iter().count(),
        names.join(",")
    )
}

/// Parses a stored result. Returns `None` if another version stored it, or the endpoint was updated
/// since.
pub(super) fn from_text(text: &str, build: &str) -> Option<Capabilities> {
    let mut parts = text.splitn(3, ' ');
    let known = Capabilities::all().iter().count().to_string();
    if parts.next()? != known || parts.next()? != build {
        return None;
    }
    let names = parts.next()?;
    Some(
        Capabilities::all()
            .iter()
            .filter(|has| names.split(',').any(|name| name == has.to_string()))
            .collect(),
    )
}

/// Returns the capabilities of this host's endpoint.
pub(super) async fn capabilities(
    endpoint: &Endpoint,
    objects: &HostObjects,
) -> Result<Capabilities> {
    sweep(endpoint, objects).await?;
    let mut attempt = 1;
    loop {
        match probe(endpoint, objects).await {
            Err(error) if error.is_not_found() && attempt < ATTEMPTS => attempt += 1,
            found => return found,
        }
    }
}

async fn probe(endpoint: &Endpoint, objects: &HostObjects) -> Result<Capabilities> {
    let name = format!("{}{}", prefix(objects), ContainerId::generate().short());
    let resource = Resource::new(kind::VIRTUAL_MACHINE, &name);
    let spec = bare(
        &name,
        &objects.defaults.datastore_name,
        [(KEY.to_owned(), "1".to_owned())],
    );
    let vm = endpoint
        .create(&objects.folder, &objects.pool, &spec, &resource)
        .await?;
    let found = observe(endpoint, objects, &vm, &resource).await;
    let removed = remove(endpoint, &vm, &resource).await;
    let found = found?;
    match removed {
        Err(error) if !error.is_not_found() => return Err(error),
        _ => {}
    }
    tracing::debug!(missing = ?found.missing().collect::<Vec<_>>(), "probed the endpoint");
    Ok(found)
}

async fn observe(
    endpoint: &Endpoint,
    objects: &HostObjects,
    vm: &Ref<mo::VirtualMachine>,
    resource: &Resource,
) -> Result<Capabilities> {
    let mut has = Capabilities::none().with(Capability::Suspend);
    let (datacenter, pool) = (&objects.datacenter, &objects.pool);
    match endpoint
        .bridge_switch(datacenter, pool, &objects.bridge_network)
        .await
    {
        Ok(_) => has = has.with(Capability::ScopeVlans),
        Err(Error {
            kind:
                ErrorKind::Unsupported { .. }
                | ErrorKind::NotFound
                | ErrorKind::PermissionDenied
                | ErrorKind::Internal,
            ..
        }) => {}
        Err(error) => return Err(error),
    }
    let machine = endpoint.machine(vm, resource).await?;
    if contains_key(endpoint, objects, &machine.path, resource).await? {
        has = has
            .with(Capability::VmxContents)
            .with(Capability::GuestKeys)
            // An endpoint that stores a machine's file also stores the machine's disks.
            .with(Capability::DiskContents);
        if endpoint.has_guest_operations() {
            has = has.with(Capability::Signals);
        }
    }

    let change = |version: Option<String>, key: &str, text: &str| VirtualMachineConfigSpec {
        change_version: version,
        extra_config: options([(key.to_owned(), text.to_owned())]),
        ..VirtualMachineConfigSpec::default()
    };
    endpoint
        .reconfigure(vm, &change(None, KEY, "2"), resource)
        .await?;
    match endpoint
        .reconfigure(vm, &change(machine.change_version, KEY, "3"), resource)
        .await
    {
        Ok(()) => {}
        Err(Error {
            kind: ErrorKind::Conflict { .. },
            ..
        }) => has = has.with(Capability::StaleChangeVersionRefused),
        Err(error) => return Err(error),
    }

    endpoint
        .reconfigure(vm, &change(None, SAME_KEY, "4"), resource)
        .await?;
    let keys = endpoint.machine(vm, resource).await?.keys.unpack();
    if keys
        .keys()
        .filter(|key| key.eq_ignore_ascii_case(KEY))
        .count()
        == 1
    {
        has = has.with(Capability::KeyCaseFolding);
    }
    if keeps_keys(endpoint, vm, &change(None, LIVE_KEY, "1"), resource).await? {
        has = has.with(Capability::LiveEdits);
    }
    Ok(has)
}

/// Returns whether a key that is set while the machine is on is still there once it is off.
async fn keeps_keys(
    endpoint: &Endpoint,
    vm: &Ref<mo::VirtualMachine>,
    change: &VirtualMachineConfigSpec,
    resource: &Resource,
) -> Result<bool> {
    match endpoint.power_on(vm, resource).await {
        Ok(()) => {}
        Err(error) if is_passing(&error) => return Err(error),
        Err(error) => {
            tracing::debug!(%error, "cannot power on the machine of a probe");
            return Ok(false);
        }
    }
    endpoint.reconfigure(vm, change, resource).await?;
    let machine = endpoint.machine(vm, resource).await?;
    // If the machine is off, the key may have been set after that.
    let was_on = machine.power == Power::On;
    endpoint.power_off(vm, resource).await?;
    let keys = endpoint.machine(vm, resource).await?.keys.unpack();
    Ok(was_on && keys.contains_key(LIVE_KEY))
}

/// Returns whether the same request may succeed later.
fn is_passing(error: &Error) -> bool {
    error.is_not_found()
        || matches!(
            error.kind,
            ErrorKind::Unavailable { .. }
                | ErrorKind::Timeout { .. }
                | ErrorKind::OutcomeUnknown { .. }
        )
}

/// Returns whether the machine's file on the datastore contains the key.
async fn contains_key(
    endpoint: &Endpoint,
    objects: &HostObjects,
    path: &str,
    resource: &Resource,
) -> Result<bool> {
    let file = match endpoint.vmx(&objects.datastore, path, resource).await {
        Ok(file) => file,
        Err(Error {
            kind: ErrorKind::NotFound,
            ..
        }) => return Ok(false),
        Err(error) => return Err(error),
    };
    // A file that cannot be parsed counts as a file without the key.
    Ok(vmx::Document::parse_lenient(file.to_vec()).is_ok_and(|document| document.contains(KEY)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_read_as_they_were_stored() {
        let found = Capabilities::none()
            .with(Capability::GuestKeys)
            .with(Capability::Suspend);
        let text = to_text(found, "8.0.3-24022510");
        assert_eq!(from_text(&text, "8.0.3-24022510"), Some(found));
        assert_eq!(from_text(&text, "8.0.3-99999999"), None);
        assert_eq!(
            from_text("2 8.0.3-24022510 GuestKeys", "8.0.3-24022510"),
            None
        );
        assert_eq!(from_text("", ""), None);
    }
}
