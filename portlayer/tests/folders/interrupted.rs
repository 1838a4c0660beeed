//! Installations and deletions in a cluster without DRS, with a fault or a kill at each of their
//! requests in turn. Another deletion afterwards leaves nothing.
//!
//! Some requests get one of the faults in every run of the tests. The ignored test interrupts every
//! request with every fault, and takes minutes:
//! `cargo test -p portlayer --features conformance --test simulator -- --ignored folders`

use std::collections::BTreeSet;
use std::time::Duration;

use portlayer::ErrorKind;
use portlayer::exec::{Command, ContainerSpec, Exec};
use portlayer::vsphere::{ContainerPolicy, HostState, Hosts, Options};
use simulator::Reaction;
use vsphere_client::{Client, Credentials, RetryPolicy};

use super::{cluster, contained, quiet};
use crate::Endpoint;
use crate::interrupted::{again, inventory};

/// How long a request is delayed whose program is killed before it is carried out.
const LATE: Duration = Duration::from_millis(20);

/// A fault at one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// The request is carried out, and its answer is lost.
    LoseAnswer,
    /// The request is lost, and the program is killed.
    DropAndKill,
    /// The program is killed while the request is on its way; the request is carried out later.
    Kill,
}

impl Fault {
    const ALL: [Self; 3] = [Self::LoseAnswer, Self::DropAndKill, Self::Kill];

    fn reaction(self) -> Reaction {
        match self {
            Self::LoseAnswer => Reaction::LoseAnswer,
            Self::DropAndKill => Reaction::Disconnect,
            Self::Kill => Reaction::Delay(LATE),
        }
    }
}

impl Endpoint {
    /// Connects as another program would, with little patience.
    async fn connect(&self) -> Hosts {
        let mut retry = RetryPolicy::default();
        retry.budget = Duration::from_secs(2);
        retry.pause = Duration::from_millis(5);
        retry.longest_pause = Duration::from_millis(50);
        let (user, password) = (self.simulator.user(), self.simulator.password());
        let client = Client::builder(self.simulator.url())
            .credentials(Credentials::password(user, password))
            .thumbprint(self.simulator.thumbprint().parse().unwrap())
            .retry(retry)
            .connect()
            .await
            .unwrap();
        Hosts::new(client, Options::default())
    }

    /// Performs an operation with a fault at this request. Returns its result, unless it was killed,
    /// and whether it had fewer requests.
    async fn interrupt<T>(
        &self,
        at: usize,
        fault: Fault,
        work: impl Future<Output = T>,
    ) -> (Option<T>, bool) {
        let script = self.simulator.script();
        script.nth_of_all(at, fault.reaction());
        let kill = async {
            while fault == Fault::LoseAnswer || script.pending() > 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let result = tokio::select! {
            biased;
            result = work => Some(result),
            () = kill => None,
        };
        let is_over = script.pending() > 0;
        script.clear();
        (result, is_over)
    }

    /// Deletes the host until nothing is left of it.
    async fn clear(&self, before: &BTreeSet<String>, what: &str) {
        again(async || {
            self.simulator.time_out_leases();
            let hosts = self.connect().await;
            match hosts.delete("cut", ContainerPolicy::Remove).await {
                Err(error) if !error.is_not_found() => return Err(format!("{what}: {error:?}")),
                _ => {}
            }
            let now = inventory(self).await;
            let left: Vec<_> = now.difference(before).collect();
            if left.is_empty() {
                Ok(())
            } else {
                Err(format!("{what}: {left:?} are left"))
            }
        })
        .await;
        let now = inventory(self).await;
        let gone: Vec<_> = before.difference(&now).collect();
        assert!(gone.is_empty(), "{what}: {gone:?} are gone");
    }
}

/// Of every two interrupted installations, one is continued before it is deleted.
async fn installation(
    endpoint: &Endpoint,
    before: &BTreeSet<String>,
    at: usize,
    fault: Fault,
) -> bool {
    let what = format!("installation, {fault:?} at request {at}");
    let hosts = endpoint.connect().await;
    let install = hosts.install(endpoint.spec("cut"), &quiet);
    let (result, is_over) = endpoint.interrupt(at, fault, install).await;
    if is_over {
        assert!(result.is_some_and(|result| result.is_ok()), "{what}");
    } else if at.is_multiple_of(2) {
        let state = again(async || {
            let hosts = endpoint.connect().await;
            match hosts.install(endpoint.spec("cut"), &quiet).await {
                Err(error) if error.error().kind == ErrorKind::AlreadyExists => {
                    let found = hosts.find("cut").await.map(|host| host.state);
                    match found {
                        Ok(HostState::Running) => Ok(HostState::Running),
                        _ => Err(format!("{what}: {error}, {found:?}")),
                    }
                }
                Err(error) => Err(format!("{what}: {error:?}")),
                Ok(host) => Ok(host.state),
            }
        })
        .await;
        assert_eq!(state, HostState::Running, "{what}");
    }
    endpoint.clear(before, &what).await;
    is_over
}

/// The host has a container that ran from an image, and one without an image.
async fn deletion(endpoint: &Endpoint, before: &BTreeSet<String>, at: usize, fault: Fault) -> bool {
    let what = format!("deletion, {fault:?} at request {at}");
    let hosts = endpoint.connect().await;
    let install = hosts.install(endpoint.spec("cut"), &quiet);
    install.await.expect(&what);
    let exec = hosts.exec("cut").await.expect(&what);
    contained(&exec, "one").await;
    let bare = ContainerSpec::new("two", Command::new("/exit"));
    exec.create(bare).await.expect(&what);
    drop(exec);
    let hosts = endpoint.connect().await;
    let delete = hosts.delete("cut", ContainerPolicy::Remove);
    let (result, is_over) = endpoint.interrupt(at, fault, delete).await;
    if is_over {
        let deletion = result.expect(&what).expect(&what);
        assert!(deletion.left.is_empty(), "{what}: {deletion:?}");
    }
    endpoint.clear(before, &what).await;
    is_over
}

/// Performs an operation with this fault at the request `first`, and at every `step`th afterwards,
/// until the operation has fewer requests.
macro_rules! interrupt {
    ($operation:ident, $first:expr, $step:expr, $fault:expr) => {{
        let endpoint = cluster(false).await;
        let before = inventory(&endpoint).await;
        let mut at = $first;
        while !$operation(&endpoint, &before, at, $fault).await {
            at += $step;
        }
        assert!(at > 20, "{at} requests");
    }};
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_installation_is_interrupted_at_some_requests() {
    for (first, fault) in (1..).zip(Fault::ALL) {
        interrupt!(installation, first, 11, fault);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_is_interrupted_at_some_requests() {
    for (first, fault) in (1..).zip(Fault::ALL) {
        interrupt!(deletion, first, 11, fault);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes"]
async fn installations_and_deletions_are_interrupted_at_each_request() {
    for fault in Fault::ALL {
        interrupt!(installation, 1, 1, fault);
        interrupt!(deletion, 1, 1, fault);
    }
}
