//! Tests of the life cycle of a machine, from creating to destroying it.

use crate::client::Client;
use crate::client::container::{ID, disk, extra, keys, options, spec};
use guestinfo::Dialect;
use simulator::Simulator;
use vim25::types::{
    ConcurrentAccess, DuplicateName, FileNotFound, InvalidDeviceSpec, InvalidPowerState,
    VirtualMachineConfigInfo, VirtualMachineConfigSpec, VirtualMachineFileInfo,
    VirtualMachinePowerState,
};
use vim25::{Fault, Ref, mo};

/// Starts a simulator with the image that containers boot from, and logs a client in.
async fn start() -> (Simulator, Client) {
    let simulator = Simulator::builder().start().await.unwrap();
    let iso = simulator.datastore_directory().join("vch");
    std::fs::create_dir(&iso).unwrap();
    std::fs::write(iso.join("bootstrap.iso"), b"iso").unwrap();
    let client = Client::login(&simulator).await;
    (simulator, client)
}

async fn create(
    client: &Client,
    spec: &VirtualMachineConfigSpec,
) -> Result<Ref<mo::VirtualMachine>, Fault> {
    let folder: Ref<mo::Folder> = Ref::new("ha-folder-vm");
    let pool: Ref<mo::ResourcePool> = Ref::new("ha-root-pool");
    client.run(folder.create_vm(spec, &pool, None)).await
}

