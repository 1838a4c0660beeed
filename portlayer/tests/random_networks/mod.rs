//! Random operations on scopes and containers by programs that may end between any two calls,
//! checked against a model: two live containers never have the same address or MAC address in a
//! scope, and no address is leaked. Where a network is created for each scope, none is left without
//! its scope after a recovery, and no scope without its network.
#![allow(
    clippy::future_not_send,
    reason = "each case runs on its own thread alone"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::pin::pin;
use std::task::Poll;

use portlayer::exec::{Command, ContainerSpec, Edit, Exec, StartOptions, StopOptions};
use portlayer::network::{EndpointInfo, EndpointSpec, MacAddress, ScopeSpec};
use portlayer::{ContainerId, Error, ErrorKind, ExecExt, PortLayer, Result, StateKind};
use proptest::prelude::*;

/// The number of addresses for containers in a scope.
const ADDRESSES: usize = 5;
const SCOPES: [&str; 2] = ["a", "b"];

/// The back end, which outlives the programs.
pub(crate) trait World {
    /// Whether a newly opened program does not know which addresses were released before.
    const FORGETS: bool;
    /// Whether a container has a card for each of its scopes, or one for all of them.
    const CARD_PER_SCOPE: bool;

    /// Opens the host as another program would.
    async fn open(&self) -> PortLayer;
    /// Drops the responses to the next changes, until [`hear`](Self::hear) is called.
    fn lose_answers(&self);
    fn hear(&self);
    /// Holds the requests that create or remove the network of a scope, until
    /// [`release`](Self::release) is called. The program does not receive their responses.
    fn hold(&self) {}
    /// Carries out the requests that are held.
    async fn release(&self) {}
    /// Finishes what an interrupted operation left, as an operator would request it.
    async fn recover(&self) {}
    /// Returns the networks that exist and were created for scopes; `None` if none is created.
    async fn created(&self) -> Option<BTreeSet<String>> {
        None
    }
    /// Another program copies the connections of one container to another. Returns whether that was
    /// possible.
    async fn copy(&self, from: &ContainerId, to: &ContainerId) -> bool;
}

#[derive(Clone, Debug)]
pub(crate) enum Op {
    /// The number of the container; its connections, each a scope and the last byte of a requested
    /// address; and a requested MAC address.
    Create(u8, Vec<(usize, Option<u8>)>, Option<u8>),
    Connect(u8, usize, Option<u8>),
    Disconnect(u8, usize),
    Remove(u8),
    Start(u8),
    Stop(u8),
    MakeScope(usize),
    RemoveScope(usize),
    Copy(u8, u8),
}

/// What happens to the program during an operation.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fate {
    GoesOn,
    /// It does not receive the endpoint's response.
    HearsNothing,
    /// It ends after this many steps of the operation.
    EndsAt(u8),
    /// It ends while its request to create or remove a network is on its way. The request is carried
    /// out during the next operation, after another program has opened the host.
    EndsBeforeLate,
    /// It ends after the operation completed.
    EndsAfter,
}

pub(crate) fn steps() -> impl Strategy<Value = Vec<(Op, Fate)>> {
    let n = || 1..7_u8;
    let scope = || 0..SCOPES.len();
    let address = || prop::option::weighted(0.3, 0..8_u8);
    let connections = prop::collection::vec((scope(), address()), 1..3);
    let op = prop_oneof![
        6 => (n(), connections, prop::option::weighted(0.2, 0..3_u8))
            .prop_map(|(n, scopes, mac)| Op::Create(n, scopes, mac)),
        2 => (n(), scope(), address()).prop_map(|(n, s, a)| Op::Connect(n, s, a)),
        1 => (n(), scope()).prop_map(|(n, s)| Op::Disconnect(n, s)),
        3 => n().prop_map(Op::Remove),
        1 => n().prop_map(Op::Start),
        1 => n().prop_map(Op::Stop),
        2 => scope().prop_map(Op::MakeScope),
        2 => scope().prop_map(Op::RemoveScope),
        1 => (n(), n()).prop_map(|(a, b)| Op::Copy(a, b)),
    ];
    let fate = prop_oneof![
        4 => Just(Fate::GoesOn),
        1 => Just(Fate::HearsNothing),
        2 => (0..60_u8).prop_map(Fate::EndsAt),
        1 => Just(Fate::EndsAfter),
        1 => Just(Fate::EndsBeforeLate),
    ];
    prop::collection::vec((op, fate), 12..24)
}

