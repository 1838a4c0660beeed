//! Keeps a log from being deleted while clients are still reading it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use crate::ContainerId;

/// Maximum time that a removal waits for readers of the log.
const PATIENCE: Duration = Duration::from_secs(5);

/// Counts the readers of each container's log. A front end that removes a container as soon as its
/// process has ended must not delete output that clients have not read yet.
#[derive(Debug, Default)]
pub(in crate::vsphere) struct LogReaders {
    counts: Mutex<HashMap<ContainerId, watch::Sender<usize>>>,
}

/// Counts as a reader until it is dropped.
#[derive(Debug)]
pub(in crate::vsphere) struct Reading {
    readers: Arc<LogReaders>,
    id: ContainerId,
}

impl LogReaders {
    /// Registers a reader of the container's log.
    #[cfg_attr(not(feature = "attach"), expect(dead_code, reason = "nobody attaches"))]
    pub(in crate::vsphere) fn read(self: &Arc<Self>, id: ContainerId) -> Reading {
        let mut counts = self.lock();
        counts
            .entry(id)
            .or_default()
            .send_modify(|count| *count += 1);
        Reading {
            readers: Arc::clone(self),
            id,
        }
    }

    /// Waits until all readers are done, up to a timeout.
    pub(super) async fn done(&self, id: &ContainerId) {
        let count = self.lock().get(id).map(watch::Sender::subscribe);
        if let Some(mut count) = count {
            let done = timeout(PATIENCE, count.wait_for(|count| *count == 0)).await;
            if done.is_err() {
                tracing::debug!(container = %id, "the log was removed while it was read");
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ContainerId, watch::Sender<usize>>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        let mut counts = self.readers.lock();
        if let Some(count) = counts.get(&self.id) {
            count.send_modify(|count| *count -= 1);
            if *count.borrow() == 0 {
                counts.remove(&self.id);
            }
        }
    }
}
