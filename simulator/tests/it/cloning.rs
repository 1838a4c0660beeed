//! Tests of cloning and relocating machines in a vCenter.

use std::time::Duration;

use disk_image::BlockRead as _;
use disk_image::vmdk::{Disk, SparseDisk};
use simulator::{Reaction, Simulator};
use vim25::types::{
    DuplicateName, InvalidArgument, InvalidDeviceOperation, InvalidPowerState, InvalidState,
    NotSupported, OptionValue, ParaVirtualSCSIController, RequestCanceled, TaskInProgress,
    TaskInfoState, VirtualDeviceConfigSpec, VirtualDeviceConfigSpecOperation, VirtualDisk,
    VirtualMachineCloneSpec, VirtualMachineConfigInfo, VirtualMachineConfigSpec,
    VirtualMachineInstantCloneSpec, VirtualMachinePowerState, VirtualMachineRelocateSpec,
    VirtualSCSISharing,
};
use vim25::{AnyRef, Fault, Poly, Ref, mo};

use crate::client::Client;
use crate::client::container::{add, disk_of, extra, options};
use crate::vcenter::{bare, typed};

type Vm = Ref<mo::VirtualMachine>;

struct Bench {
    simulator: Simulator,
    client: Client,
    folder: Ref<mo::Folder>,
    pool: Ref<mo::ResourcePool>,
}

async fn bench() -> Bench {
    let simulator = Simulator::vcenter().start().await.unwrap();
    let client = Client::login(&simulator).await;
    Bench {
        folder: typed(&client, "DC0/vm").await,
        pool: typed(&client, "DC0/host/DC0_C0/Resources").await,
        simulator,
        client,
    }
}

impl Bench {
    /// Creates a machine with a key, a network card, and a disk with a parent.
    async fn source(&self) -> Ref<mo::VirtualMachine> {
        let mut spec = bare("source");
        spec.device_change = self.devices(None);
        let parent = self.run(&spec).await;
        self.write("source/source.vmdk", b"of the parent");
        let mut spec = bare("child");
        spec.extra_config = options(&[("some.key".to_owned(), "word".to_owned())].into());
        spec.num_cpus = Some(3);
        spec.device_change = self.devices(Some("[LocalDS_0] source/source.vmdk"));
        let child = self.run(&spec).await;
        assert_ne!(parent, child);
        child
    }

    fn devices(&self, parent: Option<&str>) -> Vec<Poly<VirtualDeviceConfigSpec>> {
        let mut scsi = ParaVirtualSCSIController::default();
        scsi.key = -1;
        scsi.shared_bus = VirtualSCSISharing::NoSharing;
        let mut backing = vim25::types::VirtualEthernetCardNetworkBackingInfo::default();
        backing.device_name = "VM Network".into();
        let mut card = vim25::types::VirtualVmxnet3::default();
        card.key = -4;
        card.backing = Some(Poly::new(backing));
        vec![add(scsi, None), disk_of(4096, -1, parent), add(card, None)]
    }

    async fn run(&self, spec: &VirtualMachineConfigSpec) -> Ref<mo::VirtualMachine> {
        let create = self.folder.create_vm(spec, &self.pool, None);
        self.client.run(create).await.unwrap()
    }

    fn write(&self, file: &str, bytes: &[u8]) {
        let extent = file.replace(".vmdk", "-flat.vmdk");
        let path = self.simulator.datastore_directory().join(extent);
        let mut content = std::fs::read(&path).unwrap();
        content[..bytes.len()].copy_from_slice(bytes);
        std::fs::write(&path, content).unwrap();
    }

    fn first_bytes(&self, file: &str) -> Vec<u8> {
        let disk = Disk::open(self.simulator.datastore_directory().join(file)).unwrap();
        let mut bytes = vec![0; 16];
        disk.read_exact_at(&mut bytes, 0).unwrap();
        bytes
    }
}

