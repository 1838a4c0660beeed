//! Defects of scopes and connections.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use portlayer::conformance::{self, Fixture, Process};
use portlayer::exec::{
    Command, ContainerInfo, ContainerSpec, Edit, Listing, Signal, StartOptions, StopOptions,
};
use portlayer::memory::{MemoryExec, MemoryNetworks};
use portlayer::network::{EndpointInfo, EndpointSpec, Networks, ScopeInfo, ScopeSpec};
use portlayer::{Capabilities, ContainerId, ErrorKind, Exec, ExitStatus, PortLayer, Result, State};

#[derive(Clone, Copy, Debug)]
enum Broken {
    /// A scope loses its search domains.
    ForgetsDomains,
    /// A scope with an invalid value is created without the value.
    TakesBadScopes,
    /// Removing a scope that is in use appears to succeed.
    RemovesScopesInUse,
    /// All containers have the same address.
    SharesAddresses,
    /// Starting a container changes its address.
    MovesOnStart,
    /// The address that was released last is assigned first.
    ReusesAddresses,
    /// If a requested address is in use, another one is assigned.
    ReplacesAddresses,
    /// If a scope has no free address, the container is created on the default scope.
    MovesToDefault,
    /// A failed create leaks an address.
    LosesAddresses,
    /// Names are resolved in all scopes.
    ResolvesAcrossScopes,
    /// A link of one container is visible to all containers.
    SharesLinks,
    /// A container on an external scope has an address that was never assigned.
    InventsAddresses,
    /// A host port can be published by two running containers.
    PublishesTwice,
    /// Disconnecting a running container appears to succeed.
    DisconnectsWhileOn,
}

const ALL: [(Broken, &str); 16] = [
    (Broken::ForgetsDomains, "a_scope_is_described_and_removed"),
    (
        Broken::TakesBadScopes,
        "a_bad_scope_is_refused_and_nothing_is_made",
    ),
    (
        Broken::ReplacesAddresses,
        "a_bad_connection_is_refused_and_nothing_is_changed",
    ),
    (Broken::RemovesScopesInUse, "a_scope_in_use_is_not_removed"),
    (
        Broken::SharesAddresses,
        "addresses_are_unique_and_kept_while_stopped",
    ),
    (
        Broken::SharesAddresses,
        "of_many_creates_each_has_its_own_address",
    ),
    (
        Broken::MovesOnStart,
        "addresses_are_unique_and_kept_while_stopped",
    ),
    (Broken::ReusesAddresses, "a_freed_address_rests"),
    (Broken::ReplacesAddresses, "an_address_in_use_is_refused"),
    (Broken::MovesToDefault, "a_full_scope_is_exhausted"),
    (Broken::LosesAddresses, "a_failed_create_loses_no_address"),
    (
        Broken::ResolvesAcrossScopes,
        "names_are_resolved_within_a_scope",
    ),
    (Broken::SharesLinks, "names_are_resolved_within_a_scope"),
    (
        Broken::InventsAddresses,
        "an_external_scope_without_pools_assigns_nothing",
    ),
    (Broken::PublishesTwice, "a_port_is_published_once"),
    (
        Broken::DisconnectsWhileOn,
        "a_stopped_container_is_connected_and_disconnected",
    ),
];

#[derive(Clone, Debug)]
struct Breaking {
    exec: MemoryExec,
    networks: MemoryNetworks,
    broken: Broken,
    /// The address that was released last, by scope.
    freed: Arc<Mutex<BTreeMap<String, IpAddr>>>,
}

impl Breaking {
    fn new(broken: Broken) -> Self {
        let exec = MemoryExec::new(conformance::memory::behaviour);
        Self {
            networks: exec.networks(),
            exec,
            broken,
            freed: Arc::default(),
        }
    }

    fn freed(&self) -> MutexGuard<'_, BTreeMap<String, IpAddr>> {
        self.freed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spoil(&self, mut info: ContainerInfo) -> ContainerInfo {
        for endpoint in &mut info.endpoints {
            let some = endpoint.address.or("192.0.2.1/24".parse().ok());
            match self.broken {
                Broken::SharesAddresses => {
                    endpoint.address = some.map(|net| {
                        let first = net.hosts().next().unwrap_or(net.addr());
                        ipnet::IpNet::new(first, net.prefix_len()).unwrap_or(net)
                    });
                }
                Broken::InventsAddresses => endpoint.address = some,
                Broken::MovesOnStart if info.state != State::Created => endpoint.address = None,
                _ => {}
            }
        }
        info
    }
}

#[async_trait]
impl Exec for Breaking {
    fn capabilities(&self) -> Capabilities {
        self.exec.capabilities()
    }

    async fn create(&self, mut spec: ContainerSpec) -> Result<ContainerId> {
        if let Broken::ReusesAddresses = self.broken {
            let freed = self.freed();
            for endpoint in &mut spec.endpoints {
                let last = freed.get(&endpoint.scope).copied();
                endpoint.address = endpoint.address.or(last);
            }
        }
        let created = self.exec.create(spec.clone()).await;
        let Err(error) = created else {
            return created;
        };
        match (self.broken, error.kind()) {
            (Broken::ReplacesAddresses, ErrorKind::InUse { .. }) => {
                for endpoint in &mut spec.endpoints {
                    endpoint.address = None;
                }
                self.exec.create(spec).await
            }
            (Broken::MovesToDefault, ErrorKind::Exhausted { .. }) => {
                spec.endpoints.clear();
                self.exec.create(spec).await
            }
            (Broken::LosesAddresses, ErrorKind::AlreadyExists) => {
                let name = ContainerId::generate().short();
                let lost = spec.id(ContainerId::generate()).name(name);
                self.exec.create(lost).await?;
                Err(error)
            }
            (Broken::ReusesAddresses, ErrorKind::InUse { .. }) => {
                for endpoint in &mut spec.endpoints {
                    endpoint.address = None;
                }
                self.exec.create(spec).await
            }
            _ => Err(error),
        }
    }

