//! Configures the network of a machine from its keys.

use std::collections::BTreeMap;
use std::net::IpAddr;

use guestinfo::vic::{ExecutorConfig, NetworkEndpoint};
use ipnet::IpNet;
use tether_sys::{LinkSetup, configure_link, configure_loopback};

use super::causes;

/// Configures all cards. Returns the addresses by the name of the network. A failure is added to
/// the notes, and does not stop the container.
pub(super) fn configure(
    config: &ExecutorConfig,
    notes: &mut Vec<String>,
) -> BTreeMap<String, IpNet> {
    let mut addresses = BTreeMap::new();
    if let Err(error) = configure_loopback() {
        notes.push(causes(&error));
    }
    for (name, endpoint) in &config.networks {
        let done = link(endpoint).and_then(|(mut link, address)| {
            link.mtu = mtu(config, &endpoint.common.id);
            configure_link(&link).map_err(|error| causes(&error))?;
            address.ok_or_else(|| "it has no fixed address, and DHCP is not supported".to_owned())
        });
        match done {
            Ok(address) => drop(addresses.insert(name.clone(), address)),
            Err(reason) => notes.push(format!("the network {name} is not connected: {reason}")),
        }
    }
    addresses
}

/// Returns the MTU of a card: the smallest of the networks that share it.
fn mtu(config: &ExecutorConfig, card: &str) -> Option<u32> {
    let networks = config.networks.values();
    let sharing = networks.filter(|endpoint| endpoint.common.id == card);
    sharing.filter_map(|endpoint| endpoint.network.mtu).min()
}

/// Returns the card of an endpoint with its addresses and routes, and the fixed address.
fn link(endpoint: &NetworkEndpoint) -> Result<(LinkSetup, Option<IpNet>), String> {
    let slot = endpoint.common.id.parse();
    let slot = slot.map_err(|_| format!("{:?} is not a PCI slot", endpoint.common.id))?;
    let mut link = LinkSetup::new(slot);
    let network = &endpoint.network;
    let address = endpoint.address.and_then(|address| address.net());
    let Some(own) = address else {
        return Ok((link, None));
    };
    link.addresses.push((own.addr(), own.prefix_len()));
    if let Some(gateway) = &network.gateway {
        let gateway = gateway.addr();
        let same_family = |other: IpAddr| other.is_ipv4() == gateway.is_ipv4();
        let destinations = network.destinations.iter();
        let mut routes: Vec<_> = destinations
            .map(|net| (net.network(), net.prefix_len()))
            .collect();
        if network.is_default {
            let everything = match gateway {
                IpAddr::V4(_) => IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED),
                IpAddr::V6(_) => IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED),
            };
            routes.push((everything, 0));
        }
        routes.retain(|(network, _)| same_family(*network));
        link.routes = routes.into_iter().map(|route| (route, gateway)).collect();
    }
    Ok((link, Some(own)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_that_share_a_card_have_the_smallest_of_their_mtus() {
        let endpoint = |card: &str, mtu| {
            let mut endpoint = NetworkEndpoint::default();
            endpoint.common.id = card.to_owned();
            endpoint.network.mtu = mtu;
            endpoint
        };
        let config = ExecutorConfig {
            networks: [
                ("a".to_owned(), endpoint("192", Some(1400))),
                ("b".to_owned(), endpoint("192", Some(9000))),
                ("c".to_owned(), endpoint("192", None)),
                ("d".to_owned(), endpoint("224", None)),
            ]
            .into(),
            ..ExecutorConfig::default()
        };
        assert_eq!(mtu(&config, "192"), Some(1400));
        assert_eq!(mtu(&config, "224"), None);
    }

    #[test]
    fn a_default_network_has_the_default_route() {
        let mut endpoint = NetworkEndpoint::default();
        endpoint.common.id = "160".to_owned();
        let net: IpNet = "172.16.0.2/16".parse().expect("an address");
        endpoint.address = Some(net.into());
        endpoint.network.gateway = Some("172.16.0.1/16".parse().expect("a gateway"));
        endpoint.network.destinations = vec!["10.0.0.0/8".parse().expect("a network")];
        let (setup, address) = link(&endpoint).expect("a card");
        assert_eq!((setup.slot, address), (160, Some(net)));
        assert_eq!(setup.routes.len(), 1);
        endpoint.network.is_default = true;
        let (setup, _) = link(&endpoint).expect("a card");
        let gateway: IpAddr = "172.16.0.1".parse().expect("an address");
        let everything: IpAddr = "0.0.0.0".parse().expect("an address");
        assert!(setup.routes.contains(&((everything, 0), gateway)));
        endpoint.common.id = "eth0".to_owned();
        assert!(link(&endpoint).is_err_and(|reason| reason.contains("eth0")));
    }
}