#[tokio::test]
async fn a_clone_has_the_content_and_not_the_identity() {
    let bench = bench().await;
    let (client, source) = (&bench.client, bench.source().await);
    let directory = bench.simulator.datastore_directory();
    let mut written = SparseDisk::open(directory.join("child/child.vmdk")).unwrap();
    written.write_at(8, b"grandson").unwrap();
    drop(written);

    let spec = VirtualMachineCloneSpec {
        config: Some(Box::new(VirtualMachineConfigSpec {
            memory_mb: Some(128),
            ..Default::default()
        })),
        power_on: true,
        ..Default::default()
    };
    let clone = source.clone_vm(&bench.folder, "copy", &spec);
    let clone: Ref<mo::VirtualMachine> = client.run(clone).await.unwrap();

    // The copy is a disk without a parent, with the combined content of parent and child.
    assert_eq!(bench.first_bytes("copy/copy.vmdk"), b"of the pgrandson");
    assert_eq!(bench.first_bytes("child/child.vmdk"), b"of the pgrandson");
    let disk = std::fs::read_to_string(directory.join("copy/copy.vmdk")).unwrap();
    assert!(!disk.contains("parentFileNameHint"), "{disk}");
    let keys: Vec<Poly<OptionValue>> = client.get(&clone, "config.extraConfig").await;
    let kept = keys
        .iter()
        .any(|key| key.node().get("key").and_then(|key| key.as_str()) == Some("some.key"));
    assert!(kept, "{keys:?}");
    for (path, same) in [
        ("config.hardware.numCPU", true),
        ("config.guestId", true),
        ("config.uuid", false),
        ("config.instanceUuid", false),
        ("config.files.vmPathName", false),
        ("config.hardware.device[4000].macAddress", false),
        ("config.hardware.device[2000].backing.fileName", false),
        ("config.hardware.device[2000].backing.uuid", false),
    ] {
        let values: Vec<String> = match path {
            "config.hardware.numCPU" => vec![
                client.get::<i32>(&source, path).await.to_string(),
                client.get::<i32>(&clone, path).await.to_string(),
            ],
            _ => vec![
                client.get(&source, path).await,
                client.get(&clone, path).await,
            ],
        };
        assert_eq!(values[0] == values[1], same, "{path}: {values:?}");
    }
    let memory: i32 = client.get(&clone, "config.hardware.memoryMB").await;
    assert_eq!(memory, 128);
    let state: VirtualMachinePowerState = client.get(&clone, "runtime.powerState").await;
    assert_eq!(state, VirtualMachinePowerState::PoweredOn);
    // The clone can be destroyed without affecting the source.
    client.run(clone.power_off_vm()).await.unwrap();
    client.run(clone.destroy()).await.unwrap();
    assert!(!directory.join("copy").exists());
    assert_eq!(bench.first_bytes("child/child.vmdk"), b"of the pgrandson");
    bench.simulator.shutdown().await;
}

#[tokio::test]
async fn a_clone_that_is_refused_leaves_nothing() {
    let bench = bench().await;
    let (client, source) = (&bench.client, bench.source().await);
    let plain = VirtualMachineCloneSpec::default();
    let refusals = [
        ("child", plain.clone()),
        (
            "linked",
            VirtualMachineCloneSpec {
                location: VirtualMachineRelocateSpec {
                    disk_move_type: Some("createNewChildDiskBacking".into()),
                    ..Default::default()
                },
                ..Default::default()
            },
        ),
        (
            "both",
            VirtualMachineCloneSpec {
                template: true,
                power_on: true,
                ..Default::default()
            },
        ),
        (
            "bad-config",
            VirtualMachineCloneSpec {
                config: Some(Box::new(VirtualMachineConfigSpec {
                    num_cpus: Some(-1),
                    ..Default::default()
                })),
                ..Default::default()
            },
        ),
    ];
    for (name, spec) in refusals {
        let clone = source.clone_vm(&bench.folder, name, &spec);
        let cloned: Result<Ref<mo::VirtualMachine>, _> = client.run(clone).await;
        cloned.unwrap_err();
        assert_eq!(
            bench.simulator.datastore_directory().join(name).exists(),
            name == "child",
            "{name}"
        );
    }
    bench.simulator.shutdown().await;

    let host = Simulator::esx().start().await.unwrap();
    let client = Client::login(&host).await;
    let folder: Ref<mo::Folder> = typed(&client, "ha-datacenter/vm").await;
    let pool: Ref<mo::ResourcePool> = typed(
        &client,
        "ha-datacenter/host/localhost.localdomain/Resources",
    )
    .await;
    let mut spec = bare("a");
    spec.files.as_mut().unwrap().vm_path_name = Some("[datastore1]".into());
    let vm: Ref<mo::VirtualMachine> = client
        .run(folder.create_vm(&spec, &pool, None))
        .await
        .unwrap();
    let refused = client.call(vm.clone_vm(&folder, "b", &plain)).await;
    assert!(refused.unwrap_err().fault().is::<NotSupported>());
    let instant = VirtualMachineInstantCloneSpec::default();
    let refused = client.call(vm.instant_clone(&instant)).await;
    assert!(refused.unwrap_err().fault().is::<NotSupported>());
    host.shutdown().await;
}

