//! Tests of vSAN datastores.

use simulator::{Datastore, Simulator};
use vim25::types::{
    CannotCreateFile, DatastoreCapability, DatastoreSummary, DirectoryNotEmpty, FileAlreadyExists,
    FileInfo, HostDatastoreBrowserSearchResults, InvalidDatastore, InvalidDatastorePath,
    VirtualMachineCloneSpec, VirtualMachineFileInfo, VirtualMachineRelocateSpec, VsanDatastoreInfo,
};
use vim25::{Call, Ref, TaskOf, mo};

use crate::client::Client;
use crate::datastores::spec;
use crate::inventory::{check, everything};
use crate::vcenter::typed;

type Vm = Ref<mo::VirtualMachine>;

struct Bench {
    simulator: Simulator,
    client: Client,
    vsan: Ref<mo::Datastore>,
    local: Ref<mo::Datastore>,
    folder: Ref<mo::Folder>,
    pool: Ref<mo::ResourcePool>,
}

async fn bench() -> Bench {
    let simulator = Simulator::vcenter()
        .datastore(Datastore::vsan("vsan"))
        .add_datastore(Datastore::vmfs("local"));
    let simulator = simulator.start().await.unwrap();
    let client = Client::login(&simulator).await;
    Bench {
        vsan: typed(&client, "DC0/datastore/vsan").await,
        local: typed(&client, "DC0/datastore/local").await,
        folder: typed(&client, "DC0/vm").await,
        pool: typed(&client, "DC0/host/DC0_H0/Resources").await,
        simulator,
        client,
    }
}

impl Bench {
    async fn create(&self, name: &str, datastore: &str) -> Vm {
        let spec = spec(name, datastore, &[datastore]);
        let create = self.folder.create_vm(&spec, &self.pool, None);
        self.client.run(create).await.unwrap()
    }

    async fn path(&self, vm: &Vm) -> String {
        self.client.get(vm, "config.files.vmPathName").await
    }

    /// Lists the top-level directories: their paths and friendly names.
    async fn top(&self) -> Vec<(String, Option<String>)> {
        let browser: Ref<mo::HostDatastoreBrowser> = self.client.get(&self.vsan, "browser").await;
        let found = browser.search_datastore("[vsan]", None);
        let found: HostDatastoreBrowserSearchResults = self.client.run(found).await.unwrap();
        let names = found.file.iter().map(|file| {
            let file = file.base::<FileInfo>().unwrap().unwrap();
            (file.path.clone(), file.friendly_name.clone())
        });
        names.collect()
    }

    async fn put(&self, path: &str) -> u16 {
        let base = self.simulator.url().strip_suffix("/sdk").unwrap();
        let url = format!("{base}/folder/{path}?dcPath=DC0&dsName=vsan");
        let put = self.client.http().put(url).body("content");
        let put = put.basic_auth("root", Some("vmware")).send().await;
        put.unwrap().status().as_u16()
    }
}

/// Returns the UUID that a path `[vsan] UUID/NAME` starts with.
fn uuid(path: &str) -> &str {
    let (uuid, _) = path
        .strip_prefix("[vsan] ")
        .unwrap()
        .split_once('/')
        .unwrap();
    assert_eq!((uuid.len(), uuid.matches('-').count()), (36, 4), "{path}");
    uuid
}

#[tokio::test]
async fn a_datastore_says_that_it_is_vsan() {
    let bench = bench().await;
    let client = &bench.client;
    check(&everything(client, None).await);
    let summary: DatastoreSummary = client.get(&bench.vsan, "summary").await;
    assert_eq!(summary.type_, "vsan");
    let info: VsanDatastoreInfo = client.get(&bench.vsan, "info").await;
    let membership = info.membership_uuid.unwrap();
    assert_eq!(summary.url, format!("/vmfs/volumes/vsan:{membership}"));
    let capability: DatastoreCapability = client.get(&bench.vsan, "capability").await;
    assert_eq!(capability.top_level_directory_create_supported, Some(false));
    bench.simulator.shutdown().await;
}

