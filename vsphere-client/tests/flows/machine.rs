//! Flows with the everyday operations of machines.

use std::time::Duration;

use vim25::schema::TypeKind;
use vim25::types::{
    AlreadyExists, CustomizationAdapterMapping, CustomizationDhcpIpGenerator,
    CustomizationFixedName, CustomizationIPSettings, CustomizationLinuxPrep, CustomizationSpec,
    InvalidArgument, LimitExceeded, MethodDisabled, NicSettingMismatch, VirtualCdrom,
    VirtualDevice, VirtualDisk, VirtualMachinePowerState, VirtualMachineRelocateSpec,
};
use vim25::{Poly, Property, Ref, mo, path, props};
use vsphere_client::DatastorePath;
use vsphere_client::device::{DeviceList, Files, NewDisk, cdrom};
use vsphere_client::{EntityKind, Error, EsxCliRow};

const VMX_FILE: Property<mo::VirtualMachine, String> =
    path!(VirtualMachine, config.files.vmPathName);
const POOL: Property<mo::VirtualMachine, Ref<mo::ResourcePool>> =
    path!(VirtualMachine, resourcePool);
const HOST: Property<mo::VirtualMachine, Ref<mo::HostSystem>> = Property::new("runtime.host");

pub(crate) async fn power_that_is_there_already_is_success(url: &str) {
    let client = super::client(url).await;
    let vm = super::create(&client, "power-test").await;
    let machine = client.machine(&vm);
    machine.power_off().await.unwrap();
    assert!(machine.shut_down(Duration::from_secs(1)).await.unwrap());
    for _ in 0..2 {
        machine.power_on().await.unwrap();
    }
    assert_eq!(
        machine.power_state().await.unwrap(),
        VirtualMachinePowerState::PoweredOn
    );
    machine.reset().await.unwrap();
    for _ in 0..2 {
        machine.suspend().await.unwrap();
    }
    machine.power_on().await.unwrap();
    let off = machine.wait_for_power(VirtualMachinePowerState::PoweredOff);
    let (waited, off) = tokio::join!(off, machine.power_off());
    off.unwrap();
    waited.unwrap();
    client.run(vm.destroy()).await.unwrap();
    assert!(machine.power_on().await.unwrap_err().is_gone());
    client.close().await.unwrap();
}

pub(crate) async fn devices_are_added_edited_and_removed(url: &str) {
    let client = super::client(url).await;
    let vm = super::create(&client, "device-test").await;
    let machine = client.machine(&vm);
    let before = machine.devices().await.unwrap().iter().count();
    machine
        .edit_devices(|devices| {
            devices.add_disk(NewDisk::new(1 << 20))?;
            devices.add_disk(NewDisk::new(2 << 20)).map(drop)
        })
        .await
        .unwrap();

    let devices = machine.devices().await.unwrap();
    let disks: Vec<_> = devices.of_type::<VirtualDisk>().collect();
    let sizes: Vec<_> = disks.iter().map(|disk| disk.capacity_in_kb).collect();
    assert_eq!(sizes, [1024, 2048]);
    assert_eq!(disks[0].controller_key, disks[1].controller_key);
    assert_ne!(disks[0].unit_number, disks[1].unit_number);
    assert!(disks[0].key > 0, "the server assigns keys");
    let (first, second) = (disks[0].key, disks[1].key);

    machine
        .edit_devices(|devices| {
            devices.edit::<VirtualDisk>(first, |disk| disk.capacity_in_kb = 4096)?;
            devices.remove(second, Files::Delete)
        })
        .await
        .unwrap();
    let devices = machine.devices().await.unwrap();
    let disks: Vec<_> = devices.of_type::<VirtualDisk>().collect();
    let [disk] = disks.as_slice() else {
        panic!("{disks:?}");
    };
    assert_eq!((disk.key, disk.capacity_in_kb), (first, 4096));
    assert!(devices.by_key(first).is_some() && devices.by_key(second).is_none());
    assert!(devices.iter().count() > before);

    // An edit without changes succeeds, and an edit of a device as another type fails.
    machine.edit_devices(|_| Ok(())).await.unwrap();
    let error = machine
        .edit_devices(|devices| devices.edit::<VirtualCdrom>(first, |_| {}))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::WrongType { .. }), "{error}");
    let error = machine
        .edit_devices(|devices| devices.remove(second, Files::Keep))
        .await
        .unwrap_err();
    let Error::NotFound { kind, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(*kind, EntityKind::Device);
    let label = devices
        .by_key(first)
        .and_then(|disk| disk.node().path("deviceInfo.label")?.as_str())
        .unwrap()
        .to_owned();
    assert_eq!(
        devices
            .by_label(&label)
            .unwrap()
            .view::<VirtualDevice>()
            .unwrap()
            .key,
        first
    );
    let _ = cdrom("[ds] a.iso");
    client.run(vm.destroy()).await.unwrap();
    client.close().await.unwrap();
}

