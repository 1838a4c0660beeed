//! Tests of machines on a temporary datastore, whose files are kept in memory until somebody uses
//! them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use simulator::{Guest, GuestMachine, Simulator, Topology};
use vim25::types::{
    FileNotFound, HostDatastoreBrowserSearchResults, OptionValue, VirtualMachineConfigSpec,
    VirtualMachineFileInfo, VirtualMachineFileLayoutEx,
};
use vim25::{Poly, Ref, mo};

use crate::client::Client;
use crate::client::container::{disk_of, spec};

type Vm = Ref<mo::VirtualMachine>;

struct Bench {
    simulator: Simulator,
    client: Client,
}

/// Starts a host with two machines that are on, and logs a client in.
async fn bench() -> Bench {
    let topology = Topology::esx().machines(2).autostart(true);
    let simulator = Simulator::builder().topology(topology).start().await;
    let simulator = simulator.unwrap();
    let client = Client::login(&simulator).await;
    Bench { simulator, client }
}

fn location(simulator: &Simulator) -> PathBuf {
    let mut all = simulator.datastore_locations_of(0);
    all.next().unwrap().1.to_owned()
}

fn names(directory: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.collect()
}

impl Bench {
    /// Returns the names of what is on disk.
    fn on_disk(&self) -> BTreeSet<String> {
        names(&location(&self.simulator))
    }

    async fn create(&self, name: &str) -> Vm {
        let spec = VirtualMachineConfigSpec {
            name: Some(name.to_owned()),
            guest_id: Some("otherGuest64".to_owned()),
            files: Some(Box::new(VirtualMachineFileInfo {
                vm_path_name: Some("[datastore1]".to_owned()),
                ..Default::default()
            })),
            ..Default::default()
        };
        let folder: Ref<mo::Folder> = Ref::new("ha-folder-vm");
        let pool: Ref<mo::ResourcePool> = Ref::new("ha-root-pool");
        let created = self.client.run(folder.create_vm(&spec, &pool, None)).await;
        created.unwrap()
    }

    async fn machine(&self, name: &str) -> Vm {
        let index = self.client.content.search_index.clone().unwrap();
        let path = format!("ha-datacenter/vm/{name}");
        let found = self.client.call(index.find_by_inventory_path(&path)).await;
        Ref::new(found.unwrap().unwrap().value())
    }

    async fn get_file(&self, path: &str) -> Option<Vec<u8>> {
        let request = self.client.http().get(self.client.file_url(path));
        let request = request.basic_auth("root", Some("vmware"));
        let response = request.send().await.unwrap();
        let is_found = response.status().is_success();
        let bytes = response.bytes().await.unwrap();
        is_found.then(|| bytes.to_vec())
    }

    async fn files(&self, path: &str) -> Vec<String> {
        let host: Ref<mo::HostSystem> = Ref::new("ha-host");
        let browser: Ref<mo::HostDatastoreBrowser> =
            self.client.get(&host, "datastoreBrowser").await;
        let found: HostDatastoreBrowserSearchResults = self
            .client
            .run(browser.search_datastore(path, None))
            .await
            .unwrap();
        let files = found.file.iter();
        files
            .map(|file| {
                file.node()
                    .get("path")
                    .unwrap()
                    .as_str()
                    .unwrap()
                    .to_owned()
            })
            .collect()
    }
}

#[tokio::test]
async fn a_machine_that_nobody_looks_at_leaves_no_trace_on_disk() {
    let bench = bench().await;
    assert!(bench.on_disk().is_empty());
    let vm = bench.create("short").await;
    bench.client.run(vm.power_on_vm(None)).await.unwrap();
    let change = VirtualMachineConfigSpec {
        extra_config: vec![Poly::new(OptionValue::new("a", "1"))],
        ..Default::default()
    };
    bench.client.run(vm.reconfig_vm(&change)).await.unwrap();
    bench.client.run(vm.power_off_vm()).await.unwrap();
    bench.client.run(vm.destroy()).await.unwrap();
    let vm = bench.machine("ha-host_VM0").await;
    bench.client.run(vm.power_off_vm()).await.unwrap();
    bench.client.run(vm.destroy()).await.unwrap();
    assert!(bench.on_disk().is_empty());
    // The names are free again.
    bench.create("short").await;
    assert_eq!(bench.get_file("ha-host_VM0/ha-host_VM0.vmx").await, None);
    assert!(bench.on_disk().is_empty());
}

#[tokio::test]
async fn reading_a_file_writes_its_directory_as_the_api_shows_it() {
    let bench = bench().await;
    let name = "ha-host_VM1";
    let vm = bench.machine(name).await;
    let layout: VirtualMachineFileLayoutEx = bench.client.get(&vm, "layoutEx").await;
    let vmx = bench.get_file(&format!("{name}/{name}.vmx")).await.unwrap();
    let text = String::from_utf8(vmx.clone()).unwrap();
    assert!(text.contains("displayName = \"ha-host_VM1\""), "{text}");
    assert_eq!(bench.on_disk(), BTreeSet::from([name.to_owned()]));
    let directory = location(&bench.simulator).join(name);
    let expected = [".vmx", ".vmdk", "-flat.vmdk"].map(|suffix| format!("{name}{suffix}"));
    let expected = expected.into_iter().chain(["vmware.log".to_owned()]);
    assert_eq!(names(&directory), expected.collect());
    // The sizes were right before the files were written.
    for file in &layout.file {
        let (_, relative) = file.name.split_once("] ").unwrap();
        let metadata = std::fs::metadata(location(&bench.simulator).join(relative)).unwrap();
        let size = match file.type_.as_str() {
            "diskExtent" => 0,
            _ => i64::try_from(metadata.len()).unwrap(),
        };
        assert_eq!(file.size, size, "{}", file.name);
    }
    let flat = std::fs::metadata(directory.join(format!("{name}-flat.vmdk"))).unwrap();
    assert_eq!(flat.len(), 10 << 30);
    // Later changes are written at once.
    bench.client.run(vm.power_off_vm()).await.unwrap();
    let log = std::fs::read_to_string(directory.join("vmware.log")).unwrap();
    assert!(log.contains("PowerOff"), "{log}");
    bench.client.run(vm.destroy()).await.unwrap();
    assert!(bench.on_disk().is_empty());
}