fn id(n: u8) -> ContainerId {
    ContainerId::from_bytes([n; 32])
}

fn address(scope: usize, n: u8) -> IpAddr {
    [198, 18, u8::try_from(scope).unwrap(), n].into()
}

fn mac(n: u8) -> MacAddress {
    MacAddress::new([2, 0, 0, 0, 0, n])
}

fn scope_spec(scope: usize) -> ScopeSpec {
    let subnet = format!("198.18.{scope}.0/29");
    ScopeSpec::bridge(SCOPES[scope]).subnet(subnet.parse().unwrap())
}

fn connection(scope: usize, n: Option<u8>) -> EndpointSpec {
    let spec = EndpointSpec::new(SCOPES[scope]);
    match n {
        Some(n) => spec.address(address(scope, n)),
        None => spec,
    }
}

/// The expected state.
#[derive(Clone, Debug, Default)]
struct Model {
    scopes: BTreeSet<usize>,
    containers: BTreeMap<ContainerId, Container>,
    /// Addresses that this program released, which may be resting.
    freed: BTreeSet<IpAddr>,
    /// Containers with an interrupted operation, which may still be carried out.
    doubtful: BTreeSet<ContainerId>,
    doubtful_scopes: BTreeSet<usize>,
    /// Containers to which another program copied connections.
    copies: BTreeSet<ContainerId>,
    has_card_per_scope: bool,
}

#[derive(Clone, Debug)]
struct Container {
    endpoints: Vec<EndpointInfo>,
    is_on: bool,
    is_quarantined: bool,
}

impl Container {
    fn holds(&self, address: IpAddr) -> bool {
        let mut addresses = self.endpoints.iter().filter_map(|e| e.address);
        addresses.any(|net| net.addr() == address)
    }

    fn has_card(&self, mac: MacAddress) -> bool {
        self.endpoints.iter().any(|e| e.mac == Some(mac))
    }

    fn is_on_scope(&self, scope: usize) -> bool {
        self.endpoints.iter().any(|e| e.spec.scope == SCOPES[scope])
    }

    fn was_assigned_in(&self, scope: usize) -> bool {
        let is_assigned =
            |e: &EndpointInfo| e.spec.scope == SCOPES[scope] && e.spec.address.is_none();
        self.endpoints.iter().any(is_assigned)
    }

    fn shares_with(&self, other: &Self) -> bool {
        self.endpoints.iter().any(|e| {
            e.address.is_some_and(|net| other.holds(net.addr()))
                || e.mac.is_some_and(|mac| other.has_card(mac))
        })
    }
}

/// The possible results of an operation.
#[derive(Debug, Default)]
struct Expected {
    may_succeed: bool,
    errors: Vec<&'static str>,
}

fn kind(error: &Error) -> &'static str {
    match error.kind {
        ErrorKind::NotFound => "not found",
        ErrorKind::AlreadyExists => "already exists",
        ErrorKind::InUse { .. } => "in use",
        ErrorKind::InvalidArgument { .. } => "invalid argument",
        ErrorKind::InvalidState { .. } => "invalid state",
        ErrorKind::Exhausted { .. } => "exhausted",
        _ => "other",
    }
}

impl Model {
    fn held(&self, scope: usize) -> usize {
        let all = self.containers.values();
        (2..7)
            .filter(|n| all.clone().any(|c| c.holds(address(scope, *n))))
            .count()
    }

    /// Adds the possible results of assigning an address of a scope.
    fn expect_address(
        &self,
        expected: &mut Expected,
        own: ContainerId,
        scope: usize,
        n: Option<u8>,
    ) {
        if !self.scopes.contains(&scope) {
            expected.must_fail("not found");
            return;
        }
        let others = || self.containers.iter().filter(|(other, _)| **other != own);
        match n {
            Some(n) if !(2..7).contains(&n) => expected.must_fail("invalid argument"),
            Some(n) if others().any(|(_, c)| c.holds(address(scope, n))) => {
                expected.must_fail("in use");
            }
            Some(_) => {}
            None => {
                let rest = self.freed.iter();
                let resting = rest.filter(|a| (2..7).any(|n| address(scope, n) == **a));
                if self.held(scope) >= ADDRESSES {
                    expected.must_fail("exhausted");
                } else if self.held(scope) + resting.count() >= ADDRESSES {
                    expected.errors.push("exhausted");
                }
            }
        }
    }

