//! Port groups that the endpoint creates or removes late: after the program that requested it has
//! ended, and another one has finished its change.

use std::collections::BTreeSet;
use std::time::Duration;

use portlayer::exec::Exec;
use portlayer::network::{Networks, ScopeSpec};
use portlayer::vsphere::{ContainerPolicy, Hosts, Options, Problem, VsphereExec};
use portlayer::{ContainerId, ErrorKind, PortLayer};
use proptest::prelude::ProptestConfig;
use simulator::Reaction;
use vim25::types::{
    DVPortgroupConfigSpec, VMwareDVSPortSetting, VmwareDistributedVirtualSwitchVlanIdSpec,
};
use vim25::{Poly, mo, props};

use super::random_networks::{self, World};
use super::vlans::{start, start_with};
use super::{Distributed, Endpoint, on};

/// A host whose scopes get port groups with VLANs from 100 on.
struct Vlans {
    endpoint: Endpoint,
    is_distributed: bool,
}

const ADD: [&str; 2] = ["AddPortGroup", "AddDVPortgroup_Task"];
const REMOVE: &str = "RemovePortGroup";

impl Vlans {
    async fn start(is_distributed: bool, vlans: &str) -> Self {
        let endpoint = if is_distributed {
            let range = vlans.parse().unwrap();
            Distributed::start(|spec| spec.scope_vlans(range)).await.0
        } else {
            start_with(vlans).await
        };
        Self {
            endpoint,
            is_distributed,
        }
    }

    fn add(&self) -> &'static str {
        ADD[usize::from(self.is_distributed)]
    }

    /// Returns the names of all networks that are named like those of scopes.
    async fn names(&self) -> BTreeSet<String> {
        let client = &self.endpoint.client;
        let networks = client.retrieve::<mo::Network>();
        let networks = networks
            .property(props::network::NAME)
            .within(&client.service_content().root_folder);
        let found = networks.collect().await.unwrap();
        let names = found.iter().filter_map(|n| n.value(props::network::NAME));
        names.filter(|name| name.starts_with("vch-vlan-")).collect()
    }

    async fn count(&self) -> usize {
        self.names().await.len()
    }

    /// Carries out the held requests, and waits until this many calls of a method were carried out.
    async fn release(&self, method: &str, calls: u64) {
        let script = self.endpoint.simulator.script();
        script.release();
        eventually("the held request is carried out", async || {
            script.calls().get(method).is_some_and(|n| *n >= calls)
        })
        .await;
    }

    fn calls(&self, method: &str) -> u64 {
        let calls = self.endpoint.simulator.script().calls();
        calls.get(method).copied().unwrap_or(0)
    }

    /// A program ends while its request for a port group is on its way. The next one, the only
    /// writer if `sole_writer`, finishes its change; then the endpoint creates the port group.
    async fn create_late(&self, sole_writer: bool) -> VsphereExec {
        let dying = self.endpoint.reopen(false).await;
        let script = self.endpoint.simulator.script();
        let (add, before) = (self.add(), self.calls(self.add()));
        script.next(add, Reaction::Hold);
        let created = dying.networks().create(ScopeSpec::bridge("dying")).await;
        let lost = created.unwrap_err();
        assert!(
            matches!(lost.kind, ErrorKind::OutcomeUnknown { .. }),
            "{lost:?}"
        );
        drop(dying);
        let exec = self.endpoint.reopen(sole_writer).await;
        if sole_writer {
            eventually("the change is finished", async || {
                exec.check().await.unwrap().is_empty()
            })
            .await;
        } else {
            let done = exec.repair().await.unwrap();
            assert_eq!((done.repaired.len(), done.failed.len()), (1, 0), "{done:?}");
        }
        assert_eq!(exec.check().await.unwrap(), []);
        assert_eq!(self.count().await, 0);
        self.release(add, before + 1).await;
        eventually("the port group is there", async || self.count().await == 1).await;
        exec
    }
}

async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let met = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let met = tokio::time::timeout(Duration::from_secs(20), met).await;
    assert!(met.is_ok(), "{what}");
}

