//! The network cards of an appliance, and the keys by which its guest configures them.

use std::collections::BTreeMap;

use guestinfo::Dialect;
use guestinfo::vic::{ContainerNetwork, NetworkEndpoint};
use ipnet::IpNet;
use vim25::Poly;
use vim25::types::VirtualDeviceBackingInfo;

use super::hosts::{ApplianceNetworks, NetworkRole};
use super::networks::{Card, slots};

/// The name of the bridge network among those of the appliance.
const BRIDGE: &str = "bridge";

/// Returns the cards of an appliance with these networks, from the `first` one on.
pub(super) fn cards(
    networks: impl IntoIterator<Item = Poly<VirtualDeviceBackingInfo>>,
    first: usize,
    dialect: Dialect,
) -> impl Iterator<Item = Card> {
    let slots = slots(dialect).skip(first);
    networks.into_iter().zip(slots).map(|(backing, slot)| Card {
        backing,
        mac: None,
        slot,
    })
}

/// The positions of an appliance's cards.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Positions {
    pub(super) bridge: usize,
    pub(super) roles: Vec<(NetworkRole, usize)>,
}

/// Returns the keys of the appliance's network cards, by role.
pub(super) fn endpoints(
    bridge_network: &str,
    networks: &ApplianceNetworks,
    positions: &Positions,
    dialect: Dialect,
) -> BTreeMap<String, NetworkEndpoint> {
    let slot = |position: usize| slots(dialect).nth(position).unwrap_or_default().to_string();
    let entry = |position: usize, name: &str, id: &str| {
        let mut entry = NetworkEndpoint::default();
        entry.common.id = slot(position);
        entry.network.common.id = id.to_owned();
        entry.network.common.name = name.to_owned();
        entry
    };
    let mut all = BTreeMap::from([(
        BRIDGE.to_owned(),
        entry(positions.bridge, BRIDGE, bridge_network),
    )]);
    for (role, position) in &positions.roles {
        let Some(role_network) = networks.roles.iter().find(|known| known.role == *role) else {
            continue;
        };
        let name = match (role, dialect) {
            (NetworkRole::Public, Dialect::Vic04) => "external",
            (NetworkRole::Public, Dialect::Vic1) => "public",
            (NetworkRole::Client, _) => "client",
            (NetworkRole::Management, _) => "management",
        };
        let mut entry = entry(*position, name, &role_network.network);
        if let Some(address) = &role_network.address {
            let prefix = address.address.prefix_len();
            let gateway = address.gateway;
            entry.is_static = true;
            entry.address = Some(address.address.into());
            entry.network = ContainerNetwork {
                gateway: gateway.and_then(|gateway| IpNet::new(gateway, prefix).ok()),
                destinations: address.destinations.clone(),
                ..entry.network
            };
        }
        entry.network.is_default = *role == NetworkRole::Public;
        entry.network.nameservers.clone_from(&networks.name_servers);
        all.insert(name.to_owned(), entry);
    }
    all
}
