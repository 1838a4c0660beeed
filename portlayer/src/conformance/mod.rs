//! What every implementation of [`Exec`] must do, as cases that run on any of them.
//!
//! The crate owns the list. An implementation hands in a [`Fixture`] and runs all of it; it cannot
//! leave a case out. A case that needs a [`Capability`] which the implementation names as missing
//! is shown as skipped for that reason.
//!
//! ```
//! use portlayer::conformance::{self, Fixture, Process};
//! use portlayer::exec::{Command, ContainerSpec};
//! use portlayer::memory::{Behaviour, MemoryExec};
//! use portlayer::PortLayer;
//!
//! struct Memory(MemoryExec);
//!
//! #[async_trait::async_trait]
//! impl Fixture for Memory {
//!     async fn open(&self) -> portlayer::Result<PortLayer> {
//!         Ok(PortLayer::new(self.0.clone()))
//!     }
//!     fn command(&self, process: Process) -> Command {
//!         conformance::memory::command(process)
//!     }
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
//! let fixture = Memory(MemoryExec::new(conformance::memory::behaviour));
//! let report = conformance::run(&fixture).await;
//! assert!(report.is_success(), "{report}");
//! # });
//! ```

mod cases;
mod check;
pub mod memory;
mod report;

use std::time::Duration;

use async_trait::async_trait;

pub use check::Failure;
pub use report::{Outcome, Report, Verdict};

#[cfg(doc)]
use crate::Exec;
use crate::exec::Command;
use crate::{Capability, PortLayer, Result};

/// An implementation under test.
#[async_trait]
pub trait Fixture: Send + Sync {
    /// A port layer on the fixture's host. Each call makes a new object on the same containers, as
    /// a program that was started again would have.
    async fn open(&self) -> Result<PortLayer>;

    /// The command whose process behaves so, in this fixture's guests.
    fn command(&self, process: Process) -> Command;

    /// A network that external scopes can be made on, where there are networks.
    fn external_network(&self) -> String {
        "VM Network".to_owned()
    }

    /// The longest that a single case may take.
    fn patience(&self) -> Duration {
        Duration::from_secs(60)
    }
}

/// What the process of a command does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Process {
    /// It exits at once with this code.
    Exits(u8),
    /// It runs until a signal ends it.
    Runs,
    /// It cannot be launched.
    CannotLaunch,
}

/// One case.
#[derive(Clone, Copy)]
pub struct Case {
    /// Its name: what holds if it passes.
    pub name: &'static str,
    /// Without any of these it is skipped.
    pub needs: &'static [Capability],
    run: cases::Run,
}

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Case")
            .field("name", &self.name)
            .field("needs", &self.needs)
            .finish()
    }
}

/// All cases, in the order in which they run.
#[must_use]
pub fn cases() -> &'static [Case] {
    cases::ALL
}

/// Runs all cases, one after the other. They remove what they made, so the fixture's host may be
/// one that is in use.
pub async fn run(fixture: &dyn Fixture) -> Report {
    let mut report = Report::default();
    for case in cases::ALL {
        report.push(case.name, run_one(fixture, case).await);
    }
    report
}

async fn run_one(fixture: &dyn Fixture, case: &Case) -> Verdict {
    let layer = match fixture.open().await {
        Ok(layer) => layer,
        Err(error) => return Verdict::Failed(error.into()),
    };
    let has = layer.capabilities();
    if let Some(missing) = case.needs.iter().find(|needed| !has.contains(**needed)) {
        return Verdict::Skipped(*missing);
    }
    judge(
        fixture.patience(),
        (case.run)(check::Bench::new(fixture, layer)),
    )
    .await
}

async fn judge(patience: Duration, run: impl Future<Output = check::Check>) -> Verdict {
    match tokio::time::timeout(patience, run).await {
        Ok(Ok(())) => Verdict::Passed,
        Ok(Err(failure)) => Verdict::Failed(failure),
        Err(_) => Verdict::Failed(Failure::new("it took longer than the fixture's patience")),
    }
}
