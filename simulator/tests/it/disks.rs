//! Tests of disks: children, copies, locks, and the calls that the guest receives.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use disk_image::BlockRead as _;
use disk_image::vmdk::{Disk, SparseDisk};
use simulator::{Guest, GuestDisk, GuestMachine, Platform, Simulator};
use vim25::types::{
    CannotDeleteFile, FileLocked, VirtualDevice, VirtualDeviceConfigSpec,
    VirtualDeviceConfigSpecOperation, VirtualDisk, VirtualMachineConfigSpec,
};
use vim25::{Fault, Poly, Ref, mo};

use crate::client::Client;
use crate::client::container::{disk_of, spec};

/// A guest that holds back a write to each disk until it is asked to flush the disk.
#[derive(Clone, Debug, Default)]
struct Keeper {
    told: Arc<Mutex<Vec<String>>>,
    kept: Arc<Mutex<Vec<PathBuf>>>,
    refuses: Arc<Mutex<bool>>,
}

impl Keeper {
    fn told(&self) -> Vec<String> {
        std::mem::take(&mut *self.told.lock().unwrap())
    }
}

fn name(disk: &GuestDisk) -> String {
    let file = disk.chain[0].file_name().unwrap();
    file.to_str().unwrap().to_owned()
}

#[async_trait::async_trait]
impl Guest for Keeper {
    async fn run(&self, machine: GuestMachine) {
        let disks = machine.hardware().disks.iter();
        let mut kept = self.kept.lock().unwrap();
        kept.extend(disks.map(|disk| disk.chain[0].clone()));
    }

    async fn flush(&self, disk: &GuestDisk) -> io::Result<()> {
        self.told
            .lock()
            .unwrap()
            .push(format!("flush {}", name(disk)));
        if *self.refuses.lock().unwrap() {
            return Err(io::Error::other("the guest cannot flush"));
        }
        let mut kept = self.kept.lock().unwrap();
        if kept.contains(&disk.chain[0]) {
            kept.retain(|file| *file != disk.chain[0]);
            let mut disk = SparseDisk::open(&disk.chain[0]).map_err(io::Error::other)?;
            disk.write_at(1 << 20, b"kept").map_err(io::Error::other)?;
        }
        Ok(())
    }

    async fn forget(&self, disk: &GuestDisk) {
        self.told
            .lock()
            .unwrap()
            .push(format!("forget {}", name(disk)));
    }
}

struct Bench {
    simulator: Simulator,
    client: Client,
    keeper: Keeper,
}

async fn bench(platform: Platform) -> Bench {
    let keeper = Keeper::default();
    let builder = Simulator::builder()
        .guest(keeper.clone())
        .platform(platform);
    let simulator = builder.start().await.unwrap();
    let client = Client::login(&simulator).await;
    Bench {
        simulator,
        client,
        keeper,
    }
}

impl Bench {
    /// Creates a machine with one disk of 4 MiB, which may have a parent.
    async fn machine(&self, name: &str, parent: Option<&str>) -> Ref<mo::VirtualMachine> {
        let mut spec = spec(name, &[].into());
        spec.device_change.truncate(2);
        spec.device_change[0] = disk_of(4 << 10, -1, parent);
        let folder: Ref<mo::Folder> = Ref::new("ha-folder-vm");
        let pool: Ref<mo::ResourcePool> = Ref::new("ha-root-pool");
        let call = folder.create_vm(&spec, &pool, None);
        self.client.run(call).await.unwrap()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.simulator.datastore_directory().join(name)
    }

    /// Sends a request for a file; returns the status.
    async fn http(&self, method: &str, path: &str, body: &'static str) -> u16 {
        let method = method.parse().unwrap();
        let request = self
            .client
            .http()
            .request(method, self.client.file_url(path));
        let request = request.basic_auth("root", Some("vmware")).body(body);
        request.send().await.unwrap().status().as_u16()
    }

    fn manager(&self) -> Ref<mo::VirtualDiskManager> {
        self.client.content.virtual_disk_manager.clone().unwrap()
    }
}

/// Returns four bytes of a disk at an offset.
fn at(path: &PathBuf, offset: u64) -> [u8; 4] {
    let mut bytes = [0; 4];
    let disk = Disk::open(path).unwrap();
    disk.read_exact_at(&mut bytes, offset).unwrap();
    bytes
}

