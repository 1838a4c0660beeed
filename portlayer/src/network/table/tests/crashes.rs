//! Random operations with a crash between any two steps, compared with the persisted state.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::*;

/// The point at which the program crashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Crash {
    Never,
    /// The program crashes before anything is persisted.
    Before,
    /// The program crashes after the change is persisted, before the table is updated.
    After,
    /// The back end refuses the change; the program continues.
    Refused,
}

#[derive(Clone, Debug)]
enum Op {
    Create(u8, Vec<(usize, Option<u8>)>, Crash),
    Edit(u8, Vec<(usize, Option<u8>)>, Crash),
    Remove(u8, Crash),
    MakeScope(usize, Crash),
    RemoveScope(usize, Crash),
    /// Another program copies a machine with all of its keys.
    Copy(u8, u8),
    Restart,
    Wait(u8),
}

const SCOPES: [&str; 3] = ["bridge", "a", "b"];

fn spec_of(scope: usize) -> ScopeSpec {
    ScopeSpec::bridge(SCOPES[scope]).subnet(format!("10.0.{scope}.0/29").parse().unwrap())
}

fn op() -> impl Strategy<Value = Op> {
    let crash = || {
        prop_oneof![
            3 => Just(Crash::Never),
            1 => Just(Crash::Before),
            1 => Just(Crash::After),
            1 => Just(Crash::Refused),
        ]
    };
    let n = || 1..10u8;
    let scopes = || prop::collection::vec((0..3usize, prop::option::of(0..8u8)), 0..3);
    prop_oneof![
        4 => (n(), scopes(), crash()).prop_map(|(n, s, c)| Op::Create(n, s, c)),
        2 => (n(), scopes(), crash()).prop_map(|(n, s, c)| Op::Edit(n, s, c)),
        2 => (n(), crash()).prop_map(|(n, c)| Op::Remove(n, c)),
        2 => (1..3usize, crash()).prop_map(|(s, c)| Op::MakeScope(s, c)),
        1 => (1..3usize, crash()).prop_map(|(s, c)| Op::RemoveScope(s, c)),
        1 => (n(), n()).prop_map(|(a, b)| Op::Copy(a, b)),
        1 => Just(Op::Restart),
        2 => (0..200u8).prop_map(Op::Wait),
    ]
}

