//! Networks on vSphere, observed directly with the client, including failures.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use async_trait::async_trait;
use portlayer::conformance::{self, Case, Fixture, Process};
use portlayer::exec::{Command, ContainerSpec, Edit, StartOptions};
use portlayer::network::{BridgeRange, EndpointSpec, ScopeSpec};
use portlayer::vsphere::{Dialect, HostSpec, Hosts, InstallProgress, Options};
use portlayer::{Capability, ContainerId, ErrorKind, PortLayer, Resource, Result};
use proptest::prelude::ProptestConfig;
use simulator::{Platform, Program, Reaction, Simulator, Tether, Topology};
use vim25::types::{
    OptionValue, VirtualDevice, VirtualDevicePciBusSlotInfo, VirtualEthernetCard,
    VirtualEthernetCardDistributedVirtualPortBackingInfo, VirtualMachineConfigSpec,
    VirtualMachineFileInfo,
};
use vim25::{Poly, Property, Ref, mo, props};

mod forgotten;
mod late;
mod vlans;

use super::random_networks::{self, World};
use super::{Endpoint, spec};

const DEVICES: Property<mo::VirtualMachine, Vec<Poly<VirtualDevice>>> =
    Property::new("config.hardware.device");
const EXTRA_CONFIG: Property<mo::VirtualMachine, Vec<Poly<OptionValue>>> =
    Property::new("config.extraConfig");

fn on(name: &str, scope: &str) -> ContainerSpec {
    ContainerSpec::new(name, Command::new("/run")).endpoint(EndpointSpec::new(scope))
}

fn small(name: &str, n: u8) -> ScopeSpec {
    ScopeSpec::bridge(name).subnet(format!("198.18.{n}.0/29").parse().unwrap())
}

impl Endpoint {
    /// Opens the host as another program would.
    async fn another(&self) -> PortLayer {
        let options = Options {
            dialect: self.dialect,
            ..Options::default()
        };
        let hosts = Hosts::new(self.client.clone(), options);
        hosts.open("vch").await.unwrap()
    }

    async fn machine(&self, id: &ContainerId) -> Ref<mo::VirtualMachine> {
        let root = &self.client.service_content().root_folder;
        let name = props::virtual_machine::NAME;
        let all = self.client.retrieve().property(name).within(root);
        let all = all.collect().await.unwrap();
        let (full, short) = (id.to_string(), id.short());
        let is_its = |name: String| name == full || name.ends_with(&short);
        let found = all.iter().find(|vm| vm.value(name).is_some_and(is_its));
        found.unwrap().object().clone()
    }

    /// Returns the MAC address and the PCI slot of each card.
    async fn cards(&self, id: &ContainerId) -> Vec<(String, i32)> {
        let vm = self.machine(id).await;
        let devices = self.client.get(&vm, DEVICES).await.unwrap();
        let cards = devices
            .iter()
            .filter_map(|device| device.base::<VirtualEthernetCard>().unwrap());
        cards
            .map(|card| {
                assert_eq!(card.address_type.as_deref(), Some("manual"));
                let slot = card.slot_info.as_ref().unwrap();
                let slot = slot.get::<VirtualDevicePciBusSlotInfo>().unwrap().unwrap();
                (card.mac_address.clone().unwrap(), slot.pci_slot_number)
            })
            .collect()
    }

    async fn keys(&self, vm: &Ref<mo::VirtualMachine>) -> BTreeMap<String, String> {
        let options = self.client.get(vm, EXTRA_CONFIG).await.unwrap();
        let options = options
            .iter()
            .map(|option| option.base::<OptionValue>().unwrap().unwrap());
        options
            .filter_map(|option| Some((option.key.clone(), option.text()?)))
            .collect()
    }
}

async fn address(layer: &PortLayer, id: &ContainerId) -> IpAddr {
    let info = layer.exec().inspect(id).await.unwrap();
    info.endpoints[0].address.unwrap().addr()
}

