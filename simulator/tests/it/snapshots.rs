//! Tests of snapshots: their tree, their disks, and what a revert restores.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use disk_image::BlockRead as _;
use disk_image::vmdk::{Disk, SparseDisk};
use simulator::{Guest, GuestDisk, GuestMachine, Simulator, SimulatorBuilder};
use vim25::types::{
    InvalidDeviceOperation, InvalidName, ManagedObjectNotFound, MemorySnapshotOnIndependentDisk,
    NotFound, SnapshotDisabled, SnapshotFault, TooManySnapshotLevels, VirtualDevice,
    VirtualDeviceConfigSpec, VirtualDeviceConfigSpecOperation, VirtualDisk,
    VirtualDiskFlatVer2BackingInfo, VirtualMachineConfigInfo, VirtualMachineConfigSpec,
    VirtualMachineFileLayoutEx, VirtualMachineFlagInfo, VirtualMachinePowerState,
    VirtualMachineSnapshotInfo, VirtualMachineSnapshotTree,
};
use vim25::{Fault, Poly, Ref, mo};

use crate::client::Client;
use crate::client::container::{disk_of, extra, options, spec};

type Vm = Ref<mo::VirtualMachine>;
type Snapshot = Ref<mo::VirtualMachineSnapshot>;

struct Bench {
    simulator: Simulator,
    client: Client,
}

async fn start(builder: SimulatorBuilder) -> Bench {
    let simulator = builder.start().await.unwrap();
    let client = Client::login(&simulator).await;
    Bench { simulator, client }
}

async fn bench() -> Bench {
    start(Simulator::builder()).await
}

impl Bench {
    /// Creates a machine with one disk of 4 MiB, which may have a parent.
    async fn machine(&self, name: &str, parent: Option<&str>) -> Vm {
        let keys = [("some.key".to_owned(), "before".to_owned())].into();
        let mut spec = spec(name, &keys);
        spec.device_change.truncate(2);
        spec.device_change[0] = disk_of(4 << 10, -1, parent);
        let folder: Ref<mo::Folder> = Ref::new("ha-folder-vm");
        let pool: Ref<mo::ResourcePool> = Ref::new("ha-root-pool");
        let call = folder.create_vm(&spec, &pool, None);
        self.client.run(call).await.unwrap()
    }

    async fn take(&self, vm: &Vm, name: &str) -> Snapshot {
        let call = vm.create_snapshot(name, Some("a description\nof two lines"), false, false);
        self.client.run(call).await.unwrap()
    }

    async fn revert(&self, snapshot: &Snapshot) {
        let call = snapshot.revert_to_snapshot(None, None);
        self.client.run(call).await.unwrap();
    }

    async fn reconfigure(&self, vm: &Vm, spec: VirtualMachineConfigSpec) -> Result<(), Fault> {
        self.client.run(vm.reconfig_vm(&spec)).await
    }

    async fn state(&self, vm: &Vm) -> VirtualMachinePowerState {
        self.client.get(vm, "runtime.powerState").await
    }

    /// Returns the name of the file of the machine's disk, and those of its parents.
    async fn chain(&self, vm: &Vm) -> Vec<String> {
        let disk: VirtualDisk = self.client.get(vm, "config.hardware.device[2000]").await;
        chain(&disk)
    }

    /// Writes to the current disk of a machine, at an offset in units of 64 KiB.
    async fn write(&self, vm: &Vm, at: u64, bytes: &[u8]) {
        let files = self.chain(vm).await;
        let name: String = self.client.get(vm, "name").await;
        if files.len() == 1 {
            let flat = self.file(&format!(
                "{name}/{}",
                files[0].replace(".vmdk", "-flat.vmdk")
            ));
            let mut content = std::fs::read(&flat).unwrap();
            let at = usize::try_from(at << 16).unwrap();
            content[at..at + bytes.len()].copy_from_slice(bytes);
            std::fs::write(flat, content).unwrap();
        } else {
            let mut disk = SparseDisk::open(self.file(&format!("{name}/{}", files[0]))).unwrap();
            disk.write_at(at << 16, bytes).unwrap();
        }
    }

