//! Checks the firewall of every host: it must permit the containers' serial lines to reach the line
//! server.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use vim25::types::{
    HostFirewallInfo, HostFirewallRule, HostFirewallRuleDirection, HostFirewallRulePortType,
    HostFirewallRulesetIpList, HostFirewallRulesetIpNetwork,
};

use super::Survey;
use crate::Resource;
use crate::vsphere::hosts::HostSpec;
use crate::vsphere::hosts::finding::Finding;
use crate::vsphere::kind;

/// Default port of the line server.
const PORT: u16 = 8080;

pub(super) fn check(survey: &Survey, spec: &HostSpec) -> Vec<Finding> {
    let address = spec.address.as_deref().unwrap_or_default();
    let (port, server) = (port(address), server(address));
    let mut findings = Vec::new();
    for host in survey.compute.iter().flat_map(|compute| &compute.hosts) {
        let object = || Resource::new(kind::HOST_SYSTEM, &host.name);
        let Some(firewall) = &host.firewall else {
            findings.push(Finding::info(
                object(),
                format!("Firewall status: UNKNOWN on {:?}", host.name),
            ));
            continue;
        };
        let is_open = firewall.default_policy.outgoing_blocked == Some(false);
        let status = if is_open { "DISABLED" } else { "ENABLED" };
        findings.push(Finding::info(
            object(),
            format!("Firewall status: {status} on {:?}", host.name),
        ));
        if permits(firewall, port, server) {
            continue;
        }
        let remedy = format!("permit {port}/tcp outbound with the rule set `vSPC`");
        findings.push(Finding::warning(
            object(),
            if is_open {
                format!(
                    "Firewall configuration of {:?} will be incorrect if it is enabled again",
                    host.name
                )
            } else {
                format!(
                    "Firewall of {:?} does not permit {port}/tcp outbound: containers cannot be \
                     attached to",
                    host.name
                )
            },
            remedy,
        ));
    }
    findings
}

/// Returns the port in `host:port` or `[address]:port`, or the default port if the address has
/// none.
fn port(address: &str) -> u16 {
    let is_bare_v6 = address.parse::<std::net::Ipv6Addr>().is_ok();
    address
        .rsplit_once(':')
        .filter(|_| !is_bare_v6)
        .and_then(|(_, port)| port.parse().ok())
        .unwrap_or(PORT)
}

/// Returns the IP address in an address that may have a port, if it is not a name.
fn server(address: &str) -> Option<IpAddr> {
    let bare = address.parse().ok();
    bare.or_else(|| Some(address.parse::<SocketAddr>().ok()?.ip()))
}

/// Returns whether a rule set for some addresses includes this one. Names are not resolved here.
fn includes(allowed: &HostFirewallRulesetIpList, server: Option<IpAddr>) -> bool {
    let is_it = |text: &String| server.is_some_and(|server| text.parse() == Ok(server));
    let is_in = |range: &HostFirewallRulesetIpNetwork| {
        let (network, length) = (
            range.network.parse().ok(),
            range.prefix_length.try_into().ok(),
        );
        let network = network.zip(length);
        let network = network.and_then(|(ip, length)| IpNet::new(ip, length).ok());
        network
            .zip(server)
            .is_some_and(|(network, server)| network.contains(&server))
    };
    allowed.all_ip || allowed.ip_address.iter().any(is_it) || allowed.ip_network.iter().any(is_in)
}

/// Returns whether an enabled rule set permits outbound TCP connections to this port of this server;
/// without an IP address, of any address.
fn permits(firewall: &HostFirewallInfo, port: u16, server: Option<IpAddr>) -> bool {
    let covers = |rule: &HostFirewallRule| {
        let last = rule.end_port.filter(|end| *end > 0).unwrap_or(rule.port);
        rule.direction == HostFirewallRuleDirection::Outbound
            && rule.protocol.eq_ignore_ascii_case("tcp")
            && rule
                .port_type
                .as_ref()
                .is_none_or(|port_type| *port_type == HostFirewallRulePortType::Dst)
            && (rule.port..=last).contains(&i32::from(port))
    };
    firewall.ruleset.iter().any(|set| {
        set.enabled
            && set
                .allowed_hosts
                .as_ref()
                .is_none_or(|allowed| includes(allowed, server))
            && set.rule.iter().any(covers)
    })
}

#[cfg(test)]
mod tests {
    use vim25::types::{HostFirewallDefaultPolicy, HostFirewallRuleset};

    use super::super::scene;
    use super::*;

    fn firewall(enabled: bool, range: (i32, i32)) -> HostFirewallInfo {
        let rule = HostFirewallRule {
            port: range.0,
            end_port: Some(range.1),
            direction: HostFirewallRuleDirection::Outbound,
            port_type: Some(HostFirewallRulePortType::Dst),
            protocol: "tcp".into(),
        };
        HostFirewallInfo {
            default_policy: HostFirewallDefaultPolicy {
                incoming_blocked: Some(true),
                outgoing_blocked: Some(true),
            },
            ruleset: vec![HostFirewallRuleset {
                enabled,
                rule: vec![rule],
                ..HostFirewallRuleset::default()
            }],
        }
    }

    fn found(firewall: HostFirewallInfo) -> Vec<String> {
        let mut survey = scene::survey();
        if let Some(compute) = &mut survey.compute {
            compute.hosts.truncate(1);
            compute.hosts[0].firewall = Some(firewall.clone());
        }
        let spec = scene::spec().address("10.0.0.7:2377");
        check(&survey, &spec)
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn each_host_is_told_and_a_closed_port_is_warned_of() {
        assert_eq!(
            found(firewall(true, (0, 65535))),
            ["Firewall status: ENABLED on \"host-1.example\""]
        );
        for closed in [firewall(false, (0, 65535)), firewall(true, (8080, 8080))] {
            assert!(found(closed)[1].contains("does not permit 2377/tcp"));
        }
    }

    #[test]
    fn a_disabled_firewall_is_told_as_vic_told_it() {
        let mut open = firewall(false, (0, 65535));
        open.default_policy.outgoing_blocked = Some(false);
        let found = found(open);
        assert!(found[0].starts_with("Firewall status: DISABLED on"));
        assert!(found[1].contains("if it is enabled again"), "{found:?}");
    }

    #[test]
    fn a_rule_set_for_some_addresses_must_include_that_of_the_lines() {
        for (addresses, network, is_open) in [
            (&["10.0.0.7"][..], None, true),
            (&["10.0.0.8"], Some(("10.0.0.0", 24)), true),
            (&["10.0.0.8"], Some(("10.0.1.0", 24)), false),
            (&[], Some(("lan", -1)), false),
        ] {
            let mut some = firewall(true, (0, 65535));
            let range = network.map(|(network, prefix_length)| HostFirewallRulesetIpNetwork {
                network: network.into(),
                prefix_length,
            });
            some.ruleset[0].allowed_hosts = Some(Box::new(HostFirewallRulesetIpList {
                ip_address: addresses.iter().map(|&address| address.into()).collect(),
                ip_network: range.into_iter().collect(),
                all_ip: false,
            }));
            let found = found(some);
            assert_eq!(
                found.len() == 1,
                is_open,
                "{addresses:?}, {network:?}: {found:?}"
            );
        }
    }

    #[test]
    fn the_port_is_that_of_the_address() {
        for (address, expected) in [
            ("", 8080),
            ("vch-1", 8080),
            ("10.0.0.7:2377", 2377),
            ("[fd00::7]:99", 99),
            ("fd00::7", 8080),
        ] {
            assert_eq!(port(address), expected, "{address}");
        }
    }
}
