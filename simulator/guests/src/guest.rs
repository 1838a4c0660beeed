//! The process guest.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use async_trait::async_trait;
use simulator::{Guest, GuestDisk, GuestMachine};
use tether::Agent;

use crate::builder::ProcessGuestBuilder;
use crate::command::execute;
use crate::container::Containers;
use crate::dial::Dialer;
use crate::helper::Helper;
use crate::limitations::Network;
use crate::lines::MachineLines;
use crate::platform::MachinePlatform;
use crate::probe::RootMethod;
use crate::switch::Switch;
use crate::tree::Trees;
use crate::work::WorkDir;

/// Runs the processes of container machines on this host.
///
/// A machine whose keys contain sessions is a container. Its root file system is that of its
/// first disk: the base of the disk's chain is unpacked once and shared. The container's
/// changes are stored separately until the disk is read. Then they are merged with the disk's
/// content, and the grains that differ from the parent are written to the disk. A machine
/// without sessions, such as an appliance, stays on and reports that its tools are running.
/// When a machine is switched off, or the simulator ends, all processes in its container are
/// killed.
///
/// Containers on a network reach each other, where the host allows it; [`Dialer`] connects to servers
/// in them. See [network](crate#network).
///
/// Clones refer to the same guest.
#[derive(Clone, Debug)]
pub struct ProcessGuest(pub(crate) Arc<Shared>);

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) helper: Helper,
    pub(crate) method: RootMethod,
    pub(crate) network: Network,
    /// Connects the containers' network cards; `None` if they have none.
    pub(crate) switch: Option<Arc<Switch>>,
    pub(crate) limitations: Vec<String>,
    /// Why subordinate ids are not used; `None` if they are, or if they are not necessary.
    pub(crate) no_sub_ids: Option<String>,
    pub(crate) trees: Trees,
    pub(crate) containers: Containers,
    pub(crate) image_directory: Option<PathBuf>,
    pub(crate) ignore_users: bool,
    pub(crate) machines: Mutex<Vec<Weak<MachinePlatform>>>,
    /// Must be the last field, because dropping it deletes the files that the others use.
    pub(crate) work: Arc<WorkDir>,
}

impl ProcessGuest {
    /// Creates a builder for the settings of a guest.
    pub fn builder() -> ProcessGuestBuilder {
        ProcessGuestBuilder::default()
    }

    /// Returns how the root file systems of containers are created, as determined at start.
    #[must_use]
    pub fn method(&self) -> RootMethod {
        self.0.method
    }

    /// Returns what containers on this host lack, as determined at start: one sentence each, for the
    /// user. At least other systems are out of reach.
    #[must_use]
    pub fn limitations(&self) -> &[String] {
        &self.0.limitations
    }

    /// Returns a dialer that connects to servers in containers.
    #[must_use]
    pub fn dialer(&self) -> Dialer {
        Dialer(Arc::clone(&self.0))
    }
}

impl Shared {
    /// Returns the running container with this address.
    pub(crate) fn at(&self, address: IpAddr) -> Option<Arc<MachinePlatform>> {
        let machines = self.machines.lock().unwrap_or_else(PoisonError::into_inner);
        let mut machines = machines.iter().filter_map(Weak::upgrade);
        machines.find(|machine| machine.has(address))
    }

    fn enter(&self, machine: &Arc<MachinePlatform>) {
        let mut machines = self.machines.lock().unwrap_or_else(PoisonError::into_inner);
        machines.retain(|machine| machine.strong_count() > 0);
        machines.push(Arc::downgrade(machine));
    }
}

#[async_trait]
impl Guest for ProcessGuest {
    async fn run(&self, machine: GuestMachine) {
        machine.set_tools_running(true);
        let platform = MachinePlatform::new(Arc::clone(&self.0), machine.clone());
        let platform = Arc::new(platform);
        self.0.enter(&platform);
        let lines = Arc::new(MachineLines(machine.clone()));
        let name = machine.name();
        let agent = Agent::new(
            Arc::<MachinePlatform>::clone(&platform),
            lines,
            machine.clone(),
        );
        let sessions = agent.sessions();
        let commands = async {
            loop {
                execute(machine.next_program().await, &sessions, &platform).await;
            }
        };
        let done = tokio::select! {
            done = agent.run() => done,
            () = commands => return,
        };
        if let Err(error) = done {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            tracing::warn!(machine = name, %error, cause, "the agent of a machine failed");
        }
    }

    async fn flush(&self, disk: &GuestDisk) -> io::Result<()> {
        let Some(path) = disk.chain.first().filter(|_| !disk.mode.is_discarded()) else {
            return Ok(());
        };
        let container = self.0.containers.lock(path).await;
        let (chain, method) = (disk.chain.clone(), self.0.method);
        tokio::task::spawn_blocking(move || container.write_back(&chain, method)).await?
    }

    /// Refuses while a container runs on the disk: its changes are written back only after its
    /// end.
    async fn release(&self, disk: &GuestDisk) -> io::Result<()> {
        let machines = self.0.machines.lock();
        let machines = machines.unwrap_or_else(PoisonError::into_inner);
        let runs = disk.chain.first().is_some_and(|path| {
            let mut machines = machines.iter().filter_map(Weak::upgrade);
            machines.any(|machine| machine.runs_on(path))
        });
        if runs {
            return Err(io::Error::new(
                io::ErrorKind::ResourceBusy,
                "a container runs on the disk",
            ));
        }
        Ok(())
    }

    async fn forget(&self, disk: &GuestDisk) {
        let Some(path) = disk.chain.first() else {
            return;
        };
        let container = self.0.containers.lock(path).await;
        let done = tokio::task::spawn_blocking(move || container.remove()).await;
        if let Err(error) = done.map_err(io::Error::other).and_then(|done| done) {
            tracing::warn!(%error, "the changes of a container were not deleted");
        }
    }
}
