//! The agent's platform: a container on this host.

use std::fmt::Write as _;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use simulator::{GuestAddress, GuestMachine, GuestNic, GuestNicAddresses};
use tether::guestinfo::vic::ExecutorConfig;
use tether::sys::{Archive, ContainerSetup, Isolation, Launch};
use tether::{
    Created, Platform, PlatformError, Prepared, Process, Supervisor, SupervisorError,
    container_files, host_name,
};

use crate::cards::{Cards, PlannedCard, addresses, nic_of, plan};
use crate::container::Container;
use crate::guest::Shared;
use crate::limitations::of_networks;
use crate::probe::RootMethod;
use crate::tree::owners_of;

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
    /// `None` if the container has no cards.
    _cards: Option<Cards>,
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
        let method = self.shared.method;
        let container = tokio::task::spawn_blocking(move || {
            container.settle(&chain, method, fresh)?;
            Ok(container)
        });
        let container = container
            .await
            .map_err(io::Error::other)
            .and_then(|done| done)
            .map_err(failed)?;
        let tree = self.shared.trees.get(&disk.chain).await.map_err(failed)?;
        Ok((tree, container, fresh))
    }

    /// Creates the container with these cards.
    async fn make(
        &self,
        config: &ExecutorConfig,
        cards: Option<&[PlannedCard]>,
    ) -> Result<(Supervisor, Created), PlatformError> {
        let (tree, container, fresh) = self.image().await?;
        let method = self.shared.method;
        let owners = owners_of(&tree);
        let prepared = tokio::task::spawn_blocking(move || {
            let root = container.prepare(&tree, method, fresh);
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
        match cards {
            Some(cards) => setup.cards = cards.iter().map(|card| card.setup.clone()).collect(),
            None => setup.addresses = addresses(config).map(alone).collect(),
        }
        setup.files = container_files(config);
        // The table of an image's tree; the user's own directory has none.
        if owners.is_relative() && self.shared.work.path().join(&owners).exists() {
            setup.owners = Some(owners);
        }
        setup.sub_ids = self.shared.work.sub_ids().cloned();

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
        let created = supervisor.set_up(setup).await.map_err(refused)?;
        Ok((supervisor, created))
    }

    fn running(&self) -> Result<&Running, PlatformError> {
        let running = self.running.get();
        running.ok_or_else(|| PlatformError::new("the container is not running"))
    }
}

/// Returns an address without its network. A loopback device takes all addresses of a network for its
/// own, so a container would reach itself at the addresses of the others.
const fn alone((address, _): (IpAddr, u8)) -> (IpAddr, u8) {
    match address {
        IpAddr::V4(_) => (address, 32),
        IpAddr::V6(_) => (address, 128),
    }
}

#[async_trait]
impl Platform for MachinePlatform {
    async fn prepare(&self, config: &ExecutorConfig) -> Result<Prepared, PlatformError> {
        let mut prepared = Prepared::default();
        prepared.notes = of_networks(&self.shared.network, config);
        let nics = &self.machine.hardware().nics;
        let switch = self.shared.switch.as_ref();
        let planned = switch.map(|_| plan(nics, config, &mut prepared.notes));
        let (supervisor, created) = self.make(config, planned.as_deref()).await?;
        prepared.notes.extend(created.notes);
        let cards = switch.zip(planned).map(|(switch, planned)| {
            let (machine, files) = (&self.machine, created.cards);
            Cards::connect(machine, switch, &planned, files, &mut prepared.notes)
        });
        for (name, endpoint) in &config.networks {
            if let Some(address) = endpoint.address.and_then(|address| address.net()) {
                prepared.addresses.insert(name.clone(), address);
            }
        }
        let running = Running {
            supervisor,
            addresses: addresses(config).map(|(ip, _)| ip).collect(),
            _cards: cards,
        };
        if self.running.set(running).is_err() {
            return Err(PlatformError::new("the container already exists"));
        }
        self.machine.set_host_name(&host_name(config));
        let nics: Vec<_> = reported(nics, config).collect();
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
        let launched = self.running()?.supervisor.launch(launch).await;
        launched.map_err(|error| match (error, &self.shared.no_sub_ids) {
            (SupervisorError::Refused(reason), Some(missing)) if is_about_user(&reason) => {
                PlatformError::new(format!("{reason} ({missing})"))
            }
            (error, _) => refused(error),
        })
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
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
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

/// Returns whether a process was not started because the system refused its user.
fn is_about_user(reason: &str) -> bool {
    reason.starts_with("run as user ")
}

/// Returns the addresses of a container by card.
fn reported(nics: &[GuestNic], config: &ExecutorConfig) -> impl Iterator<Item = GuestNicAddresses> {
    config.networks.values().filter_map(move |endpoint| {
        let address = endpoint.address?.net()?;
        let nic = nic_of(nics, endpoint)?;
        let address = GuestAddress::new(address.addr(), address.prefix_len());
        Some(GuestNicAddresses::new(&nic.mac).address(address))
    })
}