const KINDS: [bool; 2] = [false, true];

/// It is reported and repaired, and its VLAN can be used again.
#[tokio::test]
async fn a_port_group_that_is_created_late_is_found() {
    for is_distributed in KINDS {
        let vlans = Vlans::start(is_distributed, "100-100").await;
        let exec = vlans.create_late(false).await;
        let found = exec.check().await.unwrap();
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].problem, Problem::StrayPortGroup(100));
        assert!(found[0].is_repairable() && found[0].to_string().contains("vch-vlan-100"));
        let done = exec.repair().await.unwrap();
        assert_eq!((done.repaired.len(), done.failed.len()), (1, 0), "{done:?}");
        assert_eq!(exec.check().await.unwrap(), []);
        assert_eq!(vlans.count().await, 0);
        assert_eq!(exec.networks().list().await.unwrap().len(), 1);
    }
}

/// Creating a scope, removing one, and opening the host as its only writer remove it.
#[tokio::test]
async fn a_port_group_that_is_created_late_is_removed() {
    for is_distributed in KINDS {
        let vlans = Vlans::start(is_distributed, "100-101").await;
        let exec = vlans.create_late(false).await;
        let networks = exec.networks();
        let b = networks.create(ScopeSpec::bridge("b")).await.unwrap();
        assert_eq!(b.network.as_deref(), Some("vch-vlan-100"));
        assert_eq!(vlans.count().await, 1);
        assert_eq!(exec.check().await.unwrap(), []);
        networks.remove("b").await.unwrap();
        assert_eq!(vlans.count().await, 0);

        let networks = vlans.create_late(false).await.networks();
        let refused = networks.remove("b").await.unwrap_err();
        assert!(refused.is_not_found(), "{refused:?}");
        assert_eq!(vlans.count().await, 1);
        drop(vlans.endpoint.reopen(true).await);
        let exec = vlans.endpoint.reopen(true).await;
        eventually("the only writer removes it", async || {
            vlans.count().await == 0 && exec.check().await.unwrap().is_empty()
        })
        .await;
    }
}

/// A scope is removed while a late port group is there.
#[tokio::test]
async fn removing_a_scope_removes_late_port_groups_of_others() {
    for is_distributed in KINDS {
        let vlans = Vlans::start(is_distributed, "100-101").await;
        // It gets the VLAN 100, so the late port group has the VLAN 101.
        let before = vlans.endpoint.reopen(false).await;
        let stays = before.networks().create(ScopeSpec::bridge("stays")).await;
        drop((before, stays.unwrap()));
        let dying = vlans.endpoint.reopen(false).await;
        let script = vlans.endpoint.simulator.script();
        let calls = vlans.calls(vlans.add());
        script.next(vlans.add(), Reaction::Hold);
        let lost = dying.networks().create(ScopeSpec::bridge("dying")).await;
        lost.unwrap_err();
        drop(dying);
        let exec = vlans.endpoint.reopen(false).await;
        exec.networks().remove("dying").await.unwrap();
        vlans.release(vlans.add(), calls + 1).await;
        eventually("both are there", async || vlans.count().await == 2).await;
        exec.networks().remove("stays").await.unwrap();
        assert_eq!(vlans.count().await, 0);
        assert_eq!(exec.check().await.unwrap(), []);
    }
}

/// The only writer looks again after the timeout of a task, without being called.
#[tokio::test]
async fn an_idle_writer_removes_a_port_group_that_is_created_late() {
    let vlans = Vlans::start(false, "100-101").await;
    let dying = vlans.endpoint.reopen(false).await;
    let script = vlans.endpoint.simulator.script();
    script.next(ADD[0], Reaction::Hold);
    let created = dying.networks().create(ScopeSpec::bridge("dying")).await;
    created.unwrap_err();
    drop(dying);
    let options = Options {
        sole_writer: true,
        takeover_timeout: Duration::from_millis(300),
        task_timeout: Duration::from_secs(3),
        ..Options::default()
    };
    let hosts = Hosts::new(vlans.endpoint.client.clone(), options);
    let exec = hosts.exec("vch").await.unwrap();
    eventually("the change is finished", async || {
        exec.check().await.unwrap().is_empty()
    })
    .await;
    vlans.release(ADD[0], 2).await;
    assert_eq!(vlans.count().await, 1);
    eventually("it is removed", async || vlans.count().await == 0).await;
    eventually("nothing is left", async || {
        exec.check().await.unwrap().is_empty()
    })
    .await;
}

