//! Endpoints that forget the keys of the appliance that were written while it was on, once it is
//! switched off: the scopes are read from their copy in the appliance's directory.

use std::collections::BTreeSet;
use std::path::PathBuf;

use portlayer::exec::Exec;
use portlayer::network::{Networks, ScopeSpec};
use portlayer::vsphere::{ContainerPolicy, Dialect, Problem, VsphereExec};
use portlayer::{Error, ErrorKind};
use simulator::{Platform, Reaction};
use vim25::{Ref, mo, props};

use super::{Endpoint, on, small};

impl Endpoint {
    async fn vch(&self) -> Ref<mo::VirtualMachine> {
        let root = &self.client.service_content().root_folder;
        let name = props::virtual_machine::NAME;
        let all = self.client.retrieve().property(name).within(root);
        let all = all.collect().await.unwrap();
        let mut named = all
            .iter()
            .filter(|vm| vm.value(name).as_deref() == Some("vch"));
        named.next().unwrap().object().clone()
    }

    /// Switches the appliance off, and on again.
    async fn cycle(&self) {
        let vm = self.vch().await;
        self.client.run(vm.power_off_vm()).await.unwrap();
        self.client.run(vm.power_on_vm(None)).await.unwrap();
    }

    /// Returns the only copy of the scopes.
    fn copy(&self) -> PathBuf {
        let directory = self.simulator.datastore_directory().join("vch");
        let files = std::fs::read_dir(directory).unwrap().flatten();
        let copies = files.map(|file| file.path()).filter(|path| {
            let name = path.file_name().unwrap().to_string_lossy();
            name.starts_with("portlayer-scopes-")
        });
        let copies: Vec<_> = copies.collect();
        assert_eq!(copies.len(), 1, "{copies:?}");
        copies[0].clone()
    }
}

async fn names(exec: &VsphereExec) -> BTreeSet<String> {
    let scopes = exec.networks().list().await.unwrap();
    scopes.into_iter().map(|scope| scope.spec.name).collect()
}

