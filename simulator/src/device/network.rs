//! Network cards: addresses and backings.

use vim25::types::{
    VirtualDevice, VirtualDeviceConnectInfo, VirtualEthernetCard,
    VirtualEthernetCardNetworkBackingInfo,
};
use vim25::{Fault, Poly};

use crate::fault;
use crate::model::network;
use crate::world::Transaction;

/// Checks and completes a network card.
pub(super) fn prepare(
    tx: &mut Transaction<'_>,
    index: usize,
    device: &mut Poly<VirtualDevice>,
) -> Result<(), Fault> {
    let malformed = |_| fault::invalid_device(index, "the network card is incomplete");
    let random = tx.ids().bytes();
    let mut backing = None;
    let card = device.base::<VirtualEthernetCard>().map_err(malformed)?;
    let given = card.as_ref().and_then(|card| card.backing.as_ref());
    if let Some(given) = given {
        let Some(mut named) = given
            .get::<VirtualEthernetCardNetworkBackingInfo>()
            .map_err(malformed)?
        else {
            return Err(fault::invalid_device(
                index,
                "the host has no such network backing",
            ));
        };
        let found = network::named(tx, &named.device_name)
            .or_else(|| named.network.clone().filter(|n| tx.object(n).is_ok()));
        let Some(found) = found else {
            return Err(fault::invalid_device(index, "the network does not exist"));
        };
        tx.object(&found)?.name().clone_into(&mut named.device_name);
        named.network = Some(found);
        backing = Some(Poly::new(named));
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