    /// Returns the first bytes of the first grains of a machine's disk, zeros as dots.
    async fn content(&self, vm: &Vm) -> String {
        let name: String = self.client.get(vm, "name").await;
        let file = self.chain(vm).await.swap_remove(0);
        let disk = Disk::open(self.file(&format!("{name}/{file}"))).unwrap();
        let mut text = String::new();
        for grain in 0..4 {
            let mut byte = [0];
            disk.read_exact_at(&mut byte, grain << 16).unwrap();
            text.push(if byte[0] == 0 { '.' } else { byte[0].into() });
        }
        text
    }

    fn file(&self, name: &str) -> PathBuf {
        self.simulator.datastore_directory().join(name)
    }

    /// Returns the names of the files in the directory of a machine.
    fn files(&self, directory: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.file(directory)).unwrap();
        let name = |entry: io::Result<std::fs::DirEntry>| entry.unwrap().file_name();
        let mut names: Vec<String> = entries
            .map(|entry| name(entry).into_string().unwrap())
            .filter(|name| name != "vmware.log")
            .collect();
        names.sort_unstable();
        names
    }

    async fn tree(&self, vm: &Vm) -> String {
        let info: Option<VirtualMachineSnapshotInfo> = self.client.try_get(vm, "snapshot").await;
        let Some(info) = info else {
            return String::new();
        };
        shape(&info.root_snapshot_list, info.current_snapshot.as_ref())
    }
}

fn chain(disk: &VirtualDisk) -> Vec<String> {
    let backing = disk.backing.as_ref().unwrap();
    let backing = backing.get::<VirtualDiskFlatVer2BackingInfo>().unwrap();
    let chain = std::iter::successors(backing.map(Box::new), |backing| backing.parent.clone());
    let names = chain.map(|backing| backing.file_name.clone());
    names
        .map(|name| name.rsplit_once('/').unwrap().1.to_owned())
        .collect()
}

/// Returns the names in a tree; the current snapshot has a star.
fn shape(trees: &[VirtualMachineSnapshotTree], current: Option<&Snapshot>) -> String {
    let mut text = String::new();
    for tree in trees {
        text.push_str(&tree.name);
        if current == Some(&tree.snapshot) {
            text.push('*');
        }
        if !tree.child_snapshot_list.is_empty() {
            let inner = shape(&tree.child_snapshot_list, current);
            text.push_str(&format!("({inner})"));
        }
        text.push(' ');
    }
    text.trim_end().to_owned()
}

/// Returns the change of a disk of the machine.
fn edit(disk: VirtualDisk) -> VirtualMachineConfigSpec {
    VirtualMachineConfigSpec {
        device_change: vec![Poly::new(VirtualDeviceConfigSpec {
            operation: Some(VirtualDeviceConfigSpecOperation::Edit),
            device: Poly::new(disk),
            ..Default::default()
        })],
        ..Default::default()
    }
}