/// Deleting the host removes it.
#[tokio::test]
async fn a_deleted_host_leaves_no_port_group_that_was_created_late() {
    for is_distributed in KINDS {
        let vlans = Vlans::start(is_distributed, "100-101").await;
        drop(vlans.create_late(false).await);
        let hosts = &vlans.endpoint.hosts;
        let deleted = hosts.delete("vch", ContainerPolicy::Refuse).await;
        deleted.unwrap();
        assert_eq!(vlans.count().await, 0);
    }
}

/// A port group that is removed late, after another scope got its name, is created again.
#[tokio::test]
async fn a_port_group_that_is_removed_late_is_created_again() {
    let vlans = Vlans::start(false, "100-100").await;
    let dying = vlans.endpoint.reopen(false).await;
    dying
        .networks()
        .create(ScopeSpec::bridge("a"))
        .await
        .unwrap();
    let script = vlans.endpoint.simulator.script();
    for sole_writer in [false, true] {
        let calls = vlans.calls(REMOVE);
        script.next(REMOVE, Reaction::Hold);
        let other = vlans.endpoint.reopen(false).await;
        let lost = other.networks().remove("a").await.unwrap_err();
        assert!(
            matches!(lost.kind, ErrorKind::OutcomeUnknown { .. }),
            "{lost:?}"
        );
        drop(other);
        let exec = vlans.endpoint.reopen(false).await;
        exec.networks().remove("a").await.unwrap();
        let again = exec.networks().create(ScopeSpec::bridge("a")).await;
        assert_eq!(again.unwrap().network.as_deref(), Some("vch-vlan-100"));
        // The first removal was carried out by the second program.
        vlans.release(REMOVE, calls + 2).await;
        assert_eq!(vlans.count().await, 0);
        let found = exec.check().await.unwrap();
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].problem, Problem::MissingPortGroup);
        assert!(found[0].is_repairable() && found[0].to_string().contains("scope a"));
        if sole_writer {
            drop(exec);
            let exec = vlans.endpoint.reopen(true).await;
            eventually("the only writer creates it", async || {
                exec.check().await.unwrap().is_empty()
            })
            .await;
        } else {
            let done = exec.repair().await.unwrap();
            assert_eq!((done.repaired.len(), done.failed.len()), (1, 0), "{done:?}");
            assert_eq!(exec.check().await.unwrap(), []);
        }
        assert_eq!(vlans.count().await, 1);
    }
    let exec = vlans.endpoint.reopen(false).await;
    exec.create(on("c", "a")).await.unwrap();
}

/// Port groups of others that are named like those of scopes are recognized: on a standard switch by
/// another VLAN, on a distributed one by their description.
#[tokio::test]
async fn port_groups_that_only_look_like_those_of_scopes_stay() {
    let endpoint = start().await;
    endpoint.add_port_group("vch-vlan-100", 7).await;
    endpoint.add_port_group("vch-vlan-300", 300).await;
    let exec = endpoint.reopen(false).await;
    assert_eq!(exec.check().await.unwrap(), []);
    let networks = exec.networks();
    let a = networks.create(ScopeSpec::bridge("a")).await.unwrap();
    assert_eq!(a.network.as_deref(), Some("vch-vlan-101"));
    networks.remove("a").await.unwrap();
    assert_eq!(endpoint.vlans().await.len(), 3);

    let vlans = Vlans::start(true, "100-101").await;
    vlans.add_distributed("vch-vlan-100", 100).await;
    let exec = vlans.endpoint.reopen(false).await;
    assert_eq!(exec.check().await.unwrap(), []);
    let networks = exec.networks();
    let a = networks.create(ScopeSpec::bridge("a")).await.unwrap();
    assert_eq!(a.network.as_deref(), Some("vch-vlan-101"));
    networks.remove("a").await.unwrap();
    drop(exec);
    let hosts = &vlans.endpoint.hosts;
    hosts.delete("vch", ContainerPolicy::Refuse).await.unwrap();
    assert_eq!(vlans.count().await, 1);
}