/// The persisted state of a back end, and the table of the program that uses it.
struct World {
    scopes: BTreeMap<String, ScopeSpec>,
    machines: BTreeMap<ContainerId, (i64, Vec<EndpointInfo>)>,
    clock: i64,
    now: Instant,
    table: Table,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            scopes: BTreeMap::new(),
            machines: BTreeMap::new(),
            clock: 0,
            now: Instant::now(),
            table: table(),
        };
        world.restart();
        world
    }

    fn restart(&mut self) {
        let range = BridgeRange::new("10.9.0.0/29".parse().unwrap(), 29).unwrap();
        self.table = Table::new("bridge", range, REST, b"host");
        let refused = self.table.reconcile(self.scopes.values().cloned());
        assert!(refused.is_empty(), "{refused:?}");
        for (id, (created, endpoints)) in &self.machines {
            let (created, endpoints) = (Some(made(*created)), endpoints.clone());
            self.table
                .adopt(*id, &id.short(), created, endpoints, self.now);
        }
    }

    fn specs(wanted: &[(usize, Option<u8>)]) -> Vec<EndpointSpec> {
        let mut specs: Vec<EndpointSpec> = Vec::new();
        for (scope, address) in wanted {
            if specs.iter().any(|spec| spec.scope == SCOPES[*scope]) {
                continue;
            }
            let mut spec = EndpointSpec::new(SCOPES[*scope]);
            let net = if *scope == 0 {
                "10.9.0".to_owned()
            } else {
                format!("10.0.{scope}")
            };
            spec.address = address.map(|n| ip(&format!("{net}.{n}")));
            specs.push(spec);
        }
        specs
    }

    fn persist(&mut self, made: &Assignment, created: i64, crash: Crash) {
        match crash {
            Crash::Never => {
                self.machines
                    .insert(made.id, (created, made.endpoints.clone()));
                self.table.commit(made, self.now);
            }
            Crash::After => {
                self.machines
                    .insert(made.id, (created, made.endpoints.clone()));
                self.restart();
            }
            Crash::Before => self.restart(),
            Crash::Refused => self.table.abandon(made),
        }
    }

    fn perform(&mut self, op: Op) {
        self.clock += 1;
        match op {
            Op::Create(n, wanted, crash) => {
                let (id, specs) = (id(n), Self::specs(&wanted));
                let (created, now) = (made(self.clock), self.now);
                let name = id.short();
                if let Ok(made) = self.table.assign_new(id, &name, created, &specs, now) {
                    assert!(!self.machines.contains_key(&id));
                    self.persist(&made, self.clock, crash);
                }
            }
            Op::Edit(n, wanted, crash) => {
                let specs = Self::specs(&wanted);
                if let Ok(made) = self.table.assign_edit(id(n), &specs, self.now) {
                    let created = self.machines[&id(n)].0;
                    self.persist(&made, created, crash);
                }
            }
            Op::Remove(n, crash) => {
                if crash != Crash::Refused && crash != Crash::Before {
                    self.machines.remove(&id(n));
                }
                match crash {
                    Crash::Never => self.table.release(&id(n), self.now),
                    Crash::Before | Crash::After => self.restart(),
                    Crash::Refused => {}
                }
            }
            Op::MakeScope(scope, crash) => {
                if let Ok(info) = self.table.make_scope(spec_of(scope)) {
                    if matches!(crash, Crash::Never | Crash::After) {
                        self.scopes
                            .insert(info.spec.name.clone(), info.spec.clone());
                    }
                    match crash {
                        Crash::Never => self.table.open_scope(&info.spec.name),
                        Crash::Before | Crash::After => self.restart(),
                        Crash::Refused => self.table.drop_scope(&info.spec.name),
                    }
                }
            }
            Op::RemoveScope(scope, crash) => {
                let name = SCOPES[scope];
                if self.table.close_scope(name).is_ok() {
                    if matches!(crash, Crash::Never | Crash::After) {
                        self.scopes.remove(name);
                    }
                    match crash {
                        Crash::Never => self.table.drop_scope(name),
                        Crash::Before | Crash::After => self.restart(),
                        Crash::Refused => self.table.open_scope(name),
                    }
                }
            }
            Op::Copy(from, to) => {
                if let Some((_, endpoints)) = self.machines.get(&id(from)).cloned()
                    && !self.machines.contains_key(&id(to))
                {
                    self.machines
                        .insert(id(to), (self.clock, endpoints.clone()));
                    let created = Some(made(self.clock));
                    self.table
                        .adopt(id(to), &id(to).short(), created, endpoints, self.now);
                }
            }
            Op::Restart => self.restart(),
            Op::Wait(seconds) => self.now += Duration::from_secs(seconds.into()),
        }
    }

    /// Asserts that nothing is held twice and nothing is lost.
    fn check(&self) {
        let mut by_age: Vec<_> = self.machines.iter().collect();
        by_age.sort_by_key(|(_, (created, _))| *created);
        let mut held: BTreeMap<(&str, IpAddr), ContainerId> = BTreeMap::new();
        let mut macs: BTreeMap<MacAddress, ContainerId> = BTreeMap::new();
        for (id, (_, endpoints)) in by_age {
            let mut is_second = false;
            for endpoint in endpoints {
                let address = endpoint.address.unwrap().addr();
                let key = (endpoint.spec.scope.as_str(), address);
                is_second |= *held.entry(key).or_insert(*id) != *id;
                is_second |= *macs.entry(endpoint.mac.unwrap()).or_insert(*id) != *id;
            }
            assert_eq!(self.table.conflict(id).is_some(), is_second, "{id}");
        }
        for scope in self.table.list() {
            let name = scope.spec.name.as_str();
            let used = held.keys().filter(|(scope, _)| *scope == name).count();
            assert_eq!(scope.free, Some(5 - used as u128), "{name}: {held:?}");
            for ((_, address), id) in held.iter().filter(|((scope, _), _)| *scope == name) {
                let names = self.table.reverse(name, *address).unwrap();
                assert_eq!(names.first(), Some(&id.short()));
            }
        }
        let scopes: Vec<_> = self.table.list().into_iter().map(|s| s.spec.name).collect();
        let expected = ["bridge"]
            .into_iter()
            .chain(self.scopes.keys().map(String::as_str));
        let mut expected: Vec<_> = expected.collect();
        expected.sort_unstable();
        assert_eq!(scopes, expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn no_address_is_held_twice_and_none_is_lost(ops in prop::collection::vec(op(), 0..60)) {
        let mut world = World::new();
        for op in ops {
            world.perform(op);
            world.check();
        }
    }
}
