//! Network cards: addresses and backings.

use vim25::types::{
    VirtualDevice, VirtualDeviceBackingInfo, VirtualDeviceConnectInfo, VirtualEthernetCard,
    VirtualEthernetCardDistributedVirtualPortBackingInfo, VirtualEthernetCardNetworkBackingInfo,
};
use vim25::{Fault, Poly, Ref};

use crate::datastore::site::Site;
use crate::fault;
use crate::model::{distributed_switch, entity, network};
use crate::world::Transaction;

/// Checks and completes a network card of a machine in a datacenter.
pub(super) fn prepare(
    tx: &mut Transaction<'_>,
    index: usize,
    site: Site,
    device: &mut Poly<VirtualDevice>,
) -> Result<(), Fault> {
    let malformed = |_| fault::invalid_device(index, "the network card is incomplete");
    let random = tx.ids().bytes();
    let mut backing = None;
    let card = device.base::<VirtualEthernetCard>().map_err(malformed)?;
    let given = card.as_ref().and_then(|card| card.backing.as_ref());
    if let Some(given) = given {
        backing = Some(resolve(tx, index, site, given)?);
    }
    device
        .modify::<VirtualEthernetCard>(|card| {
            let address = card.mac_address.as_deref().unwrap_or("");
            if address.is_empty() {
                let [a, b, c, ..] = random;
                card.mac_address = Some(format!("00:0c:29:{a:02x}:{b:02x}:{c:02x}"));
                card.address_type = Some("generated".into());
            } else if card.address_type.as_deref().unwrap_or("").is_empty() {
                card.address_type = Some("manual".into());
            }
            card.wake_on_lan_enabled.get_or_insert(false);
            card.upt_compatibility_enabled.get_or_insert(false);
            if let Some(backing) = backing {
                card.backing = Some(backing);
            }
            card.connectable
                .get_or_insert_with(|| {
                    Box::new(VirtualDeviceConnectInfo {
                        start_connected: true,
                        allow_guest_control: true,
                        connected: false,
                        ..Default::default()
                    })
                })
                .status = Some("untried".into());
        })
        .map_err(malformed)?;
    Ok(())
}

/// Completes a backing, and checks that its network exists.
fn resolve(
    tx: &Transaction<'_>,
    index: usize,
    site: Site,
    given: &Poly<VirtualDeviceBackingInfo>,
) -> Result<Poly<VirtualDeviceBackingInfo>, Fault> {
    let malformed = |_| fault::invalid_device(index, "the network card is incomplete");
    let missing = || fault::invalid_device(index, "the network does not exist");
    if let Some(port) = given
        .get::<VirtualEthernetCardDistributedVirtualPortBackingInfo>()
        .map_err(malformed)?
    {
        let group = distributed_switch::group_of(tx, &port.port).ok_or_else(missing)?;
        let datacenter = entity::datacenter(tx, group.reference())?;
        if tx.layout().site(&datacenter) != Some(site) {
            return Err(missing());
        }
        return Ok(Poly::new(port));
    }
    let named = given.get::<VirtualEthernetCardNetworkBackingInfo>();
    let Some(mut named) = named.map_err(malformed)? else {
        return Err(fault::invalid_device(
            index,
            "the host has no such network backing",
        ));
    };
    let found = network::named(tx, site, &named.device_name).or_else(|| {
        let here = |network: &Ref<_>| entity::site(tx, network).is_ok_and(|own| own == site);
        named.network.clone().filter(here)
    });
    let found = found.ok_or_else(missing)?;
    tx.object(&found)?.name().clone_into(&mut named.device_name);
    named.network = Some(found);
    Ok(Poly::new(named))
}
