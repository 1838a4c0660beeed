//! Containers whose processes must not run before a client is connected to their streams.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::ContainerId;

/// Callers that wait for the streams of a container. Shared by the containers and their streams.
#[derive(Debug, Default)]
pub(in crate::vsphere) struct Blocking {
    /// The state of the run that waits.
    waiting: Mutex<HashMap<ContainerId, watch::Sender<Run>>>,
}

/// The state of the next run of a container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Run {
    #[default]
    NotBegun,
    /// It is about to start: the container's machine may still show the last one.
    Begins,
    /// The machine shows it.
    Begun,
}

#[cfg_attr(not(feature = "attach"), expect(dead_code, reason = "nobody attaches"))]
impl Blocking {
    /// Makes the next run wait for a client.
    pub(in crate::vsphere) fn request(&self, id: ContainerId) {
        self.lock().entry(id).or_default();
    }

    /// Returns whether the run that starts now waits for a client.
    pub(super) fn begin(&self, id: &ContainerId) -> bool {
        match self.lock().get(id) {
            Some(run) => {
                run.send_replace(Run::Begins);
                true
            }
            None => false,
        }
    }

    /// Records that the machine shows the run.
    pub(super) fn written(&self, id: &ContainerId) {
        if let Some(run) = self.lock().get(id) {
            run.send_replace(Run::Begun);
        }
    }

    /// Waits until this process starts a run that waits for a client. Never returns if none was
    /// requested, or all clients have gone.
    pub(super) async fn begun(&self, id: &ContainerId) {
        let run = self.lock().get(id).map(watch::Sender::subscribe);
        let Some(mut run) = run else {
            return std::future::pending().await;
        };
        if run.wait_for(|run| *run == Run::Begun).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Records that no client is left. Returns whether a run is waiting for one.
    pub(in crate::vsphere) fn release(&self, id: &ContainerId) -> bool {
        let waiting = self.lock().remove(id);
        waiting.is_some_and(|run| *run.borrow() != Run::NotBegun)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ContainerId, watch::Sender<Run>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
