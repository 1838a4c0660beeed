//! Signals that ask a process to exit.

use crate::conformance::Process;
use crate::conformance::check::{Bench, Check, Failure, ensure, ensure_eq};
use crate::exec::{ExecExt, Signal, StartOptions, StopOptions};
use crate::{Error, ErrorKind, ExitStatus, StateKind};

pub(super) async fn kill_ends_a_process(bench: &Bench<'_>) -> Check {
    let id = bench.create(Process::Runs).await?;
    bench.exec().start(&id, StartOptions::new()).await?;
    bench.exec().kill(&id).await?;
    let exit = bench.exec().wait(&id).await?;
    ensure!(exit, ExitStatus::KILLED);
    Ok(())
}

pub(super) async fn a_signal_ends_a_process_that_heeds_it(bench: &Bench<'_>) -> Check {
    let id = bench.create(Process::Runs).await?;
    bench.exec().start(&id, StartOptions::new()).await?;
    bench.exec().signal(&id, Signal::TERM).await?;
    ensure_eq!(
        bench.exec().wait(&id).await?,
        ExitStatus::Signal(Some(Signal::TERM))
    );
    Ok(())
}

pub(super) async fn stop_asks_first(bench: &Bench<'_>) -> Check {
    let id = bench.create(Process::Runs).await?;
    bench.exec().start(&id, StartOptions::new()).await?;
    let options = StopOptions::new().signal(Signal::INT);
    ensure_eq!(
        bench.exec().stop(&id, options).await?,
        ExitStatus::Signal(Some(Signal::INT))
    );
    Ok(())
}

pub(super) async fn a_signal_is_refused_while_off(bench: &Bench<'_>) -> Check {
    let id = bench.create(Process::Runs).await?;
    for signal in [Signal::TERM, Signal::KILL] {
        ensure!(
            bench.exec().signal(&id, signal).await,
            Err(Error {
                kind: ErrorKind::InvalidState {
                    actual: StateKind::Created,
                    ..
                },
                ..
            })
        );
    }
    Ok(())
}
