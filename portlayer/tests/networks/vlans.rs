//! Port groups with VLANs that are created for bridge scopes on the switch of the bridge network.

use std::time::Duration;

use portlayer::conformance::{self, Case};
use portlayer::exec::Exec;
use portlayer::network::{EndpointSpec, Networks, ScopeSpec};
use portlayer::vsphere::{
    ContainerPolicy, Dialect, Hosts, InstallProgress, Options, Problem, VsphereExec,
};
use portlayer::{Capability, Error, ErrorKind};
use simulator::{Program, Reaction, Simulator, Tether};
use vim25::types::{
    HostNetworkInfo, HostNetworkPolicy, HostPortGroupSpec, NoDiskSpace, VirtualDeviceBackingInfo,
    VirtualDeviceDeviceBackingInfo, VirtualEthernetCardNetworkBackingInfo,
    VirtualMachineConfigSpec, VirtualMachineFileInfo,
};
use vim25::{Fault, Poly, Property, Ref, mo};
use vsphere_client::device::{DeviceList, nic};

use super::{Distributed, Endpoint, on, spec};

const SYSTEM: Property<mo::HostSystem, Ref<mo::HostNetworkSystem>> =
    Property::new("configManager.networkSystem");
const NETWORK: Property<mo::HostSystem, HostNetworkInfo> = Property::new("config.network");

/// Returns an ESXi host whose scopes get the VLANs 100 and 101 on the switch `vch`.
pub(super) async fn start() -> Endpoint {
    start_with("100-101").await
}

pub(super) async fn start_with(vlans: &str) -> Endpoint {
    let guest = Tether::new().program("/run", Program::forever());
    let simulator = Simulator::builder().guest(guest).start().await.unwrap();
    let spec = spec("vch").create_bridge(true).public_network("VM Network");
    let spec = spec.scope_vlans(vlans.parse().unwrap());
    Endpoint::install(simulator, Dialect::Vic1, spec).await
}

impl Endpoint {
    /// Returns the names and VLANs of the port groups of the switch `vch`.
    pub(super) async fn vlans(&self) -> Vec<(String, i32)> {
        let host = Ref::<mo::HostSystem>::new("ha-host");
        let groups = self.client.get(&host, NETWORK).await.unwrap().portgroup;
        let of_switch = groups.into_iter().filter(|g| g.spec.vswitch_name == "vch");
        of_switch.map(|g| (g.spec.name, g.spec.vlan_id)).collect()
    }

    pub(super) async fn add_port_group(&self, name: &str, vlan: i32) {
        let host = Ref::<mo::HostSystem>::new("ha-host");
        let system = self.client.get(&host, SYSTEM).await.unwrap();
        let spec = HostPortGroupSpec {
            name: name.to_owned(),
            vlan_id: vlan,
            vswitch_name: "vch".to_owned(),
            policy: HostNetworkPolicy::default(),
        };
        let added = self.client.call(system.add_port_group(&spec)).await;
        added.unwrap();
    }

    /// Creates a machine with a card on the network with this name.
    pub(super) async fn add_machine(&self, name: &str, network: &str) -> Ref<mo::VirtualMachine> {
        let inventory = self.client.inventory();
        let datacenter = inventory.datacenter(None).await.unwrap();
        let pool = inventory.resource_pool(&datacenter, None).await.unwrap();
        let backing = VirtualEthernetCardNetworkBackingInfo {
            base: VirtualDeviceDeviceBackingInfo {
                device_name: network.to_owned(),
                ..VirtualDeviceDeviceBackingInfo::default()
            },
            ..VirtualEthernetCardNetworkBackingInfo::default()
        };
        let mut devices = DeviceList::default();
        let backing: Poly<VirtualDeviceBackingInfo> = Poly::new(backing);
        devices.add(nic(backing)).unwrap();
        let files = VirtualMachineFileInfo {
            vm_path_name: Some("[datastore1]".to_owned()),
            ..VirtualMachineFileInfo::default()
        };
        let spec = VirtualMachineConfigSpec {
            name: Some(name.to_owned()),
            files: Some(Box::new(files)),
            device_change: devices.into_changes(),
            ..VirtualMachineConfigSpec::default()
        };
        let folder = datacenter.vm_folder();
        let created = self.client.run(folder.create_vm(&spec, &pool, None));
        created.await.unwrap()
    }

