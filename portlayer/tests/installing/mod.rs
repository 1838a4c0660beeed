//! Installations that other installations, a full datastore or the end of their program interrupt.

mod unreachable;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use portlayer::ErrorKind;
use portlayer::exec::Allocation;
use portlayer::vsphere::{
    ApplianceCertificates, ContainerPolicy, Dialect, HostInfo, HostSpec, HostState, Hosts,
    InstallError, InstallProgress, InstallStatus, InstallStep, Iso, Options, Plan, PoolAllocation,
    kind,
};
use simulator::{Platform, Reaction, Simulator};
use tokio::sync::Notify;
use vim25::types::{HostNetworkPolicy, HostPortGroupSpec};
use vim25::{Property, Ref, mo, props};

use crate::folders::cluster;
use crate::interrupted::inventory;
use crate::{Endpoint, spec};

const NETWORK_SYSTEM: Property<mo::HostSystem, Ref<mo::HostNetworkSystem>> =
    Property::new("configManager.networkSystem");

fn quiet(_: InstallProgress) {}

impl Endpoint {
    /// Returns access to the hosts as another program would have it.
    fn program(&self) -> Hosts {
        Hosts::new(self.client.clone(), Options::default())
    }

    /// Starts an installation, and ends its program when a step reports this status.
    async fn interrupted(&self, spec: HostSpec, step: InstallStep, status: InstallStatus) {
        let reached = Notify::new();
        let observer = |progress: InstallProgress| {
            if (progress.step, progress.status) == (step, status) {
                reached.notify_one();
            }
        };
        let hosts = self.program();
        tokio::select! {
            biased;
            () = reached.notified() => {}
            installed = hosts.install(spec, &observer) => panic!("not interrupted: {installed:?}"),
        }
    }
}

async fn endpoints() -> [Endpoint; 3] {
    [
        Endpoint::start(Dialect::Vic1, Platform::default()).await,
        cluster(true).await,
        cluster(false).await,
    ]
}

type Installed = Result<HostInfo, InstallError>;

