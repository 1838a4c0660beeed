//! The agent's platform: a container on this host.

use std::fmt::Write as _;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use simulator::{GuestAddress, GuestMachine, GuestNicAddresses};
use tether::guestinfo::vic::ExecutorConfig;
use tether::sys::{Archive, ContainerSetup, Isolation, Launch};
use tether::{
    Platform, PlatformError, Prepared, Process, Supervisor, SupervisorError, container_files,
    host_name,
};

use crate::container::Container;
use crate::guest::Shared;
use crate::limitations::of_networks;
use crate::probe::RootMethod;

/// A machine whose processes run on this host.
#[derive(Debug)]
pub(crate) struct MachinePlatform {
    shared: Arc<Shared>,
    machine: GuestMachine,
    running: OnceLock<Running>,
}

#[derive(Debug)]
struct Running {
    supervisor: Supervisor,
    addresses: Vec<IpAddr>,
}

impl MachinePlatform {
    pub(crate) const fn new(shared: Arc<Shared>, machine: GuestMachine) -> Self {
        Self {
            shared,
            machine,
            running: OnceLock::new(),
        }
    }

    /// Returns the supervisor; `None` until the container runs.
    pub(crate) fn supervisor(&self) -> Option<&Supervisor> {
        Some(&self.running.get()?.supervisor)
    }

    /// Returns whether the container runs and has this address.
    pub(crate) fn has(&self, address: IpAddr) -> bool {
        let running = self.running.get();
        running.is_some_and(|running| running.addresses.contains(&address))
    }

    /// Returns whether a container runs whose root file system is on this disk.
    pub(crate) fn runs_on(&self, disk: &Path) -> bool {
        let disks = &self.machine.hardware().disks;
        let root = disks.first().and_then(|root| root.chain.first());
        self.running.get().is_some() && root.is_some_and(|root| root == disk)
    }

    /// Returns the tree of the container's image, the directory with its changes, and whether
    /// these have to be deleted first.
    async fn image(&self) -> Result<(PathBuf, Container, bool), PlatformError> {
        let hardware = self.machine.hardware();
        let disk = hardware.disks.first().filter(|disk| !disk.chain.is_empty());
        // A disk without a parent is empty, because it has no image.
        let directory = self.shared.image_directory.as_ref();
        let directory = directory.filter(|_| disk.is_none_or(|disk| disk.chain.len() == 1));
        if let Some(directory) = directory {
            let key = PathBuf::from(format!("machine {}", hardware.uuid));
            let container = self.shared.containers.lock(&key).await;
            return Ok((directory.clone(), container, false));
        }
        let Some(disk) = disk else {
            return Err(PlatformError::new(
                "the container has no root file system: its machine has no disk with an image",
            ));
        };
        let fresh = disk.mode.is_discarded();
        let own = &disk.chain[0];
        let failed = |error: io::Error| {
            PlatformError::new(format!(
                "the image on the disk {} cannot be unpacked: {}",
                own.display(),
                causes(&error)
            ))
            .caused_by(error)
        };
        let container = self.shared.containers.lock(own).await;
        let chain = disk.chain.clone();
        let container = tokio::task::spawn_blocking(move || {
            container.resume_write_back(&chain).map(|()| container)
        });
        let container = container
            .await
            .map_err(io::Error::other)
            .and_then(|done| done)
            .map_err(failed)?;
        let tree = self.shared.trees.get(&disk.chain).await.map_err(failed)?;
        Ok((tree, container, fresh))
    }

