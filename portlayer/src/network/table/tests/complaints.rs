//! What users of VIC complained about, by the number of the complaint.

use super::*;

/// The program is started again on what was persisted.
fn restarted(table: &Table, scopes: &[ScopeSpec]) -> Table {
    let mut new = super::table();
    assert!(new.reconcile(scopes.to_vec()).is_empty());
    for (id, holder) in &table.holders {
        let (created, endpoints) = (holder.created, holder.endpoints.clone());
        new.adopt(*id, &holder.name, created, endpoints, Instant::now());
    }
    new
}

/// #8405, #4494: a machine that somebody switches off and on again finds its address taken.
/// Addresses belong to containers, on or off.
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

/// #4237: "could not find IP range": one container of a scope that is gone stopped the whole
/// control plane from starting. It is known like any other, and its address stays its own.
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
    // Its subnet is not for others; the scope itself can be made again, and has it again.
    let other = ScopeSpec::bridge("other").subnet("10.0.0.0/25".parse().unwrap());
    invalid(&table.make_scope(other).unwrap_err(), "subnet", "c1");
    scope(&mut table, lost);
    assert_eq!(table.inspect("lost").unwrap().containers, [id(1)]);
    let address = held[0].address.unwrap().addr();
    assert_eq!(table.reverse("lost", address).unwrap(), ["c1"]);
}

/// #8546, #3769: an address is nil, or an endpoint gone, after a restart.
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

/// #7485, #8627: a new container has the address of one that was just removed, and neighbours
/// still send to the old card.
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

/// #7485: no conflict was ever detected. The container that was created later is quarantined, the
/// earlier one and the scope are not, and once the earlier one is gone the later one is fine.
#[test]
fn of_two_containers_with_one_address_the_later_is_quarantined_7485() {
    let mut table = table();
    let held = create(&mut table, 1, &[]);
    // In whichever order they are found.
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
    // The quarantined one is given another address ...
    let moved = found
        .assign_edit(id(2), &[EndpointSpec::new("bridge")], now)
        .unwrap();
    assert_ne!(moved.endpoints[0].address, held[0].address);
    assert_ne!(moved.endpoints[0].mac, held[0].mac);
    found.abandon(&moved);
    assert!(found.conflict(&id(2)).is_some());
    // ... or is left alone with the address.
    found.release(&id(1), now);
    assert_eq!(found.conflict(&id(2)), None);
    assert_eq!(found.reverse("bridge", address).unwrap(), ["copy"]);
}

/// #8405: a machine in conflict may be on already, for it was switched on before the conflict was
/// found. The one that the address belongs to is not started next to it.
#[test]
fn a_container_in_conflict_that_is_on_is_a_rival_8405() {
    let mut table = table();
    let held = create(&mut table, 2, &[]);
    let address = held[0].address.unwrap().addr().to_string();
    create(&mut table, 3, &[]);
    // An older machine turns up with the same address.
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

/// #7493: a container is unreachable after it was moved to another machine. Its card and its
/// address are its own and the same wherever it runs: they depend on the container alone.
#[test]
fn a_card_depends_on_the_container_alone_7493() {
    let (mut one, mut other) = (table(), table());
    let before = create(&mut one, 1, &[]);
    create(&mut other, 2, &[]);
    create(&mut other, 3, &[]);
    assert_eq!(create(&mut other, 1, &[])[0].mac, before[0].mac);
}

/// #7117: "all ports are allocated" after the host was reset. Nothing is allocated: what counts is
/// which containers are on.
#[test]
fn ports_are_free_after_a_reset_7117() {
    let mut table = table();
    let publishing = EndpointSpec::new("bridge").port(PortMapping::new(80).host_port(8080));
    create(&mut table, 1, std::slice::from_ref(&publishing));
    create(&mut table, 2, std::slice::from_ref(&publishing));
    let table = restarted(&table, &[]);
    // Both are off, and each names the other as the one that must not be on.
    let rivals: Vec<_> = table.port_rivals(&id(1)).into_iter().map(|r| r.0).collect();
    assert_eq!(rivals, [id(2)]);
}

/// The default range clashed with customers' networks.
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

/// 10,000 endpoints are recovered in one pass, 200 scopes among them.
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
    // Well above the 100 ms it may take with optimisation on an idle machine: quadratic work
    // would take far longer.
    assert!(took.as_secs() < 5, "{took:?}");
}
