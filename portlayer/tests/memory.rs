//! The implementation in memory passes every case, and skips only what it names.
#![cfg(feature = "conformance")]

use async_trait::async_trait;
use portlayer::conformance::{self, Fixture, HostFixture, Process};
use portlayer::exec::Command;
use portlayer::host::{HostSpec, Hosts, Iso};
use portlayer::memory::{MemoryExec, MemoryHosts};
use portlayer::{PortLayer, Result};

struct Memory(MemoryExec);

#[async_trait]
impl Fixture for Memory {
    async fn open(&self) -> Result<PortLayer> {
        Ok(PortLayer::new(self.0.clone()))
    }

    fn command(&self, process: Process) -> Command {
        conformance::memory::command(process)
    }
}

#[tokio::test]
async fn memory_passes_without_a_skip() {
    let report = conformance::run(&Memory(MemoryExec::new(conformance::memory::behaviour))).await;
    assert!(report.is_success(), "{report}");
    assert_eq!(report.skipped().collect::<Vec<_>>(), []);
    assert_eq!(report.outcomes().len(), conformance::cases().len());
}

struct MemoryEndpoint(MemoryHosts);

impl HostFixture for MemoryEndpoint {
    fn hosts(&self) -> &dyn Hosts {
        &self.0
    }

    fn spec(&self, name: &str) -> HostSpec {
        HostSpec::new(name, Iso::bytes("appliance"), Iso::bytes("bootstrap"))
    }
}

#[tokio::test]
async fn memory_passes_the_cases_about_hosts() {
    let hosts = MemoryHosts::new(conformance::memory::behaviour);
    let report = conformance::run_hosts(&MemoryEndpoint(hosts)).await;
    assert!(report.is_success(), "{report}");
    assert_eq!(report.outcomes().len(), conformance::host_cases().len());
}
