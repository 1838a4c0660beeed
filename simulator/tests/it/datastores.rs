//! Tests of simulators with several datastores.

use disk_image::BlockRead as _;
use disk_image::vmdk::Disk;
use simulator::{Datastore, Simulator, StartError, Topology};
use vim25::types::{
    DatastoreSummary, FileNotFound, HostDatastoreBrowserSearchResults, HostFileSystemVolumeInfo,
    HostNasVolume, HostVmfsVolume, InvalidDatastorePath, NasDatastoreInfo, NoDiskSpace,
    NotSupported, ParaVirtualSCSIController, VirtualDevice, VirtualDeviceConfigSpec,
    VirtualDeviceConfigSpecOperation, VirtualDisk, VirtualDiskFlatVer2BackingInfo,
    VirtualMachineCloneSpec, VirtualMachineConfigSpec, VirtualMachineFileInfo,
    VirtualMachinePowerState, VirtualMachineRelocateSpec, VirtualMachineRelocateSpecDiskLocator,
    VirtualSCSISharing, VmfsDatastoreInfo,
};
use vim25::{AnyRef, Call, Fault, Poly, Ref, TaskOf, mo};

use crate::client::Client;
use crate::client::container::{add, disk_of};
use crate::inventory::{check, everything};
use crate::vcenter::typed;

type Vm = Ref<mo::VirtualMachine>;
type Store = Ref<mo::Datastore>;

struct Bench {
    simulator: Simulator,
    client: Client,
    local: Store,
    nas: Store,
}

/// Starts a vCenter with a VMFS datastore `local` and an NFS datastore `nas` of 1 MiB.
async fn bench() -> Bench {
    let nas = Datastore::nfs("nas", "nas.example.com", "/export/a").capacity(1 << 20);
    let simulator = Simulator::vcenter()
        .datastore(Datastore::vmfs("local"))
        .add_datastore(nas);
    let simulator = simulator.start().await.unwrap();
    let client = Client::login(&simulator).await;
    Bench {
        local: typed(&client, "DC0/datastore/local").await,
        nas: typed(&client, "DC0/datastore/nas").await,
        simulator,
        client,
    }
}

impl Bench {
    async fn create(&self, spec: &VirtualMachineConfigSpec) -> Vm {
        let folder: Ref<mo::Folder> = typed(&self.client, "DC0/vm").await;
        let pool: Ref<mo::ResourcePool> = typed(&self.client, "DC0/host/DC0_H0/Resources").await;
        let create = folder.create_vm(spec, &pool, None);
        self.client.run(create).await.unwrap()
    }

    /// Writes the first bytes of a disk with a flat file.
    fn write(&self, datastore: &str, file: &str, bytes: &[u8]) {
        let path = directory(&self.simulator, datastore).join(file);
        let mut content = std::fs::read(&path).unwrap();
        content[..bytes.len()].copy_from_slice(bytes);
        std::fs::write(&path, content).unwrap();
    }

    fn first_bytes(&self, datastore: &str, file: &str) -> Vec<u8> {
        let disk = Disk::open(directory(&self.simulator, datastore).join(file)).unwrap();
        let mut bytes = vec![0; 4];
        disk.read_exact_at(&mut bytes, 0).unwrap();
        bytes
    }

    fn names(&self, datastore: &str) -> Vec<String> {
        let mut names = Vec::new();
        let root = directory(&self.simulator, datastore).to_owned();
        let mut pending = vec![root.clone()];
        while let Some(at) = pending.pop() {
            for entry in std::fs::read_dir(at).unwrap() {
                let path = entry.unwrap().path();
                let name = path.strip_prefix(&root).unwrap().display().to_string();
                if path.is_dir() {
                    pending.push(path);
                }
                names.push(name);
            }
        }
        names.sort();
        names
    }

    async fn relocate(&self, vm: &Vm, spec: &VirtualMachineRelocateSpec) -> Result<(), Fault> {
        self.client.run(vm.relocate_vm(spec, None)).await
    }

