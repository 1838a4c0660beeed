//! The life cycle: start, exit, stop, remove.

use crate::conformance::Process;
use crate::conformance::check::{Bench, Check, Failure, ensure, ensure_eq};
use crate::exec::{ContainerInfo, Edit, Resources, Signal, StartOptions, StopOptions};
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
    for code in [7, 8] {
        let command = bench.command(Process::Exits(code));
        bench
            .exec()
            .update(&id, Edit::new().command(command))
            .await?;
        bench.exec().start(&id, StartOptions::new()).await?;
        let exit = ExitStatus::Code(code.into());
        ensure_eq!(bench.exec().wait(&id).await?, exit);
        ensure_eq!(bench.state(&id).await?, State::Stopped { exit });
    }
    // The exit status of a machine that was powered off is not that of an earlier run.
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

pub(super) async fn only_one_start_is_the_first(bench: &Bench<'_>) -> Check {
    let id = bench.create(Process::Runs).await?;
    let first = StartOptions::new().only_if_never_started();
    bench.exec().start(&id, first).await?;
    bench.exec().stop(&id, StopOptions::AT_ONCE).await?;
    ensure!(
        bench.exec().start(&id, first).await,
        Err(Error {
            kind: ErrorKind::InvalidState {
                actual: StateKind::Stopped,
                ..
            },
            ..
        })
    );
    ensure_eq!(bench.state(&id).await?.kind(), StateKind::Stopped);
    Ok(())
}

pub(super) async fn a_start_is_no_end_for_anybody(bench: &Bench<'_>) -> Check {
    let id = bench.create(Process::Runs).await?;
    let other = bench.reopen().await?;
    ensure_eq!(other.exec().inspect(&id).await?.state, State::Created);
    let mut start = std::pin::pin!(bench.exec().start(&id, StartOptions::new()));
    loop {
        tokio::select! {
            started = &mut start => {
                started?;
                break;
            }
            seen = other.exec().inspect(&id) => {
                ensure!(
                    seen?.state.kind(),
                    StateKind::Created | StateKind::Starting | StateKind::Running
                );
            }
        }
        tokio::task::yield_now().await;
    }
    bench.exec().stop(&id, StopOptions::AT_ONCE).await?;
    Ok(())
}

pub(super) async fn a_dropped_stop_leaves_the_process_running(bench: &Bench<'_>) -> Check {
    let id = bench.create(Process::Runs).await?;
    let state = bench.exec().start(&id, StartOptions::new()).await?;
    let before = bench.exec().inspect(&id).await?;
    // Dropped before it was polled.
    drop(bench.exec().stop(&id, StopOptions::new()));
    ensure_eq!(bench.state(&id).await?, state);
    // The future is dropped at an arbitrary point. The container must not remain stopping.
    let stop = bench
        .exec()
        .stop(&id, StopOptions::new().signal(Signal::HUP));
    let _ = tokio::time::timeout(std::time::Duration::from_millis(1), stop).await;
    let after = bench.state(&id).await?;
    ensure!(
        after.kind(),
        StateKind::Running | StateKind::Starting | StateKind::Stopped
    );
    ensure_eq!(before.state, state);
    Ok(())
}

pub(super) async fn a_stop_that_switches_off_ends_with_kill(bench: &Bench<'_>) -> Check {
    let id = bench.create(Process::Runs).await?;
    bench.exec().start(&id, StartOptions::new()).await?;
    let exit = bench.exec().stop(&id, StopOptions::AT_ONCE).await?;
    ensure_eq!(exit, ExitStatus::KILLED);
    let other = bench.reopen().await?;
    let state = other.exec().inspect(&id).await?.state;
    ensure_eq!(state, State::Stopped { exit });
    Ok(())
}

pub(super) async fn an_edit_changes_what_it_names(bench: &Bench<'_>) -> Check {
    let spec = bench
        .spec(Process::Runs)
        .label("old", "1")
        .label("kept", "2");
    let id = bench.exec().create(spec.clone()).await?;
    let renamed = format!("{}-renamed", spec.name);
    let edit = Edit::new()
        .name(&renamed)
        .label("new", "3")
        .remove_label("old")
        .annotation("front.end", "x")
        .restart_count(4)
        .resources(Resources::new().cpus(2).memory_mib(512));
    bench.exec().update(&id, edit).await?;
    let info = bench.exec().inspect(&id).await?;
    ensure_eq!(info.name, renamed);
    let labels = [("kept", "2"), ("new", "3")].map(|(k, v)| (k.to_owned(), v.to_owned()));
    ensure_eq!(info.labels, labels.into());
    ensure_eq!(
        info.annotations.get("front.end").map(String::as_str),
        Some("x")
    );
    ensure_eq!(info.restart_count, 4);
    ensure_eq!((info.resources.cpus, info.resources.memory_mib), (2, 512));
    ensure_eq!(info.command, spec.command);
    // The old name can be used again, and the new one is in use.
    let other = bench.spec(Process::Runs).name(&spec.name);
    let other = bench.exec().create(other).await?;
    let taken = bench
        .exec()
        .update(&other, Edit::new().name(&renamed))
        .await;
    ensure!(
        taken,
        Err(Error {
            kind: ErrorKind::AlreadyExists,
            ..
        })
    );
    Ok(())
}

