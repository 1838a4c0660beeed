//! Networks: one per port group.

use vim25::types::NetworkSummary;
use vim25::{AnyRef, Fault, Poly, Ref, mo};

use super::{entity, host_network};
use crate::fault;
use crate::world::{Transaction, fixed};

/// Makes a port group, and the network that machines see of it.
pub(super) fn build(
    tx: &mut Transaction<'_>,
    name: &str,
    vlan: i32,
    switch: &str,
) -> Result<(), Fault> {
    host_network::attach(tx, name, vlan, switch)?;
    let reference: Ref<mo::Network> = Ref::new(&format!("HaNetwork-{name}"));
    let parent = fixed::network_folder().upcast();
    let mut network = entity::new::<mo::Network>(reference.value(), name, Some(parent));
    network.put(
        "summary",
        &Poly::new(NetworkSummary {
            network: Some(reference.clone()),
            name: name.to_owned(),
            accessible: true,
            ..Default::default()
        }),
    );
    network.put("host", &vec![fixed::host()]);
    network.put("vm", &Vec::<AnyRef>::new());
    tx.insert(network);
    list(tx, |networks| networks.push(entity::any(&reference)))
}

/// Removes a port group that no machine uses.
pub(super) fn remove(tx: &mut Transaction<'_>, name: &str) -> Result<(), Fault> {
    let network = named(tx, name).ok_or_else(|| fault::not_found_key(name))?;
    if !tx.members(network.value(), "vm").is_empty() {
        return Err(fault::resource_in_use(name));
    }
    host_network::detach(tx, name)?;
    let gone = entity::any(&network);
    tx.remove(&network);
    list(tx, |networks| networks.retain(|other| *other != gone))
}

/// The network with a name.
pub(crate) fn named(tx: &Transaction<'_>, name: &str) -> Option<Ref<mo::Network>> {
    let found = tx.all("Network").find(|network| network.name() == name)?;
    Some(Ref::new(found.value()))
}

/// Changes every list of the host's networks.
fn list(tx: &mut Transaction<'_>, change: impl Fn(&mut Vec<AnyRef>)) -> Result<(), Fault> {
    tx.edit(&fixed::network_folder())?
        .edit_list("childEntity", &change)?;
    tx.edit(&fixed::datacenter())?
        .edit_list("network", &change)?;
    tx.edit(&fixed::compute_resource())?
        .edit_list("network", &change)?;
    tx.edit(&fixed::host())?.edit_list("network", &change)
}