#[tokio::test]
async fn a_template_is_cloned_to_a_machine_and_back() {
    let bench = bench().await;
    let (client, source) = (&bench.client, bench.source().await);
    let to_template = VirtualMachineCloneSpec {
        template: true,
        ..Default::default()
    };
    let template = source.clone_vm(&bench.folder, "template", &to_template);
    let template: Ref<mo::VirtualMachine> = client.run(template).await.unwrap();
    assert!(client.get::<bool>(&template, "config.template").await);

    let nowhere = template.clone_vm(&bench.folder, "m", &VirtualMachineCloneSpec::default());
    let fault = client.run(nowhere).await.unwrap_err();
    assert!(fault.is::<InvalidArgument>(), "{fault}");
    let to_machine = VirtualMachineCloneSpec {
        location: VirtualMachineRelocateSpec {
            pool: Some(bench.pool.clone()),
            ..Default::default()
        },
        ..Default::default()
    };
    let machine = template.clone_vm(&bench.folder, "m", &to_machine);
    let machine: Ref<mo::VirtualMachine> = client.run(machine).await.unwrap();
    assert!(!client.get::<bool>(&machine, "config.template").await);
    let pool: AnyRef = client.get(&machine, "resourcePool").await;
    assert_eq!(pool.value(), bench.pool.value());
    client.run(machine.power_on_vm(None)).await.unwrap();
    bench.simulator.shutdown().await;
}

#[tokio::test]
async fn a_machine_moves_to_another_host_pool_and_folder() {
    let bench = bench().await;
    let (client, vm) = (&bench.client, bench.source().await);
    client.run(vm.power_on_vm(None)).await.unwrap();
    let host: Ref<mo::HostSystem> = typed(client, "DC0/host/DC0_H0/DC0_H0").await;
    let inner = client
        .call(bench.folder.create_folder("inner"))
        .await
        .unwrap();
    // Move to a host of another compute resource, and thereby to its root pool, while the
    // machine is on.
    let spec = VirtualMachineRelocateSpec {
        host: Some(host.clone()),
        folder: Some(inner.clone()),
        ..Default::default()
    };
    client.run(vm.relocate_vm(&spec, None)).await.unwrap();
    let pool: Ref<mo::ResourcePool> = typed(client, "DC0/host/DC0_H0/Resources").await;
    for (path, value) in [
        ("runtime.host", host.value()),
        ("summary.runtime.host", host.value()),
        ("resourcePool", pool.value()),
        ("parent", inner.value()),
    ] {
        let now: AnyRef = client.get(&vm, path).await;
        assert_eq!(now.value(), value, "{path}");
    }
    let machines: Vec<AnyRef> = client.get(&host, "vm").await;
    assert_eq!(machines.len(), 1);
    let state: VirtualMachinePowerState = client.get(&vm, "runtime.powerState").await;
    assert_eq!(state, VirtualMachinePowerState::PoweredOn);

    // Move back to the cluster, which chooses a host. A host that does not belong to the pool
    // is refused.
    let back = VirtualMachineRelocateSpec {
        pool: Some(bench.pool.clone()),
        ..Default::default()
    };
    client.run(vm.relocate_vm(&back, None)).await.unwrap();
    let wrong = VirtualMachineRelocateSpec {
        pool: Some(bench.pool.clone()),
        host: Some(host),
        ..Default::default()
    };
    let fault = client.run(vm.relocate_vm(&wrong, None)).await.unwrap_err();
    assert!(fault.is::<InvalidArgument>(), "{fault}");
    // The destination folder already has a machine with this name.
    let mut other = bare("child");
    other.files.as_mut().unwrap().vm_path_name = Some("[LocalDS_0] other/other.vmx".into());
    bench.run(&other).await;
    let home = VirtualMachineRelocateSpec {
        folder: Some(bench.folder.clone()),
        ..Default::default()
    };
    let fault = client.run(vm.relocate_vm(&home, None)).await.unwrap_err();
    assert!(fault.is::<DuplicateName>(), "{fault}");
    bench.simulator.shutdown().await;
}

