//! Caches what guests reported before their machines went off, for endpoints that forget it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::{ContainerId, ExitStatus};

/// The ends of runs that were heard of while the machine was on. One that the machine still shows
/// when it is off is not needed; one that it does not is written to a key that only the host has.
#[derive(Debug, Default)]
pub(super) struct HeardExits {
    heard: Mutex<HashMap<ContainerId, (i64, ExitStatus)>>,
    /// The runs of which the machines were seen to be on.
    on: Mutex<HashMap<ContainerId, i64>>,
}

impl HeardExits {
    /// The process of the container's nth run ended so.
    pub(super) fn hear(&self, id: ContainerId, run: i64, exit: ExitStatus) {
        self.lock().insert(id, (run, exit));
    }

    /// The machine was switched off in the container's nth run. What its guest reported before
    /// counts.
    pub(super) fn hear_kill(&self, id: ContainerId, run: i64) {
        let mut heard = self.lock();
        if heard.get(&id).is_none_or(|(known, _)| *known != run) {
            heard.insert(id, (run, ExitStatus::KILLED));
        }
    }

    /// The machine was on in the container's nth run. The keys do not say that of a first run whose
    /// guest did not report anything.
    pub(super) fn see_on(&self, id: ContainerId, run: i64) {
        let mut on = self.on.lock().unwrap_or_else(PoisonError::into_inner);
        on.insert(id, run);
    }

    /// Whether it was.
    pub(super) fn was_on(&self, id: &ContainerId, run: i64) -> bool {
        let on = self.on.lock().unwrap_or_else(PoisonError::into_inner);
        on.get(id) == Some(&run)
    }

    /// How the process of that run ended.
    pub(super) fn recall(&self, id: &ContainerId, run: i64) -> Option<ExitStatus> {
        self.lock()
            .get(id)
            .filter(|(heard, _)| *heard == run)
            .map(|(_, exit)| *exit)
    }

    pub(super) fn forget(&self, id: &ContainerId) {
        self.lock().remove(id);
    }

    /// The container is removed.
    pub(super) fn forget_all(&self, id: &ContainerId) {
        self.forget(id);
        let mut on = self.on.lock().unwrap_or_else(PoisonError::into_inner);
        on.remove(id);
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
