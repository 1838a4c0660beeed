//! Flows that run against every endpoint whose contents may be changed. The endpoint is given
//! by its URL with user and password.

#![allow(dead_code, unused_imports, reason = "not every test uses all of it")]

mod contents;
mod finder;
mod machine;
mod nfc;
mod ovf;
mod services;

use std::time::Duration;

use futures_util::StreamExt;
use vim25::types::{
    InvalidPowerState, OptionValue, TaskInfo, VirtualMachineConfigSpec, VirtualMachineFileInfo,
    VirtualMachinePowerState,
};
use vim25::{Poly, Property, Ref, Timestamp, mo, props};
use vsphere_client::{
    Change, Client, Credentials, Error, Item, LoginProblem, Properties, PropertyState,
};

pub(crate) use contents::{
    a_disk_is_described, a_file_goes_from_path_to_path, a_file_is_transferred_directly_if_possible,
    disks_are_inflated_and_continued, files_are_copied_and_moved,
    virtual_disks_are_files_of_their_own,
};
pub(crate) use finder::things_are_found_by_patterns;
pub(crate) use machine::{
    a_guest_is_customized, a_machine_is_cloned_and_relocated, a_machine_is_protected_from_others,
    a_machine_is_registered_again, a_machine_is_registered_under_another_name,
    commands_run_on_a_host, devices_are_added_edited_and_removed,
    power_that_is_there_already_is_success, snapshots_are_found_and_gone_back_to,
    snapshots_are_renamed_and_disks_consolidated, the_address_of_a_guest_is_waited_for,
};
pub(crate) use nfc::{
    a_lease_that_never_becomes_ready_says_why, a_machine_is_imported_under_a_lease,
    a_slow_upload_keeps_its_lease, an_import_that_fails_leaves_no_lease,
};
pub(crate) use ovf::{
    a_damaged_ova_leaves_nothing, a_machine_is_exported_and_imported_again, an_ova_is_imported,
    descriptors_are_judged_by_the_server,
};
pub(crate) use services::other_services_answer_or_are_said_to_be_missing;

const POWER: Property<mo::VirtualMachine, VirtualMachinePowerState> =
    Property::new("runtime.powerState");
const EXTRA: Property<mo::VirtualMachine, Vec<Poly<OptionValue>>> =
    Property::new("config.extraConfig");

async fn client(url: &str) -> Client {
    let builder = Client::builder(url).danger_accept_invalid_certs(true);
    builder.connect().await.unwrap()
}

async fn machines(client: &Client) -> Vec<Ref<mo::VirtualMachine>> {
    let found = client
        .retrieve::<mo::VirtualMachine>()
        .property(props::virtual_machine::NAME)
        .within(&client.service_content().root_folder)
        .collect()
        .await
        .unwrap();
    found
        .iter()
        .map(|machine| machine.object().clone())
        .collect()
}

pub(crate) async fn a_certificate_is_refused_and_then_pinned_by_what_the_error_says(url: &str) {
    let error = Client::builder(url).connect().await.unwrap_err();
    let thumbprint = error.untrusted().unwrap().thumbprint().to_owned();
    assert!(error.to_string().contains(&thumbprint), "{error}");
    let pinned = Client::builder(url).thumbprint(thumbprint.parse().unwrap());
    let client = pinned.connect().await.unwrap();
    assert!(!client.api_version().is_empty());
    client.close().await.unwrap();

    let other = "AB".repeat(32).parse().unwrap();
    let error = Client::builder(url)
        .thumbprint(other)
        .connect()
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Tls { .. }), "{error}");
}

pub(crate) async fn a_wrong_password_is_said_to_be_wrong(url: &str) {
    let builder = Client::builder(url).danger_accept_invalid_certs(true);
    let error = builder
        .credentials(Credentials::password("user", ""))
        .connect()
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            Error::NotAuthenticated {
                problem: LoginProblem::WrongPassword,
                ..
            }
        ),
        "{error}"
    );
}

