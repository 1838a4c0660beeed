//! On a vCenter, images are templates, which nobody can power on.

use std::time::Duration;

use portlayer::exec::{Command, ContainerSpec, Exec, RootFs, StartOptions};
use portlayer::image::{Image, Images};
use portlayer::vsphere::{ContainerPolicy, Dialect, Hosts, Options, VsphereExec};
use portlayer::{ContainerId, ErrorKind, ExitStatus};
use simulator::{Platform, Program, Reaction, Simulator, Tether, Topology};
use vim25::Fault;
use vim25::types::NoPermission;
use vim25::{Property, Ref, mo, props};

use super::protection::machine;
use super::{files, image, layer, options};
use crate::{Endpoint, spec};

const TEMPLATE: Property<mo::VirtualMachine, bool> = Property::new("config.template");

pub(super) async fn vcenter() -> Endpoint {
    let exit = Program::new(|_| async { 0 });
    let simulator = Simulator::builder()
        .topology(Topology::vcenter().standalone_hosts(0).cluster_hosts(1))
        .guest(Tether::new().program("/exit", exit))
        .start()
        .await
        .unwrap();
    let spec = spec("vch").compute("DC0_C0").bridge_network("DC0_DVPG0");
    Endpoint::install(simulator, Dialect::Vic1, spec).await
}

/// Opens the host as another program would.
async fn open(endpoint: &Endpoint, sole_writer: bool) -> VsphereExec {
    let options = Options {
        sole_writer,
        takeover_timeout: Duration::from_millis(200),
        left_behind_after: Duration::ZERO,
        ..Options::default()
    };
    let hosts = Hosts::new(endpoint.client.clone(), options);
    hosts.exec("vch").await.unwrap()
}

pub(super) async fn is_template(endpoint: &Endpoint, vm: &Ref<mo::VirtualMachine>) -> bool {
    endpoint.client.get(vm, TEMPLATE).await.unwrap()
}

pub(super) async fn create(exec: &VsphereExec, name: &str, image: &Image) -> ContainerId {
    let spec =
        ContainerSpec::new(name, Command::new("/exit")).root(RootFs::image(image.id(), "hello"));
    exec.create(spec).await.unwrap()
}

fn refused() -> Reaction {
    Reaction::Fault(Fault::new("not allowed", NoPermission::default()))
}

#[tokio::test]
async fn an_image_is_a_template_from_its_completion_to_its_removal() {
    let endpoint = vcenter().await;
    let exec = endpoint.hosts.exec("vch").await.unwrap();
    let other = open(&endpoint, false).await;
    let before = files(&endpoint);
    let layers = [layer("hello", b"hello")];
    let (one, two) = (image(&layers, "/one"), image(&layers, "/two"));
    let images = exec.images();
    images.import(one.clone(), options()).await.unwrap();
    let vm = machine(&endpoint, "vch.image.").await;
    assert!(is_template(&endpoint, &vm).await);
    endpoint.client.run(vm.power_on_vm(None)).await.unwrap_err();

    // Another image on the same disk changes the record of the template.
    let importing = other.images().import(two.clone(), options());
    importing.await.unwrap();
    assert!(is_template(&endpoint, &vm).await);
    for exec in [&exec, &other] {
        assert_eq!(exec.images().list().await.unwrap().images.len(), 2);
        assert_eq!(exec.check().await.unwrap(), []);
        assert_eq!(exec.images().prune().await.unwrap(), [""; 0]);
    }
    // A program that opens the host later finds the template.
    let late = open(&endpoint, false).await;
    assert_eq!(late.images().list().await.unwrap().images.len(), 2);

    let id = create(&late, "child", &one).await;
    late.start(&id, StartOptions::new()).await.unwrap();
    assert_eq!(late.wait(&id).await.unwrap(), ExitStatus::Code(0));
    images.remove(&two.id()).await.unwrap();
    assert!(is_template(&endpoint, &vm).await);
    let error = images.remove(&one.id()).await.unwrap_err();
    assert!(matches!(error.kind, ErrorKind::InUse { .. }), "{error:?}");
    assert!(is_template(&endpoint, &vm).await);
    late.remove(&id).await.unwrap();
    images.remove(&one.id()).await.unwrap();
    assert_eq!(files(&endpoint), before);
    assert!(late.images().list().await.unwrap().images.is_empty());
}

