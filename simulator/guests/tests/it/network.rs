//! The network between containers.

use std::os::unix::fs::MetadataExt as _;
use std::{fs, process};

use portlayer::exec::{Command, ContainerSpec, StartOptions};
use portlayer::network::{EndpointSpec, ScopeSpec};
use portlayer::stream::LogOptions;
use portlayer::vsphere::Dialect;
use portlayer::{ContainerId, ExecExt as _, ExitStatus, PortLayer};
use vim25::types::{OptionValue, VirtualVmxnet3};
use vim25::{Poly, Property, Ref, mo, props};
use vsphere_client::Client;

use futures_util::StreamExt as _;
use portlayer::conformance::Fixture as _;

use crate::dialer::{echoes, serve};
use crate::machine::Endpoint;
use crate::unprivileged::without_root;

/// The error number of a host that does not answer.
const UNREACHABLE: ExitStatus = ExitStatus::Code(113);
/// The error number of a network to which no device leads.
const NO_ROUTE: ExitStatus = ExitStatus::Code(101);
/// All keys of a machine.
const EXTRA_CONFIG: Property<mo::VirtualMachine, Vec<Poly<OptionValue>>> =
    Property::new("config.extraConfig");

/// Starts an endpoint on a host that allows containers with network cards.
async fn switched(dialect: Dialect) -> Option<Endpoint> {
    let endpoint = Endpoint::start(dialect).await?;
    let limitations = endpoint.guest.limitations();
    if limitations
        .iter()
        .any(|text| text.contains("no network cards"))
    {
        eprintln!("SKIPPED: {limitations:?}");
        assert!(limitations.iter().any(|text| text.contains("/dev/net/tun")));
        return None;
    }
    Some(endpoint)
}

/// Runs a container on the scope `scope` that connects to an address; returns it with its exit.
async fn connect(layer: &PortLayer, scope: &str, address: &str) -> (ContainerId, ExitStatus) {
    let command = Command::new("/connect").arg(address);
    let spec = ContainerSpec::new("client", command).endpoint(EndpointSpec::new(scope));
    let id = layer.exec().create(spec).await.expect("a container");
    let started = layer.exec().start(&id, StartOptions::default()).await;
    started.expect("a start");
    let exit = layer.exec().wait(&id).await.expect("an exit");
    (id, exit)
}

async fn printed(layer: &PortLayer, id: &ContainerId) -> String {
    let log = layer.streams().logs(id, LogOptions::new()).await;
    let records = log
        .expect("a log")
        .map(|record| record.expect("a record").bytes);
    let all: Vec<_> = records.collect().await;
    String::from_utf8(all.concat()).expect("text")
}

#[tokio::test]
async fn containers_reach_each_other_on_their_network_only_and_not_after_the_end() {
    for dialect in [Dialect::Vic1, Dialect::Vic04] {
        let Some(endpoint) = switched(dialect).await else {
            return;
        };
        let layer = endpoint.open().await.expect("the host");
        let other = ScopeSpec::bridge("other");
        layer.networks().create(other).await.expect("a scope");
        let (server, at) = serve(&endpoint, "/tcp").await;
        let address = at.ip().to_string();
        let (id, exit) = connect(&layer, "bridge", &address).await;
        assert_eq!(exit, ExitStatus::Code(0));
        assert_eq!(printed(&layer, &id).await, "to and fro\n");
        layer.exec().remove(&id).await.expect("a removal");

        let (id, exit) = connect(&layer, "other", &address).await;
        assert_eq!(exit, UNREACHABLE, "another network");
        layer.exec().remove(&id).await.expect("a removal");

        layer
            .exec()
            .remove_forced(&server)
            .await
            .expect("a removal");
        let (_, exit) = connect(&layer, "bridge", &address).await;
        assert_eq!(exit, UNREACHABLE, "the server is gone");
        endpoint.simulator.shutdown().await;
    }
}

async fn machine(client: &Client, id: &ContainerId) -> Ref<mo::VirtualMachine> {
    let name = props::virtual_machine::NAME;
    let root = &client.service_content().root_folder;
    let all = client.retrieve().property(name).within(root);
    let all = all.collect().await.expect("the machines");
    let mut all = all.iter();
    let found = all.find(|vm| {
        vm.value(name)
            .is_some_and(|name| name.ends_with(&id.short()))
    });
    found.expect("the machine").object().clone()
}

