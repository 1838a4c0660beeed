//! The network cards of a running container.

use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Weak};

use simulator::{GuestMachine, GuestNic};
use tether::fixed_link;
use tether::guestinfo::vic::{ExecutorConfig, NetworkEndpoint};
use tether::sys::CardSetup;
use tokio::task::AbortHandle;

use crate::switch::{Card, Switch};

/// A card of the machine, and its configuration in the container.
#[derive(Debug)]
pub(crate) struct PlannedCard {
    /// The key of the device.
    key: i32,
    pub(crate) setup: CardSetup,
}

/// Returns the card of an endpoint, which identifies it by the PCI slot.
pub(crate) fn nic_of<'a>(nics: &'a [GuestNic], endpoint: &NetworkEndpoint) -> Option<&'a GuestNic> {
    let slot = endpoint.common.id.parse().ok();
    let mut found = nics.iter();
    let found = found.find(|nic| slot.is_some() && nic.pci_slot == slot);
    found.or_else(|| nics.first())
}

/// Returns the cards that a container's endpoints use, and a note for each endpoint whose settings
/// are not applied completely.
pub(crate) fn plan(
    nics: &[GuestNic],
    config: &ExecutorConfig,
    notes: &mut Vec<String>,
) -> Vec<PlannedCard> {
    let mut planned: Vec<PlannedCard> = Vec::new();
    for (name, endpoint) in &config.networks {
        let card = nic_of(nics, endpoint).and_then(|nic| Some((nic, parse_mac(&nic.mac)?)));
        let Some((nic, mac)) = card else {
            notes.push(format!(
                "the network {name} is not connected: the machine has no card for it"
            ));
            continue;
        };
        let link = match fixed_link(config, endpoint) {
            Ok(link) => link,
            Err(reason) => {
                notes.push(format!("the network {name} is not connected: {reason}"));
                continue;
            }
        };
        if link.addresses.is_empty() {
            notes.push(format!(
                "the network {name} has no address: there is no DHCP for containers on the simulator"
            ));
        }
        let at = planned.iter().position(|card| card.key == nic.key);
        let at = at.unwrap_or_else(|| {
            let (key, setup) = (nic.key, CardSetup::new(mac));
            planned.push(PlannedCard { key, setup });
            planned.len() - 1
        });
        let setup = &mut planned[at].setup;
        setup.mtu = link.mtu;
        setup.addresses.extend(link.addresses);
        setup.routes.extend(link.routes);
    }
    planned
}

fn parse_mac(text: &str) -> Option<[u8; 6]> {
    let octets = text.split(':').map(|octet| u8::from_str_radix(octet, 16));
    octets.collect::<Result<Vec<_>, _>>().ok()?.try_into().ok()
}

/// Returns the fixed addresses of a container with their prefix lengths.
pub(crate) fn addresses(config: &ExecutorConfig) -> impl Iterator<Item = (IpAddr, u8)> {
    let endpoints = config.networks.values();
    endpoints.filter_map(|endpoint| {
        let address = endpoint.address?.net()?;
        Some((address.addr(), address.prefix_len()))
    })
}

/// The connected cards of a container, by the keys of the machine's devices. A card follows
/// reconfigurations of the machine until this is dropped.
#[derive(Debug)]
pub(crate) struct Cards {
    follower: AbortHandle,
    _cards: Arc<Vec<(i32, Card)>>,
}

impl Cards {
    /// Connects the cards of a container; `files` has the index in the plan of each. Spawns tasks on
    /// the current runtime. Adds a note for each card that cannot be connected.
    pub(crate) fn connect(
        machine: &GuestMachine,
        switch: &Arc<Switch>,
        plan: &[PlannedCard],
        files: Vec<(u32, OwnedFd)>,
        notes: &mut Vec<String>,
    ) -> Self {
        let mut cards = Vec::new();
        for (index, file) in files {
            let index = usize::try_from(index).unwrap_or(usize::MAX);
            let Some(planned) = plan.get(index) else {
                continue;
            };
            match Card::new(switch, file, planned.setup.mac, planned.setup.mtu) {
                Ok(card) => cards.push((planned.key, card)),
                Err(error) => notes.push(format!("a network card is not connected: {error}")),
            }
        }
        let cards = Arc::new(cards);
        let nics = machine.nics();
        plug(&cards, &nics);
        let following = follow(machine.clone(), Arc::downgrade(&cards), nics);
        Self {
            follower: tokio::spawn(following).abort_handle(),
            _cards: cards,
        }
    }
}

impl Drop for Cards {
    fn drop(&mut self) {
        self.follower.abort();
    }
}

/// Connects each card to the network of its device.
fn plug(cards: &[(i32, Card)], nics: &[GuestNic]) {
    for (key, card) in cards {
        let nic = nics.iter().find(|nic| nic.key == *key && nic.connected);
        card.plug_into(nic.map(|nic| nic.segment.as_str()));
    }
}

async fn follow(machine: GuestMachine, cards: Weak<Vec<(i32, Card)>>, mut nics: Vec<GuestNic>) {
    loop {
        nics = machine.nics_changed(&nics).await;
        match cards.upgrade() {
            Some(cards) => plug(&cards, &nics),
            None => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nic(key: i32, slot: u32, mac: &str) -> GuestNic {
        let mut nic = GuestNic::default();
        nic.key = key;
        nic.pci_slot = Some(slot);
        nic.mac = mac.to_owned();
        nic
    }

    fn endpoint(slot: &str, address: Option<&str>) -> NetworkEndpoint {
        let mut endpoint = NetworkEndpoint::default();
        endpoint.common.id = slot.to_owned();
        let address = address.map(|text| text.parse::<ipnet::IpNet>().expect("an address"));
        endpoint.address = address.map(Into::into);
        endpoint
    }

    #[test]
    fn networks_on_one_card_share_it_and_a_network_without_an_address_is_noted() {
        let nics = [
            nic(4000, 192, "00:50:56:00:00:01"),
            nic(4001, 224, "00:50:56:00:00:02"),
        ];
        let mut config = ExecutorConfig::default();
        for (name, slot, address) in [
            ("back", "192", Some("172.16.1.2/20")),
            ("front", "192", Some("172.16.17.2/20")),
            ("lan", "224", None),
            ("odd", "eth0", Some("10.0.0.2/24")),
        ] {
            let endpoint = endpoint(slot, address);
            config.networks.insert(name.to_owned(), endpoint);
        }
        let mut notes = Vec::new();
        let planned = plan(&nics, &config, &mut notes);
        let keys: Vec<_> = planned.iter().map(|card| card.key).collect();
        assert_eq!(keys, [4000, 4001]);
        assert_eq!(planned[0].setup.mac, [0, 0x50, 0x56, 0, 0, 1]);
        let first: Vec<_> = planned[0].setup.addresses.clone();
        assert_eq!(
            first,
            [([172, 16, 1, 2].into(), 20), ([172, 16, 17, 2].into(), 20)]
        );
        assert!(planned[1].setup.addresses.is_empty());
        assert_eq!(notes.len(), 2, "{notes:?}");
        assert!(notes[0].contains("lan") && notes[0].contains("DHCP"));
        assert!(notes[1].contains("odd") && notes[1].contains("eth0"));
        let mut notes = Vec::new();
        assert!(plan(&[], &config, &mut notes).is_empty());
        assert_eq!(notes.len(), 4);
    }
}
