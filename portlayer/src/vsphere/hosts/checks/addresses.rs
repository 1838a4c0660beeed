//! Checks that the static addresses of the appliance are consistent.

use std::net::IpAddr;

use ipnet::IpNet;

use super::Survey;
use crate::Error;
use crate::vsphere::hosts::finding::Finding;
use crate::vsphere::hosts::{HostSpec, NetworkRole, StaticAddress};
use crate::vsphere::kind;

pub(super) fn check(_survey: &Survey, spec: &HostSpec) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut refuse = |role: NetworkRole, reason: String, remedy: &str| {
        let error = Error::invalid_argument(kind::host(&spec.name), role.field(), reason);
        findings.push(Finding::refusal(error, remedy));
    };
    let given: Vec<_> = NetworkRole::ALL
        .into_iter()
        .filter_map(|role| Some((role, spec.address_of(role)?)))
        .collect();
    for (position, (role, address)) in given.iter().enumerate() {
        for (reason, remedy) in problems(*role, address) {
            refuse(*role, reason, remedy);
        }
        if IpNet::from(spec.bridge_range.range()).contains(&address.address.addr()) {
            let reason = format!(
                "{} is in {}, the range of container networks",
                address.address.addr(),
                spec.bridge_range.range()
            );
            refuse(*role, reason, "choose another range or another address");
        }
        for (other, earlier) in given.iter().take(position) {
            let shares = spec.network_of(*role) == spec.network_of(*other);
            if shares && address.address != earlier.address {
                let reason = format!(
                    "it is {}, but the {other} role, which shares its network card, has {}",
                    address.address, earlier.address
                );
                refuse(
                    *role,
                    reason,
                    "give both roles one address, or networks of their own",
                );
            } else if !shares && overlap(&address.address, &earlier.address) {
                let reason = format!(
                    "{} overlaps with {} of the {other} role, which is on another network",
                    address.address, earlier.address
                );
                refuse(
                    *role,
                    reason,
                    "use distinct subnets, or one network for both roles",
                );
            }
        }
    }
    // A role without an address of its own has that of the role with which it shares a network.
    let all_static = NetworkRole::ALL.into_iter().all(|role| {
        let network = spec.network_of(role);
        given
            .iter()
            .any(|(other, _)| spec.network_of(*other) == network)
    });
    if all_static && spec.name_servers.is_empty() {
        findings.push(Finding::warning(
            kind::host(&spec.name),
            "all addresses are static and no name server is named: the appliance resolves no names",
            "name one with `name_servers`",
        ));
    }
    for server in &spec.name_servers {
        if server.is_unspecified() || server.is_multicast() {
            let reason = format!("{server} is not the address of a server");
            let error = Error::invalid_argument(kind::host(&spec.name), "name_servers", reason);
            findings.push(Finding::refusal(error, "name the address of a name server"));
        }
    }
    findings
}

/// Returns what is wrong with one address, and the remedies.
fn problems(role: NetworkRole, address: &StaticAddress) -> Vec<(String, &'static str)> {
    let mut problems = Vec::new();
    let (net, own) = (address.address, address.address.addr());
    if !is_usable(&net, own) {
        let reason = format!("{net} is not the address of a machine");
        problems.push((reason, "choose an address of a machine in the network"));
    }
    match address.gateway {
        None if role == NetworkRole::Public => {
            let reason = "the public network has a static address, but no gateway".to_owned();
            problems.push((reason, "give the gateway of the network"));
        }
        None if !address.destinations.is_empty() => {
            let reason = "it has destinations, but no gateway to reach them".to_owned();
            problems.push((reason, "give the gateway of the network"));
        }
        None => {}
        Some(gateway) if gateway == own => {
            let reason = format!("{own} is also the gateway");
            problems.push((reason, "choose another address"));
        }
        Some(gateway) if !net.contains(&gateway) || !is_usable(&net, gateway) => {
            let reason = format!("gateway {gateway} is not in {}", net.trunc());
            problems.push((reason, "give a gateway in the network of the address"));
        }
        Some(gateway) if role != NetworkRole::Public && address.destinations.is_empty() => {
            let reason = format!(
                "nothing is reached through gateway {gateway}: the default route is that of the \
                 public network"
            );
            problems.push((reason, "name the networks behind the gateway, or omit it"));
        }
        Some(gateway) if role == NetworkRole::Public && !address.destinations.is_empty() => {
            let reason = format!("gateway {gateway} is the default route, and has destinations");
            problems.push((reason, "omit the destinations"));
        }
        Some(_) => {}
    }
    problems
}