#[tokio::test]
async fn a_child_shows_its_parent_and_the_guest_finds_the_chain() {
    let bench = bench(Platform::default()).await;
    bench.machine("image", None).await;
    std::fs::write(bench.file("image/image-flat.vmdk"), vec![b'i'; 4 << 20]).unwrap();
    let parent = Some("[datastore1] image/image.vmdk");
    let child = bench.machine("a", parent).await;
    // The child has the capacity of the parent, whatever was requested.
    let disk: VirtualDisk = bench
        .client
        .get(&child, "config.hardware.device[2000]")
        .await;
    assert_eq!(disk.capacity_in_kb, 4 << 10);
    let opened = Disk::open(bench.file("a/a.vmdk")).unwrap();
    let parent = Disk::open(bench.file("image/image.vmdk")).unwrap();
    let cid = parent.descriptor().cid().unwrap();
    assert_eq!(opened.descriptor().parent_cid().unwrap(), Some(cid));
    assert_eq!(&at(&bench.file("a/a.vmdk"), 1 << 20), b"iiii");
    bench.client.run(child.power_on_vm(None)).await.unwrap();
    bench.client.run(child.power_off_vm()).await.unwrap();
    // Creating the child flushed the parent. Powering the machine on and off flushed nothing.
    assert_eq!(bench.keeper.told(), ["flush image.vmdk"]);

    // Copying flushes the disk first, so the copy contains the guest's write.
    let copy = bench.manager();
    let copy = copy.copy_virtual_disk("[datastore1] a/a.vmdk", "[datastore1] copy.vmdk");
    bench.client.run(copy.build()).await.unwrap();
    assert_eq!(bench.keeper.told(), ["flush a.vmdk"]);
    assert_eq!(&at(&bench.file("copy.vmdk"), 1 << 20), b"kept");
    assert_eq!(&at(&bench.file("copy.vmdk"), 2 << 20), b"iiii");
    assert!(
        Disk::open(bench.file("copy.vmdk"))
            .unwrap()
            .parent()
            .is_none()
    );
    assert_eq!(&at(&bench.file("image/image.vmdk"), 1 << 20), b"iiii");
    bench.simulator.shutdown().await;
}

#[tokio::test]
async fn the_guest_is_asked_before_others_read_and_told_when_disks_go() {
    let bench = bench(Platform::default()).await;
    let vm = bench.machine("a", None).await;
    assert_eq!(bench.http("GET", "a/a-flat.vmdk", "").await, 200);
    assert_eq!(bench.http("GET", "a/a.vmdk", "").await, 200);
    assert_eq!(bench.http("GET", "a/a.vmx", "").await, 200);
    assert_eq!(bench.keeper.told(), ["flush a.vmdk", "flush a.vmdk"]);
    *bench.keeper.refuses.lock().unwrap() = true;
    assert_eq!(bench.http("GET", "a/a-flat.vmdk", "").await, 500);
    *bench.keeper.refuses.lock().unwrap() = false;
    bench.keeper.told();
    // Replacing the descriptor does not change the content of the disk.
    let text = std::fs::read_to_string(bench.file("a/a.vmdk")).unwrap();
    assert_eq!(bench.http("PUT", "a/a.vmdk", text.leak()).await, 200);
    assert!(bench.keeper.told().is_empty());
    assert_eq!(bench.http("PUT", "a/a-flat.vmdk", "new").await, 200);
    assert_eq!(bench.keeper.told(), ["forget a.vmdk"]);
    bench.client.run(vm.destroy()).await.unwrap();
    assert_eq!(bench.keeper.told(), ["forget a.vmdk"]);
    let spec = disk_spec();
    let create = bench.manager();
    let create = create.create_virtual_disk("[datastore1] b.vmdk", None, &spec);
    bench.client.run(create).await.unwrap();
    let delete = bench
        .manager()
        .delete_virtual_disk("[datastore1] b.vmdk", None);
    bench.client.run(delete).await.unwrap();
    assert_eq!(bench.keeper.told(), ["forget b.vmdk"]);
    bench.simulator.shutdown().await;
}

fn disk_spec() -> Poly<vim25::types::VirtualDiskSpec> {
    let mut spec = vim25::types::FileBackedVirtualDiskSpec::default();
    spec.capacity_kb = 4 << 10;
    spec.disk_type = "thin".into();
    spec.adapter_type = "lsiLogic".into();
    Poly::new(spec)
}