    async fn refreshed(&self, datastore: &Store) -> DatastoreSummary {
        let refresh = datastore.refresh_datastore();
        self.client.call(refresh).await.unwrap();
        self.client.get(datastore, "summary").await
    }
}

fn directory<'s>(simulator: &'s Simulator, datastore: &str) -> &'s std::path::Path {
    let mut all = simulator.datastores();
    all.find(|(name, _)| *name == datastore).unwrap().1
}

/// Returns the specification of a machine on `datastore` with a disk on each of `disks`.
pub(crate) fn spec(name: &str, datastore: &str, disks: &[&str]) -> VirtualMachineConfigSpec {
    let mut scsi = ParaVirtualSCSIController::default();
    scsi.key = -1;
    scsi.shared_bus = VirtualSCSISharing::NoSharing;
    let mut devices = vec![add(scsi, None)];
    for (number, datastore) in disks.iter().enumerate() {
        let mut change = disk_of(512, -1, None);
        change
            .modify::<VirtualDeviceConfigSpec>(|change| {
                let changed = change.device.modify::<VirtualDisk>(|disk| {
                    disk.key = -2 - i32::try_from(number).unwrap();
                    disk.unit_number = Some(i32::try_from(number).unwrap());
                    let mut backing = VirtualDiskFlatVer2BackingInfo::default();
                    backing.base.file_name = format!("[{datastore}]");
                    backing.disk_mode = "persistent".into();
                    disk.backing = Some(Poly::new(backing));
                });
                changed.map(drop).unwrap();
            })
            .map(drop)
            .unwrap();
        devices.push(change);
    }
    VirtualMachineConfigSpec {
        name: Some(name.into()),
        files: Some(Box::new(VirtualMachineFileInfo {
            vm_path_name: Some(format!("[{datastore}]")),
            ..Default::default()
        })),
        device_change: devices,
        ..Default::default()
    }
}

#[tokio::test]
async fn each_datastore_has_its_type_its_mounts_and_its_files() {
    let bench = bench().await;
    let client = &bench.client;
    check(&everything(client, None).await);
    let summary: DatastoreSummary = client.get(&bench.local, "summary").await;
    assert_eq!((&*summary.type_, summary.capacity), ("VMFS", 1 << 40));
    let info: VmfsDatastoreInfo = client.get(&bench.local, "info").await;
    let uuid = info.vmfs.unwrap().uuid;
    assert_eq!(summary.url, format!("/vmfs/volumes/{uuid}"));
    let summary: DatastoreSummary = client.get(&bench.nas, "summary").await;
    assert_eq!((&*summary.type_, summary.capacity), ("NFS", 1 << 20));
    let info: NasDatastoreInfo = client.get(&bench.nas, "info").await;
    let nas = info.nas.unwrap();
    assert_eq!(
        (&*nas.remote_host, &*nas.remote_path),
        ("nas.example.com", "/export/a")
    );
    let host: Ref<mo::HostSystem> = typed(client, "DC0/host/DC0_H0/DC0_H0").await;
    let mounts: HostFileSystemVolumeInfo = client.get(&host, "config.fileSystemVolume").await;
    let [local, nas] = &mounts.mount_info[..] else {
        panic!("{mounts:?}");
    };
    assert_eq!(
        local.volume.get::<HostVmfsVolume>().unwrap().unwrap().uuid,
        uuid
    );
    let volume = nas.volume.get::<HostNasVolume>().unwrap().unwrap();
    assert_eq!(volume.base.name, "nas");
    assert_eq!(nas.mount_info.path.as_deref(), Some(&*summary.url));
    let of_host: Vec<AnyRef> = client.get(&host, "datastore").await;
    assert_eq!(of_host.len(), 2);

    // Files over HTTP, and the browsers.
    let base = bench.simulator.url().strip_suffix("/sdk").unwrap();
    let url = |name: &str| format!("{base}/folder/a.iso?dcPath=DC0&dsName={name}");
    let put = client.http().put(url("nas")).body("of nas");
    let put = put.basic_auth("root", Some("vmware")).send().await.unwrap();
    assert_eq!(put.status(), 201);
    for (name, status) in [("nas", 200), ("local", 404), ("none", 404)] {
        let get = client.http().get(url(name));
        let get = get.basic_auth("root", Some("vmware")).send().await.unwrap();
        assert_eq!(get.status(), status, "{name}");
    }
    let browser: Ref<mo::HostDatastoreBrowser> = client.get(&bench.nas, "browser").await;
    let found: HostDatastoreBrowserSearchResults = client
        .run(browser.search_datastore("[nas]", None))
        .await
        .unwrap();
    assert_eq!(found.datastore.as_ref(), Some(&bench.nas));
    assert_eq!(found.file.len(), 1);
    let other = client.run(browser.search_datastore("[local]", None)).await;
    assert!(other.unwrap_err().is::<InvalidDatastorePath>());
    bench.simulator.shutdown().await;
}

