//! Scopes, addresses, names and ports.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::future::join_all;
use ipnet::Ipv4Net;

use super::bad_networks::text_of;
use crate::conformance::Process;
use crate::conformance::check::{Bench, Check, Failure, ensure, ensure_eq};
use crate::exec::{ContainerSpec, StartOptions, StopOptions};
use crate::network::{EndpointInfo, EndpointSpec, PortMapping, ScopeSpec, TrustLevel};
use crate::{ContainerId, Error, ErrorKind, Resource, Result, StateKind};

/// Returns a subnet with five addresses for containers, from the range reserved for network tests
/// (RFC 2544). Calls within a process return different subnets, because an address that one case
/// released is not assigned again immediately.
pub(super) fn small() -> Result<Ipv4Net, Failure> {
    /// The number of subnets of this size in 198.18.0.0/15.
    const SUBNETS: u32 = 1 << 14;
    /// The first index is random, because another process may test the same endpoint.
    static FIRST: LazyLock<u32> = LazyLock::new(|| {
        let [a, b, ..] = *ContainerId::generate().as_bytes();
        u16::from_be_bytes([a, b]).into()
    });
    static RETURNED: AtomicU32 = AtomicU32::new(0);
    let number = FIRST.wrapping_add(RETURNED.fetch_add(1, Ordering::Relaxed)) % SUBNETS;
    let first = u32::from(Ipv4Addr::new(198, 18, 0, 0)) + number * 8;
    Ipv4Net::new(first.into(), 29).map_err(Failure::new)
}

impl Bench<'_> {
    /// Creates a scope with five addresses for containers, and returns its name.
    async fn small_scope(&self) -> Result<String, Failure> {
        let spec = ScopeSpec::bridge(self.scope_name()).subnet(small()?.into());
        Ok(self.networks().create(spec).await?.spec.name)
    }

    fn on(&self, scope: &str) -> ContainerSpec {
        self.spec(Process::Runs).endpoint(EndpointSpec::new(scope))
    }

    /// Returns a container's connection to a scope.
    async fn endpoint(&self, id: &ContainerId, scope: &str) -> Result<EndpointInfo, Failure> {
        let info = self.exec().inspect(id).await?;
        let mut endpoints = info.endpoints.into_iter();
        endpoints
            .find(|endpoint| endpoint.spec.scope == scope)
            .ok_or_else(|| Failure::new(format_args!("{id} is not connected to {scope}")))
    }

    async fn address(&self, id: &ContainerId, scope: &str) -> Result<IpAddr, Failure> {
        let address = self.endpoint(id, scope).await?.address;
        address
            .map(|net| net.addr())
            .ok_or_else(|| Failure::new(format_args!("{id} has no address in {scope}")))
    }

    async fn free(&self, scope: &str) -> Result<Option<u128>> {
        Ok(self.networks().inspect(scope).await?.free)
    }
}