#[tokio::test]
async fn a_container_has_one_card_for_all_bridge_scopes_and_one_per_external_network() {
    for (dialect, slots) in [
        (Dialect::Vic04, [192, 224]),
        (Dialect::Vic1, [0x4a0, 0x4c0]),
    ] {
        let endpoint = Endpoint::start(dialect, Platform::default()).await;
        let layer = endpoint.hosts.open("vch").await.unwrap();
        let networks = layer.networks();
        networks.create(small("a", 1)).await.unwrap();
        let lab = ScopeSpec::external("lab", "VM Network");
        networks.create(lab).await.unwrap();
        let spec = on("cards", "a")
            .endpoint(EndpointSpec::new("bridge"))
            .endpoint(EndpointSpec::new("lab"));
        let id = layer.exec().create(spec).await.unwrap();
        let info = layer.exec().inspect(&id).await.unwrap();
        let macs: Vec<_> = info
            .endpoints
            .iter()
            .map(|e| e.mac.unwrap().to_string())
            .collect();
        assert_eq!(macs[0], macs[1]);
        let cards = endpoint.cards(&id).await;
        assert_eq!(
            cards,
            [(macs[0].clone(), slots[0]), (macs[2].clone(), slots[1])]
        );
        let keys = endpoint.keys(&endpoint.machine(&id).await).await;
        let base = dialect.base();
        for (scope, slot) in [("a", slots[0]), ("bridge", slots[0]), ("lab", slots[1])] {
            let key = format!("{base}/networks|{scope}/Common/id");
            assert_eq!(keys.get(&key), Some(&slot.to_string()), "{key}");
        }

        // Disconnecting removes a card, and connecting adds one.
        let edit = Edit::new().disconnect("a").disconnect("bridge");
        layer.exec().update(&id, edit).await.unwrap();
        assert_eq!(endpoint.cards(&id).await, [(macs[2].clone(), slots[1])]);
        let edit = Edit::new().connect(EndpointSpec::new("bridge"));
        layer.exec().update(&id, edit).await.unwrap();
        let mut cards = endpoint.cards(&id).await;
        cards.sort_by_key(|card| card.1);
        assert_eq!(
            cards,
            [(macs[0].clone(), slots[0]), (macs[2].clone(), slots[1])]
        );
        let keys = endpoint.keys(&endpoint.machine(&id).await).await;
        assert_eq!(
            keys.get(&format!("{base}/networks")).map(String::as_str),
            Some("bridge|lab")
        );
        let again = endpoint.another().await.exec().inspect(&id).await.unwrap();
        assert_eq!(
            again.endpoints,
            layer.exec().inspect(&id).await.unwrap().endpoints
        );
    }
}

#[tokio::test]
async fn a_network_that_is_not_there_is_named_with_those_that_are() {
    let endpoint = Endpoint::start(Dialect::Vic1, Platform::default()).await;
    let layer = endpoint.hosts.open("vch").await.unwrap();
    let lab = ScopeSpec::external("lab", "No Network");
    let error = layer.networks().create(lab).await.unwrap_err();
    assert!(error.is_not_found(), "{error:?}");
    assert_eq!(*error.resource(), Resource::network("No Network"));
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("there is VM Network"), "{cause}");
    assert!(
        layer
            .networks()
            .inspect("lab")
            .await
            .unwrap_err()
            .is_not_found()
    );
}

