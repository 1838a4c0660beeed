//! Networks. There is one for each port group.

use vim25::types::NetworkSummary;
use vim25::{AnyRef, Fault, Poly, Ref, mo};

use super::{entity, host_network};
use crate::datastore::site::Site;
use crate::fault;
use crate::layout::HostLayout;
use crate::object::{Object, Retype};
use crate::world::Transaction;

/// Creates a port group on a host, and its network. Port groups with the same name on
/// several hosts share one network.
pub(super) fn build(
    tx: &mut Transaction<'_>,
    layout: &HostLayout,
    name: &str,
    vlan: i32,
    switch: &str,
) -> Result<(), Fault> {
    host_network::attach(tx, layout, name, vlan, switch)?;
    let host = entity::any(&layout.host());
    let datacenter = entity::datacenter(tx, &host)?;
    let folder: Ref<mo::Folder> = tx.object(&datacenter)?.read("networkFolder")?;
    if let Some(network) = entity::child(tx, &folder, name) {
        tx.edit(&network)?
            .edit_list("host", |hosts| hosts.push(host.clone()))?;
        return list(tx, &network, &layout.host(), true);
    }
    let reference: Ref<mo::Network> = if layout.is_own() {
        Ref::new(&format!("HaNetwork-{name}"))
    } else {
        Ref::new(&format!("network-{}", tx.ids().number()))
    };
    let parent = Some(entity::any(&folder));
    let mut network = entity::new::<mo::Network>(reference.value(), name, parent);
    network.put(
        "summary",
        &Poly::new(NetworkSummary {
            network: Some(reference.clone()),
            name: name.to_owned(),
            accessible: true,
            ..Default::default()
        }),
    );
    network.put("host", &vec![host]);
    network.put("vm", &Vec::<AnyRef>::new());
    tx.insert(network);
    let network = entity::any(&reference);
    register(tx, &folder, &network)?;
    list(tx, &network, &layout.host(), true)
}

/// Adds a new network to the lists of its folder and its datacenter.
pub(super) fn register(
    tx: &mut Transaction<'_>,
    folder: &Ref<mo::Folder>,
    network: &AnyRef,
) -> Result<(), Fault> {
    let datacenter = entity::datacenter(tx, folder)?;
    let add = |list: &mut Vec<AnyRef>| list.push(network.clone());
    tx.edit(folder)?.edit_list("childEntity", add)?;
    tx.edit(&datacenter)?.edit_list("network", add)
}

/// Removes a port group that no machine uses.
pub(super) fn remove(
    tx: &mut Transaction<'_>,
    layout: &HostLayout,
    name: &str,
) -> Result<(), Fault> {
    let datacenter = entity::datacenter(tx, &layout.host())?;
    let network = named_in(tx, &datacenter, name).ok_or_else(|| fault::not_found_key(name))?;
    if !tx.members(network.value(), "vm").is_empty() {
        return Err(fault::resource_in_use(name));
    }
    host_network::detach(tx, layout, name)?;
    let gone = entity::any(&network);
    list(tx, &gone, &layout.host(), false)?;
    let own = entity::any(&layout.host());
    tx.edit(&network)?
        .edit_list("host", |hosts| hosts.retain(|host| *host != own))?;
    if !tx.object(&network)?.list::<AnyRef>("host")?.is_empty() {
        return Ok(());
    }
    forget(tx, &gone)
}

/// Removes a network that no host has from the inventory.
pub(super) fn forget(tx: &mut Transaction<'_>, gone: &AnyRef) -> Result<(), Fault> {
    let datacenter = entity::datacenter(tx, gone)?;
    let folder = tx.object(gone)?.parent().unwrap_or_default();
    let drop = |list: &mut Vec<AnyRef>| list.retain(|other| other != gone);
    tx.edit(&folder)?.edit_list("childEntity", drop)?;
    tx.edit(&datacenter)?.edit_list("network", drop)?;
    let is_its = |object: &&std::sync::Arc<Object>| {
        let networks = object.list::<AnyRef>("network");
        networks.is_ok_and(|all| all.contains(gone))
    };
    let computes = tx.all("ComputeResource").filter(is_its);
    let computes: Vec<AnyRef> = computes.map(|object| object.reference().clone()).collect();
    for compute in &computes {
        tx.edit(compute)?.edit_list("network", drop)?;
    }
    tx.remove(gone);
    Ok(())
}

/// Returns the network with a given name in a datacenter.
pub(crate) fn named(tx: &Transaction<'_>, site: Site, name: &str) -> Option<Ref<mo::Network>> {
    named_in(tx, &tx.layout().at(site).datacenter, name)
}

fn named_in(
    tx: &Transaction<'_>,
    datacenter: &Ref<mo::Datacenter>,
    name: &str,
) -> Option<Ref<mo::Network>> {
    let folder: Ref<mo::Folder> = tx.object(datacenter).ok()?.read("networkFolder").ok()?;
    let found = entity::below(tx, &folder, name)?;
    let is_one = tx.object(&found).is_ok_and(|found| found.is_a("Network"));
    is_one.then(|| found.retype())
}

/// Adds a network to the lists of a host and its compute resource, or removes it from them.
pub(super) fn list(
    tx: &mut Transaction<'_>,
    network: &AnyRef,
    host: &Ref<mo::HostSystem>,
    add: bool,
) -> Result<(), Fault> {
    let change = |list: &mut Vec<AnyRef>| {
        list.retain(|other| other != network);
        if add {
            list.push(network.clone());
        }
    };
    let object = tx.edit(host)?;
    object.edit_list("network", change)?;
    let compute = object.parent();
    match compute {
        Some(compute) if add => tx.edit(&compute)?.edit_list("network", change),
        _ => Ok(()),
    }
}
