//! An endpoint that cannot be reached anymore in the middle of an installation, and later can.

use std::sync::Arc;
use std::time::Duration;

use portlayer::vsphere::{
    ContainerPolicy, Dialect, HostState, Hosts, InstallError, InstallProgress, InstallStatus,
    InstallStep, Options, kind,
};
use portlayer::{ErrorKind, ResourceKind};
use simulator::Platform;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use vsphere_client::{Client, Credentials, RetryPolicy};

use crate::Endpoint;
use crate::folders::cluster;
use crate::interrupted::inventory;

/// A network connection to an endpoint, which can be cut and restored.
struct Link {
    /// The address that clients connect to.
    address: std::net::SocketAddr,
    server: String,
    is_open: watch::Sender<bool>,
}

impl Link {
    async fn new(server: &str) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let link = Arc::new(Self {
            address: listener.local_addr().unwrap(),
            server: server.to_owned(),
            is_open: watch::Sender::new(true),
        });
        tokio::spawn(Arc::clone(&link).forward(listener));
        link
    }

    /// Forwards connections until the link is cut. Then the port is closed.
    async fn forward(self: Arc<Self>, listener: TcpListener) {
        let mut is_open = self.is_open.subscribe();
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                _ = is_open.wait_for(|open| !open) => return,
                accepted = listener.accept() => accepted,
            };
            let (mut client, _) = accepted.unwrap();
            let server = self.server.clone();
            connections.spawn(async move {
                let mut server = TcpStream::connect(server).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    }

    fn cut(&self) {
        self.is_open.send_replace(false);
    }

    async fn restore(self: &Arc<Self>) {
        // The port is free as soon as the listener is dropped.
        let listener = loop {
            match TcpListener::bind(self.address).await {
                Ok(listener) => break listener,
                Err(_) => tokio::task::yield_now().await,
            }
        };
        self.is_open.send_replace(true);
        tokio::spawn(Arc::clone(self).forward(listener));
    }
}

/// Returns access to the hosts through a link.
async fn through(link: &Link, endpoint: &Endpoint) -> Hosts {
    let simulator = &endpoint.simulator;
    let mut retry = RetryPolicy::default();
    retry.budget = Duration::from_millis(200);
    retry.pause = Duration::from_millis(20);
    let client = Client::builder(format!("https://{}", link.address))
        .credentials(Credentials::password(
            simulator.user(),
            simulator.password(),
        ))
        .thumbprint(simulator.thumbprint().parse().unwrap())
        .retry(retry)
        .connect()
        .await
        .unwrap();
    Hosts::new(client, Options::default())
}

fn quiet(_: InstallProgress) {}

/// The steps at whose ends the link is cut, each with the kind of an object that is then left.
const CUTS: [(InstallStep, Option<ResourceKind>); 6] = [
    (InstallStep::Validate, None),
    (InstallStep::ResourcePool, Some(kind::RESOURCE_POOL)),
    (InstallStep::Folder, Some(kind::FOLDER)),
    (InstallStep::Appliance, Some(kind::VIRTUAL_MACHINE)),
    (InstallStep::BootstrapIso, Some(kind::VIRTUAL_MACHINE)),
    (InstallStep::Configure, Some(kind::VIRTUAL_MACHINE)),
];

/// Installs a host, and cuts the link at the end of this step. Returns `None` if there is no such step.
async fn cut_at(
    step: InstallStep,
    link: &Link,
    endpoint: &Endpoint,
    hosts: &Hosts,
) -> Option<InstallError> {
    let observer = |progress: InstallProgress| {
        if (progress.step, progress.status) == (step, InstallStatus::Finished) {
            link.cut();
        }
    };
    let installed = hosts.install(endpoint.spec("cut"), &observer);
    let limit = Duration::from_secs(60);
    let installed = tokio::time::timeout(limit, installed).await;
    installed.expect("the installation ends").err()
}

#[tokio::test]
async fn an_endpoint_that_cannot_be_reached_anymore_is_named_with_what_is_left() {
    let mut resumes = false;
    for endpoint in [
        Endpoint::start(Dialect::Vic1, Platform::default()).await,
        cluster(true).await,
        cluster(false).await,
    ] {
        let before = inventory(&endpoint).await;
        let link = Link::new(endpoint.client.server()).await;
        let hosts = through(&link, &endpoint).await;
        for (step, left) in CUTS {
            // The steps alternate, so that each is resumed on one endpoint and deleted on another.
            resumes = !resumes;
            let policy = ContainerPolicy::Refuse;
            let Some(failed) = cut_at(step, &link, &endpoint, &hosts).await else {
                // This endpoint has no such step.
                hosts.delete("cut", policy).await.unwrap();
                continue;
            };
            let unreachable = matches!(
                failed.error().kind,
                ErrorKind::Unavailable { .. }
                    | ErrorKind::OutcomeUnknown { .. }
                    | ErrorKind::Timeout { .. }
            );
            assert!(unreachable, "{step}: {failed:?}");
            let kinds: Vec<_> = failed.left_behind().iter().map(|left| left.kind).collect();
            let text = failed.to_string();
            match left {
                Some(left) => {
                    assert!(kinds.contains(&left), "{step}: {kinds:?}");
                    let remedy = "; install the host again to resume, or delete it";
                    assert!(text.ends_with(remedy), "{text}");
                }
                None => assert!(!text.contains("left behind"), "{text}"),
            }

            link.restore().await;
            if resumes {
                let resumed = hosts.install(endpoint.spec("cut"), &quiet).await;
                assert_eq!(resumed.unwrap().state, HostState::Running, "{step}");
            }
            if resumes || left.is_some() {
                let deleted = hosts.delete("cut", policy).await.unwrap();
                assert_eq!(deleted.left, [], "{step}");
            }
            let now = inventory(&endpoint).await;
            let left: Vec<_> = now.difference(&before).collect();
            assert!(left.is_empty(), "{step}: {left:?}");
        }
        resumes = !resumes;
    }
}
