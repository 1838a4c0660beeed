//! Containers whose processes must not run before a client is connected to their streams.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::ContainerId;

/// Callers that wait for the streams of a container. Shared by the containers and their streams.
#[derive(Debug, Default)]
pub(in crate::vsphere) struct Blocking {
    /// Whether a run that waits was begun.
    waiting: Mutex<HashMap<ContainerId, bool>>,
}

#[cfg_attr(not(feature = "attach"), expect(dead_code, reason = "nobody attaches"))]
impl Blocking {
    /// Makes the next run wait for a client.
    pub(in crate::vsphere) fn request(&self, id: ContainerId) {
        self.lock().entry(id).or_insert(false);
    }

    /// Whether the run that begins now waits.
    pub(super) fn begin(&self, id: &ContainerId) -> bool {
        match self.lock().get_mut(id) {
            Some(begun) => {
                *begun = true;
                true
            }
            None => false,
        }
    }

    /// Nobody waits any more. Returns whether there is a run that does.
    pub(in crate::vsphere) fn release(&self, id: &ContainerId) -> bool {
        self.lock().remove(id).unwrap_or(false)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ContainerId, bool>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
