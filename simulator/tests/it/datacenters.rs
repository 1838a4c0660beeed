//! Tests of a vCenter with several datacenters, whose datastores have the same names.

use simulator::{Datastore, Simulator, StartError, Topology};
use vim25::types::{
    DatacenterMismatch, FileNotFound, InvalidArgument, InvalidDatastore, InvalidFolder,
    ResourceInUse, VirtualMachineCloneSpec, VirtualMachineConfigSpec, VirtualMachineRelocateSpec,
};
use vim25::{AnyRef, Call, Fault, Ref, TaskOf, mo};

use crate::client::Client;
use crate::datastores::spec;
use crate::inventory::{check, everything};
use crate::vcenter::{bare, typed};

type Vm = Ref<mo::VirtualMachine>;

struct Bench {
    simulator: Simulator,
    client: Client,
}

/// Starts a vCenter with two datacenters.
async fn bench() -> Bench {
    let topology = Topology::vcenter().datacenters(2).clusters(0);
    let simulator = Simulator::builder().topology(topology);
    let simulator = simulator.start().await.unwrap();
    let client = Client::login(&simulator).await;
    Bench { simulator, client }
}

impl Bench {
    async fn datacenter(&self, number: usize) -> Ref<mo::Datacenter> {
        typed(&self.client, &format!("DC{number}")).await
    }

    async fn pool(&self, number: usize) -> Ref<mo::ResourcePool> {
        let path = format!("DC{number}/host/DC{number}_H0/Resources");
        typed(&self.client, &path).await
    }

    async fn folder(&self, number: usize) -> Ref<mo::Folder> {
        typed(&self.client, &format!("DC{number}/vm")).await
    }

    async fn datastore(&self, number: usize) -> Ref<mo::Datastore> {
        typed(&self.client, &format!("DC{number}/datastore/LocalDS_0")).await
    }

    async fn create(&self, number: usize, spec: &VirtualMachineConfigSpec) -> Vm {
        let (folder, pool) = (self.folder(number).await, self.pool(number).await);
        let create = folder.create_vm(spec, &pool, None);
        self.client.run(create).await.unwrap()
    }

    /// Returns the path of a file on the datastore of a datacenter.
    fn file(&self, number: usize, name: &str) -> std::path::PathBuf {
        let mut all = self.simulator.datastores_of(number);
        all.next().unwrap().1.join(name)
    }

    async fn http(&self, method: &str, path: &str, place: &str, body: &'static str) -> u16 {
        let base = self.simulator.url().trim_end_matches("/sdk");
        let method = method.parse().unwrap();
        let request = self
            .client
            .http()
            .request(method, format!("{base}/folder/{path}?{place}"));
        let request = request.header("Cookie", self.client.cookie.clone().unwrap());
        request.body(body).send().await.unwrap().status().as_u16()
    }
}

/// Returns the argument and the cause of a refusal of entities in different datacenters.
fn mismatch(fault: &Fault) -> String {
    let detail = fault.get::<InvalidArgument>().unwrap();
    let detail = detail.unwrap_or_else(|| panic!("{fault}"));
    let cause = detail.fault_cause.clone().unwrap();
    assert!(Fault::from(*cause).is::<DatacenterMismatch>());
    detail.invalid_property.clone().unwrap()
}

