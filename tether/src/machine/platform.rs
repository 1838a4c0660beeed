//! The platform of an agent that is the first process of a machine.

use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};

use async_trait::async_trait;
use guestinfo::vic::ExecutorConfig;
use tether_sys::{ContainerSetup, Isolation, Launch, RootDirectory, set_host_name};

use super::button::PowerButton;
use super::causes;
use super::network::{self, Networks};
use crate::files::{container_files, host_name};
use crate::platform::{NetworkChange, Platform, PlatformError, Prepared};
use crate::process::Process;
use crate::supervisor::{Supervisor, SupervisorError};

/// The label of the container's root file system, as in VIC.
const ROOT: &str = "containerfs";
/// Where the root file system is mounted, and where `/dev` is prepared.
const MOUNT_POINT: &str = "mnt/root";
const STAGE: &str = "mnt/stage";

/// The platform of the first process.
#[derive(Debug)]
pub(super) struct OwnMachine {
    supervisor: Supervisor,
    button: PowerButton,
    /// The failures during boot.
    notes: Mutex<Vec<String>>,
    networks: OnceLock<Networks>,
}

impl OwnMachine {
    pub(super) fn new(supervisor: Supervisor, button: PowerButton, notes: Vec<String>) -> Self {
        Self {
            supervisor,
            button,
            notes: Mutex::new(notes),
            networks: OnceLock::new(),
        }
    }

    fn take_notes(&self) -> Vec<String> {
        std::mem::take(&mut self.notes.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl Platform for OwnMachine {
    async fn prepare(&self, config: &ExecutorConfig) -> Result<Prepared, PlatformError> {
        let mut prepared = Prepared {
            notes: self.take_notes(),
            ..Prepared::default()
        };
        let name = host_name(config);
        if let Err(error) = set_host_name(&name, &config.domainname) {
            prepared.notes.push(causes(&error));
        }
        // With what DHCP assigns.
        let mut config = config.clone();
        let (networks, addresses) =
            network::configure(&mut config, &name, &mut prepared.notes).await;
        prepared.addresses = addresses;
        for (name, endpoint) in &config.networks {
            if let (None, Some(leased)) = (endpoint.address, &endpoint.network.assigned) {
                prepared.leased.insert(name.clone(), leased.clone());
            }
        }
        // Prepared only once.
        let _ = self.networks.set(networks);
        for volume in config.mounts.keys() {
            let note = format!("the volume {volume} is not mounted: volumes are not supported");
            prepared.notes.push(note);
        }
        let directory = |path: &str| {
            std::fs::create_dir_all(Path::new("/").join(path)).map_err(|error| {
                PlatformError::new(format!("cannot create the directory /{path}")).caused_by(error)
            })
        };
        directory(MOUNT_POINT)?;
        directory(STAGE)?;
        let root = RootDirectory::Disk {
            label: ROOT.to_owned(),
        };
        let mut setup = ContainerSetup::new("/", root, MOUNT_POINT, STAGE);
        setup.isolation = Isolation::Machine;
        setup.files = container_files(&config);
        let notes = self.supervisor.set_up(setup).await.map_err(refused)?;
        prepared.notes.extend(notes);
        Ok(prepared)
    }

    async fn launch(&self, launch: Launch) -> Result<Process, PlatformError> {
        self.supervisor.launch(launch).await.map_err(refused)
    }

    async fn signal(&self, pid: i32, signal: i32) -> Result<(), PlatformError> {
        let sent = self.supervisor.signal(pid, signal).await;
        sent.map_err(refused)
    }

    async fn shutdown_requested(&self) {
        self.button.pressed().await;
    }

    async fn network_changed(&self) -> NetworkChange {
        match self.networks.get() {
            Some(networks) => networks.changed().await,
            None => std::future::pending().await,
        }
    }

    /// Does nothing: the supervisor switches the machine off when the agent has ended.
    async fn power_off(&self) {}
}

fn refused(error: SupervisorError) -> PlatformError {
    match error {
        SupervisorError::Refused(reason) => PlatformError::new(reason),
        error => PlatformError::new(causes(&error)).caused_by(error),
    }
}