#[tokio::test]
async fn a_card_that_is_disconnected_while_the_container_runs_carries_nothing() {
    let Some(endpoint) = switched(Dialect::Vic1).await else {
        return;
    };
    let layer = endpoint.open().await.expect("the host");
    let (server, at) = serve(&endpoint, "/tcp").await;
    let address = at.ip().to_string();
    let vm = machine(&endpoint.client, &server).await;
    for (connected, wanted) in [(false, UNREACHABLE), (true, ExitStatus::Code(0))] {
        let machine = endpoint.client.machine(&vm);
        let edited = machine.edit_devices(|devices| {
            devices.edit(4000, |card: &mut VirtualVmxnet3| {
                if let Some(connectable) = &mut card.connectable {
                    connectable.connected = connected;
                }
            })
        });
        edited.await.expect("an edit");
        let (id, exit) = connect(&layer, "bridge", &address).await;
        assert_eq!(exit, wanted);
        layer.exec().remove(&id).await.expect("a removal");
    }
    endpoint.simulator.shutdown().await;
}

/// Without network cards, the helper relays what is published, and the absence of the rest has a name.
async fn relayed(endpoint: &Endpoint) {
    let limitations = endpoint.guest.limitations();
    let named = limitations.iter().any(|text| {
        text.contains("no network cards")
            && text.contains("only published ports are relayed into them")
            && text.contains("/dev/net/tun")
    });
    assert!(named, "{limitations:?}");
    let layer = endpoint.open().await.expect("the host");
    let (_, at) = serve(endpoint, "/tcp").await;
    assert_eq!(echoes(endpoint, at).await, "to and fro");
    let (id, exit) = connect(&layer, "bridge", &at.ip().to_string()).await;
    assert_eq!(exit, NO_ROUTE, "no other container is reached");
    // The container's own agent says so, too.
    let vm = machine(&endpoint.client, &id).await;
    let options = endpoint.client.get(&vm, EXTRA_CONFIG).await;
    let options = options.expect("the keys");
    let mut options = options
        .iter()
        .filter_map(|option| option.base::<OptionValue>().ok()?);
    let noted = options.any(|option| {
        let value = format!("{:?}", option.value);
        option.key.contains("diagnostics") && value.contains("the network bridge is not connected")
    });
    assert!(noted, "the keys have no note");
}

#[tokio::test]
#[ignore = "is run by another test, without taps"]
async fn only_relayed() {
    let Some(endpoint) = Endpoint::start(Dialect::Vic1).await else {
        return;
    };
    relayed(&endpoint).await;
    endpoint.simulator.shutdown().await;
}

/// The device for taps is hidden, so it does not matter who runs this.
#[test]
fn without_taps_published_ports_are_relayed_and_the_rest_is_missing_by_name() {
    let hide =
        "if test -e /dev/net/tun; then mount --bind /dev/null /dev/net/tun; fi && exec \"$@\"";
    let program = std::env::current_exe().expect("a program");
    let mut command = process::Command::new("unshare");
    let is_root = fs::metadata("/proc/self").is_ok_and(|data| data.uid() == 0);
    if !is_root {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["--mount", "--", "sh", "-c", hide, "sh"]);
    command.arg(program);
    command.args([
        "--ignored",
        "--exact",
        "--nocapture",
        "network::only_relayed",
    ]);
    let ran = match command.output() {
        Ok(ran) => ran,
        Err(error) => return eprintln!("NOT RUN: unshare: {error}"),
    };
    let out = String::from_utf8_lossy(&ran.stdout);
    let err = String::from_utf8_lossy(&ran.stderr);
    if err.starts_with("unshare:") || err.starts_with("mount:") {
        return eprintln!("NOT RUN: the device for taps cannot be hidden: {err}");
    }
    let passed = ran.status.success() && out.contains("1 passed");
    assert!(passed, "{out}{err}");
    for line in err.lines().filter(|line| line.starts_with("SKIPPED")) {
        eprintln!("NOT RUN: {line}");
    }
}

#[tokio::test]
#[ignore = "is run by another test, without privileges"]
async fn switched_or_relayed() {
    let Some(endpoint) = Endpoint::start(Dialect::Vic1).await else {
        return;
    };
    let limitations = endpoint.guest.limitations();
    if limitations
        .iter()
        .any(|text| text.contains("no network cards"))
    {
        relayed(&endpoint).await;
    } else {
        let layer = endpoint.open().await.expect("the host");
        let (_, at) = serve(&endpoint, "/tcp").await;
        let (_, exit) = connect(&layer, "bridge", &at.ip().to_string()).await;
        assert_eq!(exit, ExitStatus::Code(0), "{limitations:?}");
    }
    endpoint.simulator.shutdown().await;
}

#[test]
fn without_root_containers_have_cards_or_a_relay() {
    without_root("network::switched_or_relayed");
}