    fn expect(&self, op: &Op) -> Expected {
        let mut expected = Expected {
            may_succeed: true,
            errors: Vec::new(),
        };
        let known = |n: u8| self.containers.get(&id(n));
        match op {
            Op::Create(n, connections, given) => {
                if known(*n).is_some() {
                    expected.must_fail("already exists");
                }
                if given.is_some_and(|m| self.containers.values().any(|c| c.has_card(mac(m)))) {
                    expected.must_fail("in use");
                }
                let connections = distinct(connections);
                if given.is_some() && connections.len() > 1 && self.has_card_per_scope {
                    // All its cards would have one MAC address.
                    expected.must_fail("invalid argument");
                }
                for (scope, last) in connections {
                    self.expect_address(&mut expected, id(*n), scope, last);
                }
            }
            Op::Connect(n, scope, last) => match known(*n) {
                None => expected.must_fail("not found"),
                Some(container) => {
                    if container.is_on {
                        expected.must_fail("invalid state");
                    }
                    // A container in conflict gets new addresses on all its scopes.
                    if container.is_quarantined {
                        expected.errors.extend(["in use", "exhausted", "not found"]);
                    } else if last.is_none() && container.was_assigned_in(*scope) {
                        // It keeps its address.
                        return expected;
                    }
                    self.expect_address(&mut expected, id(*n), *scope, *last);
                    if container.is_quarantined {
                        expected.may_succeed = true;
                    }
                    // Its other scopes may have been removed.
                    expected.errors.push("not found");
                }
            },
            Op::Disconnect(n, scope) => match known(*n) {
                None => expected.must_fail("not found"),
                Some(container) => {
                    if container.is_on {
                        expected.must_fail("invalid state");
                    }
                    if container.is_on_scope(*scope) && container.endpoints.len() == 1 {
                        expected.must_fail("invalid argument");
                    }
                    if container.is_quarantined {
                        expected.errors.extend(["in use", "exhausted"]);
                    }
                    expected.errors.push("not found");
                }
            },
            Op::Remove(n) => match known(*n) {
                None => expected.must_fail("not found"),
                Some(container) if container.is_on => expected.must_fail("invalid state"),
                Some(_) => {}
            },
            Op::Start(n) => match known(*n) {
                None => expected.must_fail("not found"),
                Some(container) => {
                    if container.is_on || container.is_quarantined {
                        expected.must_fail("invalid state");
                    }
                    let rival = |(other, c): (&ContainerId, &Container)| {
                        *other != id(*n) && c.is_on && c.shares_with(container)
                    };
                    if self.containers.iter().any(rival) {
                        expected.must_fail("in use");
                    }
                }
            },
            Op::Stop(n) => match known(*n) {
                None => expected.must_fail("not found"),
                // Before the first start; afterwards, stopping is idempotent.
                Some(container) if !container.is_on => expected.errors.push("invalid state"),
                Some(_) => {}
            },
            Op::MakeScope(scope) => {
                if self.scopes.contains(scope) {
                    expected.must_fail("already exists");
                } else {
                    // Containers of a lost scope may keep its subnet reserved for themselves.
                    expected.errors.push("invalid argument");
                }
                if self.doubtful_scopes.contains(scope) {
                    // An interrupted change of it is not finished.
                    expected.errors.push("in use");
                }
            }
            Op::RemoveScope(scope) => {
                if !self.scopes.contains(scope) {
                    expected.must_fail("not found");
                } else if self.containers.values().any(|c| c.is_on_scope(*scope)) {
                    expected.must_fail("in use");
                }
            }
            Op::Copy(..) => {}
        }
        expected
    }
}

impl Expected {
    fn must_fail(&mut self, kind: &'static str) {
        self.may_succeed = false;
        self.errors.push(kind);
    }

    fn includes(&self, outcome: &Result<()>) -> bool {
        match outcome {
            Ok(()) => self.may_succeed,
            Err(error) => self.errors.contains(&kind(error)),
        }
    }
}

/// Keeps only the first connection to each scope.
fn distinct(connections: &[(usize, Option<u8>)]) -> Vec<(usize, Option<u8>)> {
    let mut seen = BTreeSet::new();
    let new = connections.iter().filter(|(scope, _)| seen.insert(*scope));
    new.copied().collect()
}

