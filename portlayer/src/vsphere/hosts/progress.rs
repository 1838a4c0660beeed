//! Progress and errors of an installation.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Finding;
use crate::{Error, Resource};

/// A step of an installation, in execution order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum InstallStep {
    /// Looks up everything that the specification names. Changes nothing.
    Validate,
    /// Creates the resource pool. Not in a cluster without DRS, which has no resource pools.
    ResourcePool,
    /// Creates the inventory folder of the host's machines. Only on vCenter.
    Folder,
    /// Creates the appliance's machine.
    Appliance,
    /// Creates a virtual switch and a port group for containers. Only on ESXi, and only if
    /// [requested](super::HostSpec::create_bridge).
    BridgeNetwork,
    /// Uploads the image that the appliance boots.
    ApplianceIso,
    /// Uploads the image that containers boot.
    BootstrapIso,
    /// Writes the configuration and inserts the appliance's boot image.
    Configure,
    /// Powers on the appliance.
    PowerOn,
    /// Waits for the appliance's address. Only if [requested](super::HostSpec::address_timeout).
    Address,
    /// Waits until the appliance has started its components. Only if
    /// [requested](super::HostSpec::component_timeout).
    Components,
}

impl InstallStep {
    /// All steps, in order.
    pub const ALL: [Self; 11] = [
        Self::Validate,
        Self::ResourcePool,
        Self::Folder,
        Self::Appliance,
        Self::BridgeNetwork,
        Self::ApplianceIso,
        Self::BootstrapIso,
        Self::Configure,
        Self::PowerOn,
        Self::Address,
        Self::Components,
    ];
}

impl fmt::Display for InstallStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Validate => "validate",
            Self::ResourcePool => "create the resource pool",
            Self::Folder => "create the inventory folder",
            Self::Appliance => "create the appliance",
            Self::BridgeNetwork => "create the bridge network",
            Self::ApplianceIso => "upload the appliance image",
            Self::BootstrapIso => "upload the bootstrap image",
            Self::Configure => "write the configuration",
            Self::PowerOn => "power on the appliance",
            Self::Address => "wait for the address",
            Self::Components => "wait for the components",
        })
    }
}

/// The status of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InstallStatus {
    /// The step started.
    Started,
    /// The step transferred `done` of `total` bytes so far.
    Transferred {
        /// The number of bytes transferred so far.
        done: u64,
        /// The total number of bytes, if known.
        total: Option<u64>,
    },
    /// The step finished.
    Finished,
    /// The step failed; the earlier steps will be undone.
    Failed,
    /// A later step failed, and what this step had created was removed again.
    Undone,
    /// A later step failed, and what this step had created could not be removed.
    LeftBehind,
}

/// One progress report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InstallProgress {
    /// The step.
    pub step: InstallStep,
    /// The status of the step.
    pub status: InstallStatus,
}

/// Receives progress reports. Implemented by every `Fn(InstallProgress) + Send + Sync`. It should
/// return quickly.
pub trait ObserveInstall: Send + Sync {
    /// Receives one report.
    fn observe(&self, progress: InstallProgress);
}

impl<F: Fn(InstallProgress) + Send + Sync> ObserveInstall for F {
    fn observe(&self, progress: InstallProgress) {
        self(progress);
    }
}

/// The error of a failed installation.
///
/// Its [`source`](std::error::Error::source) is the [`Error`] that stopped the installation.
#[derive(Debug)]
pub struct InstallError {
    host: Box<str>,
    step: InstallStep,
    error: Error,
    left_behind: Vec<Resource>,
    findings: Vec<Finding>,
}

impl InstallError {
    /// Creates the error of a failed installation of `host` from the failed step, its error, and
    /// the objects that could not be removed again.
    #[must_use]
    pub fn new(host: &str, step: InstallStep, error: Error, left_behind: Vec<Resource>) -> Self {
        Self {
            host: host.into(),
            step,
            error,
            left_behind,
            findings: Vec::new(),
        }
    }

    /// Returns this error with the other findings that refused the installation.
    pub(super) fn with_findings(mut self, findings: Vec<Finding>) -> Self {
        self.findings = findings;
        self
    }

    /// Returns the findings that refused the installation, besides the [error](Self::error). Empty
    /// if the installation failed at a later point.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Returns the step that failed.
    #[must_use]
    pub fn step(&self) -> InstallStep {
        self.step
    }

    /// Returns the error of the step.
    #[must_use]
    pub fn error(&self) -> &Error {
        &self.error
    }

    /// Returns the objects that were created and could not be removed again; empty if nothing is
    /// left.
    #[must_use]
    pub fn left_behind(&self) -> &[Resource] {
        &self.left_behind
    }
}

impl fmt::Display for InstallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "cannot install virtual container host {:?}: {} failed",
            self.host, self.step
        )?;
        for (position, left) in self.left_behind.iter().enumerate() {
            f.write_str(if position == 0 {
                "; left behind and to be removed: "
            } else {
                ", "
            })?;
            left.fmt(f)?;
        }
        if !self.left_behind.is_empty() {
            f.write_str("; install the host again to resume, or delete it")?;
        }
        for finding in &self.findings {
            write!(f, "; also: {finding}")?;
        }
        Ok(())
    }
}

impl std::error::Error for InstallError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}