#[tokio::test]
async fn files_move_between_datastores_and_fill_only_their_own() {
    let bench = bench().await;
    let client = &bench.client;
    let files = client.content.file_manager.clone().unwrap();
    let datacenter: Ref<mo::Datacenter> = typed(client, "DC0").await;
    let local = directory(&bench.simulator, "local");
    std::fs::create_dir_all(local.join("a/inner")).unwrap();
    std::fs::write(local.join("a/inner/file"), vec![7; 100 << 10]).unwrap();
    std::fs::write(local.join("big"), vec![7; 2 << 20]).unwrap();

    let copy: Call<TaskOf<()>> = files
        .copy_datastore_file("[local] a", "[nas] b")
        .source_datacenter(&datacenter)
        .into();
    client.run(copy).await.unwrap();
    assert_eq!(bench.names("nas"), ["b", "b/inner", "b/inner/file"]);
    let free = bench.refreshed(&bench.nas).await.free_space;
    assert!(free <= (1 << 20) - (100 << 10), "{free}");
    let move_: Call<TaskOf<()>> = files
        .move_datastore_file("[nas] b", "[local] c")
        .source_datacenter(&datacenter)
        .into();
    client.run(move_).await.unwrap();
    assert!(bench.names("nas").is_empty());
    assert_eq!(
        std::fs::read(local.join("c/inner/file")).unwrap().len(),
        100 << 10
    );
    let gone: Call<TaskOf<()>> = files
        .move_datastore_file("[nas] b", "[local] d")
        .source_datacenter(&datacenter)
        .into();
    assert!(client.run(gone).await.unwrap_err().is::<FileNotFound>());

    // Only `nas` is too small.
    let full: Call<TaskOf<()>> = files
        .move_datastore_file("[local] big", "[nas] big")
        .source_datacenter(&datacenter)
        .into();
    let full = client.run(full).await.unwrap_err();
    assert_eq!(full.get::<NoDiskSpace>().unwrap().unwrap().datastore, "nas");
    assert!(local.join("big").exists() && bench.names("nas").is_empty());
    let copy: Call<TaskOf<()>> = files
        .copy_datastore_file("[local] big", "[local] big2")
        .source_datacenter(&datacenter)
        .into();
    client.run(copy).await.unwrap();
    let inside: Call<TaskOf<()>> = files
        .copy_datastore_file("[local] a", "[local] a/b")
        .source_datacenter(&datacenter)
        .into();
    assert!(
        client
            .run(inside)
            .await
            .unwrap_err()
            .is::<InvalidDatastorePath>()
    );

    // A disk is moved with its extent, and keeps its UUID.
    let vm = bench.create(&spec("vm", "local", &["local"])).await;
    bench.write("local", "vm/vm-flat.vmdk", b"disk");
    let uuid: String = client
        .get(&vm, "config.hardware.device[2000].backing.uuid")
        .await;
    client.call(vm.unregister_vm()).await.unwrap();
    let disks = client.content.virtual_disk_manager.clone().unwrap();
    let move_ = disks
        .move_virtual_disk("[local] vm/vm.vmdk", "[nas] vm.vmdk")
        .source_datacenter(&datacenter);
    client.run::<String>(move_.into()).await.unwrap();
    assert_eq!(bench.first_bytes("nas", "vm.vmdk"), b"disk");
    assert!(!local.join("vm/vm.vmdk").exists() && !local.join("vm/vm-flat.vmdk").exists());
    let moved = disks.query_virtual_disk_uuid("[nas] vm.vmdk", Some(&datacenter));
    let moved: String = client.call(moved).await.unwrap();
    let digits = |text: &str| text.replace(|c: char| !c.is_ascii_hexdigit(), "");
    assert_eq!(digits(&moved), digits(&uuid));
    bench.simulator.shutdown().await;
}

