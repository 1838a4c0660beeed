//! Observes the start and the end of a run.

use futures_util::future::BoxFuture;

use crate::vsphere::exec::VsphereExec;
use crate::vsphere::run_state::RunState;
use crate::{ContainerId, Error, ErrorKind, Result};

/// An event of a run.
#[derive(Debug)]
pub(super) enum Event {
    Begun,
    /// The machine of the run is off or was removed.
    Ended,
    /// The run can no longer be observed.
    Failed(Error),
}

/// Waits for the events of one run.
pub(super) struct RunEvents {
    id: ContainerId,
    exec: VsphereExec,
    next: BoxFuture<'static, Result<()>>,
    begun: bool,
}

impl RunEvents {
    /// Observes the run after the one that `before` describes, or the current run without `before`.
    pub(super) fn new(exec: VsphereExec, id: ContainerId, before: Option<RunState>) -> Self {
        let begun = before.is_none();
        let next = match before {
            Some(before) => {
                let exec = exec.clone();
                Box::pin(async move { exec.begun(&id, &before).await }) as BoxFuture<'static, _>
            }
            None => ended(exec.clone(), id),
        };
        Self {
            id,
            exec,
            next,
            begun,
        }
    }

    /// Returns the next event. Waits forever after `Ended` or `Failed`. Cancel-safe.
    pub(super) async fn next(&mut self) -> Event {
        let result = (&mut self.next).await;
        let is_begin = !std::mem::replace(&mut self.begun, true);
        self.next = match &result {
            Ok(()) if is_begin => ended(self.exec.clone(), self.id),
            _ => Box::pin(std::future::pending()),
        };
        match result {
            Ok(()) if is_begin => Event::Begun,
            Err(error) if error.kind != ErrorKind::NotFound => Event::Failed(error),
            _ => Event::Ended,
        }
    }
}

fn ended(exec: VsphereExec, id: ContainerId) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move { crate::Exec::wait(&exec, &id).await.map(drop) })
}
