//! Regression tests for problems that users of VIC reported, by issue number.

use super::*;

/// Returns the table of a program that is restarted with the persisted scopes and containers.
fn restarted(table: &Table, scopes: &[ScopeSpec]) -> Table {
    let mut new = super::table();
    assert!(new.reconcile(scopes.to_vec()).is_empty());
    for (id, holder) in &table.holders {
        let (created, endpoints) = (holder.created, holder.endpoints.clone());
        new.adopt(*id, &holder.name, created, endpoints, Instant::now());
    }
    new
}

/// VIC #8405, #4494: after a machine was switched off and on manually, its address was in use.
/// Here, a container keeps its addresses whether it is on or off.
#[test]
fn no_duplicate_address_after_power_changes_by_others_8405_4494() {
    let mut table = table();
    let small = ScopeSpec::bridge("small").subnet("10.0.0.0/29".parse().unwrap());
    let small = scope(&mut table, small).spec;
    let on = [EndpointSpec::new("small")];
    let first = create(&mut table, 1, &on)[0].address;
    let mut table = restarted(&table, &[small]);
    for n in 2..=5 {
        assert_ne!(create(&mut table, n, &on)[0].address, first);
    }
    let full = table.assign_new(id(6), "f", made(6), &on, Instant::now());
    assert!(full.is_err());
}

/// VIC #4237, "could not find IP range": a single container of a missing scope prevented the whole
/// control plane from starting. Here, the container is known like any other and keeps its address.
#[test]
fn a_container_of_a_lost_scope_stops_nothing_4237() {
    let mut table = table();
    let lost = ScopeSpec::bridge("lost").subnet("10.0.0.0/24".parse().unwrap());
    scope(&mut table, lost.clone());
    let held = create(&mut table, 1, &[EndpointSpec::new("lost")]);
    create(&mut table, 2, &[]);
    let mut table = restarted(&table, &[]);
    assert_eq!(table.conflict(&id(1)), None);
    assert_eq!(table.endpoints(&id(1)), Some(held.as_slice()));
    assert_eq!(table.inspect("bridge").unwrap().containers, [id(2)]);
    // Other scopes cannot get the subnet of the missing scope. If that scope is created again, it
    // gets the subnet back.
    let other = ScopeSpec::bridge("other").subnet("10.0.0.0/25".parse().unwrap());
    invalid(&table.make_scope(other).unwrap_err(), "subnet", "c1");
    scope(&mut table, lost);
    assert_eq!(table.inspect("lost").unwrap().containers, [id(1)]);
    let address = held[0].address.unwrap().addr();
    assert_eq!(table.reverse("lost", address).unwrap(), ["c1"]);
}

/// VIC #8546, #3769: after a restart, an address was nil or an endpoint was missing.
#[test]
fn every_endpoint_survives_a_restart_8546_3769() {
    let mut table = table();
    let backend = scope(&mut table, ScopeSpec::bridge("backend")).spec;
    let specs = ["bridge", "backend"].map(|scope| EndpointSpec::new(scope).alias("db"));
    let before = create(&mut table, 1, &specs);
    let table = restarted(&table, &[backend]);
    assert_eq!(table.endpoints(&id(1)), Some(before.as_slice()));
    let address = before[1].address.unwrap().addr();
    assert_eq!(table.resolve("backend", None, "db").unwrap(), [address]);
}

/// VIC #7485, #8627: a new container got the address of one that was just removed, while neighbours
/// still sent packets to the old card.
#[test]
fn a_freed_address_is_not_assigned_while_neighbours_remember_it_7485_8627() {
    let mut table = table();
    let small = ScopeSpec::bridge("small").subnet("10.0.0.0/29".parse().unwrap());
    scope(&mut table, small);
    let on = [EndpointSpec::new("small")];
    let freed = create(&mut table, 1, &on)[0].clone();
    table.release(&id(1), Instant::now());
    for n in 2..=5 {
        let endpoint = &create(&mut table, n, &on)[0];
        assert_ne!(endpoint.address, freed.address);
        assert_ne!(endpoint.mac, freed.mac);
    }
    let resting = table.assign_new(id(6), "f", made(6), &on, Instant::now());
    assert!(resting.is_err());
}

/// VIC #7485: conflicts were never detected. Here, the container that was created later is
/// quarantined; the earlier one and the scope are not affected. Once the earlier one is removed,
/// the later one is usable again.
#[test]
fn of_two_containers_with_one_address_the_later_is_quarantined_7485() {
    let mut table = table();
    let held = create(&mut table, 1, &[]);
    // The result is the same in whichever order the two are found.
    let mut found = super::table();
    let now = Instant::now();
    found.adopt(id(2), "copy", Some(made(2)), held.clone(), now);
    assert_eq!(found.conflict(&id(2)), None);
    found.adopt(id(1), "c1", Some(made(1)), held.clone(), now);
    assert_eq!(found.conflict(&id(1)), None);
    let reason = found.conflict(&id(2)).unwrap();
    assert!(
        reason.contains("\"c1\"") && reason.contains("remove it"),
        "{reason}"
    );
    let address = held[0].address.unwrap().addr();
    assert_eq!(found.reverse("bridge", address).unwrap(), ["c1"]);
    assert_eq!(
        found.resolve("bridge", None, "copy").unwrap(),
        Vec::<IpAddr>::new()
    );
    assert_eq!(found.resolve("bridge", None, "c1").unwrap(), [address]);
    create(&mut found, 3, &[]);
    // The conflict ends if the quarantined container gets another address ...
    let moved = found
        .assign_edit(id(2), &[EndpointSpec::new("bridge")], now)
        .unwrap();
    assert_ne!(moved.endpoints[0].address, held[0].address);
    assert_ne!(moved.endpoints[0].mac, held[0].mac);
    found.abandon(&moved);
    assert!(found.conflict(&id(2)).is_some());
    // ... or if the other container is removed.
    found.release(&id(1), now);
    assert_eq!(found.conflict(&id(2)), None);
    assert_eq!(found.reverse("bridge", address).unwrap(), ["copy"]);
}