#[tokio::test]
async fn a_machine_has_disks_on_two_datastores() {
    let bench = bench().await;
    let client = &bench.client;
    let vm = bench.create(&spec("vm", "local", &["nas", "local"])).await;
    let file = async |key: i32| -> String {
        let path = format!("config.hardware.device[{key}].backing.fileName");
        client.get(&vm, &path).await
    };
    assert_eq!(file(2000).await, "[nas] vm/vm.vmdk");
    assert_eq!(file(2001).await, "[local] vm/vm.vmdk");
    let own: Vec<Store> = client.get(&vm, "datastore").await;
    assert_eq!(own, [bench.local.clone(), bench.nas.clone()]);
    let of_disk: Store = client
        .get(&vm, "config.hardware.device[2000].backing.datastore")
        .await;
    assert_eq!(of_disk, bench.nas);
    let machines: Vec<Vm> = client.get(&bench.nas, "vm").await;
    assert_eq!(machines, std::slice::from_ref(&vm));
    let vmx = directory(&bench.simulator, "local").join("vm/vm.vmx");
    let vmx = std::fs::read_to_string(vmx).unwrap();
    let url: String = client.get(&bench.nas, "summary.url").await;
    assert!(vmx.contains(&format!("\"{url}/vm/vm.vmdk\"")), "{vmx}");

    // The file is read back.
    client.call(vm.unregister_vm()).await.unwrap();
    let folder: Ref<mo::Folder> = typed(client, "DC0/vm").await;
    let pool: Ref<mo::ResourcePool> = typed(client, "DC0/host/DC0_H0/Resources").await;
    let register = folder.register_vm("[local] vm/vm.vmx", false).pool(&pool);
    let vm: Vm = client.run(register.into()).await.unwrap();
    let file: String = client
        .get(&vm, "config.hardware.device[2000].backing.fileName")
        .await;
    assert_eq!(file, "[nas] vm/vm.vmdk");
    client.run(vm.destroy()).await.unwrap();
    assert!(bench.names("nas").is_empty() && bench.names("local").is_empty());
    bench.simulator.shutdown().await;
}

#[tokio::test]
async fn a_machine_is_relocated_with_its_files() {
    let bench = bench().await;
    let client = &bench.client;
    let vm = bench
        .create(&spec("vm", "local", &["local", "local"]))
        .await;
    bench.write("local", "vm/vm-flat.vmdk", b"one!");
    bench.write("local", "vm/vm_1-flat.vmdk", b"two!");
    let to_nas = VirtualMachineRelocateSpec {
        datastore: Some(bench.nas.clone()),
        ..Default::default()
    };

    // One disk stays.
    let mut split = to_nas.clone();
    split.disk = vec![VirtualMachineRelocateSpecDiskLocator {
        disk_id: 2001,
        datastore: bench.local.clone(),
        ..Default::default()
    }];
    bench.relocate(&vm, &split).await.unwrap();
    assert_eq!(bench.first_bytes("nas", "vm/vm.vmdk"), b"one!");
    assert_eq!(bench.first_bytes("local", "vm/vm_1.vmdk"), b"two!");
    let path: String = client.get(&vm, "config.files.vmPathName").await;
    assert_eq!(path, "[nas] vm/vm.vmx");
    assert_eq!(
        bench.names("local"),
        ["vm", "vm/vm_1-flat.vmdk", "vm/vm_1.vmdk"]
    );
    let own: Vec<Store> = client.get(&vm, "datastore").await;
    assert_eq!(own, [bench.nas.clone(), bench.local.clone()]);

    // The rest follows, and the machine works there.
    bench.relocate(&vm, &to_nas).await.unwrap();
    assert!(bench.names("local").is_empty());
    assert_eq!(bench.first_bytes("nas", "vm/vm_1.vmdk"), b"two!");
    let none: Vec<Vm> = client.get(&bench.local, "vm").await;
    assert!(none.is_empty());
    client.run(vm.power_on_vm(None)).await.unwrap();
    client.run(vm.power_off_vm()).await.unwrap();
    bench.simulator.shutdown().await;
}

