//! Configures the network of a machine from its keys.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use guestinfo::vic::{ExecutorConfig, NetworkEndpoint};
use ipnet::IpNet;
use tether_sys::{LinkSetup, configure_link, configure_loopback};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::causes;
use super::dhcp::{Client, Mac, Socket};
use super::leased_card::Card;
use crate::platform::NetworkChange;

/// How long the start of the container waits for DHCP.
const PATIENCE: Duration = Duration::from_secs(20);

/// The configured network cards. Leases are extended until this is dropped.
#[derive(Debug)]
pub(super) struct Networks {
    changes: Mutex<mpsc::Receiver<NetworkChange>>,
    _leased: JoinSet<()>,
}

/// The network cards after their configuration, by the name of the network.
#[derive(Debug)]
pub(super) struct Configured {
    pub(super) networks: Networks,
    pub(super) addresses: BTreeMap<String, IpNet>,
    /// What DHCP assigned.
    pub(super) leased: BTreeMap<String, NetworkChange>,
}

/// Configures all cards. A failure is added to the notes, and does not stop the container.
pub(super) async fn configure(
    config: &ExecutorConfig,
    host_name: &str,
    notes: &mut Vec<String>,
) -> Configured {
    let mut addresses = BTreeMap::new();
    if let Err(error) = configure_loopback() {
        notes.push(causes(&error));
    }
    let (changes, changed) = mpsc::channel(config.networks.len().max(1));
    let (mut cards, mut firsts) = (JoinSet::new(), Vec::new());
    for (name, endpoint) in &config.networks {
        let address = endpoint.address.and_then(|address| address.net());
        let done = fixed_link(config, endpoint).and_then(|link| {
            let device = configure_link(&link).map_err(|error| causes(&error))?;
            if address.is_none() {
                let card = Card::new(name.clone(), endpoint.clone(), link.mtu);
                let client = client(&device, host_name)?;
                let (first, obtained) = oneshot::channel();
                cards.spawn(card.run(client, first, changes.clone()));
                firsts.push((name.clone(), obtained));
            }
            Ok(())
        });
        match (done, address) {
            (Ok(()), Some(address)) => drop(addresses.insert(name.clone(), address)),
            (Ok(()), None) => {}
            (Err(reason), _) => notes.push(not_connected(name, &reason)),
        }
    }
    let mut leased = BTreeMap::new();
    let deadline = Instant::now() + PATIENCE;
    for (name, obtained) in firsts {
        let obtained = timeout_at(deadline, obtained).await;
        let done = match obtained {
            Ok(Ok(done)) => done,
            _ => Err(format!(
                "no DHCP server has leased an address within {} s; the agent keeps asking",
                PATIENCE.as_secs()
            )),
        };
        match done {
            Ok(lease) => {
                addresses.insert(name.clone(), lease.net());
                leased.insert(name.clone(), lease.change(name));
            }
            Err(reason) => notes.push(not_connected(&name, &reason)),
        }
    }
    let networks = Networks {
        changes: Mutex::new(changed),
        _leased: cards,
    };
    Configured {
        networks,
        addresses,
        leased,
    }
}

impl Networks {
    /// Waits until the address of a card changes. Never returns without DHCP. Cancel-safe.
    pub(super) async fn changed(&self) -> NetworkChange {
        match self.changes.lock().await.recv().await {
            Some(change) => change,
            None => std::future::pending().await,
        }
    }
}

fn not_connected(network: &str, reason: &str) -> String {
    format!("the network {network} is not connected: {reason}")
}

/// Records in the keys of a network what DHCP assigned.
pub(super) fn apply(endpoint: &mut NetworkEndpoint, change: &NetworkChange) {
    endpoint.assigned = change.address.map(Into::into);
    endpoint.network.assigned.clone_from(&change.leased);
    if endpoint.network.search_domain.is_none() {
        endpoint.network.search_domain.clone_from(&change.domain);
    }
}

/// Returns the MTU of a card: the smallest of the networks that share it.
fn mtu(config: &ExecutorConfig, card: &str) -> Option<u32> {
    let networks = config.networks.values();
    let sharing = networks.filter(|endpoint| endpoint.common.id == card);
    sharing.filter_map(|endpoint| endpoint.network.mtu).min()
}

/// Returns the configuration of an endpoint's card with the endpoint's fixed address, if it has one,
/// and the smallest MTU of the endpoints that share the card.
///
/// # Errors
/// Fails if the endpoint does not name a PCI slot.
pub fn fixed_link(
    config: &ExecutorConfig,
    endpoint: &NetworkEndpoint,
) -> Result<LinkSetup, String> {
    let address = endpoint.address.and_then(|address| address.net());
    let gateway = endpoint.network.gateway.map(|gateway| gateway.addr());
    let mut link = link(endpoint, address, gateway)?;
    link.mtu = mtu(config, &endpoint.common.id);
    Ok(link)
}

/// Returns the configuration of an endpoint's card with this address, and with routes by this
/// gateway.
pub(super) fn link(
    endpoint: &NetworkEndpoint,
    address: Option<IpNet>,
    gateway: Option<IpAddr>,
) -> Result<LinkSetup, String> {
    let slot = endpoint.common.id.parse();
    let slot = slot.map_err(|_| format!("{:?} is not a PCI slot", endpoint.common.id))?;
    let mut link = LinkSetup::new(slot);
    let network = &endpoint.network;
    let Some(own) = address else {
        return Ok(link);
    };
    link.addresses.push((own.addr(), own.prefix_len()));
    if let Some(gateway) = gateway {
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
    Ok(link)
}

/// Creates the DHCP client of a device.
fn client(device: &str, host_name: &str) -> Result<Client<Socket>, String> {
    let failed = |error: std::io::Error| format!("DHCP on the device {device}: {error}");
    let path = format!("/sys/class/net/{device}/address");
    let text = std::fs::read_to_string(path).map_err(failed)?;
    let mac = parse_mac(text.trim())
        .ok_or_else(|| format!("DHCP on the device {device}: it is not an Ethernet card"))?;
    let socket = Socket::open(device).map_err(failed)?;
    Ok(Client::new(socket, mac, host_name.to_owned()))
}

fn parse_mac(text: &str) -> Option<Mac> {
    let octets = text.split(':').map(|octet| u8::from_str_radix(octet, 16));
    octets.collect::<Result<Vec<_>, _>>().ok()?.try_into().ok()
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
        endpoint.network.destinations = vec!["10.0.0.0/8".parse().expect("a network")];
        let gateway: IpAddr = "172.16.0.1".parse().expect("an address");
        let setup = |endpoint: &NetworkEndpoint| link(endpoint, Some(net), Some(gateway));
        let fixed = setup(&endpoint).expect("a card");
        assert_eq!((fixed.slot, fixed.addresses.len()), (160, 1));
        assert_eq!(fixed.routes.len(), 1);
        endpoint.network.is_default = true;
        let fixed = setup(&endpoint).expect("a card");
        let everything: IpAddr = "0.0.0.0".parse().expect("an address");
        assert!(fixed.routes.contains(&((everything, 0), gateway)));
        endpoint.common.id = "eth0".to_owned();
        assert!(setup(&endpoint).is_err_and(|reason| reason.contains("eth0")));
    }

    #[test]
    fn only_the_address_of_an_ethernet_card_is_one() {
        let mac = [0x52, 0x54, 0, 0x12, 0x34, 0x56];
        assert_eq!(parse_mac("52:54:00:12:34:56"), Some(mac));
        assert_eq!(parse_mac("80:00:02:08:fe:80:00:00"), None);
        assert_eq!(parse_mac(""), None);
    }
}