pub(crate) async fn a_machine_is_registered_again(url: &str) {
    register(url, None, "registration-test").await;
}

/// Not run against vcsim, which does not find the files of a machine that is registered under a
/// name other than theirs.
pub(crate) async fn a_machine_is_registered_under_another_name(url: &str) {
    register(url, Some("found-again"), "found-again").await;
}

async fn register(url: &str, name: Option<&str>, expected: &str) {
    let client = super::client(url).await;
    let inventory = client.inventory();
    let datacenter = inventory.datacenter(None).await.unwrap();
    let vm = super::create(&client, "registration-test").await;
    let machine = client.machine(&vm);
    let (file, pool) = (
        client.get(&vm, VMX_FILE).await.unwrap(),
        client.get(&vm, POOL).await.unwrap(),
    );
    machine.unregister().await.unwrap();
    let gone = client.get(&vm, VMX_FILE).await.unwrap_err();
    assert!(gone.is_gone(), "{gone}");
    let file: DatastorePath = file.parse().unwrap();
    let folder = datacenter.vm_folder();
    let vm = client
        .register_machine(folder, &file, name, &pool, None)
        .await
        .unwrap();
    let name = client.get(&vm, props::virtual_machine::NAME).await.unwrap();
    assert_eq!(name, expected);
    let twice = client
        .register_machine(folder, &file, None, &pool, None)
        .await
        .unwrap_err();
    assert!(twice.is_fault::<AlreadyExists>(), "{twice}");
    client.run(vm.destroy()).await.unwrap();
    client.close().await.unwrap();
}

/// Not run against our simulator, which does not support customization. Requires a machine
/// that is off.
pub(crate) async fn a_guest_is_customized(url: &str) {
    let client = super::client(url).await;
    let vm = super::create(&client, "customization-test").await;
    let spec = CustomizationSpec {
        identity: Poly::new(CustomizationLinuxPrep {
            host_name: Poly::new(CustomizationFixedName {
                name: "web".to_owned(),
                ..Default::default()
            }),
            domain: "example.com".to_owned(),
            ..Default::default()
        }),
        nic_setting_map: vec![CustomizationAdapterMapping {
            adapter: CustomizationIPSettings {
                ip: Poly::new(CustomizationDhcpIpGenerator::default()),
                ..Default::default()
            },
            ..Default::default()
        }],
        ..Default::default()
    };
    let outcome = client.machine(&vm).customize(&spec).await;
    // The specification has a network card, but the machine has none.
    let error = outcome.unwrap_err();
    assert!(error.is_fault::<NicSettingMismatch>(), "{error}");
    client.run(vm.destroy()).await.unwrap();
    client.close().await.unwrap();
}

pub(crate) async fn snapshots_are_found_and_gone_back_to(url: &str) {
    let client = super::client(url).await;
    let vm = super::create(&client, "snapshot-test").await;
    let machine = client.machine(&vm);
    assert!(machine.snapshots().await.unwrap().is_empty());
    for name in ["installed", "updated"] {
        machine.take_snapshot(name, "why", false).await.unwrap();
    }
    let all = machine.snapshots().await.unwrap();
    let paths: Vec<_> = all.iter().map(|one| one.path.as_str()).collect();
    assert_eq!(paths, ["installed", "installed/updated"]);
    assert_eq!(all.iter().position(|one| one.is_current), Some(1));
    let found = machine.find_snapshot("installed/updated").await.unwrap();
    assert_eq!(found.description, "why");
    let first = machine.find_snapshot("installed").await.unwrap();
    machine.revert_to(&first).await.unwrap();
    assert!(machine.find_snapshot("installed").await.unwrap().is_current);
    machine.revert_to_current_snapshot().await.unwrap();
    let current = machine.current_snapshot().await.unwrap().unwrap();
    assert_eq!(current.reference, first.reference);
    let by_id = machine.find_snapshot(first.reference.value()).await;
    assert_eq!(by_id.unwrap().name, "installed");
    machine.remove_snapshot(&first, true).await.unwrap();
    assert!(machine.snapshots().await.unwrap().is_empty());
    assert!(machine.current_snapshot().await.unwrap().is_none());
    let error = machine.find_snapshot("installed").await.unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error}");
    machine.take_snapshot("again", "", false).await.unwrap();
    machine.remove_all_snapshots().await.unwrap();
    assert!(machine.snapshots().await.unwrap().is_empty());
    client.run(vm.destroy()).await.unwrap();
    client.close().await.unwrap();
}

