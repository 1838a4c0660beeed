//! Tracks containers whose processes must not run before a client is connected to their streams.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::ContainerId;

/// The callers that wait for a container's streams. Shared by the containers and the streams.
#[derive(Debug, Default)]
pub(in crate::vsphere) struct Blocking {
    /// The state of each run that waits for a client.
    waiting: Mutex<HashMap<ContainerId, watch::Sender<Run>>>,
}

/// The state of the next run of a container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Run {
    #[default]
    NotBegun,
    /// The run is about to start: the container's machine may still show the previous run.
    Begins,
    /// The machine shows the run.
    Begun,
}

#[cfg_attr(not(feature = "attach"), expect(dead_code, reason = "nobody attaches"))]
impl Blocking {
    /// Makes the next run of a container wait for a client.
    pub(in crate::vsphere) fn request(&self, id: ContainerId) {
        self.lock().entry(id).or_default();
    }

    /// Returns whether the run that is being started waits for a client.
    pub(super) fn begin(&self, id: &ContainerId) -> bool {
        match self.lock().get(id) {
            Some(run) => {
                run.send_replace(Run::Begins);
                true
            }
            None => false,
        }
    }

    /// Records that the machine now shows the run.
    pub(super) fn written(&self, id: &ContainerId) {
        if let Some(run) = self.lock().get(id) {
            run.send_replace(Run::Begun);
        }
    }

    /// Waits until this process starts a run that waits for a client. Never returns if no such run
    /// was requested, or all its clients have gone.
    pub(super) async fn begun(&self, id: &ContainerId) {
        let run = self.lock().get(id).map(watch::Sender::subscribe);
        let Some(mut run) = run else {
            return std::future::pending().await;
        };
        if run.wait_for(|run| *run == Run::Begun).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Records that no client is left. Returns whether a run is still waiting for one.
    pub(in crate::vsphere) fn release(&self, id: &ContainerId) -> bool {
        let waiting = self.lock().remove(id);
        waiting.is_some_and(|run| *run.borrow() != Run::NotBegun)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ContainerId, watch::Sender<Run>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
