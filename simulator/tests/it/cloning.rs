//! Tests of cloning and relocating machines in a vCenter.

use disk_image::BlockRead as _;
use disk_image::vmdk::{Disk, SparseDisk};
use simulator::Simulator;
use vim25::types::{
    DuplicateName, InvalidArgument, InvalidState, NotSupported, OptionValue,
    ParaVirtualSCSIController, VirtualDeviceConfigSpec, VirtualMachineCloneSpec,
    VirtualMachineConfigSpec, VirtualMachinePowerState, VirtualMachineRelocateSpec,
    VirtualSCSISharing,
};
use vim25::{AnyRef, Poly, Ref, mo};

use crate::client::Client;
use crate::client::container::{add, disk_of, options};
use crate::vcenter::{bare, typed};

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
    client.run(source.power_on_vm(None)).await.unwrap();
    let busy = client
        .run(source.clone_vm(&bench.folder, "busy", &plain))
        .await;
    assert!(busy.unwrap_err().is::<InvalidState>());
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
