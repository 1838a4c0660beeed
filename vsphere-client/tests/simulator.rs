//! Runs the flows against our simulator, with a new one for each test.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use simulator::{Simulator, Topology};
use vim25::{Property, mo, props};
use vsphere_client::Change;

mod connected;
mod flows;

const TEMPLATE: Property<mo::VirtualMachine, bool> = Property::new("config.template");

macro_rules! flows {
    ($($name:ident)*) => { $(
        #[tokio::test]
        async fn $name() {
            let builder = Simulator::builder().user("root").password("secret");
            let simulator = builder.start().await.unwrap();
            let url = simulator.url().replace("://", "://root:secret@");
            flows::seed(&url).await;
            flows::$name(&url).await;
            simulator.shutdown().await;
        }
    )* };
}
flows! {
    a_certificate_is_refused_and_then_pinned_by_what_the_error_says
    a_wrong_password_is_said_to_be_wrong
    properties_are_read_alone_together_and_in_pages
    properties_are_read_into_structs
    a_vanished_object_is_reported_among_the_others
    a_machine_lives_and_dies
    a_session_that_was_ended_is_opened_again
    a_task_that_is_over_still_gives_its_result
    things_are_found_by_name_and_by_path
    things_are_found_by_patterns
    files_are_copied_and_moved
    a_file_goes_from_path_to_path
    a_file_is_transferred_directly_if_possible
    virtual_disks_are_files_of_their_own
    a_disk_is_described
    disks_are_inflated_and_continued
    commands_run_on_a_host
    power_that_is_there_already_is_success
    devices_are_added_edited_and_removed
    a_machine_is_registered_again
    a_machine_is_registered_under_another_name
    snapshots_are_found_and_gone_back_to
    snapshots_are_renamed_and_disks_consolidated
    a_file_is_written_listed_read_and_deleted
    other_services_answer_or_are_said_to_be_missing
    a_machine_is_imported_under_a_lease
    a_lease_that_never_becomes_ready_says_why
    an_import_that_fails_leaves_no_lease
    an_ova_is_imported
    a_damaged_ova_leaves_nothing
    a_machine_is_exported_and_imported_again
    descriptors_are_judged_by_the_server
}

#[tokio::test]
async fn a_slow_upload_keeps_its_lease() {
    // With this timeout, the client sends a report every second.
    let timeout = Duration::from_secs(5);
    let simulator = Simulator::builder().lease_timeout(timeout).start();
    let simulator = Arc::new(simulator.await.unwrap());
    let url = simulator.url().replace("://", "://root:vmware@");
    let counted = Arc::clone(&simulator);
    let reports = move || {
        let calls = counted.script().calls();
        calls.get("HttpNfcLeaseProgress").copied().unwrap_or(0)
    };
    flows::a_slow_upload_keeps_its_lease(&url, 7, reports).await;
}

#[tokio::test]
async fn a_machine_is_cloned_and_relocated() {
    let topology = Topology::vcenter().clusters(1).machines(1);
    let builder = Simulator::builder().topology(topology);
    let builder = builder.user("root").password("secret");
    let simulator = builder.start().await.unwrap();
    let url = simulator.url().replace("://", "://root:secret@");
    flows::a_machine_is_cloned_and_relocated(&url).await;
    simulator.shutdown().await;
}

#[tokio::test]
async fn a_machine_is_protected_from_others() {
    let topology = Topology::vcenter().clusters(1).machines(1);
    let builder = Simulator::builder().topology(topology);
    let builder = builder.user("root").password("secret");
    let simulator = builder.start().await.unwrap();
    let url = simulator.url().replace("://", "://root:secret@");
    flows::a_machine_is_protected_from_others(&url).await;
    simulator.shutdown().await;
}

#[tokio::test]
async fn an_object_that_two_properties_refer_to_leaves_with_the_last() {
    let topology = Topology::vcenter().clusters(1).machines(1);
    let simulator = Simulator::builder().topology(topology);
    let simulator = simulator.start().await.unwrap();
    let client = connected::client(&simulator).await;
    let machines = client
        .retrieve::<mo::VirtualMachine>()
        .property(props::virtual_machine::RESOURCE_POOL)
        .property(props::virtual_machine::PARENT)
        .within(&client.service_content().root_folder)
        .collect();
    let machines = machines.await.unwrap();
    let first = machines.first().unwrap();
    let vm = first.object();
    let pool = first.value(props::virtual_machine::RESOURCE_POOL).unwrap();
    let folder = first.value(props::virtual_machine::PARENT).unwrap();
    let folder = folder.downcast::<mo::Folder>().unwrap();
    let power_off = client.run(vm.power_off_vm());
    // It may be off already.
    let _ = power_off.await;

    let mut changes = client
        .retrieve()
        .property(TEMPLATE)
        .along(&pool, props::resource_pool::VM)
        .and_along(&folder, props::folder::CHILD_ENTITY)
        .watch();
    let mut entered = 0;
    loop {
        match changes.next().await.unwrap().unwrap() {
            Change::Entered(item) => entered += usize::from(item.object() == vm),
            Change::Complete => break,
            other => panic!("{other:?} before the selection was complete"),
        }
    }
    assert_eq!(entered, 1);
    // A template is in no pool, but it is still in the folder.
    client.call(vm.mark_as_template()).await.unwrap();
    loop {
        match changes.next().await.unwrap().unwrap() {
            Change::Changed { object, .. } if object.value(TEMPLATE) == Some(true) => break,
            Change::Left(left) => panic!("{left} left"),
            _ => {}
        }
    }
    client.run(vm.destroy()).await.unwrap();
    loop {
        if let Change::Left(left) = changes.next().await.unwrap().unwrap() {
            assert_eq!(left, *vm);
            break;
        }
    }
    client.close().await.unwrap();
    simulator.shutdown().await;
}

#[tokio::test]
async fn datacenters_with_datastores_of_the_same_names_are_told_apart() {
    let topology = Topology::vcenter().datacenters(2).clusters(0).machines(1);
    let simulator = Simulator::builder().topology(topology);
    let simulator = simulator.start().await.unwrap();
    let client = connected::client(&simulator).await;
    let inventory = client.inventory();
    let ambiguous = inventory.datacenter(None).await.unwrap_err().to_string();
    assert!(ambiguous.contains("DC0, DC1"), "{ambiguous}");
    for (number, name) in ["DC0", "DC1"].into_iter().enumerate() {
        let datacenter = inventory.datacenter(Some(name)).await.unwrap();
        let datastore = inventory.datastore(&datacenter, None).await.unwrap();
        let files = client.files(&datastore);
        files.make_directory("a", false).await.unwrap();
        let content = name.as_bytes().to_vec();
        files.upload_bytes("a/file", content).await.unwrap();
        let (_, directory) = simulator.datastores_of(number).next().unwrap();
        let written = std::fs::read(directory.join("a/file")).unwrap();
        assert_eq!(written, name.as_bytes());
        let vm = format!("/{name}/vm/{name}_H0_VM0");
        let vm = inventory.find_as::<mo::VirtualMachine>(&vm).await.unwrap();
        client.machine(&vm).power_on().await.unwrap();
        assert_eq!(files.list("a").await.unwrap().len(), 1);
    }
    simulator.shutdown().await;
}