#[tokio::test]
async fn a_revert_restores_the_disk_the_hardware_and_the_keys() {
    let bench = bench().await;
    let client = &bench.client;
    let vm = bench.machine("a", None).await;
    bench.write(&vm, 0, b"0").await;
    let before: VirtualMachineConfigInfo = client.get(&vm, "config").await;
    let snapshot = bench.take(&vm, "first").await;
    assert_eq!(snapshot.value(), format!("{}-snapshot-1", vm.value()));

    // The machine continues its disk in a redo log; the snapshot has the disk itself.
    let after: VirtualMachineConfigInfo = client.get(&vm, "config").await;
    assert!(after.change_version > before.change_version);
    assert_eq!(bench.chain(&vm).await, ["a-000001.vmdk", "a.vmdk"]);
    let kept: VirtualMachineConfigInfo = client.get(&snapshot, "config").await;
    assert_eq!(kept, before);
    let uuid = "config.hardware.device[2000].backing.uuid";
    let uuids: [String; 2] = [
        client.get(&vm, uuid).await,
        client.get(&snapshot, uuid).await,
    ];
    assert_eq!(uuids[0], uuids[1]);
    assert_eq!(client.get::<Vm>(&snapshot, "vm").await, vm);
    let roots: Vec<Snapshot> = client.get(&vm, "rootSnapshot").await;
    assert_eq!(roots, std::slice::from_ref(&snapshot));
    let info: VirtualMachineSnapshotInfo = client.get(&vm, "snapshot").await;
    let tree = &info.root_snapshot_list[0];
    assert_eq!((tree.id, tree.name.as_str(), &tree.vm), (1, "first", &vm));
    assert_eq!(tree.description, "a description\nof two lines");
    assert_eq!(tree.state, VirtualMachinePowerState::PoweredOff);
    let list = std::fs::read(bench.file("a/a.vmsd")).unwrap();
    let list = vmx::Document::parse(list).unwrap();
    let listed = vmx::Snapshots::new(&list);
    assert_eq!(listed.current().unwrap(), Some(1));
    let listed = listed.all().unwrap().swap_remove(0);
    assert_eq!(listed.file_name.as_deref(), Some("a-Snapshot1.vmsn"));
    assert_eq!(listed.disks[0].file_name.as_deref(), Some("a.vmdk"));
    assert_eq!(listed.disks[0].node.as_deref(), Some("scsi0:0"));
    let micros = tree.create_time.as_microsecond();
    assert_eq!(listed.created_micros, Some(micros));
    let layout: VirtualMachineFileLayoutEx = client.get(&vm, "layoutEx").await;
    let named = |key: i32| layout.file.iter().find(|file| file.key == key).unwrap();
    let data = named(layout.snapshot[0].data_key);
    assert_eq!(data.name, "[datastore1] a/a-Snapshot1.vmsn");
    assert_eq!(data.type_, "snapshotData");
    assert_eq!(layout.disk[0].chain.len(), 2);
    let units = layout.disk[0].chain.iter().map(|unit| {
        let files = unit.file_key.iter().map(|key| named(*key));
        let files = files.map(|file| (file.name.as_str(), file.type_.as_str()));
        files.collect::<Vec<_>>()
    });
    let expected = [
        [
            ("[datastore1] a/a.vmdk", "diskDescriptor"),
            ("[datastore1] a/a-flat.vmdk", "diskExtent"),
        ],
        [
            ("[datastore1] a/a-000001.vmdk", "diskDescriptor"),
            ("[datastore1] a/a-000001-delta.vmdk", "diskExtent"),
        ],
    ];
    assert_eq!(units.collect::<Vec<_>>(), expected);
    assert_eq!(layout.snapshot[0].disk[0].chain.len(), 1);

    bench.write(&vm, 0, b"1").await;
    bench.write(&vm, 1, b"1").await;
    assert_eq!(bench.content(&vm).await, "11..");
    let change = VirtualMachineConfigSpec {
        name: Some("renamed".into()),
        num_cpus: Some(4),
        extra_config: options(&[("some.key".to_owned(), "after".to_owned())].into()),
        ..Default::default()
    };
    bench.reconfigure(&vm, change).await.unwrap();
    bench.revert(&snapshot).await;
    let reverted: VirtualMachineConfigInfo = client.get(&vm, "config").await;
    assert_eq!(reverted.hardware.num_cpu, 2);
    assert_eq!(extra(&reverted, "some.key").as_deref(), Some("before"));
    assert_eq!(reverted.name, "renamed");
    assert!(reverted.change_version > after.change_version);
    // The redo log is replaced by another one.
    assert_eq!(
        bench.files("a"),
        [
            "a-000002-delta.vmdk",
            "a-000002.vmdk",
            "a-Snapshot1.vmsn",
            "a-flat.vmdk",
            "a.vmdk",
            "a.vmsd",
            "a.vmx"
        ]
    );
    let change = VirtualMachineConfigSpec {
        name: Some("a".into()),
        ..Default::default()
    };
    bench.reconfigure(&vm, change).await.unwrap();
    assert_eq!(bench.content(&vm).await, "0...");
    bench.write(&vm, 2, b"2").await;
    let back = vm.revert_to_current_snapshot(None, None);
    client.run(back).await.unwrap();
    assert_eq!(bench.content(&vm).await, "0...");
    assert_eq!(bench.chain(&vm).await, ["a-000001.vmdk", "a.vmdk"]);
    bench.simulator.shutdown().await;
}

