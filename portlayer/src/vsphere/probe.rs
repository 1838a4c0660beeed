//! What an endpoint lacks, proven on the endpoint.
//! How is told in the documentation of [`vsphere`](super#what-endpoints-may-lack).

use vim25::types::VirtualMachineConfigSpec;

use super::endpoint::Endpoint;
use super::machine_spec::{bare, options};
use super::place::Place;
use crate::vsphere::kind;
use crate::{Capabilities, Capability, ContainerId, Error, ErrorKind, Resource, Result};

const KEY: &str = "guestinfo.portlayer.probe";
const SAME_KEY: &str = "GuestInfo.PortLayer.Probe";

/// What the endpoint of this host can do.
pub(super) async fn capabilities(endpoint: &Endpoint, place: &Place) -> Result<Capabilities> {
    let name = format!("{}-probe-{}", place.name, ContainerId::generate().short());
    let resource = Resource::new(kind::VIRTUAL_MACHINE, &name);
    let spec = bare(
        &name,
        &place.defaults.datastore_name,
        [(KEY.to_owned(), "1".to_owned())],
    );
    let vm = endpoint
        .create(&place.folder, &place.pool, &spec, &resource)
        .await?;
    let found = observe(endpoint, place, &vm, &resource).await;
    let removed = endpoint.destroy(&vm, &resource).await;
    let found = found?;
    removed?;
    tracing::debug!(missing = ?found.missing().collect::<Vec<_>>(), "probed the endpoint");
    Ok(found)
}

async fn observe(
    endpoint: &Endpoint,
    place: &Place,
    vm: &vim25::Ref<vim25::mo::VirtualMachine>,
    resource: &Resource,
) -> Result<Capabilities> {
    let mut has = Capabilities::none().with(Capability::Suspend);
    let machine = endpoint.machine(vm, resource).await?;
    if contains_key(endpoint, place, &machine.path, resource).await? {
        has = has
            .with(Capability::VmxContents)
            .with(Capability::GuestKeys)
            // What keeps a machine's file keeps its disks.
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
    let keys = endpoint.machine(vm, resource).await?.keys;
    if keys
        .keys()
        .filter(|key| key.eq_ignore_ascii_case(KEY))
        .count()
        == 1
    {
        has = has.with(Capability::KeyCaseFolding);
    }
    Ok(has)
}

/// Whether the machine's file on the datastore has the key.
async fn contains_key(
    endpoint: &Endpoint,
    place: &Place,
    path: &str,
    resource: &Resource,
) -> Result<bool> {
    let file = match endpoint.vmx(&place.datastore, path, resource).await {
        Ok(file) => file,
        Err(Error {
            kind: ErrorKind::NotFound,
            ..
        }) => return Ok(false),
        Err(error) => return Err(error),
    };
    // A file that cannot be parsed shows nothing.
    Ok(vmx::Document::parse_lenient(file.to_vec()).is_ok_and(|document| document.contains(KEY)))
}