#[tokio::test]
async fn an_import_that_was_interrupted_before_the_last_step_is_usable() {
    let endpoint = vcenter().await;
    let exec = endpoint.hosts.exec("vch").await.unwrap();
    let before = files(&endpoint);
    let image = image(&[layer("hello", b"hello")], "/hello");
    let script = endpoint.simulator.script();
    script.next("MarkAsTemplate", refused());
    exec.images()
        .import(image.clone(), options())
        .await
        .unwrap();
    assert_eq!(script.pending(), 0);
    let vm = machine(&endpoint, "vch.image.").await;
    assert!(!is_template(&endpoint, &vm).await);
    let id = create(&exec, "child", &image).await;
    assert_eq!(exec.check().await.unwrap(), []);
    drop(exec);

    // The next owner of the host takes the last step.
    let owner = open(&endpoint, true).await;
    let taken = async {
        while !is_template(&endpoint, &vm).await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), taken)
        .await
        .unwrap();
    owner.remove(&id).await.unwrap();

    // A removal that cannot change the template removes nothing.
    script.next("MarkAsVirtualMachine", refused());
    owner.images().remove(&image.id()).await.unwrap_err();
    assert_eq!(owner.images().list().await.unwrap().images.len(), 1);
    // A lost answer leaves the machine between two steps.
    script.next("MarkAsVirtualMachine", Reaction::LoseAnswer);
    let _ = owner.images().remove(&image.id()).await;
    if !owner.images().list().await.unwrap().images.is_empty() {
        owner.images().remove(&image.id()).await.unwrap();
    }
    assert_eq!(files(&endpoint), before);
}

#[tokio::test]
async fn templates_and_their_folder_go_with_the_host() {
    let endpoint = vcenter().await;
    let layer_ = endpoint.hosts.open("vch").await.unwrap();
    let image = image(&[layer("hello", b"hello")], "/hello");
    layer_.images().import(image, options()).await.unwrap();
    let folders = || async {
        let root = &endpoint.client.service_content().root_folder;
        let folders = endpoint.client.retrieve::<mo::Folder>();
        let folders = folders.property(props::folder::NAME).within(root);
        let folders = folders.collect().await.unwrap();
        let named = folders.iter().filter(|folder| {
            let name = folder.value(props::folder::NAME);
            name.as_deref() == Some("vch.images")
        });
        named.count()
    };
    assert_eq!(folders().await, 1);
    let policy = ContainerPolicy::Refuse;
    endpoint.hosts.delete("vch", policy).await.unwrap();
    assert_eq!(folders().await, 0);
    let left = files(&endpoint);
    assert!(left.iter().all(|path| path.is_dir()), "{left:?}");
}

#[tokio::test]
async fn two_programs_change_one_template() {
    let endpoint = vcenter().await;
    let exec = endpoint.hosts.exec("vch").await.unwrap();
    let other = open(&endpoint, false).await;
    let layers = [layer("hello", b"hello")];
    let all: Vec<_> = (0..6)
        .map(|number| image(&layers, &format!("/{number}")))
        .collect();
    let imports = all.iter().enumerate().map(|(number, image)| {
        let exec = if number % 2 == 0 { &exec } else { &other };
        exec.images().import(image.clone(), options())
    });
    for imported in futures_util::future::join_all(imports).await {
        imported.unwrap();
    }
    assert_eq!(other.images().list().await.unwrap().images.len(), all.len());
    let vm = machine(&endpoint, "vch.image.").await;
    assert!(is_template(&endpoint, &vm).await);
}

#[tokio::test]
async fn an_esxi_host_has_no_templates() {
    let endpoint = Endpoint::start(Dialect::Vic1, Platform::default()).await;
    let layer_ = endpoint.hosts.open("vch").await.unwrap();
    let image = image(&[layer("hello", b"hello")], "/hello");
    let import = layer_.images().import(image.clone(), options());
    import.await.unwrap();
    layer_.images().remove(&image.id()).await.unwrap();
    let calls = endpoint.simulator.script().calls();
    assert!(calls.contains_key("ImportVApp"));
    for method in ["MarkAsTemplate", "MarkAsVirtualMachine", "CreateFolder"] {
        assert!(!calls.contains_key(method), "{method}");
    }
}