/// VIC #8405: a machine in conflict may be on already, because it was switched on before the
/// conflict was found. The owner of the address is not started while that machine is on.
#[test]
fn a_container_in_conflict_that_is_on_is_a_rival_8405() {
    let mut table = table();
    let held = create(&mut table, 2, &[]);
    let address = held[0].address.unwrap().addr().to_string();
    create(&mut table, 3, &[]);
    // An older machine with the same address is found.
    let now = Instant::now();
    table.adopt(id(1), "older", Some(made(1)), held, now);
    assert!(table.conflict(&id(2)).is_some() && table.conflict(&id(1)).is_none());
    let rivals = table.rivals(&id(1));
    let [(rival, error)] = &rivals[..] else {
        panic!("{rivals:?}");
    };
    assert_eq!(*rival, id(2));
    assert_eq!(error.kind, ErrorKind::InUse { by: "c2".into() });
    assert_eq!(error.resource().to_string(), format!("address {address:?}"));
    assert!(table.rivals(&id(3)).is_empty());
}

/// VIC #7493: a container was unreachable after it was moved to another machine. Here, its MAC
/// address and IP address are the same wherever it runs, because they depend only on the container.
#[test]
fn a_card_depends_on_the_container_alone_7493() {
    let (mut one, mut other) = (table(), table());
    let before = create(&mut one, 1, &[]);
    create(&mut other, 2, &[]);
    create(&mut other, 3, &[]);
    assert_eq!(create(&mut other, 1, &[])[0].mac, before[0].mac);
}

/// VIC #7117: "all ports are allocated" after the host was reset. Here, ports are not allocated
/// permanently: only the containers that are on block a port.
#[test]
fn ports_are_free_after_a_reset_7117() {
    let mut table = table();
    let publishing = EndpointSpec::new("bridge").port(PortMapping::new(80).host_port(8080));
    create(&mut table, 1, std::slice::from_ref(&publishing));
    create(&mut table, 2, std::slice::from_ref(&publishing));
    let table = restarted(&table, &[]);
    // Both are off, and each is reported as a rival of the other.
    let rivals: Vec<_> = table.port_rivals(&id(1)).into_iter().map(|r| r.0).collect();
    assert_eq!(rivals, [id(2)]);
}

/// VIC's default range clashed with customers' networks, so the range can be chosen.
#[test]
fn the_range_of_a_host_can_be_chosen() {
    let range = BridgeRange::new("10.64.0.0/16".parse().unwrap(), 24).unwrap();
    let mut table = Table::new("bridge", range, REST, b"host");
    let lab = ScopeSpec::external("lab", "VM Network").subnet("10.64.1.0/24".parse().unwrap());
    scope(&mut table, lab);
    scope(&mut table, ScopeSpec::bridge("next"));
    let subnets: Vec<_> = table
        .list()
        .into_iter()
        .filter_map(|s| s.spec.subnet)
        .collect();
    let expected = ["10.64.0.0/24", "10.64.1.0/24", "10.64.2.0/24"];
    assert_eq!(subnets, expected.map(|net| net.parse().unwrap()));
}

/// Recovers 10,000 endpoints in 200 scopes in one pass.
#[test]
fn ten_thousand_endpoints_are_recovered() {
    let mut table = table();
    let mut scopes = Vec::new();
    for n in 0..200 {
        scopes.push(scope(&mut table, ScopeSpec::bridge(format!("scope-{n}"))).spec);
    }
    let mut machines = Vec::new();
    for n in 0..10_000_u32 {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&n.to_be_bytes());
        let id = ContainerId::from_bytes(bytes);
        let spec = [EndpointSpec::new(format!("scope-{}", n % 200))];
        let assigned = table.assign_new(id, "c", made(n.into()), &spec, Instant::now());
        machines.push((id, made(n.into()), assigned.unwrap().endpoints));
    }
    let mut found = super::table();
    assert!(found.reconcile(scopes).is_empty());
    let begun = Instant::now();
    for (id, created, endpoints) in machines {
        found.adopt(id, "c", Some(created), endpoints, begun);
    }
    let took = begun.elapsed();
    assert!(found.conflicts.is_empty());
    assert_eq!(found.inspect("scope-7").unwrap().containers.len(), 50);
    // The limit is well above the 100 ms that this may take with optimization on an idle machine.
    // Quadratic work would take far longer.
    assert!(took.as_secs() < 5, "{took:?}");
}