/// Starts one installation, and the other when the first starts this step.
async fn race(endpoint: &Endpoint, spec: &HostSpec, at: Option<InstallStep>) -> [Installed; 2] {
    let (first, second) = (endpoint.program(), endpoint.program());
    let reached = Arc::new(Notify::new());
    let observer = |progress: InstallProgress| {
        if Some(progress.step) == at && progress.status == InstallStatus::Started {
            reached.notify_one();
        }
    };
    let late = async {
        if at.is_some() {
            reached.notified().await;
        }
        second.install(spec.clone(), &quiet).await
    };
    let (one, other) = tokio::join!(first.install(spec.clone(), &observer), late);
    [one, other]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_installations_at_once_exactly_one_wins_and_the_other_leaves_nothing() {
    for endpoint in endpoints().await {
        let before = inventory(&endpoint).await;
        let spec = endpoint.spec("twice");
        let spec = match endpoint.client.is_vcenter() {
            true => spec,
            false => spec.create_bridge(true).public_network("VM Network"),
        };
        let has_pool = endpoint.has_pools().await;
        let starts = InstallStep::ALL.into_iter().filter(|step| match step {
            InstallStep::Address | InstallStep::Components => false,
            InstallStep::BridgeNetwork => !endpoint.client.is_vcenter(),
            InstallStep::Folder => endpoint.client.is_vcenter(),
            _ => has_pool,
        });
        for at in starts.map(Some).chain([None; 2]) {
            let ended = race(&endpoint, &spec, at).await;
            let won = ended.iter().filter(|ended| ended.is_ok()).count();
            assert_eq!(won, 1, "{at:?}: {ended:#?}");
            let lost = ended.into_iter().find_map(Result::err).unwrap();
            let says_so = matches!(
                lost.error().kind,
                ErrorKind::AlreadyExists | ErrorKind::InUse { .. }
            );
            assert!(says_so, "{at:?}: {lost:?}");
            assert_eq!(lost.error().resource().kind, kind::HOST, "{at:?}: {lost:?}");
            assert_eq!(lost.left_behind(), [], "{at:?}: {lost:?}");

            let hosts = endpoint.program();
            let found = hosts.find("twice").await.unwrap();
            assert_eq!(found.state, HostState::Running, "{at:?}");
            hosts.open("twice").await.unwrap();
            let deleted = hosts.delete("twice", ContainerPolicy::Refuse).await;
            assert_eq!(deleted.unwrap().left, [], "{at:?}");
            let now = inventory(&endpoint).await;
            let left: Vec<_> = now.difference(&before).collect();
            assert!(left.is_empty(), "{at:?}: {left:?}");
        }
    }
}

impl Endpoint {
    async fn has_pools(&self) -> bool {
        let plan = self.hosts.plan(self.spec("any")).await.unwrap();
        let mut steps = plan.steps().iter();
        steps.any(|step| step.step == InstallStep::ResourcePool)
    }
}

#[tokio::test]
async fn a_host_stays_installed_when_its_appliance_is_switched_off() {
    let platform = Platform::default();
    // What the installation writes while the appliance is on is forgotten.
    assert!(!platform.api_keys_written_while_on_survive);
    for dialect in [Dialect::Vic04, Dialect::Vic1] {
        let endpoint = Endpoint::start(dialect, platform.clone()).await;
        let hosts = endpoint.program();
        assert_eq!(hosts.find("vch").await.unwrap().state, HostState::Running);
        let vm = appliance(&endpoint).await;
        endpoint.client.run(vm.power_off_vm()).await.unwrap();
        let found = hosts.find("vch").await.unwrap();
        assert_eq!(found.state, HostState::Off, "{dialect:?}");
        // Another host of this name is refused, and the same one is only powered on.
        let same = endpoint.spec("vch");
        let other = same.clone().cpus(7);
        let refused = hosts.install(other, &quiet).await.unwrap_err();
        assert_eq!(
            refused.error().kind,
            ErrorKind::AlreadyExists,
            "{refused:?}"
        );
        let with_dialect = Options {
            dialect,
            ..Options::default()
        };
        let hosts = Hosts::new(endpoint.client.clone(), with_dialect);
        let again = hosts.install(same, &quiet).await.unwrap();
        assert_eq!(again.state, HostState::Running, "{dialect:?}");
        endpoint.client.run(vm.power_off_vm()).await.unwrap();
        endpoint.client.run(vm.power_on_vm(None)).await.unwrap();
        let found = hosts.find("vch").await.unwrap();
        assert_eq!(found.state, HostState::Running, "{dialect:?}");
    }
}

async fn appliance(endpoint: &Endpoint) -> Ref<mo::VirtualMachine> {
    let root = &endpoint.client.service_content().root_folder;
    let name = props::virtual_machine::NAME;
    let all = endpoint.client.retrieve().property(name).within(root);
    let all = all.collect().await.unwrap();
    let mut named = all
        .iter()
        .filter(|vm| vm.value(name).as_deref() == Some("vch"));
    named.next().unwrap().object().clone()
}

#[tokio::test]
async fn a_datastore_that_fills_up_during_the_uploads_is_named_and_nothing_is_left() {
    const MIB: usize = 1 << 20;
    let simulator = Simulator::builder().datastore_capacity(64 << 20).start();
    let endpoint = Endpoint::install(simulator.await.unwrap(), Dialect::Vic1, spec("vch")).await;
    let mut spec = endpoint.spec("full");
    spec.appliance_iso = Iso::bytes(Bytes::from(vec![1; 8 * MIB]));
    let plan = endpoint.hosts.plan(spec).await.unwrap();
    assert!(plan.is_ready(), "{plan}");
    // Somebody else uses the space in the meantime.
    let filler = endpoint.simulator.datastore_directory().join("filler");
    std::fs::write(filler, vec![7; 60 * MIB]).unwrap();
    let before = inventory(&endpoint).await;
    let failed = endpoint.hosts.apply(plan, &quiet).await.unwrap_err();
    assert_eq!(failed.step(), InstallStep::ApplianceIso, "{failed:?}");
    let ErrorKind::Exhausted { what } = &failed.error().kind else {
        panic!("{failed:?}");
    };
    let needed = "space on datastore \"datastore1\" (its files need 8.0 MiB, ";
    assert!(what.starts_with(needed), "{what}");
    let remedy = " MiB are free; free space on it, or choose another with `datastore`)";
    assert!(what.ends_with(remedy), "{what}");
    assert_eq!(failed.left_behind(), [], "{failed}");
    assert_eq!(inventory(&endpoint).await, before);
}

#[tokio::test]
async fn the_pool_of_a_resumed_installation_is_limited() {
    let endpoint = cluster(true).await;
    let (step, status) = (InstallStep::Appliance, InstallStatus::Finished);
    endpoint
        .interrupted(endpoint.spec("limited"), step, status)
        .await;
    let hosts = endpoint.program();
    let unlimited = hosts.pool("limited").await.unwrap().unwrap();
    assert!(unlimited.is_default(), "{unlimited}");
    let pool = PoolAllocation::new().cpu(Allocation::new().limit(4000));
    let resumed = hosts.install(endpoint.spec("limited").pool(pool), &quiet);
    assert_eq!(resumed.await.unwrap().state, HostState::Running);
    assert_eq!(hosts.pool("limited").await.unwrap(), Some(pool));
}

impl Endpoint {
    fn uploads(&self) -> u64 {
        let calls = self.simulator.script().calls();
        calls.get("PUT /folder").copied().unwrap_or(0)
    }
}

#[tokio::test]
async fn images_that_were_uploaded_are_not_sent_again() {
    let endpoint = Endpoint::start(Dialect::Vic1, Platform::default()).await;
    let files = tempfile::tempdir().unwrap();
    let image = files.path().join("bootstrap.iso");
    std::fs::write(&image, "bootstrap").unwrap();
    let mut spec = endpoint.spec("resumed");
    spec.bootstrap_iso = Iso::file(&image);
    let (step, status) = (InstallStep::Configure, InstallStatus::Started);
    let before = endpoint.uploads();
    endpoint.interrupted(spec.clone(), step, status).await;
    assert_eq!(endpoint.uploads() - before, 2);

    // The files are complete; only the first run sent them.
    endpoint.interrupted(spec.clone(), step, status).await;
    assert_eq!(endpoint.uploads() - before, 2);

    // One has another content, although its size is the same.
    std::fs::write(&image, "bootstrip").unwrap();
    endpoint.interrupted(spec.clone(), step, status).await;
    assert_eq!(endpoint.uploads() - before, 3);

    // One is incomplete on the datastore.
    let uploaded = endpoint.simulator.datastore_directory().join("resumed");
    std::fs::write(uploaded.join("appliance.iso"), "app").unwrap();
    let told = AtomicBool::new(false);
    let observer = |progress: InstallProgress| {
        if let (InstallStep::BootstrapIso, InstallStatus::Transferred { done, total }) =
            (progress.step, progress.status)
        {
            assert_eq!((done, total), (9, Some(9)));
            told.store(true, Ordering::Relaxed);
        }
    };
    let hosts = endpoint.program();
    hosts.install(spec, &observer).await.unwrap();
    assert_eq!(endpoint.uploads() - before, 4);
    assert!(told.into_inner(), "the progress of a file that is not sent");
    for (file, content) in [
        ("appliance.iso", "appliance"),
        ("bootstrap.iso", "bootstrip"),
    ] {
        let found = std::fs::read_to_string(uploaded.join(file)).unwrap();
        assert_eq!(found, content);
    }
}

#[tokio::test]
async fn an_upload_is_retried_a_limited_number_of_times() {
    let endpoint = Endpoint::start(Dialect::Vic1, Platform::default()).await;
    let script = endpoint.simulator.script();
    for reaction in [
        Reaction::HttpStatus(503),
        Reaction::Disconnect,
        Reaction::LoseAnswer,
    ] {
        script.next("PUT /folder", reaction);
    }
    let hosts = endpoint.program();
    hosts
        .install(endpoint.spec("retried"), &quiet)
        .await
        .unwrap();
    assert_eq!(script.pending(), 0, "all faults were injected");

    let clean = inventory(&endpoint).await;
    script.always("PUT /folder", Reaction::HttpStatus(503));
    let failed = hosts.install(endpoint.spec("failed"), &quiet).await;
    let failed = failed.unwrap_err();
    let uploads = [InstallStep::ApplianceIso, InstallStep::BootstrapIso];
    assert!(uploads.contains(&failed.step()), "{failed:?}");
    let kind = &failed.error().kind;
    assert!(matches!(kind, ErrorKind::Unavailable { .. }), "{failed:?}");
    assert_eq!(failed.left_behind(), []);
    script.clear();
    assert_eq!(inventory(&endpoint).await, clean);
}

const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nYQ==\n-----END CERTIFICATE-----\n";
const OTHER: &str = "-----BEGIN CERTIFICATE-----\nYg==\n-----END CERTIFICATE-----\n";
const KEY: &str = "-----BEGIN PRIVATE KEY-----\nYQ==\n-----END PRIVATE KEY-----\n";

/// The installation is interrupted after its configuration was written, even when its appliance is on.
#[tokio::test]
async fn what_is_given_to_a_resumed_installation_is_written_again() {
    for dialect in Dialect::ALL {
        let endpoint = Endpoint::start(dialect, Platform::default()).await;
        let hosts = || {
            let options = Options {
                dialect,
                ..Options::default()
            };
            Hosts::new(endpoint.client.clone(), options)
        };
        let first = || {
            let certificates = ApplianceCertificates::new(CERTIFICATE, KEY);
            endpoint
                .spec("again")
                .certificates(certificates.authorities(CERTIFICATE))
                .component("one")
                .component("two")
        };
        for step in [InstallStep::PowerOn, InstallStep::Components] {
            // No guest starts these components.
            let spec = first().component_timeout(Duration::from_secs(600));
            let reached = Notify::new();
            let observer = |progress: InstallProgress| {
                if (progress.step, progress.status) == (step, InstallStatus::Started) {
                    reached.notify_one();
                }
            };
            let program = hosts();
            tokio::select! {
                biased;
                () = reached.notified() => {}
                installed = program.install(spec, &observer) => panic!("{installed:?}"),
            }
            // The same installation again does not write it.
            let plan = hosts().plan(first()).await.unwrap();
            let is_done = |plan: &Plan| {
                let mut steps = plan.steps().iter();
                steps.any(|planned| planned.step == InstallStep::Configure && planned.done)
            };
            assert!(is_done(&plan), "{plan}");

            let other = endpoint.spec("again").component("two").cpus(2);
            let certificates = ApplianceCertificates::new(OTHER, KEY);
            let plan = hosts()
                .plan(other.certificates(certificates))
                .await
                .unwrap();
            assert!(!is_done(&plan), "{plan}");
            let says = "it will be written again, and its appliance will be restarted";
            assert!(plan.to_string().contains(says), "{plan}");
            let told = AtomicBool::new(false);
            let observer = |progress: InstallProgress| {
                if progress.step == InstallStep::Configure {
                    told.store(true, Ordering::Relaxed);
                }
            };
            let resumed = hosts().apply(plan, &observer).await.unwrap();
            assert!(told.into_inner());
            assert_eq!(resumed.state, HostState::Running);
            assert_eq!(resumed.certificate, OTHER);
            assert_eq!(resumed.authorities, "", "a key that is not written anymore");
            let components = resumed.components.iter();
            let components: Vec<_> = components.map(|known| known.name.as_str()).collect();
            assert_eq!(components, ["two"], "{dialect:?}");
            hosts().open("again").await.unwrap();
            let deleted = hosts().delete("again", ContainerPolicy::Refuse).await;
            assert_eq!(deleted.unwrap().left, []);
        }
    }
}

/// The appliance has the cards of its networks from the beginning.
#[tokio::test]
async fn other_networks_of_an_unfinished_installation_are_refused() {
    let says = |text: &str| format!("has {text}; name the same network, or delete the host first");
    for step in [InstallStep::ApplianceIso, InstallStep::PowerOn] {
        let endpoint = Endpoint::start(Dialect::Vic1, Platform::default()).await;
        let spec = || endpoint.spec("moved").create_bridge(true);
        let first = spec().bridge_network("inner").public_network("VM Network");
        endpoint
            .interrupted(first.clone(), step, InstallStatus::Started)
            .await;
        for (other, expected) in [
            (spec().bridge_network("VM Network"), says("\"inner\"")),
            (spec().bridge_network("inner"), says("\"VM Network\"")),
        ] {
            let plan = endpoint.program().plan(other).await.unwrap();
            assert!(!plan.is_ready(), "{step}: {plan}");
            assert!(plan.to_string().contains(&expected), "{step}: {plan}");
        }
        endpoint.program().install(first, &quiet).await.unwrap();
    }
    for drs in [true, false] {
        let endpoint = cluster(drs).await;
        let first = endpoint.spec("moved").public_network("VM Network");
        let (step, status) = (InstallStep::Appliance, InstallStatus::Finished);
        endpoint.interrupted(first.clone(), step, status).await;
        let other = endpoint.spec("moved").bridge_network("VM Network");
        let plan = endpoint.program().plan(other).await.unwrap();
        assert!(!plan.is_ready(), "{plan}");
        let expected = says("\"DC0_DVPG0\"");
        assert!(plan.to_string().contains(&expected), "{plan}");
        endpoint.program().install(first, &quiet).await.unwrap();
    }
}

/// The appliance has a card on a network whose name another one would now get.
#[tokio::test]
async fn a_bridge_network_that_was_renamed_during_an_interruption_is_named() {
    let endpoint = Endpoint::start(Dialect::Vic1, Platform::default()).await;
    let (client, hosts) = (&endpoint.client, endpoint.program());
    let host = Ref::<mo::HostSystem>::new("ha-host");
    let system = client.get(&host, NETWORK_SYSTEM).await.unwrap();
    let group = HostPortGroupSpec {
        name: "inner".into(),
        vlan_id: 0,
        vswitch_name: "vSwitch0".into(),
        policy: HostNetworkPolicy::default(),
    };
    client.call(system.add_port_group(&group)).await.unwrap();
    let first = endpoint.spec("moved").create_bridge(true);
    let first = first.bridge_network("inner").public_network("VM Network");
    let (step, status) = (InstallStep::ApplianceIso, InstallStatus::Started);
    endpoint.interrupted(first.clone(), step, status).await;

    let inventory = client.inventory();
    let network = inventory.find_as::<mo::Network>("/ha-datacenter/network/inner");
    let network = network.await.unwrap();
    let rename = |name: &str| {
        let property = props::network::NAME;
        let renamed = endpoint
            .simulator
            .set_property(&network, property, &name.to_owned());
        renamed.unwrap();
    };
    rename("outer");
    let plan = hosts.plan(first.clone()).await.unwrap();
    assert!(!plan.is_ready(), "{plan}");
    let says = "has \"inner\", which was removed or renamed; create that network again";
    assert!(plan.to_string().contains(says), "{plan}");
    rename("inner");
    hosts.install(first, &quiet).await.unwrap();
}
