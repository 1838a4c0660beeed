//! Caches what guests report before power-off, for endpoints that do not keep these reports.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::kept_list::Changes;
use crate::{ContainerId, ExitStatus};

/// Caches the exit statuses that were reported while machines were on. If a machine does not show
/// its status after power-off, the cached one is persisted in a key that only the host can write.
#[derive(Debug, Default)]
pub(super) struct HeardExits {
    heard: Mutex<HashMap<ContainerId, (i64, ExitStatus)>>,
    /// The runs whose machines were seen powered on, by number.
    on: Mutex<HashMap<ContainerId, i64>>,
    changes: Changes,
}

impl HeardExits {
    /// Creates an empty cache, whose changes are counted there.
    pub(super) fn new(changes: &Changes) -> Self {
        Self {
            changes: changes.clone(),
            ..Self::default()
        }
    }

    /// Records the exit status of the container's nth run.
    pub(super) fn hear(&self, id: ContainerId, run: i64, exit: ExitStatus) {
        if self.lock().insert(id, (run, exit)) != Some((run, exit)) {
            self.changes.count();
        }
    }

    /// Records that the machine was powered off during the container's nth run. An exit status that
    /// the guest had already reported takes precedence.
    pub(super) fn hear_kill(&self, id: ContainerId, run: i64) {
        let mut heard = self.lock();
        if heard.get(&id).is_none_or(|(known, _)| *known != run) {
            heard.insert(id, (run, ExitStatus::KILLED));
            self.changes.count();
        }
    }

    /// Records that the machine was on during the container's nth run. For a first run whose guest
    /// reported nothing, the keys do not show this.
    pub(super) fn see_on(&self, id: ContainerId, run: i64) {
        let mut on = self.on.lock().unwrap_or_else(PoisonError::into_inner);
        if on.insert(id, run) != Some(run) {
            self.changes.count();
        }
    }

    /// Returns whether the machine was seen powered on in the container's nth run.
    pub(super) fn was_on(&self, id: &ContainerId, run: i64) -> bool {
        let on = self.on.lock().unwrap_or_else(PoisonError::into_inner);
        on.get(id) == Some(&run)
    }

    /// Returns the cached exit status of the container's nth run.
    pub(super) fn recall(&self, id: &ContainerId, run: i64) -> Option<ExitStatus> {
        self.lock()
            .get(id)
            .filter(|(heard, _)| *heard == run)
            .map(|(_, exit)| *exit)
    }

    pub(super) fn forget(&self, id: &ContainerId) {
        if self.lock().remove(id).is_some() {
            self.changes.count();
        }
    }

    /// Removes a deleted container from the cache.
    pub(super) fn forget_all(&self, id: &ContainerId) {
        self.forget(id);
        let mut on = self.on.lock().unwrap_or_else(PoisonError::into_inner);
        if on.remove(id).is_some() {
            self.changes.count();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ContainerId, (i64, ExitStatus)>> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_run_that_was_heard_is_recalled() {
        let words = HeardExits::default();
        let id = ContainerId::generate();
        words.hear(id, 1, ExitStatus::Code(3));
        assert_eq!(words.recall(&id, 1), Some(ExitStatus::Code(3)));
        assert_eq!(words.recall(&id, 2), None);
        words.forget(&id);
        assert_eq!(words.recall(&id, 1), None);
    }
}