/// A stray port group that somebody has a machine on stays, is reported, and stops nothing.
#[tokio::test]
async fn a_late_port_group_in_use_is_reported_with_its_machine() {
    let vlans = Vlans::start(false, "100-101").await;
    let exec = vlans.create_late(false).await;
    let machine = vlans.endpoint.add_machine("theirs", "vch-vlan-100").await;
    let networks = exec.networks();
    let a = networks.create(ScopeSpec::bridge("a")).await.unwrap();
    assert_eq!(a.network.as_deref(), Some("vch-vlan-101"));
    let done = exec.repair().await.unwrap();
    assert_eq!((done.repaired.len(), done.failed.len()), (0, 1), "{done:?}");
    let (found, error) = &done.failed[0];
    assert_eq!(found.problem, Problem::StrayPortGroup(100));
    assert_eq!(
        error.kind,
        ErrorKind::InUse {
            by: "theirs".into()
        }
    );
    let destroyed = vlans.endpoint.client.run(machine.destroy()).await;
    destroyed.unwrap();
    networks.remove("a").await.unwrap();
    assert_eq!(vlans.count().await, 0);
    assert_eq!(exec.check().await.unwrap(), []);
}

impl Vlans {
    /// Adds a distributed port group as somebody else would.
    async fn add_distributed(&self, name: &str, vlan: i32) {
        let client = &self.endpoint.client;
        let root = &client.service_content().root_folder;
        let switches = client.retrieve::<mo::DistributedVirtualSwitch>();
        let switches = switches
            .property(props::distributed_virtual_switch::NAME)
            .within(root);
        let switches = switches.collect().await.unwrap();
        let id = VmwareDistributedVirtualSwitchVlanIdSpec {
            vlan_id: vlan,
            ..Default::default()
        };
        let setting = VMwareDVSPortSetting {
            vlan: Some(Poly::new(id)),
            ..Default::default()
        };
        let spec = DVPortgroupConfigSpec {
            name: Some(name.to_owned()),
            type_: Some("earlyBinding".to_owned()),
            default_port_config: Some(Poly::new(setting)),
            ..Default::default()
        };
        let add = switches[0].object().add_dv_portgroup(&[spec]);
        client.run(add).await.unwrap();
    }
}

impl World for Vlans {
    const FORGETS: bool = true;
    const CARD_PER_SCOPE: bool = true;

    async fn open(&self) -> PortLayer {
        self.recover().await;
        self.endpoint.another().await
    }

    fn lose_answers(&self) {
        World::lose_answers(&self.endpoint);
    }

    fn hear(&self) {
        World::hear(&self.endpoint);
    }

    fn hold(&self) {
        let script = self.endpoint.simulator.script();
        for method in ADD.into_iter().chain([REMOVE]) {
            script.next(method, Reaction::Hold);
        }
    }

    async fn release(&self) {
        self.endpoint.simulator.script().release();
    }

    async fn recover(&self) {
        let exec = self.endpoint.reopen(false).await;
        exec.repair().await.unwrap();
    }

    async fn created(&self) -> Option<BTreeSet<String>> {
        Some(self.names().await)
    }

    async fn copy(&self, from: &ContainerId, to: &ContainerId) -> bool {
        World::copy(&self.endpoint, from, to).await
    }
}

proptest::proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 64, ..ProptestConfig::with_cases(4) })]

    #[test]
    fn no_scope_loses_its_port_group_and_none_is_left_under_failures(
        is_distributed: bool,
        steps in random_networks::steps(),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        runtime.unwrap().block_on(async {
            let world = Vlans::start(is_distributed, "100-103").await;
            random_networks::run(&world, steps).await;
        });
    }
}
