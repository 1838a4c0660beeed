//! An image of Debian's packages, pushed by skopeo to Debian's registry, is pulled and imported;
//! the disk on the simulator's datastore is compared entry by entry with what umoci unpacks, and
//! checked by `e2fsck` and `qemu-img`.
//!
//! The test needs these programs, and root for the owners and devices in the tree. It runs in the
//! interoperability suite (`cargo xtask interop disks`).
#![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

mod manifest;
mod registry;

use std::path::{Path, PathBuf};

use disk_image::ext4::Reader;
use disk_image::vmdk::Disk;
use disk_image::{Monitor, UnpackOptions};
use image_source::{Reference, Registries, RegistryOptions, Spool, Transport};
use portlayer::image::{Digest, ImportOptions};
use portlayer::vsphere::{HostSpec, Hosts, InstallProgress, Iso, Options};
use simulator::Simulator;
use vsphere_client::{Client, Credentials};

use manifest::{difference, manifest};
use registry::{Registry, run};

/// Capacity of the imported disk in bytes.
const CAPACITY: u64 = 256 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs docker-registry, skopeo, umoci, e2fsck, qemu-img and root: in the interoperability suite"]
async fn a_pulled_image_has_the_files_that_umoci_unpacks() {
    let registry = Registry::start().await;
    let (name, theirs) = registry.push_debian();

    let transport = RegistryOptions::new().transport(registry.address(), Transport::PlainHttp);
    let reference: Reference = name.parse().unwrap();
    let found = Registries::new(transport)
        .resolve(&reference)
        .await
        .unwrap();
    let image = found.fetch(&Spool::temporary().unwrap(), ()).await.unwrap();
    assert_eq!(image.layers().len(), 3);

    let simulator = Simulator::builder().start().await.unwrap();
    let client = Client::builder(simulator.url())
        .credentials(Credentials::password(
            simulator.user(),
            simulator.password(),
        ))
        .thumbprint(simulator.thumbprint().parse().unwrap())
        .connect()
        .await
        .unwrap();
    let hosts = Hosts::new(client, Options::default());
    let spec = HostSpec::new("vch", Iso::bytes("appliance"), Iso::bytes("bootstrap"));
    hosts.install(spec, &|_: InstallProgress| {}).await.unwrap();
    let layer = hosts.open("vch").await.unwrap();
    let options = ImportOptions::new().capacity(CAPACITY);
    let imported = layer.images().import(image, options).await.unwrap();

    let disk = disk(simulator.datastore_directory());
    let text = disk.to_str().unwrap();
    run("qemu-img", &["check", text]);
    let raw = registry.folder().join("raw.img");
    run(
        "qemu-img",
        &["convert", "-O", "raw", text, raw.to_str().unwrap()],
    );
    run("e2fsck", &["-f", "-n", raw.to_str().unwrap()]);
    let flat = text.replace(".vmdk", "-flat.vmdk");
    let digest = |path: &Path| Digest::of(std::fs::read(path).unwrap());
    assert_eq!(
        digest(&raw),
        digest(Path::new(&flat)),
        "qemu-img reads another disk"
    );

    let ours = registry.folder().join("ours");
    let reader = Reader::open(Disk::open(&disk).unwrap()).unwrap();
    let unpacked = reader
        .unpack(&ours, &UnpackOptions::new(), &Monitor::new())
        .unwrap();
    assert_eq!(unpacked.refused, [], "root may create everything");
    let (theirs, ours) = (manifest(&theirs), manifest(&ours));
    assert!(ours.len() > 500, "only {} files were compared", ours.len());
    let mut different = difference(&theirs, &ours);
    // The time of a directory that no layer describes is unspecified.
    different.remove("");
    assert!(different.is_empty(), "{different:#?}");

    layer.images().remove(&imported.id).await.unwrap();
    assert!(!disk.exists());
    simulator.shutdown().await;
}

/// Returns the descriptor of the image's disk.
fn disk(datastore: &Path) -> PathBuf {
    let directories = std::fs::read_dir(datastore).unwrap();
    let mut directories = directories.map(|entry| entry.unwrap());
    let is_image = |name: &str| name.starts_with("vch.image.");
    let directory = directories.find(|entry| is_image(&entry.file_name().to_string_lossy()));
    let directory = directory.unwrap().path();
    let mut files = std::fs::read_dir(&directory)
        .unwrap()
        .map(|f| f.unwrap().path());
    files
        .find(|file| {
            let name = file.to_string_lossy();
            name.ends_with(".vmdk") && !name.ends_with("-flat.vmdk")
        })
        .unwrap()
}
