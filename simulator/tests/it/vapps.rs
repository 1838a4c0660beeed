//! Tests of vApps: their machines, the order in which these start and stop, and their end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::inventory::{check, everything};
use crate::vcenter::{bare, typed};
use simulator::{Guest, GuestMachine, Simulator, Topology};
use tokio::sync::Notify;
use vim25::types::{
    DuplicateName, InvalidArgument, InvalidPowerState, NotSupported, ResourceConfigSpec,
    TaskInProgress, TaskInfoState, VAppConfigInfo, VAppConfigSpec, VAppEntityConfigInfo,
    VirtualAppVAppState, VirtualMachinePowerState, VirtualMachineRelocateSpec,
};
use vim25::{AnyRef, IsA, ManagedObject, Ref, mo};

type Vm = Ref<mo::VirtualMachine>;
type App = Ref<mo::VirtualApp>;

async fn vcenter(topology: Topology) -> (Simulator, Client) {
    let simulator = Simulator::builder().topology(topology).start();
    let simulator = simulator.await.unwrap();
    let client = Client::login(&simulator).await;
    (simulator, client)
}

/// Creates a vApp in the root pool of the cluster.
async fn app(client: &Client, name: &str) -> App {
    let pool: Ref<mo::ResourcePool> = typed(client, "DC0/host/DC0_C0/Resources").await;
    let (resources, spec) = (ResourceConfigSpec::default(), VAppConfigSpec::default());
    let made = client.call(pool.create_vapp(name, &resources, &spec, None));
    made.await.unwrap()
}

async fn child(client: &Client, app: &App, name: &str) -> Vm {
    client
        .run(app.create_child_vm(&bare(name), None))
        .await
        .unwrap()
}

/// Changes the entry of a member in the start order.
async fn arrange(
    client: &Client,
    app: &App,
    vm: &Vm,
    change: VAppEntityConfigInfo,
) -> Result<(), vim25::Fault> {
    let spec = VAppConfigSpec {
        entity_config: vec![VAppEntityConfigInfo {
            key: Some(vm.upcast()),
            ..change
        }],
        ..Default::default()
    };
    let changed = client.call(app.update_vapp_config(&spec)).await;
    changed.map_err(|failure| failure.fault())
}

fn order(number: i32) -> VAppEntityConfigInfo {
    VAppEntityConfigInfo {
        start_order: Some(number),
        ..Default::default()
    }
}

fn stop(action: &str) -> VAppEntityConfigInfo {
    VAppEntityConfigInfo {
        stop_action: Some(action.to_owned()),
        ..Default::default()
    }
}

/// Returns whether a vApp runs, and whether it is suspended.
async fn state(client: &Client, app: &App) -> (VirtualAppVAppState, bool) {
    (
        client.get(app, "summary.vAppState").await,
        client.get(app, "summary.suspended").await,
    )
}

async fn power(client: &Client, vm: &Vm) -> VirtualMachinePowerState {
    client.get(vm, "runtime.powerState").await
}

/// Returns the keys of the start order.
async fn members(client: &Client, app: &App) -> Vec<String> {
    let config: VAppConfigInfo = client.get(app, "vAppConfig").await;
    let keys = config.entity_config.into_iter();
    keys.map(|entry| entry.key.unwrap().value().to_owned())
        .collect()
}

async fn exists<T: ManagedObject + IsA<mo::ManagedEntity>>(
    client: &Client,
    entity: &Ref<T>,
) -> bool {
    let all = everything(client, None).await;
    all.iter().any(|one| one.obj.value() == entity.value())
}

