//! Leftovers of interrupted operations are found, and the operations are completed.

mod on_open;
mod removals;

use std::path::{Path, PathBuf};
use std::time::Duration;

use portlayer::exec::{Command, ContainerSpec, Exec, RootFs, StartOptions};
use portlayer::image::Images;
use portlayer::vsphere::{Dialect, Hosts, Options, Problem, VsphereExec};
use portlayer::{ContainerId, Error, ErrorKind, State};
use simulator::{Platform, Reaction};
use vim25::Fault;
use vim25::types::{CannotAccessFile, NoDiskSpace};

use crate::Endpoint;
use crate::images::{files, image, layer, options};

/// Opens the host as the next program would.
async fn reopen(endpoint: &Endpoint) -> VsphereExec {
    let options = Options {
        left_behind_after: Duration::ZERO,
        ..Options::default()
    };
    let hosts = Hosts::new(endpoint.client.clone(), options);
    hosts.exec("vch").await.unwrap()
}

/// Returns a host with a container of an image, whose disk must be detached before a removal.
async fn with_container() -> (Endpoint, VsphereExec, ContainerId) {
    let endpoint = Endpoint::start(Dialect::Vic1, Platform::default()).await;
    let exec = reopen(&endpoint).await;
    let image = image(&[layer("hello", b"hello")], "/run");
    exec.images()
        .import(image.clone(), options())
        .await
        .unwrap();
    let id = exec.create(spec("removed", &image)).await.unwrap();
    (endpoint, exec, id)
}

fn spec(name: &str, image: &portlayer::image::Image) -> ContainerSpec {
    let root = RootFs::image(image.id(), "hello");
    ContainerSpec::new(name, Command::new("/run")).root(root)
}

fn directory(endpoint: &Endpoint, id: &ContainerId) -> PathBuf {
    Path::new(endpoint.simulator.datastore_directory()).join(id.to_string())
}

fn fails() -> Reaction {
    Reaction::Fault(Fault::new("no access", CannotAccessFile::default()))
}

#[tokio::test]
async fn an_interrupted_removal_is_finished_by_the_next_program() {
    let (endpoint, exec, id) = with_container().await;
    endpoint.simulator.script().next("Destroy_Task", fails());
    exec.remove(&id).await.unwrap_err();
    // Its disk is already detached, so it must not start.
    assert_eq!(exec.inspect(&id).await.unwrap().state, State::Removing);
    let started = exec.start(&id, StartOptions::new()).await;
    assert!(
        matches!(
            started,
            Err(Error {
                kind: ErrorKind::InvalidState { .. },
                ..
            })
        ),
        "{started:?}"
    );
    let found = exec.check().await.unwrap();
    let problems: Vec<_> = found.iter().map(|finding| &finding.problem).collect();
    assert_eq!(problems, [&Problem::HalfRemoved(id)]);
    assert!(found[0].is_repairable() && found[0].to_string().contains("interrupted"));
    drop(exec);

    let other = reopen(&endpoint).await;
    let gone = async {
        while other.inspect(&id).await.is_ok() || directory(&endpoint, &id).exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let gone = tokio::time::timeout(Duration::from_secs(10), gone).await;
    assert!(gone.is_ok(), "the removal is not finished");
    assert_eq!(other.check().await.unwrap(), []);
    assert_eq!(other.images().list().await.unwrap().images.len(), 1);
}

#[tokio::test]
async fn files_without_a_machine_are_found_and_deleted() {
    let (endpoint, exec, id) = with_container().await;
    let script = endpoint.simulator.script();
    // The endpoint does not know this file, so it keeps the directory.
    std::fs::write(directory(&endpoint, &id).join("core"), "").unwrap();
    script.always("DeleteDatastoreFile_Task", fails());
    exec.remove(&id).await.unwrap_err();
    script.clear();
    assert!(directory(&endpoint, &id).exists());
    let found = exec.check().await.unwrap();
    let problems: Vec<_> = found.iter().map(|finding| &finding.problem).collect();
    assert_eq!(problems, [&Problem::LeftBehind]);
    assert!(found[0].label.ends_with(&id.to_string()));
    // The directory is too young to be removed: its machine may not have been created yet.
    let careful = endpoint.hosts.exec("vch").await.unwrap();
    assert_eq!(careful.check().await.unwrap(), []);

    let done = exec.repair().await.unwrap();
    assert_eq!((done.repaired.len(), done.failed.len()), (1, 0));
    assert!(!directory(&endpoint, &id).exists());
    assert_eq!(exec.check().await.unwrap(), []);
    assert_eq!(exec.images().list().await.unwrap().images.len(), 1);
}

#[tokio::test]
async fn an_interrupted_import_is_found_and_removed() {
    let endpoint = Endpoint::start(Dialect::Vic1, Platform::default()).await;
    let exec = reopen(&endpoint).await;
    let before = files(&endpoint);
    let script = endpoint.simulator.script();
    // Neither the mark nor the cleanup can be written.
    script.next("ReconfigVM_Task", fails());
    script.nth("ReconfigVM_Task", 2, fails());
    let image = image(&[layer("hello", b"hello")], "/run");
    exec.images()
        .import(image.clone(), options())
        .await
        .unwrap_err();
    script.clear();
    let found = exec.check().await.unwrap();
    let problems: Vec<_> = found.iter().map(|finding| &finding.problem).collect();
    assert_eq!(problems, [&Problem::UnfinishedImage]);
    let done = exec.repair().await.unwrap();
    assert_eq!((done.repaired.len(), done.failed.len()), (1, 0), "{done:?}");
    assert_eq!(files(&endpoint), before);
}

#[tokio::test]
async fn a_creation_that_was_interrupted_is_whole_or_nothing() {
    let (endpoint, exec, id) = with_container().await;
    exec.remove(&id).await.unwrap();
    let image = image(&[layer("hello", b"hello")], "/run");
    let script = endpoint.simulator.script();
    for reaction in [
        Reaction::LoseAnswer,
        Reaction::Disconnect,
        Reaction::TaskFault(Fault::new("full", NoDiskSpace::default())),
    ] {
        let spec = spec("made", &image);
        let id = spec.id;
        script.next("CreateVM_Task", reaction);
        exec.create(spec).await.unwrap_err();
        let other = reopen(&endpoint).await;
        assert_eq!(other.check().await.unwrap(), []);
        match other.inspect(&id).await {
            Ok(info) => {
                assert_eq!(info.state, State::Created);
                other.start(&id, StartOptions::new()).await.unwrap();
                other
                    .stop(&id, portlayer::exec::StopOptions::AT_ONCE)
                    .await
                    .unwrap();
                other.remove(&id).await.unwrap();
            }
            Err(error) => assert_eq!(error.kind, ErrorKind::NotFound),
        }
        assert!(!directory(&endpoint, &id).exists());
    }
}