/// An address assigned by DHCP is the one that the guest reports.
#[tokio::test]
async fn addresses_by_dhcp_are_resolved_both_ways() {
    let endpoint = Endpoint::start(Dialect::Vic1, Platform::default()).await;
    let layer = endpoint.hosts.open("vch").await.unwrap();
    let networks = layer.networks();
    let lab = ScopeSpec::external("lab.x", "VM Network");
    networks.create(lab).await.unwrap();
    let spec = ContainerSpec::new("c", Command::new("/run"));
    let spec = spec.endpoint(EndpointSpec::new("lab.x").alias("db"));
    let id = layer.exec().create(spec).await.unwrap();
    let vm = endpoint.machine(&id).await;
    // A dot in the scope's name does not separate parts of the key.
    let change = VirtualMachineConfigSpec {
        extra_config: [("IP", "CgAACQ=="), ("Mask", "////AA==")]
            .map(|(leaf, text)| {
                let key = format!("guestinfo.vice..networks|lab~x.assigned.{leaf}");
                Poly::new(OptionValue::new(&key, text))
            })
            .into(),
        ..Default::default()
    };
    endpoint.client.run(vm.reconfig_vm(&change)).await.unwrap();
    let again = endpoint.another().await;
    let address: IpAddr = [10, 0, 0, 9].into();
    let networks = again.networks();
    let resolved = networks.resolve("lab.x", None, "db").await.unwrap();
    assert_eq!(resolved, [address]);
    let names = networks.reverse("lab.x", address).await.unwrap();
    assert_eq!(names, ["c", "db"]);
    let other = networks.reverse("lab.x", [10, 0, 0, 8].into()).await;
    assert_eq!(other.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn a_hosts_range_is_its_own_and_kept() {
    for dialect in Dialect::ALL {
        let endpoint = Endpoint::start(dialect, Platform::default()).await;
        let range = BridgeRange::new("10.64.0.0/16".parse().unwrap(), 24).unwrap();
        let other = spec("other").bridge_range(range);
        endpoint
            .hosts
            .install(other, &|_: InstallProgress| {})
            .await
            .unwrap();
        let options = Options {
            dialect,
            ..Options::default()
        };
        let hosts = Hosts::new(endpoint.client.clone(), options);
        let subnet = async |host: &str| {
            let layer = hosts.open(host).await.unwrap();
            layer
                .networks()
                .inspect("bridge")
                .await
                .unwrap()
                .spec
                .subnet
        };
        assert_eq!(subnet("other").await, Some("10.64.0.0/24".parse().unwrap()));
        assert_eq!(subnet("vch").await, Some("172.16.0.0/20".parse().unwrap()));
    }
}

/// #7485: of two machines with the same address, the newer one is quarantined, and everything else
/// works.
#[tokio::test]
async fn of_two_machines_with_one_address_the_later_is_quarantined_7485() {
    let endpoint = Endpoint::start(Dialect::Vic1, Platform::default()).await;
    let layer = endpoint.hosts.open("vch").await.unwrap();
    layer.networks().create(small("a", 1)).await.unwrap();
    let exec = layer.exec();
    // The creation time has a resolution of one second; within a second, the ids decide.
    let [first, second] = [1, 2].map(|n| ContainerId::from_bytes([n; 32]));
    exec.create(on("first", "a").id(first)).await.unwrap();
    exec.create(on("second", "a").id(second)).await.unwrap();
    let third = exec.create(on("third", "a")).await.unwrap();
    let held = address(&layer, &first).await;
    let keys = endpoint.keys(&endpoint.machine(&first).await).await;
    let copied = keys.get("portlayer/endpoints").unwrap().clone();
    let change = VirtualMachineConfigSpec {
        extra_config: vec![Poly::new(OptionValue::new("portlayer/endpoints", copied))],
        ..Default::default()
    };
    let vm = endpoint.machine(&second).await;
    endpoint.client.run(vm.reconfig_vm(&change)).await.unwrap();

    let layer = endpoint.another().await;
    let exec = layer.exec();
    let listing = exec.list().await.unwrap();
    let ids: Vec<_> = listing.containers.iter().map(|c| c.id).collect();
    assert!(ids.contains(&first) && ids.contains(&third) && !ids.contains(&second));
    assert_eq!(listing.quarantined.len(), 1);
    assert_eq!(listing.quarantined[0].id, Some(second));
    let reason = &listing.quarantined[0].reason;
    assert!(
        reason.contains(&held.to_string()) && reason.contains("first"),
        "{reason}"
    );
    let refused = exec.start(&second, StartOptions::new()).await.unwrap_err();
    assert!(
        matches!(refused.kind, ErrorKind::InvalidState { .. }),
        "{refused:?}"
    );
    for id in [&first, &third] {
        exec.start(id, StartOptions::new()).await.unwrap();
    }
    // After reconnecting, it has an address of its own.
    let edit = Edit::new().connect(EndpointSpec::new("a").alias("x"));
    exec.update(&second, edit).await.unwrap();
    assert_ne!(address(&layer, &second).await, held);
    assert_eq!(exec.list().await.unwrap().quarantined, []);
    exec.start(&second, StartOptions::new()).await.unwrap();
}

/// #8405, #4494, #3769: changes to machines by other programs are noticed, and leak no address.
#[tokio::test]
async fn what_others_do_to_machines_is_noticed_8405_4494_3769() {
    let endpoint = Endpoint::start(Dialect::Vic1, Platform::default()).await;
    let layer = endpoint.hosts.open("vch").await.unwrap();
    layer.networks().create(small("a", 1)).await.unwrap();
    let free = async |layer: &PortLayer| layer.networks().inspect("a").await.unwrap().free;
    let mut ids = Vec::new();
    for n in 0..3 {
        ids.push(
            layer
                .exec()
                .create(on(&format!("c{n}"), "a"))
                .await
                .unwrap(),
        );
    }
    layer
        .exec()
        .start(&ids[0], StartOptions::new())
        .await
        .unwrap();
    let before = address(&layer, &ids[0]).await;
    let vm = endpoint.machine(&ids[0]).await;
    endpoint.client.run(vm.power_off_vm()).await.unwrap();
    // Another program creates a container, and this program does not assign the same address.
    let other = endpoint.another().await;
    let fourth = other.exec().create(on("c3", "a")).await.unwrap();
    let fifth = layer.exec().create(on("c4", "a")).await.unwrap();
    assert_ne!(
        address(&layer, &fourth).await,
        address(&layer, &fifth).await
    );
    assert_eq!((free(&layer).await, free(&other).await), (Some(0), Some(0)));
    endpoint.client.run(vm.power_on_vm(None)).await.unwrap();
    assert_eq!(address(&layer, &ids[0]).await, before);
    let gone = endpoint.machine(&ids[1]).await;
    endpoint.client.run(gone.destroy()).await.unwrap();
    assert_eq!((free(&layer).await, free(&other).await), (Some(1), Some(1)));
}

/// A copy of a machine has the keys of the original. When somebody removes it, the container of the
/// original keeps its address.
#[tokio::test]
async fn a_removed_copy_of_a_machine_takes_no_address_along() {
    let endpoint = Endpoint::start(Dialect::Vic1, Platform::default()).await;
    let layer = endpoint.hosts.open("vch").await.unwrap();
    layer.networks().create(small("a", 1)).await.unwrap();
    let id = layer.exec().create(on("c", "a")).await.unwrap();
    let vm = endpoint.machine(&id).await;
    let client = &endpoint.client;
    let pool = client.get(&vm, props::virtual_machine::RESOURCE_POOL);
    let pool = pool.await.unwrap();
    let keys = client.get(&vm, EXTRA_CONFIG).await.unwrap();
    let copy = VirtualMachineConfigSpec {
        name: Some("copy".into()),
        files: Some(Box::new(VirtualMachineFileInfo {
            vm_path_name: Some("[datastore1]".into()),
            ..Default::default()
        })),
        extra_config: keys,
        ..Default::default()
    };
    let free = async || layer.networks().inspect("a").await.unwrap().free;
    let listed = async |count: usize| {
        while let listing = layer.exec().list().await.unwrap()
            && listing.containers.len() + listing.quarantined.len() != count
        {
            tokio::task::yield_now().await;
        }
    };
    let held = free().await;
    let folder: Ref<mo::Folder> = Ref::new("ha-folder-vm");
    let made = client.run(folder.create_vm(&copy, &pool, None)).await;
    listed(2).await;
    assert_eq!(free().await, held);
    client.run(made.unwrap().destroy()).await.unwrap();
    listed(1).await;
    assert_eq!(free().await, held);
}

/// If the outcome of a create is unknown, its address is not assigned to others, and is released in
/// the end.
#[tokio::test]
async fn an_unknown_outcome_costs_no_address() {
    let endpoint = Endpoint::start(Dialect::Vic1, Platform::default()).await;
    let layer = endpoint.hosts.open("vch").await.unwrap();
    layer.networks().create(small("a", 1)).await.unwrap();
    let script = endpoint.simulator.script();
    script.next("CreateVM_Task", Reaction::LoseAnswer);
    let lost = on("lost", "a");
    let error = layer.exec().create(lost.clone()).await.unwrap_err();
    assert!(
        matches!(error.kind, ErrorKind::OutcomeUnknown { .. }),
        "{error:?}"
    );
    for n in 0..4 {
        layer
            .exec()
            .create(on(&format!("c{n}"), "a"))
            .await
            .unwrap();
    }
    let mut addresses: Vec<_> = Vec::new();
    for container in layer.exec().list().await.unwrap().containers {
        addresses.push(container.endpoints[0].address);
    }
    addresses.sort();
    addresses.dedup();
    assert_eq!(addresses.len(), 5);
    layer.exec().remove(&lost.id).await.unwrap();
    assert_eq!(layer.networks().inspect("a").await.unwrap().free, Some(1));

    script.next("ReconfigVM_Task", Reaction::LoseAnswer);
    let kept = layer.networks().create(small("b", 2)).await;
    assert!(kept.is_err(), "{kept:?}");
    // The next program to read finds the stored state.
    assert_eq!(layer.networks().inspect("b").await.unwrap().free, Some(5));
}

/// A distributed switch, whose port groups are the bridge network and the network of external
/// scopes.
struct Distributed(Endpoint);

impl Distributed {
    async fn start(hosts: impl Fn(HostSpec) -> HostSpec) -> Self {
        let topology = Topology::vcenter().port_groups(3).cluster_hosts(1);
        let simulator = Simulator::builder()
            .topology(topology)
            .guest(Tether::new().program("/run", Program::forever()));
        let simulator = simulator.start().await.unwrap();
        let spec = hosts(spec("vch").compute("DC0_C0").bridge_network("DC0_DVPG0"));
        Self(Endpoint::install(simulator, Dialect::Vic1, spec).await)
    }

    /// Returns the keys of the distributed port groups of a container's cards.
    async fn port_groups(&self, id: &ContainerId) -> Vec<String> {
        let vm = self.0.machine(id).await;
        let devices = self.0.client.get(&vm, DEVICES).await.unwrap();
        let cards = devices
            .iter()
            .filter_map(|device| device.base::<VirtualEthernetCard>().unwrap());
        cards
            .map(|card| {
                let backing = card.base.backing.as_ref().unwrap();
                let backing = backing
                    .get::<VirtualEthernetCardDistributedVirtualPortBackingInfo>()
                    .unwrap()
                    .unwrap();
                assert!(!backing.port.switch_uuid.is_empty());
                backing.port.portgroup_key.clone().unwrap()
            })
            .collect()
    }

    /// Returns the key of the port group with this name.
    async fn key_of(&self, name: &str) -> String {
        let root = &self.0.client.service_content().root_folder;
        let named = props::distributed_virtual_portgroup::NAME;
        let groups = self
            .0
            .client
            .retrieve::<mo::DistributedVirtualPortgroup>()
            .property(named)
            .within(root)
            .collect()
            .await
            .unwrap();
        let group = groups.iter().find(|g| g.value(named).unwrap() == name);
        let key = props::distributed_virtual_portgroup::KEY;
        let group = group.unwrap().object().clone();
        self.0.client.get(&group, key).await.unwrap()
    }
}

#[async_trait]
impl Fixture for Distributed {
    async fn open(&self) -> Result<PortLayer> {
        Fixture::open(&self.0).await
    }

    fn command(&self, process: Process) -> Command {
        self.0.command(process)
    }

    fn external_network(&self) -> String {
        "DC0_DVPG1".to_owned()
    }
}

#[tokio::test]
async fn distributed_port_groups_conform() {
    let fixture = Distributed::start(|spec| spec).await;
    let about_networks = |case: &Case| case.needs.contains(&Capability::Networks);
    let report = conformance::run_where(&fixture, about_networks).await;
    assert!(report.is_success(), "{report}");
    assert!(report.outcomes().len() > 10);
    assert_eq!(report.skipped().count(), 0, "{report}");
}

#[tokio::test]
async fn distributed_port_groups_are_chosen_by_name_or_path() {
    let fixture = Distributed::start(|spec| spec).await;
    let layer = fixture.0.hosts.open("vch").await.unwrap();
    let path = "/DC0/network/DC0_DVPG1";
    let lab = ScopeSpec::external("lab", path);
    layer.networks().create(lab).await.unwrap();
    let spec = on("c", "bridge").endpoint(EndpointSpec::new("lab"));
    let id = layer.exec().create(spec).await.unwrap();
    let mut expected = Vec::new();
    for name in ["DC0_DVPG0", "DC0_DVPG1"] {
        expected.push(fixture.key_of(name).await);
    }
    assert_eq!(fixture.port_groups(&id).await, expected);
    // Only one external scope per network, because a container has one card on a network.
    let again = ScopeSpec::external("again", "DC0_DVPG1");
    let error = layer.networks().create(again).await.unwrap_err();
    assert!(
        matches!(error.kind, ErrorKind::InvalidArgument { field } if field == "kind.network"),
        "{error:?}"
    );
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("\"lab\"") && cause.contains(path), "{cause}");
    let none = ScopeSpec::external("none", "DC0_DVPG9");
    let error = layer.networks().create(none).await.unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(
        error.is_not_found() && cause.contains("DC0_DVPG2"),
        "{cause}"
    );
}

#[tokio::test]
async fn scopes_have_a_network_each_where_the_host_is_configured_so() {
    let own = |spec: HostSpec| {
        spec.scope_network("DC0_DVPG1")
            .scope_network("/DC0/network/DC0_DVPG2")
    };
    let fixture = Distributed::start(own).await;
    let layer = fixture.0.hosts.open("vch").await.unwrap();
    let networks = layer.networks();
    let a = networks.create(ScopeSpec::bridge("a")).await.unwrap();
    assert_eq!(a.network.as_deref(), Some("DC0_DVPG1"));
    networks.create(ScopeSpec::bridge("b")).await.unwrap();
    let full = networks.create(ScopeSpec::bridge("c")).await.unwrap_err();
    assert!(matches!(full.kind, ErrorKind::Exhausted { .. }), "{full:?}");
    let lab = ScopeSpec::external("lab", "DC0_DVPG1");
    let refused = networks.create(lab).await.unwrap_err();
    assert!(
        matches!(refused.kind, ErrorKind::InvalidArgument { .. }),
        "{refused:?}"
    );
    let spec = on("c", "bridge")
        .endpoint(EndpointSpec::new("a"))
        .endpoint(EndpointSpec::new("b"));
    // Another program reads which scope uses which network.
    let other = fixture.0.another().await;
    assert_eq!(other.networks().inspect("a").await.unwrap(), a);
    let id = other.exec().create(spec).await.unwrap();
    let mut expected = Vec::new();
    for name in ["DC0_DVPG0", "DC0_DVPG1", "DC0_DVPG2"] {
        expected.push(fixture.key_of(name).await);
    }
    assert_eq!(fixture.port_groups(&id).await, expected);
    let endpoints = other.exec().inspect(&id).await.unwrap().endpoints;
    let macs: BTreeSet<_> = endpoints.iter().map(|e| e.mac).collect();
    assert_eq!(macs.len(), 3);
    // After a scope is removed, its network can be used by the next one.
    other.exec().remove(&id).await.unwrap();
    networks.remove("a").await.unwrap();
    let c = networks.create(ScopeSpec::bridge("c")).await.unwrap();
    assert_eq!(c.network, a.network);
}

impl World for Endpoint {
    const FORGETS: bool = true;
    const CARD_PER_SCOPE: bool = false;

    async fn open(&self) -> PortLayer {
        self.another().await
    }

    fn lose_answers(&self) {
        let script = self.simulator.script();
        for method in [
            "CreateVM_Task",
            "ReconfigVM_Task",
            "PowerOnVM_Task",
            "PowerOffVM_Task",
            "Destroy_Task",
            "AddPortGroup",
            "RemovePortGroup",
            "AddDVPortgroup_Task",
        ] {
            script.next(method, Reaction::LoseAnswer);
        }
    }

    fn hear(&self) {
        self.simulator.script().clear();
    }

    async fn copy(&self, from: &ContainerId, to: &ContainerId) -> bool {
        let keys = self.keys(&self.machine(from).await).await;
        let copied = keys.get("portlayer/endpoints").unwrap().clone();
        let change = VirtualMachineConfigSpec {
            extra_config: vec![Poly::new(OptionValue::new("portlayer/endpoints", copied))],
            ..Default::default()
        };
        let vm = self.machine(to).await;
        self.client.run(vm.reconfig_vm(&change)).await.unwrap();
        true
    }
}

proptest::proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 64, ..ProptestConfig::with_cases(2) })]

    #[test]
    fn no_address_is_held_twice_and_none_is_lost_under_failures(steps in random_networks::steps()) {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        runtime.unwrap().block_on(async {
            let endpoint = Endpoint::start(Dialect::Vic1, Platform::default()).await;
            random_networks::run(&endpoint, steps).await;
        });
    }
}
