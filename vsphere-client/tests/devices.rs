//! The most devices that a machine can have, and what happens beyond.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use simulator::{Simulator, Topology};
use vim25::types::{
    InvalidDeviceSpec, ParaVirtualSCSIController, TooManyDevices, VirtualController, VirtualDevice,
    VirtualDeviceConfigSpec, VirtualDeviceConfigSpecFileOperation,
    VirtualDeviceConfigSpecOperation, VirtualDisk, VirtualDiskFlatVer2BackingInfo, VirtualDiskMode,
    VirtualEthernetCard, VirtualEthernetCardNetworkBackingInfo, VirtualMachineConfigSpec,
    VirtualPCIController, VirtualSCSIController, VirtualSCSISharing,
};
use vim25::{DataObject, IsA, Poly, Ref, mo, props};
use vsphere_client::device::{DeviceList, NewDisk, nic};
use vsphere_client::{Client, Error, Result};

mod connected;

async fn start() -> (Simulator, Client, Ref<mo::VirtualMachine>) {
    let topology = Topology::esx().machines(1).autostart(false);
    let simulator = Simulator::builder().topology(topology);
    let simulator = simulator.start().await.unwrap();
    let client = connected::client(&simulator).await;
    let found = client
        .retrieve::<mo::VirtualMachine>()
        .property(props::virtual_machine::NAME)
        .within(&client.service_content().root_folder)
        .collect();
    let vm = found.await.unwrap()[0].object().clone();
    (simulator, client, vm)
}

/// Sends a device without the checks of a [`DeviceList`].
async fn add_unchecked<T>(client: &Client, vm: &Ref<mo::VirtualMachine>, device: T) -> Result<()>
where
    T: DataObject + IsA<VirtualDevice>,
{
    let device = Poly::new(device);
    let creates = device.is::<VirtualDisk>();
    let change = VirtualDeviceConfigSpec {
        operation: Some(VirtualDeviceConfigSpecOperation::Add),
        file_operation: creates.then_some(VirtualDeviceConfigSpecFileOperation::Create),
        device,
        ..VirtualDeviceConfigSpec::default()
    };
    let spec = VirtualMachineConfigSpec {
        device_change: vec![Poly::new(change)],
        ..VirtualMachineConfigSpec::default()
    };
    client.run(vm.reconfig_vm(&spec)).await
}

fn card() -> impl DataObject + IsA<VirtualDevice> {
    let mut backing = VirtualEthernetCardNetworkBackingInfo::default();
    backing.base.device_name = "VM Network".into();
    nic(backing)
}

fn cards(devices: &DeviceList) -> Vec<(Option<i32>, Option<i32>)> {
    let cards = devices.of_type::<VirtualEthernetCard>();
    let mut slots: Vec<_> = cards
        .map(|card| (card.controller_key, card.unit_number))
        .collect();
    slots.sort_unstable();
    slots.dedup();
    slots
}

#[tokio::test]
async fn a_machine_has_ten_network_cards_on_ten_slots_and_no_eleventh() {
    let (simulator, client, vm) = start().await;
    let machine = client.machine(&vm);
    let edit = machine.edit_devices(|devices| {
        while devices.of_type::<VirtualEthernetCard>().count() < 10 {
            devices.add(card())?;
        }
        Ok(())
    });
    edit.await.unwrap();
    let devices = machine.devices().await.unwrap();
    let pci = devices
        .of_type::<VirtualPCIController>()
        .next()
        .unwrap()
        .key;
    let slots = cards(&devices);
    assert_eq!(slots.len(), 10, "{slots:?}");
    assert!(
        slots
            .iter()
            .all(|(on, unit)| *on == Some(pci) && unit.is_some())
    );

    let before = simulator.script().calls();
    let more = machine.edit_devices(|devices| devices.add(card()).map(drop));
    let error = more.await.unwrap_err();
    assert!(matches!(error, Error::Config { .. }), "{error}");
    assert!(error.to_string().contains("at most 10"), "{error}");
    let reconfigured = |calls: std::collections::BTreeMap<String, u64>| calls["ReconfigVM_Task"];
    let sent = reconfigured(simulator.script().calls());
    assert_eq!(sent, reconfigured(before), "nothing is sent");

    let error = add_unchecked(&client, &vm, card()).await.unwrap_err();
    assert!(error.is_fault::<TooManyDevices>(), "{error}");
    assert_eq!(cards(&machine.devices().await.unwrap()), slots);
    client.close().await.unwrap();
    simulator.shutdown().await;
}

#[tokio::test]
async fn a_machine_has_sixty_disks_on_four_controllers_and_no_sixty_first() {
    let (simulator, client, vm) = start().await;
    let machine = client.machine(&vm);
    let count = |devices: &DeviceList| {
        let scsi: Vec<i32> = devices
            .of_type::<VirtualSCSIController>()
            .map(|controller| controller.key)
            .collect();
        let disks = devices.of_type::<VirtualDisk>();
        disks
            .filter(|disk| scsi.iter().any(|key| disk.controller_key == Some(*key)))
            .count()
    };
    let edit = machine.edit_devices(|devices| {
        while count(devices) < 60 {
            devices.add_disk(NewDisk::new(1 << 20))?;
        }
        Ok(())
    });
    edit.await.unwrap();
    let devices = machine.devices().await.unwrap();
    assert_eq!(count(&devices), 60);
    let mut units: Vec<_> = devices
        .of_type::<VirtualDisk>()
        .map(|disk| (disk.controller_key, disk.unit_number))
        .collect();
    let all = units.len();
    units.sort_unstable();
    units.dedup();
    assert_eq!(units.len(), all, "no two disks share a unit");
    assert!(units.iter().all(|(_, unit)| *unit != Some(7)));
    let buses: Vec<i32> = devices
        .of_type::<VirtualSCSIController>()
        .map(|controller| controller.bus_number)
        .collect();
    assert_eq!(buses, [0, 1, 2, 3]);

    let more = machine.edit_devices(|devices| devices.add_disk(NewDisk::new(1)).map(drop));
    let error = more.await.unwrap_err();
    assert!(matches!(error, Error::Config { .. }), "{error}");
    assert!(error.to_string().contains("SCSI"), "{error}");

    let controller = units[0].0;
    let backing = VirtualDiskFlatVer2BackingInfo {
        disk_mode: VirtualDiskMode::Persistent.as_str().to_owned(),
        ..VirtualDiskFlatVer2BackingInfo::default()
    };
    for unit in [None, Some(7), Some(16)] {
        let disk = VirtualDisk {
            base: VirtualDevice {
                key: -1,
                controller_key: controller,
                unit_number: unit,
                backing: Some(Poly::new(backing.clone())),
                ..VirtualDevice::default()
            },
            capacity_in_kb: 1024,
            ..VirtualDisk::default()
        };
        let error = add_unchecked(&client, &vm, disk).await.unwrap_err();
        assert!(error.is_fault::<InvalidDeviceSpec>(), "{unit:?}: {error}");
    }
    let fifth = ParaVirtualSCSIController {
        base: VirtualSCSIController {
            base: VirtualController {
                bus_number: 4,
                ..VirtualController::default()
            },
            shared_bus: VirtualSCSISharing::NoSharing,
            ..VirtualSCSIController::default()
        },
    };
    let error = add_unchecked(&client, &vm, fifth).await.unwrap_err();
    assert!(error.is_fault::<InvalidDeviceSpec>(), "{error}");
    assert_eq!(count(&machine.devices().await.unwrap()), 60);
    client.close().await.unwrap();
    simulator.shutdown().await;
}
