//! In a cluster without DRS, the host of a machine is chosen here.

use std::collections::BTreeMap;

use portlayer::exec::{Command, ContainerSpec, Exec, RootFs, StartOptions};
use portlayer::image::Images;
use portlayer::vsphere::Dialect;
use portlayer::{ErrorKind, ExitStatus};
use simulator::{Program, Simulator, Tether, Topology};
use vim25::{Property, Ref, mo};

use super::protection::machine;
use super::{cleared, files, image, layer, options};
use crate::{Endpoint, spec};

const HOST: Property<mo::VirtualMachine, Ref<mo::HostSystem>> = Property::new("runtime.host");

#[tokio::test]
async fn the_host_of_an_image_and_of_containers_is_chosen() {
    let exit = Program::new(|_| async { 0 });
    let simulator = Simulator::builder()
        .topology(Topology::vcenter().standalone_hosts(0).cluster_hosts(3))
        .guest(Tether::new().program("/exit", exit))
        .start()
        .await
        .unwrap();
    let host = spec("vch").compute("DC0_C0").bridge_network("DC0_DVPG0");
    let endpoint = Endpoint::install(simulator, Dialect::Vic1, host).await;
    let exec = endpoint.hosts.exec("vch").await.unwrap();
    let layer_ = endpoint.hosts.open("vch").await.unwrap();
    endpoint.simulator.set_drs("DC0_C0", false).unwrap();
    let calls = |method| {
        let calls = endpoint.simulator.script().calls();
        calls.get(method).copied().unwrap_or(0)
    };
    let before = (files(&endpoint), calls("CreateVM_Task"));

    let images = exec.images();
    let image = image(&[layer("hello", b"hello")], "/exit");
    images.import(image.clone(), options()).await.unwrap();
    // The endpoint refused to choose once, and is not asked again.
    assert_eq!(calls("ImportVApp"), 2);
    let mut machines = BTreeMap::new();
    let mut used = async |name: &str| {
        let vm = machine(&endpoint, name).await;
        let host = endpoint.client.get(&vm, HOST).await.unwrap();
        *machines.entry(host).or_insert(0) += 1;
    };
    used("vch.image.").await;
    let container = |name: &str| {
        ContainerSpec::new(name, Command::new("/exit")).root(RootFs::image(image.id(), "hello"))
    };
    let mut ids = Vec::new();
    for name in ["one", "two", "three", "four"] {
        let id = exec.create(container(name)).await.unwrap();
        exec.start(&id, StartOptions::new()).await.unwrap();
        assert_eq!(exec.wait(&id).await.unwrap(), ExitStatus::Code(0));
        used(&format!("{name}-")).await;
        ids.push(id);
    }
    assert_eq!(calls("CreateVM_Task") - before.1, 4);
    assert_eq!(machines.len(), 3, "all hosts are used: {machines:?}");

    // A host that does not respond is not chosen.
    for host in ["DC0_C0_H0", "DC0_C0_H1"] {
        endpoint.simulator.set_host_responding(host, false).unwrap();
    }
    let last = exec.create(container("last")).await.unwrap();
    let vm = machine(&endpoint, "last-").await;
    let connected = endpoint.client.get(&vm, HOST).await.unwrap();
    let name: Property<mo::HostSystem, String> = Property::new("name");
    let name = endpoint.client.get(&connected, name).await.unwrap();
    assert_eq!(name, "DC0_C0_H2");
    endpoint
        .simulator
        .set_host_responding("DC0_C0_H2", false)
        .unwrap();
    let error = exec.create(container("never")).await.unwrap_err();
    let ErrorKind::Exhausted { what } = &error.kind else {
        panic!("{error:?}");
    };
    assert!(what.contains("DC0_C0"), "{what}");

    for host in ["DC0_C0_H0", "DC0_C0_H1", "DC0_C0_H2"] {
        endpoint.simulator.set_host_responding(host, true).unwrap();
    }
    ids.push(last);
    for id in &ids {
        exec.remove(id).await.unwrap();
    }
    images.remove(&image.id()).await.unwrap();
    cleared(&endpoint, &layer_, &before.0, "removed").await;
}