/// Returns the specification of a clone that continues the disks of a snapshot.
fn linked(snapshot: &Ref<mo::VirtualMachineSnapshot>) -> VirtualMachineCloneSpec {
    VirtualMachineCloneSpec {
        location: VirtualMachineRelocateSpec {
            disk_move_type: Some("createNewChildDiskBacking".into()),
            ..Default::default()
        },
        snapshot: Some(snapshot.clone()),
        ..Default::default()
    }
}

impl Bench {
    async fn clone(&self, of: &Vm, name: &str, spec: &VirtualMachineCloneSpec) -> Vm {
        let clone = of.clone_vm(&self.folder, name, spec);
        self.client.run(clone).await.unwrap()
    }

    async fn take(&self, vm: &Vm) -> Ref<mo::VirtualMachineSnapshot> {
        let take = vm.create_snapshot("base", None, false, false);
        self.client.run(take).await.unwrap()
    }

    /// Returns the file of a machine's disk, and that of its parent.
    async fn disk(&self, vm: &Vm) -> (String, Option<String>) {
        let backing = "config.hardware.device[2000].backing";
        let file = format!("{backing}.fileName");
        let parent = format!("{backing}.parent.fileName");
        (
            self.client.get(vm, &file).await,
            self.client.try_get(vm, &parent).await,
        )
    }

    fn append(&self, file: &str, at: u64, bytes: &[u8]) {
        let path = self.simulator.datastore_directory().join(file);
        let mut disk = SparseDisk::open(path).unwrap();
        disk.write_at(at, bytes).unwrap();
    }

    fn exists(&self, file: &str) -> bool {
        self.simulator.datastore_directory().join(file).exists()
    }
}

#[tokio::test]
async fn linked_clones_continue_a_snapshot_that_outlives_its_source() {
    let bench = bench().await;
    let (client, source) = (&bench.client, bench.source().await);
    bench.append("child/child.vmdk", 0, b"base");
    let snapshot = bench.take(&source).await;
    assert!(snapshot.value().starts_with("snapshot-"), "{snapshot}");
    bench.append("child/child-000001.vmdk", 0, b"later");
    client.run(source.power_on_vm(None)).await.unwrap();
    let one = bench.clone(&source, "one", &linked(&snapshot)).await;
    let two = bench.clone(&source, "two", &linked(&snapshot)).await;
    let parent = Some("[LocalDS_0] child/child.vmdk".to_owned());
    assert_eq!(
        bench.disk(&one).await,
        ("[LocalDS_0] one/one.vmdk".to_owned(), parent)
    );
    // A full clone of the snapshot has its content too, but no parent.
    let of_snapshot = VirtualMachineCloneSpec {
        snapshot: Some(snapshot.clone()),
        ..Default::default()
    };
    let full = bench.clone(&source, "full", &of_snapshot).await;
    assert_eq!(bench.disk(&full).await.1, None);
    for file in ["one/one.vmdk", "two/two.vmdk", "full/full.vmdk"] {
        assert_eq!(&bench.first_bytes(file)[..4], b"base", "{file}");
    }
    let uuids = [
        client.get::<String>(&one, "config.instanceUuid").await,
        client.get::<String>(&two, "config.instanceUuid").await,
    ];
    assert_ne!(uuids[0], uuids[1]);
    bench.append("one/one.vmdk", 0, b"own");
    client.run(one.power_on_vm(None)).await.unwrap();

    // Clones keep the disk of the snapshot, whatever is removed before them.
    client
        .run(snapshot.remove_snapshot(false, None))
        .await
        .unwrap();
    assert_eq!(
        bench.disk(&source).await.0,
        "[LocalDS_0] child/child-000001.vmdk"
    );
    client.run(two.destroy()).await.unwrap();
    assert_eq!(&bench.first_bytes("one/one.vmdk")[..4], b"owne");
    client.run(source.power_off_vm()).await.unwrap();
    client.run(source.destroy()).await.unwrap();
    assert!(!bench.exists("child/child-000001.vmdk"));
    assert_eq!(&bench.first_bytes("one/one.vmdk")[..4], b"owne");
    client.run(one.power_off_vm()).await.unwrap();
    client.run(one.destroy()).await.unwrap();
    assert!(!bench.exists("one") && !bench.exists("child/child.vmdk"));
    bench.simulator.shutdown().await;
}

