//! Tests of requests that the API refuses, and of the faults that it returns.

use crate::client::Client;
use crate::client::container::{add, spec};
use simulator::Simulator;
use vim25::internal::types::DisabledMethodRequest;
use vim25::types::{
    FileNotFound, ID, ImportSpec, InvalidArgument, InvalidRequest, NotAuthenticated,
    NotImplemented, NotSupported, VirtualAppImportSpec, VirtualDeviceConfigSpec,
    VirtualDeviceConfigSpecOperation, VirtualMachineConfigSpec, VirtualMachineFileInfo,
    VirtualUSBController, VirtualUSBXHCIController,
};
use vim25::{Fault, Poly, Ref, mo};

const XML: &str = "text/xml; charset=utf-8";

/// Returns the specification of a machine without additional devices.
fn bare(name: &str) -> VirtualMachineConfigSpec {
    VirtualMachineConfigSpec {
        name: Some(name.into()),
        files: Some(Box::new(VirtualMachineFileInfo {
            vm_path_name: Some("[datastore1]".into()),
            ..Default::default()
        })),
        ..Default::default()
    }
}

async fn create(
    client: &Client,
    spec: &VirtualMachineConfigSpec,
) -> Result<Ref<mo::VirtualMachine>, Fault> {
    let folder: Ref<mo::Folder> = Ref::new("ha-folder-vm");
    let pool: Ref<mo::ResourcePool> = Ref::new("ha-root-pool");
    client.run(folder.create_vm(spec, &pool, None)).await
}

#[tokio::test]
async fn calls_of_other_apis_and_character_sets_are_refused() {
    let simulator = Simulator::builder().start().await.unwrap();
    let stranger = Client::stranger(&simulator).await;
    let instance: Ref<mo::ServiceInstance> = Ref::new("ServiceInstance");
    let fault = stranger.call(instance.current_time()).await;
    assert!(fault.unwrap_err().fault().is::<NotAuthenticated>());
    let client = Client::login(&simulator).await;
    client.call(instance.current_time()).await.unwrap();
    let time = |namespace: &str| {
        format!(
            "<CurrentTime xmlns=\"{namespace}\"><_this type=\"ServiceInstance\">\
             ServiceInstance</_this></CurrentTime>"
        )
    };
    let (status, answer) = client.raw(XML, &time("urn:other")).await;
    assert_eq!(status, 500);
    assert!(answer.contains("VersionMismatchFaultCode"), "{answer}");
    assert!(answer.contains("Unsupported version URI"), "{answer}");
    for (content_type, expected) in [
        ("text/xml; charset=\"UTF-8\"", 200),
        ("text/xml", 200),
        ("text/xml; charset=utf-16", 500),
        ("text/xml; charset=iso-8859-1", 500),
    ] {
        let (status, answer) = client.raw(content_type, &time("urn:vim25")).await;
        assert_eq!(status, expected, "{content_type}: {answer}");
    }
    simulator.shutdown().await;
}

#[tokio::test]
async fn values_that_no_enum_has_make_no_machine() {
    let simulator = Simulator::builder().start().await.unwrap();
    let client = Client::login(&simulator).await;
    let mut bogus = bare("a");
    bogus.guest_id = Some("bogusGuest".into());
    let fault = create(&client, &bogus).await.unwrap_err();
    assert!(fault.is::<InvalidArgument>(), "{fault}");
    let mut change = VirtualDeviceConfigSpec::default();
    change.operation = Some(VirtualDeviceConfigSpecOperation::Other("frob".into()));
    change.device = Poly::new(VirtualUSBController::default());
    let mut bogus = bare("a");
    bogus.device_change.push(Poly::new(change));
    let folder: Ref<mo::Folder> = Ref::new("ha-folder-vm");
    let pool: Ref<mo::ResourcePool> = Ref::new("ha-root-pool");
    let refused = client.call(folder.create_vm(&bogus, &pool, None)).await;
    let fault = refused.unwrap_err().fault();
    assert!(fault.is::<InvalidRequest>(), "{fault}");
    assert!(fault.message().contains("frob"), "{fault}");
    simulator.shutdown().await;
}

#[tokio::test]
async fn an_xhci_controller_stands_next_to_a_usb_controller() {
    let simulator = Simulator::builder().start().await.unwrap();
    let client = Client::login(&simulator).await;
    let mut both = bare("a");
    both.device_change
        .push(add(VirtualUSBController::default(), None));
    both.device_change
        .push(add(VirtualUSBXHCIController::default(), None));
    let vm = create(&client, &both).await.unwrap();
    let key = |key: i32| format!("config.hardware.device[{key}].deviceInfo.label");
    assert_eq!(
        client.get::<String>(&vm, &key(7_000)).await,
        "USB controller 0"
    );
    assert_eq!(
        client.get::<String>(&vm, &key(14_000)).await,
        "USB xHCI controller 0"
    );
    simulator.shutdown().await;
}

