//! Tests of a vCenter: its inventory, and the placement of machines.

use crate::client::Client;
use crate::client::container::add;
use crate::inventory::{check, everything};
use simulator::{Simulator, Topology};
use vim25::types::{
    ClusterPowerOnVmResult, DVPortSetting, DVPortgroupConfigSpec,
    DistributedVirtualSwitchPortConnection, HostNotConnected, HostSystemConnectionState,
    InvalidArgument, NotSupported, ResourceConfigSpec, VMwareDVSPortSetting,
    VirtualEthernetCardDistributedVirtualPortBackingInfo, VirtualMachineConfigSpec,
    VirtualMachineConnectionState, VirtualMachineFileInfo, VirtualMachinePowerState,
    VirtualVmxnet3, VmwareDistributedVirtualSwitchVlanIdSpec,
};
use vim25::{AnyRef, Poly, Property, Ref, mo};

pub(crate) fn bare(name: &str) -> VirtualMachineConfigSpec {
    VirtualMachineConfigSpec {
        name: Some(name.into()),
        files: Some(Box::new(VirtualMachineFileInfo {
            vm_path_name: Some("[LocalDS_0]".into()),
            ..Default::default()
        })),
        ..Default::default()
    }
}

async fn at(client: &Client, path: &str) -> AnyRef {
    let index = client.content.search_index.clone().unwrap();
    let found = client.call(index.find_by_inventory_path(path)).await;
    let found = found.unwrap().unwrap_or_else(|| panic!("no {path}"));
    AnyRef::from_wire(found.type_name(), found.value())
}

pub(crate) async fn typed<T: vim25::ManagedObject>(client: &Client, path: &str) -> Ref<T> {
    Ref::new(at(client, path).await.value())
}

#[tokio::test]
async fn the_inventory_is_complete_and_named_as_vcsim_names_it() {
    let topology = Topology::vcenter().machines(2).pools(1).folders(1);
    let simulator = Simulator::builder()
        .topology(topology.autostart(true))
        .start()
        .await
        .unwrap();
    let client = Client::login(&simulator).await;
    assert_eq!(client.content.about.api_type, "VirtualCenter");
    let all = everything(&client, None).await;
    check(&all);
    let count = |ty: &str| all.iter().filter(|o| o.obj.type_name() == ty).count();
    assert_eq!(count("HostSystem"), 4);
    assert_eq!(count("VirtualMachine"), 6);
    assert_eq!(count("ResourcePool"), 3);
    assert_eq!(count("ClusterComputeResource"), 1);
    for path in [
        "DC0/host/DC0_H0/DC0_H0",
        "DC0/host/DC0_C0/DC0_C0_H2",
        "DC0/host/DC0_C0/Resources/DC0_C0_RP1",
        "DC0/vm/F0",
        "DC0/vm/DC0_H0_VM1",
        "DC0/vm/DC0_C0_RP0_VM0",
        "DC0/vm/DC0_C0_RP1_VM1",
        "DC0/network/VM Network",
        "DC0/network/DVS0",
        "DC0/network/DC0_DVPG0",
        "DC0/datastore/LocalDS_0",
    ] {
        at(&client, path).await;
    }
    let vm: Ref<mo::VirtualMachine> = typed(&client, "DC0/vm/DC0_H0_VM0").await;
    let state: VirtualMachinePowerState = client.get(&vm, "runtime.powerState").await;
    assert_eq!(state, VirtualMachinePowerState::PoweredOn);
    let group = at(&client, "DC0/network/DC0_DVPG0").await;
    let networks: Vec<AnyRef> = client.get(&vm, "network").await;
    assert_eq!(networks, std::slice::from_ref(&group));
    let machines: Vec<AnyRef> = client.get(&group, "vm").await;
    assert_eq!(machines.len(), 6);
    simulator.shutdown().await;
}