#[tokio::test]
async fn vapps_and_their_machines_are_named_as_vcsim_names_them() {
    let topology = Topology::vcenter().apps(2).machines(2).autostart(true);
    let (simulator, client) = vcenter(topology).await;
    let all = everything(&client, None).await;
    check(&all);
    let count = |ty: &str| all.iter().filter(|o| o.obj.type_name() == ty).count();
    assert_eq!((count("VirtualApp"), count("VirtualMachine")), (2, 8));
    let app: App = typed(&client, "DC0/host/DC0_C0/Resources/DC0_C0_APP0").await;
    let in_folder: App = typed(&client, "DC0/vm/DC0_C0_APP0").await;
    assert_eq!(app, in_folder);
    let vm: Vm = typed(&client, "DC0/vm/DC0_C0_APP0/DC0_C0_APP0_VM1").await;
    assert_eq!(client.try_get::<AnyRef>(&vm, "parent").await, None);
    assert_eq!(client.get::<App>(&vm, "parentVApp").await, app);
    assert_eq!(client.get::<App>(&vm, "resourcePool").await, app);
    let machines: Vec<Vm> = client.get(&app, "vm").await;
    assert_eq!((machines.len(), &machines[1]), (2, &vm));
    let folder: Ref<mo::Folder> = client.get(&app, "parentFolder").await;
    let children: Vec<AnyRef> = client.get(&folder, "childEntity").await;
    assert!(children.iter().any(|child| child.value() == app.value()));
    assert!(!children.iter().any(|child| child.value() == vm.value()));
    let started = (VirtualAppVAppState::Started, false);
    assert_eq!(state(&client, &app).await, started);
    let datastores: Vec<AnyRef> = client.get(&app, "datastore").await;
    assert_eq!(
        datastores,
        client.get::<Vec<AnyRef>>(&vm, "datastore").await
    );
    simulator.shutdown().await;
}

#[tokio::test]
async fn machines_start_in_their_order_and_stop_in_the_reverse() {
    let (simulator, client) = vcenter(Topology::vcenter()).await;
    let app = app(&client, "shop").await;
    let mut all = Vec::new();
    for (name, number) in [("web", 3), ("db", 1), ("queue", 2)] {
        let vm = child(&client, &app, name).await;
        arrange(&client, &app, &vm, order(number)).await.unwrap();
        arrange(&client, &app, &vm, stop("suspend")).await.unwrap();
        all.push(vm);
    }
    let spare = child(&client, &app, "spare").await;
    let never = VAppEntityConfigInfo {
        start_action: Some("none".to_owned()),
        ..Default::default()
    };
    arrange(&client, &app, &spare, never).await.unwrap();
    client.run(app.power_on_vapp()).await.unwrap();
    let started = (VirtualAppVAppState::Started, false);
    assert_eq!(state(&client, &app).await, started);
    assert_eq!(
        power(&client, &spare).await,
        VirtualMachinePowerState::PoweredOff
    );
    let mut times: Vec<jiff::Timestamp> = Vec::new();
    for vm in [&all[1], &all[2], &all[0]] {
        times.push(client.get(vm, "runtime.bootTime").await);
    }
    assert!(times.is_sorted(), "{times:?}");
    let again = client.run(app.power_on_vapp()).await.unwrap_err();
    assert!(again.is::<InvalidPowerState>(), "{again}");

    client.run(app.power_off_vapp(false)).await.unwrap();
    // Machines that are suspended by their stop action do not make the vApp a suspended one.
    let stopped = (VirtualAppVAppState::Stopped, false);
    assert_eq!(state(&client, &app).await, stopped);
    let mut times: Vec<jiff::Timestamp> = Vec::new();
    for vm in [&all[0], &all[2], &all[1]] {
        assert_eq!(
            power(&client, vm).await,
            VirtualMachinePowerState::Suspended
        );
        times.push(client.get(vm, "runtime.suspendTime").await);
    }
    assert!(times.is_sorted(), "{times:?}");
    let again = client.run(app.power_off_vapp(false)).await.unwrap_err();
    assert!(again.is::<InvalidPowerState>(), "{again}");

    // Suspended machines resume, and `force` ignores how they stop.
    client.run(app.power_on_vapp()).await.unwrap();
    client.run(app.power_off_vapp(true)).await.unwrap();
    for vm in &all {
        assert_eq!(
            power(&client, vm).await,
            VirtualMachinePowerState::PoweredOff
        );
    }
    simulator.shutdown().await;
}