#[tokio::test]
async fn a_clone_of_the_child_most_disk_shares_its_parents() {
    let bench = bench().await;
    let (client, source) = (&bench.client, bench.source().await);
    bench.append("child/child.vmdk", 8, b"grandson");
    for ty in [
        "moveChildMostDiskBacking",
        "moveAllDiskBackingsAndAllowSharing",
    ] {
        let spec = VirtualMachineCloneSpec {
            location: VirtualMachineRelocateSpec {
                disk_move_type: Some(ty.into()),
                ..Default::default()
            },
            ..Default::default()
        };
        let clone = bench.clone(&source, "copy", &spec).await;
        let parent = Some("[LocalDS_0] source/source.vmdk".to_owned());
        assert_eq!(
            bench.disk(&clone).await,
            ("[LocalDS_0] copy/copy.vmdk".to_owned(), parent)
        );
        assert_eq!(bench.first_bytes("copy/copy.vmdk"), b"of the pgrandson");
        bench.append("copy/copy.vmdk", 0, b"OF");
        assert_eq!(bench.first_bytes("child/child.vmdk"), b"of the pgrandson");
        // The other machine still needs the parent.
        client.run(clone.destroy()).await.unwrap();
        assert_eq!(bench.first_bytes("child/child.vmdk"), b"of the pgrandson");
    }
    let mut unknown = VirtualMachineCloneSpec::default();
    unknown.location.disk_move_type = Some("moveNothing".into());
    let refused = source.clone_vm(&bench.folder, "copy", &unknown);
    let fault = client.call(refused).await.unwrap_err().fault();
    assert!(fault.is::<InvalidArgument>(), "{fault}");
    bench.simulator.shutdown().await;
}

#[tokio::test]
async fn a_linked_clone_needs_a_snapshot_of_its_source() {
    let bench = bench().await;
    let (client, source) = (&bench.client, bench.source().await);
    let snapshot = bench.take(&source).await;
    let mut without = linked(&snapshot);
    without.snapshot = None;
    let refused = source.clone_vm(&bench.folder, "x", &without);
    let fault = client.call(refused).await.unwrap_err().fault();
    let detail = fault.get::<InvalidArgument>().unwrap().unwrap();
    assert_eq!(detail.invalid_property.as_deref(), Some("spec.snapshot"));
    let other = bench.clone(&source, "other", &linked(&snapshot)).await;
    let foreign = client.run(other.clone_vm(&bench.folder, "x", &linked(&snapshot)));
    assert!(foreign.await.unwrap_err().is::<InvalidArgument>());
    assert!(!bench.exists("x"));
    // A linked disk cannot grow.
    let disk: VirtualDisk = client.get(&other, "config.hardware.device[2000]").await;
    let mut grown = disk;
    grown.capacity_in_kb *= 2;
    grown.capacity_in_bytes = None;
    let mut larger = linked(&snapshot);
    larger.config = Some(Box::new(VirtualMachineConfigSpec {
        device_change: vec![Poly::new(VirtualDeviceConfigSpec {
            operation: Some(VirtualDeviceConfigSpecOperation::Edit),
            device: Poly::new(grown),
            ..Default::default()
        })],
        ..Default::default()
    }));
    let refused = client.run(source.clone_vm(&bench.folder, "x", &larger));
    assert!(refused.await.unwrap_err().is::<InvalidDeviceOperation>());
    assert!(!bench.exists("x"));
    bench.simulator.shutdown().await;
}

#[tokio::test]
async fn a_machine_that_is_on_is_cloned_and_the_clone_is_off() {
    let bench = bench().await;
    let (client, source) = (&bench.client, bench.source().await);
    bench.append("child/child.vmdk", 0, b"now");
    client.run(source.power_on_vm(None)).await.unwrap();
    let spec = VirtualMachineCloneSpec::default();
    let clone = bench.clone(&source, "copy", &spec).await;
    assert_eq!(&bench.first_bytes("copy/copy.vmdk")[..3], b"now");
    let state: VirtualMachinePowerState = client.get(&clone, "runtime.powerState").await;
    assert_eq!(state, VirtualMachinePowerState::PoweredOff);
    let keys: Vec<Poly<OptionValue>> = client.get(&clone, "config.extraConfig").await;
    let nvram = keys.iter().find_map(|key| {
        let key = key.get::<OptionValue>().unwrap().unwrap();
        (key.key == "nvram").then(|| key.text()).flatten()
    });
    assert_eq!(nvram.as_deref(), Some("copy.nvram"));
    bench.simulator.shutdown().await;
}