async fn perform(layer: &PortLayer, op: &Op) -> Result<()> {
    let exec = layer.exec();
    match op {
        Op::Create(n, connections, given) => {
            let name = format!("c{n}");
            let mut spec = ContainerSpec::new(name, Command::new("/run")).id(id(*n));
            for (scope, last) in distinct(connections) {
                let mut connection = connection(scope, last);
                connection.mac = given.map(mac);
                spec = spec.endpoint(connection);
            }
            exec.create(spec).await.map(drop)
        }
        Op::Connect(n, scope, last) => {
            let edit = Edit::new().connect(connection(*scope, *last));
            exec.update(&id(*n), edit).await
        }
        Op::Disconnect(n, scope) => {
            let edit = Edit::new().disconnect(SCOPES[*scope]);
            exec.update(&id(*n), edit).await
        }
        Op::Remove(n) => exec.remove(&id(*n)).await,
        Op::Start(n) => exec.start(&id(*n), StartOptions::new()).await.map(drop),
        Op::Stop(n) => exec.stop(&id(*n), StopOptions::AT_ONCE).await.map(drop),
        Op::MakeScope(scope) => layer.networks().create(scope_spec(*scope)).await.map(drop),
        Op::RemoveScope(scope) => layer.networks().remove(SCOPES[*scope]).await,
        Op::Copy(..) => Ok(()),
    }
}

/// Polls a future a limited number of times and then drops it.
async fn cut_at<F: Future>(future: F, polls: u8) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut polled = 0;
    std::future::poll_fn(|cx| {
        if polled == polls {
            return Poll::Ready(None);
        }
        polled += 1;
        future.as_mut().poll(cx).map(Some)
    })
    .await
}

struct Run<'a, W> {
    world: &'a W,
    layer: PortLayer,
    model: Model,
}

