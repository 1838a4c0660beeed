//! Invalid values of scopes and connections: each is refused with one error that names the field
//! and the value, and nothing is changed.

use std::net::IpAddr;

use ipnet::IpNet;

use super::networks::small;
use crate::conformance::Process;
use crate::conformance::check::{Bench, Check, Failure, ensure, ensure_eq};
use crate::network::{EndpointSpec, MacAddress, PortMapping, ScopeSpec};
use crate::{Capability, Error, ErrorKind};

/// Returns the text of an error and its causes.
pub(super) fn text_of(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// Fails unless the error refers to this field and names the value.
fn names<T: std::fmt::Debug>(
    refused: Result<T, Error>,
    what: &str,
    field: &str,
    value: &str,
) -> Check {
    let Err(error) = refused else {
        return Err(Failure::new(format_args!(
            "{what}: it was accepted: {refused:?}"
        )));
    };
    let text = text_of(&error);
    let is_named = match &error.kind {
        ErrorKind::InvalidArgument { field: named } => *named == field,
        // The error's resource names the field.
        ErrorKind::InUse { .. } | ErrorKind::NotFound => text.contains(field),
        _ => false,
    };
    if is_named && text.contains(value) {
        return Ok(());
    }
    Err(Failure::new(format_args!(
        "{what}: the error does not name {field} and {value}: {text}, {error:?}"
    )))
}

fn net(text: &str) -> Result<IpNet, Failure> {
    text.parse().map_err(Failure::new)
}

fn ip(text: &str) -> Result<IpAddr, Failure> {
    text.parse().map_err(Failure::new)
}

pub(super) async fn a_bad_scope_is_refused_and_nothing_is_made(bench: &Bench<'_>) -> Check {
    let networks = bench.networks();
    let existing = networks
        .create(ScopeSpec::bridge(bench.scope_name()).subnet(small()?.into()))
        .await?;
    let before = networks.list().await?;
    let taken = existing
        .spec
        .subnet
        .ok_or_else(|| Failure::new("the scope has no subnet"))?;
    let enclosing = taken.supernet().unwrap_or(taken);
    let mut halves = taken.subnets(30).map_err(Failure::new)?;
    let half = halves.next().unwrap_or(taken);
    let spec = || ScopeSpec::bridge(bench.scope_name());
    let on = |subnet: &str| Ok::<_, Failure>(spec().subnet(net(subnet)?));
    let free = "198.20.1.0/24";
    let cases = [
        (
            "upper case",
            ScopeSpec::bridge("Upper"),
            "name",
            "\"Upper\"",
        ),
        (
            "the same subnet",
            spec().subnet(taken),
            "subnet",
            &*taken.to_string(),
        ),
        (
            "an enclosing subnet",
            spec().subnet(enclosing),
            "subnet",
            &*enclosing.to_string(),
        ),
        (
            "an enclosed subnet",
            spec().subnet(half),
            "subnet",
            &*half.to_string(),
        ),
        (
            "a subnet of zero length",
            on("0.0.0.0/0")?,
            "subnet",
            "0.0.0.0/0",
        ),
        (
            "bits of the host part",
            on("198.20.1.1/24")?,
            "subnet",
            "198.20.1.1/24",
        ),
        (
            "a multicast subnet",
            on("224.0.0.0/8")?,
            "subnet",
            "224.0.0.0/8",
        ),
        (
            "a subnet of IPv4 written as IPv6",
            on("::ffff:198.20.1.0/120")?,
            "subnet",
            "::ffff:198.20.1.0/120",
        ),
        (
            "a gateway outside",
            on(free)?.gateway(ip("198.20.2.1")?),
            "gateway",
            "198.20.2.1",
        ),
        (
            "a broadcast gateway",
            on(free)?.gateway(ip("198.20.1.255")?),
            "gateway",
            "198.20.1.255",
        ),
        (
            "a multicast gateway",
            on(free)?.gateway(ip("224.0.0.1")?),
            "gateway",
            "224.0.0.1",
        ),
        (
            "a gateway of IPv4 written as IPv6",
            on(free)?.gateway(ip("::ffff:198.20.1.1")?),
            "gateway",
            "::ffff:198.20.1.1",
        ),
        (
            "a pool outside",
            on(free)?.pool(ip("198.20.1.8")?, ip("198.20.2.8")?),
            "pools",
            "198.20.1.8 to 198.20.2.8",
        ),
        (
            "a reversed pool",
            on(free)?.pool(ip("198.20.1.9")?, ip("198.20.1.8")?),
            "pools",
            "198.20.1.9 to 198.20.1.8",
        ),
        (
            "pools that overlap",
            on(free)?
                .pool(ip("198.20.1.8")?, ip("198.20.1.16")?)
                .pool(ip("198.20.1.16")?, ip("198.20.1.32")?),
            "pools",
            "198.20.1.16 to 198.20.1.32",
        ),
        (
            "a pool of IPv4 written as IPv6",
            on(free)?.pool(ip("::ffff:198.20.1.8")?, ip("::ffff:198.20.1.9")?),
            "pools",
            "::ffff:198.20.1.8 to ::ffff:198.20.1.9",
        ),
        (
            "a pool without a subnet",
            spec().pool(ip("198.20.1.8")?, ip("198.20.1.9")?),
            "pools",
            "198.20.1.8 to 198.20.1.9",
        ),
        (
            "a multicast name server",
            spec().dns(ip("224.0.0.1")?),
            "dns",
            "224.0.0.1",
        ),
        (
            "a name server of IPv4 written as IPv6",
            spec().dns(ip("::ffff:198.20.1.2")?),
            "dns",
            "::ffff:198.20.1.2",
        ),
        (
            "a search domain in upper case",
            spec().search_domain("Example.com"),
            "search_domain",
            "\"Example.com\"",
        ),
        (
            "a search domain that is no host name",
            spec().search_domain("a..b"),
            "search_domain",
            "\"a..b\"",
        ),
        ("a packet size below all links'", spec().mtu(1), "mtu", "1"),
    ];
    for (what, spec, field, value) in cases {
        names(networks.create(spec).await, what, field, value)?;
    }
    let again = ScopeSpec::bridge(&existing.spec.name);
    ensure!(
        networks.create(again).await,
        Err(Error {
            kind: ErrorKind::AlreadyExists,
            ..
        })
    );
    ensure_eq!(networks.list().await?, before);
    Ok(())
}

pub(super) async fn a_bad_connection_is_refused_and_nothing_is_changed(bench: &Bench<'_>) -> Check {
    let (exec, networks) = (bench.exec(), bench.networks());
    let subnet = small()?;
    let server = subnet
        .hosts()
        .last()
        .ok_or_else(|| Failure::new("no host"))?;
    let scope = ScopeSpec::bridge(bench.scope_name())
        .subnet(subnet.into())
        .dns(server.into());
    let scope = networks.create(scope).await?.spec;
    let other = networks
        .create(ScopeSpec::bridge(bench.scope_name()))
        .await?
        .spec
        .name;
    let subnet = scope.subnet.ok_or_else(|| Failure::new("no subnet"))?;
    let gateway = scope.gateway.ok_or_else(|| Failure::new("no gateway"))?;
    let holder = bench
        .spec(Process::Runs)
        .endpoint(EndpointSpec::new(&scope.name));
    let holder = exec.create(holder).await?;
    let held = exec.inspect(&holder).await?.endpoints;
    let address = held.first().and_then(|e| e.address).map(|net| net.addr());
    let address = address.ok_or_else(|| Failure::new("no address was assigned"))?;
    let changed = bench
        .spec(Process::Runs)
        .endpoint(EndpointSpec::new(&other));
    let changed = exec.create(changed).await?;
    let its = exec.inspect(&changed).await?.endpoints;
    let before = networks.list().await?;

    let spec = || EndpointSpec::new(&scope.name);
    let web = PortMapping::new(80).host_port(48_080);
    let group = MacAddress::new([1, 0, 0x5e, 0, 0, 1]);
    let mut cases = vec![
        (
            "an unknown scope",
            EndpointSpec::new("conformance-no-such-scope"),
            "network",
            "conformance-no-such-scope".to_owned(),
        ),
        (
            "an alias that is no host name",
            spec().alias("a b"),
            "endpoints.aliases",
            "\"a b\"".to_owned(),
        ),
        (
            "an alias in upper case",
            spec().alias("DB"),
            "endpoints.aliases",
            "\"DB\"".to_owned(),
        ),
        (
            "a link in upper case",
            spec().link("db", "DB"),
            "endpoints.links",
            "\"DB\"".to_owned(),
        ),
        (
            "a link that is no host name",
            spec().link("db", "-a"),
            "endpoints.links",
            "\"-a\"".to_owned(),
        ),
        (
            "a port that is zero",
            spec().port(PortMapping::new(0)),
            "endpoints.ports",
            "0/tcp".to_owned(),
        ),
        (
            "a host address of IPv4 written as IPv6",
            spec().port(PortMapping::new(80).host_address(ip("::ffff:127.0.0.1")?)),
            "endpoints.ports",
            "::ffff:127.0.0.1".to_owned(),
        ),
        (
            "ports that clash",
            spec()
                .port(web)
                .port(PortMapping::new(81).host_port(48_080)),
            "endpoints.ports",
            "48080:81/tcp".to_owned(),
        ),
        (
            "a group's MAC address",
            spec().mac(group),
            "endpoints.mac",
            group.to_string(),
        ),
    ];
    for (what, bad, field) in [
        ("an address that is taken", address, "endpoints.address"),
        ("the gateway's address", gateway, "endpoints.address"),
        (
            "the name server's address",
            server.into(),
            "endpoints.address",
        ),
        (
            "the network's address",
            subnet.network(),
            "endpoints.address",
        ),
        (
            "the broadcast address",
            subnet.broadcast(),
            "endpoints.address",
        ),
        ("an address outside", ip("198.20.0.1")?, "endpoints.address"),
        ("a multicast address", ip("224.0.0.1")?, "endpoints.address"),
        (
            "an unspecified address",
            ip("0.0.0.0")?,
            "endpoints.address",
        ),
        (
            "IPv4 written as IPv6",
            ip("::ffff:198.20.0.1")?,
            "endpoints.address",
        ),
    ] {
        cases.push((what, spec().address(bad), field, bad.to_string()));
    }
    if let Some(mac) = held.first().and_then(|e| e.mac) {
        cases.push((
            "a MAC address that is taken",
            spec().mac(mac),
            "endpoints.mac",
            mac.to_string(),
        ));
    }
    for (what, bad, field, value) in cases {
        // The failures did not use up the container's name: a valid connection succeeds.
        let container = bench
            .spec(Process::Runs)
            .endpoint(EndpointSpec::new(&other))
            .endpoint(bad.clone());
        let id = container.id;
        names(exec.create(container).await, what, field, &value)?;
        ensure_eq!(bench.listed(&id).await?, None);
        if bench.has(Capability::LaterConnect) {
            names(networks.connect(&changed, bad).await, what, field, &value)?;
        }
    }
    if !bench.has(Capability::Ipv6) {
        let six = spec().address(ip("fd00::2")?);
        let refused = exec.create(bench.spec(Process::Runs).endpoint(six)).await;
        ensure!(
            refused,
            Err(Error {
                kind: ErrorKind::Unsupported {
                    capability: Capability::Ipv6
                },
                ..
            })
        );
    }
    ensure_eq!(exec.inspect(&changed).await?.endpoints, its);
    ensure_eq!(networks.list().await?, before);
    Ok(())
}