pub(super) async fn a_scope_is_described_and_removed(bench: &Bench<'_>) -> Check {
    let networks = bench.networks();
    let subnet = small()?;
    let server: IpAddr = [198, 20, 0, 1].into();
    let spec = ScopeSpec::bridge(bench.scope_name())
        .subnet(subnet.into())
        .dns(server)
        .search_domain("conformance.example")
        .trust(TrustLevel::Open)
        .mtu(1400)
        .internal()
        .label("Tier", "back|end");
    let name = spec.name.clone();
    ensure!(networks.inspect(&name).await, Err(ref error) if error.is_not_found());
    let info = networks.create(spec.clone()).await?;
    let mut expected = spec;
    expected.gateway = subnet.hosts().next().map(Into::into);
    ensure_eq!(info.spec, expected);
    ensure_eq!(info.is_default, false);
    ensure_eq!(info.free, Some(5));
    ensure_eq!(networks.inspect(&name).await?, info);
    let again = bench.reopen().await?;
    ensure_eq!(again.networks().inspect(&name).await?, info);
    let listed = again.networks().list().await?;
    ensure!(listed.iter().filter(|scope| scope.is_default).count(), 1);
    ensure!(
        listed.is_sorted_by_key(|scope| scope.spec.name.clone()),
        true
    );
    ensure!(listed.contains(&info), true);
    ensure!(
        networks.create(ScopeSpec::bridge(&name)).await,
        Err(Error {
            kind: ErrorKind::AlreadyExists,
            ..
        })
    );
    // A requested subnet must not overlap others.
    let chosen = networks
        .create(ScopeSpec::bridge(bench.scope_name()))
        .await?;
    ensure!(chosen.spec.subnet, Some(_));
    let others = networks.list().await?;
    let others = others
        .iter()
        .filter(|other| other.spec.name != chosen.spec.name);
    for (other, chosen) in others.filter_map(|o| o.spec.subnet.zip(chosen.spec.subnet)) {
        ensure!(
            other.contains(&chosen.network()) || chosen.contains(&other.network()),
            false
        );
    }

    networks.remove(&name).await?;
    ensure!(networks.inspect(&name).await, Err(ref error) if error.is_not_found());
    ensure!(networks.remove(&name).await, Err(ref error) if error.is_not_found());
    let again = bench.reopen().await?.networks().inspect(&name).await;
    ensure!(again, Err(ref error) if error.is_not_found());
    Ok(())
}

pub(super) async fn a_scope_in_use_is_not_removed(bench: &Bench<'_>) -> Check {
    let networks = bench.networks();
    let scope = bench.small_scope().await?;
    let spec = bench.on(&scope);
    let (id, name) = (bench.exec().create(spec.clone()).await?, spec.name);
    let refused = networks.remove(&scope).await;
    ensure!(refused, Err(Error { kind: ErrorKind::InUse { ref by }, .. }) if by.contains(&name));
    ensure_eq!(networks.inspect(&scope).await?.containers, [id]);
    for other in networks.list().await?.iter().filter(|s| s.is_default) {
        let refused = networks.remove(&other.spec.name).await;
        ensure!(
            refused,
            Err(Error {
                kind: ErrorKind::InUse { .. },
                ..
            })
        );
    }
    bench.exec().remove(&id).await?;
    ensure_eq!(networks.inspect(&scope).await?.containers, []);
    networks.remove(&scope).await?;
    Ok(())
}

pub(super) async fn addresses_are_unique_and_kept_while_stopped(bench: &Bench<'_>) -> Check {
    let scope = bench.small_scope().await?;
    let info = bench.networks().inspect(&scope).await?.spec;
    let (mut addresses, mut cards) = (BTreeSet::new(), BTreeSet::new());
    let mut ids = Vec::new();
    for _ in 0..3 {
        let id = bench.exec().create(bench.on(&scope)).await?;
        let endpoint = bench.endpoint(&id, &scope).await?;
        ensure!(
            endpoint.address,
            Some(net) if info.subnet.is_some_and(|subnet| net.trunc() == subnet)
        );
        ensure_eq!(endpoint.gateway, info.gateway);
        ensure!(endpoint.mac, Some(mac) if mac.is_unicast());
        ensure!(addresses.insert(endpoint.address), true);
        ensure!(cards.insert(endpoint.mac), true);
        ids.push((id, endpoint));
    }
    let (id, before) = ids.swap_remove(0);
    let exec = bench.exec();
    exec.start(&id, StartOptions::new()).await?;
    ensure_eq!(bench.endpoint(&id, &scope).await?, before);
    exec.stop(&id, StopOptions::AT_ONCE).await?;
    ensure_eq!(bench.endpoint(&id, &scope).await?, before);
    let again = bench.reopen().await?;
    let seen = again.exec().inspect(&id).await?.endpoints;
    ensure_eq!(seen, [before]);
    ensure_eq!(again.networks().inspect(&scope).await?.free, Some(2));
    // Another program on the same host does not assign any of them either.
    let spec = bench.on(&scope);
    let id = again.exec().create(spec).await?;
    ensure!(
        addresses.insert(bench.endpoint(&id, &scope).await?.address),
        true
    );
    Ok(())
}