    /// Opens the host as the next program would.
    pub(super) async fn reopen(&self, sole_writer: bool) -> VsphereExec {
        let options = Options {
            sole_writer,
            takeover_timeout: Duration::from_millis(300),
            ..Options::default()
        };
        let hosts = Hosts::new(self.client.clone(), options);
        hosts.exec("vch").await.unwrap()
    }
}

fn group(vlan: i32) -> (String, i32) {
    (format!("vch-vlan-{vlan}"), vlan)
}

fn cause(error: &Error) -> String {
    std::error::Error::source(error).unwrap().to_string()
}

#[tokio::test]
async fn each_bridge_scope_has_a_port_group_until_it_is_removed() {
    let endpoint = start().await;
    let bridge = ("vch".to_owned(), 1);
    assert_eq!(endpoint.vlans().await, std::slice::from_ref(&bridge));
    let exec = endpoint.reopen(false).await;
    assert!(exec.capabilities().contains(Capability::ScopeVlans));
    let networks = exec.networks();
    let a = networks.create(ScopeSpec::bridge("a")).await.unwrap();
    assert_eq!(a.network.as_deref(), Some("vch-vlan-100"));
    let b = networks.create(ScopeSpec::bridge("b")).await.unwrap();
    assert_eq!(b.network.as_deref(), Some("vch-vlan-101"));
    let made = [bridge.clone(), group(100), group(101)];
    assert_eq!(endpoint.vlans().await, made);
    // Nothing is changed by what is refused.
    let full = networks.create(ScopeSpec::bridge("c")).await.unwrap_err();
    assert!(matches!(full.kind, ErrorKind::Exhausted { .. }), "{full:?}");
    assert!(cause(&full).contains("100-101"), "{full:?}");
    let lab = ScopeSpec::external("lab", "vch-vlan-100");
    let refused = networks.create(lab).await.unwrap_err();
    assert!(cause(&refused).contains("is reserved"), "{refused:?}");
    let spec = on("c", "bridge").endpoint(EndpointSpec::new("a"));
    let id = exec.create(spec).await.unwrap();
    let macs = exec.inspect(&id).await.unwrap().endpoints;
    let macs: Vec<_> = macs.iter().map(|e| e.mac.unwrap().to_string()).collect();
    let cards = endpoint.cards(&id).await.into_iter().map(|card| card.0);
    assert_eq!(cards.collect::<Vec<_>>(), macs);
    assert_ne!(macs[0], macs[1]);
    let used = networks.remove("a").await.unwrap_err();
    assert_eq!(used.kind, ErrorKind::InUse { by: "c".into() });
    assert_eq!(endpoint.vlans().await, made);

    // Another program removes the scope.
    let other = endpoint.another().await;
    assert_eq!(other.networks().inspect("b").await.unwrap(), b);
    exec.remove(&id).await.unwrap();
    other.networks().remove("a").await.unwrap();
    assert_eq!(endpoint.vlans().await, [bridge.clone(), group(101)]);
    let c = networks.create(ScopeSpec::bridge("c")).await.unwrap();
    assert_eq!(c.network, a.network);
    assert_eq!(exec.check().await.unwrap(), []);
    drop((exec, other));
    let delete = endpoint.hosts.delete("vch", ContainerPolicy::Refuse);
    delete.await.unwrap();
    assert_eq!(endpoint.vlans().await, []);
}

/// The conformance cases about scopes hold, and leave no port group.
#[tokio::test]
async fn scopes_with_vlans_conform() {
    let endpoint = start_with("100-199").await;
    let about_scopes =
        |case: &Case| case.needs.contains(&Capability::Networks) && case.name.contains("scope");
    let report = conformance::run_where(&endpoint, about_scopes).await;
    assert!(report.is_success(), "{report}");
    assert!(report.outcomes().len() >= 6, "{report}");
    assert_eq!(endpoint.vlans().await.len(), 1);
}