    /// Creates the container. Returns a note for each missing feature.
    async fn make(
        &self,
        config: &ExecutorConfig,
    ) -> Result<(Supervisor, Vec<String>), PlatformError> {
        let (tree, container, fresh) = self.image().await?;
        let (work, method) = (Arc::clone(&self.shared.work), self.shared.method);
        let prepared = tokio::task::spawn_blocking(move || {
            let root = container.prepare(work.path(), &tree, method, fresh);
            root.map(|root| (root, container))
        });
        let failed = |error: io::Error| {
            PlatformError::new(format!(
                "the root file system cannot be created: {}",
                causes(&error)
            ))
            .caused_by(error)
        };
        let prepared = prepared
            .await
            .map_err(io::Error::other)
            .and_then(|done| done);
        let (root, container) = prepared.map_err(failed)?;
        let (mount_point, stage) = container.mount_points();
        let mut setup = ContainerSetup::new(self.shared.work.path(), root, mount_point, stage);
        if method == RootMethod::Chroot {
            setup.isolation = Isolation::Chroot;
        }
        setup.hostname = host_name(config);
        setup.domainname.clone_from(&config.domainname);
        setup.addresses = addresses(config)
            .map(|(_, ip, prefix)| (ip, prefix))
            .collect();
        setup.files = container_files(config);

        let (supervisor, mut child) = self.shared.helper.start().map_err(|error| {
            PlatformError::new(format!(
                "the first process of the container cannot be started: {error}"
            ))
            .caused_by(error)
        })?;
        // Keeps the directory locked until everything in the container has ended.
        tokio::spawn(async move {
            if let Err(error) = child.wait().await {
                tracing::warn!(%error, "cannot wait for the end of a container");
            }
            drop(container);
        });
        let notes = supervisor.set_up(setup).await.map_err(refused)?;
        Ok((supervisor, notes))
    }

    fn running(&self) -> Result<&Running, PlatformError> {
        let running = self.running.get();
        running.ok_or_else(|| PlatformError::new("the container is not running"))
    }
}

#[async_trait]
impl Platform for MachinePlatform {
    async fn prepare(&self, config: &ExecutorConfig) -> Result<Prepared, PlatformError> {
        let (supervisor, notes) = self.make(config).await?;
        let mut prepared = Prepared::default();
        prepared.notes = notes;
        let missing = of_networks(self.shared.method, config);
        prepared.notes.extend(missing);
        for (name, endpoint) in &config.networks {
            if let Some(address) = endpoint.address.and_then(|address| address.net()) {
                prepared.addresses.insert(name.clone(), address);
            }
        }
        let running = Running {
            supervisor,
            addresses: addresses(config).map(|(_, ip, _)| ip).collect(),
        };
        if self.running.set(running).is_err() {
            return Err(PlatformError::new("the container already exists"));
        }
        self.machine.set_host_name(&host_name(config));
        let nics: Vec<_> = nics(&self.machine, config).collect();
        if !nics.is_empty() {
            self.machine.set_network_info(&nics);
        }
        Ok(prepared)
    }

    async fn launch(&self, mut launch: Launch) -> Result<Process, PlatformError> {
        if self.shared.ignore_users {
            launch.user.clear();
            launch.group.clear();
        }
        self.running()?
            .supervisor
            .launch(launch)
            .await
            .map_err(refused)
    }

    async fn signal(&self, pid: i32, signal: i32) -> Result<(), PlatformError> {
        self.running()?
            .supervisor
            .signal(pid, signal)
            .await
            .map_err(refused)
    }

    async fn archive(&self, archive: Archive) -> Result<Process, PlatformError> {
        self.running()?
            .supervisor
            .archive(archive)
            .await
            .map_err(refused)
    }

    async fn shutdown_requested(&self) {
        self.machine.shutdown_requested().await;
    }

    async fn power_off(&self) {
        self.machine.power_off();
    }
}

/// Formats an error and its causes in one line, because a [`PlatformError`] is reported as text.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}

fn refused(error: SupervisorError) -> PlatformError {
    match error {
        SupervisorError::Refused(reason) => PlatformError::new(reason),
        error => PlatformError::new(causes(&error)).caused_by(error),
    }
}

/// Returns the fixed addresses of a container: network, address, prefix length.
fn addresses(config: &ExecutorConfig) -> impl Iterator<Item = (&str, IpAddr, u8)> {
    let endpoints = config.networks.iter();
    endpoints.filter_map(|(name, endpoint)| {
        let address = endpoint.address?.net()?;
        Some((name.as_str(), address.addr(), address.prefix_len()))
    })
}

/// Returns the addresses of a container by card. An endpoint identifies its card by the PCI slot.
fn nics(
    machine: &GuestMachine,
    config: &ExecutorConfig,
) -> impl Iterator<Item = GuestNicAddresses> {
    let nics = &machine.hardware().nics;
    config.networks.values().filter_map(move |endpoint| {
        let address = endpoint.address?.net()?;
        let slot = endpoint.common.id.parse().ok();
        let nic = nics
            .iter()
            .find(|nic| slot.is_some() && nic.pci_slot == slot);
        let nic = nic.or_else(|| nics.first())?;
        let address = GuestAddress::new(address.addr(), address.prefix_len());
        Some(GuestNicAddresses::new(&nic.mac).address(address))
    })
}