#[tokio::test]
async fn removed_snapshots_are_merged_and_branches_are_kept() {
    let bench = bench().await;
    let client = &bench.client;
    let vm = bench.machine("a", None).await;
    bench.write(&vm, 0, b"0").await;
    let a = bench.take(&vm, "a").await;
    bench.write(&vm, 1, b"1").await;
    let b = bench.take(&vm, "b").await;
    bench.write(&vm, 1, b"2").await;
    bench.write(&vm, 2, b"2").await;
    let c = bench.take(&vm, "c").await;
    assert_eq!(bench.tree(&vm).await, "a(b(c*))");
    let children: Vec<Snapshot> = client.get(&b, "childSnapshot").await;
    assert_eq!(children, std::slice::from_ref(&c));

    // The disk of `b` is merged with that of `c`, which continues it.
    client.run(b.remove_snapshot(false, None)).await.unwrap();
    assert_eq!(bench.tree(&vm).await, "a(c*)");
    assert_eq!(
        bench.chain(&vm).await,
        ["a-000003.vmdk", "a-000001.vmdk", "a.vmdk"]
    );
    let kept: VirtualDisk = client.get(&c, "config.hardware.device[2000]").await;
    assert_eq!(chain(&kept), ["a-000001.vmdk", "a.vmdk"]);
    let fault = client.run(b.remove_snapshot(false, None)).await;
    assert!(fault.unwrap_err().is::<ManagedObjectNotFound>());

    // A second branch starts from `a`.
    bench.revert(&a).await;
    assert_eq!(bench.content(&vm).await, "0...");
    bench.write(&vm, 3, b"3").await;
    bench.take(&vm, "d").await;
    assert_eq!(bench.tree(&vm).await, "a(c d*)");
    client.run(a.remove_snapshot(false, None)).await.unwrap();
    assert_eq!(bench.tree(&vm).await, "c d*");
    // Both branches need the disk of `a`.
    assert!(bench.file("a/a.vmdk").exists());
    assert!(!client.get::<bool>(&vm, "runtime.consolidationNeeded").await);
    bench.revert(&c).await;
    assert_eq!(bench.content(&vm).await, "022.");
    let all = vm.remove_all_snapshots(None, None);
    client.run(all).await.unwrap();
    assert_eq!(bench.tree(&vm).await, "");
    assert_eq!(
        client
            .try_get::<Vec<Snapshot>>(&vm, "rootSnapshot")
            .await
            .unwrap_or_default(),
        []
    );
    assert_eq!(bench.content(&vm).await, "022.");
    assert_eq!(
        bench.files("a"),
        ["a-flat.vmdk", "a.vmdk", "a.vmsd", "a.vmx"]
    );
    let list = std::fs::read_to_string(bench.file("a/a.vmsd")).unwrap();
    assert!(list.contains("snapshot.numSnapshots = \"0\""), "{list}");

    // The numbers of snapshots are not reused.
    let next = bench.take(&vm, "next").await;
    assert_eq!(next.value(), format!("{}-snapshot-5", vm.value()));
    bench.simulator.shutdown().await;
}