/// Port groups that others made are neither used nor removed.
#[tokio::test]
async fn port_groups_of_others_are_left_alone() {
    let endpoint = start().await;
    endpoint.add_port_group("theirs", 100).await;
    let exec = endpoint.reopen(false).await;
    let networks = exec.networks();
    let a = networks.create(ScopeSpec::bridge("a")).await.unwrap();
    assert_eq!(a.network.as_deref(), Some("vch-vlan-101"));
    // Somebody else has a machine on the port group of the scope.
    let theirs = endpoint.add_machine("theirs", "vch-vlan-101").await;
    let made = endpoint.vlans().await;
    let refused = networks.remove("a").await.unwrap_err();
    let by = "theirs".into();
    assert_eq!(refused.kind, ErrorKind::InUse { by }, "{refused:?}");
    assert_eq!(*refused.resource().id, *"vch-vlan-101");
    assert_eq!(networks.inspect("a").await.unwrap(), a);
    assert_eq!(exec.check().await.unwrap(), []);
    assert_eq!(endpoint.vlans().await, made);
    endpoint.client.run(theirs.destroy()).await.unwrap();
    networks.remove("a").await.unwrap();
    assert_eq!(endpoint.vlans().await.len(), 2);
    // The switch that the installation made is kept for the port group of others.
    drop(exec);
    let delete = || endpoint.hosts.delete("vch", ContainerPolicy::Refuse);
    let refused = delete().await.unwrap_err();
    assert_eq!(
        refused.kind,
        ErrorKind::InUse {
            by: "theirs".into()
        }
    );
}

/// Another program creates a port group with the chosen name at the same moment.
#[tokio::test]
async fn a_name_that_is_taken_concurrently_is_not_used() {
    let endpoint = start().await;
    let exec = endpoint.reopen(false).await;
    let taken = Fault::new("taken", vim25::types::AlreadyExists::default());
    let script = endpoint.simulator.script();
    script.next("AddPortGroup", Reaction::Fault(taken));
    let a = exec
        .networks()
        .create(ScopeSpec::bridge("a"))
        .await
        .unwrap();
    assert!(a.network.is_some());
    assert_eq!(endpoint.vlans().await.len(), 2);
    assert_eq!(exec.check().await.unwrap(), []);
}

/// The step at which a change of a scope is interrupted.
#[derive(Clone, Copy, Debug)]
enum End {
    BeforeAdding,
    AfterAdding,
    BeforeRemoving,
    AfterRemoving,
}

/// Interrupts a change of the scope `a` such that nothing of it is undone.
async fn interrupt(endpoint: &Endpoint, end: End) {
    let fails = || Reaction::Fault(Fault::new("full", NoDiskSpace::default()));
    let exec = endpoint.reopen(false).await;
    let networks = exec.networks();
    let script = endpoint.simulator.script();
    let create = || networks.create(ScopeSpec::bridge("a"));
    let failed = match end {
        End::BeforeAdding => {
            script.always("AddPortGroup", fails());
            script.nth("ReconfigVM_Task", 2, fails());
            create().await.err()
        }
        End::AfterAdding => {
            script.nth("ReconfigVM_Task", 2, fails());
            script.always("RemovePortGroup", fails());
            create().await.err()
        }
        End::BeforeRemoving | End::AfterRemoving => {
            create().await.unwrap();
            script.nth("ReconfigVM_Task", 2, fails());
            if matches!(end, End::BeforeRemoving) {
                script.always("RemovePortGroup", fails());
            }
            networks.remove("a").await.err()
        }
    };
    assert!(failed.is_some(), "{end:?}");
    script.clear();
    let has_group = endpoint.vlans().await.len() == 2;
    let expected = matches!(end, End::AfterAdding | End::BeforeRemoving);
    assert_eq!(has_group, expected, "{end:?}");
}

const ENDS: [End; 4] = [
    End::BeforeAdding,
    End::AfterAdding,
    End::BeforeRemoving,
    End::AfterRemoving,
];

