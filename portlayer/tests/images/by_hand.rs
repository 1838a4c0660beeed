//! On an ESXi host, somebody can power on the machine of an image. That changes nothing.

use std::io::{Seek, SeekFrom, Write};
use std::sync::Arc;

use async_trait::async_trait;
use portlayer::exec::{Command, ContainerSpec, Exec, RootFs, StartOptions};
use portlayer::image::{Digest, Image, Images};
use portlayer::vsphere::{Dialect, Problem, VsphereExec};
use portlayer::{ContainerId, ErrorKind, ExitStatus, State};
use simulator::{Guest, GuestMachine, Platform, Program, Simulator, Tether};
use tokio::sync::Notify;
use vim25::types::FileLocked;

use super::protection::machine;
use super::{causes, files, flat, image, layer, options};
use crate::{Endpoint, spec};

/// Starts containers, and writes to all disks of other machines as far as their modes keep that.
#[derive(Debug)]
struct Writer {
    containers: Tether,
    written: Arc<Notify>,
}

#[async_trait]
impl Guest for Writer {
    async fn run(&self, machine: GuestMachine) {
        if !machine.name().contains(".image.") {
            return self.containers.run(machine).await;
        }
        let disks = &machine.hardware().disks;
        assert_eq!(disks.len(), 1);
        for disk in disks.iter().filter(|disk| !disk.mode.is_discarded()) {
            let flat = disk.chain[0]
                .to_str()
                .unwrap()
                .replace(".vmdk", "-flat.vmdk");
            let mut flat = std::fs::OpenOptions::new().write(true).open(flat).unwrap();
            flat.seek(SeekFrom::Start(4096)).unwrap();
            flat.write_all(b"written by hand").unwrap();
        }
        self.written.notify_one();
        std::future::pending::<()>().await;
    }
}

async fn begin(nonpersistent_disks_are_shared: bool) -> (Endpoint, VsphereExec, Arc<Notify>) {
    let written = Arc::new(Notify::new());
    let exit = Program::new(|_| async { 0 });
    let containers = Tether::new()
        .program("/exit", exit)
        .program("/run", Program::forever());
    let guest = Writer {
        containers,
        written: Arc::clone(&written),
    };
    let platform = Platform {
        nonpersistent_disks_are_shared,
        ..Platform::default()
    };
    let simulator = Simulator::builder().guest(guest).platform(platform);
    let simulator = simulator.start().await.unwrap();
    let endpoint = Endpoint::install(simulator, Dialect::Vic1, spec("vch")).await;
    let exec = endpoint.hosts.exec("vch").await.unwrap();
    (endpoint, exec, written)
}

async fn create(exec: &VsphereExec, name: &str, image: &Image) -> ContainerId {
    let root = RootFs::image(image.id(), "hello");
    let spec = ContainerSpec::new(name, Command::new(format!("/{name}"))).root(root);
    exec.create(spec).await.unwrap()
}

async fn runs_to_its_end(exec: &VsphereExec, id: &ContainerId) {
    exec.start(id, StartOptions::new()).await.unwrap();
    assert_eq!(exec.wait(id).await.unwrap(), ExitStatus::Code(0));
}

#[tokio::test]
async fn an_image_that_is_powered_on_by_hand_is_not_written() {
    let (endpoint, exec, written) = begin(true).await;
    let before = files(&endpoint);
    let images = exec.images();
    let layers = [layer("hello", b"hello")];
    let (image, other) = (image(&layers, "/exit"), image(&layers, "/other"));
    images.import(image.clone(), options()).await.unwrap();
    let digest = || Digest::of(std::fs::read(flat(&endpoint)).unwrap());
    let imported = digest();
    let vm = machine(&endpoint, "vch.image.").await;

    // A container runs on the disk, is created on it, and starts on it while the machine is on.
    let running = create(&exec, "run", &image).await;
    exec.start(&running, StartOptions::new()).await.unwrap();
    endpoint.client.run(vm.power_on_vm(None)).await.unwrap();
    written.notified().await;
    assert_eq!(exec.inspect(&running).await.unwrap().state, State::Running);
    let later = create(&exec, "exit", &image).await;
    runs_to_its_end(&exec, &later).await;
    assert_eq!(digest(), imported);

    // What is written to a machine that is on would not persist.
    let error = images.import(other.clone(), options()).await.unwrap_err();
    let ErrorKind::InUse { by } = &error.kind else {
        panic!("{error:?}");
    };
    assert!(by.contains("vch.image.") && by.contains("power"), "{by}");
    exec.stop(&running, portlayer::exec::StopOptions::AT_ONCE)
        .await
        .unwrap();
    exec.remove(&running).await.unwrap();
    exec.remove(&later).await.unwrap();
    let error = images.remove(&image.id()).await.unwrap_err();
    assert!(matches!(error.kind, ErrorKind::InUse { .. }), "{error:?}");
    assert_eq!(images.list().await.unwrap().images.len(), 1);
    assert_eq!(images.prune().await.unwrap(), [""; 0]);

    endpoint.client.run(vm.power_off_vm()).await.unwrap();
    assert_eq!(digest(), imported);
    assert_eq!(exec.check().await.unwrap(), []);
    images.import(other.clone(), options()).await.unwrap();
    let last = create(&exec, "exit", &other).await;
    runs_to_its_end(&exec, &last).await;
    exec.remove(&last).await.unwrap();
    images.remove(&image.id()).await.unwrap();
    images.remove(&other.id()).await.unwrap();
    // The log of the machine that was on is the only file that the host did not create.
    assert_eq!(files(&endpoint), before);
}

#[tokio::test]
async fn an_endpoint_that_locks_the_disk_keeps_its_users_apart() {
    let (endpoint, exec, written) = begin(false).await;
    let images = exec.images();
    let image = image(&[layer("hello", b"hello")], "/exit");
    images.import(image.clone(), options()).await.unwrap();
    let vm = machine(&endpoint, "vch.image.").await;
    let running = create(&exec, "run", &image).await;
    let idle = create(&exec, "exit", &image).await;
    exec.start(&running, StartOptions::new()).await.unwrap();
    let locked = endpoint.client.run(vm.power_on_vm(None)).await;
    assert!(locked.unwrap_err().is_fault::<FileLocked>());
    exec.stop(&running, portlayer::exec::StopOptions::AT_ONCE)
        .await
        .unwrap();

    endpoint.client.run(vm.power_on_vm(None)).await.unwrap();
    written.notified().await;
    let error = exec.start(&idle, StartOptions::new()).await.unwrap_err();
    let causes = causes(&error);
    assert!(causes.contains("lock"), "{causes}");
    assert!(!exec.check().await.unwrap().iter().any(|found| {
        matches!(
            found.problem,
            Problem::LeftBehind | Problem::UnfinishedImage
        )
    }));
    endpoint.client.run(vm.power_off_vm()).await.unwrap();
    runs_to_its_end(&exec, &idle).await;
}
