//! Interrupted operations that the only writer completes when it opens a host.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use portlayer::exec::Exec;
use portlayer::image::Images;
use portlayer::vsphere::{Dialect, Hosts, Options, Problem, VsphereExec};
use simulator::{Platform, Reaction};
use vim25::types::{VirtualMachineConfigSpec, VirtualMachineFileInfo};
use vim25::{mo, props};

use super::{directory, fails, reopen, with_container};
use crate::Endpoint;
use crate::images::{files, image, layer, options};

async fn open_to_write(endpoint: &Endpoint) -> VsphereExec {
    let options = Options {
        sole_writer: true,
        takeover_timeout: Duration::from_millis(300),
        left_behind_after: Duration::ZERO,
        ..Options::default()
    };
    let hosts = Hosts::new(endpoint.client.clone(), options);
    hosts.exec("vch").await.unwrap()
}

async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let met = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let met = tokio::time::timeout(Duration::from_secs(10), met).await;
    assert!(met.is_ok(), "{what}");
}

/// Leaves incomplete images, a machine of a probe, and files of a container without a machine.
/// Returns the files that existed before.
async fn leave_behind(endpoint: &Endpoint, images: u8) -> Vec<PathBuf> {
    let exec = reopen(endpoint).await;
    let before = files(endpoint);
    let script = endpoint.simulator.script();
    script.always("ReconfigVM_Task", fails());
    for n in 0..images {
        let image = image(&[layer("hello", &[n])], "/run");
        let imported = exec.images().import(image, options()).await;
        imported.unwrap_err();
    }
    script.clear();

    let all = endpoint.client.retrieve::<mo::VirtualMachine>();
    let all = all
        .property(props::virtual_machine::RESOURCE_POOL)
        .property(props::virtual_machine::PARENT)
        .within(&endpoint.client.service_content().root_folder)
        .collect()
        .await
        .unwrap();
    let pool = all[0].value(props::virtual_machine::RESOURCE_POOL);
    let folder = all[0].value(props::virtual_machine::PARENT).unwrap();
    let datastore = endpoint.simulator.datastore_name();
    let probe = VirtualMachineConfigSpec {
        name: Some("vch-probe-0123456789ab".to_owned()),
        files: Some(Box::new(VirtualMachineFileInfo {
            vm_path_name: Some(format!("[{datastore}]")),
            ..Default::default()
        })),
        ..Default::default()
    };
    let folder = folder.downcast::<mo::Folder>().unwrap();
    let create = folder.create_vm(&probe, &pool.unwrap(), None);
    endpoint.client.run(create).await.unwrap();

    let directory = endpoint
        .simulator
        .datastore_directory()
        .join("ab".repeat(32));
    std::fs::create_dir(&directory).unwrap();
    std::fs::write(directory.join("vmware.log"), "").unwrap();
    before
}

#[tokio::test]
async fn what_a_dead_writer_left_is_removed_and_readers_do_not_wait() {
    let endpoint = Endpoint::start(Dialect::Vic1, Platform::default()).await;
    let before = leave_behind(&endpoint, 3).await;
    let script = endpoint.simulator.script();
    let delay = Duration::from_secs(2);
    script.always("ReconfigVM_Task", Reaction::Delay(delay));
    let opened = Instant::now();
    let exec = open_to_write(&endpoint).await;
    exec.list().await.unwrap();
    assert!(exec.images().list().await.unwrap().images.is_empty());
    let unfinished = async || {
        let found = exec.check().await.unwrap();
        let is_image = |problem: &Problem| *problem == Problem::UnfinishedImage;
        found.iter().filter(|f| is_image(&f.problem)).count()
    };
    // The first removal is blocked at its first change, and opening does not wait for it.
    assert_eq!(unfinished().await, 3, "after {:?}", opened.elapsed());
    script.clear();
    eventually("everything is removed", async || files(&endpoint) == before).await;
    // The responses to the last calls may not have been processed yet.
    eventually("nothing is inconsistent", async || {
        exec.check().await.unwrap().is_empty()
    })
    .await;
    assert!(exec.list().await.unwrap().quarantined.is_empty());
}

#[tokio::test]
async fn a_removal_that_is_interrupted_later_is_finished_too() {
    let (endpoint, dying, id) = with_container().await;
    let options = Options {
        settle_timeout: Duration::from_millis(50),
        ..Options::default()
    };
    let hosts = Hosts::new(endpoint.client.clone(), options);
    let other = hosts.exec("vch").await.unwrap();
    assert_eq!(other.check().await.unwrap(), []);
    // The first attempt of the other program fails, too.
    let script = endpoint.simulator.script();
    script.next("Destroy_Task", fails());
    script.nth("Destroy_Task", 2, fails());
    dying.remove(&id).await.unwrap_err();
    drop(dying);
    eventually("the container is removed", async || {
        other.inspect(&id).await.is_err() && !directory(&endpoint, &id).exists()
    })
    .await;
    assert_eq!(script.pending(), 0);
    assert_eq!(other.check().await.unwrap(), []);
}

#[tokio::test]
async fn one_that_cannot_be_removed_stops_none() {
    let endpoint = Endpoint::start(Dialect::Vic1, Platform::default()).await;
    leave_behind(&endpoint, 3).await;
    let script = endpoint.simulator.script();
    script.next("DeleteVirtualDisk_Task", fails());
    let exec = open_to_write(&endpoint).await;
    eventually("all but one are removed", async || {
        let found = exec.check().await.unwrap();
        matches!(found.as_slice(), [one] if one.problem == Problem::UnfinishedImage)
    })
    .await;
    // The next program retries.
    drop(exec);
    let exec = open_to_write(&endpoint).await;
    eventually("the last one is removed", async || {
        exec.check().await.unwrap().is_empty()
    })
    .await;
}

#[tokio::test]
async fn what_somebody_may_be_making_stays() {
    let endpoint = Endpoint::start(Dialect::Vic1, Platform::default()).await;
    leave_behind(&endpoint, 1).await;
    let left = files(&endpoint);
    // A reader does not remove incomplete images, because another program may be importing them.
    let reader = reopen(&endpoint).await;
    assert_eq!(reader.check().await.unwrap().len(), 3);
    assert_eq!(files(&endpoint), left);
    let exec = open_to_write(&endpoint).await;
    eventually("everything is removed", async || {
        exec.check().await.unwrap().is_empty()
    })
    .await;
    // An import by this program continues, even after all other handles of the host are dropped.
    let script = endpoint.simulator.script();
    let delay = Reaction::Delay(Duration::from_millis(500));
    script.next("HttpNfcLeaseComplete", delay);
    let images = exec.images().clone();
    let image = image(&[layer("hello", b"hello")], "/run");
    let id = image.id();
    let import = tokio::spawn(async move { images.import(image, options()).await });
    eventually("it is uploaded", async || script.pending() == 0).await;
    drop(exec);
    let options = Options {
        sole_writer: true,
        takeover_timeout: Duration::from_millis(300),
        ..Options::default()
    };
    let hosts = Hosts::new(endpoint.client.clone(), options);
    let refused = hosts.exec("vch").await.unwrap_err();
    assert!(
        matches!(refused.kind, portlayer::ErrorKind::InUse { .. }),
        "{refused:?}"
    );
    assert_eq!(import.await.unwrap().unwrap().id, id);
}
