//! The implementation in memory passes all conformance cases, and skips only those of missing
//! capabilities.
#![cfg(feature = "conformance")]
#![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

mod random_networks;

use std::sync::Arc;

use async_trait::async_trait;
use portlayer::conformance::{self, Fixture, Process};
use portlayer::exec::Command;
use portlayer::memory::{MemoryEvents, MemoryExec, MemoryImages, MemoryStore, MemoryStreams};
use portlayer::{ContainerId, PortLayer, Result};

struct Memory(MemoryExec, MemoryImages, MemoryStore);

#[async_trait]
impl Fixture for Memory {
    async fn open(&self) -> Result<PortLayer> {
        let images = Arc::new(self.1.clone());
        let networks = Arc::new(self.0.networks());
        let events = Arc::new(MemoryEvents::of(self.0.clone()));
        let layer = PortLayer::new(self.0.clone())
            .with_exportable_images(images)
            .with_events(events)
            .with_attachable_streams(Arc::new(MemoryStreams::of(self.0.clone())));
        Ok(layer
            .with_networks(networks)
            .with_store(Arc::new(self.2.clone())))
    }

    fn command(&self, process: Process) -> Command {
        conformance::memory::command(process)
    }
}

impl random_networks::World for Memory {
    const FORGETS: bool = false;
    const CARD_PER_SCOPE: bool = false;

    async fn open(&self) -> PortLayer {
        Fixture::open(self).await.unwrap()
    }

    fn lose_answers(&self) {}

    fn hear(&self) {}

    async fn copy(&self, _: &ContainerId, _: &ContainerId) -> bool {
        false
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    #[test]
    fn no_address_is_held_twice_and_none_is_lost(steps in random_networks::steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.unwrap().block_on(async {
            let exec = MemoryExec::new(conformance::memory::behaviour);
            let world = Memory(exec.clone(), MemoryImages::of(exec), MemoryStore::new());
            random_networks::run(&world, steps).await;
        });
    }
}

#[tokio::test]
async fn memory_passes_without_a_skip() {
    let exec = MemoryExec::new(conformance::memory::behaviour);
    let report = conformance::run(&Memory(
        exec.clone(),
        MemoryImages::of(exec),
        MemoryStore::new(),
    ))
    .await;
    assert!(report.is_success(), "{report}");
    assert_eq!(report.skipped().collect::<Vec<_>>(), []);
    assert_eq!(report.outcomes().len(), conformance::cases().len());
}