#[tokio::test]
async fn a_vapp_follows_its_machines_and_is_suspended_as_a_whole() {
    let (simulator, client) = vcenter(Topology::vcenter()).await;
    let outer = app(&client, "outer").await;
    let (resources, spec) = (ResourceConfigSpec::default(), VAppConfigSpec::default());
    let inner = client.call(outer.create_vapp("inner", &resources, &spec, None));
    let inner: App = inner.await.unwrap();
    assert_eq!(client.get::<App>(&inner, "parentVApp").await, outer);
    assert_eq!(members(&client, &outer).await, [inner.value()]);
    let (a, b) = (
        child(&client, &inner, "a").await,
        child(&client, &inner, "b").await,
    );
    client.run(a.power_on_vm(None)).await.unwrap();
    let started = (VirtualAppVAppState::Started, false);
    assert_eq!(state(&client, &inner).await, started);
    assert_eq!(state(&client, &outer).await, started);
    client.run(a.power_off_vm()).await.unwrap();
    assert_eq!(state(&client, &outer).await.0, VirtualAppVAppState::Stopped);

    client.run(outer.power_on_vapp()).await.unwrap();
    // One member stays on, so the vApp still runs.
    arrange(&client, &inner, &b, stop("none")).await.unwrap();
    client.run(outer.power_off_vapp(false)).await.unwrap();
    assert_eq!(
        power(&client, &a).await,
        VirtualMachinePowerState::PoweredOff
    );
    assert_eq!(
        power(&client, &b).await,
        VirtualMachinePowerState::PoweredOn
    );
    assert_eq!(state(&client, &outer).await, started);
    client.run(outer.suspend_vapp()).await.unwrap();
    assert_eq!(
        power(&client, &b).await,
        VirtualMachinePowerState::Suspended
    );
    let suspended = (VirtualAppVAppState::Stopped, true);
    assert_eq!(state(&client, &outer).await, suspended);
    check(&everything(&client, None).await);
    simulator.shutdown().await;
}

/// A guest that runs tools, and shuts down on request when the test allows it.
#[derive(Clone, Debug, Default)]
struct Tools {
    allowed: Arc<Notify>,
}

#[async_trait::async_trait]
impl Guest for Tools {
    async fn run(&self, machine: GuestMachine) {
        machine.set_tools_running(true);
        machine.shutdown_requested().await;
        self.allowed.notified().await;
        machine.power_off();
    }
}

/// Creates a vApp with a machine that is on and whose guest is asked to shut down.
async fn obliging(guest: Tools, delay: i32) -> (Simulator, Client, App, Vm) {
    let simulator = Simulator::vcenter().guest(guest).start().await.unwrap();
    let client = Client::login(&simulator).await;
    let app = app(&client, "shop").await;
    let vm = child(&client, &app, "a").await;
    let shutdown = VAppEntityConfigInfo {
        stop_delay: Some(delay),
        ..stop("guestShutdown")
    };
    arrange(&client, &app, &vm, shutdown).await.unwrap();
    client.run(app.power_on_vapp()).await.unwrap();
    while client.get::<String>(&vm, "guest.toolsRunningStatus").await != "guestToolsRunning" {
        tokio::task::yield_now().await;
    }
    (simulator, client, app, vm)
}

#[tokio::test]
async fn a_guest_shuts_down_before_its_vapp_stops() {
    let guest = Tools::default();
    let (simulator, client, app, vm) = obliging(guest.clone(), 600).await;
    let task = client.call(app.power_off_vapp(false)).await.unwrap();
    while state(&client, &app).await.0 != VirtualAppVAppState::Stopping {
        tokio::task::yield_now().await;
    }
    let meddling = client.call(vm.power_off_vm()).await;
    assert!(meddling.unwrap_err().fault().is::<TaskInProgress>());
    let again = client.call(app.power_off_vapp(true)).await;
    assert!(again.unwrap_err().fault().is::<TaskInProgress>());
    guest.allowed.notify_one();
    let info = client.finish(&Ref::new(task.value())).await;
    assert_eq!(info.state, TaskInfoState::Success);
    assert_eq!(
        power(&client, &vm).await,
        VirtualMachinePowerState::PoweredOff
    );
    assert_eq!(state(&client, &app).await.0, VirtualAppVAppState::Stopped);
    simulator.shutdown().await;
}