#[tokio::test]
async fn every_datacenter_has_what_the_topology_describes() {
    let topology = Topology::vcenter().datacenters(2).machines(1).pools(1);
    let simulator = Simulator::builder().topology(topology.autostart(true));
    let simulator = simulator.start().await.unwrap();
    assert_eq!(simulator.datacenters(), 2);
    let client = Client::login(&simulator).await;
    let all = everything(&client, None).await;
    check(&all);
    let count = |ty: &str| all.iter().filter(|o| o.obj.type_name() == ty).count();
    assert_eq!(count("Datacenter"), 2);
    assert_eq!(count("HostSystem"), 8);
    assert_eq!(count("VirtualMachine"), 6);
    assert_eq!(count("Datastore"), 2);
    assert_eq!(count("VmwareDistributedVirtualSwitch"), 2);
    for dc in ["DC0", "DC1"] {
        for path in [
            "host/{dc}_H0/{dc}_H0",
            "host/{dc}_C0/{dc}_C0_H2",
            "host/{dc}_C0/Resources/{dc}_C0_RP1",
            "vm/{dc}_C0_RP1_VM0",
            "network/VM Network",
            "network/DVS0",
            "network/{dc}_DVPG0",
            "datastore/LocalDS_0",
        ] {
            let path = format!("{dc}/{}", path.replace("{dc}", dc));
            typed::<mo::ManagedEntity>(&client, &path).await;
        }
        let vm: Vm = typed(&client, &format!("{dc}/vm/{dc}_H0_VM0")).await;
        for (property, path) in [
            ("runtime.host", format!("{dc}/host/{dc}_H0/{dc}_H0")),
            ("datastore", format!("{dc}/datastore/LocalDS_0")),
            ("network", format!("{dc}/network/{dc}_DVPG0")),
        ] {
            let expected: AnyRef = typed::<mo::ManagedEntity>(&client, &path).await.upcast();
            let found: Vec<AnyRef> = match property {
                "runtime.host" => vec![client.get(&vm, property).await],
                _ => client.get(&vm, property).await,
            };
            let found: Vec<_> = found.iter().map(|own| own.value()).collect();
            assert_eq!(found, [expected.value()], "{dc} {property}");
        }
        // A datastore is mounted on the hosts of its own datacenter only.
        let datacenter: Ref<mo::Datacenter> = typed(&client, dc).await;
        let own: Vec<AnyRef> = client.get(&datacenter, "datastore").await;
        assert_eq!(own.len(), 1);
        let vms: Vec<AnyRef> = client.get(&own[0], "vm").await;
        assert_eq!(vms.len(), 3);
    }
    simulator.shutdown().await;
}

#[tokio::test]
async fn one_path_means_a_file_in_each_datacenter() {
    let bench = bench().await;
    let client = &bench.client;
    let mut machines = Vec::new();
    let index = client.content.search_index.clone().unwrap();
    for number in [0, 1] {
        let vm = bench
            .create(number, &spec("a", "LocalDS_0", &["LocalDS_0"]))
            .await;
        let path: String = client.get(&vm, "config.files.vmPathName").await;
        assert_eq!(path, "[LocalDS_0] a/a.vmx");
        let datastores: Vec<AnyRef> = client.get(&vm, "datastore").await;
        assert_eq!(datastores[0].value(), bench.datastore(number).await.value());
        assert!(bench.file(number, "a/a.vmdk").exists());
        machines.push(vm);
    }
    let uuid: String = client.get(&machines[1], "config.uuid").await;
    for (number, vm) in machines.iter().enumerate() {
        let datacenter = bench.datacenter(number).await;
        let find = index.find_by_datastore_path(&datacenter, "[LocalDS_0] a/a.vmx");
        let found = client.call(find).await.unwrap().unwrap();
        assert_eq!(found.value(), vm.value());
        let find = index.find_by_uuid(Some(&datacenter), &uuid, true, None);
        let found = client.call(find).await.unwrap();
        assert_eq!(found.is_some(), number == 1);
    }
    // Only the disk of the machine that is on is locked.
    client.run(machines[0].power_on_vm(None)).await.unwrap();
    let disks = client.content.virtual_disk_manager.clone().unwrap();
    let delete = async |number| {
        let datacenter = bench.datacenter(number).await;
        let call = disks.delete_virtual_disk("[LocalDS_0] a/a.vmdk", Some(&datacenter));
        client.run(call).await
    };
    delete(0).await.unwrap_err();
    delete(1).await.unwrap();
    assert!(bench.file(0, "a/a.vmdk").exists() && !bench.file(1, "a/a.vmdk").exists());
    // The other machine is destroyed without the files of this one.
    client.run(machines[1].destroy()).await.unwrap();
    assert!(bench.file(0, "a/a.vmx").exists() && !bench.file(1, "a/a.vmx").exists());
    bench.simulator.shutdown().await;
}

