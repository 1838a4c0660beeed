//! Tests that the guest's tools respond only if a guest runs.

use crate::client::Client;
use simulator::Simulator;
use vim25::types::{ToolsUnavailable, VirtualMachineConfigSpec, VirtualMachineFileInfo};
use vim25::{Ref, mo};

#[tokio::test]
async fn a_machine_without_a_guest_has_no_tools() {
    let simulator = Simulator::builder().start().await.unwrap();
    let client = Client::login(&simulator).await;
    let folder: Ref<mo::Folder> = Ref::new("ha-folder-vm");
    let pool: Ref<mo::ResourcePool> = Ref::new("ha-root-pool");
    let spec = VirtualMachineConfigSpec {
        name: Some("a".into()),
        files: Some(Box::new(VirtualMachineFileInfo {
            vm_path_name: Some("[datastore1]".into()),
            ..Default::default()
        })),
        ..Default::default()
    };
    let vm: Ref<mo::VirtualMachine> = client
        .run(folder.create_vm(&spec, &pool, None))
        .await
        .unwrap();
    client.run(vm.power_on_vm(None)).await.unwrap();
    assert_eq!(
        client.get::<String>(&vm, "guest.toolsRunningStatus").await,
        "guestToolsNotRunning"
    );
    for refused in [
        client.call(vm.reboot_guest()).await,
        client.call(vm.shutdown_guest()).await,
    ] {
        assert!(refused.unwrap_err().fault().is::<ToolsUnavailable>());
    }
    client.run(vm.power_off_vm()).await.unwrap();
    simulator.shutdown().await;
}
