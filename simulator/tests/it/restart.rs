//! Tests of restarting a host: another simulator on the same directory.

use std::path::Path;

use simulator::Simulator;
use vim25::types::{
    HostNetworkInfo, HostPortGroupSpec, HostVirtualSwitchSpec, ResourceAllocationInfo,
    ResourceConfigSpec, VirtualEthernetCardNetworkBackingInfo, VirtualMachineConfigInfo,
    VirtualMachinePowerState, VirtualSerialPort, VirtualSerialPortFileBackingInfo, VirtualVmxnet3,
};
use vim25::{Poly, Ref, mo};

use crate::client::Client;
use crate::client::container::{add, disk, extra, options, spec};

async fn start(directory: &Path) -> (Simulator, Client) {
    let builder = Simulator::builder().datastore_directory(directory);
    let simulator = builder.start().await.unwrap();
    let client = Client::login(&simulator).await;
    (simulator, client)
}

fn pool_spec() -> ResourceConfigSpec {
    ResourceConfigSpec {
        cpu_allocation: ResourceAllocationInfo {
            reservation: Some(100),
            limit: Some(500),
            ..Default::default()
        },
        ..Default::default()
    }
}

#[tokio::test]
async fn a_host_is_found_again_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let (simulator, client) = start(directory.path()).await;
    std::fs::create_dir(directory.path().join("vch")).unwrap();
    std::fs::write(directory.path().join("vch/bootstrap.iso"), b"iso").unwrap();
    let network: Ref<mo::HostNetworkSystem> = Ref::new("networkSystem");
    let switch = HostVirtualSwitchSpec {
        num_ports: 24,
        ..Default::default()
    };
    client
        .call(network.add_virtual_switch("bridge", Some(&switch)))
        .await
        .unwrap();
    let group = HostPortGroupSpec {
        name: "containers".into(),
        vlan_id: 7,
        vswitch_name: "bridge".into(),
        ..Default::default()
    };
    client.call(network.add_port_group(&group)).await.unwrap();
    let root: Ref<mo::ResourcePool> = Ref::new("ha-root-pool");
    let outer = root.create_resource_pool("outer", &pool_spec());
    let outer = client.call(outer).await.unwrap();
    let inner = outer.create_resource_pool("inner", &pool_spec());
    let inner = client.call(inner).await.unwrap();

    let mut backing = VirtualEthernetCardNetworkBackingInfo::default();
    backing.device_name = "containers".into();
    let mut nic = VirtualVmxnet3::default();
    nic.key = -4;
    nic.backing = Some(Poly::new(backing));
    let mut backing = VirtualSerialPortFileBackingInfo::default();
    backing.file_name = "[datastore1] child/output.log".into();
    let mut port = VirtualSerialPort::default();
    port.key = -6;
    port.backing = Some(Poly::new(backing));
    let folder: Ref<mo::Folder> = Ref::new("ha-folder-vm");
    let parent = folder.create_vm(&spec("parent", &[].into()), &root, None);
    let parent = client.run(parent).await.unwrap();
    let keys = [("guestinfo.kept".to_owned(), "yes".to_owned())].into();
    let mut child = spec("child", &keys);
    child.device_change[0] = disk(-1, Some("[datastore1] parent/parent.vmdk"));
    child
        .device_change
        .extend([add(nic, None), add(port, None)]);
    let child = client
        .run(folder.create_vm(&child, &inner, None))
        .await
        .unwrap();
    client.run(child.power_on_vm(None)).await.unwrap();
    let before: VirtualMachineConfigInfo = client.get(&child, "config").await;
    let networks: HostNetworkInfo = client.get(&network, "networkInfo").await;
    let thumbprint = simulator.thumbprint().to_owned();
    let host: Ref<mo::HostSystem> = Ref::new("ha-host");
    let uuid: String = client.get(&host, "hardware.systemInfo.uuid").await;
    let stores: Vec<Ref<mo::Datastore>> = client.get(&host, "datastore").await;
    simulator.shutdown().await;

    let (simulator, client) = start(directory.path()).await;
    assert_eq!(simulator.thumbprint(), thumbprint);
    assert_eq!(
        client
            .get::<String>(&host, "hardware.systemInfo.uuid")
            .await,
        uuid
    );
    assert_eq!(
        client
            .get::<Vec<Ref<mo::Datastore>>>(&host, "datastore")
            .await,
        stores
    );
    let again: HostNetworkInfo = client.get(&network, "networkInfo").await;
    assert_eq!(again.vswitch, networks.vswitch);
    assert_eq!(again.portgroup, networks.portgroup);
    assert_eq!(client.get::<String>(&inner, "name").await, "inner");
    let config: ResourceConfigSpec = client.get(&inner, "config").await;
    assert_eq!(config.cpu_allocation.limit, Some(500));
    assert_eq!(
        client.get::<Ref<mo::ResourcePool>>(&inner, "parent").await,
        outer
    );
    assert_eq!(
        client
            .get::<Ref<mo::ResourcePool>>(&child, "resourcePool")
            .await,
        inner
    );

    // The machine was on and is now off; nothing else has changed.
    let state: VirtualMachinePowerState = client.get(&child, "runtime.powerState").await;
    assert_eq!(state, VirtualMachinePowerState::PoweredOff);
    let after: VirtualMachineConfigInfo = client.get(&child, "config").await;
    let devices = |config: &VirtualMachineConfigInfo| {
        let mut devices = config.hardware.device.clone();
        devices.sort_by_key(|device| device.node().get("key").and_then(|key| key.as_i64()));
        devices
            .iter()
            .map(|device| {
                let text = |path| device.node().path(path).map(|node| format!("{node:?}"));
                (
                    device.type_name(),
                    text("key"),
                    text("backing"),
                    text("macAddress"),
                )
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(devices(&before), devices(&after));
    assert_eq!(before.uuid, after.uuid);
    assert_eq!(extra(&after, "guestinfo.kept").as_deref(), Some("yes"));
    assert_eq!(client.get::<String>(&parent, "name").await, "parent");
    // New objects have new ids, and existing objects can be used.
    let new = folder.create_vm(&spec("new", &[].into()), &root, None);
    let new = client.run(new).await.unwrap();
    assert!(new != parent && new != child, "{new}");
    let change = vim25::types::VirtualMachineConfigSpec {
        extra_config: options(&[("guestinfo.kept".to_owned(), String::new())].into()),
        ..Default::default()
    };
    client.run(child.reconfig_vm(&change)).await.unwrap();
    client.run(child.power_on_vm(None)).await.unwrap();
    // Clients cannot read the files in which the host persists its state.
    for path in [".vsphere-simulator/rui.key", "./.vsphere-simulator/rui.key"] {
        let request = client.http().get(client.file_url(path));
        let answer = request
            .basic_auth("root", Some("vmware"))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 400);
    }
    simulator.shutdown().await;
    // A destroyed machine is not restored, and neither is a machine whose files are missing.
    let (simulator, client) = start(directory.path()).await;
    client.run(new.destroy()).await.unwrap();
    simulator.shutdown().await;
    std::fs::remove_dir_all(directory.path().join("parent")).unwrap();
    let (simulator, client) = start(directory.path()).await;
    let machines: Vec<Ref<mo::VirtualMachine>> = client.get(&root, "vm").await;
    assert_eq!(machines, []);
    assert_eq!(
        client.try_get::<String>(&child, "name").await.as_deref(),
        Some("child")
    );
    simulator.shutdown().await;
}

#[tokio::test]
async fn an_inventory_that_cannot_be_read_is_not_overwritten() {
    let directory = tempfile::tempdir().unwrap();
    let (simulator, _) = start(directory.path()).await;
    simulator.shutdown().await;
    let file = directory.path().join(".vsphere-simulator/inventory.json");
    std::fs::write(&file, b"{").unwrap();
    let builder = Simulator::builder().datastore_directory(directory.path());
    assert!(builder.start().await.is_err());
    assert_eq!(std::fs::read(&file).unwrap(), b"{");
}