#[tokio::test]
async fn files_need_a_datacenter() {
    let bench = bench().await;
    let client = &bench.client;
    let files = client.content.file_manager.clone().unwrap();
    let (one, two) = (bench.datacenter(0).await, bench.datacenter(1).await);
    let make = files.make_directory("[LocalDS_0] d", Some(&two), None);
    client.call(make).await.unwrap();
    assert!(bench.file(1, "d").is_dir() && !bench.file(0, "d").exists());

    let make = files.make_directory("[LocalDS_0] e", None, None);
    let fault = client.call(make).await.unwrap_err().fault();
    let detail = fault.get::<InvalidArgument>().unwrap().unwrap();
    assert_eq!(detail.invalid_property.as_deref(), Some("datacenter"));
    // A URL names the datacenter itself.
    let base = bench.simulator.url().trim_end_matches("/sdk");
    let url = format!("{base}/folder/d/in%20it?dcPath=DC1&dsName=LocalDS_0");
    client
        .call(files.make_directory(&url, None, None))
        .await
        .unwrap();
    assert!(bench.file(1, "d/in it").is_dir());

    // Without a datacenter, the destination is in that of the source.
    std::fs::write(bench.file(1, "d/file"), b"of two").unwrap();
    let run = async |call: Call<TaskOf<()>>| client.run(call).await;
    let near = files.copy_datastore_file("[LocalDS_0] d/file", "[LocalDS_0] near");
    run(near.source_datacenter(&two).into()).await.unwrap();
    let far = files.move_datastore_file("[LocalDS_0] d/file", "[LocalDS_0] far");
    let far = far.source_datacenter(&two).destination_datacenter(&one);
    run(far.into()).await.unwrap();
    assert!(bench.file(1, "near").exists() && !bench.file(0, "near").exists());
    assert_eq!(std::fs::read(bench.file(0, "far")).unwrap(), b"of two");
    assert!(!bench.file(1, "d/file").exists());
    let gone = files.delete_datastore_file("[LocalDS_0] far", Some(&two));
    assert!(run(gone).await.unwrap_err().is::<FileNotFound>());
    bench.simulator.shutdown().await;
}

#[tokio::test]
async fn files_over_http_need_a_datacenter() {
    let bench = bench().await;
    let at = |dc: &str| format!("dcPath={dc}&dsName=LocalDS_0");
    assert_eq!(bench.http("PUT", "a", &at("DC1"), "1").await, 201);
    assert_eq!(std::fs::read(bench.file(1, "a")).unwrap(), b"1");
    assert_eq!(bench.http("GET", "a", &at("DC1"), "").await, 200);
    for place in [&at("DC0"), &at("DC2"), "dsName=LocalDS_0"] {
        assert_eq!(bench.http("GET", "a", place, "").await, 404, "{place}");
    }
    bench.simulator.shutdown().await;
}

#[tokio::test]
async fn the_last_datacenters_are_in_folders() {
    let topology = Topology::vcenter().datacenters(2).datacenter_folders(1);
    let simulator = Simulator::builder().topology(topology.machines(1));
    let simulator = simulator.start().await.unwrap();
    let client = Client::login(&simulator).await;
    check(&everything(&client, None).await);
    for path in [
        "DC0/vm/DC0_H0_VM0",
        "F0/DC1/vm/F0/DC1_H0_VM0",
        "F0/DC1/host/F0/DC1_H0/DC1_H0",
        "F0/DC1/datastore/F0/LocalDS_0",
        "F0/DC1/network/F0/DVS0",
        "F0/DC1/network/F0/DC1_DVPG0",
        "F0/DC1/network/VM Network",
    ] {
        typed::<mo::ManagedEntity>(&client, path).await;
    }
    let bench = Bench { simulator, client };
    let place = "dcPath=F0/DC1&dsName=LocalDS_0";
    assert_eq!(bench.http("PUT", "a", place, "1").await, 201);
    assert!(bench.file(1, "a").exists());
    bench.simulator.shutdown().await;
}

