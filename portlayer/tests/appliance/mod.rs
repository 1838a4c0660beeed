//! The appliance of a host, as other programs see it.

use portlayer::vsphere::{ContainerPolicy, Dialect};
use simulator::{Platform, Simulator, Topology};
use vim25::types::MethodDisabled;
use vim25::{Ref, mo, props};

use crate::{Endpoint, spec};

async fn appliance(endpoint: &Endpoint) -> Option<Ref<mo::VirtualMachine>> {
    let machines = endpoint.client.retrieve::<mo::VirtualMachine>();
    let machines = machines
        .property(props::virtual_machine::NAME)
        .within(&endpoint.client.service_content().root_folder)
        .collect()
        .await
        .unwrap();
    let is_it = |name: Option<String>| name.as_deref() == Some("vch");
    let found = machines
        .iter()
        .find(|vm| is_it(vm.value(props::virtual_machine::NAME)));
    found.map(|vm| vm.object().clone())
}

#[tokio::test]
async fn on_a_vcenter_only_the_deletion_of_the_host_destroys_it() {
    let simulator = Simulator::builder()
        .topology(Topology::vcenter().standalone_hosts(0).cluster_hosts(1))
        .start()
        .await
        .unwrap();
    let spec = spec("vch").compute("DC0_C0").bridge_network("DC0_DVPG0");
    let endpoint = Endpoint::install(simulator, Dialect::Vic1, spec).await;
    let vm = appliance(&endpoint).await.unwrap();
    endpoint.client.run(vm.power_off_vm()).await.unwrap();
    let refused = endpoint.client.run(vm.destroy()).await.unwrap_err();
    assert!(refused.is_fault::<MethodDisabled>(), "{refused:?}");

    let deleted = endpoint.hosts.delete("vch", ContainerPolicy::Refuse).await;
    assert_eq!(deleted.unwrap().left, []);
    assert_eq!(appliance(&endpoint).await, None);
}

#[tokio::test]
async fn an_esxi_host_cannot_disable_its_destruction() {
    let endpoint = Endpoint::start(Dialect::Vic1, Platform::default()).await;
    endpoint
        .hosts
        .delete("vch", ContainerPolicy::Refuse)
        .await
        .unwrap();
    let calls = endpoint.simulator.script().calls();
    assert!(calls.keys().all(|method| !method.ends_with("ableMethods")));
}
