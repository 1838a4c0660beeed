//! Events.

use futures_core::stream::BoxStream;
use futures_util::StreamExt;

use crate::conformance::Process;
use crate::conformance::check::{Bench, Check, Failure, ensure_eq};
use crate::event::{Event, EventKind};
use crate::exec::{Edit, StartOptions, StopOptions};
use crate::{Capability, ContainerId, ExitStatus, Result};

/// Returns the next event of a container.
async fn next(
    events: &mut BoxStream<'static, Event>,
    id: &ContainerId,
) -> Result<EventKind, Failure> {
    loop {
        let Some(event) = events.next().await else {
            return Err(Failure::new("the events have ended"));
        };
        let container = match &event.kind {
            EventKind::Created { container }
            | EventKind::Started { container }
            | EventKind::Stopped { container, .. }
            | EventKind::Updated { container }
            | EventKind::Removed { container } => container,
            EventKind::Resync => return Err(Failure::new("events were missed")),
            EventKind::Health { .. } => continue,
        };
        if container == id {
            return Ok(event.kind);
        }
    }
}

pub(super) async fn a_life_is_told_in_order(bench: &Bench<'_>) -> Check {
    let before = bench.create(Process::Runs).await?;
    let mut events = bench.events().subscribe().await?;
    let mut others = bench.reopen().await?.events().subscribe().await?;
    // Events from before the subscription are not delivered.
    bench.exec().remove(&before).await?;
    let removed = EventKind::Removed { container: before };
    ensure_eq!(next(&mut events, &before).await?, removed);

    let container = bench.create(Process::Runs).await?;
    let edit = Edit::new().label("told", "yes");
    bench.exec().update(&container, edit).await?;
    bench.exec().start(&container, StartOptions::new()).await?;
    let exit = bench.exec().stop(&container, StopOptions::AT_ONCE).await?;
    bench.exec().remove(&container).await?;
    let mut expected = vec![
        EventKind::Created { container },
        EventKind::Updated { container },
        EventKind::Started { container },
        EventKind::Stopped { container, exit },
        EventKind::Removed { container },
    ];
    if !bench.has(Capability::GuestKeys) {
        // Without this capability it is unknown when the process starts.
        expected.retain(|event| !matches!(event, EventKind::Started { .. }));
    }
    for events in [&mut events, &mut others] {
        for expected in &expected {
            ensure_eq!(next(events, &container).await?, *expected);
        }
    }
    Ok(())
}

pub(super) async fn an_end_is_told_with_its_exit(bench: &Bench<'_>) -> Check {
    let container = bench.create(Process::Exits(3)).await?;
    let mut events = bench.events().subscribe().await?;
    for _run in 0..2 {
        bench.exec().start(&container, StartOptions::new()).await?;
        bench.exec().wait(&container).await?;
        ensure_eq!(
            next(&mut events, &container).await?,
            EventKind::Started { container }
        );
        let exit = ExitStatus::Code(3);
        ensure_eq!(
            next(&mut events, &container).await?,
            EventKind::Stopped { container, exit }
        );
    }
    let refused = bench.create(Process::CannotLaunch).await?;
    let created = EventKind::Created { container: refused };
    ensure_eq!(next(&mut events, &refused).await?, created);
    if bench
        .exec()
        .start(&refused, StartOptions::new())
        .await
        .is_ok()
    {
        return Err(Failure::new(
            "a process that cannot be launched was reported as started",
        ));
    }
    let exit = ExitStatus::NotLaunched;
    let container = refused;
    ensure_eq!(
        next(&mut events, &refused).await?,
        EventKind::Stopped { container, exit }
    );
    Ok(())
}
