//! The appliance of a host, as other programs see it.

use std::time::Duration;

use portlayer::vsphere::{ContainerPolicy, Dialect, HostSpec, InstallProgress};
use simulator::{Platform, Reaction, Simulator, Topology};
use vim25::types::{MethodDisabled, NoPermission};
use vim25::{Fault, Ref, mo, props};

use crate::{Endpoint, spec};

fn vcenter_spec() -> HostSpec {
    spec("vch").compute("DC0_C0").bridge_network("DC0_DVPG0")
}

async fn vcenter() -> Endpoint {
    let simulator = Simulator::builder()
        .topology(Topology::vcenter().standalone_hosts(0).cluster_hosts(1))
        .start()
        .await
        .unwrap();
    Endpoint::install(simulator, Dialect::Vic1, vcenter_spec()).await
}

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
    let endpoint = vcenter().await;
    let vm = appliance(&endpoint).await.unwrap();
    endpoint.client.run(vm.power_off_vm()).await.unwrap();
    let refused = endpoint.client.run(vm.destroy()).await.unwrap_err();
    assert!(refused.is_fault::<MethodDisabled>(), "{refused:?}");

    let deleted = endpoint.hosts.delete("vch", ContainerPolicy::Refuse).await;
    assert_eq!(deleted.unwrap().left, []);
    assert_eq!(appliance(&endpoint).await, None);
}

#[tokio::test]
async fn an_installation_that_fails_after_disabling_it_leaves_no_appliance() {
    let endpoint = vcenter().await;
    let deleted = endpoint.hosts.delete("vch", ContainerPolicy::Refuse).await;
    assert_eq!(deleted.unwrap().left, []);
    let script = endpoint.simulator.script();
    script.next(
        "DisableMethods",
        Reaction::Delay(Duration::from_millis(200)),
    );
    // The next read comes after the destruction was disabled.
    let fail_next_read = async {
        while script.pending() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let fault = Fault::new("not allowed", NoPermission::default());
        script.next("RetrievePropertiesEx", Reaction::Fault(fault));
    };
    let quiet = |_: InstallProgress| {};
    let install = endpoint.hosts.install(vcenter_spec(), &quiet);
    let (installed, ()) = tokio::join!(Box::pin(install), fail_next_read);
    installed.unwrap_err();
    assert_eq!(script.pending(), 0, "the fault was injected");
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