async fn problems(exec: &VsphereExec) -> Vec<Problem> {
    let found = exec.check().await.unwrap();
    assert!(found.iter().all(|found| found.is_repairable()), "{found:?}");
    found.into_iter().map(|found| found.problem).collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn platform() -> Platform {
    let platform = Platform::default();
    assert!(!platform.api_keys_written_while_on_survive);
    platform
}

#[tokio::test]
async fn scopes_outlive_the_power_off_of_the_appliance() {
    for dialect in Dialect::ALL {
        let endpoint = Endpoint::start(dialect, platform()).await;
        let exec = endpoint.reopen(false).await;
        for (number, name) in (1..).zip(["a", "b", "c"]) {
            exec.networks().create(small(name, number)).await.unwrap();
        }
        exec.networks().remove("b").await.unwrap();
        let all = set(&["bridge", "a", "c"]);
        let subnet = exec.networks().inspect("c").await.unwrap().spec.subnet;
        assert_eq!(problems(&exec).await, []);
        endpoint.cycle().await;
        // The program that has the host open, and another one, which reports what happened.
        assert_eq!(names(&exec).await, all);
        let other = endpoint.reopen(false).await;
        assert_eq!(problems(&other).await, [Problem::ForgottenScopes]);
        assert_eq!(names(&other).await, all);
        let found = other.networks().inspect("c").await.unwrap();
        assert_eq!(found.spec.subnet, subnet);
        // Changing scopes and connecting containers store everything again.
        exec.networks().create(small("d", 4)).await.unwrap();
        assert_eq!(problems(&exec).await, []);
        endpoint.cycle().await;
        let connected = other.create(on("web", "d")).await.unwrap();
        assert_eq!(problems(&other).await, []);
        other.remove(&connected).await.unwrap();
        // So does a repair, also while the appliance is off: then the keys last.
        endpoint.cycle().await;
        let vm = endpoint.vch().await;
        endpoint.client.run(vm.power_off_vm()).await.unwrap();
        let repaired = other.repair().await.unwrap();
        assert!(repaired.failed.is_empty(), "{repaired:?}");
        endpoint.client.run(vm.power_on_vm(None)).await.unwrap();
        std::fs::remove_file(endpoint.copy()).unwrap();
        let last = endpoint.reopen(false).await;
        assert_eq!(names(&last).await, set(&["bridge", "a", "c", "d"]));
        assert_eq!(problems(&last).await, [Problem::ScopesCopy]);
        // The deletion of the host leaves no copy.
        last.repair().await.unwrap();
        let (directory, file) = (endpoint.copy(), endpoint.copy());
        assert!(file.exists());
        drop((exec, other, last));
        let deleted = endpoint.hosts.delete("vch", ContainerPolicy::Refuse).await;
        assert_eq!(deleted.unwrap().left, []);
        assert!(!directory.parent().unwrap().exists());
    }
}

/// The only writer stores the scopes again when it opens the host.
#[tokio::test]
async fn the_only_writer_repairs_what_was_forgotten() {
    let endpoint = Endpoint::start(Dialect::Vic1, platform()).await;
    let exec = endpoint.reopen(false).await;
    exec.networks()
        .create(ScopeSpec::bridge("a"))
        .await
        .unwrap();
    drop(exec);
    endpoint.cycle().await;
    let exec = endpoint.reopen(true).await;
    let repaired = async {
        while !exec.check().await.unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    let repaired = tokio::time::timeout(std::time::Duration::from_secs(10), repaired).await;
    assert!(repaired.is_ok(), "the scopes are not stored again");
    assert_eq!(names(&exec).await, set(&["bridge", "a"]));
}

/// A copy that is damaged or was changed by hand is reported, and neither used nor kept.
#[tokio::test]
async fn a_copy_that_is_damaged_or_different_is_reported() {
    let endpoint = Endpoint::start(Dialect::Vic1, platform()).await;
    let exec = endpoint.reopen(false).await;
    exec.networks()
        .create(ScopeSpec::bridge("a"))
        .await
        .unwrap();
    let all = set(&["bridge", "a"]);
    let newer = |path: PathBuf, version: u64| {
        path.with_file_name(format!("portlayer-scopes-{version}.json"))
    };
    let edits: [&dyn Fn(PathBuf); 5] = [
        &|path| std::fs::write(path, r#"{"version":"#).unwrap(),
        &|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            let (start, _) = text.split_once("\"scopes\"").unwrap();
            std::fs::write(&path, format!("{start}\"scopes\":{{}}}}")).unwrap();
        },
        &|path| std::fs::remove_file(path).unwrap(),
        &|path| std::fs::write(newer(path, 900), "").unwrap(),
        // A version that differs from that of the name.
        &|path| std::fs::write(newer(path, 9000), r#"{"version":7,"scopes":{}}"#).unwrap(),
    ];
    for (number, edit) in edits.into_iter().enumerate() {
        edit(endpoint.copy());
        let other = endpoint.reopen(false).await;
        assert_eq!(names(&other).await, all);
        let found = problems(&other).await;
        assert_eq!(found, [Problem::ScopesCopy], "edit {number}");
        assert_eq!(names(&other).await, all);
        let repaired = other.repair().await.unwrap();
        let counts = (repaired.repaired.len(), repaired.failed.len());
        assert_eq!(counts, (1, 0), "{repaired:?}");
        assert_eq!(problems(&other).await, []);
        endpoint.copy();
        endpoint.cycle().await;
        assert_eq!(names(&endpoint.reopen(false).await).await, all);
        other.repair().await.unwrap();
    }
}

/// Every request of creating and removing a scope fails, or its answer is lost, in turn; then the
/// endpoint forgets the keys. What was acknowledged is there, and what was refused is not.
#[tokio::test]
async fn nothing_acknowledged_is_forgotten_whatever_request_fails() {
    for (creates, reaction) in [(true, Reaction::LoseAnswer), (false, Reaction::Disconnect)] {
        let endpoint = Endpoint::start(Dialect::Vic1, platform()).await;
        let script = endpoint.simulator.script();
        let mut at = 1;
        loop {
            let what = format!("{creates} {reaction:?} at request {at}");
            let exec = endpoint.reopen(false).await;
            exec.networks().list().await.unwrap();
            if !creates {
                exec.networks()
                    .create(ScopeSpec::bridge("a"))
                    .await
                    .unwrap();
            }
            script.nth_of_all(at, reaction.clone());
            let answer: Result<(), Error> = match creates {
                true => exec
                    .networks()
                    .create(ScopeSpec::bridge("a"))
                    .await
                    .map(drop),
                false => exec.networks().remove("a").await,
            };
            let is_over = script.pending() > 0;
            script.clear();
            drop(exec);
            endpoint.cycle().await;
            let other = endpoint.reopen(false).await;
            let repaired = other.repair().await.unwrap();
            assert!(repaired.failed.is_empty(), "{what}: {repaired:?}");
            let is_there = names(&other).await.contains("a");
            match &answer {
                Ok(()) => assert_eq!(is_there, creates, "{what}"),
                Err(error) => {
                    let refused = matches!(
                        error.kind,
                        ErrorKind::InvalidArgument { .. } | ErrorKind::InUse { .. }
                    );
                    assert!(!refused, "{what}: {error:?}");
                }
            }
            assert_eq!(problems(&other).await, [], "{what}");
            if is_there {
                other.networks().remove("a").await.unwrap();
            }
            if is_over {
                assert!(at > 4 && answer.is_ok(), "{what}: {answer:?}");
                break;
            }
            at += 1;
        }
    }
}
