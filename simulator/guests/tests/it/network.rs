//! The network between containers.

use portlayer::exec::{Command, ContainerSpec, StartOptions};
use portlayer::network::{EndpointSpec, ScopeSpec};
use portlayer::stream::LogOptions;
use portlayer::vsphere::Dialect;
use portlayer::{ContainerId, ExecExt as _, ExitStatus, PortLayer};
use vim25::types::VirtualVmxnet3;
use vim25::{Ref, mo, props};
use vsphere_client::Client;

use futures_util::StreamExt as _;
use portlayer::conformance::Fixture as _;

use crate::dialer::serve;
use crate::machine::Endpoint;

/// The error number of a host that does not answer.
const UNREACHABLE: ExitStatus = ExitStatus::Code(113);

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
