#![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

mod complaints;
mod crashes;

use std::net::IpAddr;

use super::*;
use crate::ErrorKind;
use crate::network::{EndpointSpec, PortMapping, TrustLevel};

fn table() -> Table {
    Table::new("bridge", BridgeRange::default(), REST, b"host")
}

fn id(n: u8) -> ContainerId {
    ContainerId::from_bytes([n; 32])
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn made(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn scope(table: &mut Table, spec: ScopeSpec) -> ScopeInfo {
    let info = table.make_scope(spec).unwrap();
    table.open_scope(&info.spec.name);
    info
}

fn create(table: &mut Table, n: u8, specs: &[EndpointSpec]) -> Vec<EndpointInfo> {
    let (now, name) = (Instant::now(), format!("c{n}"));
    let assignment = table
        .assign_new(id(n), &name, made(n.into()), specs, now)
        .unwrap();
    table.commit(&assignment, now);
    assignment.endpoints
}

#[track_caller]
fn invalid(error: &Error, field: &str, value: &str) {
    let ErrorKind::InvalidArgument { field: named } = error.kind else {
        panic!("{error:?}");
    };
    let reason = std::error::Error::source(error).unwrap().to_string();
    assert_eq!(named, field, "{reason}");
    assert!(reason.contains(value), "{reason}");
}

#[test]
fn subnets_are_chosen_and_overlap_is_refused_exactly() {
    let mut table = table();
    let default = table.inspect("bridge").unwrap();
    assert!(default.is_default);
    assert_eq!(default.spec.subnet, Some("172.16.0.0/20".parse().unwrap()));
    assert_eq!(default.spec.gateway, Some(ip("172.16.0.1")));
    assert_eq!(default.free, Some(4093));
    let next = scope(&mut table, ScopeSpec::bridge("next"));
    assert_eq!(next.spec.subnet, Some("172.16.16.0/20".parse().unwrap()));
    let lab = ScopeSpec::external("lab", "VM Network").subnet("10.2.3.0/24".parse().unwrap());
    scope(&mut table, lab);
    for (subnet, other) in [
        ("172.16.0.0/20", "172.16.0.0/20"),
        // The subnet encloses others, and is not inside any of them.
        ("172.0.0.0/8", "172.16.0.0/20"),
        ("10.0.0.0/8", "10.2.3.0/24"),
        ("10.2.3.128/25", "10.2.3.0/24"),
    ] {
        let spec = ScopeSpec::bridge("bad").subnet(subnet.parse().unwrap());
        let error = table.make_scope(spec).unwrap_err();
        invalid(&error, "subnet", &format!("{subnet} overlaps {other}"));
    }
    let error = table.make_scope(ScopeSpec::bridge("next")).unwrap_err();
    assert_eq!(error.kind, ErrorKind::AlreadyExists);
    let v6 = ScopeSpec::bridge("six").subnet("fd00::/64".parse().unwrap());
    let error = table.make_scope(v6).unwrap_err();
    let capability = Capability::Ipv6;
    assert_eq!(error.kind, ErrorKind::Unsupported { capability });
    assert_eq!(table.list().len(), 3);
}

#[test]
fn a_range_without_a_subnet_left_says_what_to_do() {
    let range = BridgeRange::new("10.0.0.0/24".parse().unwrap(), 25).unwrap();
    let mut table = Table::new("bridge", range, REST, b"");
    scope(&mut table, ScopeSpec::bridge("a"));
    let error = table.make_scope(ScopeSpec::bridge("b")).unwrap_err();
    assert!(matches!(error.kind, ErrorKind::Exhausted { .. }), "{error}");
    let reason = std::error::Error::source(&error).unwrap().to_string();
    assert!(reason.contains("remove a scope"), "{reason}");
}

#[test]
fn addresses_that_cannot_be_had_are_refused_and_nothing_is_changed() {
    let mut table = table();
    let spec = ScopeSpec::bridge("small").subnet("10.0.0.0/29".parse().unwrap());
    scope(&mut table, spec);
    let taken = EndpointSpec::new("small").address(ip("10.0.0.2"));
    create(&mut table, 1, std::slice::from_ref(&taken));
    let before = table.list();
    let (now, when) = (Instant::now(), made(9));
    let mut refused = |last: EndpointSpec| {
        // The first endpoint is valid, and its address has to be freed again.
        let specs = [EndpointSpec::new("bridge"), last];
        let error = table.assign_new(id(2), "b", when, &specs, now).unwrap_err();
        assert_eq!(table.list(), before);
        error
    };
    let error = refused(taken);
    assert_eq!(error.kind, ErrorKind::InUse { by: "c1".into() });
    assert_eq!(error.resource().to_string(), "address \"10.0.0.2\"");
    for address in ["10.0.0.0", "10.0.0.7", "10.0.0.1", "10.0.0.8"] {
        let error = refused(EndpointSpec::new("small").address(ip(address)));
        invalid(&error, "endpoints.address", address);
    }
    let error = refused(EndpointSpec::new("small").address(ip("fd00::2")));
    let capability = Capability::Ipv6;
    assert_eq!(error.kind, ErrorKind::Unsupported { capability });
    let error = refused(EndpointSpec::new("nowhere"));
    assert!(error.is_not_found());
    assert_eq!(*error.resource(), Resource::network("nowhere"));
    let mac = table.endpoint(&id(1), "small").unwrap().mac.unwrap();
    let when = made(9);
    let specs = [EndpointSpec::new("small").mac(mac)];
    let error = table.assign_new(id(2), "b", when, &specs, now).unwrap_err();
    assert_eq!(error.kind, ErrorKind::InUse { by: "c1".into() });
    let specs = [
        EndpointSpec::new("small").mac(MacAddress::new([2; 6])),
        EndpointSpec::new("bridge").mac(MacAddress::new([4; 6])),
    ];
    let error = table.assign_new(id(2), "b", when, &specs, now).unwrap_err();
    invalid(&error, "endpoints.mac", "04:04:04:04:04:04");
    assert_eq!(table.list(), before);
}

#[test]
fn a_full_scope_is_exhausted() {
    let mut table = table();
    let spec = ScopeSpec::bridge("tiny").subnet("10.0.0.0/30".parse().unwrap());
    scope(&mut table, spec);
    create(&mut table, 1, &[EndpointSpec::new("tiny")]);
    let now = Instant::now();
    let specs = [EndpointSpec::new("tiny")];
    let full = |table: &mut Table, now| {
        let error = table
            .assign_new(id(2), "b", made(2), &specs, now)
            .unwrap_err();
        assert!(matches!(error.kind, ErrorKind::Exhausted { .. }), "{error}");
        std::error::Error::source(&error).unwrap().to_string()
    };
    let reason = full(&mut table, now);
    assert!(
        reason.contains("remove a container") && reason.ends_with("; connected are c1"),
        "{reason}"
    );
    table.release(&id(1), now);
    assert!(full(&mut table, now).contains("retry in 120 s"));
    let assigned = table.assign_new(id(2), "b", made(2), &specs, now + REST);
    assert_eq!(
        assigned.unwrap().endpoints[0].address,
        Some("10.0.0.2/30".parse().unwrap())
    );
}

/// A front end that removes an application and deploys it again creates the same scopes.
#[test]
fn addresses_of_a_removed_scope_rest_in_the_next_one_with_its_subnet() {
    let mut table = table();
    let tiny = || ScopeSpec::bridge("tiny").subnet("10.0.0.0/30".parse().unwrap());
    scope(&mut table, tiny());
    create(&mut table, 1, &[EndpointSpec::new("tiny")]);
    let now = Instant::now();
    table.release(&id(1), now);
    table.close_scope("tiny").unwrap();
    table.drop_scope("tiny");
    scope(&mut table, tiny());
    assert_eq!(table.inspect("tiny").unwrap().free, Some(1));
    let specs = [EndpointSpec::new("tiny")];
    let resting = table.assign_new(id(2), "b", made(2), &specs, now);
    assert!(matches!(
        resting.unwrap_err().kind,
        ErrorKind::Exhausted { .. }
    ));
    let rested = table.assign_new(id(2), "b", made(2), &specs, now + REST);
    assert!(rested.is_ok());
}

#[test]
fn scopes_of_one_network_share_a_card() {
    let mut table = table();
    scope(&mut table, ScopeSpec::bridge("a"));
    scope(&mut table, ScopeSpec::external("lab", "VM Network"));
    let specs = ["bridge", "a", "lab"].map(EndpointSpec::new);
    let endpoints = create(&mut table, 1, &specs);
    let macs: Vec<_> = endpoints.iter().map(|e| e.mac.unwrap()).collect();
    assert_eq!(macs[0], macs[1]);
    assert_ne!(macs[0], macs[2]);
    // A given address is that of one card only.
    let given = MacAddress::new([2; 6]);
    let one = ["bridge", "a"].map(|name| EndpointSpec::new(name).mac(given));
    let both = ["bridge", "lab"].map(|name| EndpointSpec::new(name).mac(given));
    let mut assign = |specs: &[EndpointSpec]| {
        let now = Instant::now();
        let assigned = table.assign_new(id(2), "c2", made(9), specs, now);
        assigned.inspect(|assignment| table.abandon(assignment))
    };
    let assigned = assign(&one).unwrap().endpoints;
    assert!(assigned.iter().all(|endpoint| endpoint.mac == Some(given)));
    let error = assign(&both).unwrap_err();
    invalid(&error, "endpoints.mac", "02:02:02:02:02:02");
    // The address comes from DHCP.
    assert_eq!(endpoints[2].address, None);
    assert_eq!(table.inspect("lab").unwrap().free, None);
    // The same container gets the same MAC address again; on another host it gets a different one.
    table.release(&id(1), Instant::now());
    assert_eq!(create(&mut table, 1, &specs)[0].mac, Some(macs[0]));
    let mut other = Table::new("bridge", BridgeRange::default(), REST, b"other");
    assert_ne!(create(&mut other, 1, &[])[0].mac, Some(macs[0]));
}

#[test]
fn external_scopes_assign_from_their_pools_alone() {
    let mut table = table();
    let lab = ScopeSpec::external("lab", "VM Network")
        .subnet("10.0.0.0/24".parse().unwrap())
        .gateway(ip("10.0.0.1"))
        .pool(ip("10.0.0.1"), ip("10.0.0.2"));
    assert_eq!(scope(&mut table, lab).free, Some(1));
    let endpoint = &create(&mut table, 1, &[EndpointSpec::new("lab")])[0];
    assert_eq!(endpoint.address, Some("10.0.0.2/24".parse().unwrap()));
    assert_eq!(endpoint.gateway, Some(ip("10.0.0.1")));
    let chosen = EndpointSpec::new("lab").address(ip("10.0.0.77"));
    create(&mut table, 2, &[chosen]);
    let none = ScopeSpec::external("none", "VM Network")
        .subnet("10.0.1.0/24".parse().unwrap())
        .gateway(ip("10.0.1.1"))
        .pool(ip("10.0.1.1"), ip("10.0.1.1"));
    invalid(&table.make_scope(none).unwrap_err(), "pools", "reserved");
    scope(&mut table, ScopeSpec::external("dhcp", "VM Network"));
    let specs = [EndpointSpec::new("dhcp").address(ip("10.9.9.9"))];
    let error = table.assign_new(id(3), "c", made(3), &specs, Instant::now());
    invalid(&error.unwrap_err(), "endpoints.address", "10.9.9.9");
}

#[test]
fn an_internal_scope_has_no_way_out() {
    let mut table = table();
    scope(&mut table, ScopeSpec::bridge("inner").internal());
    let endpoint = &create(&mut table, 1, &[EndpointSpec::new("inner")])[0];
    assert_eq!(endpoint.gateway, None);
    assert!(create(&mut table, 2, &[])[0].gateway.is_some());
}

#[test]
fn a_scope_in_use_is_not_removed() {
    let mut table = table();
    scope(&mut table, ScopeSpec::bridge("a"));
    create(&mut table, 1, &[EndpointSpec::new("a")]);
    let error = table.close_scope("a").unwrap_err();
    assert_eq!(error.kind, ErrorKind::InUse { by: "c1".into() });
    let error = table.close_scope("bridge").unwrap_err();
    assert!(matches!(error.kind, ErrorKind::InUse { .. }));
    assert!(table.close_scope("b").unwrap_err().is_not_found());
    table.release(&id(1), Instant::now());
    table.close_scope("a").unwrap();
    // No container can be connected to a scope that is being removed.
    let specs = [EndpointSpec::new("a")];
    let late = table.assign_new(id(2), "b", made(2), &specs, Instant::now());
    assert!(late.unwrap_err().is_not_found());
    table.drop_scope("a");
    assert!(table.inspect("a").unwrap_err().is_not_found());
}

#[test]
fn names_are_resolved_within_a_scope() {
    let mut table = table();
    scope(&mut table, ScopeSpec::bridge("a"));
    let db = EndpointSpec::new("a").alias("db").alias("data.base");
    let one = create(&mut table, 1, std::slice::from_ref(&db))[0]
        .address
        .unwrap()
        .addr();
    let two = create(&mut table, 2, &[db, EndpointSpec::new("bridge")])[0]
        .address
        .unwrap()
        .addr();
    let linked = EndpointSpec::new("a").link("C1", "store");
    create(&mut table, 3, &[linked, EndpointSpec::new("bridge")]);
    let resolve = |name: &str| table.resolve("a", None, name).unwrap();
    let mut both = vec![one, two];
    both.sort_unstable();
    assert_eq!(resolve("DB"), both);
    assert_eq!(resolve("data.base"), both);
    assert_eq!(resolve("c1"), [one]);
    assert_eq!(resolve(&id(2).short()), [two]);
    assert_eq!(resolve("nobody"), Vec::<IpAddr>::new());
    // Names are not resolved across scopes, and links only for the container that has them.
    assert_eq!(
        table.resolve("bridge", None, "db").unwrap(),
        Vec::<IpAddr>::new()
    );
    assert_eq!(
        table.resolve("bridge", None, "c1").unwrap(),
        Vec::<IpAddr>::new()
    );
    assert_eq!(resolve("store"), Vec::<IpAddr>::new());
    let from = |n| table.resolve("a", Some(&id(n)), "store").unwrap();
    assert_eq!(from(3), [one]);
    assert_eq!(from(2), Vec::<IpAddr>::new());
    assert!(table.resolve("b", None, "db").unwrap_err().is_not_found());
    assert_eq!(table.reverse("a", one).unwrap(), ["c1", "db", "data.base"]);
    assert_eq!(table.reverse("bridge", one).unwrap(), Vec::<String>::new());

    table.rename(&id(1), "fresh");
    assert_eq!(table.resolve("a", None, "fresh").unwrap(), [one]);
    assert_eq!(
        table.resolve("a", None, "c1").unwrap(),
        Vec::<IpAddr>::new()
    );
    table.release(&id(1), Instant::now());
    assert_eq!(table.resolve("a", None, "db").unwrap(), [two]);
}

#[test]
fn an_edit_keeps_what_it_need_not_change() {
    let mut table = table();
    scope(&mut table, ScopeSpec::bridge("a"));
    let before = create(&mut table, 1, &[]);
    let now = Instant::now();
    let both = ["bridge", "a"].map(EndpointSpec::new);
    let edit = table.assign_edit(id(1), &both, now).unwrap();
    assert_eq!(edit.endpoints[0], before[0]);
    let added = edit.endpoints[1].address;
    // Abandoning an assignment has the same effect as never requesting it.
    table.abandon(&edit);
    assert_eq!(table.endpoints(&id(1)).unwrap(), before);
    assert_eq!(table.inspect("a").unwrap().free, Some(4093));
    let edit = table.assign_edit(id(1), &both, now).unwrap();
    table.commit(&edit, now);
    assert_eq!(table.inspect("a").unwrap().containers, [id(1)]);
    let address = added.unwrap().addr();
    let chosen = [EndpointSpec::new("a").address(address)];
    let edit = table.assign_edit(id(1), &chosen, now).unwrap();
    // Until the assignment is committed, the container holds both addresses.
    assert_eq!(table.inspect("bridge").unwrap().free, Some(4092));
    table.commit(&edit, now);
    assert_eq!(table.inspect("bridge").unwrap().containers, []);
    let name = table.reverse("a", edit.endpoints[0].address.unwrap().addr());
    assert_eq!(name.unwrap(), ["c1"]);
}

#[test]
fn ports_are_published_where_the_trust_level_allows() {
    let mut table = table();
    let port = PortMapping::new(80);
    let mut try_on = |name: &str, spec: ScopeSpec, port: PortMapping| {
        scope(&mut table, spec);
        let specs = [EndpointSpec::new(name).port(port)];
        let assigned = table.assign_new(id(1), "a", made(1), &specs, Instant::now());
        assigned.map(|assignment| table.abandon(&assignment))
    };
    for (name, trust) in [
        ("closed", TrustLevel::Closed),
        ("out", TrustLevel::Outbound),
    ] {
        let refused = try_on(name, ScopeSpec::bridge(name).trust(trust), port);
        invalid(&refused.unwrap_err(), "endpoints.ports", "80/tcp");
    }
    try_on(
        "open",
        ScopeSpec::bridge("open").trust(TrustLevel::Open),
        port,
    )
    .unwrap();
    let lab = ScopeSpec::external("lab", "n").trust(TrustLevel::Peers);
    let refused = try_on("lab", lab, port);
    invalid(&refused.unwrap_err(), "endpoints.ports", "80/tcp");
    let lab = ScopeSpec::external("lab2", "n").trust(TrustLevel::Peers);
    try_on("lab2", lab, port.host_port(8080)).unwrap();
}

#[test]
fn containers_with_one_port_of_the_host_are_rivals() {
    let mut table = table();
    scope(&mut table, ScopeSpec::external("lab", "VM Network"));
    let web = PortMapping::new(80).host_port(8080);
    let on = |scope: &str, port| [EndpointSpec::new(scope).port(port)];
    create(&mut table, 1, &on("bridge", web));
    create(&mut table, 2, &on("bridge", web.host_port(8081)));
    create(&mut table, 3, &on("lab", web));
    create(
        &mut table,
        4,
        &on("bridge", web.host_address(ip("127.0.0.1"))),
    );
    let rivals = |n| -> Vec<_> {
        let rivals = table.port_rivals(&id(n)).into_iter();
        rivals.map(|(_, name, port)| (name, port)).collect()
    };
    assert_eq!(
        rivals(1),
        [("c4".to_owned(), web.host_address(ip("127.0.0.1")))]
    );
    assert_eq!(rivals(4), [("c1".to_owned(), web)]);
    assert_eq!(rivals(2), []);
    // On an external scope, the container has an address of its own for its ports.
    assert_eq!(rivals(3), []);
}

#[test]
fn what_was_persisted_is_restored_and_one_bad_scope_spoils_no_other() {
    let mut table = table();
    let kept = scope(&mut table, ScopeSpec::bridge("kept")).spec;
    let clash = ScopeSpec::bridge("clash").subnet("172.16.16.0/24".parse().unwrap());
    let other = ScopeSpec::bridge("other").subnet("10.0.0.0/24".parse().unwrap());
    let mut table = self::table();
    scope(&mut table, ScopeSpec::bridge("gone"));
    let refused = table.reconcile([kept.clone(), clash, other]);
    let names: Vec<_> = refused.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["kept"]);
    let names: Vec<_> = table.list().into_iter().map(|s| s.spec.name).collect();
    assert_eq!(names, ["bridge", "clash", "other"]);
}