pub(crate) async fn properties_are_read_alone_together_and_in_pages(url: &str) {
    let client = client(url).await;
    let machines = machines(&client).await;
    let vm = machines.first().unwrap();
    let name = client.get(vm, props::virtual_machine::NAME).await.unwrap();
    let (same, config) = client
        .try_get(
            vm,
            (props::virtual_machine::NAME, props::virtual_machine::CONFIG),
        )
        .await
        .unwrap();
    assert_eq!(Some(&name), same.as_ref());
    assert_eq!(config.unwrap().name, name);

    let pages = client
        .retrieve::<mo::VirtualMachine>()
        .property(props::virtual_machine::NAME)
        .property(POWER)
        // Select fixed machines, because other tests create and delete machines concurrently.
        .objects(machines.iter().take(2).cloned())
        .page_size(1)
        .collect()
        .await
        .unwrap();
    assert_eq!(pages.len(), 2);
    assert!(
        pages
            .iter()
            .all(|vm| matches!(vm.state(POWER), PropertyState::Value(_)))
    );
    client.close().await.unwrap();
}

#[derive(Debug, Properties)]
#[properties(VirtualMachine)]
struct Overview {
    name: String,
    #[property(runtime.powerState)]
    power: VirtualMachinePowerState,
    #[property(config.guestId)]
    guest: Option<String>,
    #[property(runtime.bootTime)]
    booted: Option<Timestamp>,
}

#[derive(Debug, Properties)]
#[properties(VirtualMachine)]
struct Booted {
    #[property(runtime.bootTime)]
    _at: Timestamp,
}

pub(crate) async fn properties_are_read_into_structs(url: &str) {
    let client = client(url).await;
    let vm = create(&client, "struct-test").await;
    let one: Overview = client.read(&vm).await.unwrap();
    assert_eq!(one.name, "struct-test");
    assert_eq!(one.power, VirtualMachinePowerState::PoweredOff);
    assert_eq!(one.guest.as_deref(), Some("otherGuest64"));
    assert_eq!(one.booted, None);
    let error = client.read::<Booted>(&vm).await.unwrap_err();
    let Error::Unset { property, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(&**property, "runtime.bootTime");

    let all = client
        .retrieve::<mo::VirtualMachine>()
        .properties::<Overview>()
        .within(&client.service_content().root_folder)
        .collect()
        .await
        .unwrap();
    let names: Vec<_> = all
        .iter()
        .map(|one| one.read::<Overview>().unwrap().name)
        .collect();
    assert!(names.contains(&"struct-test".to_owned()), "{names:?}");
    client.run(vm.destroy()).await.unwrap();
    client.close().await.unwrap();
}

pub(crate) async fn a_vanished_object_is_reported_among_the_others(url: &str) {
    let client = client(url).await;
    let vm = machines(&client).await.swap_remove(0);
    let gone = Ref::new("vm-999999");
    let mut items = client
        .retrieve::<mo::VirtualMachine>()
        .property(props::virtual_machine::NAME)
        .objects([gone.clone(), vm.clone()])
        .stream();
    let (mut found, mut vanished) = (Vec::new(), Vec::new());
    while let Some(item) = items.next().await {
        match item.unwrap() {
            Item::Object(object) => found.push(object.object().clone()),
            Item::Vanished(object) => vanished.push(object),
        }
    }
    assert_eq!((found, vanished), (vec![vm], vec![gone]));
    client.close().await.unwrap();
}

pub(crate) async fn a_machine_lives_and_dies(url: &str) {
    let client = client(url).await;
    let vm = create(&client, "client-test").await;

    let mut changes = client
        .retrieve::<mo::VirtualMachine>()
        .property(POWER)
        .objects([vm.clone()])
        .watch();
    let Some(Ok(Change::Entered(entered))) = changes.next().await else {
        panic!("the machine did not enter");
    };
    assert_eq!(
        entered.value(POWER),
        Some(VirtualMachinePowerState::PoweredOff)
    );
    assert!(matches!(changes.next().await, Some(Ok(Change::Complete))));

    client.run(vm.power_on_vm(None)).await.unwrap();
    let Some(Ok(Change::Changed { object, .. })) = changes.next().await else {
        panic!("no change");
    };
    assert_eq!(
        object.value(POWER),
        Some(VirtualMachinePowerState::PoweredOn)
    );
    drop(changes);

    let error = client.run(vm.power_on_vm(None)).await.unwrap_err();
    let fault = error.fault::<InvalidPowerState>().unwrap();
    assert_eq!(fault.existing_state, VirtualMachinePowerState::PoweredOn);
    assert!(
        error.task().is_some() && error.to_string().contains("PowerOnVM_Task"),
        "{error}"
    );

    // Set a key as the guest would.
    let change = VirtualMachineConfigSpec {
        extra_config: vec![Poly::new(OptionValue::new("guestinfo.started", "true"))],
        ..Default::default()
    };
    let writer = async { client.run(vm.reconfig_vm(&change)).await };
    let reader = client.wait_for(&vm, EXTRA, |extra| {
        extra.iter().flatten().any(|option| {
            option
                .get::<OptionValue>()
                .ok()
                .flatten()
                .is_some_and(|option| {
                    option.key == "guestinfo.started" && option.text().as_deref() == Some("true")
                })
        })
    });
    let both = async { tokio::join!(reader, writer) };
    let (read, written) = tokio::time::timeout(Duration::from_secs(60), both)
        .await
        .unwrap();
    assert!(read.unwrap().is_some());
    written.unwrap();

    client.run(vm.power_off_vm()).await.unwrap();
    let gone = client.wait_for(&vm, (POWER, props::virtual_machine::NAME), |_| false);
    let destroyed = async { client.run(vm.destroy()).await };
    let both = async { tokio::join!(gone, destroyed) };
    let (gone, destroyed) = tokio::time::timeout(Duration::from_secs(60), both)
        .await
        .unwrap();
    destroyed.unwrap();
    assert!(gone.unwrap_err().is_gone());
    assert!(
        client
            .get(&vm, props::virtual_machine::NAME)
            .await
            .unwrap_err()
            .is_gone()
    );
    client.close().await.unwrap();
}

pub(crate) async fn a_session_that_was_ended_is_opened_again(url: &str) {
    let client = client(url).await;
    let manager = client.service_content().session_manager.clone().unwrap();
    client.call(manager.logout()).await.unwrap();
    let root = &client.service_content().root_folder;
    let reads = (0..8).map(|_| client.get(root, props::folder::NAME));
    for name in futures_util::future::join_all(reads).await {
        assert!(!name.unwrap().is_empty());
    }
    client.close().await.unwrap();
    let error = client.get(root, props::folder::NAME).await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::NotAuthenticated {
                problem: LoginProblem::Closed,
                ..
            }
        ),
        "{error}"
    );
}