#[tokio::test]
async fn disks_of_a_machine_that_is_on_are_locked_with_their_parents() {
    let bench = bench(Platform::default()).await;
    bench.machine("image", None).await;
    let parent = Some("[datastore1] image/image.vmdk");
    let child = bench.machine("a", parent).await;
    bench.client.run(child.power_on_vm(None)).await.unwrap();
    // A parent may be read but not changed.
    assert_eq!(bench.http("GET", "image/image-flat.vmdk", "").await, 200);
    assert_eq!(bench.http("GET", "a/a-delta.vmdk", "").await, 500);
    for file in ["a/a-delta.vmdk", "image/image-flat.vmdk"] {
        assert_eq!(bench.http("PUT", file, "x").await, 500, "{file}");
        assert_eq!(bench.http("DELETE", file, "").await, 500, "{file}");
    }
    for disk in ["[datastore1] a/a.vmdk", "[datastore1] image/image.vmdk"] {
        let delete = bench.manager().delete_virtual_disk(disk, None);
        let fault = bench.client.run(delete).await.unwrap_err();
        assert!(fault.is::<FileLocked>(), "{disk}: {fault}");
    }
    let manager = bench.client.content.file_manager.clone().unwrap();
    let delete = manager.delete_datastore_file("[datastore1] image", None);
    let fault = bench.client.run(delete).await.unwrap_err();
    assert!(fault.is::<FileLocked>(), "{fault}");
    let mut second = spec("b", &[].into());
    second.device_change.truncate(2);
    second.device_change[0] = attach("[datastore1] a/a.vmdk");
    let folder: Ref<mo::Folder> = Ref::new("ha-folder-vm");
    let pool: Ref<mo::ResourcePool> = Ref::new("ha-root-pool");
    let second = folder.create_vm(&second, &pool, None);
    let second = bench.client.run(second).await.unwrap();
    let fault = bench
        .client
        .run(second.power_on_vm(None))
        .await
        .unwrap_err();
    assert!(fault.is::<FileLocked>(), "{fault}");
    bench.client.run(child.power_off_vm()).await.unwrap();
    bench.client.run(second.power_on_vm(None)).await.unwrap();
    bench.simulator.shutdown().await;
}

fn attach(file: &str) -> Poly<VirtualDeviceConfigSpec> {
    let change = disk_of(0, -1, None);
    let spec = change.get::<VirtualDeviceConfigSpec>().unwrap().unwrap();
    let mut disk = spec.device.get::<VirtualDisk>().unwrap().unwrap();
    let backing = disk.backing.as_ref().unwrap();
    let mut backing = backing
        .get::<vim25::types::VirtualDiskFlatVer2BackingInfo>()
        .unwrap()
        .unwrap();
    backing.file_name = file.into();
    disk.backing = Some(Poly::new(backing));
    Poly::new(VirtualDeviceConfigSpec {
        operation: Some(VirtualDeviceConfigSpecOperation::Add),
        device: Poly::new(disk),
        ..Default::default()
    })
}

/// Returns whether the parent and the child exist after the child's machine was destroyed.
async fn destroyed(platform: Platform) -> (bool, bool) {
    let bench = bench(platform).await;
    bench.machine("image", None).await;
    let file = bench.file("image/image.vmdk");
    let mut text = std::fs::read_to_string(&file).unwrap();
    text.push_str("ddb.deletable = \"false\"\n");
    assert_eq!(
        bench.http("PUT", "image/image.vmdk", text.leak()).await,
        200
    );
    let parent = Some("[datastore1] image/image.vmdk");
    let child = bench.machine("a", parent).await;
    bench.client.run(child.destroy()).await.unwrap();
    let there = (file.exists(), bench.file("a/a-delta.vmdk").exists());
    if there.0 {
        let delete = bench.manager();
        let delete = delete.delete_virtual_disk("[datastore1] image/image.vmdk", None);
        let deleted: Result<(), Fault> = bench.client.run(delete).await;
        match deleted {
            Ok(()) => assert!(!file.exists()),
            Err(fault) => assert!(fault.is::<CannotDeleteFile>(), "{fault}"),
        }
    }
    bench.simulator.shutdown().await;
    there
}

#[tokio::test]
async fn what_destroying_takes_along_is_a_switch() {
    for (parents, honours, stays) in [
        (true, true, true),
        (true, false, false),
        (false, true, true),
        (false, false, true),
    ] {
        let platform = Platform {
            destroy_deletes_parent_disks: parents,
            destroy_honours_ddb_deletable: honours,
            ..Platform::default()
        };
        assert_eq!(destroyed(platform).await, (stays, false));
    }
}

#[tokio::test]
async fn a_disk_that_is_detached_keeps_its_files() {
    let bench = bench(Platform::default()).await;
    let vm = bench.machine("a", None).await;
    let remove = VirtualMachineConfigSpec {
        device_change: vec![Poly::new(VirtualDeviceConfigSpec {
            operation: Some(VirtualDeviceConfigSpecOperation::Remove),
            device: Poly::new(VirtualDevice {
                key: 2_000,
                ..Default::default()
            }),
            ..Default::default()
        })],
        ..Default::default()
    };
    bench.client.run(vm.reconfig_vm(&remove)).await.unwrap();
    bench.client.run(vm.destroy()).await.unwrap();
    assert!(bench.file("a/a.vmdk").exists() && bench.file("a/a-flat.vmdk").exists());
    assert!(!bench.file("a/a.vmx").exists());
    bench.simulator.shutdown().await;
}