#[tokio::test]
async fn a_guest_that_does_not_shut_down_is_powered_off_after_the_delay() {
    let (simulator, client, app, vm) = obliging(Tools::default(), 1).await;
    let began = Instant::now();
    client.run(app.power_off_vapp(false)).await.unwrap();
    assert!(began.elapsed() >= Duration::from_secs(1));
    assert_eq!(
        power(&client, &vm).await,
        VirtualMachinePowerState::PoweredOff
    );
    simulator.shutdown().await;
}

#[tokio::test]
async fn machines_move_into_a_vapp_and_out_of_it() {
    let (simulator, client) = vcenter(Topology::vcenter().machines(1)).await;
    let app = app(&client, "shop").await;
    let root: Ref<mo::ResourcePool> = typed(&client, "DC0/host/DC0_C0/Resources").await;
    let folder: Ref<mo::Folder> = typed(&client, "DC0/vm").await;
    let vm: Vm = typed(&client, "DC0/vm/DC0_C0_RP0_VM0").await;
    let list = [vm.upcast()];
    client
        .call(app.move_into_resource_pool(&list))
        .await
        .unwrap();
    assert_eq!(client.get::<App>(&vm, "parentVApp").await, app);
    assert_eq!(client.try_get::<AnyRef>(&vm, "parent").await, None);
    assert_eq!(members(&client, &app).await, [vm.value()]);
    let second = client.run(folder.create_vm(&bare("b"), &app, None)).await;
    let second: Vm = second.unwrap();
    assert_eq!(members(&client, &app).await, [vm.value(), second.value()]);
    // A name is free in the folder, but not twice in the vApp.
    let other = client.run(folder.create_vm(&bare("b"), &root, None)).await;
    let other: Vm = other.unwrap();
    let list = [other.upcast()];
    let taken = client.call(app.move_into_resource_pool(&list)).await;
    assert!(taken.unwrap_err().fault().is::<DuplicateName>());
    let template = client.call(vm.mark_as_template()).await;
    assert!(template.unwrap_err().fault().is::<NotSupported>());

    let list = [vm.upcast()];
    client
        .call(root.move_into_resource_pool(&list))
        .await
        .unwrap();
    assert_eq!(client.get::<Ref<mo::Folder>>(&vm, "parent").await, folder);
    assert_eq!(client.try_get::<AnyRef>(&vm, "parentVApp").await, None);
    assert_eq!(members(&client, &app).await, [second.value()]);
    let spec = VirtualMachineRelocateSpec {
        pool: Some(app.upcast()),
        ..Default::default()
    };
    client.run(vm.relocate_vm(&spec, None)).await.unwrap();
    assert_eq!(members(&client, &app).await, [second.value(), vm.value()]);
    client.run(vm.destroy()).await.unwrap();
    assert_eq!(members(&client, &app).await, [second.value()]);
    check(&everything(&client, None).await);
    simulator.shutdown().await;
}

#[tokio::test]
async fn a_vapp_is_destroyed_with_its_machines_and_unregistered_without_their_files() {
    let (simulator, client) = vcenter(Topology::vcenter()).await;
    let directory = simulator.datastore_directory().to_owned();
    for (name, with_files) in [("destroyed", true), ("unregistered", false)] {
        let app = app(&client, name).await;
        let vm = child(&client, &app, name).await;
        client.run(app.power_on_vapp()).await.unwrap();
        let runs = match with_files {
            true => client.run(app.destroy()).await,
            false => client.run(app.unregister_vapp()).await,
        };
        assert!(runs.unwrap_err().is::<InvalidPowerState>());
        client.run(app.power_off_vapp(false)).await.unwrap();
        match with_files {
            true => client.run(app.destroy()).await.unwrap(),
            false => client.run(app.unregister_vapp()).await.unwrap(),
        }
        assert!(!exists(&client, &app).await && !exists(&client, &vm).await);
        assert_eq!(
            directory.join(name).join(format!("{name}.vmx")).exists(),
            !with_files
        );
    }
    check(&everything(&client, None).await);
    simulator.shutdown().await;
}