#[tokio::test]
async fn only_the_namespace_manager_makes_top_level_directories() {
    let bench = bench().await;
    let client = &bench.client;
    let files = client.content.file_manager.clone().unwrap();
    let datacenter: Ref<mo::Datacenter> = typed(client, "DC0").await;
    let here = Some(&datacenter);
    for parents in [false, true] {
        for path in ["[vsan] a", "[vsan] a/b"] {
            let make = files.make_directory(path, here, Some(parents));
            let fault = client.call(make).await.unwrap_err().fault();
            assert!(fault.is::<CannotCreateFile>(), "{path}: {fault}");
        }
    }
    assert_eq!(
        (bench.put("file").await, bench.put("a/file").await),
        (403, 403)
    );
    let manager = client.content.datastore_namespace_manager.clone().unwrap();
    let make = |name: &'static str| -> Call<String> {
        manager
            .create_directory(&bench.vsan)
            .display_name(name)
            .into()
    };
    let url = client.call(make("a")).await.unwrap();
    let root: String = client.get(&bench.vsan, "summary.url").await;
    let own = url.strip_prefix(&format!("{root}/")).unwrap().to_owned();
    assert_eq!(bench.top().await, [(own.clone(), Some("a".to_owned()))]);
    let again = client.call(make("a")).await.unwrap_err().fault();
    assert!(again.is::<FileAlreadyExists>());
    let deep = client.call(make("b/c")).await.unwrap_err().fault();
    assert!(deep.is::<InvalidDatastorePath>());
    let elsewhere: Call<String> = manager.create_directory(&bench.local).into();
    let elsewhere = client.call(elsewhere).await.unwrap_err().fault();
    assert!(elsewhere.is::<CannotCreateFile>());

    // The directory has two names.
    let convert =
        |url: String| client.call(manager.convert_namespace_path_to_uuid_path(None, &url));
    for scheme in ["", "ds://"] {
        let converted = convert(format!("{scheme}{root}/a/x")).await.unwrap();
        assert_eq!(converted, format!("{scheme}{url}/x"));
    }
    let local: String = client.get(&bench.local, "summary.url").await;
    let other = convert(format!("{local}/a")).await.unwrap_err().fault();
    assert!(other.is::<InvalidDatastore>());
    let make = files.make_directory("[vsan] a/b", here, None);
    client.call(make).await.unwrap();
    assert_eq!(bench.put("a/b/file").await, 201);
    assert_eq!(bench.put(&format!("{own}/b/file")).await, 200);

    let delete = || client.call(manager.delete_directory(None, &url));
    let full = delete().await.unwrap_err().fault();
    assert!(full.is::<DirectoryNotEmpty>());
    let inner = files.delete_datastore_file("[vsan] a/b", here);
    client.run(inner).await.unwrap();
    delete().await.unwrap();
    assert!(bench.top().await.is_empty());
    bench.simulator.shutdown().await;
}

