//! Conformance tests for implementations of the traits.
//!
//! The crate owns the list of cases. An implementation provides a [`Fixture`] and runs all of them;
//! it cannot omit any. A case that needs a missing [`Capability`] is reported as skipped for
//! that reason.
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
//!         let networks = std::sync::Arc::new(self.0.networks());
//!         Ok(PortLayer::new(self.0.clone()).with_networks(networks))
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
mod listener;
pub mod memory;
mod report;
mod tar;

use std::time::Duration;

use async_trait::async_trait;

pub use check::Failure;
pub use report::{Outcome, Report, Verdict};

#[cfg(doc)]
use crate::Exec;
use crate::exec::Command;
use crate::{Capabilities, Capability, PortLayer, Result};

/// An implementation under test.
#[async_trait]
pub trait Fixture: Send + Sync {
    /// Returns a port layer for the fixture's host. Each call creates a new object for the same
    /// containers, as after a restart of the program.
    async fn open(&self) -> Result<PortLayer>;

    /// Returns the command with which the fixture's guests run a process of this kind.
    fn command(&self, process: Process) -> Command;

    /// Returns the name of a network on which external scopes can be created. Used only if there
    /// are networks.
    fn external_network(&self) -> String {
        "VM Network".to_owned()
    }

    /// Returns the capabilities that the port layer has, but not the guests. For example, a port
    /// layer reads the log of a machine, but not every guest writes one.
    fn guests_lack(&self) -> Capabilities {
        Capabilities::none()
    }

    /// Returns the time limit of a single case.
    fn patience(&self) -> Duration {
        Duration::from_secs(60)
    }
}

/// The behaviour of a command's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Process {
    /// The process exits immediately with this code.
    Exits(u8),
    /// The process runs until a signal ends it.
    Runs,
    /// The process cannot be launched.
    CannotLaunch,
    /// The process writes `ready` and a line feed to standard output, then everything that it
    /// reads to standard output and standard error. When its input ends, or at once if it was not
    /// open, it writes `bye` and a line feed to standard output, and exits with 7.
    Echoes,
    /// The process writes [`FLOOD`] to standard output [`FLOODS`] times, and exits with 0.
    Floods,
    /// Whenever the process reads anything, it writes the size of its terminal to standard output,
    /// as in `80x24`, and a line feed.
    ShowsSize,
}

/// The line that [`Process::Floods`] repeats.
pub const FLOOD: &[u8; 64] = b"0123456789 abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// The number of times that [`Process::Floods`] writes [`FLOOD`]: 4 MiB in total, more than is
/// buffered between a process and its reader.
pub const FLOODS: usize = 1 << 16;

/// One test case.
#[derive(Clone, Copy)]
pub struct Case {
    /// The name of the case, which states what it verifies.
    pub name: &'static str,
    /// The required capabilities; if one is missing, the case is skipped.
    pub needs: &'static [Capability],
    run: cases::Run,
}

impl Case {
    /// Runs only this case.
    pub async fn run_alone(&self, fixture: &dyn Fixture) -> Verdict {
        run_one(fixture, self).await
    }
}

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Case")
            .field("name", &self.name)
            .field("needs", &self.needs)
            .finish()
    }
}

/// Returns all cases, in the order in which they run.
#[must_use]
pub fn cases() -> &'static [Case] {
    cases::ALL
}

/// Runs all cases one after the other. They remove what they create, so the fixture's host may be
/// in use.
pub async fn run(fixture: &dyn Fixture) -> Report {
    run_where(fixture, |_| true).await
}

/// Runs the cases that satisfy a condition, for example those that are affected by a different
/// configuration.
pub async fn run_where(fixture: &dyn Fixture, condition: fn(&Case) -> bool) -> Report {
    let mut report = Report::default();
    for case in cases::ALL.iter().filter(|case| condition(case)) {
        report.push(case.name, run_one(fixture, case).await);
    }
    report
}

async fn run_one(fixture: &dyn Fixture, case: &Case) -> Verdict {
    let layer = match fixture.open().await {
        Ok(layer) => layer,
        Err(error) => return Verdict::Failed(error.into()),
    };
    let lacking = fixture.guests_lack();
    let has = lacking
        .iter()
        .fold(layer.capabilities(), Capabilities::without);
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
        Err(_) => Verdict::Failed(Failure::new("it exceeded the fixture's time limit")),
    }
}