#[tokio::test]
async fn machines_are_placed_and_started_together() {
    let simulator = Simulator::vcenter().start().await.unwrap();
    let client = Client::login(&simulator).await;
    let folder: Ref<mo::Folder> = typed(&client, "DC0/vm").await;
    let pool: Ref<mo::ResourcePool> = typed(&client, "DC0/host/DC0_C0/Resources").await;
    let group = at(&client, "DC0/network/DC0_DVPG0").await;
    let switch: Ref<mo::DistributedVirtualSwitch> = typed(&client, "DC0/network/DVS0").await;
    let mut machines = Vec::new();
    let mut hosts = std::collections::BTreeSet::new();
    for name in ["a", "b", "c"] {
        let mut backing = VirtualEthernetCardDistributedVirtualPortBackingInfo::default();
        backing.port = DistributedVirtualSwitchPortConnection {
            switch_uuid: client
                .get(
                    &AnyRef::from_wire("VmwareDistributedVirtualSwitch", switch.value()),
                    "uuid",
                )
                .await,
            portgroup_key: Some(group.value().to_owned()),
            ..Default::default()
        };
        let mut card = VirtualVmxnet3::default();
        card.key = -1;
        card.backing = Some(Poly::new(backing));
        let mut spec = bare(name);
        spec.device_change.push(add(card, None));
        let vm: Ref<mo::VirtualMachine> = client
            .run(folder.create_vm(&spec, &pool, None))
            .await
            .unwrap();
        hosts.insert(client.get::<AnyRef>(&vm, "runtime.host").await);
        machines.push(vm);
    }
    // The machines are spread over the hosts of the cluster.
    assert_eq!(hosts.len(), 3);
    let datacenter: Ref<mo::Datacenter> = typed(&client, "DC0").await;
    let result: ClusterPowerOnVmResult = client
        .run(datacenter.power_on_multi_vm(&machines, &[]))
        .await
        .unwrap();
    assert_eq!(result.attempted.len(), 3);
    for attempted in result.attempted {
        client.finish(&attempted.task.unwrap()).await;
    }
    let again: ClusterPowerOnVmResult = client
        .run(datacenter.power_on_multi_vm(&machines, &[]))
        .await
        .unwrap();
    assert_eq!(again.not_attempted.len(), 3);
    simulator.shutdown().await;
}

#[tokio::test]
async fn distributed_port_groups_are_added_with_vlans_and_removed() {
    let topology = Topology::vcenter().machines(1);
    let simulator = Simulator::builder().topology(topology);
    let simulator = simulator.start().await.unwrap();
    let client = Client::login(&simulator).await;
    let before = everything(&client, None).await;
    let switch: Ref<mo::DistributedVirtualSwitch> = typed(&client, "DC0/network/DVS0").await;
    let spec = |name: &str, vlan| {
        let mut id = VmwareDistributedVirtualSwitchVlanIdSpec::default();
        id.vlan_id = vlan;
        let mut setting = VMwareDVSPortSetting::default();
        setting.vlan = Some(Poly::new(id));
        DVPortgroupConfigSpec {
            name: Some(name.to_owned()),
            type_: Some("earlyBinding".to_owned()),
            default_port_config: Some(Poly::new(setting)),
            ..Default::default()
        }
    };
    let add = |name: &str, vlan| switch.add_dv_portgroup(&[spec(name, vlan)]);
    client.run(add("blue", 100)).await.unwrap();
    let blue = at(&client, "DC0/network/blue").await;
    let setting: Poly<DVPortSetting> = client.get(&blue, "config.defaultPortConfig").await;
    let setting = setting.get::<VMwareDVSPortSetting>().unwrap().unwrap();
    let vlan = setting.vlan.unwrap();
    let vlan = vlan.get::<VmwareDistributedVirtualSwitchVlanIdSpec>();
    assert_eq!(vlan.unwrap().unwrap().vlan_id, 100);
    check(&everything(&client, None).await);
    client.run(add("blue", 101)).await.unwrap_err();
    client.run(add("green", 4095)).await.unwrap_err();

    let group: Ref<mo::DistributedVirtualPortgroup> = Ref::new(blue.value());
    client.run(group.destroy()).await.unwrap();
    let after = everything(&client, None).await;
    check(&after);
    assert_eq!(after.len(), before.len());
    // Machines are connected to this one.
    let used: Ref<mo::DistributedVirtualPortgroup> = typed(&client, "DC0/network/DC0_DVPG0").await;
    client.run(used.destroy()).await.unwrap_err();
    check(&everything(&client, None).await);
    simulator.shutdown().await;
}