#[tokio::test]
async fn a_machine_is_cloned_several_times_at_once_and_a_clone_is_cancelled() {
    let bench = bench().await;
    let (client, source) = (&bench.client, bench.source().await);
    let script = bench.simulator.script();
    script.always("CloneVM_Task", Reaction::SlowTask(Duration::from_secs(600)));
    let spec = VirtualMachineCloneSpec::default();
    let mut tasks = Vec::new();
    for number in 0..7 {
        let clone = source.clone_vm(&bench.folder, &number.to_string(), &spec);
        tasks.push(client.call(clone).await.unwrap().task().clone());
    }
    // Other tasks have to wait, even if the list of recent tasks is full.
    let busy = client.call(source.power_on_vm(None)).await;
    assert!(busy.unwrap_err().fault().is::<TaskInProgress>());
    for task in &tasks {
        assert!(client.get::<bool>(task, "info.cancelable").await);
        client.call(task.cancel_task()).await.unwrap();
        let info = client.finish(task).await;
        assert_eq!(info.state, TaskInfoState::Error);
        assert!(info.cancelled);
        assert_eq!(info.name.as_deref(), Some("CloneVM_Task"));
        let fault = Fault::from(*info.error.unwrap());
        assert!(fault.is::<RequestCanceled>(), "{fault}");
    }
    let over = client.call(tasks[0].cancel_task()).await;
    assert!(over.unwrap_err().fault().is::<InvalidState>());
    script.clear();
    script.next(
        "PowerOnVM_Task",
        Reaction::SlowTask(Duration::from_millis(100)),
    );
    let on = client.call(source.power_on_vm(None)).await.unwrap();
    let on = on.task().clone();
    let fixed = client.call(on.cancel_task()).await;
    assert!(fixed.unwrap_err().fault().is::<NotSupported>());
    client.finish(&on).await;
    for number in 0..7 {
        assert!(!bench.exists(&number.to_string()));
    }
    bench.simulator.shutdown().await;
}

#[tokio::test]
async fn an_instant_clone_is_on_and_shares_the_disk_of_its_source() {
    let bench = bench().await;
    let (client, source) = (&bench.client, bench.source().await);
    let spec = VirtualMachineInstantCloneSpec {
        name: "instant".into(),
        config: options(&[("guestinfo.role".to_owned(), "clone".to_owned())].into()),
        ..Default::default()
    };
    let off = client.call(source.instant_clone(&spec)).await;
    assert!(off.unwrap_err().fault().is::<InvalidPowerState>());
    bench.append("child/child.vmdk", 0, b"shared");
    client.run(source.power_on_vm(None)).await.unwrap();
    let clone: Vm = client.run(source.instant_clone(&spec)).await.unwrap();
    let state: VirtualMachinePowerState = client.get(&clone, "runtime.powerState").await;
    assert_eq!(state, VirtualMachinePowerState::PoweredOn);
    let parent = Some("[LocalDS_0] child/child.vmdk".to_owned());
    assert_eq!(
        bench.disk(&clone).await,
        (
            "[LocalDS_0] instant/instant.vmdk".to_owned(),
            parent.clone()
        )
    );
    assert_eq!(
        bench.disk(&source).await,
        ("[LocalDS_0] child/child-000001.vmdk".to_owned(), parent)
    );
    assert_eq!(&bench.first_bytes("instant/instant.vmdk")[..6], b"shared");
    let config: VirtualMachineConfigInfo = client.get(&clone, "config").await;
    assert_eq!(extra(&config, "guestinfo.role").as_deref(), Some("clone"));
    assert_eq!(extra(&config, "some.key").as_deref(), Some("word"));
    let refused = client.run(source.instant_clone(&spec)).await;
    assert!(refused.unwrap_err().is::<DuplicateName>());
    assert!(!bench.exists("child/child-000002.vmdk"));
    bench.simulator.shutdown().await;
}
