//! Defects of events.

use std::sync::Arc;

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt, stream};
use portlayer::conformance::{self, Fixture, Process};
use portlayer::event::{Event, EventKind, Events};
use portlayer::exec::Command;
use portlayer::memory::{MemoryEvents, MemoryExec};
use portlayer::{Exec, ExitStatus, PortLayer, Result};

#[derive(Clone, Copy, Debug)]
enum Broken {
    /// No events are reported.
    TellsNothing,
    /// Existing containers are reported as new.
    TellsThePast,
    /// Changes of settings are not reported.
    HidesUpdates,
    /// The exit status is not reported.
    LosesExits,
    /// The start is reported again when the process ends.
    StartsTwice,
}

const ALL: [(Broken, &str); 5] = [
    (Broken::TellsNothing, "a_life_is_told_in_order"),
    (Broken::TellsThePast, "a_life_is_told_in_order"),
    (Broken::HidesUpdates, "a_life_is_told_in_order"),
    (Broken::LosesExits, "an_end_is_told_with_its_exit"),
    (Broken::StartsTwice, "an_end_is_told_with_its_exit"),
];

#[derive(Clone, Debug)]
struct Breaking {
    broken: Broken,
    exec: MemoryExec,
}

#[async_trait]
impl Events for Breaking {
    async fn subscribe(&self) -> Result<BoxStream<'static, Event>> {
        let broken = self.broken;
        let events = MemoryEvents::of(self.exec.clone()).subscribe().await?;
        let mut past = Vec::new();
        if matches!(broken, Broken::TellsThePast) {
            for info in self.exec.list().await?.containers {
                let container = info.id;
                let time = info.created.unwrap_or_default();
                past.push(Event::new(time, EventKind::Created { container }));
            }
        }
        let told = events.flat_map(move |mut event| {
            let mut told = Vec::new();
            match (broken, &mut event.kind) {
                (Broken::TellsNothing, _) | (Broken::HidesUpdates, EventKind::Updated { .. }) => {
                    return stream::iter(told);
                }
                (Broken::LosesExits, EventKind::Stopped { exit, .. }) => *exit = ExitStatus::Lost,
                (Broken::StartsTwice, EventKind::Stopped { container, .. }) => {
                    let container = *container;
                    told.push(Event::new(event.time, EventKind::Started { container }));
                }
                _ => {}
            }
            told.push(event);
            stream::iter(told)
        });
        Ok(stream::iter(past).chain(told).boxed())
    }
}

#[async_trait]
impl Fixture for Breaking {
    async fn open(&self) -> Result<PortLayer> {
        Ok(PortLayer::new(self.exec.clone()).with_events(Arc::new(self.clone())))
    }

    fn command(&self, process: Process) -> Command {
        conformance::memory::command(process)
    }

    fn patience(&self) -> std::time::Duration {
        std::time::Duration::from_secs(1)
    }
}

#[tokio::test]
async fn every_broken_promise_about_events_is_noticed() {
    for (broken, expected) in ALL {
        let exec = MemoryExec::new(conformance::memory::behaviour);
        let report = conformance::run(&Breaking { broken, exec }).await;
        let outcome = report.outcomes().iter().find(|o| o.case == expected);
        assert!(
            matches!(outcome, Some(o) if matches!(o.verdict, conformance::Verdict::Failed(_))),
            "{broken:?} went unnoticed:\n{report}"
        );
    }
}