/// A program that may not be the only one reports the change. It does nothing about it before a
/// caller repairs the host or removes the scope.
#[tokio::test]
async fn an_interrupted_change_is_found_and_repaired() {
    let endpoint = start().await;
    for end in ENDS {
        interrupt(&endpoint, end).await;
        let exec = endpoint.reopen(false).await;
        let networks = exec.networks();
        let found = exec.check().await.unwrap();
        assert_eq!(found.len(), 1, "{end:?}: {found:?}");
        assert_eq!(found[0].problem, Problem::UnfinishedScope);
        assert!(found[0].is_repairable() && found[0].to_string().contains("scope a"));
        assert_eq!(networks.list().await.unwrap().len(), 1);
        let refused = networks.create(ScopeSpec::bridge("a")).await.unwrap_err();
        assert!(
            matches!(refused.kind, ErrorKind::InUse { .. }),
            "{refused:?}"
        );
        let refused = exec.create(on("c", "a")).await.unwrap_err();
        assert!(refused.is_not_found(), "{refused:?}");
        let done = exec.repair().await.unwrap();
        assert_eq!((done.repaired.len(), done.failed.len()), (1, 0), "{done:?}");
        assert_eq!(exec.check().await.unwrap(), []);
        assert_eq!(endpoint.vlans().await.len(), 1, "{end:?}");
    }
    // Removing the scope finishes the change too.
    interrupt(&endpoint, End::AfterAdding).await;
    let networks = endpoint.reopen(false).await.networks();
    networks.remove("a").await.unwrap();
    assert!(networks.remove("a").await.unwrap_err().is_not_found());
    assert_eq!(endpoint.vlans().await.len(), 1);
}