#[tokio::test]
async fn a_snapshot_is_removed_with_its_children() {
    let bench = bench().await;
    let client = &bench.client;
    let vm = bench.machine("a", None).await;
    bench.take(&vm, "a").await;
    bench.write(&vm, 0, b"a").await;
    let b = bench.take(&vm, "b").await;
    bench.write(&vm, 1, b"b").await;
    bench.take(&vm, "c").await;
    bench.revert(&b).await;
    bench.write(&vm, 2, b"b").await;
    bench.take(&vm, "d").await;
    bench.write(&vm, 3, b"d").await;
    assert_eq!(bench.tree(&vm).await, "a(b(c d*))");
    client.run(b.remove_snapshot(true, None)).await.unwrap();
    assert_eq!(bench.tree(&vm).await, "a*");
    assert_eq!(bench.content(&vm).await, "a.bd");
    assert_eq!(bench.chain(&vm).await, ["a-000001.vmdk", "a.vmdk"]);
    assert_eq!(bench.files("a").len(), 7);
    bench.simulator.shutdown().await;
}

#[tokio::test]
async fn a_removal_without_consolidation_leaves_redo_logs_until_it_is_asked_for() {
    let bench = bench().await;
    let client = &bench.client;
    let vm = bench.machine("a", None).await;
    let snapshot = bench.take(&vm, "a").await;
    bench.write(&vm, 1, b"1").await;
    let remove = snapshot.remove_snapshot(false, Some(false));
    client.run(remove).await.unwrap();
    assert_eq!(bench.tree(&vm).await, "");
    assert_eq!(bench.chain(&vm).await.len(), 2);
    assert!(client.get::<bool>(&vm, "runtime.consolidationNeeded").await);
    client.run(vm.consolidate_vm_disks()).await.unwrap();
    assert!(!client.get::<bool>(&vm, "runtime.consolidationNeeded").await);
    assert_eq!(bench.chain(&vm).await, ["a.vmdk"]);
    assert_eq!(bench.content(&vm).await, ".1..");
    bench.simulator.shutdown().await;
}

#[tokio::test]
async fn the_image_below_a_machine_is_never_written() {
    let bench = bench().await;
    let client = &bench.client;
    let image = bench.machine("image", None).await;
    bench.write(&image, 0, b"i").await;
    let vm = bench
        .machine("a", Some("[datastore1] image/image.vmdk"))
        .await;
    bench.write(&vm, 1, b"1").await;
    bench.take(&vm, "a").await;
    bench.write(&vm, 2, b"2").await;
    let all = vm.remove_all_snapshots(Some(true), None);
    client.run(all).await.unwrap();
    assert_eq!(bench.chain(&vm).await, ["a.vmdk", "image.vmdk"]);
    assert_eq!(bench.content(&vm).await, "i12.");
    assert_eq!(bench.content(&image).await, "i...");
    bench.simulator.shutdown().await;
}

