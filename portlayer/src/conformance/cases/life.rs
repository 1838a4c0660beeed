//! Start, end, stop, remove.

use crate::conformance::Process;
use crate::conformance::check::{Bench, Check, Failure, ensure, ensure_eq};
use crate::exec::{StartOptions, StopOptions};
use crate::{Capability, Error, ErrorKind, ExitStatus, State, StateKind};

pub(super) async fn start_tells_what_is_known(bench: &Bench<'_>) -> Check {
    let id = bench.create(Process::Runs).await?;
    let known = if bench.has(Capability::GuestKeys) {
        State::Running
    } else {
        State::Starting
    };
    ensure_eq!(bench.exec().start(&id, StartOptions::new()).await?, known);
    ensure_eq!(bench.state(&id).await?, known);
    Ok(())
}

pub(super) async fn a_process_that_ends_at_once_is_stopped_with_its_exit(
    bench: &Bench<'_>,
) -> Check {
    for code in [0, 3] {
        let id = bench.create(Process::Exits(code)).await?;
        let exit = ExitStatus::Code(code.into());
        ensure!(
            bench.exec().start(&id, StartOptions::new()).await?,
            State::Running
                | State::Stopped {
                    exit: ExitStatus::Code(_)
                }
        );
        ensure_eq!(bench.exec().wait(&id).await?, exit);
        ensure_eq!(bench.state(&id).await?, State::Stopped { exit });
    }
    Ok(())
}

pub(super) async fn a_launch_that_fails_says_why(bench: &Bench<'_>) -> Check {
    let id = bench.create(Process::CannotLaunch).await?;
    let started = bench.exec().start(&id, StartOptions::new()).await;
    ensure!(started, Err(Error { kind: ErrorKind::GuestFailed { ref reason }, .. }) if !reason.is_empty());
    bench.exec().wait(&id).await?;
    let info = bench.exec().inspect(&id).await?;
    ensure_eq!(info.state.kind(), StateKind::Stopped);
    ensure!(info.failure, Some(ref reason) if !reason.is_empty());
    bench.exec().remove(&id).await?;
    Ok(())
}

pub(super) async fn a_container_can_be_started_again(bench: &Bench<'_>) -> Check {
    let id = bench.create(Process::Runs).await?;
    let first = bench.exec().start(&id, StartOptions::new()).await?;
    bench.exec().stop(&id, StopOptions::AT_ONCE).await?;
    ensure_eq!(bench.exec().start(&id, StartOptions::new()).await?, first);
    ensure_eq!(bench.state(&id).await?, first);
    Ok(())
}

pub(super) async fn a_new_run_forgets_the_exit_of_the_last(bench: &Bench<'_>) -> Check {
    let id = bench.create(Process::Exits(7)).await?;
    for _ in 0..2 {
        bench.exec().start(&id, StartOptions::new()).await?;
        ensure_eq!(bench.exec().wait(&id).await?, ExitStatus::Code(7));
    }
    // A machine that is cut off leaves no exit behind, least of all that of an earlier run.
    let id = bench.create(Process::Runs).await?;
    bench.exec().start(&id, StartOptions::new()).await?;
    let exit = bench.exec().stop(&id, StopOptions::AT_ONCE).await?;
    ensure_eq!(exit, ExitStatus::KILLED);
    Ok(())
}

pub(super) async fn start_is_refused_while_on(bench: &Bench<'_>) -> Check {
    let id = bench.create(Process::Runs).await?;
    let state = bench.exec().start(&id, StartOptions::new()).await?;
    ensure!(
        bench.exec().start(&id, StartOptions::new()).await,
        Err(Error { kind: ErrorKind::InvalidState { actual, allowed: StateKind::STARTABLE }, .. })
            if actual == state.kind()
    );
    ensure_eq!(bench.state(&id).await?, state);
    Ok(())
}

pub(super) async fn stop_is_idempotent(bench: &Bench<'_>) -> Check {
    let id = bench.create(Process::Runs).await?;
    bench.exec().start(&id, StartOptions::new()).await?;
    let exit = bench.exec().stop(&id, StopOptions::AT_ONCE).await?;
    ensure_eq!(bench.state(&id).await?, State::Stopped { exit });
    ensure_eq!(bench.exec().stop(&id, StopOptions::default()).await?, exit);
    ensure_eq!(bench.exec().wait(&id).await?, exit);
    Ok(())
}

pub(super) async fn stop_is_refused_before_the_first_start(bench: &Bench<'_>) -> Check {
    let id = bench.create(Process::Runs).await?;
    ensure!(
        bench.exec().stop(&id, StopOptions::default()).await,
        Err(Error {
            kind: ErrorKind::InvalidState {
                actual: StateKind::Created,
                ..
            },
            ..
        })
    );
    Ok(())
}

pub(super) async fn remove_is_refused_while_on(bench: &Bench<'_>) -> Check {
    let id = bench.create(Process::Runs).await?;
    let state = bench.exec().start(&id, StartOptions::new()).await?;
    ensure!(
        bench.exec().remove(&id).await,
        Err(Error {
            kind: ErrorKind::InvalidState {
                allowed: StateKind::REMOVABLE,
                ..
            },
            ..
        })
    );
    ensure_eq!(bench.state(&id).await?, state);
    bench.exec().stop(&id, StopOptions::AT_ONCE).await?;
    bench.exec().remove(&id).await?;
    ensure!(
        bench.exec().inspect(&id).await,
        Err(Error {
            kind: ErrorKind::NotFound,
            ..
        })
    );
    ensure!(
        bench.exec().remove(&id).await,
        Err(Error {
            kind: ErrorKind::NotFound,
            ..
        })
    );
    Ok(())
}

pub(super) async fn wait_sees_the_end_from_before_the_start(bench: &Bench<'_>) -> Check {
    let id = bench.create(Process::Exits(5)).await?;
    let (exit, started) = tokio::join!(
        bench.exec().wait(&id),
        bench.exec().start(&id, StartOptions::new())
    );
    started?;
    ensure_eq!(exit?, ExitStatus::Code(5));
    Ok(())
}

pub(super) async fn wait_ends_when_the_container_is_removed(bench: &Bench<'_>) -> Check {
    let id = bench.create(Process::Runs).await?;
    let (ended, removed) = tokio::join!(bench.exec().wait(&id), bench.exec().remove(&id));
    removed?;
    ensure!(
        ended,
        Err(Error {
            kind: ErrorKind::NotFound,
            ..
        })
    );
    Ok(())
}