#[tokio::test]
async fn datacenters_are_created_moved_and_removed() {
    let bench = bench().await;
    let client = &bench.client;
    let before = everything(client, None).await.len();
    let root = client.content.root_folder.clone();
    let new = client.call(root.create_datacenter("new")).await.unwrap();
    client
        .call(root.create_datacenter("new"))
        .await
        .unwrap_err();
    client.run(new.rename("other")).await.unwrap();
    let folder = client.call(root.create_folder("top")).await.unwrap();
    client
        .run(folder.move_into_folder(&[new.upcast()]))
        .await
        .unwrap();
    check(&everything(client, None).await);
    let vms: Ref<mo::Folder> = typed(client, "top/other/vm").await;
    // It has no hosts, and so no datastores.
    let pool = bench.pool(0).await;
    let create = vms.create_vm(&bare("a"), &pool, None);
    let fault = client.run(create).await.unwrap_err();
    assert!(fault.is::<InvalidDatastore>(), "{fault}");
    let inner = client.call(vms.create_folder("inner")).await.unwrap();
    client.call(vms.create_datacenter("x")).await.unwrap_err();
    let fault = client.run(new.destroy()).await.unwrap_err();
    assert!(fault.is::<ResourceInUse>());
    client.run(inner.destroy()).await.unwrap();
    client.run(new.destroy()).await.unwrap();
    client.run(folder.destroy()).await.unwrap();
    let after = everything(client, None).await;
    check(&after);
    assert_eq!(after.len(), before);
    let used = bench.datacenter(1).await;
    let fault = client.run(used.destroy()).await.unwrap_err();
    assert!(fault.is::<ResourceInUse>());
    bench.simulator.shutdown().await;
}

#[tokio::test]
async fn nothing_is_in_two_datacenters() {
    let bench = bench().await;
    let client = &bench.client;
    let vm = bench.create(0, &bare("a")).await;
    let (folder, pool) = (bench.folder(1).await, bench.pool(1).await);
    let create = folder.create_vm(&bare("b"), &bench.pool(0).await, None);
    assert_eq!(mismatch(&client.run(create).await.unwrap_err()), "pool");
    // The folders of datacenters stay where they are, and machines change by relocation only.
    let fault = client.run(folder.move_into_folder(&[vm.upcast()])).await;
    assert!(fault.unwrap_err().is::<InvalidFolder>());
    let own: Ref<mo::ManagedEntity> = bench.folder(0).await.upcast();
    let fault = client.run(folder.move_into_folder(&[own])).await;
    assert!(fault.unwrap_err().is::<InvalidFolder>());
    let relocate = async |spec: VirtualMachineRelocateSpec| {
        let refused = client.run(vm.relocate_vm(&spec, None)).await;
        mismatch(&refused.unwrap_err())
    };
    let elsewhere = VirtualMachineRelocateSpec {
        pool: Some(pool.clone()),
        ..Default::default()
    };
    assert_eq!(relocate(elsewhere.clone()).await, "pool");
    let half = VirtualMachineRelocateSpec {
        folder: Some(folder.clone()),
        ..elsewhere
    };
    assert_eq!(relocate(half.clone()).await, "spec.datastore");
    let clone = VirtualMachineCloneSpec {
        location: half,
        ..Default::default()
    };
    let refused = client.run(vm.clone_vm(&folder, "c", &clone)).await;
    let argument = mismatch(&refused.unwrap_err());
    assert_eq!(argument, "spec.location.datastore");
    check(&everything(client, None).await);
    bench.simulator.shutdown().await;
}

