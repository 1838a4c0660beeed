//! How an installation tells where it is.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Error, Resource};

/// A step of an installation, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Step {
    /// Looks up everything that the specification names. Changes nothing.
    Validate,
    /// Makes the resource pool.
    ResourcePool,
    /// Makes the appliance's machine.
    Appliance,
    /// Sends the image that the appliance boots.
    ApplianceIso,
    /// Sends the image that containers boot.
    BootstrapIso,
    /// Writes the configuration and inserts the image.
    Configure,
    /// Switches the appliance on.
    PowerOn,
}

impl Step {
    /// All of them, in order.
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

/// What happens to a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StepStatus {
    /// It begins.
    Started,
    /// It has done this many of so many bytes; the total may be unknown.
    Transferred {
        /// Bytes done.
        done: u64,
        /// Bytes in all.
        total: Option<u64>,
    },
    /// It is done.
    Finished,
    /// It failed; the steps before it are about to be undone.
    Failed,
    /// A later step failed and this one's work is removed again.
    Undone,
    /// A later step failed and this one's work could not be removed.
    LeftBehind,
}

/// One report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Which step.
    pub step: Step,
    /// What happens to it.
    pub status: StepStatus,
}

/// Receives the progress. Every `Fn(Progress) + Send + Sync` is one; it should return soon.
pub trait Observe: Send + Sync {
    /// Takes one report.
    fn observe(&self, progress: Progress);
}

impl<F: Fn(Progress) + Send + Sync> Observe for F {
    fn observe(&self, progress: Progress) {
        self(progress);
    }
}

/// An installation that was not finished.
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
    /// The error of a back end's installation of `host` that `error` ended in `step`, with what
    /// could not be removed again.
    #[must_use]
    pub fn new(host: &str, step: Step, error: Error, left_behind: Vec<Resource>) -> Self {
        Self {
            host: host.into(),
            step,
            error,
            left_behind,
        }
    }

    /// The step that failed.
    #[must_use]
    pub fn step(&self) -> Step {
        self.step
    }

    /// Why.
    #[must_use]
    pub fn error(&self) -> &Error {
        &self.error
    }

    /// What the installation made and could not remove again; empty if nothing is left.
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