#[tokio::test]
async fn a_machine_that_is_on_is_relocated() {
    let bench = bench().await;
    let client = &bench.client;
    let vm = bench.create(&spec("vm", "local", &["local"])).await;
    bench.write("local", "vm/vm-flat.vmdk", b"disk");
    client.run(vm.power_on_vm(None)).await.unwrap();
    let to = |datastore: &Store| VirtualMachineRelocateSpec {
        datastore: Some(datastore.clone()),
        ..Default::default()
    };
    bench.relocate(&vm, &to(&bench.nas)).await.unwrap();
    let state: VirtualMachinePowerState = client.get(&vm, "runtime.powerState").await;
    assert_eq!(state, VirtualMachinePowerState::PoweredOn);
    let path: String = client.get(&vm, "config.files.vmPathName").await;
    assert_eq!(path, "[nas] vm/vm.vmx");
    assert_eq!(bench.first_bytes("nas", "vm/vm.vmdk"), b"disk");
    assert!(bench.names("local").is_empty());
    // The machine still has its disk locked.
    let disks = client.content.virtual_disk_manager.clone().unwrap();
    let datacenter: Ref<mo::Datacenter> = typed(client, "DC0").await;
    let delete = disks.delete_virtual_disk("[nas] vm/vm.vmdk", Some(&datacenter));
    client.run(delete).await.unwrap_err();

    // The guest does not release an independent disk.
    client.run(vm.power_off_vm()).await.unwrap();
    let devices: Vec<Poly<VirtualDevice>> = client.get(&vm, "config.hardware.device").await;
    let disk = devices.into_iter().find(|own| own.is::<VirtualDisk>());
    let mut disk = disk.unwrap();
    disk.modify::<VirtualDisk>(|disk| {
        let backing = disk.backing.as_mut().unwrap();
        let changed = backing.modify::<VirtualDiskFlatVer2BackingInfo>(|backing| {
            backing.disk_mode = "independent_persistent".into();
        });
        changed.map(drop).unwrap();
    })
    .map(drop)
    .unwrap();
    let change = VirtualMachineConfigSpec {
        device_change: vec![Poly::new(VirtualDeviceConfigSpec {
            operation: Some(VirtualDeviceConfigSpecOperation::Edit),
            device: disk,
            ..Default::default()
        })],
        ..Default::default()
    };
    client.run(vm.reconfig_vm(&change)).await.unwrap();
    client.run(vm.power_on_vm(None)).await.unwrap();
    let refused = bench.relocate(&vm, &to(&bench.local)).await;
    assert!(refused.unwrap_err().is::<NotSupported>());
    assert!(bench.names("local").is_empty());
    client.run(vm.power_off_vm()).await.unwrap();
    bench.relocate(&vm, &to(&bench.local)).await.unwrap();
    bench.simulator.shutdown().await;
}

