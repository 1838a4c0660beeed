//! The operations on its machine that an agent requires.

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;
use guestinfo::vic::{AssignedNetwork, ExecutorConfig};
use ipnet::IpNet;
use tether_sys::{Archive, Launch};

use crate::process::Process;

/// The machine of an agent: its file systems, network, processes and power.
#[async_trait]
pub trait Platform: fmt::Debug + Send + Sync + 'static {
    /// Configures the machine: host name, network, root
    /// file system, volumes. Called once, before all others.
    ///
    /// # Errors
    /// Fails when no process can run. The error's text is reported as the reason why the
    /// sessions did not start.
    async fn prepare(&self, config: &ExecutorConfig) -> Result<Prepared, PlatformError>;

    /// Starts a process. If the future is dropped, the process is killed.
    ///
    /// # Errors
    /// Fails with the reason why the process was not started.
    async fn launch(&self, launch: Launch) -> Result<Process, PlatformError>;

    /// Sends a signal, by its Linux number, to a process that
    /// [`launch`](Self::launch) started, or to all processes if `pid` is 0.
    ///
    /// # Errors
    /// Fails when the process or the platform has ended.
    async fn signal(&self, pid: i32, signal: i32) -> Result<(), PlatformError>;

    /// Starts the transfer of an archive out of the container or into it, as a
    /// [process](Archive). If the future is dropped, the process is killed. By default, archives are
    /// refused.
    ///
    /// # Errors
    /// Fails with the reason why the transfer was not started.
    async fn archive(&self, _: Archive) -> Result<Process, PlatformError> {
        let text = "this machine does not support archives of a running container";
        Err(PlatformError::new(text))
    }

    /// Waits until an address changes that was leased by DHCP. Cancel-safe. By default, addresses do
    /// not change.
    async fn network_changed(&self) -> NetworkChange {
        std::future::pending().await
    }

    /// Updates the container's files, such as `/etc/resolv.conf`, after a
    /// [change](Self::network_changed). By default, there are none.
    ///
    /// # Errors
    /// Fails when a file cannot be written. The error's text is stored in the container's
    /// diagnostics.
    async fn apply_network_change(&self, _: &NetworkChange) -> Result<(), PlatformError> {
        Ok(())
    }

    /// Waits until the host requests a shutdown of the machine.
    async fn shutdown_requested(&self);

    /// Switches the machine off. It may return before the machine is off.
    async fn power_off(&self);
}

/// The result of the preparation of a machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Prepared {
    /// The assigned addresses, by the name of the network.
    pub addresses: BTreeMap<String, IpNet>,
    /// The other values that DHCP assigned, by the name of the network.
    pub leased: BTreeMap<String, AssignedNetwork>,
    /// One sentence for each missing feature of the container. They are
    /// stored in the container's diagnostics.
    pub notes: Vec<String>,
}

/// A change of what DHCP assigned for a network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkChange {
    /// The name of the network.
    pub network: String,
    /// The address; `None` if the lease has ended.
    pub address: Option<IpNet>,
    /// The other values.
    pub leased: Option<AssignedNetwork>,
    /// The search domain.
    pub domain: Option<String>,
}

/// The reason why an operation of the platform failed, in words for the user of the container.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct PlatformError {
    reason: String,
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl PlatformError {
    /// Creates an error with this reason.
    pub fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            source: None,
        }
    }

    /// Sets the cause of the error.
    #[must_use]
    pub fn caused_by(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }
}
