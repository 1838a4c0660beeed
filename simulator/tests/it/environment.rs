//! Tests of the environment browser: what it says that machines can have, they can have.

use crate::client::Client;
use crate::client::container::add;
use crate::vcenter::{bare, typed};
use simulator::{Simulator, Topology};
use vim25::types::{
    DistributedVirtualSwitchPortConnection, EnvironmentBrowserConfigOptionQuerySpec,
    InvalidArgument, VirtualDevice, VirtualEthernetCardDistributedVirtualPortBackingInfo,
    VirtualMachineConfigSpec, VirtualVmxnet3,
};
use vim25::{Fault, Poly, Ref, mo};

type Browser = Ref<mo::EnvironmentBrowser>;
type Vm = Ref<mo::VirtualMachine>;

/// Starts a vCenter with port groups of a distributed switch; returns the browser of its cluster, too.
async fn start() -> (Simulator, Client, Browser) {
    let simulator = Simulator::builder().topology(Topology::vcenter());
    let simulator = simulator.machines_per_host(500).start().await.unwrap();
    let client = Client::login(&simulator).await;
    let cluster: Ref<mo::ClusterComputeResource> = typed(&client, "DC0/host/DC0_C0").await;
    let browser = client.get(&cluster, "environmentBrowser").await;
    (simulator, client, browser)
}

async fn create(client: &Client, spec: &VirtualMachineConfigSpec) -> Result<Vm, Fault> {
    let folder: Ref<mo::Folder> = typed(client, "DC0/vm").await;
    let pool: Ref<mo::ResourcePool> = typed(client, "DC0/host/DC0_C0/Resources").await;
    client.run(folder.create_vm(spec, &pool, None)).await
}

/// Returns the types and keys of devices.
fn keys(devices: &[Poly<VirtualDevice>]) -> Vec<(String, i32)> {
    let key = |device: &Poly<VirtualDevice>| {
        let base = device.base::<VirtualDevice>().unwrap().unwrap();
        (device.type_name(), base.key)
    };
    devices.iter().map(key).collect()
}

#[tokio::test]
async fn machines_can_have_each_described_version() {
    let (simulator, client, browser) = start().await;
    let all = client.call(browser.query_config_option_descriptor()).await;
    let all = all.unwrap();
    let defaults = all.iter().filter(|one| one.default_config_option);
    let defaults: Vec<&str> = defaults.map(|one| one.key.as_str()).collect();
    assert_eq!(defaults, ["vmx-21"]);
    for one in &all {
        assert!(one.create_supported && one.run_supported && one.upgrade_supported);
        assert_eq!(one.host.len(), 3);
        let mut spec = bare(&one.key);
        spec.version = Some(one.key.clone());
        let vm = create(&client, &spec).await.unwrap();
        assert_eq!(client.get::<String>(&vm, "config.version").await, one.key);
        let option = client.call(browser.query_config_option(Some(&one.key), None));
        let option = option.await.unwrap().unwrap();
        assert_eq!(option.version, one.key);
        assert_eq!(
            format!("vmx-{:02}", option.hardware_options.hw_version),
            one.key
        );
    }
    for unknown in ["vmx-03", "vmx-99", "newest"] {
        let mut spec = bare("wrong");
        spec.version = Some(unknown.into());
        let fault = create(&client, &spec).await.unwrap_err();
        assert!(fault.is::<InvalidArgument>(), "{unknown}: {fault}");
        let option = client.call(browser.query_config_option(Some(unknown), None));
        assert!(option.await.unwrap().is_none(), "{unknown}");
    }
    simulator.shutdown().await;
}

#[tokio::test]
async fn the_default_option_is_what_a_machine_gets_that_asks_for_nothing() {
    let (simulator, client, browser) = start().await;
    let vm = create(&client, &bare("plain")).await.unwrap();
    assert_eq!(
        client.get::<Browser>(&vm, "environmentBrowser").await,
        browser
    );
    let option = client.call(browser.query_config_option(None, None)).await;
    let option = option.unwrap().unwrap();
    assert_eq!(
        client.get::<String>(&vm, "config.version").await,
        option.version
    );
    let guest: String = client.get(&vm, "config.guestId").await;
    let default = usize::try_from(option.guest_os_default_index).unwrap();
    assert_eq!(option.guest_os_descriptor[default].id, guest);
    let devices: Vec<Poly<VirtualDevice>> = client.get(&vm, "config.hardware.device").await;
    assert_eq!(keys(&option.default_device), keys(&devices));

    let memory = option.hardware_options.memory_mb;
    let size: i32 = client.get(&vm, "config.hardware.memoryMB").await;
    assert_eq!(i64::from(size), memory.default_value);
    let most = *option.hardware_options.num_cpu.last().unwrap();
    for (number, (cpus, size), fits) in [
        (0, (1, memory.min), true),
        (1, (most, memory.max), true),
        (2, (most + 1, memory.min), false),
        (3, (1, memory.max + memory.min), false),
        (4, (1, memory.min - 1), false),
    ] {
        let mut spec = bare(&format!("sized{number}"));
        (spec.num_cpus, spec.memory_mb) = (Some(cpus), Some(size));
        assert_eq!(create(&client, &spec).await.is_ok(), fits, "{cpus} {size}");
    }
    simulator.shutdown().await;
}

