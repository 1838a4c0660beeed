//! Writes a container's connections to the keys that its guest reads, in VIC's format.

use std::collections::BTreeMap;

use guestinfo::vic::{ContainerNetwork, IpRange, NetworkEndpoint, TrustLevel as VicTrust};
use ipnet::IpNet;

use crate::network::table::Segment;
use crate::network::{EndpointInfo, EndpointSpec, PortMapping, ScopeKind, ScopeSpec, TrustLevel};

/// Returns the keys of a container's connections. `scopes` are the scopes that the container is
/// connected to; `slots` are the PCI slots of the cards, by network.
pub(in crate::vsphere) fn guest_networks(
    name: &str,
    endpoints: &[EndpointInfo],
    scopes: &BTreeMap<String, (ScopeSpec, Segment)>,
    slots: &BTreeMap<Segment, i32>,
) -> BTreeMap<String, NetworkEndpoint> {
    let way_out = default_route(endpoints, scopes);
    let mut networks = BTreeMap::new();
    for endpoint in endpoints {
        let Some((scope, segment)) = scopes.get(&endpoint.spec.scope) else {
            continue;
        };
        let is_default = way_out == Some(scope.name.as_str());
        let mut entry = entry(name, endpoint, scope, is_default);
        if let Some(slot) = slots.get(segment) {
            entry.common.id = slot.to_string();
        }
        networks.insert(filed_as(&scope.name), entry);
    }
    networks
}

/// Returns the name under which a scope's keys are stored. The format maps a dot and a slash to the
/// same separator, so the keys of a scope `a.network` would collide with those of the network of a
/// scope `a`. The scope's own name is stored unchanged in its network's keys.
pub(in crate::vsphere) fn filed_as(scope: &str) -> String {
    scope.replace('.', "~")
}

/// Returns the scope of the default route: the first external scope, otherwise the first one that
/// is not internal.
pub(in crate::vsphere) fn default_route<'a>(
    endpoints: &[EndpointInfo],
    scopes: &'a BTreeMap<String, (ScopeSpec, Segment)>,
) -> Option<&'a str> {
    let scopes = || {
        let scopes = endpoints.iter().filter_map(|e| scopes.get(&e.spec.scope));
        scopes
            .map(|(scope, _)| scope)
            .filter(|scope| !scope.internal)
    };
    let external = scopes().find(|scope| scope.kind != ScopeKind::Bridge);
    external
        .or_else(|| scopes().next())
        .map(|scope| scope.name.as_str())
}

fn entry(
    name: &str,
    endpoint: &EndpointInfo,
    scope: &ScopeSpec,
    is_default: bool,
) -> NetworkEndpoint {
    let spec = &endpoint.spec;
    let prefix = endpoint.address.map(|net| net.prefix_len());
    let gateway = endpoint.gateway.zip(prefix);
    let mut network = ContainerNetwork {
        gateway: gateway.and_then(|(gateway, prefix)| IpNet::new(gateway, prefix).ok()),
        is_default,
        nameservers: scope.dns.clone(),
        search_domain: scope.search_domain.clone(),
        mtu: scope.mtu,
        pools: pools(scope),
        aliases: aliases(name, spec),
        kind: match scope.kind {
            ScopeKind::Bridge => "bridge".to_owned(),
            ScopeKind::External { .. } => "external".to_owned(),
        },
        trust_level: match scope.trust {
            TrustLevel::Published => VicTrust::Published,
            TrustLevel::Outbound => VicTrust::Outbound,
            TrustLevel::Peers => VicTrust::Peers,
            TrustLevel::Open => VicTrust::Open,
            TrustLevel::Closed => VicTrust::Closed,
        },
        ..ContainerNetwork::default()
    };
    network.common.name.clone_from(&scope.name);
    NetworkEndpoint {
        is_static: spec.address.is_some(),
        address: endpoint.address.map(Into::into),
        network,
        ports: spec
            .ports
            .iter()
            .map(|port| port_text(port, scope))
            .collect(),
        internal: scope.internal,
        ..NetworkEndpoint::default()
    }
}