#[tokio::test]
async fn the_power_state_after_a_revert_is_that_of_the_snapshot() {
    use VirtualMachinePowerState::{PoweredOff, PoweredOn, Suspended};
    let bench = bench().await;
    let client = &bench.client;
    let vm = bench.machine("a", None).await;
    client.run(vm.power_on_vm(None)).await.unwrap();
    let disk_only = bench.take(&vm, "disk only").await;
    let memory = vm.create_snapshot("memory", None, true, true);
    let memory: Snapshot = client.run(memory).await.unwrap();
    client.run(vm.suspend_vm()).await.unwrap();
    let suspended = vm.create_snapshot_ex("suspended", None, true, None);
    let suspended: Snapshot = client.run(suspended).await.unwrap();
    client.run(vm.power_off_vm()).await.unwrap();
    let info: VirtualMachineSnapshotInfo = client.get(&vm, "snapshot").await;
    let one = &info.root_snapshot_list[0];
    let two = &one.child_snapshot_list[0];
    let three = &two.child_snapshot_list[0];
    let states = [&one.state, &two.state, &three.state];
    assert_eq!(states, [&PoweredOff, &PoweredOn, &Suspended]);
    // Without tools in the guest, nothing is quiesced.
    assert!(!two.quiesced);

    for (snapshot, state) in [
        (&memory, &PoweredOn),
        (&suspended, &Suspended),
        (&memory, &PoweredOn),
        (&disk_only, &PoweredOff),
    ] {
        bench.revert(snapshot).await;
        assert_eq!(&bench.state(&vm).await, state);
    }
    let quiet = memory.revert_to_snapshot(None, Some(true));
    client.run(quiet).await.unwrap();
    assert_eq!(bench.state(&vm).await, PoweredOff);
    bench.revert(&suspended).await;
    client.run(vm.power_on_vm(None)).await.unwrap();
    bench.simulator.shutdown().await;
}

#[tokio::test]
async fn snapshots_survive_a_restart_and_a_registration() {
    let directory = tempfile::tempdir().unwrap();
    let builder = || Simulator::builder().datastore_directory(directory.path());
    let bench = start(builder()).await;
    let vm = bench.machine("a", None).await;
    let first = bench.take(&vm, "first").await;
    bench.write(&vm, 1, b"1").await;
    bench.client.run(vm.power_on_vm(None)).await.unwrap();
    let memory = vm.create_snapshot("second", None, true, false);
    let second: Snapshot = bench.client.run(memory).await.unwrap();
    bench.revert(&first).await;
    let before: VirtualMachineSnapshotInfo = bench.client.get(&vm, "snapshot").await;
    bench.simulator.shutdown().await;

    let bench = start(builder()).await;
    let after: VirtualMachineSnapshotInfo = bench.client.get(&vm, "snapshot").await;
    assert_eq!(before, after);
    bench.revert(&second).await;
    assert_eq!(bench.content(&vm).await, ".1..");
    assert_eq!(bench.state(&vm).await, VirtualMachinePowerState::PoweredOn);
    bench.client.run(vm.power_off_vm()).await.unwrap();

    bench.client.call(vm.unregister_vm()).await.unwrap();
    let gone = bench
        .client
        .call(first.rename_snapshot(Some("x"), None))
        .await;
    assert!(gone.unwrap_err().fault().is::<ManagedObjectNotFound>());
    let folder: Ref<mo::Folder> = Ref::new("ha-folder-vm");
    let pool: Ref<mo::ResourcePool> = Ref::new("ha-root-pool");
    let register = folder
        .register_vm("[datastore1] a/a.vmx", false)
        .pool(&pool);
    let vm: Vm = bench.client.run(register.build()).await.unwrap();
    assert_eq!(bench.tree(&vm).await, "first(second*)");
    let all = vm.remove_all_snapshots(None, None);
    bench.client.run(all).await.unwrap();
    assert_eq!(bench.content(&vm).await, ".1..");
    bench.simulator.shutdown().await;
}

#[tokio::test]
async fn a_machine_is_destroyed_with_its_snapshots() {
    let bench = bench().await;
    let vm = bench.machine("a", None).await;
    let first = bench.take(&vm, "first").await;
    bench.take(&vm, "second").await;
    bench.revert(&first).await;
    bench.take(&vm, "third").await;
    bench.client.run(vm.destroy()).await.unwrap();
    assert!(!bench.file("a").exists(), "{:?}", bench.files("a"));
    let gone = bench
        .client
        .call(first.rename_snapshot(Some("x"), None))
        .await;
    assert!(gone.unwrap_err().fault().is::<ManagedObjectNotFound>());
    bench.simulator.shutdown().await;
}