#[tokio::test]
async fn a_host_that_does_not_respond_is_not_used() {
    let simulator = Simulator::vcenter().start().await.unwrap();
    let client = Client::login(&simulator).await;
    let folder: Ref<mo::Folder> = typed(&client, "DC0/vm").await;
    let pool: Ref<mo::ResourcePool> = typed(&client, "DC0/host/DC0_C0/Resources").await;
    let vm: Ref<mo::VirtualMachine> = client
        .run(folder.create_vm(&bare("a"), &pool, None))
        .await
        .unwrap();
    let host: Ref<mo::HostSystem> = client.get(&vm, "runtime.host").await;
    let name: String = client.get(&host, "name").await;
    simulator.set_host_responding(&name, false).unwrap();

    let state: HostSystemConnectionState = client.get(&host, "runtime.connectionState").await;
    assert_eq!(state, HostSystemConnectionState::NotResponding);
    for path in ["runtime.connectionState", "summary.runtime.connectionState"] {
        let state: VirtualMachineConnectionState = client.get(&vm, path).await;
        assert_eq!(state, VirtualMachineConnectionState::Disconnected);
    }
    let refused = client.call(vm.power_on_vm(None)).await;
    let fault = refused.unwrap_err().fault();
    assert!(fault.is::<HostNotConnected>(), "{fault}");
    let datacenter: Ref<mo::Datacenter> = typed(&client, "DC0").await;
    let result: ClusterPowerOnVmResult = client
        .run(datacenter.power_on_multi_vm(std::slice::from_ref(&vm), &[]))
        .await
        .unwrap();
    assert_eq!(result.not_attempted.len(), 1);
    for name in ["b", "c", "d"] {
        let other: Ref<mo::VirtualMachine> = client
            .run(folder.create_vm(&bare(name), &pool, None))
            .await
            .unwrap();
        let chosen: Ref<mo::HostSystem> = client.get(&other, "runtime.host").await;
        assert_ne!(chosen, host);
    }

    simulator.set_host_responding(&name, true).unwrap();
    let state: VirtualMachineConnectionState = client.get(&vm, "runtime.connectionState").await;
    assert_eq!(state, VirtualMachineConnectionState::Connected);
    client.run(vm.power_on_vm(None)).await.unwrap();
    let unknown = simulator.set_host_responding("nosuch", false).unwrap_err();
    assert!(unknown.to_string().contains("`nosuch`"), "{unknown}");
    simulator.shutdown().await;
}