#[tokio::test]
async fn machines_are_cloned_and_relocated_to_another_datacenter() {
    let bench = bench().await;
    let client = &bench.client;
    let vm = bench
        .create(0, &spec("a", "LocalDS_0", &["LocalDS_0"]))
        .await;
    let mut content = std::fs::read(bench.file(0, "a/a-flat.vmdk")).unwrap();
    content[..4].copy_from_slice(b"disk");
    std::fs::write(bench.file(0, "a/a-flat.vmdk"), content).unwrap();
    let folder = bench.folder(1).await;
    let location = VirtualMachineRelocateSpec {
        folder: Some(folder.clone()),
        pool: Some(bench.pool(1).await),
        datastore: Some(bench.datastore(1).await),
        ..Default::default()
    };
    let clone = VirtualMachineCloneSpec {
        location: location.clone(),
        ..Default::default()
    };
    let clone: Vm = client
        .run(vm.clone_vm(&folder, "clone", &clone))
        .await
        .unwrap();
    assert_eq!(
        &std::fs::read(bench.file(1, "clone/clone-flat.vmdk")).unwrap()[..4],
        b"disk"
    );
    client.run(clone.power_on_vm(None)).await.unwrap();

    client.run(vm.relocate_vm(&location, None)).await.unwrap();
    assert!(!bench.file(0, "a").exists());
    assert_eq!(
        &std::fs::read(bench.file(1, "a/a-flat.vmdk")).unwrap()[..4],
        b"disk"
    );
    let moved: Vm = typed(client, "DC1/vm/a").await;
    assert_eq!(moved, vm);
    let datastores: Vec<AnyRef> = client.get(&vm, "datastore").await;
    assert_eq!(datastores[0].value(), bench.datastore(1).await.value());
    let host: AnyRef = client.get(&vm, "runtime.host").await;
    let name: String = client.get(&host, "name").await;
    assert_eq!(name, "DC1_H0");
    check(&everything(client, None).await);
    // The indexes of disks moved, too: in the other datacenter the path is free.
    let twin = bench
        .create(0, &spec("a", "LocalDS_0", &["LocalDS_0"]))
        .await;
    client.run(vm.power_on_vm(None)).await.unwrap();
    client.run(twin.destroy()).await.unwrap();
    client.run(vm.power_off_vm()).await.unwrap();
    client.run(vm.destroy()).await.unwrap();
    assert!(!bench.file(1, "a").exists());
    bench.simulator.shutdown().await;
}

#[tokio::test]
async fn datastores_are_of_one_datacenter_or_of_each() {
    let start = async |other: Datastore| {
        Simulator::builder()
            .topology(Topology::vcenter().datacenters(2).clusters(0))
            .datastore(Datastore::vmfs("local"))
            .add_datastore(other)
            .start()
            .await
    };
    let simulator = start(Datastore::vmfs("only").datacenter(1)).await.unwrap();
    let names = |datacenter| -> Vec<&str> {
        let all = simulator.datastores_of(datacenter);
        all.map(|(name, _)| name).collect()
    };
    assert_eq!(names(0), ["local"]);
    assert_eq!(names(1), ["local", "only"]);
    assert!(names(2).is_empty());
    simulator.shutdown().await;
    for other in [
        Datastore::vmfs("local").datacenter(1),
        Datastore::vmfs("lost").datacenter(2),
    ] {
        let refused = start(other).await.unwrap_err();
        assert!(matches!(refused, StartError::DatastoreName { .. }));
    }
    let directory = tempfile::tempdir().unwrap();
    for again in [false, true] {
        let simulator = Simulator::builder()
            .topology(Topology::vcenter().datacenters(2).clusters(0))
            .datastore_directory(directory.path())
            .start()
            .await
            .unwrap();
        let file = simulator.datastores_of(1).next().unwrap().1.join("kept");
        assert_eq!(file.exists(), again);
        std::fs::write(file, b"").unwrap();
        simulator.shutdown().await;
    }
}