#[tokio::test]
async fn one_unknown_session_ends_no_other() {
    let simulator = Simulator::builder().start().await.unwrap();
    let client = Client::login(&simulator).await;
    let other = Client::login(&simulator).await;
    let manager = client.content.session_manager.clone().unwrap();
    let own: vim25::types::UserSession = other.get(&manager, "currentSession").await;
    let keys = [own.key.as_str(), "nosuch"].map(str::to_owned);
    let fault = client.call(manager.terminate_session(&keys)).await;
    assert_eq!(fault.unwrap_err().fault().type_name(), "NotFound");
    let instance: Ref<mo::ServiceInstance> = Ref::new("ServiceInstance");
    other.call(instance.current_time()).await.unwrap();
    client
        .call(manager.terminate_session(&keys[..1]))
        .await
        .unwrap();
    let gone = other.call(instance.current_time()).await;
    assert!(gone.unwrap_err().fault().is::<NotAuthenticated>());
    simulator.shutdown().await;
}

#[tokio::test]
async fn faults_of_files_say_nothing_of_the_host() {
    let simulator = Simulator::builder().start().await.unwrap();
    let client = Client::login(&simulator).await;
    std::fs::write(simulator.datastore_directory().join("file"), b"x").unwrap();
    let browser: Ref<mo::HostDatastoreBrowser> = Ref::new("ha-host-datastorebrowser");
    let files = client.content.file_manager.clone().unwrap();
    let disks = client.content.virtual_disk_manager.clone().unwrap();
    let mut spec = vim25::types::FileBackedVirtualDiskSpec::default();
    spec.base.disk_type = "thin".into();
    spec.base.adapter_type = "lsiLogic".into();
    // The capacity is valid for a disk, but exceeds the file size limit of most file systems.
    spec.capacity_kb = 61 << 30;
    let large = client
        .run(disks.create_virtual_disk("[datastore1] large.vmdk", None, &Poly::new(spec)))
        .await;
    let found = [
        client
            .run(browser.search_datastore("[datastore1] file", None))
            .await
            .map(drop),
        client
            .run(files.delete_datastore_file("[datastore1] file/below", None))
            .await,
    ];
    for answer in found {
        let fault = answer.unwrap_err();
        assert!(fault.is::<FileNotFound>(), "{fault}");
        assert!(!fault.message().contains("os error"), "{fault}");
    }
    if let Err(fault) = large {
        assert!(!fault.message().contains("os error"), "{fault}");
    }
    simulator.shutdown().await;
}

#[tokio::test]
async fn a_change_that_fails_leaves_disks_as_they_were() {
    let simulator = Simulator::builder().start().await.unwrap();
    let client = Client::login(&simulator).await;
    std::fs::create_dir(simulator.datastore_directory().join("vch")).unwrap();
    let iso = simulator.datastore_directory().join("vch/bootstrap.iso");
    std::fs::write(iso, b"").unwrap();
    let vm = create(&client, &spec("a", &[].into())).await.unwrap();
    let config: vim25::types::VirtualMachineConfigInfo = client.get(&vm, "config").await;
    let disk = config
        .hardware
        .device
        .iter()
        .find(|device| device.is::<vim25::types::VirtualDisk>())
        .unwrap();
    let had: i64 = disk.node().get("capacityInBytes").unwrap().to().unwrap();
    let mut larger = disk.clone();
    larger
        .modify::<vim25::types::VirtualDisk>(|disk| {
            disk.capacity_in_bytes = Some(had * 2);
            disk.capacity_in_kb = had * 2 / 1_024;
        })
        .unwrap();
    let mut edit = VirtualDeviceConfigSpec::default();
    edit.operation = Some(VirtualDeviceConfigSpecOperation::Edit);
    edit.device = larger;
    let mut remove = VirtualDeviceConfigSpec::default();
    remove.operation = Some(VirtualDeviceConfigSpecOperation::Remove);
    remove.device = Poly::new(vim25::types::VirtualFloppy::default());
    let change = VirtualMachineConfigSpec {
        device_change: vec![Poly::new(edit), Poly::new(remove)],
        ..Default::default()
    };
    client.run(vm.reconfig_vm(&change)).await.unwrap_err();
    let file: String = disk.node().path("backing.fileName").unwrap().to().unwrap();
    let (_, relative) = file.split_once("] ").unwrap();
    let flat = relative.replace(".vmdk", "-flat.vmdk");
    let flat = simulator.datastore_directory().join(flat);
    if flat.exists() {
        assert_eq!(
            std::fs::metadata(flat).unwrap().len(),
            u64::try_from(had).unwrap()
        );
    }
    simulator.shutdown().await;
}

