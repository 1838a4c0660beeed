//! Concurrent callers, and callers that drop futures.

use std::time::Duration;

use futures_util::future::join_all;

use crate::conformance::Process;
use crate::conformance::check::{Bench, Check, Failure, ensure, ensure_eq};
use crate::exec::{ContainerSpec, StartOptions, StopOptions};
use crate::{Error, ErrorKind, StateKind};

pub(super) async fn of_many_starts_one_wins(bench: &Bench<'_>) -> Check {
    let id = bench.create(Process::Runs).await?;
    let results = join_all((0..4).map(|_| bench.exec().start(&id, StartOptions::new()))).await;
    let (won, lost): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
    ensure_eq!(won.len(), 1);
    for result in lost {
        ensure!(
            result,
            Err(Error {
                kind: ErrorKind::InvalidState { .. },
                ..
            })
        );
    }
    Ok(())
}

pub(super) async fn of_many_creates_with_one_name_one_wins(bench: &Bench<'_>) -> Check {
    let name = bench.spec(Process::Runs).name;
    let specs = (0..4).map(|_| ContainerSpec {
        name: name.clone(),
        ..bench.spec(Process::Runs)
    });
    let results = join_all(specs.map(|spec| bench.exec().create(spec))).await;
    let (won, lost): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
    ensure_eq!(won.len(), 1);
    for result in lost {
        ensure!(
            result,
            Err(Error {
                kind: ErrorKind::AlreadyExists,
                ..
            })
        );
    }
    Ok(())
}

pub(super) async fn containers_do_not_wait_for_each_other(bench: &Bench<'_>) -> Check {
    let run = async || {
        let id = bench.create(Process::Runs).await?;
        bench.exec().start(&id, StartOptions::new()).await?;
        bench.exec().stop(&id, StopOptions::AT_ONCE).await?;
        bench.exec().remove(&id).await
    };
    // A wait for one container does not block operations on others.
    let waited = bench.create(Process::Runs).await?;
    bench.exec().start(&waited, StartOptions::new()).await?;
    let all = join_all((0..4).map(|_| run()));
    let ended = tokio::select! {
        biased;
        ended = bench.exec().wait(&waited) => Err(ended),
        results = all => Ok(results),
    };
    ensure!(ended, Ok(ref results) if results.iter().all(Result::is_ok));
    Ok(())
}

pub(super) async fn many_waiters_get_the_same_exit(bench: &Bench<'_>) -> Check {
    let id = bench.create(Process::Runs).await?;
    bench.exec().start(&id, StartOptions::new()).await?;
    let waiters = join_all((0..4).map(|_| bench.exec().wait(&id)));
    let (exits, stopped) = tokio::join!(waiters, bench.exec().stop(&id, StopOptions::AT_ONCE));
    let stopped = stopped?;
    for exit in exits {
        ensure_eq!(exit?, stopped);
    }
    Ok(())
}

pub(super) async fn a_dropped_start_leaves_a_container_that_works(bench: &Bench<'_>) -> Check {
    let id = bench.create(Process::Runs).await?;
    // The future is dropped at an arbitrary point; whether the start succeeds does not matter.
    let _ = tokio::time::timeout(
        Duration::from_millis(1),
        bench.exec().start(&id, StartOptions::new()),
    )
    .await;
    // The endpoint completes a change that it has begun, so the container may already be on.
    loop {
        match bench.exec().start(&id, StartOptions::new()).await {
            Ok(_)
            | Err(Error {
                kind: ErrorKind::InvalidState { .. },
                ..
            }) => break,
            // Steps of the dropped start may cause a conflict.
            Err(Error {
                kind: ErrorKind::Conflict { .. },
                ..
            }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let on = bench.state(&id).await?;
    ensure!(on.kind(), StateKind::Running | StateKind::Starting);
    bench.exec().stop(&id, StopOptions::AT_ONCE).await?;
    ensure_eq!(bench.state(&id).await?.kind(), StateKind::Stopped);
    bench.exec().remove(&id).await?;
    Ok(())
}