pub(crate) async fn a_task_that_is_over_still_gives_its_result(url: &str) {
    let client = client(url).await;
    let vm = machines(&client).await.swap_remove(0);
    let spec = VirtualMachineConfigSpec::default();
    let task = client.call(vm.reconfig_vm(&spec)).await.unwrap();
    client.wait_task(&task).await.unwrap();
    client.wait_task(&task).await.unwrap();
    let info: TaskInfo = client.get(task.task(), props::task::INFO).await.unwrap();
    assert_eq!(info.state.as_str(), "success");
    client.close().await.unwrap();
}

pub(crate) async fn things_are_found_by_name_and_by_path(url: &str) {
    let client = client(url).await;
    let inventory = client.inventory();
    let datacenter = inventory.datacenter(None).await.unwrap();
    match inventory.defaults().await {
        Ok(defaults) => assert_eq!(defaults.datacenter, datacenter),
        // A vCenter may have a host and a cluster, or several networks.
        Err(error) => assert!(matches!(error, Error::Ambiguous { .. }), "{error}"),
    }
    let named = datacenter.path().trim_start_matches('/');
    assert_eq!(inventory.datacenter(Some(named)).await.unwrap(), datacenter);
    assert_eq!(
        inventory.datacenter(Some(datacenter.path())).await.unwrap(),
        datacenter
    );
    let path = format!("{}/vm", datacenter.path());
    let folder = inventory.find_as::<mo::Folder>(&path).await.unwrap();
    assert_eq!(folder, *datacenter.vm_folder());

    let vm = machines(&client).await.swap_remove(0);
    let path = inventory.path_of(&vm).await.unwrap();
    assert_eq!(
        inventory
            .find_as::<mo::VirtualMachine>(&path)
            .await
            .unwrap(),
        vm
    );
    let wrong = inventory.find_as::<mo::Datastore>(&path).await.unwrap_err();
    assert!(matches!(wrong, Error::WrongType { .. }), "{wrong}");

    let network = inventory
        .network(&datacenter, Some("VM Network"))
        .await
        .unwrap();
    assert_eq!(network.type_name(), "Network");
    let pool = match inventory.resource_pool(&datacenter, None).await {
        Ok(pool) => pool,
        // A vCenter may have a host and a cluster.
        Err(Error::Ambiguous { place, .. }) => {
            let name = place.there().first().unwrap();
            inventory
                .resource_pool(&datacenter, Some(name))
                .await
                .unwrap()
        }
        Err(error) => panic!("{error}"),
    };
    let path = inventory.path_of(&pool).await.unwrap();
    assert_eq!(
        inventory
            .resource_pool(&datacenter, Some(&path))
            .await
            .unwrap(),
        pool
    );

    for (error, name) in [
        (
            inventory
                .datastore(&datacenter, Some("nowhere"))
                .await
                .map(drop),
            "datastore",
        ),
        (
            inventory
                .network(&datacenter, Some("nowhere"))
                .await
                .map(drop),
            "network",
        ),
        (
            inventory
                .resource_pool(&datacenter, Some("nowhere"))
                .await
                .map(drop),
            "resource pool",
        ),
        (
            inventory.find("/nowhere/vm").await.map(drop),
            "inventory object",
        ),
    ] {
        let error = error.unwrap_err();
        let Error::NotFound { kind, place, .. } = &error else {
            panic!("{error}");
        };
        assert_eq!(kind.as_str(), name);
        assert!(!place.there().is_empty(), "{error}");
    }
    client.close().await.unwrap();
}