#[tokio::test]
async fn machines_are_in_directories_that_nobody_can_compute() {
    let bench = bench().await;
    let client = &bench.client;
    let vm = bench.create("vm", "vsan").await;
    let path = bench.path(&vm).await;
    let own = uuid(&path).to_owned();
    assert_eq!(path, format!("[vsan] {own}/vm.vmx"));
    let disk: String = client
        .get(&vm, "config.hardware.device[2000].backing.fileName")
        .await;
    assert_eq!(disk, format!("[vsan] {own}/vm.vmdk"));
    assert_eq!(bench.top().await, [(own.clone(), Some("vm".to_owned()))]);
    // The friendly name leads to the same machine.
    let index = client.content.search_index.clone().unwrap();
    let datacenter: Ref<mo::Datacenter> = typed(client, "DC0").await;
    let found = index.find_by_datastore_path(&datacenter, "[vsan] vm/vm.vmx");
    let found = client.call(found).await.unwrap();
    assert_eq!(found.unwrap().value(), vm.value());
    client.run(vm.power_on_vm(None)).await.unwrap();
    client.run(vm.power_off_vm()).await.unwrap();

    let twin = bench.folder.clone();
    let clone = vm.clone_vm(&twin, "copy", &VirtualMachineCloneSpec::default());
    let copy: Vm = client.run(clone).await.unwrap();
    let path = bench.path(&copy).await;
    assert_ne!(uuid(&path), own);
    assert!(path.ends_with("/copy.vmx"), "{path}");

    // The name of a directory that is gone can be used again.
    client.run(vm.destroy()).await.unwrap();
    client.run(copy.destroy()).await.unwrap();
    assert!(bench.top().await.is_empty());
    let vm = bench.create("vm", "vsan").await;
    assert_ne!(uuid(&bench.path(&vm).await), own);
    bench.simulator.shutdown().await;
}

#[tokio::test]
async fn machines_move_to_vsan_and_back() {
    let bench = bench().await;
    let client = &bench.client;
    let vm = bench.create("vm", "local").await;
    let to = async |datastore: &Ref<mo::Datastore>| {
        let spec = VirtualMachineRelocateSpec {
            datastore: Some(datastore.clone()),
            ..Default::default()
        };
        client.run(vm.relocate_vm(&spec, None)).await.unwrap();
        bench.path(&vm).await
    };
    let path = to(&bench.vsan).await;
    let disk: String = client
        .get(&vm, "config.hardware.device[2000].backing.fileName")
        .await;
    assert_eq!(disk, format!("[vsan] {}/vm.vmdk", uuid(&path)));
    assert_eq!(to(&bench.local).await, "[local] vm/vm.vmx");
    assert!(bench.top().await.is_empty());
    let files = client.content.file_manager.clone().unwrap();
    let datacenter: Ref<mo::Datacenter> = typed(client, "DC0").await;
    let move_: Call<TaskOf<()>> = files
        .move_datastore_file("[local] vm", "[vsan] vm")
        .source_datacenter(&datacenter)
        .into();
    assert!(
        client
            .run(move_)
            .await
            .unwrap_err()
            .is::<CannotCreateFile>()
    );
    bench.simulator.shutdown().await;
}

#[tokio::test]
async fn a_restarted_host_knows_the_directories() {
    let home = tempfile::tempdir().unwrap();
    let start = async || {
        let vsan = Datastore::vsan("vsan").directory(home.path());
        let simulator = Simulator::esx().datastore(vsan).start().await.unwrap();
        let client = Client::login(&simulator).await;
        (simulator, client)
    };
    let (simulator, client) = start().await;
    let folder: Ref<mo::Folder> = Ref::new("ha-folder-vm");
    let pool: Ref<mo::ResourcePool> = Ref::new("ha-root-pool");
    // A client may also name the directory: it is created, with another name.
    let mut named = spec("vm", "vsan", &["vsan"]);
    named.files = Some(Box::new(VirtualMachineFileInfo {
        vm_path_name: Some("[vsan] home/vm.vmx".into()),
        ..Default::default()
    }));
    let create = folder.create_vm(&named, &pool, None);
    let vm: Vm = client.run(create).await.unwrap();
    let before: String = client.get(&vm, "config.files.vmPathName").await;
    simulator.shutdown().await;
    let (simulator, client) = start().await;
    let after: String = client.get(&vm, "config.files.vmPathName").await;
    assert_eq!(after, before);
    client.call(vm.unregister_vm()).await.unwrap();
    let register = folder.register_vm("[vsan] home/vm.vmx", false).pool(&pool);
    let vm: Vm = client.run(register.into()).await.unwrap();
    let again: String = client.get(&vm, "config.files.vmPathName").await;
    assert_eq!((uuid(&again), &again), (uuid(&before), &before));
    simulator.shutdown().await;
}