pub(super) async fn a_freed_address_rests(bench: &Bench<'_>) -> Check {
    let (exec, scope) = (bench.exec(), bench.small_scope().await?);
    let first = exec.create(bench.on(&scope)).await?;
    let freed = bench.address(&first, &scope).await?;
    exec.remove(&first).await?;
    ensure_eq!(bench.free(&scope).await?, Some(5));
    for _ in 0..4 {
        let id = exec.create(bench.on(&scope)).await?;
        let address = bench.address(&id, &scope).await?;
        ensure!(address, address if address != freed);
    }
    let resting = exec.create(bench.on(&scope)).await;
    ensure!(
        resting,
        Err(Error {
            kind: ErrorKind::Exhausted { .. },
            ..
        })
    );
    // The address can be requested explicitly.
    let chosen = EndpointSpec::new(&scope).address(freed);
    let id = exec
        .create(bench.spec(Process::Runs).endpoint(chosen))
        .await?;
    ensure_eq!(bench.address(&id, &scope).await?, freed);
    Ok(())
}

pub(super) async fn an_address_in_use_is_refused(bench: &Bench<'_>) -> Check {
    let (exec, scope) = (bench.exec(), bench.small_scope().await?);
    let spec = bench.on(&scope);
    let owner = exec.create(spec.clone()).await?;
    let address = bench.address(&owner, &scope).await?;
    let second = bench
        .spec(Process::Runs)
        .endpoint(EndpointSpec::new(&scope).address(address));
    let id = second.id;
    let refused = exec.create(second).await;
    ensure!(
        refused,
        Err(Error { kind: ErrorKind::InUse { ref by }, .. }) if by.contains(&spec.name)
    );
    for bad in [[224, 0, 0, 1], [255, 255, 255, 255], [198, 20, 0, 1]] {
        let bad = EndpointSpec::new(&scope).address(bad.into());
        let refused = exec.create(bench.spec(Process::Runs).endpoint(bad)).await;
        ensure!(
            refused,
            Err(Error {
                kind: ErrorKind::InvalidArgument {
                    field: "endpoints.address"
                },
                ..
            })
        );
    }
    ensure_eq!(bench.listed(&id).await?, None);
    ensure_eq!(bench.free(&scope).await?, Some(4));
    Ok(())
}

pub(super) async fn a_full_scope_is_exhausted(bench: &Bench<'_>) -> Check {
    let (exec, scope) = (bench.exec(), bench.small_scope().await?);
    let mut names = Vec::new();
    for _ in 0..5 {
        let spec = bench.on(&scope);
        names.push(spec.name.clone());
        exec.create(spec).await?;
    }
    let spec = bench.on(&scope);
    let id = spec.id;
    let full = exec.create(spec).await;
    ensure!(
        &full,
        Err(Error {
            kind: ErrorKind::Exhausted { .. },
            ..
        })
    );
    // The error says what would free an address.
    let text = full.err().map(|error| text_of(&error)).unwrap_or_default();
    ensure!(text.contains("remove a container"), true);
    ensure!(names.iter().all(|name| text.contains(name)), true);
    ensure_eq!(bench.listed(&id).await?, None);
    ensure_eq!(bench.free(&scope).await?, Some(0));
    Ok(())
}

pub(super) async fn a_failed_create_loses_no_address(bench: &Bench<'_>) -> Check {
    let (exec, scope) = (bench.exec(), bench.small_scope().await?);
    let first = bench.on(&scope);
    exec.create(first.clone()).await?;
    for _ in 0..5 {
        let second = bench.on(&scope).name(&first.name);
        let refused = exec.create(second).await;
        ensure!(
            refused,
            Err(Error {
                kind: ErrorKind::AlreadyExists,
                ..
            })
        );
    }
    let refused = exec.create(first).await;
    ensure!(
        refused,
        Err(Error {
            kind: ErrorKind::AlreadyExists,
            ..
        })
    );
    ensure_eq!(bench.free(&scope).await?, Some(4));
    Ok(())
}

