#![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

use super::*;
use crate::ErrorKind;
use crate::network::MacAddress;
use std::error::Error as _;

/// Asserts that the specification is refused, with this field named and this value in the reason.
#[track_caller]
fn refused(spec: &ScopeSpec, field: &str, value: &str) {
    let error = spec.validate().unwrap_err();
    let ErrorKind::InvalidArgument { field: named } = error.kind else {
        panic!("{error:?}");
    };
    assert_eq!(named, field);
    let reason = error.source().unwrap().to_string();
    assert!(reason.contains(value), "{reason}");
}

fn bridge(subnet: &str) -> ScopeSpec {
    ScopeSpec::bridge("backend").subnet(subnet.parse().unwrap())
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn a_usual_scope_is_taken() {
    let spec = bridge("10.1.0.0/24")
        .gateway(ip("10.1.0.254"))
        .pool(ip("10.1.0.16"), ip("10.1.0.31"))
        .pool(ip("10.1.0.48"), ip("10.1.0.48"))
        .dns(ip("10.1.0.2"))
        .dns(ip("8.8.8.8"))
        .search_domain("my_team.example")
        .mtu(9000)
        .label("a", "b");
    spec.validate().unwrap();
    ScopeSpec::external("lab", "VM Network").validate().unwrap();
    ScopeSpec::bridge("v6")
        .subnet("fd00::/64".parse().unwrap())
        .validate()
        .unwrap();
}

#[test]
fn names_of_scopes_are_in_lower_case() {
    for name in ["", "Backend", "-a", "a b", "a/b", "ä", &"a".repeat(65)] {
        let value = format!("{name:?}");
        refused(&ScopeSpec::bridge(name), "name", &value);
    }
    refused(&ScopeSpec::external("a", ""), "kind.network", "\"\"");
}

#[test]
fn bad_subnets_are_refused() {
    for subnet in [
        "0.0.0.0/0",
        "10.0.0.1/8",
        "10.0.0.0/31",
        "10.0.0.0/32",
        "127.0.0.0/8",
        "224.0.0.0/4",
        "255.255.255.0/24",
        "::/0",
        "::ffff:10.0.0.0/120",
        "ff00::/8",
        "fd00::1/64",
    ] {
        let shown = subnet.parse::<IpNet>().unwrap().to_string();
        refused(&bridge(subnet), "subnet", &shown);
    }
}

#[test]
fn a_gateway_is_a_host_of_the_subnet() {
    for gateway in [
        "10.1.1.1",
        "10.1.0.0",
        "10.1.0.255",
        "::ffff:10.1.0.1",
        "224.0.0.1",
        "fd00::1",
    ] {
        refused(
            &bridge("10.1.0.0/24").gateway(ip(gateway)),
            "gateway",
            gateway,
        );
    }
    let alone = ScopeSpec::bridge("a").gateway(ip("10.0.0.1"));
    refused(&alone, "gateway", "the scope has no subnet");
}

#[test]
fn pools_are_ranges_of_the_subnet() {
    for (first, last) in [
        ("10.1.0.9", "10.1.0.8"),
        ("10.1.0.9", "10.1.1.0"),
        ("10.0.255.255", "10.1.0.9"),
        ("10.1.0.9", "fd00::1"),
        ("::ffff:10.1.0.8", "::ffff:10.1.0.9"),
    ] {
        refused(
            &bridge("10.1.0.0/24").pool(ip(first), ip(last)),
            "pools",
            first,
        );
    }
    let twice = bridge("10.1.0.0/24")
        .pool(ip("10.1.0.1"), ip("10.1.0.9"))
        .pool(ip("10.1.0.9"), ip("10.1.0.12"));
    refused(&twice, "pools", "overlaps 10.1.0.1 to 10.1.0.9");
}

#[test]
fn other_fields_of_scopes_are_checked() {
    for server in ["0.0.0.0", "224.0.0.1", "255.255.255.255", "::ffff:8.8.8.8"] {
        refused(&ScopeSpec::bridge("a").dns(ip(server)), "dns", server);
    }
    for domain in ["", "Example.com", "a..b", "-a", "a b"] {
        let spec = ScopeSpec::bridge("a").search_domain(domain);
        refused(&spec, "search_domain", &format!("{domain:?}"));
    }
    for mtu in [0, 67, 65_536] {
        refused(&ScopeSpec::bridge("a").mtu(mtu), "mtu", &mtu.to_string());
    }
    refused(
        &ScopeSpec::bridge("a").label("", "x"),
        "labels",
        "a name is empty",
    );
}

#[test]
fn bad_endpoints_are_refused() {
    let spec = || EndpointSpec::new("backend");
    let refused = |spec: EndpointSpec, field: &str, value: &str| {
        let (named, reason) = endpoint(&spec).unwrap();
        assert_eq!(named, field);
        assert!(reason.contains(value), "{reason}");
    };
    for address in [
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "127.0.0.1",
        "::ffff:10.0.0.1",
        "::",
        "ff02::1",
    ] {
        refused(spec().address(ip(address)), "endpoints.address", address);
    }
    for mac in [
        "01:00:5e:00:00:01",
        "ff:ff:ff:ff:ff:ff",
        "00:00:00:00:00:00",
    ] {
        let mac: MacAddress = mac.parse().unwrap();
        refused(spec().mac(mac), "endpoints.mac", &mac.to_string());
    }
    for alias in ["", "DB", "a b", "-a", "a-", "a..b", "ä", &"a".repeat(64)] {
        refused(
            spec().alias(alias),
            "endpoints.aliases",
            &format!("{alias:?}"),
        );
        refused(
            spec().link("web", alias),
            "endpoints.links",
            &format!("{alias:?}"),
        );
    }
    refused(spec().link("", "db"), "endpoints.links", "\"\"");
    for port in [
        PortMapping::new(0),
        PortMapping::new(80).host_port(0),
        PortMapping::new(80).host_address(ip("224.0.0.1")),
        PortMapping::new(80).host_address(ip("::ffff:10.0.0.1")),
    ] {
        refused(spec().port(port), "endpoints.ports", &port.to_string());
    }
    assert_eq!(
        endpoint(&spec().alias("my_db.team-1").link("Web", "web")),
        None
    );
}

#[test]
fn ports_that_clash_are_named() {
    let web = PortMapping::new(80).host_port(8080);
    let one = EndpointSpec::new("a").port(web);
    let other = EndpointSpec::new("b").port(PortMapping::new(81).host_port(8080));
    let refused = clashing_ports(&[one.clone(), other]);
    let reason = "8080:81/tcp conflicts with 8080:80/tcp".to_owned();
    assert_eq!(refused, Some(("endpoints.ports", reason)));
    let elsewhere = EndpointSpec::new("b").port(PortMapping::new(80).host_port(8081));
    assert_eq!(clashing_ports(&[one, elsewhere]), None);
}