pub(crate) async fn a_file_is_written_listed_read_and_deleted(url: &str) {
    let client = client(url).await;
    let inventory = client.inventory();
    let datacenter = inventory.datacenter(None).await.unwrap();
    let datastore = inventory.datastore(&datacenter, None).await.unwrap();
    let files = client.files(&datastore);
    files
        .make_directory("client test/a+b&c", true)
        .await
        .unwrap();
    files
        .make_directory("client test/a+b&c", true)
        .await
        .unwrap();

    let content: Vec<u8> = (0..300_000u32).map(|n| (n % 251) as u8).collect();
    let path = "client test/a+b&c/boot %.iso";
    assert!(!files.exists(path).await.unwrap());
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let listener = std::sync::Arc::clone(&seen);
    files
        .upload_bytes(path, content.clone())
        .on_progress(move |progress| listener.lock().unwrap().push(progress.bytes))
        .await
        .unwrap();
    assert_eq!(seen.lock().unwrap().last(), Some(&300_000));
    assert!(files.exists(path).await.unwrap());
    let reader = std::io::Cursor::new(content.clone());
    files.upload(path, reader, 300_000).await.unwrap();

    let listed = files.list("client test/a+b&c").await.unwrap();
    assert_eq!(listed.len(), 1);
    let entry = listed.first().unwrap();
    assert_eq!(
        (entry.name.as_str(), entry.is_directory),
        ("boot %.iso", false)
    );
    assert_eq!(entry.size, Some(300_000));

    let read = files
        .download(path)
        .await
        .unwrap()
        .read_to_end(1 << 20)
        .await
        .unwrap();
    assert!(read == content);
    assert!(
        files
            .download(path)
            .await
            .unwrap()
            .read_to_end(1_000)
            .await
            .is_err()
    );

    let short = std::io::Cursor::new(vec![0; 10]);
    assert!(files.upload("client test/short", short, 20).await.is_err());
    files.delete("client test").await.unwrap();
    for missing in [
        files.delete("client test").await.unwrap_err(),
        files.list("client test").await.unwrap_err(),
        files.download(path).await.map(drop).unwrap_err(),
    ] {
        assert!(matches!(missing, Error::NotFound { .. }), "{missing}");
    }
    client.close().await.unwrap();
}

/// Creates the machines that the flows expect to find.
pub(crate) async fn seed(url: &str) {
    let client = client(url).await;
    for name in ["first", "second"] {
        create(&client, name).await;
    }
    client.close().await.unwrap();
}

async fn create(client: &Client, name: &str) -> Ref<mo::VirtualMachine> {
    let inventory = client.inventory();
    let datacenter = inventory.datacenter(None).await.unwrap();
    let datastore = inventory.datastore(&datacenter, None).await.unwrap();
    let pool = client
        .retrieve::<mo::ResourcePool>()
        .property(props::resource_pool::NAME)
        .within(&client.service_content().root_folder)
        .collect()
        .await
        .unwrap();
    let pool = pool.first().unwrap().object();
    let spec = VirtualMachineConfigSpec {
        name: Some(name.to_owned()),
        guest_id: Some("otherGuest64".into()),
        num_cpus: Some(1),
        memory_mb: Some(32),
        files: Some(Box::new(VirtualMachineFileInfo {
            vm_path_name: Some(format!("[{}]", datastore.name())),
            ..Default::default()
        })),
        extra_config: vec![Poly::new(OptionValue::new("guestinfo./common/name", "c"))],
        ..Default::default()
    };
    let call = datacenter.vm_folder().create_vm(&spec, pool, None);
    client.run(call).await.unwrap()
}