/// vcsim has neither of the two.
pub(crate) async fn snapshots_are_renamed_and_disks_consolidated(url: &str) {
    let client = super::client(url).await;
    let vm = super::create(&client, "snapshot-test").await;
    let machine = client.machine(&vm);
    let error = machine.revert_to_current_snapshot().await.unwrap_err();
    assert!(error.is_fault::<vim25::types::NotFound>(), "{error}");
    machine.take_snapshot("a", "old", false).await.unwrap();
    let taken = machine.find_snapshot("a").await.unwrap();
    machine.rename_snapshot(&taken, "b", None).await.unwrap();
    let renamed = machine.find_snapshot("b").await.unwrap();
    assert_eq!(renamed.description, "old");
    machine
        .rename_snapshot(&renamed, "b", Some("new"))
        .await
        .unwrap();
    let renamed = machine.find_snapshot("b").await.unwrap();
    assert_eq!(renamed.description, "new");
    machine.consolidate_disks().await.unwrap();
    client.run(vm.destroy()).await.unwrap();
    client.close().await.unwrap();
}

/// vcsim takes the address from a key in extraConfig.
pub(crate) async fn the_address_of_a_guest_is_waited_for(url: &str) {
    let client = super::client(url).await;
    let vm = super::create(&client, "address-test").await;
    let machine = client.machine(&vm);
    let waiting = machine.wait_for_ip();
    let telling = async {
        machine.power_on().await?;
        machine
            .set_extra_config([("SET.guest.ipAddress", "192.0.2.7")], None)
            .await
    };
    let both = async { tokio::join!(waiting, telling) };
    let (address, told) = tokio::time::timeout(Duration::from_secs(30), both)
        .await
        .unwrap();
    told.unwrap();
    assert_eq!(address.unwrap().to_string(), "192.0.2.7");
    machine.power_off().await.unwrap();
    client.run(vm.destroy()).await.unwrap();
    client.close().await.unwrap();
}

/// Requires a vCenter with the inventory of vcsim.
pub(crate) async fn a_machine_is_cloned_and_relocated(url: &str) {
    let client = super::client(url).await;
    let inventory = client.inventory();
    let datacenter = inventory.datacenter(None).await.unwrap();
    let source = super::machines(&client).await.remove(0);
    let machine = client.machine(&source);
    machine.power_off().await.unwrap();
    let clone = machine
        .clone_to(datacenter.vm_folder(), "copy", &Default::default())
        .await
        .unwrap();
    let copied = client.machine(&clone).devices().await.unwrap();
    let disks = |devices: &DeviceList| {
        let disks = devices.of_type::<VirtualDisk>();
        disks.map(|disk| disk.capacity_in_kb).collect::<Vec<_>>()
    };
    assert_eq!(disks(&copied), disks(&machine.devices().await.unwrap()));

    let host = inventory
        .find_one::<mo::HostSystem>("/DC0/host/DC0_H0/DC0_H0")
        .await
        .unwrap()
        .object;
    let spec = VirtualMachineRelocateSpec {
        host: Some(host.clone()),
        ..Default::default()
    };
    client.machine(&clone).relocate(&spec).await.unwrap();
    let now = client.get(&clone, HOST).await.unwrap();
    assert_eq!(now.value(), host.value());
    client.close().await.unwrap();
}

