//! The platform of an agent that is the first process of a machine.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};

use async_trait::async_trait;
use guestinfo::vic::ExecutorConfig;
use tether_sys::{Archive, ContainerSetup, Isolation, Launch, RootDirectory, set_host_name};

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
    leased: tokio::sync::Mutex<Leased>,
}

/// The container's files, and what they depend on.
#[derive(Debug, Default)]
struct Leased {
    config: ExecutorConfig,
    /// What DHCP assigned, by the name of the network.
    changes: BTreeMap<String, NetworkChange>,
    files: Vec<(String, Vec<u8>)>,
}

impl Leased {
    /// Returns the files of the container. With a card that DHCP configures, these always include
    /// `/etc/resolv.conf`, because its content can change.
    fn current_files(&self) -> Vec<(String, Vec<u8>)> {
        const RESOLVER: &str = "/etc/resolv.conf";
        let mut config = self.config.clone();
        for (name, change) in &self.changes {
            if let Some(endpoint) = config.networks.get_mut(name) {
                network::apply(endpoint, change);
            }
        }
        let mut files = container_files(&config);
        let mut endpoints = config.networks.values();
        let may_change = endpoints.any(|endpoint| endpoint.address.is_none());
        if may_change && files.iter().all(|(path, _)| path != RESOLVER) {
            files.push((RESOLVER.to_owned(), Vec::new()));
        }
        files
    }
}

impl OwnMachine {
    pub(super) fn new(supervisor: Supervisor, button: PowerButton, notes: Vec<String>) -> Self {
        Self {
            supervisor,
            button,
            notes: Mutex::new(notes),
            networks: OnceLock::new(),
            leased: tokio::sync::Mutex::default(),
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
        let configured = network::configure(config, &name, &mut prepared.notes).await;
        prepared.addresses = configured.addresses;
        for (name, change) in &configured.leased {
            if let Some(leased) = &change.leased {
                prepared.leased.insert(name.clone(), leased.clone());
            }
        }
        // Prepared only once.
        let _ = self.networks.set(configured.networks);
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
        let mut leased = Leased {
            config: config.clone(),
            changes: configured.leased,
            files: Vec::new(),
        };
        leased.files = leased.current_files();
        setup.files.clone_from(&leased.files);
        *self.leased.lock().await = leased;
        let created = self.supervisor.set_up(setup).await.map_err(refused)?;
        prepared.notes.extend(created.notes);
        Ok(prepared)
    }

    async fn launch(&self, launch: Launch) -> Result<Process, PlatformError> {
        self.supervisor.launch(launch).await.map_err(refused)
    }

    async fn signal(&self, pid: i32, signal: i32) -> Result<(), PlatformError> {
        let sent = self.supervisor.signal(pid, signal).await;
        sent.map_err(refused)
    }

    async fn archive(&self, archive: Archive) -> Result<Process, PlatformError> {
        self.supervisor.archive(archive).await.map_err(refused)
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

    async fn apply_network_change(&self, change: &NetworkChange) -> Result<(), PlatformError> {
        let mut leased = self.leased.lock().await;
        leased
            .changes
            .insert(change.network.clone(), change.clone());
        let files = leased.current_files();
        for file in files.iter().filter(|file| !leased.files.contains(file)) {
            let (path, content) = file;
            let written = self.supervisor.write_file(path, content.clone()).await;
            written.map_err(refused)?;
        }
        leased.files = files;
        Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;
    use guestinfo::vic::{AssignedNetwork, NetworkEndpoint};

    fn file(leased: &Leased, wanted: &str) -> Option<String> {
        let files = leased.current_files();
        let found = files.into_iter().find(|(path, _)| path == wanted);
        found.map(|(_, content)| String::from_utf8_lossy(&content).into_owned())
    }

    #[test]
    fn a_later_lease_changes_the_resolver_and_the_hosts() {
        let resolver = |leased: &Leased| file(leased, "/etc/resolv.conf");
        let mut leased = Leased::default();
        leased.config.hostname = "box".to_owned();
        assert_eq!(resolver(&leased), None, "the image's file is kept");
        let endpoint = NetworkEndpoint::default();
        leased.config.networks.insert("lan".to_owned(), endpoint);
        assert_eq!(
            resolver(&leased).as_deref(),
            Some(""),
            "nothing is leased yet"
        );
        let lease = |server: &str, domain: &str| NetworkChange {
            network: "lan".to_owned(),
            address: Some("10.0.0.9/24".parse().expect("an address")),
            leased: Some(AssignedNetwork {
                nameservers: vec![server.parse().expect("an address")],
                ..AssignedNetwork::default()
            }),
            domain: Some(domain.to_owned()),
        };
        for (server, domain) in [("10.0.0.53", "a.example"), ("10.0.0.54", "b.example")] {
            leased
                .changes
                .insert("lan".to_owned(), lease(server, domain));
            let expected = format!("search {domain}\nnameserver {server}\n");
            assert_eq!(resolver(&leased), Some(expected));
        }
        let hosts = file(&leased, "/etc/hosts").expect("a file");
        assert!(hosts.contains("10.0.0.9\tbox\n"), "{hosts}");
        let endpoint = leased.config.networks.get_mut("lan").expect("a network");
        endpoint.network.search_domain = Some("team.example".to_owned());
        let fixed = resolver(&leased).expect("a file");
        assert!(fixed.starts_with("search team.example\n"), "{fixed}");
        let ended = NetworkChange::default();
        leased.changes.insert("lan".to_owned(), ended);
        assert_eq!(resolver(&leased).as_deref(), Some("search team.example\n"));
    }
}