pub(super) async fn an_edit_is_refused_in_the_wrong_state(bench: &Bench<'_>) -> Check {
    let id = bench.create(Process::Runs).await?;
    bench.exec().start(&id, StartOptions::new()).await?;
    let edit = Edit::new()
        .resources(Resources::new().cpus(2))
        .label("a", "b");
    let refused = bench.exec().update(&id, edit).await;
    let source = |error: &Error| std::error::Error::source(error).map(ToString::to_string);
    let source = refused.as_ref().err().and_then(source);
    ensure!(
        refused,
        Err(Error {
            kind: ErrorKind::InvalidState {
                allowed: StateKind::STARTABLE,
                ..
            },
            ..
        })
    );
    ensure!(source, Some(text) if text.contains("resources"));
    ensure!(
        bench
            .exec()
            .update(&id, Edit::new().name("not a name"))
            .await,
        Err(Error {
            kind: ErrorKind::InvalidArgument { field: "name" },
            ..
        })
    );
    let info = bench.exec().inspect(&id).await?;
    ensure!(info.labels.is_empty(), true);
    ensure_eq!(info.resources.cpus, 1);
    Ok(())
}

pub(super) async fn a_change_made_while_on_is_kept_or_refused(bench: &Bench<'_>) -> Check {
    let spec = bench.spec(Process::Runs).label("old", "1");
    let id = bench.exec().create(spec).await?;
    bench.exec().start(&id, StartOptions::new()).await?;
    let is_kept = bench.has(Capability::LiveEdits);
    for (field, edit) in [
        (
            "labels",
            Edit::new().label("tier", "web").remove_label("old"),
        ),
        ("annotations", Edit::new().annotation("front.end", "x")),
        ("restart_count", Edit::new().restart_count(4)),
    ] {
        let updated = bench.exec().update(&id, edit).await;
        if is_kept {
            updated?;
            continue;
        }
        let source = |error: &Error| std::error::Error::source(error).map(ToString::to_string);
        let source = updated.as_ref().err().and_then(source);
        ensure!(
            updated,
            Err(Error {
                kind: ErrorKind::InvalidState {
                    allowed: StateKind::STARTABLE,
                    ..
                },
                ..
            })
        );
        ensure!(source, Some(text) if text.contains(field));
    }
    let values = match is_kept {
        true => (Some("web"), None, Some("x"), 4),
        false => (None, Some("1"), None, 0),
    };
    let of = |info: &ContainerInfo| {
        let label = |name: &str| info.labels.get(name).cloned();
        let annotation = info.annotations.get("front.end").cloned();
        (label("tier"), label("old"), annotation, info.restart_count)
    };
    let owned = |text: Option<&str>| text.map(str::to_owned);
    let values = (owned(values.0), owned(values.1), owned(values.2), values.3);
    ensure_eq!(of(&bench.exec().inspect(&id).await?), values);
    // A value that may be forgotten is there at least until the container is stopped.
    let edit = Edit::new().label("run", "1").may_be_forgotten();
    bench.exec().update(&id, edit).await?;
    let info = bench.exec().inspect(&id).await?;
    ensure_eq!(info.labels.get("run").map(String::as_str), Some("1"));
    bench.exec().stop(&id, StopOptions::AT_ONCE).await?;
    let others = bench.reopen().await?;
    for exec in [bench.exec(), others.exec()] {
        ensure_eq!(of(&exec.inspect(&id).await?), values);
    }
    Ok(())
}

pub(super) async fn pause_and_resume(bench: &Bench<'_>) -> Check {
    let id = bench.create(Process::Runs).await?;
    ensure!(
        bench.exec().pause(&id).await,
        Err(Error {
            kind: ErrorKind::InvalidState {
                actual: StateKind::Created,
                ..
            },
            ..
        })
    );
    let state = bench.exec().start(&id, StartOptions::new()).await?;
    bench.exec().pause(&id).await?;
    bench.exec().pause(&id).await?;
    ensure_eq!(bench.state(&id).await?, State::Suspended);
    bench.exec().resume(&id).await?;
    ensure_eq!(bench.state(&id).await?, state);
    ensure!(
        bench.exec().resume(&id).await,
        Err(Error {
            kind: ErrorKind::InvalidState { .. },
            ..
        })
    );
    Ok(())
}