/// Returns the address ranges of a scope's peers, from which the scope assigns addresses.
fn pools(scope: &ScopeSpec) -> Vec<IpRange> {
    if scope.pools.is_empty() && scope.kind == ScopeKind::Bridge {
        let whole = scope.subnet.map(|subnet| IpRange {
            first: Some(subnet.network()),
            last: Some(subnet.broadcast()),
        });
        return whole.into_iter().collect();
    }
    let pools = scope.pools.iter();
    pools
        .map(|pool| IpRange {
            first: Some(pool.first),
            last: Some(pool.last),
        })
        .collect()
}

/// Returns `who:what` for the container's own aliases, and for its names for other containers.
fn aliases(name: &str, spec: &EndpointSpec) -> Vec<String> {
    let own = spec.aliases.iter().map(|alias| format!("{name}:{alias}"));
    let links = spec.links.iter();
    own.chain(links.map(|(other, alias)| format!("{other}:{alias}")))
        .collect()
}

/// Returns a port on which the guest accepts connections, as text. On a bridge scope, the host
/// forwards to the container's own port; on an external scope, the guest redirects.
fn port_text(port: &PortMapping, scope: &ScopeSpec) -> String {
    let (inner, protocol) = (port.container_port, port.protocol);
    match port.host_port {
        Some(outer) if scope.kind != ScopeKind::Bridge && outer != inner => {
            format!("{outer}:{inner}/{protocol}")
        }
        _ => format!("{inner}/{protocol}"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

    use super::*;
    use crate::exec::{Command, ContainerSpec};
    use crate::vsphere::record::Record;
    use guestinfo::Dialect;
    use guestinfo::vic::ExecutorConfig;
    use jiff::Timestamp;

    fn scopes(specs: [ScopeSpec; 2]) -> BTreeMap<String, (ScopeSpec, Segment)> {
        let segment = |spec: &ScopeSpec| match &spec.kind {
            ScopeKind::Bridge => Segment(None),
            ScopeKind::External { network } => Segment(Some(network.clone())),
        };
        let named = specs.map(|spec| (spec.name.clone(), (spec.clone(), segment(&spec))));
        named.into()
    }

    #[test]
    fn both_dialects_tell_the_guest_what_it_needs() {
        let bridge = ScopeSpec::bridge("bridge")
            .subnet("172.16.0.0/16".parse().unwrap())
            .gateway("172.16.0.1".parse().unwrap())
            .dns("8.8.8.8".parse().unwrap())
            .search_domain("team.example")
            .mtu(1400)
            .trust(TrustLevel::Open);
        let scopes = scopes([bridge, ScopeSpec::external("lab", "VM Network")]);
        let port = PortMapping::new(81).host_port(8080);
        let spec = EndpointSpec::new("bridge")
            .alias("b")
            .port(PortMapping::new(80));
        let mut first = EndpointInfo::new(spec.link("db", "store").port(port));
        first.address = Some("172.16.0.2/16".parse().unwrap());
        first.gateway = Some("172.16.0.1".parse().unwrap());
        let second = EndpointInfo::new(EndpointSpec::new("lab").port(port));
        let slots = [
            (Segment(None), 192),
            (Segment(Some("VM Network".into())), 224),
        ];
        let endpoints = [first, second];
        let networks = guest_networks("a", &endpoints, &scopes, &slots.into());
        let spec = ContainerSpec::new("a", Command::new("/hello"));
        let record = Record::new(&spec, Timestamp::default()).connected(&endpoints, networks);
        let keys = record.keys(Dialect::Vic04).unwrap();
        let base = "guestinfo./networks|bridge";
        for (key, text) in [
            ("guestinfo./networks".to_owned(), "bridge|lab"),
            (format!("{base}/Common/id"), "192"),
            (format!("{base}/staticip/IP"), "rBAAAg=="),
            (format!("{base}/staticip/Mask"), "//8AAA=="),
            (format!("{base}/network/Common/name"), "bridge"),
            (format!("{base}/network/default"), "false"),
            (
                format!("{base}/network/nameservers|0"),
                "AAAAAAAAAAAAAP//CAgICA==",
            ),
            (format!("{base}/network/search"), "team.example"),
            (format!("{base}/network/mtu"), "1400"),
            (format!("{base}/ports~"), "80/tcp|81/tcp"),
            (
                "networks|bridge/network/aliases~".to_owned(),
                "a:b|db:store",
            ),
            ("guestinfo./networks|lab/network/default".to_owned(), "true"),
        ] {
            assert_eq!(
                keys.get(&key).map(String::as_str),
                Some(text),
                "{key}: {keys:#?}"
            );
        }
        let keys = record.keys(Dialect::Vic1).unwrap();
        let base = "guestinfo.vice./networks|bridge";
        for (key, text) in [
            (format!("{base}/ip/IP"), "rBAAAg=="),
            (format!("{base}/static"), "false"),
            (format!("{base}/ports~"), "80/tcp|81/tcp"),
            (format!("{base}/network/dns|0"), "AAAAAAAAAAAAAP//CAgICA=="),
            (format!("{base}/network/search"), "team.example"),
            (format!("{base}/network/mtu"), "1400"),
            (format!("{base}/network/TrustLevel"), "2"),
            (
                "guestinfo.vice./networks|lab/ports~".to_owned(),
                "8080:81/tcp",
            ),
            (
                "guestinfo.vice..networks|lab.network.type".to_owned(),
                "external",
            ),
        ] {
            assert_eq!(
                keys.get(&key).map(String::as_str),
                Some(text),
                "{key}: {keys:#?}"
            );
        }
        let read = Record::read(&keys).unwrap();
        assert_eq!(read.endpoints, endpoints);
    }

    /// If the scope's name were not changed, the card of `a.network` would be stored as that of the
    /// network of `a`.
    #[test]
    fn scopes_whose_names_have_dots_are_told_apart() {
        let specs = [ScopeSpec::bridge("a"), ScopeSpec::bridge("a.network")];
        let endpoints = ["a", "a.network"].map(|scope| {
            let mut endpoint = EndpointInfo::new(EndpointSpec::new(scope));
            endpoint.address = Some("10.0.0.2/16".parse().unwrap());
            endpoint
        });
        let slots = [(Segment(None), 192)];
        let networks = guest_networks("c", &endpoints, &scopes(specs), &slots.into());
        let spec = ContainerSpec::new("c", Command::new("/hello"));
        let record = Record::new(&spec, Timestamp::default()).connected(&endpoints, networks);
        for dialect in Dialect::ALL {
            let keys = record.keys(dialect).unwrap();
            let guest = guestinfo::decode::<ExecutorConfig>(&keys).value.networks;
            let names: Vec<_> = guest.values().map(|e| &e.network.common.name).collect();
            assert_eq!(names, ["a", "a.network"], "{keys:#?}");
            assert!(guest.values().all(|e| e.common.id == "192"));
            assert_eq!(Record::read(&keys).unwrap().endpoints, endpoints);
        }
    }

    #[test]
    fn every_trust_level_reaches_the_guest() {
        for (trust, text) in [
            (TrustLevel::Published, "1"),
            (TrustLevel::Open, "2"),
            (TrustLevel::Closed, "3"),
            (TrustLevel::Outbound, "4"),
            (TrustLevel::Peers, "5"),
        ] {
            let specs = [ScopeSpec::bridge("a").trust(trust), ScopeSpec::bridge("b")];
            let endpoints = [EndpointInfo::new(EndpointSpec::new("a"))];
            let networks = guest_networks("c", &endpoints, &scopes(specs), &BTreeMap::new());
            let spec = ContainerSpec::new("c", Command::new("/hello"));
            let record = Record::new(&spec, Timestamp::default()).connected(&endpoints, networks);
            let keys = record.keys(Dialect::Vic1).unwrap();
            let key = "guestinfo.vice./networks|a/network/TrustLevel";
            assert_eq!(keys.get(key).map(String::as_str), Some(text));
        }
    }

    #[test]
    fn the_default_route_leads_through_the_first_external_scope() {
        let endpoints = ["b", "a"].map(|scope| EndpointInfo::new(EndpointSpec::new(scope)));
        let route = |specs| default_route(&endpoints, &scopes(specs)).map(str::to_owned);
        let bridge = ScopeSpec::bridge;
        assert_eq!(route([bridge("a"), bridge("b")]).as_deref(), Some("b"));
        assert_eq!(
            route([bridge("a"), bridge("b").internal()]).as_deref(),
            Some("a")
        );
        let lab = ScopeSpec::external("a", "VM Network");
        assert_eq!(route([lab.clone(), bridge("b")]).as_deref(), Some("a"));
        assert_eq!(route([lab.internal(), bridge("b").internal()]), None);
    }
}
