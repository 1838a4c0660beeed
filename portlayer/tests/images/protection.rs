//! The disks of images survive what others do to machines, where the endpoint supports that.

use std::time::Duration;

use portlayer::exec::{Command, ContainerSpec, Exec, RootFs, StartOptions};
use portlayer::image::{Digest, Image, Images};
use portlayer::vsphere::{Dialect, Hosts, Options, Problem, VsphereExec};
use portlayer::{ContainerId, ExitStatus};
use simulator::{Platform, Reaction};
use vim25::{Ref, mo, props};

use super::{files, flat, image, layer, options};
use crate::Endpoint;

async fn start(destroy_honours_ddb_deletable: bool) -> (Endpoint, VsphereExec) {
    let platform = Platform {
        destroy_honours_ddb_deletable,
        ..Platform::default()
    };
    let endpoint = Endpoint::start(Dialect::Vic1, platform).await;
    let options = Options {
        left_behind_after: Duration::ZERO,
        ..Options::default()
    };
    let hosts = Hosts::new(endpoint.client.clone(), options);
    let exec = hosts.exec("vch").await.unwrap();
    (endpoint, exec)
}

/// Finds a machine whose name begins with this text.
pub(super) async fn machine(endpoint: &Endpoint, name: &str) -> Ref<mo::VirtualMachine> {
    let root = &endpoint.client.service_content().root_folder;
    let machines = endpoint.client.retrieve::<mo::VirtualMachine>();
    let machines = machines.property(props::virtual_machine::NAME).within(root);
    let machines = machines.collect().await.unwrap();
    let mut found = machines.iter().filter(|machine| {
        let its = machine.value(props::virtual_machine::NAME);
        its.is_some_and(|its| its.starts_with(name))
    });
    found.next().unwrap().object().clone()
}

async fn create(exec: &VsphereExec, name: &str, image: &Image) -> ContainerId {
    let spec =
        ContainerSpec::new(name, Command::new("/exit")).root(RootFs::image(image.id(), "hello"));
    exec.create(spec).await.unwrap()
}

#[tokio::test]
async fn what_others_destroy_keeps_the_disks_of_images() {
    for honours in [true, false] {
        let (endpoint, exec) = start(honours).await;
        let before = files(&endpoint);
        let image = image(&[layer("hello", b"hello")], "/hello");
        let images = exec.images();
        // The port layer deletes protected disks.
        images.import(image.clone(), options()).await.unwrap();
        images.remove(&image.id()).await.unwrap();
        assert_eq!(files(&endpoint), before);

        images.import(image.clone(), options()).await.unwrap();
        let disk = flat(&endpoint);
        let digest = Digest::of(std::fs::read(&disk).unwrap());
        let kept = create(&exec, "kept", &image).await;
        // Destroying a machine also deletes the parents of its disks, unless they are protected.
        create(&exec, "destroyed", &image).await;
        let vm = machine(&endpoint, "destroyed-").await;
        endpoint.client.run(vm.destroy()).await.unwrap();
        assert_eq!(disk.exists(), honours);
        if !honours {
            continue;
        }
        let vm = machine(&endpoint, "vch.image.").await;
        endpoint.client.run(vm.destroy()).await.unwrap();
        assert_eq!(Digest::of(std::fs::read(&disk).unwrap()), digest);

        // The container still has its disk, so nothing is to be repaired.
        exec.start(&kept, StartOptions::new()).await.unwrap();
        assert_eq!(exec.wait(&kept).await.unwrap(), ExitStatus::Code(0));
        assert_eq!(exec.check().await.unwrap(), []);
        assert_eq!(images.prune().await.unwrap(), [""; 0]);
        exec.remove(&kept).await.unwrap();
        assert_eq!(Digest::of(std::fs::read(&disk).unwrap()), digest);

        let found = exec.check().await.unwrap();
        let problems: Vec<_> = found.iter().map(|found| &found.problem).collect();
        assert_eq!(problems, [&Problem::LeftBehind]);
        assert!(found[0].label.contains("vch.image."), "{found:?}");
        let pruned = images.prune().await.unwrap();
        assert!(
            pruned.len() == 1 && pruned[0].contains("vch.image."),
            "{pruned:?}"
        );
        assert_eq!(files(&endpoint), before);
        assert_eq!(exec.check().await.unwrap(), []);
    }
}

#[tokio::test]
async fn an_image_is_usable_although_its_disk_could_not_be_protected() {
    let (endpoint, exec) = start(true).await;
    let before = files(&endpoint);
    let images = exec.images();
    let image = image(&[layer("hello", b"hello")], "/hello");
    for (method, reaction) in [
        ("GET /folder", Reaction::HttpStatus(500)),
        ("PUT /folder", Reaction::HttpStatus(403)),
        ("PUT /folder", Reaction::LoseAnswer),
    ] {
        let what = format!("{method} {reaction:?}");
        endpoint.simulator.script().next(method, reaction);
        images.import(image.clone(), options()).await.unwrap();
        assert_eq!(endpoint.simulator.script().pending(), 0, "{what}");
        let id = create(&exec, "usable", &image).await;
        exec.remove(&id).await.unwrap();
        images.remove(&image.id()).await.unwrap();
        assert_eq!(files(&endpoint), before, "{what}");
    }
}

#[tokio::test]
async fn a_removal_that_cannot_make_the_disk_deletable_can_be_repeated() {
    let (endpoint, exec) = start(true).await;
    let before = files(&endpoint);
    let images = exec.images();
    let image = image(&[layer("hello", b"hello")], "/hello");
    images.import(image.clone(), options()).await.unwrap();
    let script = endpoint.simulator.script();
    script.next("PUT /folder", Reaction::HttpStatus(403));
    images.remove(&image.id()).await.unwrap_err();
    // The image is gone for containers, and the next cleanup finds the rest.
    assert!(images.list().await.unwrap().images.is_empty());
    let found = exec.check().await.unwrap();
    assert_eq!(found[0].problem, Problem::UnfinishedImage, "{found:?}");
    assert_eq!(images.prune().await.unwrap().len(), 1);
    assert_eq!(files(&endpoint), before);
}

#[tokio::test]
async fn the_files_of_former_images_go_with_the_host() {
    let (endpoint, exec) = start(true).await;
    let image = image(&[layer("hello", b"hello")], "/hello");
    exec.images().import(image, options()).await.unwrap();
    let vm = machine(&endpoint, "vch.image.").await;
    endpoint.client.run(vm.destroy()).await.unwrap();
    assert!(flat(&endpoint).exists());
    let policy = portlayer::vsphere::ContainerPolicy::Refuse;
    endpoint.hosts.delete("vch", policy).await.unwrap();
    let left = files(&endpoint);
    assert!(left.iter().all(|path| path.is_dir()), "{left:?}");
    assert!(
        !left
            .iter()
            .any(|path| path.to_string_lossy().contains(".image."))
    );
}