#[tokio::test]
async fn without_drs_somebody_has_to_choose_a_host() {
    let topology = Topology::vcenter().drs(false);
    let simulator = Simulator::builder()
        .topology(topology)
        .start()
        .await
        .unwrap();
    let client = Client::login(&simulator).await;
    let folder: Ref<mo::Folder> = typed(&client, "DC0/vm").await;
    let pool: Ref<mo::ResourcePool> = typed(&client, "DC0/host/DC0_C0/Resources").await;
    let refused = client.call(folder.create_vm(&bare("a"), &pool, None)).await;
    let fault = refused.unwrap_err().fault();
    assert!(fault.is::<InvalidArgument>(), "{fault}");
    let host: Ref<mo::HostSystem> = typed(&client, "DC0/host/DC0_C0/DC0_C0_H1").await;
    let other: Ref<mo::HostSystem> = typed(&client, "DC0/host/DC0_H0/DC0_H0").await;
    let refused = client
        .call(folder.create_vm(&bare("a"), &pool, Some(&other)))
        .await;
    assert!(refused.unwrap_err().fault().is::<InvalidArgument>());
    let vm: Ref<mo::VirtualMachine> = client
        .run(folder.create_vm(&bare("a"), &pool, Some(&host)))
        .await
        .unwrap();
    let on: AnyRef = client.get(&vm, "runtime.host").await;
    assert_eq!(on.value(), host.value());
    // Such a cluster has no pools but its root pool.
    let spec = ResourceConfigSpec::default();
    let create = || client.call(pool.create_resource_pool("inner", &spec));
    let refused = create().await.unwrap_err().fault();
    assert!(refused.is::<NotSupported>(), "{refused}");
    simulator.set_drs("DC0_C0", true).unwrap();
    create().await.unwrap();
    simulator.shutdown().await;
}

#[tokio::test]
async fn properties_can_be_set_from_outside() {
    let simulator = Simulator::vcenter().start().await.unwrap();
    let client = Client::login(&simulator).await;
    let host: Ref<mo::HostSystem> = typed(&client, "DC0/host/DC0_C0/DC0_C0_H1").await;
    let set = |host: &Ref<mo::HostSystem>, path: &'static str, text: &str| {
        let property = Property::<mo::HostSystem, String>::new(path);
        simulator.set_property(host, property, &text.to_owned())
    };
    for path in ["name", "summary.managementServerIp"] {
        set(&host, path, "10.0.0.1").unwrap();
        let read: String = client.get(&host, path).await;
        assert_eq!(read, "10.0.0.1");
    }
    let refused = set(&host, "summary.nosuch", "a").unwrap_err();
    assert_eq!(refused.reason, "its type has no such property");
    assert_eq!(refused.object, format!("HostSystem:{}", host.value()));
    let nobody = Ref::new("host-0");
    set(&nobody, "name", "a").unwrap_err();
    simulator.shutdown().await;
}

#[tokio::test]
async fn folders_and_templates_hold_machines() {
    let simulator = Simulator::vcenter().start().await.unwrap();
    let client = Client::login(&simulator).await;
    let folder: Ref<mo::Folder> = typed(&client, "DC0/vm").await;
    let pool: Ref<mo::ResourcePool> = typed(&client, "DC0/host/DC0_C0/Resources").await;
    let inner = client.call(folder.create_folder("inner")).await.unwrap();
    let vm: Ref<mo::VirtualMachine> = client
        .run(folder.create_vm(&bare("a"), &pool, None))
        .await
        .unwrap();
    client
        .run(inner.move_into_folder(&[vm.upcast()]))
        .await
        .unwrap();
    assert_eq!(at(&client, "DC0/vm/inner/a").await.value(), vm.value());
    let busy = client.run(inner.destroy()).await.unwrap_err();
    assert_eq!(busy.type_name(), "ResourceInUse");
    // A template has no pool and cannot be powered on; it can be converted back to a machine.
    client.call(vm.mark_as_template()).await.unwrap();
    assert!(client.get::<bool>(&vm, "config.template").await);
    assert!(
        client
            .try_get::<AnyRef>(&vm, "resourcePool")
            .await
            .is_none()
    );
    client.run(vm.power_on_vm(None)).await.unwrap_err();
    client
        .call(vm.mark_as_virtual_machine(&pool, None))
        .await
        .unwrap();
    client.run(vm.power_on_vm(None)).await.unwrap();
    client.run(vm.power_off_vm()).await.unwrap();
    client.run(vm.destroy()).await.unwrap();
    client.run(inner.destroy()).await.unwrap();
    simulator.shutdown().await;
}