#[tokio::test]
async fn what_vapps_do_not_allow_is_refused() {
    let (simulator, client) = vcenter(Topology::vcenter().clusters(2)).await;
    let first = app(&client, "shop").await;
    let vm = child(&client, &first, "a").await;
    let root: Ref<mo::ResourcePool> = typed(&client, "DC0/host/DC0_C0/Resources").await;
    let folder: Ref<mo::Folder> = typed(&client, "DC0/vm").await;
    let (resources, spec) = (ResourceConfigSpec::default(), VAppConfigSpec::default());
    let make = |pool: Ref<mo::ResourcePool>, name: &'static str, folder| {
        let call = pool.create_vapp(name, &resources, &spec, folder);
        let client = &client;
        async move { client.call(call).await.map_err(|failure| failure.fault()) }
    };
    let other: Ref<mo::ResourcePool> = typed(&client, "DC0/host/DC0_C1/Resources").await;
    // The name is taken in the pool, and then in the folder.
    for pool in [&root, &other] {
        let taken = make(pool.clone(), "shop", None).await.unwrap_err();
        assert!(taken.is::<DuplicateName>(), "{taken}");
    }
    let taken = client
        .run(folder.create_vm(&bare("shop"), &root, None))
        .await;
    assert!(taken.unwrap_err().is::<DuplicateName>());
    let inner = make(first.upcast(), "inner", Some(&folder)).await;
    assert!(inner.unwrap_err().is::<InvalidArgument>());
    let hosts: Ref<mo::Folder> = typed(&client, "DC0/host").await;
    let wrong = make(root.clone(), "other", Some(&hosts)).await.unwrap_err();
    assert_eq!(wrong.type_name(), "InvalidFolder");
    let pool = client
        .call(first.create_resource_pool("pool", &resources))
        .await;
    assert!(pool.unwrap_err().fault().is::<NotSupported>());
    let plain = client.run(root.create_child_vm(&bare("b"), None)).await;
    assert!(plain.unwrap_err().is::<NotSupported>());
    let list = [vm.upcast()];
    let far = client.call(other.move_into_resource_pool(&list)).await;
    assert!(far.unwrap_err().fault().is::<InvalidArgument>());

    for wrong in [stop("explode"), order(-1)] {
        let refused = arrange(&client, &first, &vm, wrong).await.unwrap_err();
        assert!(refused.is::<InvalidArgument>(), "{refused}");
    }
    let stranger: Vm = Ref::new("no-member");
    let refused = arrange(&client, &first, &stranger, order(1)).await;
    assert!(refused.unwrap_err().is::<InvalidArgument>());

    let mut deepest = first;
    for _ in 1..8 {
        deepest = make(deepest.upcast(), "deep", None).await.unwrap();
    }
    let deeper = make(deepest.upcast(), "deep", None).await.unwrap_err();
    assert!(deeper.is::<NotSupported>(), "{deeper}");
    simulator.set_drs("DC0_C1", false).unwrap();
    let manual = make(other, "manual", None).await.unwrap_err();
    assert!(manual.is::<NotSupported>(), "{manual}");
    simulator.shutdown().await;

    let host = Simulator::builder().start().await.unwrap();
    let client = Client::login(&host).await;
    let root: Ref<mo::ResourcePool> = Ref::new("ha-root-pool");
    let refused = client
        .call(root.create_vapp("a", &resources, &spec, None))
        .await;
    assert!(refused.unwrap_err().fault().is::<NotSupported>());
    host.shutdown().await;
}
