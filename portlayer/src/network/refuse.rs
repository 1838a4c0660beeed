//! Validation of scopes and endpoints that is the same on every back end.

use std::net::IpAddr;

use ipnet::IpNet;

use super::bridge_range::is_usable;
use super::{AddressRange, EndpointSpec, PortMapping, ScopeKind, ScopeSpec};
use crate::exec::refuse_labels;

/// An invalid field and the reason why its value is invalid.
pub(crate) type Refusal = (&'static str, String);

/// The maximum number of items in each list of a scope or an endpoint.
const MANY: usize = 1024;
/// The maximum length of a DNS name, and of one of its labels, in bytes.
const DOMAIN_MAX: usize = 253;
const LABEL_MAX: usize = 63;
const SCOPE_NAME_MAX: usize = 64;
/// The valid packet sizes in bytes, starting with the minimum that every IPv4 link must support.
const MTU: std::ops::RangeInclusive<u32> = 68..=65_535;
/// The longest prefix of a subnet. Longer ones leave no address besides the network, gateway and
/// broadcast addresses.
const LONGEST_PREFIX_V4: u8 = 30;
const LONGEST_PREFIX_V6: u8 = 126;

pub(super) fn scope(spec: &ScopeSpec) -> Option<Refusal> {
    if !is_scope_name(&spec.name) {
        return Some((
            "name",
            format!(
                "{:?} is not 1 to 64 lower-case letters, digits, '_', '.' and '-' with a letter or \
                 a digit first",
                spec.name
            ),
        ));
    }
    if let ScopeKind::External { network } = &spec.kind
        && (network.is_empty() || network.chars().any(char::is_control))
    {
        let reason = format!("{network:?} is empty or contains a control character");
        return Some(("kind.network", reason));
    }
    scope_addresses(spec).or_else(|| scope_settings(spec))
}

fn scope_addresses(spec: &ScopeSpec) -> Option<Refusal> {
    if let Some(refused) = spec.subnet.and_then(subnet) {
        return Some(("subnet", refused));
    }
    let in_subnet = |address: IpAddr| match spec.subnet {
        None => Some("the scope has no subnet: specify one".to_owned()),
        Some(subnet) if !subnet.contains(&address) => {
            Some(format!("it is outside of the subnet {subnet}"))
        }
        Some(subnet) if is_end(subnet, address) => Some(format!(
            "it is the network's own or the broadcast address of {subnet}"
        )),
        Some(_) => None,
    };
    if let Some(gateway) = spec.gateway
        && let Some(reason) = unusable(gateway).or_else(|| in_subnet(gateway))
    {
        return Some(("gateway", format!("{gateway}: {reason}")));
    }
    if spec.pools.len() > MANY {
        return Some(("pools", format!("there are {}", spec.pools.len())));
    }
    for (position, pool) in spec.pools.iter().enumerate() {
        let AddressRange { first, last } = *pool;
        let refuse = |reason: String| Some(("pools", format!("{first} to {last}: {reason}")));
        if let Some(reason) = mapped(first).or_else(|| mapped(last)) {
            return refuse(reason);
        }
        if first.is_ipv4() != last.is_ipv4() || first > last {
            return refuse("the range is reversed, or mixes IPv4 and IPv6".to_owned());
        }
        match spec.subnet {
            None => return refuse("the scope has no subnet: specify one".to_owned()),
            Some(subnet) if !subnet.contains(&first) || !subnet.contains(&last) => {
                return refuse(format!("it is outside of the subnet {subnet}"));
            }
            Some(_) => {}
        }
        let overlaps = |other: &&AddressRange| other.first <= last && first <= other.last;
        if let Some(other) = spec.pools.iter().take(position).find(overlaps) {
            return refuse(format!("it overlaps {} to {}", other.first, other.last));
        }
    }
    if spec.dns.len() > MANY {
        return Some(("dns", format!("there are {}", spec.dns.len())));
    }
    spec.dns
        .iter()
        .find_map(|server| Some(("dns", format!("{server}: {}", unusable(*server)?))))
}

fn scope_settings(spec: &ScopeSpec) -> Option<Refusal> {
    if let Some(domain) = &spec.search_domain
        && !is_dns_name(domain)
    {
        return Some(("search_domain", format!("{domain:?} {DNS_NAME_RULE}")));
    }
    if let Some(mtu) = spec.mtu
        && !MTU.contains(&mtu)
    {
        return Some(("mtu", format!("{mtu} is not between 68 and 65535")));
    }
    let labels = spec.labels.iter();
    refuse_labels(labels.map(|(name, value)| (name.as_str(), value.as_str())))
        .map(|reason| ("labels", reason.to_owned()))
}

fn subnet(subnet: IpNet) -> Option<String> {
    let refuse = |reason: String| Some(format!("{subnet}: {reason}"));
    if let Some(reason) = mapped(subnet.addr()) {
        return refuse(reason);
    }
    if subnet != subnet.trunc() {
        return refuse(format!(
            "it has bits of the host part set, the network is {}",
            subnet.trunc()
        ));
    }
    let longest = match subnet {
        IpNet::V4(_) => LONGEST_PREFIX_V4,
        IpNet::V6(_) => LONGEST_PREFIX_V6,
    };
    if !(1..=longest).contains(&subnet.prefix_len()) {
        return refuse(format!("its prefix length is not 1 to {longest}"));
    }
    match subnet {
        IpNet::V4(net) if !is_usable(net) => {
            refuse("it contains loopback, multicast or reserved addresses".to_owned())
        }
        IpNet::V6(net)
            if net.addr().is_multicast() || net.contains(&std::net::Ipv6Addr::LOCALHOST) =>
        {
            refuse("it contains loopback or multicast addresses".to_owned())
        }
        _ => None,
    }
}

/// Returns the first invalid field of a single endpoint.
pub(crate) fn endpoint(spec: &EndpointSpec) -> Option<Refusal> {
    if let Some(address) = spec.address
        && let Some(reason) = unusable(address)
    {
        return Some(("endpoints.address", format!("{address}: {reason}")));
    }
    if let Some(mac) = spec.mac
        && !mac.is_unicast()
    {
        let reason = format!("{mac} is a multicast address, or all zeros");
        return Some(("endpoints.mac", reason));
    }
    for (field, len) in [
        ("endpoints.aliases", spec.aliases.len()),
        ("endpoints.links", spec.links.len()),
        ("endpoints.ports", spec.ports.len()),
    ] {
        if len > MANY {
            return Some((field, format!("there are {len}")));
        }
    }
    if let Some(alias) = spec.aliases.iter().find(|alias| !is_dns_name(alias)) {
        return Some(("endpoints.aliases", format!("{alias:?} {DNS_NAME_RULE}")));
    }
    for (other, alias) in &spec.links {
        if other.is_empty() || other.len() > DOMAIN_MAX || other.chars().any(char::is_control) {
            let reason = format!("{other:?} is empty, too long, or contains a control character");
            return Some(("endpoints.links", reason));
        }
        if !is_dns_name(alias) {
            return Some(("endpoints.links", format!("{alias:?} {DNS_NAME_RULE}")));
        }
    }
    spec.ports.iter().find_map(|port| {
        Some((
            "endpoints.ports",
            format!("{port}: {}", port_refusal(port)?),
        ))
    })
}

/// Returns the conflict if two of a container's endpoints publish the same port.
pub(crate) fn clashing_ports(endpoints: &[EndpointSpec]) -> Option<Refusal> {
    let ports: Vec<_> = endpoints.iter().flat_map(|e| &e.ports).collect();
    for (position, port) in ports.iter().enumerate() {
        let mut before = ports.iter().take(position);
        if let Some(other) = before.find(|other| other.conflicts_with(port)) {
            return Some(("endpoints.ports", format!("{port} conflicts with {other}")));
        }
    }
    None
}

fn port_refusal(port: &PortMapping) -> Option<String> {
    if port.container_port == 0 || port.host_port == Some(0) {
        return Some("a port must be between 1 and 65535".to_owned());
    }
    let address = port.host_address?;
    if address.is_multicast() || is_broadcast(address) {
        return Some("its host address is a multicast address".to_owned());
    }
    mapped(address)
}

/// Returns the reason why a container cannot have this address; `None` if it can.
fn unusable(address: IpAddr) -> Option<String> {
    if let Some(reason) = mapped(address) {
        return Some(reason);
    }
    let reason = if address.is_unspecified() {
        "it is the unspecified address"
    } else if address.is_multicast() {
        "it is a multicast address"
    } else if address.is_loopback() {
        "it is a loopback address"
    } else if is_broadcast(address) {
        "it is the broadcast address"
    } else {
        return None;
    };
    Some(reason.to_owned())
}

fn mapped(address: IpAddr) -> Option<String> {
    let IpAddr::V6(v6) = address else {
        return None;
    };
    let v4 = v6.to_ipv4_mapped()?;
    Some(format!("it is an IPv4 address written as IPv6: write {v4}"))
}

fn is_broadcast(address: IpAddr) -> bool {
    matches!(address, IpAddr::V4(address) if address.is_broadcast())
}

fn is_end(subnet: IpNet, address: IpAddr) -> bool {
    subnet.addr().is_ipv4() && (subnet.network() == address || subnet.broadcast() == address)
}

/// Returns whether this is a valid name of a scope. It must be in lower case, because keys in
/// machines' configuration files contain scope names and are case-insensitive.
fn is_scope_name(name: &str) -> bool {
    let is_first = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let mut bytes = name.bytes();
    name.len() <= SCOPE_NAME_MAX
        && bytes.next().is_some_and(is_first)
        && bytes.all(|b| is_first(b) || b"_.-".contains(&b))
}

const DNS_NAME_RULE: &str = "is not a host name: parts of 1 to 63 lower-case letters, digits, '-' \
                             and '_' that begin and end with a letter or a digit, with '.' between \
                             them";

/// Returns whether this is a host name in lower case. It may contain underscores: they are not
/// valid in host names, but common in the service names of compose files.
fn is_dns_name(name: &str) -> bool {
    let is_edge = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let is_label = |label: &str| {
        label.len() <= LABEL_MAX
            && is_edge(label.bytes().next())
            && is_edge(label.bytes().next_back())
            && label
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b))
    };
    name.len() <= DOMAIN_MAX && name.split('.').all(is_label)
}

#[cfg(test)]
mod tests;