/// The only writer finishes the change when it opens the host, or earlier if it needs the name.
#[tokio::test]
async fn an_interrupted_change_is_finished_by_the_only_writer() {
    let endpoint = start().await;
    interrupt(&endpoint, End::AfterAdding).await;
    let exec = endpoint.reopen(true).await;
    let finished = async {
        while !exec.check().await.unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    let finished = tokio::time::timeout(Duration::from_secs(10), finished).await;
    assert!(finished.is_ok(), "the scope stays unfinished");
    assert_eq!(endpoint.vlans().await.len(), 1);

    let endpoint = start().await;
    interrupt(&endpoint, End::BeforeRemoving).await;
    let exec = endpoint.reopen(true).await;
    let networks = exec.networks();
    networks.create(ScopeSpec::bridge("a")).await.unwrap();
    assert_eq!(endpoint.vlans().await.len(), 2);
    networks.remove("a").await.unwrap();
    assert_eq!(endpoint.vlans().await.len(), 1);
}

/// If it is unknown whether a port group was created or removed, the scope stays unfinished.
#[tokio::test]
async fn an_unknown_outcome_leaves_an_unfinished_scope() {
    let endpoint = start().await;
    let exec = endpoint.reopen(false).await;
    let networks = exec.networks();
    let script = endpoint.simulator.script();
    script.next("AddPortGroup", Reaction::LoseAnswer);
    let lost = networks.create(ScopeSpec::bridge("a")).await.unwrap_err();
    assert!(
        matches!(lost.kind, ErrorKind::OutcomeUnknown { .. }),
        "{lost:?}"
    );
    let problems = || async {
        let found = exec.check().await.unwrap();
        found.into_iter().map(|f| f.problem).collect::<Vec<_>>()
    };
    assert_eq!(problems().await, [Problem::UnfinishedScope]);
    networks.remove("a").await.unwrap();
    networks.create(ScopeSpec::bridge("a")).await.unwrap();
    script.next("RemovePortGroup", Reaction::LoseAnswer);
    let lost = networks.remove("a").await.unwrap_err();
    assert!(
        matches!(lost.kind, ErrorKind::OutcomeUnknown { .. }),
        "{lost:?}"
    );
    assert_eq!(problems().await, [Problem::UnfinishedScope]);
    networks.remove("a").await.unwrap();
    assert_eq!(problems().await, []);
    assert_eq!(endpoint.vlans().await.len(), 1);
}

/// Deleting a host removes the port groups of scopes, even unfinished ones.
#[tokio::test]
async fn a_deleted_host_leaves_no_port_group_of_an_unfinished_scope() {
    let endpoint = start().await;
    interrupt(&endpoint, End::AfterAdding).await;
    let delete = endpoint.hosts.delete("vch", ContainerPolicy::Refuse);
    delete.await.unwrap();
    assert_eq!(endpoint.vlans().await, []);
}

/// Programs that create scopes at the same time choose different subnets and VLANs.
#[tokio::test]
async fn scopes_of_two_programs_overlap_neither_in_subnets_nor_in_vlans() {
    let endpoint = start().await;
    let plain = spec("plain").public_network("VM Network");
    let plain = plain.create_bridge(true);
    let quiet = |_: InstallProgress| {};
    endpoint.hosts.install(plain, &quiet).await.unwrap();
    for (host, count) in [("vch", 1), ("plain", 4)] {
        let mut programs = Vec::new();
        for _ in 0..2 {
            let hosts = Hosts::new(endpoint.client.clone(), Options::default());
            programs.push(hosts.exec(host).await.unwrap());
        }
        let create = |program: usize| {
            let networks = programs[program].networks();
            async move {
                for n in 0..count {
                    let spec = ScopeSpec::bridge(format!("scope-{program}-{n}"));
                    networks.create(spec).await.unwrap();
                }
            }
        };
        tokio::join!(create(0), create(1));
        let hosts = Hosts::new(endpoint.client.clone(), Options::default());
        let third = hosts.exec(host).await.unwrap();
        let scopes = third.networks().list().await.unwrap();
        assert_eq!(scopes.len(), 1 + 2 * count, "{host}: {scopes:?}");
        let mut subnets: Vec<_> = scopes.iter().map(|s| s.spec.subnet).collect();
        subnets.sort();
        subnets.dedup();
        assert_eq!(subnets.len(), scopes.len(), "{host}");
        let mut own: Vec<_> = scopes.iter().filter_map(|s| s.network.as_deref()).collect();
        own.sort_unstable();
        own.dedup();
        assert_eq!(own.len(), if host == "vch" { 2 } else { 0 }, "{host}");
    }
}

/// On vCenter, the port groups are added to the distributed switch of the bridge network.
#[tokio::test]
async fn scopes_get_distributed_port_groups_with_vlans() {
    let vlans = "100-101".parse().unwrap();
    let fixture = Distributed::start(|spec| spec.scope_vlans(vlans)).await;
    let exec = fixture.0.reopen(false).await;
    assert!(exec.capabilities().contains(Capability::ScopeVlans));
    let networks = exec.networks();
    let a = networks.create(ScopeSpec::bridge("a")).await.unwrap();
    assert_eq!(a.network.as_deref(), Some("vch-vlan-100"));
    let b = networks.create(ScopeSpec::bridge("b")).await.unwrap();
    assert_eq!(b.network.as_deref(), Some("vch-vlan-101"));
    let full = networks.create(ScopeSpec::bridge("c")).await.unwrap_err();
    assert!(matches!(full.kind, ErrorKind::Exhausted { .. }), "{full:?}");
    let spec = on("c", "a").endpoint(EndpointSpec::new("b"));
    let id = exec.create(spec).await.unwrap();
    let mut expected = Vec::new();
    for name in ["vch-vlan-100", "vch-vlan-101"] {
        expected.push(fixture.key_of(name).await);
    }
    assert_eq!(fixture.port_groups(&id).await, expected);
    // A machine that nobody here knows is connected.
    let script = fixture.0.simulator.script();
    let used = Fault::new("in use", vim25::types::ResourceInUse::default());
    exec.remove(&id).await.unwrap();
    script.next("Destroy_Task", Reaction::TaskFault(used));
    let refused = networks.remove("a").await.unwrap_err();
    assert!(
        matches!(refused.kind, ErrorKind::InUse { .. }),
        "{refused:?}"
    );
    assert_eq!(networks.inspect("a").await.unwrap(), a);
    networks.remove("a").await.unwrap();
    let c = networks.create(ScopeSpec::bridge("c")).await.unwrap();
    assert_eq!(c.network, a.network);
    drop((exec, networks));
    let delete = fixture.0.hosts.delete("vch", ContainerPolicy::Refuse);
    delete.await.unwrap();
    let inventory = fixture.0.client.inventory();
    let datacenter = inventory.datacenter(None).await.unwrap();
    for vlan in [100, 101] {
        let name = format!("vch-vlan-{vlan}");
        let found = inventory.network(&datacenter, Some(&name)).await;
        assert!(found.is_err(), "{name} is left");
    }
}