#[tokio::test]
async fn what_snapshots_do_not_allow_is_refused() {
    let bench = bench().await;
    let client = &bench.client;
    let vm = bench.machine("a", None).await;
    let none = client.run(vm.revert_to_current_snapshot(None, None)).await;
    assert!(none.unwrap_err().is::<NotFound>());
    let unnamed = client
        .call(vm.create_snapshot("", None, false, false))
        .await;
    assert!(unnamed.unwrap_err().fault().is::<InvalidName>());
    let flags = |disabled| VirtualMachineConfigSpec {
        flags: Some(Box::new(VirtualMachineFlagInfo {
            snapshot_disabled: Some(disabled),
            ..Default::default()
        })),
        ..Default::default()
    };
    bench.reconfigure(&vm, flags(true)).await.unwrap();
    let disabled = client
        .run(vm.create_snapshot("a", None, false, false))
        .await;
    assert!(disabled.unwrap_err().is::<SnapshotDisabled>());
    bench.reconfigure(&vm, flags(false)).await.unwrap();

    let snapshot = bench.take(&vm, "a").await;
    let renamed = snapshot.rename_snapshot(Some("b"), Some("new"));
    client.call(renamed).await.unwrap();
    let info: VirtualMachineSnapshotInfo = client.get(&vm, "snapshot").await;
    assert_eq!(info.root_snapshot_list[0].name, "b");
    assert_eq!(info.root_snapshot_list[0].description, "new");
    // The disk cannot grow, or leave the snapshots.
    let disk: VirtualDisk = client.get(&vm, "config.hardware.device[2000]").await;
    let mut grown = disk.clone();
    grown.capacity_in_bytes = Some(8 << 20);
    let fault = bench.reconfigure(&vm, edit(grown)).await.unwrap_err();
    assert!(fault.is::<InvalidDeviceOperation>(), "{fault}");
    let mut independent = disk.clone();
    let backing = independent.backing.as_mut().unwrap();
    let changed = backing.modify::<VirtualDiskFlatVer2BackingInfo>(|backing| {
        backing.disk_mode = "independent_persistent".into();
    });
    changed.unwrap();
    let independent = edit(independent);
    let refused = bench.reconfigure(&vm, independent.clone()).await;
    assert!(refused.unwrap_err().is::<InvalidDeviceOperation>());
    assert_eq!(bench.chain(&vm).await.len(), 2);

    // Independent disks are in no snapshot, and refuse those with memory.
    let all = vm.remove_all_snapshots(None, None);
    client.run(all).await.unwrap();
    let disk: VirtualDisk = client.get(&vm, "config.hardware.device[2000]").await;
    let mut independent = disk;
    let backing = independent.backing.as_mut().unwrap();
    let changed = backing.modify::<VirtualDiskFlatVer2BackingInfo>(|backing| {
        backing.disk_mode = "independent_persistent".into();
    });
    changed.unwrap();
    bench.reconfigure(&vm, edit(independent)).await.unwrap();
    bench.take(&vm, "without disk").await;
    assert_eq!(bench.chain(&vm).await, ["a.vmdk"]);
    client.run(vm.power_on_vm(None)).await.unwrap();
    let memory = client.run(vm.create_snapshot("m", None, true, false)).await;
    assert!(memory.unwrap_err().is::<MemorySnapshotOnIndependentDisk>());
    bench.simulator.shutdown().await;
}

#[tokio::test]
async fn a_chain_of_snapshots_has_32_levels() {
    let bench = bench().await;
    let vm = bench.machine("a", None).await;
    for number in 0..32 {
        bench.take(&vm, &number.to_string()).await;
    }
    let one_more = bench
        .client
        .run(vm.create_snapshot("a", None, false, false))
        .await;
    assert!(one_more.unwrap_err().is::<TooManySnapshotLevels>());
    assert_eq!(bench.chain(&vm).await.len(), 33);
    let all = vm.remove_all_snapshots(None, None);
    bench.client.run(all).await.unwrap();
    assert_eq!(bench.chain(&vm).await, ["a.vmdk"]);
    bench.simulator.shutdown().await;
}