/// Copies a named pipe: the copy does not finish until something is written to the pipe.
#[cfg(unix)]
#[tokio::test]
async fn a_copy_that_takes_long_holds_nobody_up() {
    let simulator = Simulator::builder().start().await.unwrap();
    let client = Client::login(&simulator).await;
    let pipe = simulator.datastore_directory().join("pipe.bin");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    if !made.is_ok_and(|status| status.success()) {
        return;
    }
    let files = client.content.file_manager.clone().unwrap();
    let copy = files.copy_datastore_file("[datastore1] pipe.bin", "[datastore1] copy.bin");
    let task = client.call(copy.build()).await.unwrap();
    let instance: Ref<mo::ServiceInstance> = Ref::new("ServiceInstance");
    for _ in 0..20 {
        client.call(instance.current_time()).await.unwrap();
        create(&client, &bare(&format!("m{}", uuid())))
            .await
            .unwrap();
    }
    tokio::task::spawn_blocking(move || std::fs::write(pipe, b"content"))
        .await
        .unwrap()
        .unwrap();
    let info = client.finish(&task).await;
    assert_eq!(info.state, vim25::types::TaskInfoState::Success, "{info:?}");
    let copied = simulator.datastore_directory().join("copy.bin");
    assert_eq!(std::fs::read(copied).unwrap(), b"content");
    simulator.shutdown().await;
}

/// Returns a different number each time.
fn uuid() -> usize {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Methods of the API that the simulator lacks say so, and which they are.
#[tokio::test]
async fn a_method_that_is_not_implemented_names_itself() {
    let simulator = Simulator::builder().start().await.unwrap();
    let client = Client::login(&simulator).await;
    let vm = create(&client, &bare("a")).await.unwrap();
    let disk = ID { id: "1".into() };
    let fault = client.call(vm.detach_disk(&disk)).await;
    let fault = fault.unwrap_err().fault();
    assert!(fault.is::<NotImplemented>());
    let words = fault.to_string();
    assert!(
        words.contains("DetachDisk_Task of VirtualMachine"),
        "{words}"
    );
    // What only a vCenter has is not supported by a host, as on a real one.
    let folder: Ref<mo::Folder> = Ref::new("ha-folder-vm");
    let moved = client.call(folder.move_into_folder(&[vm.upcast()])).await;
    assert!(moved.unwrap_err().fault().is::<NotSupported>());
    let datacenter: Ref<mo::Datacenter> = Ref::new("ha-datacenter");
    let gone = client.call(datacenter.destroy()).await;
    assert!(gone.unwrap_err().fault().is::<NotSupported>());
    simulator.shutdown().await;
}

#[tokio::test]
async fn methods_cannot_be_disabled_on_a_host() {
    let simulator = Simulator::builder().start().await.unwrap();
    let client = Client::login(&simulator).await;
    let vm = create(&client, &bare("bare")).await.unwrap();
    let manager = client.content.authorization_manager.clone().unwrap();
    let disabled = DisabledMethodRequest {
        method: "Destroy_Task".into(),
        ..Default::default()
    };
    let call = manager.disable_methods(&[vm.upcast()], &[disabled], "owner", None);
    // Port layers do not ask again after this fault.
    let fault = client.call(call).await.unwrap_err().fault();
    assert!(fault.get::<NotSupported>().unwrap().is_some());
    simulator.shutdown().await;
}

#[tokio::test]
async fn what_is_not_implemented_says_so_by_its_name() {
    let simulator = Simulator::builder().start().await.unwrap();
    let client = Client::login(&simulator).await;
    let pool: Ref<mo::ResourcePool> = Ref::new("ha-root-pool");
    let app: Poly<ImportSpec> = Poly::new(VirtualAppImportSpec {
        name: "app".into(),
        ..Default::default()
    });
    let import = client.call(pool.import_vapp(&app, None, None)).await;
    let disks: Ref<mo::VirtualDiskManager> = client.content.virtual_disk_manager.clone().unwrap();
    let disk = "[datastore1] a/a.vmdk";
    let unmanaged = client.call(disks.import_unmanaged_snapshot(disk, None, "vvol"));
    let unmanaged = unmanaged.await;
    let released = client
        .call(disks.release_managed_snapshot(disk, None))
        .await;
    for (refused, name) in [
        (import.map(drop), "ImportVApp of a vApp"),
        (unmanaged, "ImportUnmanagedSnapshot"),
        (released, "ReleaseManagedSnapshot"),
    ] {
        let fault = refused.unwrap_err().fault();
        assert!(fault.is::<NotImplemented>(), "{name}: {fault}");
        assert!(fault.to_string().contains(name), "{name}: {fault}");
    }
    simulator.shutdown().await;
}
