//! Tracks the removals by this process whose machine may be destroyed while its directory is left.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::ContainerId;
use crate::vsphere::index::Index;

/// The containers whose directories this process has yet to delete, or could not delete. Such a
/// directory is known to be left behind, however young it is.
#[derive(Clone, Debug, Default)]
pub(super) struct Destroyed {
    ids: Arc<Mutex<HashSet<ContainerId>>>,
}

/// The end of a removal. Unless it is [finished](Self::finished), for example because the future is
/// dropped, the recovery is notified to look for the directory.
#[must_use]
#[derive(Debug)]
pub(super) struct Ending<'i> {
    destroyed: Destroyed,
    index: &'i Index,
    id: ContainerId,
    is_finished: bool,
}

impl Destroyed {
    /// Notes that a container's machine is about to be destroyed.
    pub(super) fn begin<'i>(&self, id: ContainerId, index: &'i Index) -> Ending<'i> {
        self.lock().insert(id);
        Ending {
            destroyed: self.clone(),
            index,
            id,
            is_finished: false,
        }
    }

    pub(super) fn contains(&self, id: &ContainerId) -> bool {
        self.lock().contains(id)
    }

    pub(super) fn forget(&self, id: &ContainerId) {
        self.lock().remove(id);
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<ContainerId>> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ending<'_> {
    /// Notes that the directory is deleted, too.
    pub(super) fn finished(mut self) {
        self.is_finished = true;
        self.destroyed.forget(&self.id);
    }
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        if !self.is_finished {
            self.index.notice_incomplete();
        }
    }
}
