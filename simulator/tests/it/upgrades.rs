//! Tests of upgrading the virtual hardware of machines.

use crate::client::Client;
use crate::client::container::{add, disk};
use crate::vcenter::{bare, typed};
use simulator::Simulator;
use vim25::types::{
    AlreadyUpgraded, InvalidPowerState, InvalidState, NoDiskFound, ParaVirtualSCSIController,
    VirtualMachineConfigSpec, VirtualSCSISharing,
};
use vim25::{Fault, Property, Ref, mo};

type Vm = Ref<mo::VirtualMachine>;

/// Returns the specification of a machine with a disk.
fn with_disk(name: &str, version: &str) -> VirtualMachineConfigSpec {
    let mut scsi = ParaVirtualSCSIController::default();
    scsi.key = -1;
    scsi.shared_bus = VirtualSCSISharing::NoSharing;
    VirtualMachineConfigSpec {
        version: Some(version.into()),
        device_change: vec![add(scsi, None), disk(-1, None)],
        ..bare(name)
    }
}

async fn create(client: &Client, spec: &VirtualMachineConfigSpec) -> Vm {
    let folder: Ref<mo::Folder> = typed(client, "DC0/vm").await;
    let pool: Ref<mo::ResourcePool> = typed(client, "DC0/host/DC0_H0/Resources").await;
    let made = client.run(folder.create_vm(spec, &pool, None)).await;
    made.unwrap()
}

async fn upgrade(client: &Client, vm: &Vm, version: Option<&str>) -> Result<(), Fault> {
    client.run(vm.upgrade_vm(version)).await
}

#[tokio::test]
async fn an_upgrade_changes_the_machine_and_its_file() {
    let simulator = Simulator::vcenter().start().await.unwrap();
    let client = Client::login(&simulator).await;
    let vm = create(&client, &with_disk("old", "vmx-09")).await;
    let file = simulator.datastore_directory().join("old/old.vmx");
    let before: String = client.get(&vm, "config.changeVersion").await;
    for (asked, shown, number) in [(Some("vmx-10"), "vmx-10", "10"), (None, "vmx-21", "21")] {
        upgrade(&client, &vm, asked).await.unwrap();
        for path in ["config.version", "summary.config.hwVersion"] {
            assert_eq!(client.get::<String>(&vm, path).await, shown, "{path}");
        }
        let text = std::fs::read_to_string(&file).unwrap();
        let line = format!("virtualHW.version = \"{number}\"");
        assert!(text.lines().any(|own| own == line), "{text}");
    }
    let after: String = client.get(&vm, "config.changeVersion").await;
    assert_ne!(before, after);
    simulator.shutdown().await;
}

#[tokio::test]
async fn a_machine_that_cannot_be_upgraded_is_not_changed() {
    let simulator = Simulator::vcenter().start().await.unwrap();
    let client = Client::login(&simulator).await;
    let vm = create(&client, &with_disk("old", "vmx-14")).await;
    for same in ["vmx-14", "vmx-13"] {
        let fault = upgrade(&client, &vm, Some(same)).await.unwrap_err();
        assert!(fault.is::<AlreadyUpgraded>(), "{same}: {fault}");
    }
    for wrong in ["vmx-99", "vmx-03", "newest"] {
        let fault = upgrade(&client, &vm, Some(wrong)).await.unwrap_err();
        assert!(fault.is::<InvalidState>(), "{wrong}: {fault}");
    }

    client.run(vm.power_on_vm(None)).await.unwrap();
    let on = upgrade(&client, &vm, None).await.unwrap_err();
    client.run(vm.suspend_vm()).await.unwrap();
    let suspended = upgrade(&client, &vm, None).await.unwrap_err();
    for fault in [on, suspended] {
        assert!(fault.is::<InvalidPowerState>(), "{fault}");
    }
    client.run(vm.power_off_vm()).await.unwrap();

    let host: Ref<mo::HostSystem> = client.get(&vm, "runtime.host").await;
    let maintenance = Property::new("runtime.inMaintenanceMode");
    simulator.set_property(&host, maintenance, &true).unwrap();
    let fault = upgrade(&client, &vm, None).await.unwrap_err();
    assert!(fault.is::<InvalidState>(), "{fault}");
    simulator.set_property(&host, maintenance, &false).unwrap();

    client.call(vm.mark_as_template()).await.unwrap();
    let fault = upgrade(&client, &vm, None).await.unwrap_err();
    assert!(fault.is::<InvalidState>(), "{fault}");
    assert_eq!(client.get::<String>(&vm, "config.version").await, "vmx-14");

    let mut diskless = with_disk("diskless", "vmx-14");
    diskless.device_change.clear();
    let vm = create(&client, &diskless).await;
    let fault = upgrade(&client, &vm, None).await.unwrap_err();
    assert!(fault.is::<NoDiskFound>(), "{fault}");
    simulator.shutdown().await;
}
