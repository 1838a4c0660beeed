//! Programs that die while they remove a container. Deleting the host without opening it before leaves
//! nothing of the container.

use std::collections::BTreeSet;
use std::time::Duration;

use portlayer::exec::{Command, ContainerSpec, Exec, StartOptions, StopOptions};
use portlayer::image::Images;
use portlayer::vsphere::{ContainerPolicy, Dialect, Hosts, Options};
use simulator::{Platform, Reaction};

use super::{fails, spec};
use crate::Endpoint;
use crate::images::{image, layer, options};
use crate::interrupted::{again, inventory};

/// What the removed container has.
#[derive(Clone, Copy, Debug)]
struct Container {
    has_image: bool,
    /// Whether it ran, so that it has a log.
    ran: bool,
}

/// The changes of a removal, in order: the name of the method and the number of the call.
const CHANGES: [(&str, usize); 5] = [
    ("ReconfigVM_Task", 1),
    ("DeleteVirtualDisk_Task", 1),
    ("DeleteDatastoreFile_Task", 1),
    ("Destroy_Task", 1),
    ("DeleteDatastoreFile_Task", 2),
];

/// Removes a container and dies when this change has been made. Returns whether the removal makes it.
async fn dies_after(
    endpoint: &Endpoint,
    (method, n): (&str, usize),
    container: Container,
    before: &BTreeSet<String>,
) -> bool {
    let what = format!("{container:?} after {method} {n}");
    let hosts = || Hosts::new(endpoint.client.clone(), Options::default());
    let quiet = |_: portlayer::vsphere::InstallProgress| {};
    hosts().install(endpoint.spec("vch"), &quiet).await.unwrap();

    let exec = hosts().exec("vch").await.unwrap();
    let spec = if container.has_image {
        let image = image(&[layer("hello", b"hello")], "/run");
        let import = exec.images().import(image.clone(), options());
        import.await.unwrap();
        spec("removed", &image)
    } else {
        ContainerSpec::new("removed", Command::new("/run"))
    };
    let id = exec.create(spec).await.unwrap();
    if container.ran {
        exec.start(&id, StartOptions::new()).await.unwrap();
        exec.stop(&id, StopOptions::AT_ONCE).await.unwrap();
        let directory = endpoint.simulator.datastore_directory();
        let log = directory.join(format!("{id}/{id}.log"));
        // The guest of this test writes no log.
        std::fs::write(log, "hello").unwrap();
    }

    let script = endpoint.simulator.script();
    script.nth(method, n, Reaction::LoseAnswer);
    let dies = async {
        while script.pending() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let removed = tokio::select! {
        biased;
        removed = exec.remove(&id) => Some(removed),
        () = dies => None,
    };
    let is_made = script.pending() == 0;
    if !is_made {
        removed.expect(&what).expect(&what);
    }
    script.clear();
    drop(exec);

    // What the endpoint still carries out may be in the way.
    again(async || {
        let deletion = hosts().delete("vch", ContainerPolicy::Remove).await;
        match deletion {
            Ok(deletion) if !deletion.left.is_empty() => return Err(format!("{deletion:?}")),
            Err(error) if !error.is_not_found() => return Err(format!("{what}: {error:?}")),
            _ => {}
        }
        let now = inventory(endpoint).await;
        match now.difference(before).collect::<Vec<_>>().as_slice() {
            [] => Ok(()),
            left => Err(format!("{what}: {left:?} are left")),
        }
    })
    .await;
    is_made
}

#[tokio::test]
async fn a_removal_that_dies_after_any_change_leaves_nothing_in_a_deleted_host() {
    let endpoint = Endpoint::start(Dialect::Vic1, Platform::default()).await;
    let deleted = endpoint.hosts.delete("vch", ContainerPolicy::Refuse).await;
    deleted.unwrap();
    let before = inventory(&endpoint).await;
    for (has_image, ran, changes) in [(true, true, 5), (true, false, 4), (false, true, 4)] {
        let container = Container { has_image, ran };
        let mut made = 0;
        for change in CHANGES {
            if dies_after(&endpoint, change, container, &before).await {
                made += 1;
            }
        }
        assert_eq!(made, changes, "{container:?}");
    }
}

/// The only writer deletes the directory after the machine, and finds it again if it dies or fails in
/// between.
#[tokio::test]
async fn the_only_writer_deletes_what_its_failed_removal_left() {
    let endpoint = Endpoint::start(Dialect::Vic1, Platform::default()).await;
    let options = Options {
        sole_writer: true,
        settle_timeout: Duration::from_millis(50),
        ..Options::default()
    };
    let hosts = Hosts::new(endpoint.client.clone(), options);
    let exec = hosts.exec("vch").await.unwrap();
    let script = endpoint.simulator.script();
    for (method, reaction) in [
        ("Destroy_Task", Reaction::LoseAnswer),
        ("DeleteDatastoreFile_Task", Reaction::Disconnect),
        ("DeleteDatastoreFile_Task", fails()),
    ] {
        let spec = ContainerSpec::new("removed", Command::new("/run"));
        let id = exec.create(spec).await.unwrap();
        exec.start(&id, StartOptions::new()).await.unwrap();
        exec.stop(&id, StopOptions::AT_ONCE).await.unwrap();
        let directory = endpoint.simulator.datastore_directory();
        let directory = directory.join(id.to_string());
        // The guest of this test writes no log.
        std::fs::write(directory.join(format!("{id}.log")), "hello").unwrap();
        let before = script.calls();
        script.next(method, reaction.clone());
        exec.remove(&id).await.unwrap_err();
        let gone = async {
            while directory.exists() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let gone = tokio::time::timeout(Duration::from_secs(10), gone).await;
        assert!(gone.is_ok(), "{method} {reaction:?}");
        assert!(exec.inspect(&id).await.unwrap_err().is_not_found());
        // The machine was destroyed first, without a mark.
        let reconfigured =
            |calls: &std::collections::BTreeMap<String, u64>| calls.get("ReconfigVM_Task").copied();
        assert_eq!(reconfigured(&script.calls()), reconfigured(&before));
        script.clear();
    }
}