impl<W: World> Run<'_, W> {
    async fn reopen(&mut self) {
        self.layer = self.world.open().await;
        if W::FORGETS {
            self.model.freed.clear();
        }
    }

    /// Reads the actual state, and fails if it differs from the model, except for interrupted
    /// operations.
    async fn check(&mut self) {
        let exec = self.layer.exec();
        let mut last = String::new();
        for _ in 0..100 {
            let before = observe(exec, &self.layer).await;
            match self.judge(&before).await {
                Ok(()) => {
                    self.take(before);
                    return;
                }
                Err(reason) => last = reason,
            }
            // Only interrupted operations may still change something.
            let is_doubtful =
                !self.model.doubtful.is_empty() || !self.model.doubtful_scopes.is_empty();
            assert!(is_doubtful, "{last}\n{:#?}", self.model);
            self.world.recover().await;
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        panic!("{last}\n{:#?}", self.model);
    }

    async fn judge(&self, found: &Model) -> Result<(), String> {
        let live: Vec<_> = found
            .containers
            .iter()
            .filter(|(_, c)| !c.is_quarantined)
            .collect();
        for (at, (one, first)) in live.iter().enumerate() {
            let same = live[at + 1..].iter().find(|(_, c)| c.shares_with(first));
            // This must never happen, not even temporarily.
            assert!(same.is_none(), "{one} and {same:?} share an address");
        }
        for (one, c) in found.containers.iter().filter(|(_, c)| c.is_on) {
            let is_rival = |(other, o): (&ContainerId, &Container)| {
                other != one && o.is_on && o.shares_with(c)
            };
            let rival = found.containers.iter().find(|(a, b)| is_rival((a, b)));
            assert!(rival.is_none(), "{one} and {rival:?} are both on");
        }
        for (id, c) in found.containers.iter().filter(|(_, c)| c.is_quarantined) {
            if !live.iter().any(|(_, other)| other.shares_with(c)) {
                return Err(format!("{id} is quarantined without a conflict"));
            }
        }
        for (id, known) in &self.model.containers {
            if self.model.doubtful.contains(id) || self.model.copies.contains(id) {
                continue;
            }
            match found.containers.get(id) {
                None => return Err(format!("{id} is lost")),
                Some(c) if c.endpoints != known.endpoints => {
                    return Err(format!("{id} has changed to {c:?}"));
                }
                Some(_) => {}
            }
        }
        let is_new = |id: &&ContainerId| {
            !self.model.containers.contains_key(*id) && !self.model.doubtful.contains(*id)
        };
        if let Some(id) = found.containers.keys().find(is_new) {
            return Err(format!("{id} should not exist"));
        }
        if let Some(created) = self.world.created().await {
            let scopes = self.layer.networks().list().await.unwrap();
            let used: Vec<_> = scopes.into_iter().filter_map(|s| s.network).collect();
            let expected: BTreeSet<_> = used.iter().cloned().collect();
            assert_eq!(expected.len(), used.len(), "two scopes share a network");
            if created != expected {
                return Err(format!("the networks are {created:?}, not {expected:?}"));
            }
        }
        for (scope, name) in SCOPES.iter().enumerate() {
            let is_there = found.scopes.contains(&scope);
            let is_known = self.model.scopes.contains(&scope);
            if is_there != is_known && !self.model.doubtful_scopes.contains(&scope) {
                return Err(format!(
                    "scope {scope}: found {is_there}, expected {is_known}"
                ));
            }
            if !is_there {
                continue;
            }
            let info = self.layer.networks().inspect(name).await;
            let free = info.ok().and_then(|info| info.free);
            let expected = ADDRESSES - found.held(scope);
            if free != u128::try_from(expected).ok() {
                return Err(format!("scope {scope}: {free:?} are free, of {expected}"));
            }
        }
        Ok(())
    }

    fn take(&mut self, found: Model) {
        self.model.containers = found.containers;
        self.model.scopes = found.scopes;
    }

    async fn step(&mut self, op: Op, fate: Fate) {
        let before = addresses(&self.model);
        self.perform(op, fate).await;
        let after = addresses(&self.model);
        let ends = matches!(
            fate,
            Fate::EndsAt(_) | Fate::EndsBeforeLate | Fate::EndsAfter
        );
        // The next program does not know what the one that ended released.
        if !(W::FORGETS && ends) {
            self.model.freed.extend(before.difference(&after));
        }
        self.model.freed.retain(|address| !after.contains(address));
    }

    async fn perform(&mut self, op: Op, fate: Fate) {
        if let Op::Copy(from, to) = op {
            let (from, to) = (id(from), id(to));
            let is_off = |id| self.model.containers.get(id).is_some_and(|c| !c.is_on);
            if from != to
                && self.model.containers.contains_key(&from)
                && is_off(&to)
                && self.world.copy(&from, &to).await
            {
                self.model.copies.insert(to);
                // A running program notices the copy when the endpoint reports it; a newly opened
                // one reads it.
                self.reopen().await;
            }
            self.check().await;
            return;
        }
        let expected = self.model.expect(&op);
        let is_sure = matches!(fate, Fate::GoesOn | Fate::EndsAfter);
        if !is_sure {
            self.doubt(&op);
        }
        match fate {
            Fate::HearsNothing => self.world.lose_answers(),
            Fate::EndsBeforeLate => self.world.hold(),
            _ => {}
        }
        let outcome = match fate {
            Fate::EndsAt(polls) => cut_at(perform(&self.layer, &op), polls).await,
            _ => Some(perform(&self.layer, &op).await),
        };
        self.world.hear();
        if !matches!(fate, Fate::EndsBeforeLate) {
            self.world.release().await;
        }
        match (is_sure, outcome) {
            (true, Some(outcome)) => {
                if !expected.includes(&outcome) {
                    // An interrupted operation may have been carried out in the meantime.
                    self.check().await;
                    let expected = self.model.expect(&op);
                    let is_done = outcome.is_ok() && !self.model.doubtful.is_empty();
                    assert!(
                        is_done || expected.includes(&outcome),
                        "{op:?}: {outcome:?}, {expected:?}\n{:#?}",
                        self.model
                    );
                }
                if outcome.is_ok() {
                    self.changed(&op).await;
                }
            }
            _ => {
                if let Fate::EndsAt(_) | Fate::EndsBeforeLate = fate {
                    self.reopen().await;
                }
                self.world.recover().await;
            }
        }
        if let Fate::EndsAfter = fate {
            self.reopen().await;
        }
        self.check().await;
    }

    fn doubt(&mut self, op: &Op) {
        match op {
            Op::Create(n, ..)
            | Op::Connect(n, ..)
            | Op::Disconnect(n, ..)
            | Op::Remove(n)
            | Op::Start(n)
            | Op::Stop(n) => {
                self.model.doubtful.insert(id(*n));
            }
            Op::MakeScope(scope) | Op::RemoveScope(scope) => {
                self.model.doubtful_scopes.insert(*scope);
            }
            Op::Copy(..) => {}
        }
    }

    /// Updates the model after a successful operation with the state from the back end.
    async fn changed(&mut self, op: &Op) {
        match op {
            Op::MakeScope(scope) => {
                self.model.scopes.insert(*scope);
            }
            Op::RemoveScope(scope) => {
                self.model.scopes.remove(scope);
            }
            Op::Remove(n) => {
                self.model.containers.remove(&id(*n));
                self.model.copies.remove(&id(*n));
            }
            Op::Create(n, connections, given) => {
                let made = self.layer.exec().inspect(&id(*n)).await.unwrap();
                let wanted = distinct(connections);
                assert_eq!(made.endpoints.len(), wanted.len());
                for (endpoint, (scope, last)) in made.endpoints.iter().zip(wanted) {
                    let net = endpoint.address.unwrap();
                    assert_eq!(endpoint.spec.scope, SCOPES[scope]);
                    assert!(last.is_none_or(|n| address(scope, n) == net.addr()));
                    assert!(given.is_none_or(|m| endpoint.mac == Some(mac(m))));
                    let is_resting = last.is_none() && self.model.freed.contains(&net.addr());
                    assert!(!is_resting, "{net} was released just before");
                }
                self.remember(*n, made.endpoints);
            }
            Op::Connect(n, ..) | Op::Disconnect(n, _) => {
                let info = self.layer.exec().inspect(&id(*n)).await.unwrap();
                self.model.copies.remove(&id(*n));
                self.remember(*n, info.endpoints);
            }
            Op::Start(_) | Op::Stop(_) | Op::Copy(..) => {}
        }
    }

    fn remember(&mut self, n: u8, endpoints: Vec<EndpointInfo>) {
        let container = Container {
            endpoints,
            is_on: false,
            is_quarantined: false,
        };
        self.model.containers.insert(id(n), container);
    }
}