async fn until_off(client: &Client, vm: &Ref<mo::VirtualMachine>) {
    while client
        .get::<VirtualMachinePowerState>(vm, "runtime.powerState")
        .await
        != VirtualMachinePowerState::PoweredOff
    {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_container_lives_and_dies() {
    let (simulator, client) = start().await;
    for (dialect, base) in [
        (Dialect::Vic04, "guestinfo."),
        (Dialect::Vic1, "guestinfo.vice."),
    ] {
        let keys = keys("jovial", "/hello", &["/hello"], dialect);
        let vm = create(&client, &spec("jovial", &keys)).await.unwrap();
        let file = simulator.datastore_directory().join("jovial/jovial.vmx");
        let text = std::fs::read_to_string(&file).unwrap();
        let host: Ref<mo::HostSystem> = Ref::new("ha-host");
        let stores: Vec<Ref<mo::Datastore>> = client.get(&host, "datastore").await;
        let volume = format!("/vmfs/volumes/{}", stores[0].value());
        let image = format!("ide0:0.fileName = \"{volume}/vch/bootstrap.iso\"");
        for line in [
            image.as_str(),
            "displayName = \"jovial\"",
            "guestOS = \"other3xlinux-64\"",
            "memSize = \"2048\"",
            "numvcpus = \"2\"",
            "scsi0.virtualDev = \"pvscsi\"",
            "scsi0:0.deviceType = \"scsi-hardDisk\"",
            "scsi0:0.fileName = \"jovial.vmdk\"",
            "ide0:0.deviceType = \"cdrom-image\"",
            "ethernet0.virtualDev = \"vmxnet3\"",
            "ethernet0.networkName = \"VM Network\"",
            "serial0.fileType = \"network\"",
            "serial0.fileName = \"tcp://127.0.0.1:9\"",
            "serial0.network.endPoint = \"client\"",
            "serial0.yieldOnMsrRead = \"TRUE\"",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
        let line = format!("{base}/sessions|{ID}/cmd/Path = \"/hello\"");
        assert!(text.contains(&line), "{line} is not in\n{text}");

        client.run(vm.power_on_vm(None)).await.unwrap();
        until_off(&client, &vm).await;
        let config: VirtualMachineConfigInfo = client.get(&vm, "config").await;
        let started = format!("{base}.sessions|{ID}.started");
        let status = format!("{base}.sessions|{ID}.status");
        assert_eq!(extra(&config, &started).as_deref(), Some("true"));
        assert_eq!(extra(&config, &status).as_deref(), Some("0"));
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains(&format!("{started} = \"true\"")), "{text}");

        client.run(vm.destroy()).await.unwrap();
        assert!(!file.parent().unwrap().exists());
    }
    let folder: Ref<mo::Folder> = Ref::new("ha-folder-vm");
    let children: Vec<Ref<mo::ManagedEntity>> = client.get(&folder, "childEntity").await;
    assert!(children.is_empty(), "{children:?}");
    simulator.shutdown().await;
}

#[tokio::test]
async fn a_new_machine_has_boot_options_that_nobody_gave() {
    let (simulator, client) = start().await;
    let keys = keys("jovial", "/hello", &["/hello"], Dialect::Vic1);
    let vm = create(&client, &spec("jovial", &keys)).await.unwrap();
    // Clients read them without a check.
    let config: VirtualMachineConfigInfo = client.get(&vm, "config").await;
    let boot = config.boot_options.unwrap();
    assert_eq!(boot.enter_bios_setup, Some(false));
    assert_eq!(boot.boot_delay, Some(0));
    simulator.shutdown().await;
}

#[tokio::test]
async fn a_program_that_is_not_known_says_so() {
    let (simulator, client) = start().await;
    let keys = keys("lost", "/nowhere", &[], Dialect::Vic04);
    let vm = create(&client, &spec("lost", &keys)).await.unwrap();
    client.run(vm.power_on_vm(None)).await.unwrap();
    until_off(&client, &vm).await;
    let config: VirtualMachineConfigInfo = client.get(&vm, "config").await;
    let started = extra(&config, &format!("guestinfo..sessions|{ID}.started")).unwrap();
    assert_eq!(started, "/nowhere: no such executable in PATH");
    simulator.shutdown().await;
}

#[tokio::test]
async fn a_stale_change_version_is_refused() {
    let (simulator, client) = start().await;
    let vm = create(&client, &spec("a", &[].into())).await.unwrap();
    let version: String = client.get(&vm, "config.changeVersion").await;
    let change = |version: &str, key: &str, value: &str| VirtualMachineConfigSpec {
        change_version: Some(version.into()),
        extra_config: options(&[(key.to_owned(), value.to_owned())].into()),
        ..Default::default()
    };
    client
        .run(vm.reconfig_vm(&change(&version, "guestinfo.A", "1")))
        .await
        .unwrap();
    let fault = client
        .run(vm.reconfig_vm(&change(&version, "guestinfo.a", "2")))
        .await;
    assert!(fault.unwrap_err().is::<ConcurrentAccess>());
    let version: String = client.get(&vm, "config.changeVersion").await;
    // Keys are compared without regard to case, and keep their original spelling.
    client
        .run(vm.reconfig_vm(&change(&version, "guestinfo.a", "2")))
        .await
        .unwrap();
    let config: VirtualMachineConfigInfo = client.get(&vm, "config").await;
    assert_eq!(extra(&config, "guestinfo.A").as_deref(), Some("2"));
    client
        .run(vm.reconfig_vm(&change("", "guestinfo.a", "")))
        .await
        .unwrap();
    let config: VirtualMachineConfigInfo = client.get(&vm, "config").await;
    assert_eq!(extra(&config, "guestinfo.A"), None);
    let file = simulator.datastore_directory().join("a/a.vmx");
    let text = std::fs::read_to_string(file).unwrap();
    assert!(!text.contains("guestinfo"), "{text}");
    simulator.shutdown().await;
}

#[tokio::test]
async fn what_cannot_be_is_refused_and_leaves_nothing() {
    let (simulator, client) = start().await;
    let directory = simulator.datastore_directory().to_owned();
    let files = || std::fs::read_dir(&directory).unwrap().count();
    let before = files();
    let mut bad = spec("a", &[].into());
    bad.device_change.push(disk(1_003, None));
    let fault = create(&client, &bad).await.unwrap_err();
    assert!(fault.is::<InvalidDeviceSpec>(), "{fault}");
    assert_eq!(files(), before);

    let mut bad = spec("b", &[].into());
    std::fs::remove_file(directory.join("vch/bootstrap.iso")).unwrap();
    let fault = create(&client, &bad).await.unwrap_err();
    assert!(fault.is::<FileNotFound>(), "{fault}");
    assert_eq!(files(), before);

    std::fs::write(directory.join("vch/bootstrap.iso"), b"iso").unwrap();
    bad.device_change.clear();
    let vm = create(&client, &bad).await.unwrap();
    let fault = create(&client, &bad).await.unwrap_err();
    assert!(fault.is::<DuplicateName>(), "{fault}");
    let fault = client.run(vm.power_off_vm()).await.unwrap_err();
    assert!(fault.is::<InvalidPowerState>(), "{fault}");
    client.run(vm.power_on_vm(None)).await.unwrap();
    let fault = client.run(vm.destroy()).await.unwrap_err();
    assert!(fault.is::<InvalidPowerState>(), "{fault}");
    simulator.shutdown().await;
}

#[tokio::test]
async fn a_machine_is_unregistered_and_registered_again() {
    let (simulator, client) = start().await;
    let keys = keys("a", "/hello", &[], Dialect::Vic1);
    let vm = create(&client, &spec("a", &keys)).await.unwrap();
    let before: VirtualMachineConfigInfo = client.get(&vm, "config").await;
    client.call(vm.unregister_vm()).await.unwrap();
    let folder: Ref<mo::Folder> = Ref::new("ha-folder-vm");
    let pool: Ref<mo::ResourcePool> = Ref::new("ha-root-pool");
    let call = folder
        .register_vm("[datastore1] a/a.vmx", false)
        .pool(&pool);
    let vm = client.run(call.build()).await.unwrap();
    let after: VirtualMachineConfigInfo = client.get(&vm, "config").await;
    assert_eq!(before.uuid, after.uuid);
    let devices = |config: &VirtualMachineConfigInfo| {
        let mut devices = config.hardware.device.clone();
        devices.sort_by_key(|device| device.node().get("key").and_then(|key| key.as_i64()));
        devices
    };
    assert_eq!(devices(&before), devices(&after));
    assert_eq!(before.extra_config, after.extra_config);
    simulator.shutdown().await;
}

#[tokio::test]
async fn a_child_disk_knows_its_parents() {
    let (simulator, client) = start().await;
    let parent = create(&client, &spec("parent", &[].into())).await.unwrap();
    let mut child = spec("child", &[].into());
    child.device_change[0] = disk(-1, Some("[datastore1] parent/parent.vmdk"));
    let child = create(&client, &child).await.unwrap();
    let name: String = client
        .get(
            &child,
            "config.hardware.device[2000].backing.parent.fileName",
        )
        .await;
    assert_eq!(name, "[datastore1] parent/parent.vmdk");
    // Like some real hosts, destroying a machine also deletes the parents of its disks.
    client.run(child.destroy()).await.unwrap();
    assert!(
        !simulator
            .datastore_directory()
            .join("parent/parent.vmdk")
            .exists()
    );
    let fault = client.run(parent.power_on_vm(None)).await.unwrap_err();
    assert!(fault.is::<FileNotFound>(), "{fault}");
    simulator.shutdown().await;
}

#[tokio::test]
async fn a_name_with_a_slash_is_escaped_wherever_it_is_shown() {
    let (simulator, client) = start().await;
    let keys = keys("a", "/hello", &["/hello"], Dialect::Vic1);
    let mut slashed = spec("a/b", &keys);
    slashed.files = Some(Box::new(VirtualMachineFileInfo {
        vm_path_name: Some("[datastore1]".into()),
        ..Default::default()
    }));
    let vm = create(&client, &slashed).await.unwrap();
    for path in ["name", "config.name", "summary.config.name"] {
        let name: String = client.get(&vm, path).await;
        assert_eq!(name, "a%2fb", "{path}");
    }
    let home = "[datastore1] a%2fb/a%2fb.vmx";
    for path in ["config.files.vmPathName", "summary.config.vmPathName"] {
        let file: String = client.get(&vm, path).await;
        assert_eq!(file, home, "{path}");
    }
    let vmx = simulator.datastore_directory().join("a%2fb/a%2fb.vmx");
    assert!(vmx.exists());
    // The escaped name is the same name.
    let mut again = slashed.clone();
    again.name = Some("a%2fb".into());
    let fault = create(&client, &again).await.unwrap_err();
    assert!(fault.is::<DuplicateName>(), "{fault}");
    client.call(vm.unregister_vm()).await.unwrap();
    let folder: Ref<mo::Folder> = Ref::new("ha-folder-vm");
    let pool: Ref<mo::ResourcePool> = Ref::new("ha-root-pool");
    let register = folder.register_vm(home, false).pool(&pool);
    let vm: Ref<mo::VirtualMachine> = client.run(register.build()).await.unwrap();
    assert_eq!(
        client.get::<String>(&vm, "summary.config.name").await,
        "a%2fb"
    );
    simulator.shutdown().await;
}
