//! Progress and errors of an installation.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Error, Resource};

/// A step of an installation, in execution order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Step {
    /// Looks up everything named in the specification. Changes nothing.
    Validate,
    /// Creates the resource pool.
    ResourcePool,
    /// Creates the appliance's machine.
    Appliance,
    /// Uploads the image that the appliance boots.
    ApplianceIso,
    /// Uploads the image that containers boot.
    BootstrapIso,
    /// Writes the configuration and inserts the image.
    Configure,
    /// Switches the appliance on.
    PowerOn,
}

impl Step {
    /// All steps, in order.
    pub const ALL: [Self; 7] = [
        Self::Validate,
        Self::ResourcePool,
        Self::Appliance,
        Self::ApplianceIso,
        Self::BootstrapIso,
        Self::Configure,
        Self::PowerOn,
    ];
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Validate => "validate",
            Self::ResourcePool => "create the resource pool",
            Self::Appliance => "create the appliance",
            Self::ApplianceIso => "upload the appliance image",
            Self::BootstrapIso => "upload the bootstrap image",
            Self::Configure => "write the configuration",
            Self::PowerOn => "power on the appliance",
        })
    }
}

/// The status of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StepStatus {
    /// The step started.
    Started,
    /// The step transferred this many of `total` bytes; the total may be unknown.
    Transferred {
        /// The bytes transferred so far.
        done: u64,
        /// The total bytes.
        total: Option<u64>,
    },
    /// The step finished.
    Finished,
    /// The step failed; the earlier steps will be undone.
    Failed,
    /// A later step failed, and what this one created was removed again.
    Undone,
    /// A later step failed, and what this one created could not be removed.
    LeftBehind,
}

/// One progress report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The step.
    pub step: Step,
    /// The status of the step.
    pub status: StepStatus,
}

/// A receiver of progress reports, implemented by every `Fn(Progress) + Send + Sync`. It should
/// return quickly.
pub trait Observe: Send + Sync {
    /// Receives one report.
    fn observe(&self, progress: Progress);
}

impl<F: Fn(Progress) + Send + Sync> Observe for F {
    fn observe(&self, progress: Progress) {
        self(progress);
    }
}

/// The error of a failed installation.
///
/// Its [`source`](std::error::Error::source) is the [`Error`] that stopped it.
#[derive(Debug)]
pub struct InstallError {
    host: Box<str>,
    step: Step,
    error: Error,
    left_behind: Vec<Resource>,
}

impl InstallError {
    /// Creates the error of a failed installation of `host`, from the failed step, its error and
    /// what could not be removed again.
    #[must_use]
    pub fn new(host: &str, step: Step, error: Error, left_behind: Vec<Resource>) -> Self {
        Self {
            host: host.into(),
            step,
            error,
            left_behind,
        }
    }

    /// Returns the step that failed.
    #[must_use]
    pub fn step(&self) -> Step {
        self.step
    }

    /// Returns the error of the step.
    #[must_use]
    pub fn error(&self) -> &Error {
        &self.error
    }

    /// Returns what was created and could not be removed again; empty if nothing is left.
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
        Ok(())
    }
}

impl std::error::Error for InstallError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}