fn addresses(model: &Model) -> BTreeSet<IpAddr> {
    let all = model.containers.values().flat_map(|c| &c.endpoints);
    all.filter_map(|e| Some(e.address?.addr())).collect()
}

fn is_on(state: StateKind) -> bool {
    matches!(
        state,
        StateKind::Starting | StateKind::Running | StateKind::Stopping
    )
}

/// Returns everything that a program sees.
async fn observe(exec: &dyn Exec, layer: &PortLayer) -> Model {
    let mut found = Model::default();
    let listing = exec.list().await.unwrap();
    let broken = listing.quarantined.iter().filter_map(|broken| broken.id);
    let live = listing.containers.iter().map(|c| (c.id, false));
    for (id, is_quarantined) in live.chain(broken.map(|id| (id, true))) {
        // It may be removed concurrently.
        let Ok(info) = exec.inspect(&id).await else {
            continue;
        };
        let container = Container {
            endpoints: info.endpoints,
            is_on: is_on(info.state.kind()),
            is_quarantined,
        };
        found.containers.insert(id, container);
    }
    for scope in layer.networks().list().await.unwrap() {
        let at = SCOPES.iter().position(|name| *name == scope.spec.name);
        found.scopes.extend(at);
    }
    found
}

/// Performs the steps, then removes everything and checks that no address was leaked.
pub(crate) async fn run<W: World>(world: &W, steps: Vec<(Op, Fate)>) {
    let layer = world.open().await;
    let mut run = Run {
        world,
        layer,
        model: Model {
            has_card_per_scope: W::CARD_PER_SCOPE,
            ..Model::default()
        },
    };
    for scope in 0..SCOPES.len() {
        run.layer
            .networks()
            .create(scope_spec(scope))
            .await
            .unwrap();
        run.model.scopes.insert(scope);
    }
    for (op, fate) in steps {
        run.step(op, fate).await;
    }
    world.release().await;
    run.reopen().await;
    // Objects of interrupted operations may still appear or disappear.
    for _ in 0..100 {
        run.check().await;
        for id in run.model.containers.keys().copied().collect::<Vec<_>>() {
            match run.layer.exec().remove_forced(&id).await {
                Err(error) if !error.is_not_found() => panic!("{error:?}"),
                _ => run.model.containers.remove(&id),
            };
        }
        run.check().await;
        if run.model.containers.is_empty() {
            break;
        }
    }
    for scope in run.model.scopes.clone() {
        let info = run.layer.networks().inspect(SCOPES[scope]).await.unwrap();
        assert_eq!(info.free, u128::try_from(ADDRESSES).ok(), "{info:?}");
        assert_eq!(info.containers, []);
        run.layer.networks().remove(SCOPES[scope]).await.unwrap();
    }
    if let Some(left) = world.created().await {
        assert_eq!(left, BTreeSet::new());
    }
}