/// Requires our simulator or a vCenter: hosts and vcsim do not disable methods.
pub(crate) async fn a_machine_is_protected_from_others(url: &str) {
    let client = super::client(url).await;
    let vm = super::machines(&client).await.remove(0);
    let machine = client.machine(&vm);
    machine.power_off().await.unwrap();
    let methods = ["Destroy_Task", "RelocateVM_Task"];
    machine.disable_methods(&methods, "owner").await.unwrap();
    let shown = client
        .get(&vm, props::virtual_machine::DISABLED_METHOD)
        .await
        .unwrap();
    assert_eq!(shown, methods);
    // Methods that do not exist are refused, and there is a limit on their number.
    let unknown = machine.disable_methods(&["PowerOnVM_Task", "Destroy"], "owner");
    let refused = unknown.await.unwrap_err();
    assert!(refused.is_fault::<InvalidArgument>(), "{refused}");
    let all = vim25::schema::types().filter(|ty| ty.kind() == TypeKind::Request);
    let all = all.map(|method| method.name());
    let others: Vec<_> = all.filter(|name| !methods.contains(name)).collect();
    let (most, rest) = others.split_at(998);
    machine.disable_methods(most, "owner").await.unwrap();
    let refused = machine.disable_methods(&rest[..1], "owner").await;
    let refused = refused.unwrap_err();
    assert!(refused.is_fault::<LimitExceeded>(), "{refused}");
    machine.enable_methods(most, "owner").await.unwrap();
    let still = props::virtual_machine::DISABLED_METHOD;
    assert_eq!(client.get(&vm, still).await.unwrap(), methods);
    let refused = client.run(vm.destroy()).await.unwrap_err();
    let fault = refused.fault::<MethodDisabled>();
    assert_eq!(fault.unwrap().source.as_deref(), Some("owner"), "{refused}");
    machine.power_on().await.unwrap();
    machine.power_off().await.unwrap();

    // Only the program that disabled a method enables it.
    let destroy = ["Destroy_Task"];
    machine.enable_methods(&destroy, "other").await.unwrap();
    let refused = client.run(vm.destroy()).await.unwrap_err();
    assert!(refused.is_fault::<MethodDisabled>(), "{refused}");
    machine.disable_methods(&destroy, "other").await.unwrap();
    machine.enable_methods(&destroy, "owner").await.unwrap();
    let refused = client.run(vm.destroy()).await.unwrap_err();
    let fault = refused.fault::<MethodDisabled>();
    assert_eq!(fault.unwrap().source.as_deref(), Some("other"), "{refused}");
    machine.enable_methods(&destroy, "other").await.unwrap();
    client.run(vm.destroy()).await.unwrap();
    let gone = machine.enable_methods(&destroy, "owner").await.unwrap_err();
    assert!(gone.is_gone(), "{gone}");
    client.close().await.unwrap();
}

pub(crate) async fn commands_run_on_a_host(url: &str) {
    let client = super::client(url).await;
    let vm = super::create(&client, "esxcli & <test>").await;
    client.machine(&vm).power_on().await.unwrap();
    let host = client.get(&vm, HOST).await.unwrap();
    let esxcli = client.esxcli(&host).await.unwrap();
    let rows = esxcli.run("vm process list", &[]).await.unwrap();
    let named = |row: &&EsxCliRow| {
        row.get("DisplayName")
            .is_some_and(|n| n == &["esxcli & <test>"])
    };
    let row = rows
        .iter()
        .find(named)
        .unwrap_or_else(|| panic!("{rows:?}"));
    assert!(row["ConfigFile"][0].ends_with(".vmx"), "{row:?}");

    let unknown = esxcli.run("coffee pot brew", &[("cups", "<2>")]).await;
    let unknown = unknown.unwrap_err();
    assert!(unknown.server_fault().is_some(), "{unknown}");
    assert!(
        unknown.to_string().contains("esxcli coffee pot brew"),
        "{unknown}"
    );
    for (command, argument) in [("brew", "cups"), ("coffee pot brew", "<cups>")] {
        let wrong = esxcli.run(command, &[(argument, "2")]).await.unwrap_err();
        assert!(matches!(wrong, Error::Config { .. }), "{wrong}");
    }
    client.machine(&vm).power_off().await.unwrap();
    client.run(vm.destroy()).await.unwrap();
    client.close().await.unwrap();
}
