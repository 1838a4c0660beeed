//! Installations that are interrupted at arbitrary points, continued, and deleted. A direct look at
//! the endpoint afterwards finds nothing of them.

use std::collections::BTreeSet;
use std::path::Path;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use portlayer::ErrorKind;
use portlayer::vsphere::{ContainerPolicy, Dialect, HostState, Hosts, InstallProgress, Options};
use simulator::Platform;
use vim25::{mo, props};

use super::{Endpoint, spec};

/// The number of points at which an installation is interrupted.
const CUTS: usize = 5;

#[tokio::test]
async fn a_cut_installation_is_continued_and_deleted_without_a_trace() {
    let endpoint = Endpoint::start(Dialect::Vic1, Platform::default()).await;
    let before = inventory(&endpoint).await;
    // A new `Hosts` has no state, like a restarted process.
    let hosts = || Hosts::new(endpoint.client.clone(), Options::default());
    let spec = spec("cut").create_bridge(true).public_network("VM Network");
    let quiet = |_: InstallProgress| {};

    let mut polls = usize::MAX;
    for cut in 0..=CUTS {
        // The first run is not interrupted, and counts the polls.
        let at = if cut == 0 {
            usize::MAX
        } else {
            polls * cut / (CUTS + 1)
        };
        let hosts_now = hosts();
        let install = Box::pin(hosts_now.install(spec.clone(), &quiet));
        let (ended, polled) = cut_at(install, at).await;
        if cut == 0 {
            ended.unwrap().unwrap();
            polls = polled;
        }
        // Every second installation is deleted directly; the others are continued first. Deleting
        // is retried, because operations on the endpoint may still be in progress.
        if cut > 0 && cut % 2 == 0 {
            let continued = again(async || {
                let hosts = hosts();
                match Box::pin(hosts.install(spec.clone(), &quiet)).await {
                    // It was interrupted after all steps were done.
                    Err(error) if error.error().kind == ErrorKind::AlreadyExists => {
                        match hosts.find("cut").await {
                            Ok(info) if info.state == HostState::Running => Ok(info),
                            other => Err(format!("{error:?}, found {other:?}")),
                        }
                    }
                    installed => installed.map_err(|error| format!("{error:?}")),
                }
            })
            .await;
            assert_eq!(continued.state, HostState::Running, "cut at poll {at}");
        }
        again(async || {
            match hosts().delete("cut", ContainerPolicy::Refuse).await {
                Err(error) if !error.is_not_found() => return Err(format!("{error:?}")),
                _ => {}
            }
            let left: Vec<_> = inventory(&endpoint)
                .await
                .difference(&before)
                .cloned()
                .collect();
            if left.is_empty() {
                Ok(())
            } else {
                Err(format!("cut at poll {at} of {polls}: {left:?} are left"))
            }
        })
        .await;
    }
}

/// Retries until the operation succeeds, with a time limit.
pub(crate) async fn again<T, E: std::fmt::Debug>(mut work: impl AsyncFnMut() -> Result<T, E>) -> T {
    let mut last = None;
    for _ in 0..50 {
        match work().await {
            Ok(done) => return done,
            Err(error) => last = Some(error),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{last:?}");
}

/// Polls a future a limited number of times and then drops it. Returns its output, if it completed,
/// and the number of polls.
async fn cut_at<F: Future>(future: F, polls: usize) -> (Option<F::Output>, usize) {
    let mut future = pin!(future);
    let mut polled = 0;
    let output = std::future::poll_fn(|cx| {
        if polled == polls {
            return Poll::Ready(None);
        }
        polled += 1;
        future.as_mut().poll(cx).map(Some)
    })
    .await;
    (output, polled)
}

/// Lists everything on the endpoint without using the port layer.
pub(crate) async fn inventory(endpoint: &Endpoint) -> BTreeSet<String> {
    let root = &endpoint.client.service_content().root_folder;
    let entities = endpoint
        .client
        .retrieve::<mo::ManagedEntity>()
        .property(props::managed_entity::NAME)
        .within(root)
        .collect()
        .await
        .unwrap();
    let mut all: BTreeSet<_> = entities
        .iter()
        .map(|entity| {
            let name = entity
                .value(props::managed_entity::NAME)
                .unwrap_or_default();
            format!("{:?} {name}", entity.object())
        })
        .collect();
    let hosts = endpoint
        .client
        .retrieve::<mo::HostSystem>()
        .property(props::host_system::CONFIG)
        .within(root)
        .collect()
        .await
        .unwrap();
    for host in &hosts {
        let network = host
            .value(props::host_system::CONFIG)
            .and_then(|config| config.network)
            .unwrap_or_default();
        all.extend(network.vswitch.iter().map(|switch| switch.key.clone()));
    }
    files(endpoint.simulator.datastore_directory(), &mut all);
    all
}

fn files(directory: &Path, all: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(directory).unwrap().flatten() {
        let path = entry.path();
        all.insert(path.display().to_string());
        if path.is_dir() {
            files(&path, all);
        }
    }
}