fn is_usable(net: &IpNet, address: IpAddr) -> bool {
    let is_end = match net {
        IpNet::V4(net) => {
            net.prefix_len() < 31 && (address == net.network() || address == net.broadcast())
        }
        IpNet::V6(_) => false,
    };
    !is_end && !address.is_unspecified() && !address.is_multicast() && !address.is_loopback()
}

fn overlap(one: &IpNet, other: &IpNet) -> bool {
    one.contains(&other.network()) || other.contains(&one.network())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

    use super::super::scene;
    use super::*;

    fn address(address: &str, gateway: &str) -> StaticAddress {
        let new = StaticAddress::new(address.parse().unwrap());
        match gateway {
            "" => new,
            gateway => new.gateway(gateway.parse().unwrap()),
        }
    }

    fn found(change: impl Fn(&mut HostSpec)) -> Vec<String> {
        let mut spec = scene::spec();
        change(&mut spec);
        let found = scene::worse(&check(&scene::survey(), &spec));
        found.into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn consistent_ones_are_accepted() {
        assert_eq!(found(|_| {}), [""; 0]);
        let found = found(|spec| {
            spec.name_servers = vec!["10.0.0.2".parse().unwrap()];
            spec.public_address = Some(address("10.0.0.7/24", "10.0.0.1"));
            // It shares the card of the public role.
            spec.client_address = Some(address("10.0.0.7/24", ""));
            spec.management_network = Some("inner".into());
            let inner = address("10.1.0.7/24", "10.1.0.1");
            let inner = inner.destination("10.2.0.0/16".parse().unwrap());
            spec.management_address = Some(inner);
        });
        assert_eq!(found, [""; 0]);
    }

    #[test]
    fn a_bad_address_or_gateway_is_named() {
        for (text, gateway, expected) in [
            (
                "10.0.0.0/24",
                "10.0.0.1",
                "10.0.0.0/24 is not the address of a machine",
            ),
            (
                "10.0.0.255/24",
                "10.0.0.1",
                "is not the address of a machine",
            ),
            (
                "224.0.0.7/3",
                "240.0.0.1",
                "is not the address of a machine",
            ),
            ("10.0.0.7/24", "", "no gateway"),
            ("10.0.0.7/24", "10.0.0.7", "is also the gateway"),
            (
                "10.0.0.7/24",
                "10.0.1.1",
                "gateway 10.0.1.1 is not in 10.0.0.0/24",
            ),
            (
                "172.16.0.7/24",
                "172.16.0.1",
                "the range of container networks",
            ),
        ] {
            let found = found(|spec| {
                spec.name_servers = vec!["10.0.0.2".parse().unwrap()];
                spec.public_address = Some(address(text, gateway));
            });
            let [only] = &found[..] else {
                panic!("{text} via {gateway}: {found:?}");
            };
            assert!(only.contains(expected), "{only}");
        }
    }

    #[test]
    fn a_gateway_beside_the_public_one_needs_destinations() {
        let found = found(|spec| {
            spec.client_network = Some("clients".into());
            spec.client_address = Some(address("10.1.0.7/24", "10.1.0.1"));
        });
        assert!(
            found[0].contains("name the networks behind the gateway"),
            "{found:?}"
        );
    }

    #[test]
    fn roles_on_one_card_have_one_address_and_others_distinct_subnets() {
        let pair = |network: Option<&str>, second: &str| {
            found(|spec| {
                spec.public_address = Some(address("10.0.0.7/24", "10.0.0.1"));
                spec.client_network = network.map(Into::into);
                spec.client_address = Some(address(second, ""));
                spec.name_servers = vec!["10.0.0.2".parse().unwrap()];
            })
        };
        assert!(pair(None, "10.0.0.8/24")[0].contains("which shares its network card"));
        assert!(pair(Some("clients"), "10.0.0.8/24")[0].contains("overlaps with"));
        assert_eq!(pair(Some("clients"), "10.3.0.8/24"), [""; 0]);
    }

    #[test]
    fn static_addresses_without_name_servers_are_warned_of() {
        let found = found(|spec| spec.public_address = Some(address("10.0.0.7/24", "10.0.0.1")));
        assert!(
            found[0].contains("the appliance resolves no names"),
            "{found:?}"
        );
    }
}