#[tokio::test]
async fn guests_are_filtered_by_their_ids() {
    let (simulator, client, browser) = start().await;
    let ask = |ids: &[&str]| EnvironmentBrowserConfigOptionQuerySpec {
        guest_id: ids.iter().map(|id| (*id).to_owned()).collect(),
        ..Default::default()
    };
    let guests = async |spec: Option<&EnvironmentBrowserConfigOptionQuerySpec>| {
        let option = client.call(browser.query_config_option_ex(spec)).await;
        option.unwrap().unwrap().guest_os_descriptor
    };
    let all = guests(None).await;
    for guest in all.iter().step_by(16) {
        let mut spec = bare(&guest.id);
        spec.guest_id = Some(guest.id.clone());
        let vm = create(&client, &spec).await.unwrap();
        let name: String = client.get(&vm, "config.guestFullName").await;
        assert_eq!(name, guest.full_name);
    }
    let some = guests(Some(&ask(&["ubuntu64Guest", "bogusGuest"]))).await;
    let [ubuntu] = some.as_slice() else {
        panic!("{} guests", some.len());
    };
    assert_eq!(ubuntu.family, "linuxGuest");
    assert_eq!(ubuntu.full_name, "Ubuntu Linux (64-bit)");
    // The reference says that all are listed if none matches.
    assert_eq!(guests(Some(&ask(&["bogusGuest"]))).await.len(), all.len());
    simulator.shutdown().await;
}

#[tokio::test]
async fn machines_can_be_connected_to_the_target() {
    let (simulator, client, browser) = start().await;
    let target = client.call(browser.query_config_target(None)).await;
    let target = target.unwrap().unwrap();
    assert!(target.num_cpus > 0 && target.max_mem_mb_optimal_perf > 0);
    let [store] = target.datastore.as_slice() else {
        panic!("{} datastores", target.datastore.len());
    };
    assert_eq!(
        (store.name.as_str(), store.mode.as_str()),
        ("LocalDS_0", "readWrite")
    );
    assert!(store.datastore.accessible && store.max_file_size > 0);
    let names: Vec<&str> = target.network.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["VM Network"]);
    let group = &target.distributed_virtual_portgroup[0];
    assert_eq!(group.portgroup_name, "DC0_DVPG0");
    assert_eq!(target.distributed_virtual_switch.len(), 1);
    let mut backing = VirtualEthernetCardDistributedVirtualPortBackingInfo::default();
    backing.port = DistributedVirtualSwitchPortConnection {
        switch_uuid: group.switch_uuid.clone(),
        portgroup_key: Some(group.portgroup_key.clone()),
        ..Default::default()
    };
    let mut card = VirtualVmxnet3::default();
    card.key = -1;
    card.backing = Some(Poly::new(backing));
    let mut spec = bare("connected");
    spec.device_change = vec![add(card, None)];
    let vm = create(&client, &spec).await.unwrap();
    let networks: Vec<Ref<mo::Network>> = client.get(&vm, "network").await;
    assert_eq!(networks[0].value(), group.portgroup.value());
    simulator.shutdown().await;
}

#[tokio::test]
async fn a_query_is_about_the_hosts_of_its_compute_resource() {
    let (simulator, client, browser) = start().await;
    let own: Ref<mo::HostSystem> = typed(&client, "DC0/host/DC0_C0/DC0_C0_H1").await;
    let other: Ref<mo::HostSystem> = typed(&client, "DC0/host/DC0_H0/DC0_H0").await;
    for (host, hosts) in [(None, 3), (Some(&own), 1)] {
        let found = client.call(browser.query_target_capabilities(host)).await;
        let found = found.unwrap().unwrap();
        assert_eq!(found.max_registered_vms, Some(500));
        let target = client.call(browser.query_config_target(host)).await;
        let target = target.unwrap().unwrap();
        assert_eq!(target.num_cpu_cores, 8 * hosts);
        assert_eq!(target.max_cpus_per_host, Some(8));
        let option = client.call(browser.query_config_option(None, host)).await;
        assert!(option.unwrap().is_some());
    }
    let spec = EnvironmentBrowserConfigOptionQuerySpec {
        host: Some(other.clone()),
        ..Default::default()
    };
    let other = Some(&other);
    let (option, ex) = (
        client.call(browser.query_config_option(None, other)).await,
        client
            .call(browser.query_config_option_ex(Some(&spec)))
            .await,
    );
    let target = client.call(browser.query_config_target(other)).await;
    let capabilities = client.call(browser.query_target_capabilities(other));
    for refused in [
        option.map(drop),
        ex.map(drop),
        target.map(drop),
        capabilities.await.map(drop),
    ] {
        let fault = refused.unwrap_err().fault();
        assert!(fault.is::<InvalidArgument>(), "{fault}");
    }
    simulator.shutdown().await;
}
