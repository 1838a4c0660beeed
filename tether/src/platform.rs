//! What an agent does to the machine that it runs in.

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;
use guestinfo::vic::ExecutorConfig;
use ipnet::IpNet;
use tether_sys::Launch;

use crate::process::Process;

/// The machine of an agent: its file systems, network, processes and power.
#[async_trait]
pub trait Platform: fmt::Debug + Send + Sync + 'static {
    /// Makes the machine what the configuration says: host name, network, root
    /// file system, volumes. Called once, before all others.
    ///
    /// # Errors
    /// When a process cannot run in what came of it. The error's text is
    /// reported as the reason why the sessions did not start.
    async fn prepare(&self, config: &ExecutorConfig) -> Result<Prepared, PlatformError>;

    /// Starts a process. If the future is dropped, the process is killed.
    ///
    /// # Errors
    /// Why it was not started.
    async fn launch(&self, launch: Launch) -> Result<Process, PlatformError>;

    /// Sends a signal, by its Linux number, to a process that
    /// [`launch`](Self::launch) started, or to all processes if `pid` is 0.
    ///
    /// # Errors
    /// When the process has ended or the platform is gone.
    async fn signal(&self, pid: i32, signal: i32) -> Result<(), PlatformError>;

    /// Waits until the host asks the machine to shut down.
    async fn shutdown_requested(&self);

    /// Switches the machine off. It may come back before the machine is off.
    async fn power_off(&self);
}

/// What came of the preparation of a machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Prepared {
    /// The addresses that were taken, by the name of the network.
    pub addresses: BTreeMap<String, IpNet>,
    /// One sentence for each thing that the container does without. They are
    /// stored in the container's diagnostics.
    pub notes: Vec<String>,
}

/// Why the platform could not do something, in words for the user of the container.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct PlatformError {
    reason: String,
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl PlatformError {
    /// An error with this reason.
    pub fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            source: None,
        }
    }

    /// The error with the one that caused it.
    #[must_use]
    pub fn caused_by(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }
}