#[tokio::test]
async fn a_relocation_without_room_changes_nothing() {
    let bench = bench().await;
    let client = &bench.client;
    let vm = bench.create(&spec("vm", "local", &["local"])).await;
    let content = vec![7; 512 << 10];
    bench.write("local", "vm/vm-flat.vmdk", &content);
    let room = directory(&bench.simulator, "nas").join("other");
    std::fs::write(room, vec![7; 700 << 10]).unwrap();
    let before = bench.names("local");
    let to_nas = VirtualMachineRelocateSpec {
        datastore: Some(bench.nas.clone()),
        ..Default::default()
    };
    let full = bench.relocate(&vm, &to_nas).await.unwrap_err();
    assert_eq!(full.get::<NoDiskSpace>().unwrap().unwrap().datastore, "nas");
    assert_eq!(bench.names("local"), before);
    assert_eq!(bench.names("nas"), ["other"]);
    client.run(vm.power_on_vm(None)).await.unwrap();
    bench.simulator.shutdown().await;
}

#[tokio::test]
async fn a_clone_is_made_on_another_datastore() {
    let bench = bench().await;
    let client = &bench.client;
    let vm = bench.create(&spec("vm", "local", &["local"])).await;
    bench.write("local", "vm/vm-flat.vmdk", b"disk");
    let folder: Ref<mo::Folder> = typed(client, "DC0/vm").await;
    let mut clone = VirtualMachineCloneSpec::default();
    clone.location.datastore = Some(bench.nas.clone());
    let clone = vm.clone_vm(&folder, "copy", &clone);
    let clone: Vm = client.run(clone).await.unwrap();
    assert_eq!(bench.first_bytes("nas", "copy/copy.vmdk"), b"disk");
    let own: Vec<Store> = client.get(&clone, "datastore").await;
    assert_eq!(own, std::slice::from_ref(&bench.nas));
    bench.simulator.shutdown().await;
}

#[tokio::test]
async fn a_restarted_host_has_its_datastores() {
    let home = tempfile::tempdir().unwrap();
    let start = async || {
        let simulator = Simulator::esx()
            .datastore_directory(home.path())
            .add_datastore(Datastore::nfs("nas", "nas", "/a"));
        let simulator = simulator.start().await.unwrap();
        let client = Client::login(&simulator).await;
        (simulator, client)
    };
    let (simulator, client) = start().await;
    let folder: Ref<mo::Folder> = Ref::new("ha-folder-vm");
    let pool: Ref<mo::ResourcePool> = Ref::new("ha-root-pool");
    let create = folder.create_vm(&spec("vm", "nas", &["datastore1"]), &pool, None);
    let vm: Vm = client.run(create).await.unwrap();
    let before: Vec<Store> = client.get(&vm, "datastore").await;
    assert_eq!(before.len(), 2);
    simulator.shutdown().await;
    let (simulator, client) = start().await;
    let after: Vec<Store> = client.get(&vm, "datastore").await;
    assert_eq!(after, before);
    let path: String = client.get(&vm, "config.files.vmPathName").await;
    assert_eq!(path, "[nas] vm/vm.vmx");
    simulator.shutdown().await;
}

#[tokio::test]
async fn names_and_directories_are_unique() {
    let home = tempfile::tempdir().unwrap();
    let second = |datastore| Simulator::esx().add_datastore(datastore).start();
    for name in ["datastore1", "a]", ""] {
        let error = second(Datastore::vmfs(name)).await.unwrap_err();
        assert!(matches!(error, StartError::DatastoreName { .. }), "{error}");
    }
    let here = |name| Datastore::vmfs(name).directory(home.path());
    let both = Simulator::esx()
        .datastore(here("a"))
        .add_datastore(here("b"));
    let error = both.start().await.unwrap_err();
    assert!(matches!(error, StartError::Datastore { .. }), "{error}");
    let several = Simulator::builder()
        .topology(Topology::vcenter())
        .add_datastore(Datastore::vmfs("LocalDS_1"));
    let several = several.start().await.unwrap();
    let names: Vec<_> = several.datastores().map(|(name, _)| name).collect();
    assert_eq!(names, ["LocalDS_0", "LocalDS_1"]);
    several.shutdown().await;
}