#[tokio::test]
async fn a_disk_that_was_detached_outlives_the_snapshot() {
    let bench = bench().await;
    let vm = bench.machine("a", None).await;
    let snapshot = bench.take(&vm, "a").await;
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
    bench.reconfigure(&vm, remove).await.unwrap();
    let call = snapshot.remove_snapshot(false, None);
    bench.client.run(call).await.unwrap();
    // The redo log is still the disk's current content.
    assert!(Disk::open(bench.file("a/a-000001.vmdk")).is_ok());
    bench.simulator.shutdown().await;
}

/// A guest that writes its disk when it is asked to, or refuses to give the disk up.
#[derive(Clone, Debug, Default)]
struct Writer {
    told: Arc<Mutex<Vec<String>>>,
    refuses: Arc<Mutex<bool>>,
}

impl Writer {
    fn note(&self, what: &str, disk: &GuestDisk) {
        let file = disk.chain[0].file_name().unwrap().to_str().unwrap();
        self.told.lock().unwrap().push(format!("{what} {file}"));
    }

    fn told(&self) -> Vec<String> {
        std::mem::take(&mut *self.told.lock().unwrap())
    }
}

#[async_trait::async_trait]
impl Guest for Writer {
    async fn run(&self, _: GuestMachine) {
        std::future::pending::<()>().await;
    }

    async fn flush(&self, disk: &GuestDisk) -> io::Result<()> {
        self.note("flush", disk);
        Ok(())
    }

    async fn release(&self, disk: &GuestDisk) -> io::Result<()> {
        self.note("release", disk);
        match *self.refuses.lock().unwrap() {
            true => Err(io::Error::other("the guest needs its disk")),
            false => Ok(()),
        }
    }

    async fn forget(&self, disk: &GuestDisk) {
        self.note("forget", disk);
    }
}

#[tokio::test]
async fn the_guest_gives_up_its_disks_before_they_are_frozen_or_merged() {
    let guest = Writer::default();
    let bench = start(Simulator::builder().guest(guest.clone())).await;
    let client = &bench.client;
    let vm = bench.machine("a", None).await;
    let first = bench.take(&vm, "off").await;
    assert_eq!(guest.told(), ["flush a.vmdk"]);
    client.run(vm.power_on_vm(None)).await.unwrap();
    *guest.refuses.lock().unwrap() = true;
    let refused = client
        .run(vm.create_snapshot("on", None, false, false))
        .await;
    assert!(refused.unwrap_err().is::<SnapshotFault>());
    assert_eq!(bench.chain(&vm).await, ["a-000001.vmdk", "a.vmdk"]);
    assert_eq!(bench.tree(&vm).await, "off*");
    // The snapshot is removed, but its disk cannot be merged yet.
    let refused = client.run(first.remove_snapshot(false, None)).await;
    assert!(refused.unwrap_err().is::<SnapshotFault>());
    assert_eq!(bench.tree(&vm).await, "");
    assert!(client.get::<bool>(&vm, "runtime.consolidationNeeded").await);
    *guest.refuses.lock().unwrap() = false;
    guest.told();
    client.run(vm.consolidate_vm_disks()).await.unwrap();
    assert_eq!(
        guest.told(),
        [
            "release a-000001.vmdk",
            "forget a-000001.vmdk",
            "forget a.vmdk"
        ]
    );
    assert_eq!(bench.chain(&vm).await, ["a.vmdk"]);
    let second = bench.take(&vm, "on").await;
    assert_eq!(guest.told(), ["release a.vmdk"]);
    bench.revert(&second).await;
    assert_eq!(guest.told(), ["forget a-000001.vmdk"]);
    bench.simulator.shutdown().await;
}