#[tokio::test]
async fn a_list_shows_what_was_not_written() {
    let bench = bench().await;
    bench.create("a").await;
    let inside = bench.files("[datastore1] a").await;
    assert_eq!(inside, ["a.vmx"]);
    assert_eq!(bench.on_disk(), BTreeSet::from(["a".to_owned()]));
    let all = bench.files("[datastore1]").await;
    assert_eq!(all, ["a", "ha-host_VM0", "ha-host_VM1"]);
    assert_eq!(bench.on_disk(), all.into_iter().collect());
}

#[tokio::test]
async fn files_and_directories_are_moved_copied_and_deleted() {
    let bench = bench().await;
    for name in ["a", "b", "c", "d"] {
        bench.create(name).await;
    }
    let manager = bench.client.content.file_manager.clone().unwrap();
    let copy = manager.copy_datastore_file("[datastore1] a", "[datastore1] copy");
    bench.client.run(copy.into()).await.unwrap();
    let moved = manager.move_datastore_file("[datastore1] b/b.vmx", "[datastore1] c/b.vmx");
    bench.client.run(moved.into()).await.unwrap();
    let gone = manager.delete_datastore_file("[datastore1] d/d.vmx", None);
    bench.client.run(gone).await.unwrap();
    let missing = manager.delete_datastore_file("[datastore1] d/d.vmx", None);
    let fault = bench.client.run(missing).await.unwrap_err();
    assert!(fault.is::<FileNotFound>(), "{fault}");
    assert_eq!(bench.files("[datastore1] copy").await, ["a.vmx"]);
    assert_eq!(bench.files("[datastore1] c").await, ["b.vmx", "c.vmx"]);
    assert!(bench.files("[datastore1] b").await.is_empty());
    assert!(bench.files("[datastore1] d").await.is_empty());
    // Nothing else was written.
    assert!(!bench.on_disk().contains("ha-host_VM0"));
    // A file that exists only in memory blocks its name.
    let again = manager.make_directory("[datastore1] ha-host_VM0", None, None);
    assert!(bench.client.call(again).await.is_err());
}

#[tokio::test]
async fn whoever_knows_the_directory_finds_all_files_in_it() {
    let bench = bench().await;
    assert!(bench.on_disk().is_empty());
    let directory = bench.simulator.datastore_directory().to_owned();
    assert_eq!(names(&directory).len(), 2);
    bench.create("a").await;
    assert!(directory.join("a/a.vmx").exists());
    assert_eq!(names(&directory).len(), 3);
}

#[tokio::test]
async fn a_directory_that_is_kept_has_all_files_at_any_time() {
    let kept = tempfile::tempdir().unwrap();
    let topology = Topology::esx().machines(1).autostart(true);
    let builder = Simulator::builder().topology(topology);
    let simulator = builder.datastore_directory(kept.path()).start().await;
    let simulator = simulator.unwrap();
    assert!(kept.path().join("ha-host_VM0/ha-host_VM0.vmx").exists());
    simulator.shutdown().await;
}

#[tokio::test]
async fn a_child_of_a_disk_in_memory_is_created() {
    let bench = bench().await;
    let parent = "[datastore1] ha-host_VM0/ha-host_VM0.vmdk";
    let vm = bench.machine("ha-host_VM0").await;
    bench.client.run(vm.power_off_vm()).await.unwrap();
    let mut child = spec("child", &BTreeMap::new());
    child.device_change.retain(|change| {
        let device = change.node().path("device").unwrap();
        device.type_name() == "ParaVirtualSCSIController"
    });
    child.device_change.push(disk_of(0, -1, Some(parent)));
    let folder: Ref<mo::Folder> = Ref::new("ha-folder-vm");
    let pool: Ref<mo::ResourcePool> = Ref::new("ha-root-pool");
    let create = folder.create_vm(&child, &pool, None);
    bench.client.run(create).await.unwrap();
    let read = disk_image::vmdk::Disk::open(location(&bench.simulator).join("child/child.vmdk"));
    assert_eq!(read.unwrap().capacity(), 10 << 30);
}

/// Returns as soon as it has opened its disk, and reports the result.
#[derive(Debug)]
struct Reader;

#[async_trait::async_trait]
impl Guest for Reader {
    async fn run(&self, machine: GuestMachine) {
        let exists = |file: &PathBuf| file.exists();
        let mut chains = machine.hardware().disks.iter();
        let found = chains.all(|disk| disk.chain.iter().all(exists));
        let _ = machine.set("guestinfo.found", if found { "yes" } else { "no" });
        machine.power_off();
    }
}

#[tokio::test]
async fn a_guest_finds_the_files_of_its_disks() {
    let topology = Topology::esx().machines(1).autostart(true);
    let builder = Simulator::builder().topology(topology).guest(Reader);
    let simulator = builder.start().await.unwrap();
    let client = Client::login(&simulator).await;
    let bench = Bench { simulator, client };
    let vm = bench.machine("ha-host_VM0").await;
    let found = "config.extraConfig[\"guestinfo.found\"].value";
    loop {
        if let Some(found) = bench.client.try_get::<String>(&vm, found).await {
            assert_eq!(found, "yes");
            break;
        }
        tokio::task::yield_now().await;
    }
}