    async fn start(&self, id: &ContainerId, options: StartOptions) -> Result<State> {
        match (self.broken, self.exec.start(id, options).await) {
            (Broken::PublishesTwice, Err(error))
                if matches!(error.kind(), ErrorKind::InUse { .. }) =>
            {
                Ok(State::Running)
            }
            (_, started) => started,
        }
    }

    async fn inspect(&self, id: &ContainerId) -> Result<ContainerInfo> {
        Ok(self.spoil(self.exec.inspect(id).await?))
    }

    async fn list(&self) -> Result<Listing> {
        let mut listing = self.exec.list().await?;
        let containers = listing.containers.into_iter();
        listing.containers = containers
            .map(|info| self.spoil(Arc::unwrap_or_clone(info)).into())
            .collect();
        Ok(listing)
    }

    async fn wait(&self, id: &ContainerId) -> Result<ExitStatus> {
        self.exec.wait(id).await
    }

    async fn stop(&self, id: &ContainerId, options: StopOptions) -> Result<ExitStatus> {
        self.exec.stop(id, options).await
    }

    async fn signal(&self, id: &ContainerId, signal: Signal) -> Result<()> {
        self.exec.signal(id, signal).await
    }

    async fn update(&self, id: &ContainerId, edit: Edit) -> Result<()> {
        self.exec.update(id, edit).await
    }

    async fn pause(&self, id: &ContainerId) -> Result<()> {
        self.exec.pause(id).await
    }

    async fn resume(&self, id: &ContainerId) -> Result<()> {
        self.exec.resume(id).await
    }

    async fn remove(&self, id: &ContainerId) -> Result<()> {
        let info = self.exec.inspect(id).await?;
        self.exec.remove(id).await?;
        let held = info.endpoints.into_iter();
        self.freed()
            .extend(held.filter_map(|e| Some((e.spec.scope, e.address?.addr()))));
        Ok(())
    }
}

#[async_trait]
impl Networks for Breaking {
    async fn create(&self, mut spec: ScopeSpec) -> Result<ScopeInfo> {
        if let Broken::ForgetsDomains = self.broken {
            spec.search_domain = None;
        }
        match (self.broken, self.networks.create(spec.clone()).await) {
            (Broken::TakesBadScopes, Err(error))
                if matches!(error.kind(), ErrorKind::InvalidArgument { .. }) =>
            {
                let name = spec.name.to_ascii_lowercase();
                self.networks.create(ScopeSpec::bridge(name)).await
            }
            (_, created) => created,
        }
    }

    async fn inspect(&self, name: &str) -> Result<ScopeInfo> {
        self.networks.inspect(name).await
    }

    async fn list(&self) -> Result<Vec<ScopeInfo>> {
        self.networks.list().await
    }

    async fn remove(&self, name: &str) -> Result<()> {
        match (self.broken, self.networks.remove(name).await) {
            (Broken::RemovesScopesInUse, Err(error))
                if matches!(error.kind(), ErrorKind::InUse { .. }) =>
            {
                Ok(())
            }
            (_, removed) => removed,
        }
    }

    async fn resolve(
        &self,
        scope: &str,
        from: Option<&ContainerId>,
        name: &str,
    ) -> Result<Vec<IpAddr>> {
        let mut found = self.networks.resolve(scope, from, name).await?;
        match self.broken {
            Broken::ResolvesAcrossScopes => {
                for other in self.networks.list().await? {
                    let other = other.spec.name;
                    found.extend(self.networks.resolve(&other, from, name).await?);
                }
            }
            Broken::SharesLinks => {
                for other in self.networks.inspect(scope).await?.containers {
                    let linked = self.networks.resolve(scope, Some(&other), name).await?;
                    found.extend(linked);
                }
            }
            _ => {}
        }
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    async fn reverse(&self, scope: &str, address: IpAddr) -> Result<Vec<String>> {
        self.networks.reverse(scope, address).await
    }

    async fn connect(
        &self,
        container: &ContainerId,
        endpoint: EndpointSpec,
    ) -> Result<EndpointInfo> {
        self.networks.connect(container, endpoint).await
    }

    async fn disconnect(&self, container: &ContainerId, scope: &str) -> Result<()> {
        match (
            self.broken,
            self.networks.disconnect(container, scope).await,
        ) {
            (Broken::DisconnectsWhileOn, Err(error))
                if matches!(error.kind(), ErrorKind::InvalidState { .. }) =>
            {
                Ok(())
            }
            (_, disconnected) => disconnected,
        }
    }
}

#[async_trait]
impl Fixture for Breaking {
    async fn open(&self) -> Result<PortLayer> {
        Ok(PortLayer::new(self.clone()).with_networks(Arc::new(self.clone())))
    }

    fn command(&self, process: Process) -> Command {
        conformance::memory::command(process)
    }

    fn patience(&self) -> std::time::Duration {
        std::time::Duration::from_secs(1)
    }
}

#[tokio::test]
async fn every_broken_promise_about_networks_is_noticed() {
    for (broken, expected) in ALL {
        let report = conformance::run(&Breaking::new(broken)).await;
        let outcome = report.outcomes().iter().find(|o| o.case == expected);
        assert!(
            matches!(outcome, Some(o) if matches!(o.verdict, conformance::Verdict::Failed(_))),
            "{broken:?} went unnoticed:\n{report}"
        );
    }
}