pub(super) async fn of_many_creates_each_has_its_own_address(bench: &Bench<'_>) -> Check {
    let scope = bench.small_scope().await?;
    let specs: Vec<_> = (0..8).map(|_| bench.on(&scope)).collect();
    let made = join_all(specs.into_iter().map(|spec| bench.exec().create(spec))).await;
    let mut addresses = BTreeSet::new();
    for made in made {
        match made {
            Ok(id) => {
                ensure!(addresses.insert(bench.address(&id, &scope).await?), true);
            }
            Err(Error {
                kind: ErrorKind::Exhausted { .. },
                ..
            }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    ensure_eq!(addresses.len(), 5);
    Ok(())
}

pub(super) async fn names_are_resolved_within_a_scope(bench: &Bench<'_>) -> Check {
    let (exec, networks) = (bench.exec(), bench.networks());
    let (scope, other) = (bench.small_scope().await?, bench.small_scope().await?);
    let spec = bench
        .spec(Process::Runs)
        .endpoint(EndpointSpec::new(&scope).alias("db"));
    let (id, name) = (exec.create(spec.clone()).await?, spec.name.clone());
    let address = bench.address(&id, &scope).await?;
    let link = EndpointSpec::new(&scope).link(&name, "store");
    let second = bench
        .spec(Process::Runs)
        .endpoint(link)
        .endpoint(EndpointSpec::new(&other));
    let second = exec.create(second).await?;
    for called in [name.as_str(), &id.short(), "db", "DB"] {
        ensure_eq!(networks.resolve(&scope, None, called).await?, [address]);
        ensure_eq!(
            networks.resolve(&other, None, called).await?,
            Vec::<IpAddr>::new()
        );
    }
    ensure_eq!(
        networks.resolve(&scope, None, "store").await?,
        Vec::<IpAddr>::new()
    );
    ensure_eq!(
        networks.resolve(&scope, Some(&second), "store").await?,
        [address]
    );
    ensure_eq!(
        networks.resolve(&scope, Some(&id), "store").await?,
        Vec::<IpAddr>::new()
    );
    ensure_eq!(
        networks.reverse(&scope, address).await?,
        [name.clone(), "db".to_owned()]
    );
    ensure_eq!(
        networks.reverse(&other, address).await?,
        Vec::<String>::new()
    );
    let unknown = networks
        .resolve("conformance-no-such-scope", None, "db")
        .await;
    ensure!(unknown, Err(ref error) if error.is_not_found());
    // A stopped container keeps its name and address; a removed one does not.
    let renamed = format!("{name}-2");
    exec.update(&id, crate::exec::Edit::new().name(&renamed))
        .await?;
    ensure_eq!(networks.resolve(&scope, None, &renamed).await?, [address]);
    ensure_eq!(
        networks.resolve(&scope, None, &name).await?,
        Vec::<IpAddr>::new()
    );
    exec.remove(&id).await?;
    ensure_eq!(
        networks.resolve(&scope, None, &renamed).await?,
        Vec::<IpAddr>::new()
    );
    Ok(())
}

pub(super) async fn an_external_scope_without_pools_assigns_nothing(bench: &Bench<'_>) -> Check {
    let network = bench.external_network();
    let spec = ScopeSpec::external(bench.scope_name(), network);
    let info = bench.networks().create(spec.clone()).await?;
    ensure_eq!(info.spec, spec);
    ensure_eq!(info.free, None);
    let container = bench
        .on(&spec.name)
        .endpoint(EndpointSpec::new(bench.small_scope().await?));
    let id = bench.exec().create(container).await?;
    let endpoint = bench.endpoint(&id, &spec.name).await?;
    ensure_eq!(endpoint.address, None);
    ensure!(endpoint.mac, Some(_));
    ensure_eq!(bench.networks().inspect(&spec.name).await?.containers, [id]);
    Ok(())
}

pub(super) async fn a_port_is_published_once(bench: &Bench<'_>) -> Check {
    let (exec, scope) = (bench.exec(), bench.small_scope().await?);
    let web = PortMapping::new(80).host_port(48_080);
    let publishing = |port| {
        let endpoint = EndpointSpec::new(&scope).port(port);
        bench.spec(Process::Runs).endpoint(endpoint)
    };
    let first = publishing(web);
    let name = first.name.clone();
    let first = exec.create(first).await?;
    let second = exec.create(publishing(web)).await?;
    let elsewhere = exec.create(publishing(web.host_port(48_081))).await?;
    exec.start(&first, StartOptions::new()).await?;
    let taken = exec.start(&second, StartOptions::new()).await;
    ensure!(taken, Err(Error { kind: ErrorKind::InUse { ref by }, .. }) if by.contains(&name));
    ensure_eq!(bench.state(&second).await?.kind(), StateKind::Created);
    exec.start(&elsewhere, StartOptions::new()).await?;
    exec.stop(&first, StopOptions::AT_ONCE).await?;
    exec.start(&second, StartOptions::new()).await?;
    let both = publishing(web).endpoint(
        EndpointSpec::new(bench.small_scope().await?).port(PortMapping::new(81).host_port(48_080)),
    );
    let refused = exec.create(both).await;
    ensure!(
        refused,
        Err(Error {
            kind: ErrorKind::InvalidArgument {
                field: "endpoints.ports"
            },
            ..
        })
    );
    Ok(())
}

pub(super) async fn a_stopped_container_is_connected_and_disconnected(bench: &Bench<'_>) -> Check {
    let (exec, networks) = (bench.exec(), bench.networks());
    let (scope, other) = (bench.small_scope().await?, bench.small_scope().await?);
    let id = exec.create(bench.on(&scope)).await?;
    let first = bench.endpoint(&id, &scope).await?;
    let wanted = EndpointSpec::new(&other).alias("db");
    let connected = networks.connect(&id, wanted.clone()).await?;
    ensure_eq!(connected.spec, wanted);
    ensure!(connected.address, Some(_));
    let both = [first.clone(), connected.clone()];
    ensure_eq!(exec.inspect(&id).await?.endpoints, both);
    ensure_eq!(
        bench.reopen().await?.exec().inspect(&id).await?.endpoints,
        both
    );
    ensure_eq!(networks.inspect(&other).await?.containers, [id]);
    let again = networks.connect(&id, wanted.clone()).await;
    ensure!(
        again,
        Err(Error {
            kind: ErrorKind::AlreadyExists,
            ..
        })
    );
    let unknown = EndpointSpec::new("conformance-no-such-scope");
    let unknown = networks.connect(&id, unknown).await;
    ensure!(
        unknown,
        Err(ref error) if error.is_not_found()
            && *error.resource() == Resource::network("conformance-no-such-scope")
    );

    exec.start(&id, StartOptions::new()).await?;
    let refused = networks.disconnect(&id, &scope).await;
    ensure!(
        refused,
        Err(Error {
            kind: ErrorKind::InvalidState { .. },
            ..
        })
    );
    ensure_eq!(exec.inspect(&id).await?.endpoints, both);
    exec.stop(&id, StopOptions::AT_ONCE).await?;

    networks.disconnect(&id, &scope).await?;
    ensure_eq!(exec.inspect(&id).await?.endpoints, [connected]);
    ensure_eq!(networks.inspect(&scope).await?.containers, []);
    ensure_eq!(bench.free(&scope).await?, Some(5));
    let twice = networks.disconnect(&id, &scope).await;
    ensure!(twice, Err(ref error) if error.is_not_found());
    let last = networks.disconnect(&id, &other).await;
    ensure!(
        last,
        Err(Error {
            kind: ErrorKind::InvalidArgument { .. },
            ..
        })
    );
    let nobody = networks.disconnect(&ContainerId::generate(), &other).await;
    ensure!(nobody, Err(ref error) if error.is_not_found());
    Ok(())
}
